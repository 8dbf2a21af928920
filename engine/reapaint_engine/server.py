"""Owns the engine's socket: carries messages between clients, dispatcher and worker."""

import contextlib
import logging
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from queue import Empty, SimpleQueue
from types import FrameType

import zmq

from reapaint_engine.backends.base import Backend
from reapaint_engine.backends.registry import preferred_backend
from reapaint_engine.config import EngineConfig
from reapaint_engine.dispatcher import Dispatcher, Outgoing
from reapaint_engine.errors import StartCode, StartError
from reapaint_engine.gatekeeper import Gatekeeper
from reapaint_engine.protocol import discovery, keys
from reapaint_engine.protocol.codec import (
    MAX_HEADER_BYTES,
    decode_from_client,
    decode_hello,
    encode,
    job_id_of,
)
from reapaint_engine.protocol.errors import ProtocolError, ReaPaintError, out_of_memory
from reapaint_engine.protocol.logs import LogBudget
from reapaint_engine.protocol.messages import Welcome
from reapaint_engine.protocol.version import __version__
from reapaint_engine.welcome import welcome_of
from reapaint_engine.worker import Worker, WorkerDone, WorkerEvent, WorkerFailed, WorkerProgressed

TICK_S = 0.25
MAX_PARTS = 3
"""More than any client's message has, which are a header and at most one window of audio."""
STOP_PATIENCE_S = 5.0
"""How long a cancelled job may take to see it before it is given up."""
LINGER_MS = 2_000
"""How long last words may take to leave."""

_log = logging.getLogger(__name__)


def serve(config: EngineConfig, backends: dict[str, Backend]) -> None:
    """Run an engine until it is asked to stop, by a signal, a client or its idle time.

    Raises
    ------
    StartError
        Another engine runs, the address can't be bound, or keys are missing.
    """
    with discovery.engine_lock() as is_ours:
        if not is_ours:
            raise _already_running()
        # The lock is ours, so a file that lies here is a dead engine's.
        discovery.remove_connection_file()
        with contextlib.ExitStack() as stack:
            context = stack.enter_context(_zmq_context())
            socket, gatekeeper = stack.enter_context(_router(context, config))
            server = Server(config, backends, context, socket, gatekeeper)
            stack.callback(discovery.remove_connection_file)
            server.announce()
            server.run()


