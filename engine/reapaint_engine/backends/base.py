"""What a backend is to the engine: it hears a window and fills its masks."""

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
            Somebody asked for the job's end; let it pass.
        """


@dataclass(frozen=True, slots=True)
class Window:
    """Context and masks together, at the rate and channel count the backend asked for.

    ``audio`` has shape (channels, frames) and is read-only. What it holds inside the
    spans is the sound that is to be replaced. Frames from ``audio_frames`` on do not
    exist in the source: they are zeros, and always inside a span.
    """

    audio: Audio
    sample_rate: int
    spans: tuple[Span, ...]
    audio_frames: int

    @property
    def frames(self) -> int:
        """The window's length."""
        return int(self.audio.shape[1])


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationParams(RequestParams):
    """What the new audio should be: a request's parameters, as a backend is given them.

    ``model`` and ``backend`` are those that do the work. ``steps`` and ``guidance`` may be open:
    what suits the model, the backend knows. ``seed``, ``takes`` and ``crossfade_s`` are the
    recipe's own business.
    """

    model: str = ""


@dataclass(frozen=True, slots=True)
class Passage:
    """New audio from ``start`` of the window on; it covers its span and may go beyond.

    ``continuous`` claims that it already meets its context sample by sample, as an
    interpolation does, so that a hard join is free of clicks; its level is then left
    alone. ``levelling`` says how much of its level it leaves to the recipe.
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
    """What a backend made of one request, a fill for each seed."""

    fills: tuple[Fill, ...]
    model: str
    model_revision: str
    mode: str
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    """What is worth knowing and no warning, such as why a model was chosen."""
    steps: int | None = None
    guidance: float | None = None
    """What the model took where the request left it open."""


class Backend(ABC):
    """A way to fill masks. One instance lives in the worker's thread and only there."""

    @property
    @abstractmethod
    def info(self) -> BackendInfo:
        """What it can do; cheap, and known before anything is loaded."""

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
        """Whether it is better than the first backend for a job that names none.

        True only while it can do such a job; cheap, as it is asked for each of them.
        """
        return False

    def start(self, *, is_default: bool) -> None:  # noqa: B027 - most have nothing to begin
        """Begin what it does in the background.

        Parameters
        ----------
        is_default
            Whether jobs that name no backend come to it: what takes much memory is worth it.
        """

    def close(self) -> None:  # noqa: B027 - most have nothing to end
        """End what it does in the background, also where a job began it."""
