"""Owns the socket to an engine: one session, several jobs in flight, a heartbeat."""

import contextlib
import os
import socket as system_socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self, TypeVar

import zmq

from reapaint.errors import BridgeCode, EngineUnavailable, JobFailed
from reapaint.link.engine import Engine, failure_of
from reapaint_engine.protocol import messages
from reapaint_engine.protocol.arrays import Audio
from reapaint_engine.protocol.codec import Buffer, decode_from_engine, encode
from reapaint_engine.protocol.errors import ErrorCode, ProtocolError, ReaPaintError
from reapaint_engine.protocol.keys import KeyPair
from reapaint_engine.protocol.messages import EngineMessage, InpaintRequest, Placement, Welcome
from reapaint_engine.protocol.progress import OnProgress, Stage
from reapaint_engine.protocol.version import __version__

PING_INTERVAL_S = 0.5
RECONNECT_AFTER_S = 3.0
"""Silence after which another connection is tried: this one may be dead without a sign."""
PATIENCE_S = 10.0
"""Silence after which an engine that seems to live is given up; one that died is noticed by its
lock, which is looked at with every ping."""
HELLO_TIMEOUT_S = 5.0
HELLO_INTERVAL_S = 1.0
CANCEL_PATIENCE_S = 2.0

_ENDS = (messages.Done, messages.Failed, messages.Cancelled, messages.Rejected)

_Message = TypeVar("_Message", bound=EngineMessage)


@dataclass(frozen=True)
class EngineAddress:
    """Where an engine is and how it knows us; ``cause_of_death`` explains one that is gone."""

    endpoint: str
    token: str = ""
    keys: KeyPair | None = None
    engine_key: bytes = b""
    is_gone: Callable[[], bool] = lambda: False
    cause_of_death: Callable[[], str] = lambda: ""


