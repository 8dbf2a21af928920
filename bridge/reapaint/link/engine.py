"""What an engine is to those who want a job done: the same in this process and over a socket."""

from typing import Protocol

from reapaint.errors import JobFailed
from reapaint_engine.protocol.arrays import Audio
from reapaint_engine.protocol.errors import THE_PATH, ReceivedCode
from reapaint_engine.protocol.messages import Done, Failed, InpaintRequest, Rejected, Welcome
from reapaint_engine.protocol.progress import OnProgress


class Engine(Protocol):
    """What repaints: a client of another process, or the engine in this one."""

    @property
    def welcome(self) -> Welcome:
        """What it can do."""

    def run(
        self, request: InpaintRequest, audio: Audio, on_progress: OnProgress
    ) -> tuple[Done, tuple[Audio, ...]]:
        """Do one job and return its result.

        Parameters
        ----------
        request
            What is wanted.
        audio
            The window, shape (channels, audio_frames), float32, at the request's rate.
        on_progress
            Called with the stage and the share that is done, 0 to 1.

        Returns
        -------
        tuple
            The report, and a patch for each span of each take, takes outermost, each of
            shape (channels, span frames), float32.
        """


def failure_of(message: Failed | Rejected) -> JobFailed:
    """Return what an engine said of a job; a code that is new to this version stays as it is."""
    path = message.path if isinstance(message, Failed) else ""
    sentence, hint = (
        text.replace(path, THE_PATH) if path else text for text in (message.message, message.hint)
    )
    return JobFailed(ReceivedCode(message.code), sentence, hint=hint, path=path or None)
