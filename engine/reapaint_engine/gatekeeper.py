"""Watches the connections to an engine, and ends those that take more than is theirs.

libzmq keeps the parts of a message until the last one has come, however many they are and
whoever sends them. What a connection has sent and the engine has not read is therefore counted
by the system's own figure for its socket, in a thread, and what goes too far is shut.
"""

import contextlib
import logging
import socket as system_socket
import struct
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import zmq
from zmq.utils.monitor import recv_monitor_message

from reapaint_engine.protocol.logs import LogBudget

STRANGER_BYTES = 64 << 10
"""What somebody may send without being known: handshakes and a few tries at Hello."""
STRANGER_PATIENCE_S = 10.0
"""How long somebody may be connected without being known."""
STRANGER_TRIES = 16
"""How many messages of somebody who is not known are looked at."""
MAX_STRANGERS = 256
FILES_PER_STRANGER = 8
"""Of the files that a process may open: a connection takes two, and the engine needs its own."""
LOOK_S = 0.02
"""How often strangers are looked at: loopback carries some 40 MB meanwhile."""
KNOWN_LOOK_S = 0.25
"""How often the connections are looked at where all are known: their limit is in gigabytes."""
EVENTS_AT_ONCE = 64

_EVENTS = zmq.Event.ACCEPTED | zmq.Event.CLOSED | zmq.Event.DISCONNECTED
_BYTES_RECEIVED_OFFSET = 128
"""Of ``tcpi_bytes_received`` in Linux' ``struct tcp_info``, since 4.1."""

_log = logging.getLogger(__name__)


@dataclass(eq=False)
class _Connection:
    """One accepted connection; ``socket`` is a second handle on it, so that it stays ours."""

    socket: system_socket.socket
    peer: object
    """The address at its other end."""
    since_s: float
    is_known: bool = False
    is_shut: bool = False
    tries: Counter[bytes] = field(default_factory=Counter)
    """How many messages came through it, by clients, from somebody who is not known."""
    at_last_read_bytes: int = 0
    """What it had sent when its last message was read."""

    def unread_bytes(self) -> int:
        """Return what it has sent since its last message; 0 where the system can't tell."""
        return _received_bytes(self.socket) - self.at_last_read_bytes


