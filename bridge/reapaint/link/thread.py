"""A thread that owns the socket to an engine, so that nobody else ever waits for one."""

import logging
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass

from reapaint.errors import BridgeCode, EngineUnavailable
from reapaint.link.client import EngineAddress, EngineClient
from reapaint.link.launcher import find_address, find_or_start
from reapaint_engine.protocol import messages
from reapaint_engine.protocol.arrays import Audio
from reapaint_engine.protocol.errors import ErrorCode, ProtocolError, ReaPaintError, reason_of
from reapaint_engine.protocol.messages import EngineMessage, InpaintRequest, Welcome

IDLE_WAIT_S = 0.25
"""How long a command is waited for while no job is in flight; a heartbeat is due every 0.5 s."""
BUSY_WAIT_S = 0.004
"""How long an answer is waited for before a command is looked for: what a new job may lose."""
STOP_PATIENCE_S = 3.0

_ENDS = (messages.Done, messages.Failed, messages.Cancelled, messages.Rejected)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Connected:
    """An engine is there."""

    welcome: Welcome


@dataclass(frozen=True, slots=True)
class Disconnected:
    """No engine is there, or not any more; what was in flight is lost.

    ``was_told`` is true of an engine that said goodbye.
    """

    error: EngineUnavailable
    was_told: bool = False


@dataclass(frozen=True, slots=True)
class EngineAnswer:
    """What the engine said of a job, with its audio."""

    message: EngineMessage
    parts: tuple[Audio, ...]


LinkEvent = Connected | Disconnected | EngineAnswer
_Command = Callable[[], None]


class EngineLink:
    """Keeps a session with an engine, found or started when it is first needed.

    Parameters
    ----------
    endpoint
        A named engine, or None for this user's own.
    on_event
        Called from the link's thread.
    find
        Finds the engine at an endpoint, or starts this user's own.
    """

    def __init__(
        self,
        endpoint: str | None,
        on_event: Callable[[LinkEvent], None],
        *,
        find: Callable[[str | None], EngineAddress] = find_or_start,
    ) -> None:
        self._endpoint = endpoint
        self._on_event = on_event
        self._find = find
        self._commands: queue.SimpleQueue[_Command] = queue.SimpleQueue()
        self._client: EngineClient | None = None
        self._in_flight: set[str] = set()
        self._is_closing = False
        # A daemon: an engine that takes its time to start must not keep the bridge alive.
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> None:
        """Say goodbye; the engine cancels what is still in flight."""
        self._commands.put(self._close)
        self._thread.join(STOP_PATIENCE_S)

    # Commands, from any thread

    def connect(self) -> None:
        """Find an engine, or start one; answered by Connected or Disconnected."""
        self._commands.put(self._connect)

    def look_for_engine(self) -> None:
        """Find an engine that runs already; answered by Connected, if at all."""
        self._commands.put(self._look_for_engine)

    def submit(self, request: InpaintRequest, audio: Audio, on_sent: Callable[[], None]) -> None:
        """Send a job; Disconnected tells if it can't be.

        Parameters
        ----------
        request
            What is wanted.
        audio
            The window, shape (channels, audio_frames), float32, at the request's rate.
        on_sent
            Called in the link's thread.
        """
        self._commands.put(lambda: self._submit(request, audio, on_sent))

    def cancel(self, job_id: str) -> None:
        """Ask for a job's end."""
        self._commands.put(lambda: self._cancel(job_id))

    def stop_engine(self) -> None:
        """Ask the engine to end, whoever started it."""
        self._commands.put(self._stop_engine)

    # The thread

    def _run(self) -> None:
        while not self._is_closing:
            try:
                self._step()
            except EngineUnavailable as error:
                self._let_go(error)
            except ReaPaintError as error:
                self._let_go(EngineUnavailable.of(error))
            except Exception as error:  # noqa: BLE001 - the message boundary
                # A thread that died silently would leave every job waiting for ever.
                _log.exception("the session with the engine broke")
                self._let_go(_broken(error))
        if self._client is not None:
            self._client.close()

    def _step(self) -> None:
        wait_s = None if self._client is None else 0.0 if self._in_flight else IDLE_WAIT_S
        command = self._next_command(wait_s)
        while command is not None:
            command()
            command = self._next_command(0.0)
        timeout_s = BUSY_WAIT_S if self._in_flight else 0.0
        while self._client is not None and not self._is_closing:
            answer = self._client.receive(timeout_s=timeout_s)
            if answer is None:
                return
            self._pass_on(*answer)
            timeout_s = 0.0

    def _next_command(self, wait_s: float | None) -> _Command | None:
        try:
            return self._commands.get(block=wait_s != 0.0, timeout=wait_s)
        except queue.Empty:
            return None

    def _pass_on(self, message: EngineMessage, parts: tuple[Audio, ...]) -> None:
        if isinstance(message, messages.Goodbye):
            self._let_go(
                EngineUnavailable(
                    BridgeCode.ENGINE_DIED,
                    f"The engine stopped: {message.reason}.",
                    hint="Run the action again: it starts a new one.",
                ),
                was_told=True,
            )
            return
        if isinstance(message, _ENDS):
            self._in_flight.discard(message.job_id)
        self._on_event(EngineAnswer(message, parts))

    def _let_go(self, error: EngineUnavailable, *, was_told: bool = False) -> None:
        if self._client is not None:
            self._client.close()
        self._client = None
        self._in_flight.clear()
        self._on_event(Disconnected(error, was_told))

    # Commands, in the thread

    def _connect(self) -> None:
        if self._client is None:
            self._client = EngineClient(self._find(self._endpoint))
        self._on_event(Connected(self._client.welcome))

    def _look_for_engine(self) -> None:
        if self._client is None:
            try:
                self._client = EngineClient(find_address(self._endpoint))
            except EngineUnavailable:
                return
            self._on_event(Connected(self._client.welcome))

    def _submit(self, request: InpaintRequest, audio: Audio, on_sent: Callable[[], None]) -> None:
        if self._client is None:
            return
        try:
            self._client.submit(request, audio)
        except ProtocolError as error:
            rejected = messages.Rejected(request.job_id, error.code, error.message, error.hint)
            self._on_event(EngineAnswer(rejected, ()))
            return
        self._in_flight.add(request.job_id)
        on_sent()

    def _cancel(self, job_id: str) -> None:
        if self._client is not None and job_id in self._in_flight:
            self._client.cancel(job_id)

    def _stop_engine(self) -> None:
        if self._client is None:
            self._client = EngineClient(find_address(self._endpoint))
        self._client.stop_engine()
        self._let_go(
            EngineUnavailable(
                BridgeCode.ENGINE_NOT_RUNNING,
                "The engine was stopped.",
                hint="Run the action again: it starts a new one.",
            ),
            was_told=True,
        )

    def _close(self) -> None:
        self._is_closing = True


def _broken(error: Exception) -> EngineUnavailable:
    return EngineUnavailable(
        BridgeCode.ENGINE_NOT_STARTED if isinstance(error, OSError) else ErrorCode.INTERNAL_ERROR,
        f"The engine can't be reached: {type(error).__name__}: {reason_of(error)}.",
        hint="Run `reapaint doctor`.",
    )