class Server:
    """One engine's loop. Everything here runs in the thread that called ``run``."""

    def __init__(
        self,
        config: EngineConfig,
        backends: dict[str, Backend],
        context: zmq.Context[zmq.Socket[bytes]],
        socket: zmq.Socket[bytes],
        gatekeeper: Gatekeeper,
    ) -> None:
        self._config = config
        self._socket = socket
        self._endpoint = socket.getsockopt_string(zmq.LAST_ENDPOINT)
        self._token = discovery.new_token() if config.is_loopback else ""
        self._events: SimpleQueue[WorkerEvent] = SimpleQueue()
        # The worker's thread wakes the poll through this pair; only it writes.
        self._wakeup_recv = context.socket(zmq.PAIR)
        self._wakeup_recv.bind("inproc://worker")
        self._wakeup_send = context.socket(zmq.PAIR)
        self._wakeup_send.connect("inproc://worker")
        self._worker = Worker(
            backends=backends,
            default_backend=lambda: preferred_backend(backends, config.backend),
            post=self._post_from_worker,
        )
        self._dispatcher = Dispatcher(
            welcome=lambda: welcome_of(config, backends),
            token=self._token,
            endpoint=self._endpoint,
            started_s=time.monotonic(),
        )
        self._gatekeeper = gatekeeper
        self._connections: dict[bytes, int] = {}
        """The file descriptor of the connection on which each client said Hello."""
        self._unreachable = LogBudget(_log)
        self._signal = ""

    def announce(self) -> None:
        """Write the connection file, by which clients find this engine."""
        discovery.write_connection_file(
            discovery.ConnectionFile(self._endpoint, self._token, os.getpid(), __version__)
        )
        _log.info("listening on %s (version %s, pid %d)", self._endpoint, __version__, os.getpid())

    def run(self) -> None:
        """Serve until the end, and end in order."""
        with _signals_to(self._note_signal):
            self._worker.start()
            try:
                reason = self._serve()
            finally:
                _log.info("stopping")
                self._send(self._dispatcher.stop())
                self._finish_running_job()
            self._send(self._dispatcher.shutdown_messages(reason))
            self._worker.stop(timeout_s=1.0)
        self._wakeup_recv.close()
        self._wakeup_send.close()
        _log.info("stopped: %s", reason)

    def _serve(self) -> str:
        poller = zmq.Poller()
        poller.register(self._socket, zmq.POLLIN)
        poller.register(self._wakeup_recv, zmq.POLLIN)
        next_tick_s = time.monotonic()
        while True:
            ready = dict(poller.poll(int(TICK_S * 1000)))
            if self._wakeup_recv in ready:
                self._hear_worker()
            if self._socket in ready:
                self._receive_all()
            now_s = time.monotonic()
            if now_s >= next_tick_s:
                next_tick_s = now_s + TICK_S
                self._send(self._dispatcher.tick(now_s=now_s))
                self._let_go()
                self._unreachable.tick()
            if reason := self._reason_to_stop(now_s):
                return reason
            if (job := self._dispatcher.next_job(now_s=now_s)) is not None:
                self._worker.give(job)

    def _reason_to_stop(self, now_s: float) -> str:
        if self._signal:
            return f"it got {self._signal}"
        if self._dispatcher.is_stopping:
            return "a client asked it to"
        idle_exit_s = self._config.idle_exit_s
        if idle_exit_s and self._dispatcher.idle_s(now_s=now_s) > idle_exit_s:
            return f"it had nothing to do for {idle_exit_s:g} s"
        return ""

    def _receive_all(self) -> None:
        """Read what has come, but look up now and then: a flood must not hide the worker."""
        for _ in range(64):
            try:
                client, frames = self._read_message()
            except zmq.Again:
                return
            fd = _connection_of(frames)
            if fd is None:
                continue
            try:
                self._receive(client, fd, frames)
            except Exception:  # noqa: BLE001 - the message boundary: no message ends the engine
                _log.exception("a message could not be handled")
                self._gatekeeper.shut(fd, "its message could not be handled")

    def _read_message(self) -> tuple[bytes, list[zmq.Frame]]:
        """Return who sent the next message, and its parts; more than any has are not kept.

        Raises
        ------
        zmq.Again
            There is none now.
        """
        frame = self._socket.recv(zmq.NOBLOCK, copy=False)
        client = frame.bytes
        frames: list[zmq.Frame] = []
        while frame.more:
            frame = self._socket.recv(copy=False)
            if len(frames) < MAX_PARTS:
                frames.append(frame)
        return client, frames

    def _receive(self, client: bytes, fd: int, frames: Sequence[zmq.Frame]) -> None:
        # Another connection may take a client's name: who is on it must say Hello again.
        is_strangers = self._gatekeeper.note_read(fd) or self._connections.get(client) != fd
        is_known = not is_strangers and self._dispatcher.knows(client)
        if not is_known and not self._gatekeeper.may_try(fd, client):
            return
        buffers = [frame.buffer for frame in frames]
        try:
            answers = self._answers(client, buffers, is_known=is_known)
        except (ProtocolError, MemoryError) as error:
            told = out_of_memory() if isinstance(error, MemoryError) else error
            job_id = job_id_of(buffers) if is_known else ""
            answers = self._dispatcher.refuse(client, told, job_id)
        if not is_known and any(isinstance(sent.message, Welcome) for sent in answers):
            self._note_welcomed(client, fd)
        self._send(answers)

    def _answers(
        self, client: bytes, buffers: Sequence[memoryview], *, is_known: bool
    ) -> list[Outgoing]:
        now_s = time.monotonic()
        if not is_known:
            return self._dispatcher.greet(client, decode_hello(buffers), now_s=now_s)
        message, parts = decode_from_client(buffers)
        return self._dispatcher.receive(client, message, parts, now_s=now_s)

    def _note_welcomed(self, client: bytes, fd: int) -> None:
        # The system gives the number of a connection that has ended to a new one.
        for other in [each for each, known_fd in self._connections.items() if known_fd == fd]:
            del self._connections[other]
        self._connections[client] = fd
        self._gatekeeper.admit(fd)

    def _let_go(self) -> None:
        """End the connections of clients that take nothing, and forget those who left."""
        for client in self._dispatcher.take_dropped():
            self._shut(client, "it takes no results")
        for client in [each for each in self._connections if not self._dispatcher.knows(each)]:
            del self._connections[client]

    def _shut(self, client: bytes, why: str) -> None:
        if (fd := self._connections.get(client)) is not None:
            self._gatekeeper.shut(fd, why)

    def _hear_worker(self) -> None:
        with contextlib.suppress(zmq.Again):
            while True:
                self._wakeup_recv.recv(zmq.NOBLOCK)
        while True:
            try:
                event = self._events.get_nowait()
            except Empty:
                return
            self._send(self._answer(event))

    def _answer(self, event: WorkerEvent) -> list[Outgoing]:
        now_s = time.monotonic()
        match event:
            case WorkerProgressed(stage=stage, fraction=fraction):
                return self._dispatcher.progress(stage, fraction)
            case WorkerDone(message=message, parts=parts):
                return self._dispatcher.done(message, parts, now_s=now_s)
            case WorkerFailed(error=error):
                return self._dispatcher.failed(error, now_s=now_s)

    def _post_from_worker(self, event: WorkerEvent) -> None:
        self._events.put(event)
        self._wakeup_send.send(b"")

    def _finish_running_job(self) -> None:
        deadline_s = time.monotonic() + STOP_PATIENCE_S
        while self._dispatcher.is_busy() and time.monotonic() < deadline_s:
            if self._wakeup_recv.poll(int(TICK_S * 1000)):
                self._hear_worker()

    def _send(self, outgoing: Sequence[Outgoing]) -> None:
        for sent in outgoing:
            try:
                frames = [sent.client, *encode(sent.message, sent.parts)]
                self._socket.send_multipart(frames, zmq.NOBLOCK, copy=not sent.parts)
            except zmq.ZMQError as error:
                # Gone, or reading nothing: it is let go after a while; a result is kept.
                self._unreachable.warn("a client can't be reached: %s", error)
            except Exception:  # noqa: BLE001 - the message boundary: no message ends the engine
                _log.exception("a message could not be sent")
                self._shut(sent.client, "what it asked for could not be sent")

    def _note_signal(self, number: int) -> None:
        self._signal = signal.Signals(number).name