def _strangers_for_files() -> int:
    if sys.platform == "win32":
        return MAX_STRANGERS
    import resource

    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    is_limited = files != resource.RLIM_INFINITY
    return min(MAX_STRANGERS, files // FILES_PER_STRANGER) if is_limited else MAX_STRANGERS


@dataclass
class Gatekeeper:
    """The connections of one ROUTER socket, by libzmq's file descriptors.

    ``start`` and ``stop`` are for the thread that owns the socket.
    """

    socket: zmq.Socket[bytes]
    max_unread_bytes: int
    """What all known clients together may have sent that is not read."""
    max_strangers: int = field(default_factory=_strangers_for_files)
    clock: Callable[[], float] = time.monotonic
    _connections: dict[int, _Connection] = field(default_factory=dict, init=False)
    _admitted: set[tuple[int, object]] = field(default_factory=set, init=False)
    """Numbers and addresses of those admitted before their connection was told of."""
    _lock: threading.RLock = field(default_factory=threading.RLock, init=False)
    _is_stopped: threading.Event = field(default_factory=threading.Event, init=False)
    _log: LogBudget = field(default_factory=lambda: LogBudget(_log), init=False)

    def start(self) -> None:
        """Begin to watch; before the socket is bound, so that no connection is missed."""
        self._monitor = self.socket.get_monitor_socket(_EVENTS)
        self._thread = threading.Thread(target=self._watch, name="gatekeeper", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the watch; connections stay as they are."""
        self._is_stopped.set()
        self._thread.join(5.0)
        self.socket.disable_monitor()
        self._monitor.close(linger=0)
        for connection in self._connections.values():
            connection.socket.close()
        self._connections.clear()

    def note_read(self, fd: int) -> bool:
        """Note that a whole message of a connection was read; tell whether it is a stranger's.

        The last words of a connection that has ended since are nobody's.
        """
        with self._lock:
            if (connection := self._find(fd)) is None:
                peer = _peer_of(fd)
                return peer is not None and (fd, peer) not in self._admitted
            connection.at_last_read_bytes = _received_bytes(connection.socket)
            return not connection.is_known

    def may_try(self, fd: int, client: bytes) -> bool:
        """Count a message of somebody who is not known; one that sends too many is shut.

        Last words of a connection that has ended may be read under the number of a new one, which
        must not pay for them: they come from another client.
        """
        with self._lock:
            if (connection := self._find(fd)) is None:
                return True
            connection.tries[client] += 1
            may = connection.tries[client] <= STRANGER_TRIES
            if not may and len(connection.tries) == 1 and not connection.is_known:
                self._shut(connection, "it is not known and goes on trying")
            return may

    def admit(self, fd: int) -> None:
        """Note that whoever is on a connection has shown that it may be there."""
        with self._lock:
            if (connection := self._find(fd)) is not None:
                connection.is_known = True
            elif (peer := _peer_of(fd)) is not None:
                self._admitted.add((fd, peer))

    def shut(self, fd: int, why: str) -> None:
        """End a connection."""
        with self._lock:
            if (connection := self._find(fd)) is not None:
                self._shut(connection, why)

    def _find(self, fd: int) -> _Connection | None:
        """Return the connection that has a number now, or had it last.

        The system gives the number of a connection that has ended to a new one, and a message may
        be read before the end of the one and the beginning of the other are told of.
        """
        connection = self._connections.get(fd)
        if connection is None or _peer_of(fd) in (connection.peer, None):
            return connection
        return None

    def _watch(self) -> None:
        while not self._is_stopped.is_set():
            try:
                self._look()
            except zmq.ContextTerminated:
                return
            except Exception:  # noqa: BLE001 - without a watch libzmq itself would stand still
                _log.exception("connections could not be looked at")
                self._is_stopped.wait(KNOWN_LOOK_S)

    def _look(self) -> None:
        wait_s = LOOK_S if self._strangers() else KNOWN_LOOK_S
        self._monitor.poll(round(wait_s * 1000))
        self._follow_events()
        with self._lock:
            self._judge()
        self._log.tick()

    def _strangers(self) -> list[_Connection]:
        """Return the connections of those who are not known, the oldest first."""
        with self._lock:
            connections = self._connections.values()
            return [each for each in connections if not each.is_known and not each.is_shut]

    def _follow_events(self) -> None:
        with self._lock:
            admitted = set(self._admitted)
        try:
            for _ in range(EVENTS_AT_ONCE):
                event = recv_monitor_message(self._monitor, zmq.NOBLOCK)
                fd = event["value"]
                with self._lock:
                    if (gone := self._connections.pop(fd, None)) is not None:
                        gone.socket.close()
                    if event["event"] == zmq.Event.ACCEPTED:
                        port = int(event["endpoint"].rpartition(b":")[2])
                        self._note_accepted(fd, port)
        except zmq.Again:
            # Whoever was admitted before has been told of by now.
            with self._lock:
                self._admitted -= admitted

    def _note_accepted(self, fd: int, port: int) -> None:
        # It may be closed by now, and its number another file's, even another server's
        # connection: only what stands at our own port is a connection of this socket.
        with contextlib.suppress(OSError), _borrowed(fd) as accepted:
            peer = accepted.getpeername()
            if accepted.type != system_socket.SOCK_STREAM or not peer:
                return
            if accepted.getsockname()[1] != port:
                return
            try:
                # Not the socket's own dup(): it would have libzmq's thread block on reads.
                second = system_socket.socket(fileno=system_socket.dup(fd))
            except OSError:
                # There is no file left for a second handle: what can't be watched can't stay.
                self._log.warn("a connection is ended: too many files are open")
                accepted.shutdown(system_socket.SHUT_RDWR)
                return
            is_known = (fd, peer) in self._admitted
            self._admitted.discard((fd, peer))
            self._connections[fd] = _Connection(second, peer, self.clock(), is_known)

    def _judge(self) -> None:
        now_s = self.clock()
        strangers = self._strangers()
        # Who has a token shows it at once: those who have been here for long make room.
        for stranger in strangers[: -self.max_strangers]:
            self._shut(stranger, "too many wait to be known")
        for stranger in strangers:
            if _received_bytes(stranger.socket) > STRANGER_BYTES:
                self._shut(stranger, "it sends much and is not known")
            elif now_s - stranger.since_s > STRANGER_PATIENCE_S:
                self._shut(stranger, "it does not say who it is")
        unread = {each: each.unread_bytes() for each in self._connections.values() if each.is_known}
        if sum(unread.values()) > self.max_unread_bytes:
            self._shut(max(unread, key=lambda each: unread[each]), "too much is unread")

    def _shut(self, connection: _Connection, why: str) -> None:
        if connection.is_shut:
            return
        connection.is_shut = True
        self._log.warn("a connection is ended: %s", why)
        with contextlib.suppress(OSError):
            connection.socket.shutdown(system_socket.SHUT_RDWR)


@contextlib.contextmanager
def _borrowed(fd: int) -> Iterator[system_socket.socket]:
    """Give a socket's methods to a file descriptor that is libzmq's to close."""
    socket = system_socket.socket(fileno=fd)
    try:
        yield socket
    finally:
        socket.detach()


def _peer_of(fd: int) -> object:
    """Return the address at a connection's other end, or None where it has ended."""
    try:
        with _borrowed(fd) as socket:
            return socket.getpeername()
    except OSError:
        return None


def _received_bytes(socket: system_socket.socket) -> int:
    if not sys.platform.startswith("linux"):
        return 0
    try:
        info = socket.getsockopt(system_socket.IPPROTO_TCP, system_socket.TCP_INFO, 256)
    except OSError:
        return 0
    if len(info) < _BYTES_RECEIVED_OFFSET + 8:
        return 0
    received: int = struct.unpack_from("=Q", info, _BYTES_RECEIVED_OFFSET)[0]
    return received
