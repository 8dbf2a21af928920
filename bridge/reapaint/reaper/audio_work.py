"""Reads and writes the audio of jobs, in a few threads, so that the scheduler never waits."""

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from reapaint.reaper.answers import cancelled, our_mistake
from reapaint.reaper.messages import Failure, Result
from reapaint.reaper.planning import PlannedJob, plan_job, write_job
from reapaint.reaper.running_jobs import JobPhase, RunningJob, RunningWindow
from reapaint.reaper.sources import KnownFiles
from reapaint_engine.protocol.arrays import Audio
from reapaint_engine.protocol.errors import ReaPaintError, out_of_memory
from reapaint_engine.protocol.messages import Welcome

WORKERS = 3

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Planned:
    """It is known what a job asks of the engine."""

    job: RunningJob
    planned: PlannedJob


@dataclass(frozen=True, slots=True)
class WindowRead:
    """A window's audio is there."""

    job: RunningJob
    window: RunningWindow
    audio: Audio


@dataclass(frozen=True, slots=True)
class WorkFailed:
    """A job can't be done."""

    job: RunningJob
    error: ReaPaintError


@dataclass(frozen=True, slots=True)
class Written:
    """A job's result lies on disk, or at least its files do."""

    job: RunningJob
    answer: Result | Failure
    is_committed: bool


WorkEvent = Planned | WindowRead | WorkFailed | Written


class AudioWork:
    """What takes time over a job; what comes of it is told by ``post``.

    Parameters
    ----------
    commit
        Puts an answer in place, and says whether there was room for it; called from any
        thread, so that no result waits for the scheduler.
    post
        Called from any thread with what happened.
    """

    def __init__(
        self, commit: Callable[[Result | Failure], bool], post: Callable[[WorkEvent], None]
    ) -> None:
        self._commit = commit
        self._post = post
        self._known = KnownFiles()
        self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="audio")

    def close(self) -> None:
        """Finish what has begun, and drop the rest."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def plan(self, job: RunningJob, folder: Path, welcome: Welcome) -> None:
        """Find out what a job asks of the engine; its seed must be known."""
        seed = job.record.seed
        assert seed is not None

        def work() -> Planned:
            planned = plan_job(job.request, folder, seed=seed, welcome=welcome, known=self._known)
            return Planned(job, planned)

        self._do(job, work)

    def read(self, job: RunningJob, window: RunningWindow) -> None:
        """Read what the engine is to hear."""
        planned = job.planned
        assert planned is not None
        number = job.windows.index(window)
        self._do(job, lambda: WindowRead(job, window, planned.read_window(number)))

    def write(self, job: RunningJob, rescue_folder: Path) -> None:
        """Write a job's result, unless it is cancelled meanwhile."""
        planned = job.planned
        assert planned is not None

        def work() -> Written:
            result = write_job(planned, job.results, rescue_folder=rescue_folder)
            if job.phase is JobPhase.WRITING_IN_VAIN:
                _remove_files(result)
                answer: Result | Failure = cancelled(job.request)
            else:
                answer = result
            return Written(job, answer, self._commit(answer))

        self._do(job, work)

    def _do(self, job: RunningJob, work: Callable[[], WorkEvent]) -> None:
        def guarded() -> None:
            try:
                event = work()
            except ReaPaintError as error:
                event = WorkFailed(job, error)
            except MemoryError:
                event = WorkFailed(job, out_of_memory())
            except Exception as error:  # noqa: BLE001 - the job boundary: the bridge lives on
                _log.exception("%s broke", job.job_id)
                event = WorkFailed(job, our_mistake(error))
            self._post(event)

        self._pool.submit(guarded)


def _remove_files(result: Result) -> None:
    """Remove files made a moment ago for a job that was cancelled: nobody knows of them."""
    for take in result.takes:
        for file in take.files:
            Path(file.path).unlink(missing_ok=True)
