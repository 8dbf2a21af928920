"""The engine as many jobs at once use it: one session, and a mailbox for each of them."""

import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence

from reapaint.errors import BridgeCode, EngineUnavailable, InputError, JobFailed
from reapaint.http.models import without_paid
from reapaint.link.client import EngineAddress
from reapaint.link.engine import failure_of
from reapaint.link.launcher import engine_log_path, find_or_start
from reapaint.link.thread import Connected, Disconnected, EngineAnswer, EngineLink, LinkEvent
from reapaint_engine.protocol import discovery, messages
from reapaint_engine.protocol.arrays import Audio
from reapaint_engine.protocol.errors import ErrorCode, ReaPaintError
from reapaint_engine.protocol.messages import Done, InpaintRequest, Welcome
from reapaint_engine.protocol.progress import OnProgress, Stage

START_TIMEOUT_S = 40.0
FULL_PAUSE_S = 0.5
"""How long to wait before an engine whose queue is full is asked again."""
WAKE_S = 0.25
"""How often a waiting job looks whether it was cancelled."""

_Mailbox = queue.SimpleQueue[EngineAnswer | Disconnected]

_log = logging.getLogger(__name__)


class SharedEngine:
    """The user's engine: found, or started with the given flags, and again after it died.

    Backends that cost money are not among its own unless they are to be offered.

    ``run`` may be called from any thread, by as many as there are.
    """

    def __init__(self, flags: Sequence[str], *, offers_paid: bool = False) -> None:
        self._flags = tuple(flags)
        self._offers_paid = offers_paid
        self._link = EngineLink(None, self._hear, find=self._find)
        self._mailboxes: dict[str, _Mailbox] = {}
        self._lock = threading.Lock()
        self._first: queue.SimpleQueue[Connected | Disconnected] = queue.SimpleQueue()
        self._welcome: Welcome | None = None
        self._trouble = ""
        self._is_ours = False
        self._is_closed = False

    @property
    def welcome(self) -> Welcome:
        """What the engine can do; the last one's while there is none."""
        assert self._welcome is not None, "it was started"
        return self._welcome

    @property
    def trouble(self) -> str:
        """Why there is no engine now; empty while there is one."""
        return self._trouble

    def start(self) -> None:
        """Find the engine or start it.

        Raises
        ------
        InputError
            ``invalid_option``: one runs already, so that its flags can't be chosen.
        EngineUnavailable
            It can't be started.
        """
        running = discovery.find_engine()
        if running is not None and self._flags:
            raise InputError(
                ErrorCode.INVALID_OPTION,
                f"An engine runs already, with flags of its own: process {running.pid}.",
                hint="End it with `reapaint stop`, or leave all flags but those of --http out"
                " to use it.",
            )
        self._is_ours = running is None
        self._link.start()
        self._link.connect()
        event = self._first.get(timeout=START_TIMEOUT_S)
        if isinstance(event, Disconnected):
            self._link.close()
            raise event.error
        _log.info("the engine's log is %s", engine_log_path())

    def close(self) -> None:
        """Let go of the engine, and end it where it was started here; harmless when repeated."""
        if self._is_closed:
            return
        self._is_closed = True
        if self._is_ours and not self._trouble:
            self._link.stop_engine()
        self._link.close()

    def run(
        self,
        request: InpaintRequest,
        audio: Audio,
        on_progress: OnProgress,
        *,
        put: Callable[[Callable[[], None]], None] = lambda send: send(),
    ) -> tuple[Done, tuple[Audio, ...]]:
        """Have one window repainted, and wait for it.

        Parameters
        ----------
        request
            What is wanted.
        audio
            The window, shape (channels, audio_frames), float32, at the request's rate.
        on_progress
            Called in this thread, also when there is nothing new; what it raises cancels
            the job.
        put
            Calls what it is given when the job's turn to enter the queue has come.

        Returns
        -------
        tuple
            The report, and a patch for each span of each take, takes outermost, each of
            shape (channels, span frames), float32.

        Raises
        ------
        EngineUnavailable
            The engine died, was stopped or can't be reached.
        JobFailed
            It refused the job, or could not do it.
        """
        mailbox: _Mailbox = queue.SimpleQueue()
        with self._lock:
            self._mailboxes[request.job_id] = mailbox

        def send() -> None:
            # A dead engine is started again by whoever needs one next.
            self._link.connect()
            self._link.submit(request, audio, lambda: None)

        try:
            put(send)
            return self._wait(mailbox, send, on_progress)
        except BaseException:
            self._link.cancel(request.job_id)
            raise
        finally:
            with self._lock:
                del self._mailboxes[request.job_id]

    def _wait(
        self, mailbox: _Mailbox, send: Callable[[], None], on_progress: OnProgress
    ) -> tuple[Done, tuple[Audio, ...]]:
        stage: str = Stage.QUEUED
        fraction = 0.0
        while True:
            on_progress(stage, fraction)
            try:
                event = mailbox.get(timeout=WAKE_S)
            except queue.Empty:
                continue
            if isinstance(event, Disconnected):
                raise _lost(event.error)
            match event.message:
                case messages.Progress():
                    stage, fraction = event.message.stage, event.message.fraction
                case messages.Done():
                    return event.message, event.parts
                case messages.Cancelled():
                    on_progress(stage, fraction)
                    raise JobFailed(
                        ErrorCode.CANCELLED,
                        "The job was cancelled in the engine.",
                        hint="Send it again.",
                    )
                case messages.Rejected(code=ErrorCode.QUEUE_FULL):
                    time.sleep(FULL_PAUSE_S)
                    send()
                case messages.Failed(code=ErrorCode.ENGINE_STOPPING):
                    raise _lost(failure_of(event.message), BridgeCode.ENGINE_DIED)
                case messages.Failed() | messages.Rejected():
                    raise failure_of(event.message)

    def _hear(self, event: LinkEvent) -> None:
        """Take note of what the link says; in its thread."""
        if isinstance(event, EngineAnswer):
            job_id = getattr(event.message, "job_id", "")
            with self._lock:
                mailbox = self._mailboxes.get(job_id)
            if mailbox is not None:
                mailbox.put(event)
            return
        if isinstance(event, Connected):
            is_first = self._welcome is None
            self._welcome, self._trouble = event.welcome, ""
            if not self._offers_paid:
                self._welcome = without_paid(event.welcome)
        else:
            is_first = self._welcome is None
            self._trouble = str(event.error)
            if not self._is_closed:
                _log.warning("the engine is gone: %s", event.error)
            with self._lock:
                mailboxes = list(self._mailboxes.values())
            for mailbox in mailboxes:
                mailbox.put(event)
        if is_first:
            self._first.put(event)

    def _find(self, endpoint: str | None) -> EngineAddress:
        if discovery.find_engine() is None:
            self._is_ours = True
        # By itself it would end when nothing was asked of it for a while.
        return find_or_start(endpoint, options=("--idle-exit=0", *self._flags))


def _lost(error: ReaPaintError, code: BridgeCode | None = None) -> EngineUnavailable:
    hint = "Send the job again: the engine is started anew for it."
    if error.code == BridgeCode.ENGINE_NOT_STARTED:
        # Why is the end of its log, which may tell anything of this machine.
        return EngineUnavailable(
            BridgeCode.ENGINE_NOT_STARTED, "The engine can't be started.", hint=hint
        )
    return EngineUnavailable.of(error, code=code, hint=hint)
