"""What the bridge knows of a job while it runs: its windows, and how far each is."""

from dataclasses import dataclass, field, replace
from enum import Enum, auto

from reapaint.reaper.messages import Failure, JobProgress, Request, Result
from reapaint.reaper.planning import PlannedJob, WindowResult
from reapaint.reaper.spool import JobRecord
from reapaint.reaper.window_keys import WindowKey, window_keys
from reapaint_engine.protocol.messages import InpaintRequest
from reapaint_engine.protocol.progress import Stage

WRITE_SHARE = 0.05
"""How much of a job's progress is writing its files."""
PROGRESS_INTERVAL_S = 0.03
"""REAPER looks once in 31 ms: more would be written for nobody."""


class JobPhase(Enum):
    """Where a job is between its commit and its end."""

    WAITING = auto()
    """Nothing was done for it yet."""
    PLANNING = auto()
    """A thread finds out what it asks of the engine."""
    FILLING = auto()
    """Its windows are read, sent, and come back."""
    WRITING = auto()
    """A thread writes its files."""
    WRITING_IN_VAIN = auto()
    """It was cancelled meanwhile: the thread removes what it has written."""
    KEPT = auto()
    """It has its answer, which could not be put in place yet."""
    ENDED = auto()
    """Its answer is in place, or nobody wants one any more."""


_WANTS_ENGINE = (JobPhase.WAITING, JobPhase.PLANNING, JobPhase.FILLING)
_ENDS = frozenset((JobPhase.KEPT, JobPhase.ENDED))
_MOVES = {
    JobPhase.WAITING: {JobPhase.PLANNING} | _ENDS,
    JobPhase.PLANNING: {JobPhase.FILLING} | _ENDS,
    JobPhase.FILLING: {JobPhase.WRITING} | _ENDS,
    JobPhase.WRITING: {JobPhase.WRITING_IN_VAIN} | _ENDS,
    JobPhase.WRITING_IN_VAIN: _ENDS,
    JobPhase.KEPT: {JobPhase.ENDED},
    JobPhase.ENDED: frozenset[JobPhase](),
}
"""Which phases may follow each."""


class WindowState(Enum):
    """Where a window is."""

    UNSENT = auto()
    READING = auto()
    SENT = auto()
    BEGUN = auto()
    """The engine is at work on it."""
    DONE = auto()


_WITH_ENGINE = (WindowState.SENT, WindowState.BEGUN)


@dataclass
class RunningWindow:
    """One of a job's windows, and what the engine is asked of it."""

    key: WindowKey
    request: InpaintRequest
    state: WindowState = WindowState.UNSENT
    fraction: float = 0.0
    result: WindowResult | None = None

    @property
    def is_with_engine(self) -> bool:
        """Whether an answer of the engine's may be about it."""
        return self.state in _WITH_ENGINE

    def begin(self, fraction: float) -> None:
        """Note how far the engine is with it."""
        self.state, self.fraction = WindowState.BEGUN, fraction

    def finish(self, result: WindowResult) -> None:
        """Keep what the engine made of it."""
        self.state, self.fraction, self.result = WindowState.DONE, 1.0, result

    def unsend(self) -> None:
        """Have it sent again."""
        self.state, self.fraction = WindowState.UNSENT, 0.0

    def send_anew(self) -> None:
        """Have it sent again as a new attempt, which the engine can't know."""
        self.unsend()
        self.key = self.key.next_attempt()
        self.request = replace(self.request, job_id=self.key.wire_id)


@dataclass
class RunningJob:
    """A job from its commit to its result.

    ``answer`` is that of a job which is kept. The times are those of the scheduler's clock.
    """

    request: Request
    record: JobRecord
    seen_s: float
    phase: JobPhase = JobPhase.WAITING
    planned: PlannedJob | None = None
    windows: list[RunningWindow] = field(default_factory=list)
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
    def wants_engine(self) -> bool:
        """Whether an engine has yet to do something for it."""
        return self.phase in _WANTS_ENGINE

    @property
    def is_answered(self) -> bool:
        """Whether it is known what came of it."""
        return self.phase in _ENDS

    @property
    def has_begun(self) -> bool:
        """Whether the engine is at work on it."""
        return any(window.state is WindowState.BEGUN for window in self.windows)

    @property
    def is_sent(self) -> bool:
        """Whether the engine has any of it."""
        return any(window.is_with_engine for window in self.windows)

    @property
    def is_done(self) -> bool:
        """Whether every window has its result."""
        return bool(self.windows) and all(
            window.state is WindowState.DONE for window in self.windows
        )

    @property
    def busy_windows(self) -> int:
        """The number of windows that take room in memory or in the engine."""
        return (self.phase is JobPhase.PLANNING) + sum(
            window.state is WindowState.READING or window.is_with_engine for window in self.windows
        )

    @property
    def results(self) -> list[WindowResult]:
        """The windows' results; all must be there."""
        return [window.result for window in self.windows if window.result is not None]

    def move(self, phase: JobPhase) -> None:
        """Go on to a phase that may follow."""
        assert phase in _MOVES[self.phase], f"{phase} does not follow {self.phase}"
        self.phase = phase

    def plan(self, planned: PlannedJob) -> None:
        """Go on with what the job asks of the engine."""
        self.move(JobPhase.FILLING)
        self.planned = planned
        keys = window_keys(self.job_id, len(planned.requests))
        self.windows = [
            RunningWindow(key, request) for key, request in zip(keys, planned.requests, strict=True)
        ]

    def keep(self, answer: Result | Failure) -> None:
        """Hold on to an answer, and to nothing else that takes room."""
        self.move(JobPhase.KEPT)
        self.windows = []
        self.answer = answer

    def find(self, wire_id: str) -> RunningWindow | None:
        """Return the window that the engine knows by an id."""
        return next((each for each in self.windows if each.key.wire_id == wire_id), None)

    def lose(self) -> None:
        """Have all that was sent sent again."""
        for window in self.windows:
            if window.is_with_engine:
                window.unsend()

    def progress(
        self, stage: Stage, *, position: int, is_due: bool, now_s: float
    ) -> JobProgress | None:
        """Return what to tell of the job, or None while nobody would see it.

        Parameters
        ----------
        is_due
            Tell it in any case.
        """
        is_due = is_due or stage is not self.stage
        if not is_due and now_s - self._written_s < PROGRESS_INTERVAL_S:
            return None
        self.stage, self._written_s = stage, now_s
        self._sequence += 1
        return JobProgress(self.job_id, self._sequence, stage, self._fraction(stage), position)

    def _fraction(self, stage: Stage) -> float:
        if stage is Stage.WRITE:
            return 1 - WRITE_SHARE
        total = sum(window.fraction for window in self.windows)
        return (1 - WRITE_SHARE) * total / max(len(self.windows), 1)