def _connection_of(frames: Sequence[zmq.Frame]) -> int | None:
    """Return the file descriptor that a message came through.

    None for peers of ZeroMQ before 4.0, which can't be told apart and so are not heard.
    """
    try:
        fd: int = frames[0].get(zmq.SRCFD)
    except zmq.ZMQError:
        return None
    return fd


@contextlib.contextmanager
def _zmq_context() -> Iterator[zmq.Context[zmq.Socket[bytes]]]:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    try:
        yield context
    finally:
        context.destroy(linger=LINGER_MS)


@contextlib.contextmanager
def _router(
    context: zmq.Context[zmq.Socket[bytes]], config: EngineConfig
) -> Iterator[tuple[zmq.Socket[bytes], Gatekeeper]]:
    socket = context.socket(zmq.ROUTER)
    socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
    socket.setsockopt(zmq.LINGER, LINGER_MS)
    socket.setsockopt(zmq.IPV6, "[" in config.endpoint)
    # No part may be larger than the largest window: libzmq drops whoever sends one.
    largest_bytes = max(config.limits.max_window_bytes, MAX_HEADER_BYTES)
    socket.setsockopt(zmq.MAXMSGSIZE, largest_bytes)
    with contextlib.ExitStack() as stack:
        stack.callback(socket.close)
        if not config.is_loopback:
            stack.enter_context(_authenticator(context, socket))
        # A window that the queue has no room for is read too, and refused.
        max_unread_bytes = config.limits.max_queued_bytes + largest_bytes
        gatekeeper = Gatekeeper(socket, max_unread_bytes=max_unread_bytes)
        gatekeeper.start()
        stack.callback(gatekeeper.stop)
        try:
            socket.bind(config.endpoint)
        except zmq.ZMQError as error:
            reason = zmq.strerror(error.errno or 0).lower()
            raise StartError(
                StartCode.ENDPOINT_NOT_USABLE,
                f"The engine can't listen on {config.endpoint}: {reason}.",
                hint="Choose another port, or leave --endpoint out to take any that is free.",
            ) from error
        yield socket, gatekeeper


@contextlib.contextmanager
def _authenticator(
    context: zmq.Context[zmq.Socket[bytes]], socket: zmq.Socket[bytes]
) -> Iterator[None]:
    """Admit only clients whose keys are trusted, and prove who the engine is."""
    try:
        pair = keys.load_key_pair()
    except ReaPaintError as error:
        raise StartError.of(error) from error
    if not keys.trusted_clients():
        raise StartError(
            StartCode.NO_TRUSTED_CLIENTS,
            "Beyond loopback an engine only serves clients whose keys it trusts, and it"
            " trusts none.",
            hint="Run `reapaint keys new` on the client, copy its .key file here and run"
            " `reapaint keys trust FILE`.",
        )
    # It brings asyncio along, a tenth of an engine's start: few listen beyond loopback.
    from zmq.auth.thread import ThreadAuthenticator

    authenticator = ThreadAuthenticator(context)
    authenticator.start()
    try:
        authenticator.configure_curve(domain="*", location=keys.clients_folder())
        # Whoever started the engine may use it as well.
        authenticator.certs["*"][pair.public] = True
        socket.curve_server = True
        socket.curve_publickey, socket.curve_secretkey = pair.public, pair.secret
        yield
    finally:
        authenticator.stop()


@contextlib.contextmanager
def _signals_to(note: Callable[[int], None]) -> Iterator[None]:
    """Turn Ctrl-C and SIGTERM into a note that the loop reads."""

    def handle(number: int, _frame: FrameType | None) -> None:
        note(number)

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _already_running() -> StartError:
    connection = discovery.read_connection_file()
    where = f" at {connection.endpoint} (pid {connection.pid})" if connection else ""
    return StartError(
        StartCode.ALREADY_RUNNING,
        f"An engine of this user is running already{where}.",
        hint="Use it, end it with `reapaint stop`, or give each its own REAPAINT_RUNTIME_DIR.",
    )