class EngineClient(Engine):
    """A session with an engine. It belongs to the thread that made it.

    Parameters
    ----------
    address
        Where the engine is.
    clock
        Seconds that only count up.

    Raises
    ------
    EngineUnavailable
        Nothing answers at the address, or what answers refuses us.
    """

    def __init__(
        self, address: EngineAddress, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._address = address
        self._clock = clock
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._heard_s = self._pinged_s = self._connected_s = self._clock()
        self._is_greeted = False
        self._unanswered_since_s: float | None = None
        """When we began to introduce ourselves again; None while the engine knows us."""
        self._in_flight: dict[str, tuple[InpaintRequest, Audio]] = {}
        """The jobs that have no end yet: they are sent again to an engine that has let us go."""
        self._question: messages.ClientMessage | None = None
        self._cancelled: set[str] = set()
        """Those of them whose end was asked for."""
        try:
            self._socket = self._connect()
            self._welcome = self._greet()
            self._is_greeted = True
        except BaseException:
            self.close()
            raise

    @property
    def welcome(self) -> Welcome:
        """What the engine said that it can do."""
        return self._welcome

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Say goodbye, and let what was said leave."""
        if self._is_greeted:
            with contextlib.suppress(ReaPaintError):
                self._send(messages.Goodbye("done"))
        self._context.destroy(linger=500)

    # One job, from beginning to end

    def run(
        self, request: InpaintRequest, audio: Audio, on_progress: OnProgress
    ) -> tuple[messages.Done, tuple[Audio, ...]]:
        """Submit a job and wait for its result, as ``Engine.run``; an interrupt cancels it there.

        Raises
        ------
        EngineUnavailable
            The engine died or was lost.
        JobFailed
            It refused the job, or could not do it.
        """
        self.submit(request, audio)
        try:
            return self._wait(request.job_id, on_progress)
        except KeyboardInterrupt:
            self._cancel_quietly(request.job_id)
            raise

    def _wait(
        self, job_id: str, on_progress: OnProgress
    ) -> tuple[messages.Done, tuple[Audio, ...]]:
        while True:
            answer = self.receive(timeout_s=PING_INTERVAL_S)
            if answer is None:
                continue
            message, parts = answer
            if getattr(message, "job_id", job_id) != job_id:
                continue
            match message:
                case messages.Accepted(position=position):
                    on_progress(Stage.QUEUED if position else Stage.STARTING, 0.0)
                case messages.Progress(stage=stage, fraction=fraction):
                    on_progress(stage, fraction)
                case messages.Done():
                    return message, parts
                case messages.Cancelled():
                    raise JobFailed(
                        ErrorCode.CANCELLED,
                        "The job was cancelled, by another client or because this one was"
                        " silent for too long.",
                        hint="Run the command again.",
                    )
                case messages.Failed() | messages.Rejected():
                    raise _job_failure(message)
                case messages.Goodbye(reason=reason):
                    raise EngineUnavailable(
                        BridgeCode.ENGINE_DIED,
                        f"The engine stopped: {reason}.",
                        hint="Run the command again: it starts a new one.",
                    )

    def _cancel_quietly(self, job_id: str) -> None:
        """Ask for a job's end and wait a little for it: the engine may be gone as well."""
        with contextlib.suppress(ReaPaintError):
            self.cancel(job_id)
            deadline_s = self._clock() + CANCEL_PATIENCE_S
            while self._clock() < deadline_s:
                answer = self.receive(timeout_s=0.1)
                if answer is not None and isinstance(answer[0], _ENDS):
                    return

    # Several jobs in flight

    def submit(
        self, request: InpaintRequest, audio: Audio, placement: Placement = Placement.BACK
    ) -> None:
        """Send a job; its answers come through ``receive``.

        Parameters
        ----------
        request
            What is wanted.
        audio
            The window, shape (channels, audio_frames), float32, at the request's rate.
        placement
            Where it goes in the engine's queue.
        """
        frames = encode(messages.Submit(request, placement), [audio])
        self._in_flight[request.job_id] = request, audio
        # Whoever is not known yet may send little: what is in flight follows the Welcome.
        if self._unanswered_since_s is None:
            self._send_frames(frames, copy=False)

    def cancel(self, job_id: str) -> None:
        """Ask for a job's end; harmless when late or repeated."""
        if job_id in self._in_flight:
            self._cancelled.add(job_id)
        self._send(messages.Cancel(job_id))

    def receive(self, *, timeout_s: float) -> tuple[EngineMessage, tuple[Audio, ...]] | None:
        """Return the engine's next message, or None after the time-out.

        Heartbeats are sent and swallowed here, and results acknowledged: call it
        at least every second while a job is in flight.

        Returns
        -------
        tuple or None
            The message and its audio: a result's patches, each of shape
            (channels, span frames), float32, read-only; none with other messages.

        Raises
        ------
        EngineUnavailable
            The engine has died, or does not answer any more.
        """
        deadline_s = self._clock() + timeout_s
        while True:
            now_s = self._clock()
            self._keep_alive(now_s)
            wait_s = max(min(deadline_s - now_s, self._pinged_s + PING_INTERVAL_S - now_s), 0.0)
            if not self._socket.poll(int(wait_s * 1000) + 1):
                if self._clock() >= deadline_s:
                    return None
                continue
            message, parts = self._read()
            if isinstance(message, messages.Pong) or self._handle_session(message):
                continue
            if isinstance(message, _ENDS):
                self._in_flight.pop(message.job_id, None)
                self._cancelled.discard(message.job_id)
            if isinstance(message, messages.Done):
                self._send(messages.Received(message.job_id))
            return message, parts

    # Questions

    def status(self) -> messages.Status:
        """Return what the engine is doing."""
        return self._ask(messages.StatusRequest(), messages.Status)

    def cancel_and_confirm(self, job_id: str) -> None:
        """Cancel a job, perhaps another client's, and wait until the engine says so.

        Raises
        ------
        JobFailed
            ``unknown_job``: there is none with this id.
        """
        self._ask(messages.Cancel(job_id), messages.Cancelled)

    def stop_engine(self) -> None:
        """Ask the engine to end and wait for its goodbye."""
        self._ask(messages.Stop(), messages.Goodbye)

    def _ask(self, question: messages.ClientMessage, kind: type[_Message]) -> _Message:
        """Ask something, again where the engine has let us go, and wait for its answer."""
        self._question = question
        self._send(question)
        try:
            deadline_s = self._clock() + PATIENCE_S
            while self._clock() < deadline_s:
                answer = self.receive(timeout_s=PING_INTERVAL_S)
                if answer is None:
                    continue
                if isinstance(answer[0], kind):
                    return answer[0]
                if isinstance(answer[0], messages.Rejected):
                    raise _job_failure(answer[0])
        finally:
            self._question = None
        raise self._lost("does not answer")

    # The socket

    def _connect(self) -> zmq.Socket[bytes]:
        address = self._address
        socket = self._context.socket(zmq.DEALER)
        socket.setsockopt(zmq.LINGER, 500)
        socket.setsockopt(zmq.IPV6, "[" in address.endpoint)
        if address.keys is not None:
            socket.curve_publickey = address.keys.public
            socket.curve_secretkey = address.keys.secret
            socket.curve_serverkey = address.engine_key
        try:
            socket.connect(address.endpoint)
        except zmq.ZMQError as error:
            raise EngineUnavailable(
                BridgeCode.ENGINE_UNREACHABLE,
                f"{address.endpoint} is no address of an engine: {error.strerror.lower()}.",
                hint="Give one such as tcp://192.168.1.20:5555.",
            ) from error
        return socket

    def _reconnect(self, now_s: float) -> None:
        """Try another connection, on which the engine does not know us yet."""
        self._socket.close(linger=0)
        self._socket = self._connect()
        self._connected_s = now_s
        self._introduce_again(now_s)

    def _greet(self) -> Welcome:
        self._say_hello()
        deadline_s = self._clock() + HELLO_TIMEOUT_S
        while self._clock() < deadline_s:
            if self._address.is_gone():
                raise self._lost("is gone")
            if not self._socket.poll(100):
                # The connection may have broken since, and taken our words with it.
                if self._clock() - self._said_hello_s > HELLO_INTERVAL_S:
                    # There may be no connection to say it on, as with keys that don't fit.
                    with contextlib.suppress(EngineUnavailable):
                        self._say_hello()
                continue
            message, _ = self._read()
            if isinstance(message, Welcome):
                return message
            if isinstance(message, messages.Rejected):
                raise _refusal(message)
        raise self._lost("does not answer")

    def _say_hello(self) -> None:
        self._said_hello_s = self._clock()
        client = f"reapaint {__version__} on {system_socket.gethostname()}, pid {os.getpid()}"
        self._send(messages.Hello(self._address.token, client))

    def _handle_session(self, message: EngineMessage) -> bool:
        """Do what a message about the session itself asks for; tells whether it was one.

        An engine may have let us go, as after a long pause: we introduce ourselves again.
        """
        if isinstance(message, Welcome):
            self._welcome = message
            if self._unanswered_since_s is not None:
                self._unanswered_since_s = None
                self._submit_again()
            return True
        if not isinstance(message, messages.Rejected) or message.job_id:
            return False
        if message.code != ErrorCode.NOT_AUTHORISED:
            return False
        now_s = self._clock()
        since_s = self._unanswered_since_s
        # What was said before our Hello is refused as well: only in time does it mean us.
        if since_s is not None and now_s - since_s > HELLO_TIMEOUT_S:
            raise _refusal(message)
        self._introduce_again(now_s)
        return True

    def _introduce_again(self, now_s: float) -> None:
        if self._unanswered_since_s is None:
            self._unanswered_since_s = now_s
        elif now_s - self._said_hello_s < HELLO_INTERVAL_S:
            return
        self._say_hello()

    def _submit_again(self) -> None:
        """Send all that has no answer; the engine knows by its id what it has already."""
        for request, audio in self._in_flight.values():
            self._send(messages.Submit(request), audio)
        for job_id in self._cancelled:
            self._send(messages.Cancel(job_id))
        if self._question is not None:
            self._send(self._question)

    def _keep_alive(self, now_s: float) -> None:
        if now_s - self._pinged_s < PING_INTERVAL_S:
            return
        # A process that slept, stopped or was busy has not listened: silence counts from now.
        if now_s - self._pinged_s > RECONNECT_AFTER_S:
            self._heard_s = now_s
        self._pinged_s = now_s
        if self._address.is_gone():
            raise self._lost("died")
        if now_s - self._heard_s > PATIENCE_S:
            raise self._lost("does not answer any more")
        if now_s - max(self._heard_s, self._connected_s) > RECONNECT_AFTER_S:
            self._reconnect(now_s)
        elif self._unanswered_since_s is not None:
            self._introduce_again(now_s)
        else:
            self._send(messages.Ping())

    def _send(self, message: messages.ClientMessage, *parts: Audio) -> None:
        self._send_frames(encode(message, parts), copy=not parts)

    def _send_frames(self, frames: Sequence[Buffer], *, copy: bool) -> None:
        try:
            self._socket.send_multipart(frames, zmq.NOBLOCK, copy=copy)
        except zmq.Again as error:
            raise self._lost("takes no more messages") from error

    def _read(self) -> tuple[EngineMessage, tuple[Audio, ...]]:
        frames = self._socket.recv_multipart(copy=False)
        self._heard_s = self._clock()
        try:
            return decode_from_engine([frame.buffer for frame in frames])
        except ProtocolError as error:
            raise EngineUnavailable(
                BridgeCode.ENGINE_REFUSED,
                f"The engine can't be understood. {error.message}",
                hint="End it with `reapaint stop` and use the same version on both sides.",
            ) from error

    def _lost(self, what: str) -> EngineUnavailable:
        cause = self._address.cause_of_death()
        return EngineUnavailable(
            BridgeCode.ENGINE_DIED if self._is_greeted else BridgeCode.ENGINE_UNREACHABLE,
            f"The engine at {self._address.endpoint} {what}{': ' + cause if cause else ''}.",
            hint="Run the command again: it starts a new engine where none runs."
            if self._address.keys is None
            else "Check that it runs and that its address and keys are right.",
        )


_EXIT_3: Mapping[str, BridgeCode] = {
    ErrorCode.ENGINE_STOPPING: BridgeCode.ENGINE_DIED,
    ErrorCode.INCOMPATIBLE_VERSION: BridgeCode.ENGINE_REFUSED,
    ErrorCode.NOT_AUTHORISED: BridgeCode.ENGINE_REFUSED,
}


def _refusal(message: messages.Rejected) -> EngineUnavailable:
    return EngineUnavailable.of(failure_of(message), code=BridgeCode.ENGINE_REFUSED)


def _job_failure(message: messages.Failed | messages.Rejected) -> ReaPaintError:
    code = _EXIT_3.get(message.code)
    if code is not None:
        return EngineUnavailable.of(failure_of(message), code=code)
    return failure_of(message)
