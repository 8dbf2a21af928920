"""The thread that owns the backends and the device: one job at a time."""

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from queue import SimpleQueue

from reapaint_engine.backends.base import Backend
from reapaint_engine.errors import EngineError
from reapaint_engine.inpaint import inpaint
from reapaint_engine.jobs import Job
from reapaint_engine.monitor import JobMonitor
from reapaint_engine.protocol.arrays import Audio
from reapaint_engine.protocol.errors import ReaPaintError, internal_error, out_of_memory
from reapaint_engine.protocol.messages import Done

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class WorkerProgressed:
    """The running job made progress."""

    stage: str
    fraction: float


@dataclass(frozen=True, eq=False)
class WorkerDone:
    """The running job has its result."""

    message: Done
    parts: tuple[Audio, ...]


@dataclass(frozen=True, eq=False)
class WorkerFailed:
    """The running job ended without a result."""

    error: ReaPaintError


WorkerEvent = WorkerProgressed | WorkerDone | WorkerFailed


class Worker:
    """Runs jobs in a thread of its own; ``post`` carries its events to the server."""

    def __init__(
        self,
        *,
        backends: Mapping[str, Backend],
        default_backend: Callable[[], str],
        post: Callable[[WorkerEvent], None],
    ) -> None:
        self._backends = backends
        self._default_backend = default_backend
        self._post = post
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="worker", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def give(self, job: Job) -> None:
        """Hand over the next job."""
        self._jobs.put(job)

    def stop(self, *, timeout_s: float) -> bool:
        """Let the thread end after its job, and return whether it did in time."""
        self._jobs.put(None)
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            self._post(self._outcome(job))
            # The next wait may be long: keep no audio in memory meanwhile.
            del job

    def _outcome(self, job: Job) -> WorkerDone | WorkerFailed:
        monitor = JobMonitor(job.cancelled.is_set, self._report_progress)
        try:
            message, parts = inpaint(
                job.request,
                job.audio,
                backends=self._backends,
                default_backend=self._default_backend(),
                monitor=monitor,
                queued_s=job.started_s - job.created_s,
            )
        except Exception as error:  # noqa: BLE001 - the job boundary: the engine lives on
            return WorkerFailed(_as_job_error(error, job))
        return WorkerDone(message, parts)

    def _report_progress(self, stage: str, fraction: float) -> None:
        self._post(WorkerProgressed(stage, fraction))


def _as_job_error(error: Exception, job: Job) -> ReaPaintError:
    if isinstance(error, EngineError):
        return error
    if isinstance(error, MemoryError):
        _log.error("%s ran out of memory", job.job_id)
        return out_of_memory()
    _log.exception("%s failed", job.job_id, exc_info=error)
    return internal_error(
        type(error).__name__, hint="The engine's log has the details; please report it."
    )
