"""Watches the connections to an engine, and ends those that take more than is theirs.

libzmq keeps the parts of a message until the last one has come, however many they are and
whoever sends them. What a connection has sent and the engine has not read is therefore counted
by the system's own figure for its socket, in a thread, and what goes too far is shut.
"""

import contextlib
import logging
import os
import socket as system_socket
import struct
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import zmq
from zmq.utils.monitor import recv_monitor_message

from reapaint_engine.protocol.logs import LogBudget

STRANGER_BYTES = 64 << 10
"""What somebody may send without being known: handshakes and a few tries at Hello."""
STRANGER_PATIENCE_S = 10.0
"""How long somebody may be connected without being known."""
MAX_STRANGERS = 256
LOOK_S = 0.02
"""How often connections are looked at: loopback carries some 40 MB meanwhile."""
IDLE_LOOK_S = 0.25

_EVENTS = zmq.Event.ACCEPTED | zmq.Event.CLOSED | zmq.Event.DISCONNECTED
_BYTES_RECEIVED_OFFSET = 128
"""Of ``tcpi_bytes_received`` in Linux' ``struct tcp_info``, since 4.1."""

_log = logging.getLogger(__name__)


@dataclass(eq=False)
class _Connection:
    """One accepted connection; ``socket`` is a second handle on it, so that it stays ours."""

    socket: system_socket.socket
    since_s: float
    is_known: bool = False
    is_shut: bool = False
    at_last_read_bytes: int = 0
    """What it had sent when its last message was read."""

    def unread_bytes(self) -> int:
        """Return what it has sent since its last message; 0 where the system can't tell."""
        return _received_bytes(self.socket) - self.at_last_read_bytes


@dataclass
class Gatekeeper:
    """The connections of one ROUTER socket, by libzmq's file descriptors.

    ``start``, ``stop``, ``admit`` and ``note_read`` are for the thread that reads the socket.
    """

    socket: zmq.Socket[bytes]
    max_unread_bytes: int
    """What all known clients together may have sent that is not read."""
    clock: Callable[[], float] = time.monotonic
    _connections: dict[int, _Connection] = field(default_factory=dict, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)
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

    def __contains__(self, fd: int) -> bool:
        """Tell whether a connection is still there."""
        with self._lock:
            return fd in self._connections

    def admit(self, fd: int) -> None:
        """Note that whoever is on a connection has shown that it may be there."""
        with self._lock:
            if (connection := self._connections.get(fd)) is not None:
                connection.is_known = True

    def note_read(self, fd: int) -> None:
        """Note that a whole message of a connection was read."""
        with self._lock:
            if (connection := self._connections.get(fd)) is not None:
                connection.at_last_read_bytes = _received_bytes(connection.socket)

    def shut(self, fd: int, why: str) -> None:
        """End a connection."""
        with self._lock:
            if (connection := self._connections.get(fd)) is not None:
                self._shut(connection, why)

    def _watch(self) -> None:
        while not self._is_stopped.is_set():
            # With nobody connected there is nothing to look at until somebody comes.
            wait_s = LOOK_S if self._connections else IDLE_LOOK_S
            try:
                if self._monitor.poll(round(wait_s * 1000)):
                    self._follow_events()
            except zmq.ContextTerminated:
                return
            with self._lock:
                self._judge()

    def _follow_events(self) -> None:
        with contextlib.suppress(zmq.Again):
            while True:
                event = recv_monitor_message(self._monitor, zmq.NOBLOCK)
                fd = event["value"]
                with self._lock:
                    if (gone := self._connections.pop(fd, None)) is not None:
                        gone.socket.close()
                    if event["event"] == zmq.Event.ACCEPTED:
                        self._note_accepted(fd)

    def _note_accepted(self, fd: int) -> None:
        # It may be closed by now, and its number somebody else's: only what stands at our own
        # address is a connection of this socket.
        with contextlib.suppress(OSError):
            second = system_socket.socket(fileno=os.dup(fd))
            if second.type == system_socket.SOCK_STREAM and _is_connected(second):
                self._connections[fd] = _Connection(second, self.clock())
            else:
                second.close()

    def _judge(self) -> None:
        now_s = self.clock()
        strangers = [each for each in self._connections.values() if not each.is_known]
        for stranger in strangers[MAX_STRANGERS:]:
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


def _is_connected(socket: system_socket.socket) -> bool:
    try:
        socket.getpeername()
    except OSError:
        return False
    return True


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
