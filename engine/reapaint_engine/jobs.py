"""Jobs and the bounded queue they wait in."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from reapaint_engine.protocol.arrays import Audio
from reapaint_engine.protocol.errors import ErrorCode, ProtocolError
from reapaint_engine.protocol.messages import InpaintRequest, JobState, Limits, Placement
from reapaint_engine.protocol.progress import Stage
from reapaint_engine.protocol.requests import window_bytes


@dataclass(eq=False)
class Job:
    """One request's life. Only the dispatcher changes it; the worker reads ``cancelled``."""

    request: InpaintRequest
    audio: Audio
    client: bytes
    created_s: float
    state: JobState = JobState.QUEUED
    stage: str = Stage.QUEUED
    fraction: float = 0.0
    started_s: float = 0.0
    cancelled: threading.Event = field(default_factory=threading.Event)

    @property
    def job_id(self) -> str:
        """The id its client gave it."""
        return self.request.job_id

    def check_same(self, request: InpaintRequest, audio: Audio) -> None:
        """Refuse another job under the id of this one.

        Parameters
        ----------
        request, audio
            What came under its id; audio of shape (channels, audio_frames), float32.

        Raises
        ------
        ProtocolError
            ``job_id_reused``: they are not this job's.
        """
        if self.request != request or not np.array_equal(self.audio, audio):
            raise ProtocolError(
                ErrorCode.JOB_ID_REUSED,
                f"Another job has the id {self.job_id}.",
                hint="Give every job an id of its own.",
            )


class JobQueue:
    """Jobs that wait, bounded by their number and by the bytes they will need."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._jobs: list[Job] = []

    def __len__(self) -> int:
        return len(self._jobs)

    def __iter__(self) -> Iterator[Job]:
        return iter(tuple(self._jobs))

    @property
    def size_bytes(self) -> int:
        """The bytes of all waiting windows."""
        return sum(window_bytes(job.request) for job in self._jobs)

    def replaced_by(self, job: Job, placement: Placement) -> list[Job]:
        """Return the waiting jobs that would make way for a new one."""
        if placement is not Placement.REPLACE:
            return []
        return [waiting for waiting in self._jobs if waiting.client == job.client]

    def add(self, job: Job, placement: Placement) -> int:
        """Put a job into its place and return how many are before it.

        Raises
        ------
        ProtocolError
            ``queue_full``: the queue has as many jobs, or bytes, as it may.
        """
        bytes_after = self.size_bytes + window_bytes(job.request)
        if len(self._jobs) >= self._limits.max_queued_jobs:
            raise _queue_full(f"{len(self._jobs)} jobs wait already")
        if self._jobs and bytes_after > self._limits.max_queued_bytes:
            raise _queue_full(f"{self.size_bytes / 2**20:.0f} MiB of audio wait already")
        position = 0 if placement is Placement.FRONT else len(self._jobs)
        self._jobs.insert(position, job)
        return position

    def remove(self, job: Job) -> None:
        """Take a waiting job out."""
        self._jobs.remove(job)

    def take_next(self, is_possible: Callable[[Job], bool]) -> Job | None:
        """Take the first possible job out, or return None."""
        job = next((job for job in self._jobs if is_possible(job)), None)
        if job is not None:
            self._jobs.remove(job)
        return job


def _queue_full(reason: str) -> ProtocolError:
    return ProtocolError(
        ErrorCode.QUEUE_FULL,
        f"The engine's queue is full: {reason}.",
        hint="Try again when a job has ended, or cancel one.",
    )
