"""Jobs and the bounded queue they wait in."""

import math
import threading
from collections import deque
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


CLIENT_SHARE = 0.75
"""How much of the queue one client may fill: the rest is for those who have less in it."""


class JobQueue:
    """Jobs that wait, bounded by their number and by the bytes they will need.

    Clients take turns: next is the first job of the client that was served longest ago. So a
    client with one job waits for one job of each other client, however many those have sent.
    Places are places within a client. One client alone has its jobs done in their order.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._jobs: list[Job] = []
        self._served: dict[bytes, int] = {}
        """The turn in which each client was served last."""
        self._turn = 0

    def __len__(self) -> int:
        return len(self._jobs)

    def __iter__(self) -> Iterator[Job]:
        """Iterate over the jobs in the order in which they will run, if no other comes."""
        waiting: dict[bytes, deque[Job]] = {}
        for job in self._jobs:
            waiting.setdefault(job.client, deque()).append(job)
        served = dict(self._served)
        turn = self._turn
        order = []
        while waiting:
            client = min(waiting, key=lambda each: served.get(each, -1))
            order.append(waiting[client].popleft())
            served[client] = turn = turn + 1
            if not waiting[client]:
                del waiting[client]
        return iter(order)

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
            ``queue_full``: the queue, or its client's share of it, has as many jobs, or bytes,
            as it may.
        """
        mine = [each for each in self._jobs if each.client == job.client]
        self._check_room(job, self._jobs, share=1.0)
        self._check_room(job, mine, share=CLIENT_SHARE)
        is_first = placement is Placement.FRONT and mine
        self._jobs.insert(self._jobs.index(mine[0]) if is_first else len(self._jobs), job)
        return list(self).index(job)

    def _check_room(self, job: Job, waiting: list[Job], *, share: float) -> None:
        size_bytes = sum(window_bytes(each.request) for each in waiting)
        whose = "of this client wait already" if share < 1.0 else "wait already"
        if len(waiting) >= math.ceil(share * self._limits.max_queued_jobs):
            raise _queue_full(f"{len(waiting)} jobs {whose}")
        most_bytes = share * self._limits.max_queued_bytes
        if waiting and size_bytes + window_bytes(job.request) > most_bytes:
            raise _queue_full(f"{size_bytes / 2**20:.0f} MiB of audio {whose}")

    def remove(self, job: Job) -> None:
        """Take a waiting job out."""
        self._jobs.remove(job)

    def take_next(self, is_possible: Callable[[Job], bool]) -> Job | None:
        """Take the next job out that is possible, or return None."""
        job = next((job for job in self if is_possible(job)), None)
        if job is not None:
            self._jobs.remove(job)
            self._turn += 1
            self._served[job.client] = self._turn
        return job

    def forget(self, client: bytes) -> None:
        """Forget when a client was served, as it is gone."""
        self._served.pop(client, None)


def _queue_full(reason: str) -> ProtocolError:
    return ProtocolError(
        ErrorCode.QUEUE_FULL,
        f"The engine's queue is full: {reason}.",
        hint="Try again when a job has ended, or cancel one.",
    )
