"""What the bridge knows of a job while it runs: its windows, and how far each is."""

import time
from dataclasses import dataclass, field, replace
from enum import Enum, auto

from reapaint.reaper.messages import Failure, JobProgress, Request, Result
from reapaint.reaper.planning import PlannedJob, WindowResult
from reapaint.reaper.spool import JobRecord
from reapaint_engine.protocol.messages import InpaintRequest
from reapaint_engine.protocol.progress import Stage

WRITE_SHARE = 0.05
"""How much of a job's progress is writing its files."""
PROGRESS_INTERVAL_S = 0.03
"""REAPER looks once in 31 ms: more would be written for nobody."""


class WindowState(Enum):
    """Where a window is."""

    UNSENT = auto()
    READING = auto()
    SENT = auto()
    DONE = auto()


@dataclass
class RunningWindow:
    """One of a job's windows; ``request`` is what the engine knows it by."""

    request: InpaintRequest
    state: WindowState = WindowState.UNSENT
    has_begun: bool = False
    fraction: float = 0.0
    result: WindowResult | None = None


@dataclass
class RunningJob:
    """A job from its commit to its result.

    ``answer`` is set when it has ended but its result could not be put in place yet.
    The times are those of the monotonic clock.
    """

    request: Request
    record: JobRecord
    seen_s: float
    planned: PlannedJob | None = None
    windows: list[RunningWindow] = field(default_factory=list)
    is_planning: bool = False
    is_writing: bool = False
    is_cancelled: bool = False
    sent_s: float = 0.0
    done_s: float = 0.0
    answer: Result | Failure | None = None
    stage: Stage = Stage.QUEUED
    _sequence: int = 0
    _written_s: float = 0.0

    @property
    def job_id(self) -> str:
        """The scripts' name of it."""
        return self.request.job_id

    @property
    def has_begun(self) -> bool:
        """Whether the engine is at work on it."""
        return any(window.has_begun for window in self.windows)

    @property
    def is_sent(self) -> bool:
        """Whether the engine has any of it."""
        return any(window.state is WindowState.SENT for window in self.windows)

    @property
    def is_done(self) -> bool:
        """Whether every window has its result."""
        return bool(self.windows) and all(
            window.state is WindowState.DONE for window in self.windows
        )

    @property
    def busy_windows(self) -> int:
        """The number of windows that take room in memory or in the engine."""
        return self.is_planning + sum(
            window.state in (WindowState.READING, WindowState.SENT) for window in self.windows
        )

    @property
    def results(self) -> list[WindowResult]:
        """The windows' results; all must be there."""
        return [window.result for window in self.windows if window.result is not None]

    def plan(self, planned: PlannedJob) -> None:
        """Take note of what is to be done."""
        self.is_planning = False
        self.planned = planned
        self.windows = [RunningWindow(request) for request in planned.requests]

    def find(self, engine_job_id: str) -> RunningWindow | None:
        """Return the window that the engine knows by an id."""
        return next((each for each in self.windows if each.request.job_id == engine_job_id), None)

    def lose(self) -> None:
        """Take note that what was sent is lost."""
        for window in self.windows:
            if window.state is WindowState.SENT:
                unsend(window)

    def progress(self, stage: Stage, *, position: int, is_due: bool) -> JobProgress | None:
        """Return what to tell of the job, or None while nobody would see it.

        Parameters
        ----------
        is_due
            Tell it in any case.
        """
        now_s = time.monotonic()
        is_due = is_due or stage is not self.stage
        if not is_due and now_s - self._written_s < PROGRESS_INTERVAL_S:
            return None
        self.stage, self._written_s = stage, now_s
        self._sequence += 1
        return JobProgress(self.job_id, self._sequence, stage, self._fraction(stage), position)

    def _fraction(self, stage: Stage) -> float:
        if stage is Stage.WRITE:
            return 1 - WRITE_SHARE
        total = sum(
            1.0 if window.state is WindowState.DONE else window.fraction for window in self.windows
        )
        return (1 - WRITE_SHARE) * total / max(len(self.windows), 1)


def unsend(window: RunningWindow) -> None:
    """Take note that a window has to be sent again."""
    window.state, window.has_begun, window.fraction = WindowState.UNSENT, False, 0.0


def rename(window: RunningWindow) -> None:
    """Give a window's request a new id, where the engine knows the old one as something else."""
    stem, _, number = window.request.job_id.partition("-again-")
    again = f"{stem}-again-{int(number or 0) + 1}"
    window.request = replace(window.request, job_id=again)
