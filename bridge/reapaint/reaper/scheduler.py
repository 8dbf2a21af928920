"""The jobs in hand: decides for each what comes next, from its commit to its result.

All methods belong to one thread. What others do for it - the engine's link, and a few
threads that read and write audio - they tell by ``post``, and it comes back to ``handle``.
"""

import logging
import secrets
import time
from collections.abc import Callable

import msgspec

from reapaint.errors import BridgeError
from reapaint.link.engine import failure_of
from reapaint.link.thread import Connected, Disconnected, EngineAnswer, EngineLink, LinkEvent
from reapaint.reaper.answers import (
    cancelled,
    failure,
    taken_up_too_often,
    without_engine,
)
from reapaint.reaper.audio_work import (
    AudioWork,
    Planned,
    WindowRead,
    WorkEvent,
    WorkFailed,
    Written,
)
from reapaint.reaper.engine_view import OWN_PATIENCE_S, EngineView
from reapaint.reaper.messages import Failure, Result
from reapaint.reaper.planning import WindowResult
from reapaint.reaper.running_jobs import JobPhase, RunningJob, RunningWindow, WindowState
from reapaint.reaper.spool import Spool
from reapaint_engine.protocol import messages
from reapaint_engine.protocol.arrays import Audio
from reapaint_engine.protocol.errors import ErrorCode, ReaPaintError
from reapaint_engine.protocol.params import MAX_SEED
from reapaint_engine.protocol.progress import Stage, known_stage

MAX_WINDOWS = 8
"""Windows that are read, sent or with the engine at one time: it does one, and audio is large."""
MAX_ENGINE_DEATHS = 1
"""A job that was running when an engine died is sent once more."""
MAX_ATTEMPTS = 4
"""A job that this many bridges took up without an end may be what ends them."""
QUEUE_FULL_PAUSE_S = 0.5

_log = logging.getLogger(__name__)


SchedulerEvent = WorkEvent | LinkEvent


