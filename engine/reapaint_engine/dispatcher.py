"""Decides what every message means, without a socket, a thread or a clock of its own.

Messages, the worker's events and the time go in; messages to clients come out. Every
accepted job ends exactly once: done, failed or cancelled.
"""

import hmac
import logging
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from reapaint_engine.jobs import Job, JobQueue
from reapaint_engine.protocol import messages
from reapaint_engine.protocol.arrays import Audio
from reapaint_engine.protocol.discovery import is_loopback
from reapaint_engine.protocol.errors import (
    ErrorCode,
    ProtocolError,
    ReaPaintError,
    not_authorised,
)
from reapaint_engine.protocol.logs import LogBudget
from reapaint_engine.protocol.messages import ClientMessage, JobState, Message
from reapaint_engine.protocol.progress import Stage
from reapaint_engine.protocol.requests import check_request

CLIENT_TIMEOUT_S = 10.0
"""A client pings at least every second: one that is silent this long is gone."""
RESULT_KEPT_S = 60.0
"""How long a result waits for a client that comes back for it."""
RESULTS_KEPT_BYTES = 128 << 20
"""Of results, and of the windows by which a job that comes again is known."""
STATUS_PROMPT_CHARACTERS = 200
"""Enough to know a job by; whole prompts of a full queue would not fit a message."""
UNRECEIVED_BYTES = 128 << 20
"""What may be on its way to one client: who reads nothing would fill the memory with results."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Outgoing:
    """A message on its way to one client."""

    client: bytes
    message: Message
    parts: tuple[Audio, ...] = ()


@dataclass(frozen=True, eq=False)
class _Kept:
    """A result that its client has not yet said to have."""

    job: Job
    outgoing: Outgoing
    until_s: float

    @property
    def size_bytes(self) -> int:
        """The bytes of its audio, without the window that it was made from."""
        return sum(part.nbytes for part in self.outgoing.parts)


@dataclass(frozen=True, slots=True)
class _Unreceived:
    """A result on its way."""

    size_bytes: int
    sent_s: float


class Dispatcher:
    """The engine's mind: sessions, the queue, and what is told to whom."""

    def __init__(
        self,
        *,
        welcome: Callable[[], messages.Welcome],
        token: str,
        endpoint: str,
        started_s: float,
    ) -> None:
        """``token`` empty admits every client: the socket has checked its key already."""
        self._welcome = welcome
        self._limits = welcome().limits
        self._token = token
        self._endpoint = endpoint
        self._is_local = is_loopback(endpoint)
        self._started_s = started_s
        self._active_s = started_s
        self._last_seen_s: dict[bytes, float] = {}
        self._queue = JobQueue(self._limits)
        self._running: Job | None = None
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._unreceived: dict[bytes, dict[str, _Unreceived]] = {}
        """The results that each client was sent and has not said to have, by their jobs."""
        self._dropped: list[bytes] = []
        self._refusals = LogBudget(_log)
        self.is_stopping = False

    # Messages

    def receive(
        self, client: bytes, message: ClientMessage, parts: Sequence[Audio], *, now_s: float
    ) -> list[Outgoing]:
        """Return the answers to one message.

        Parameters
        ----------
        client
            Who sent it.
        message, parts
            As ``codec.decode`` gives them: parts are the one window of a Submit, shape
            (channels, audio_frames), float32, and none otherwise.
        now_s
            The time, as ``time.monotonic`` tells it.
        """
        if isinstance(message, messages.Hello):
            return self.greet(client, message, now_s=now_s)
        if not self.knows(client):
            return [_rejection(client, not_authorised())]
        self._last_seen_s[client] = now_s
        match message:
            case messages.Ping():
                return [Outgoing(client, messages.Pong())]
            case messages.Submit():
                return self._submit(client, message, parts, now_s)
            case messages.Cancel(job_id=job_id):
                return self._cancel(client, job_id, now_s)
            case messages.Received(job_id=job_id):
                self._note_received(client, job_id)
                return []
            case messages.StatusRequest():
                return [Outgoing(client, self._status(now_s))]
            case messages.Goodbye():
                _log.info("client %s leaves", client.hex()[:10])
                return self._forget(client)
            case messages.Stop():
                _log.info("a client asked the engine to stop")
                self.is_stopping = True
                return []

    def knows(self, client: bytes) -> bool:
        """Tell whether a client has said Hello, with the token, and is still here."""
        return client in self._last_seen_s

    def greet(self, client: bytes, hello: messages.Hello, *, now_s: float) -> list[Outgoing]:
        """Return the answer to a Hello."""
        # As bytes: compare_digest raises on text beyond ASCII.
        if self._token and not hmac.compare_digest(hello.token.encode(), self._token.encode()):
            self._refusals.warn("refused a client with a wrong token: %s", hello.client[:80])
            return [_rejection(client, not_authorised())]
        if not self.knows(client):
            _log.info("client %s said hello: %s", client.hex()[:10], hello.client[:80])
            self._unreceived[client] = {}
        self._last_seen_s[client] = now_s
        self._active_s = now_s
        return [Outgoing(client, self._welcome())]

    def refuse(self, client: bytes, error: ReaPaintError, job_id: str) -> list[Outgoing]:
        """Return the answer to a message that could not be read."""
        self._refusals.warn("refused a message: %s [%s]", error.message, error.code)
        return [_rejection(client, error, job_id)]

    def _submit(
        self, client: bytes, submit: messages.Submit, parts: Sequence[Audio], now_s: float
    ) -> list[Outgoing]:
        request = submit.request
        self._active_s = now_s
        try:
            if self.is_stopping:
                raise _stopping()
            check_request(request, max_window_bytes=self._limits.max_window_bytes)
            again = self._submitted_before(client, request, parts[0], now_s)
            if again is not None:
                return again
            job = Job(request, parts[0], client, created_s=now_s)
            replaced = self._queue.replaced_by(job, submit.placement)
            outgoing = [sent for old in replaced for sent in self._end_queued(old)]
            position = self._queue.add(job, submit.placement)
        except ProtocolError as error:
            _log.info("%s refused: %s [%s]", request.job_id[:128], error.message, error.code)
            return [_rejection(client, error, request.job_id)]
        _log.info("%s queued at position %d", job.job_id, position)
        return [*outgoing, Outgoing(client, messages.Accepted(job.job_id, position))]

    def _submitted_before(
        self, client: bytes, request: messages.InpaintRequest, audio: Audio, now_s: float
    ) -> list[Outgoing] | None:
        """Answer a job that came twice, perhaps from a client that was restarted."""
        kept = self._kept.get(request.job_id)
        if kept is not None:
            kept.job.check_same(request, audio)
            _log.info("%s was done already: its result is sent again", request.job_id)
            outgoing = replace(kept.outgoing, client=client)
            self._note_sent(request.job_id, replace(kept, outgoing=outgoing), now_s)
            return [Outgoing(client, messages.Accepted(request.job_id, 0)), outgoing]
        job = self._find(request.job_id)
        if job is None:
            return None
        job.check_same(request, audio)
        job.client = client
        waiting = list(self._queue)
        position = waiting.index(job) if job in waiting else 0
        return [Outgoing(client, messages.Accepted(request.job_id, position))]

    def _cancel(self, client: bytes, job_id: str, now_s: float) -> list[Outgoing]:
        """Cancel is harmless when late or repeated: an ended job stays as it ended."""
        self._active_s = now_s
        job = self._find(job_id)
        if job is None:
            if job_id in self._kept:
                return []
            unknown = ProtocolError(
                ErrorCode.UNKNOWN_JOB,
                "The engine has no such job: it has ended, or never was.",
                hint="See the jobs with `reapaint status`.",
            )
            return [_rejection(client, unknown, job_id)]
        if job is self._running:
            if not job.cancelled.is_set():
                _log.info("%s is asked to end", job.job_id)
            job.cancelled.set()
            if client == job.client:
                return []
            return [Outgoing(client, messages.Cancelled(job.job_id))]
        self._queue.remove(job)
        ended = [Outgoing(client, messages.Cancelled(job.job_id))] if client != job.client else []
        return [*self._end(job, messages.Cancelled(job.job_id), JobState.CANCELLED), *ended]

    def _status(self, now_s: float) -> messages.Status:
        return messages.Status(
            version=self._welcome().version,
            pid=self._welcome().pid,
            uptime_s=now_s - self._started_s,
            endpoint=self._endpoint,
            clients=len(self._last_seen_s),
            queued_bytes=self._queue.size_bytes,
            jobs=tuple(
                messages.JobSummary(
                    job_id=job.job_id,
                    state=job.state,
                    stage=job.stage,
                    fraction=job.fraction,
                    prompt=job.request.prompt[:STATUS_PROMPT_CHARACTERS],
                    age_s=now_s - job.created_s,
                )
                for job in self._jobs()
            ),
        )

    # The worker

    def next_job(self, *, now_s: float) -> Job | None:
        """Return the job to run now, or None while one runs or none waits."""
        if self._running is not None or self.is_stopping:
            return None
        job = self._queue.take_next(lambda job: not self._is_clogged(job.client))
        if job is not None:
            job.state, job.started_s, job.stage = JobState.RUNNING, now_s, Stage.STARTING
            self._running = job
            _log.info("%s runs after %.2f s", job.job_id, now_s - job.created_s)
        return job

    def progress(self, stage: str, fraction: float) -> list[Outgoing]:
        """Return what is told of the running job's progress."""
        job = self._running
        if job is None:
            return []
        job.stage, job.fraction = stage, fraction
        return [Outgoing(job.client, messages.Progress(job.job_id, stage, fraction))]

    def done(
        self, message: messages.Done, parts: tuple[Audio, ...], *, now_s: float
    ) -> list[Outgoing]:
        """Return the running job's result, and keep it until its client has it.

        Parameters
        ----------
        message
            The report.
        parts
            Its patches, each of shape (channels, span frames), float32.
        now_s
            The time, as ``time.monotonic`` tells it.
        """
        job = self._take_running(now_s)
        outgoing = self._end(job, message, JobState.DONE, parts)
        kept = _Kept(job, outgoing[0], now_s + RESULT_KEPT_S)
        self._note_sent(job.job_id, kept, now_s)
        self._drop_kept(now_s)
        return outgoing

    def _note_sent(self, job_id: str, kept: _Kept, now_s: float) -> None:
        client = kept.outgoing.client
        self._kept[job_id] = kept
        if self.knows(client):
            self._unreceived[client][job_id] = _Unreceived(kept.size_bytes, now_s)

    def _note_received(self, client: bytes, job_id: str) -> None:
        self._unreceived[client].pop(job_id, None)
        kept = self._kept.get(job_id)
        if kept is not None and kept.outgoing.client == client:
            del self._kept[job_id]

    def failed(self, error: ReaPaintError, *, now_s: float) -> list[Outgoing]:
        """Return what is told when the running job ended without a result."""
        job = self._take_running(now_s)
        if error.code == ErrorCode.CANCELLED:
            if self.is_stopping:
                return self._end_stopped(job)
            return self._end(job, messages.Cancelled(job.job_id), JobState.CANCELLED)
        _log.warning("%s: %s [%s]", job.job_id, error.message, error.code)
        return self._end_failed(job, error)

    def _take_running(self, now_s: float) -> Job:
        job = self._running
        assert job is not None, "the worker reports on the job it was given"
        self._running = None
        self._active_s = now_s
        return job

    # Time

    def tick(self, *, now_s: float) -> list[Outgoing]:
        """Let go of clients that fell silent, of their jobs, and of old results."""
        self._drop_kept(now_s)
        silent = [
            client
            for client, seen_s in self._last_seen_s.items()
            if now_s - seen_s > CLIENT_TIMEOUT_S
        ]
        for client in silent:
            _log.warning("client %s has fallen silent", client.hex()[:10])
        deaf = [client for client in self._last_seen_s if self._is_deaf(client, now_s)]
        for client in deaf:
            _log.warning("client %s takes no results", client.hex()[:10])
        self._dropped += deaf
        self._refusals.tick()
        gone = dict.fromkeys([*silent, *deaf])
        return [sent for client in gone for sent in self._forget(client)]

    def take_dropped(self) -> list[bytes]:
        """Return the clients whose connections are to be ended, once."""
        dropped, self._dropped = self._dropped, []
        return dropped

    def _is_clogged(self, client: bytes) -> bool:
        """Tell whether so much is on its way to a client that no more is made for it."""
        results = self._unreceived.get(client, {}).values()
        return sum(each.size_bytes for each in results) > UNRECEIVED_BYTES

    def _is_deaf(self, client: bytes, now_s: float) -> bool:
        results = self._unreceived[client].values()
        return self._is_clogged(client) and all(
            now_s - each.sent_s > RESULT_KEPT_S for each in results
        )

    def idle_s(self, *, now_s: float) -> float:
        """Return for how long nothing has been asked and nothing has run."""
        return 0.0 if self._running or self._queue else now_s - self._active_s

    def is_busy(self) -> bool:
        """Tell whether a job runs."""
        return self._running is not None

    def stop(self) -> list[Outgoing]:
        """End what waits and ask the running job to end."""
        self.is_stopping = True
        if self._running is not None:
            self._running.cancelled.set()
        waiting = list(self._queue)
        for job in waiting:
            self._queue.remove(job)
        return [sent for job in waiting for sent in self._end_stopped(job)]

    def shutdown_messages(self, reason: str) -> list[Outgoing]:
        """Return the last words to every client; a job still running is given up."""
        outgoing = []
        if self._running is not None:
            job, self._running = self._running, None
            outgoing = self._end_stopped(job)
        goodbyes = [Outgoing(client, messages.Goodbye(reason)) for client in self._last_seen_s]
        return [*outgoing, *goodbyes]

    def _forget(self, client: bytes) -> list[Outgoing]:
        del self._last_seen_s[client]
        del self._unreceived[client]
        self._queue.forget(client)
        if self._running is not None and self._running.client == client:
            self._running.cancelled.set()
        return [
            sent for job in self._queue if job.client == client for sent in self._end_queued(job)
        ]

    def _drop_kept(self, now_s: float) -> None:
        size_bytes = sum(kept.size_bytes + kept.job.audio.nbytes for kept in self._kept.values())
        for job_id, kept in tuple(self._kept.items()):
            is_crowded = size_bytes > RESULTS_KEPT_BYTES and len(self._kept) > 1
            if not is_crowded and kept.until_s > now_s:
                continue
            size_bytes -= kept.size_bytes + kept.job.audio.nbytes
            del self._kept[job_id]

    # Ends

    def _end_queued(self, job: Job) -> list[Outgoing]:
        self._queue.remove(job)
        return self._end(job, messages.Cancelled(job.job_id), JobState.CANCELLED)

    def _end_stopped(self, job: Job) -> list[Outgoing]:
        return self._end_failed(job, _stopping())

    def _end_failed(self, job: Job, error: ReaPaintError) -> list[Outgoing]:
        told = error if self._is_local else error.for_stranger()
        message = messages.Failed(job.job_id, told.code, told.message, told.hint, told.path)
        return self._end(job, message, JobState.FAILED)

    def _end(
        self, job: Job, message: Message, state: JobState, parts: tuple[Audio, ...] = ()
    ) -> list[Outgoing]:
        job.state = state
        _log.info("%s %s", job.job_id, state)
        return [Outgoing(job.client, message, parts)]

    def _jobs(self) -> Iterator[Job]:
        if self._running is not None:
            yield self._running
        yield from self._queue

    def _find(self, job_id: str) -> Job | None:
        return next((job for job in self._jobs() if job.job_id == job_id), None)


def _rejection(client: bytes, error: ReaPaintError, job_id: str = "") -> Outgoing:
    return Outgoing(client, messages.Rejected(job_id, error.code, error.message, error.hint))


def _stopping() -> ProtocolError:
    return ProtocolError(
        ErrorCode.ENGINE_STOPPING,
        "The engine is stopping.",
        hint="Start it again, and send the job again.",
    )
