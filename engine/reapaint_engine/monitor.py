"""Control a running job: report progress, cancel it, and measure its times."""

import time
from collections.abc import Callable

from reapaint_engine.errors import JobCancelled
from reapaint_engine.protocol.progress import OnProgress, Stage

PROGRESS_INTERVAL_S = 0.05
"""Progress is reported this often; more than a person can see would slow down a quick job."""

BACKEND_PROGRESS_SHARE = 0.95
"""The backend's share of a job's progress; the rest is splicing."""


class JobMonitor:
    """A job's control: reports progress, ends it when cancelled, adds up time by stage."""

    def __init__(self, is_cancelled: Callable[[], bool], report: OnProgress) -> None:
        self._is_cancelled = is_cancelled
        self._report = report
        self._stage: Stage | None = None
        self._since_s = time.monotonic()
        self._reported_s = 0.0
        self.seconds: dict[Stage, float] = {}

    def step(self, stage: Stage, fraction: float) -> None:
        """Report progress for the backend's share of the job; see ``JobControl.step``."""
        self.enter(stage, fraction * BACKEND_PROGRESS_SHARE)

    def enter(self, stage: Stage, fraction: float = BACKEND_PROGRESS_SHARE) -> None:
        """Enter a stage of the whole job, unless it was cancelled."""
        if self._is_cancelled():
            raise JobCancelled
        now_s = time.monotonic()
        self.stop()
        self._stage, self._since_s = stage, now_s
        if now_s - self._reported_s >= PROGRESS_INTERVAL_S:
            self._reported_s = now_s
            self._report(stage, fraction)

    def stop(self) -> None:
        """Add the time since the last step to its stage."""
        now_s = time.monotonic()
        if self._stage is not None:
            self.seconds[self._stage] = self.seconds.get(self._stage, 0.0) + now_s - self._since_s
        self._stage, self._since_s = None, now_s