class JobScheduler:
    """Jobs between the spool and an engine.

    Parameters
    ----------
    link
        The way to the engine; what happens there it tells ``post``.
    post
        Called from any thread with what ``handle`` is to be given.
    patience_s
        For how long an engine that can't be reached is looked for again.
    clock
        Seconds that only count up.
    """

    def __init__(
        self,
        spool: Spool,
        link: EngineLink,
        post: Callable[[SchedulerEvent], None],
        *,
        patience_s: float = OWN_PATIENCE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.engine = EngineView(patience_s)
        self._spool = spool
        self._jobs: dict[str, RunningJob] = {}
        self._link = link
        self._clock = clock
        self._work = AudioWork(self._commit, post)
        self._full_until_s = 0.0
        self._engine_pid = 0
        self._blamed: list[RunningJob] = []

    @property
    def is_idle(self) -> bool:
        """Whether there is no job."""
        return not self._jobs

    def start(self) -> None:
        """Begin; an engine that runs already tells what the scripts can offer."""
        self._link.start()
        self._link.look_for_engine()

    def close(self) -> None:
        """Finish what is being written, and leave the rest to the next bridge."""
        self._link.close()
        self._work.close()

    def give_up(self) -> None:
        """Put in place what could not be put there before, for the last time."""
        self.commit_late()
        for job in self._jobs.values():
            _log.info("%s waits for the next bridge", job.job_id)
            if job.phase is not JobPhase.WAITING:
                # A bridge that ends in order has not died of it.
                self._count_attempts(job, -1)

    def handle(self, event: SchedulerEvent) -> None:
        """Take note of what happened."""
        match event:
            case Planned(job, planned):
                if job.phase is JobPhase.PLANNING:
                    job.plan(planned)
            case WindowRead():
                self._on_read(event)
            case WorkFailed(job, error):
                self._fail(job, error)
            case Written():
                self._on_written(event)
            case Connected(welcome):
                _log.info("engine %s is there, pid %d", welcome.version, welcome.pid)
                self.engine.on_connected(welcome)
                self._forgive(welcome.pid)
            case Disconnected():
                self._on_disconnected(event)
            case EngineAnswer(message, parts):
                self._on_answer(message, parts)

    # From the scripts

    def take_up(self, job_id: str) -> None:
        """Begin with a job that was committed."""
        seen_s = self._clock()
        record = self._spool.record(job_id)
        try:
            request = self._spool.read_request(job_id)
            if record.attempts >= MAX_ATTEMPTS:
                raise taken_up_too_often(record.attempts)
        except ReaPaintError as error:
            _log.warning("%s refused: %s [%s]", job_id, error, error.code)
            self._commit(failure(job_id, error, self._spool.instance(job_id)))
            return
        seed = next(
            each
            for each in (request.settings.seed, record.seed, secrets.randbelow(MAX_SEED + 1))
            if each is not None
        )
        record = msgspec.structs.replace(record, seed=seed)
        self._spool.remember(job_id, record)
        job = RunningJob(request, record, seen_s)
        _log.info(
            "%s taken up: %d spans, %d takes", job_id, len(request.spans), request.settings.takes
        )
        self._jobs[job_id] = job
        if self._spool.is_cancelled(job_id):
            self._cancel(job)
            return
        self.advance(seen_s)
        is_next = len(self._jobs) == 1 and not self.engine.is_ready
        self._tell(job, Stage.STARTING if is_next else Stage.QUEUED, is_due=True)

    def has(self, job_id: str) -> bool:
        """Tell whether a job is in hand."""
        return job_id in self._jobs

    def cancel_if_asked(self, job_id: str) -> None:
        """End a job that the scripts want ended."""
        job = self._jobs[job_id]
        if self._spool.is_cancelled(job_id):
            self._cancel(job)

    def drop_removed(self) -> None:
        """Forget the jobs whose folders somebody removed."""
        for job in tuple(self._jobs.values()):
            if self._spool.is_gone(job.job_id):
                _log.info("%s: its folder was removed", job.job_id)
                self._cancel_in_engine(job)
                self._forget(job)

    def _forgive(self, pid: int) -> None:
        """Blame no job where the engine only fell silent, as on a machine with too much to do."""
        if pid == self._engine_pid:
            for job in self._blamed:
                record = msgspec.structs.replace(
                    job.record, engine_deaths=job.record.engine_deaths - 1
                )
                job.record = record
                if self.has(job.job_id):
                    self._spool.remember(job.job_id, record)
        self._blamed.clear()
        self._engine_pid = pid

    def start_engine(self) -> None:
        """Have an engine ready."""
        self.engine.on_connecting(self._clock())
        self._link.connect()

    def stop_engine(self) -> None:
        """End the engine; the jobs it has fail, for a person wanted it so."""
        self.engine.on_unwanted()
        self._link.stop_engine()

    # Towards the engine

    def advance(self, now_s: float) -> None:
        """Move on whatever can be moved on, in the order in which jobs came."""
        if self.engine.is_retry_due(now_s):
            self.start_engine()
        if now_s < self._full_until_s or not self._jobs:
            return
        if not self.engine.is_ready:
            is_needed = any(job.wants_engine for job in self._jobs.values())
            if is_needed and self.engine.may_be_asked:
                self.start_engine()
            return
        room = MAX_WINDOWS - sum(job.busy_windows for job in self._jobs.values())
        for job in self._jobs.values():
            if room > 0 and job.phase is JobPhase.WAITING:
                job.move(JobPhase.PLANNING)
                # From here on a bridge may die of it; of a job that only waits none does.
                self._count_attempts(job, 1)
                room -= 1
                self._plan(job)
            for window in job.windows:
                if room > 0 and window.state is WindowState.UNSENT:
                    window.state = WindowState.READING
                    room -= 1
                    self._work.read(job, window)

    def _count_attempts(self, job: RunningJob, change: int) -> None:
        job.record = msgspec.structs.replace(job.record, attempts=job.record.attempts + change)
        self._spool.remember(job.job_id, job.record)

    def _plan(self, job: RunningJob) -> None:
        assert self.engine.welcome is not None
        self._work.plan(job, self._spool.folder(job.job_id), self.engine.welcome)

    def _on_read(self, read: WindowRead) -> None:
        job, window = read.job, read.window
        if job.phase is not JobPhase.FILLING or window.state is not WindowState.READING:
            return
        if not self.engine.is_ready:
            window.unsend()
            return
        window.state = WindowState.SENT

        def note_sent() -> None:
            job.sent_s = job.sent_s or self._clock()

        self._link.submit(window.request, read.audio, note_sent)

    # From the engine

    def _on_answer(self, message: messages.EngineMessage, parts: tuple[Audio, ...]) -> None:
        found = self._find(getattr(message, "job_id", ""))
        if found is None:
            return
        job, window = found
        match message:
            case messages.Accepted(position=position):
                self._tell(job, Stage.QUEUED if position else Stage.STARTING, is_due=True)
            case messages.Progress(stage=stage, fraction=fraction):
                window.begin(fraction)
                self._tell(job, known_stage(stage))
            case messages.Done():
                window.finish(WindowResult(message, parts))
                if job.is_done:
                    self._start_writing(job)
            case messages.Cancelled():
                self._on_cancelled(job, window)
            case messages.Failed() | messages.Rejected():
                self._on_refused(job, window, message)

    def _find(self, wire_id: str) -> tuple[RunningJob, RunningWindow] | None:
        """Return the window that an answer of the engine's is about, if it is waited for."""
        for job in self._jobs.values():
            window = job.find(wire_id)
            if window is not None and window.is_with_engine:
                return job, window
        return None

    def _on_cancelled(self, job: RunningJob, window: RunningWindow) -> None:
        """End a job that somebody else cancelled.

        But an engine may cancel what it takes for the job of a bridge that has died.
        """
        if job.record.attempts > 1 and window.key.is_first_attempt:
            window.send_anew()
            return
        self._cancel(job)

    def _on_refused(
        self,
        job: RunningJob,
        window: RunningWindow,
        message: messages.Failed | messages.Rejected,
    ) -> None:
        match message.code:
            case ErrorCode.ENGINE_STOPPING:
                # Its goodbye follows, and then all that it had is lost at once.
                self.engine.on_leaving()
            case ErrorCode.QUEUE_FULL:
                self._full_until_s = self._clock() + QUEUE_FULL_PAUSE_S
                window.unsend()
            case ErrorCode.JOB_ID_REUSED:
                window.send_anew()
            case _:
                self._fail(job, failure_of(message))

    def _on_disconnected(self, event: Disconnected) -> None:
        _log.warning("no engine: %s", event.error)
        was_connected, was_unwanted = self.engine.is_connected, self.engine.is_unwanted
        error = without_engine(event.error)
        self.engine.on_disconnected(event, self._clock())
        if was_connected:
            self._on_lost(error, was_unwanted=was_unwanted)
        elif not self.engine.will_retry:
            for job in tuple(self._jobs.values()):
                if job.wants_engine:
                    self._fail(job, error)

    def _on_lost(self, error: ReaPaintError, *, was_unwanted: bool) -> None:
        """Decide for every job that the engine had: it is sent again, or fails."""
        lost = [job for job in self._jobs.values() if job.is_sent]
        self._blamed.clear()
        # It does one job at a time: that one is to blame, if it had begun with any.
        suspects = [job for job in lost if job.has_begun] or lost
        for job in lost:
            job.lose()
            if was_unwanted:
                self._fail(job, error)
            elif job in suspects:
                self._note_death(job, error)
            else:
                self._tell(job, Stage.QUEUED, is_due=True)

    def _note_death(self, job: RunningJob, error: ReaPaintError) -> None:
        """Have a job that an engine left unfinished sent once more, and no more than that."""
        record = msgspec.structs.replace(job.record, engine_deaths=job.record.engine_deaths + 1)
        job.record = record
        if record.engine_deaths > MAX_ENGINE_DEATHS:
            self._fail(job, error)
            return
        _log.info("%s is sent again", job.job_id)
        self._blamed.append(job)
        self._spool.remember(job.job_id, record)
        self._tell(job, Stage.STARTING, is_due=True)

    # Ends

    def _start_writing(self, job: RunningJob) -> None:
        job.done_s = self._clock()
        job.move(JobPhase.WRITING)
        self._work.write(job, self._spool.rescued)
        self._tell(job, Stage.WRITE, is_due=True)

    def _on_written(self, event: Written) -> None:
        job = event.job
        if job.phase is JobPhase.ENDED:
            return
        if event.is_committed:
            now_s = self._clock()
            _log.info(
                "%s %s; sent %.1f ms after it was seen, answered %.1f ms after its result",
                job.job_id,
                "done" if event.answer.ok else "ended",
                1000 * (job.sent_s - job.seen_s),
                1000 * (now_s - job.done_s),
            )
            self._forget(job)
        else:
            self._keep(job, event.answer)

    def _cancel(self, job: RunningJob) -> None:
        if job.phase is JobPhase.WRITING:
            job.move(JobPhase.WRITING_IN_VAIN)
        if not job.wants_engine:
            return
        _log.info("%s cancelled", job.job_id)
        self._cancel_in_engine(job)
        self._answer(job, cancelled(job.request))

    def _cancel_in_engine(self, job: RunningJob) -> None:
        for window in job.windows:
            if window.is_with_engine:
                self._link.cancel(window.key.wire_id)

    def _fail(self, job: RunningJob, error: ReaPaintError) -> None:
        if job.is_answered:
            return
        _log.warning("%s failed: %s [%s]", job.job_id, error, error.code)
        self._cancel_in_engine(job)
        self._answer(job, failure(job.job_id, error, job.request.instance))

    def _answer(self, job: RunningJob, answer: Result | Failure) -> None:
        """Put a result in place, now or as soon as there is room for it."""
        if self._commit(answer):
            self._forget(job)
        else:
            self._keep(job, answer)

    def _keep(self, job: RunningJob, answer: Result | Failure) -> None:
        """Hold on to a result that there is no room for, without the audio."""
        _log.error("%s: its result can't be written yet", job.job_id)
        job.keep(answer)

    def _commit(self, answer: Result | Failure) -> bool:
        try:
            self._spool.commit_result(answer)
        except BridgeError as error:
            _log.debug("%s: %s", answer.job_id, error)
            return False
        return True

    def commit_late(self) -> None:
        """Put results in place that there was no room for."""
        for job in tuple(self._jobs.values()):
            if job.answer is not None and self._commit(job.answer):
                self._forget(job)

    def _forget(self, job: RunningJob) -> None:
        job.move(JobPhase.ENDED)
        del self._jobs[job.job_id]
        for other in self._jobs.values():
            if other.stage is Stage.QUEUED:
                self._tell(other, Stage.QUEUED, is_due=True)

    # Help

    def _tell(self, job: RunningJob, stage: Stage, *, is_due: bool = False) -> None:
        position = 0
        if stage == Stage.QUEUED:
            position = list(self._jobs).index(job.job_id) if job.job_id in self._jobs else 0
        now_s = self._clock()
        progress = job.progress(stage, position=position, is_due=is_due, now_s=now_s)
        if progress is not None:
            self._spool.write_progress(progress)
