"""The interface of a backend: it gets a window and fills its masks."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from reapaint_engine.dsp.splicing import Levelling
from reapaint_engine.protocol.arrays import Audio
from reapaint_engine.protocol.messages import BackendInfo
from reapaint_engine.protocol.params import RequestParams
from reapaint_engine.protocol.progress import Stage
from reapaint_engine.protocol.spans import Span


class JobControl(Protocol):
    """A running job as its backend sees it."""

    def step(self, stage: Stage, fraction: float) -> None:
        """Report progress between two pieces of work, and end the job if it was cancelled.

        Parameters
        ----------
        stage
            ``LOAD``, ``ENCODE``, ``SAMPLE`` or ``DECODE``: the time until the next call counts
            for it.
        fraction
            How much of the backend's own work is done, 0 to 1.

        Raises
        ------
        reapaint_engine.errors.JobCancelled
            The job was cancelled; don't catch this.
        """


@dataclass(frozen=True, slots=True)
class Window:
    """Context and masks together, at the rate and channel count the backend asked for.

    ``audio`` has shape (channels, frames) and is read-only. Inside the spans it has the sound
    that will be replaced. Frames from ``audio_frames`` on do not exist in the source: they are
    zeros, and always inside a span.
    """

    audio: Audio
    sample_rate: int
    spans: tuple[Span, ...]
    audio_frames: int

    @property
    def frames(self) -> int:
        """Return the window's length."""
        return int(self.audio.shape[1])


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationParams(RequestParams):
    """The parameters of a request, as a backend gets them.

    ``model`` and ``backend`` are those that do the work. ``steps`` and ``guidance`` may be
    None: the backend knows which values suit the model. ``seed``, ``takes`` and ``crossfade_s``
    are handled outside the backend.
    """

    model: str = ""


@dataclass(frozen=True, slots=True)
class Passage:
    """New audio from ``start`` of the window on; it covers its span and may go beyond.

    ``continuous`` states that it already continues its context sample by sample, as an
    interpolation does, so that a hard join doesn't click; its level is then left alone.
    ``levelling`` says how far its level may be changed.
    """

    start: int
    audio: Audio
    continuous: bool = False
    levelling: Levelling = Levelling.MATCH


@dataclass(frozen=True, slots=True)
class Fill:
    """One take: a passage for each span."""

    passages: tuple[Passage, ...]


@dataclass(frozen=True, slots=True)
class Generation:
    """A backend's result for one request, a fill for each seed."""

    fills: tuple[Fill, ...]
    model: str
    model_revision: str
    mode: str
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    """Useful facts that are no warnings, such as why a model was chosen."""
    steps: int | None = None
    guidance: float | None = None
    """The value that the model used where the request left it open."""


class Backend(ABC):
    """A way to fill masks. One instance lives only in the worker's thread."""

    @property
    @abstractmethod
    def info(self) -> BackendInfo:
        """Return what it can do; this is quick, and needs nothing to be loaded."""

    @abstractmethod
    def generate(
        self, window: Window, params: GenerationParams, seeds: Sequence[int], control: JobControl
    ) -> Generation:
        """Fill every span of the window once for each seed.

        A seed gives the same samples alone or among others.

        Raises
        ------
        reapaint_engine.errors.JobError
            The job can't be done; the message says why and what to do.
        """

    def is_preferred(self) -> bool:
        """Return whether it suits a job that names no backend better than the first backend.

        It is True only while it can do such a job. It must be quick: every such job asks.
        """
        return False

    def start(self, *, is_default: bool) -> None:  # noqa: B027 - most have nothing to begin
        """Begin its background work.

        Parameters
        ----------
        is_default
            Whether it gets the jobs that name no backend, so that using much memory is worth it.
        """

    def close(self) -> None:  # noqa: B027 - most have nothing to end
        """End its background work, also where a job began it."""
