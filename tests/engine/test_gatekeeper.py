"""Real connections over loopback; only the time is told."""

import contextlib
import logging
import os
import socket as system_socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import zmq

from reapaint_engine import gatekeeper as gatekeeper_module
from reapaint_engine.gatekeeper import (
    STRANGER_BYTES,
    STRANGER_PATIENCE_S,
    STRANGER_TRIES,
    Gatekeeper,
)

MAX_UNREAD_BYTES = 1 << 20
MAX_STRANGERS = 4
GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32)
"""Of a peer that speaks ZMTP 3.0 without keys: until more comes, it waits for a handshake."""
READY = b"\x04\x1c\x05READY\x0bSocket-Type\x00\x00\x00\x06DEALER"
LONG_PART = b"\x03" + (1 << 16).to_bytes(8) + bytes(1 << 16)
"""A part of 64 KiB after which others follow."""

needs_counts = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="only Linux tells what a connection has sent"
)


def _wait_until(is_true: Callable[[], object], what: str) -> None:
    deadline_s = time.monotonic() + 10
    while not is_true():
        assert time.monotonic() < deadline_s, f"waited too long for {what}"
        threading.Event().wait(0.005)


@dataclass
class Door:
    """A ROUTER socket with its gatekeeper."""

    socket: zmq.Socket[bytes]
    gatekeeper: Gatekeeper
    context: zmq.Context[zmq.Socket[bytes]]
    address: tuple[str, int]
    peers: list[system_socket.socket] = field(default_factory=list)
    now_s: float = 0.0
    accepted: int = 0

    def note_accepted(self, fd: int, port: int) -> None:
        Gatekeeper._note_accepted(self.gatekeeper, fd, port)
        self.accepted += 1

    def knock(self, first: bytes = b"") -> system_socket.socket:
        """Connect, and wait until the gatekeeper has seen it."""
        before = self.accepted
        peer = system_socket.create_connection(self.address, timeout=10)
        self.peers.append(peer)
        if first:
            peer.sendall(first)
        _wait_until(lambda: self.accepted >= before + 1, "a connection")
        return peer

    def client(self) -> zmq.Socket[bytes]:
        dealer = self.context.socket(zmq.DEALER)
        dealer.linger = 0
        dealer.connect(f"tcp://{self.address[0]}:{self.address[1]}")
        return dealer

    def read(self) -> int:
        """Read a whole message; returns the file descriptor it came through."""
        assert self.socket.poll(10_000), "no message came"
        frames = self.socket.recv_multipart(copy=False)
        fd: int = frames[1].get(zmq.SRCFD)
        return fd

    def look(self) -> None:
        """Let the gatekeeper look at its connections once, now."""
        with self.gatekeeper._lock:
            self.gatekeeper._judge()


@pytest.fixture
def door(monkeypatch: pytest.MonkeyPatch) -> Iterator[Door]:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    socket = context.socket(zmq.ROUTER)
    keeper = Gatekeeper(
        socket,
        max_unread_bytes=MAX_UNREAD_BYTES,
        max_strangers=MAX_STRANGERS,
        clock=lambda: it.now_s,
    )
    it = Door(socket, keeper, context, ("127.0.0.1", 0))
    monkeypatch.setattr(keeper, "_note_accepted", it.note_accepted)
    keeper.start()
    it.address = ("127.0.0.1", socket.bind_to_random_port("tcp://127.0.0.1"))
    yield it
    for peer in it.peers:
        peer.close()
    keeper.stop()
    socket.close(linger=0)
    context.destroy(linger=0)
    assert not keeper._thread.is_alive()


def _is_closed(peer: system_socket.socket) -> bool:
    """Tell whether the other end has closed, without waiting for it."""
    peer.setblocking(False)
    try:
        while peer.recv(65536):
            pass
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def _wait_until_closed(peer: system_socket.socket) -> None:
    _wait_until(lambda: _is_closed(peer), "the end of a connection")


def _send_while_it_is_taken(peer: system_socket.socket, data: bytes, *, count: int) -> None:
    with contextlib.suppress(OSError):
        for _ in range(count):
            peer.sendall(data)


def test_a_stranger_may_wait_its_time_and_no_longer(door: Door) -> None:
    silent, greets = door.knock(), door.knock(GREETING)
    door.now_s = STRANGER_PATIENCE_S
    door.look()
    assert not _is_closed(silent)
    assert not _is_closed(greets)
    door.now_s = STRANGER_PATIENCE_S + 0.1
    _wait_until_closed(silent)
    _wait_until_closed(greets)
    _wait_until(lambda: not door.gatekeeper._connections, "both to be forgotten")


def test_who_was_admitted_may_stay(door: Door) -> None:
    with door.client() as client:
        client.send(b"hello")
        fd = door.read()
        _wait_until(lambda: door.accepted, "the connection")
        assert door.gatekeeper.note_read(fd)
        door.gatekeeper.admit(fd)
        assert not door.gatekeeper.note_read(fd)
        door.now_s = 10 * STRANGER_PATIENCE_S
        door.look()
        client.send(b"more")
        assert door.read() == fd


@needs_counts
def test_a_stranger_that_sends_much_is_shut_while_it_sends(door: Door) -> None:
    peer = door.knock(GREETING)
    peer.sendall(bytes(STRANGER_BYTES // 2))
    door.look()
    _send_while_it_is_taken(peer, LONG_PART, count=1000)
    _wait_until_closed(peer)


def test_too_many_strangers_make_room_the_oldest_first(door: Door) -> None:
    peers = [door.knock() for _ in range(MAX_STRANGERS)]
    door.look()
    assert not any(_is_closed(peer) for peer in peers)
    newest = door.knock()
    _wait_until_closed(peers[0])
    door.look()
    assert not any(_is_closed(peer) for peer in (*peers[1:], newest))


def test_known_clients_take_no_strangers_place(door: Door) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(MAX_STRANGERS + 2):
            client = stack.enter_context(door.client())
            client.send(b"hello")
            fd = door.read()
            door.gatekeeper.note_read(fd)
            door.gatekeeper.admit(fd)
        peer = door.knock()
        door.look()
        assert not _is_closed(peer)
        assert not any(each.is_shut for each in door.gatekeeper._connections.values())


def test_a_stranger_has_some_tries(door: Door, caplog: pytest.LogCaptureFixture) -> None:
    with door.client() as client:
        for _ in range(STRANGER_TRIES + 2):
            client.send(b"rubbish")
        _wait_until(lambda: door.accepted, "the connection")
        tries = [door.gatekeeper.may_try(door.read(), b"a") for _ in range(STRANGER_TRIES + 2)]
    assert tries == [True] * STRANGER_TRIES + [False] * 2
    assert caplog.messages == ["a connection is ended: it is not known and goes on trying"]


def test_nobody_pays_for_the_last_words_of_another(door: Door) -> None:
    with door.client() as client:
        client.send(b"hello")
        fd = door.read()
        _wait_until(lambda: door.accepted, "the connection")
        assert door.gatekeeper.may_try(fd, b"new")
        tries = [door.gatekeeper.may_try(fd, b"gone") for _ in range(2 * STRANGER_TRIES)]
        assert tries == [True] * STRANGER_TRIES + [False] * STRANGER_TRIES
        door.gatekeeper.admit(fd)
        assert not door.gatekeeper.may_try(fd, b"gone")
        client.send(b"still there")
        assert door.read() == fd


def test_who_is_admitted_before_its_connection_is_told_of_is_known_then(door: Door) -> None:
    """Else who says Hello at once would be shut as a stranger ten seconds later."""
    with door.gatekeeper._lock, door.client() as client:
        client.send(b"hello")
        fd = door.read()
        assert not door.gatekeeper._connections
        assert door.gatekeeper.note_read(fd)
        assert door.gatekeeper.may_try(fd, b"a")
        door.gatekeeper.admit(fd)
        assert not door.gatekeeper.note_read(fd)
    _wait_until(lambda: door.accepted, "the connection")
    _wait_until(lambda: not door.gatekeeper._admitted, "the end of the event")
    stranger = door.knock()
    door.now_s = STRANGER_PATIENCE_S + 0.1
    _wait_until_closed(stranger)


def test_who_was_admitted_on_a_connection_that_has_ended_admits_nobody_else(door: Door) -> None:
    first = door.knock()
    (fd,) = door.gatekeeper._connections
    first.close()
    _wait_until(lambda: not door.gatekeeper._connections, "the end of the first")
    assert not door.gatekeeper.note_read(fd)
    door.gatekeeper.admit(fd)
    _wait_until(lambda: not door.gatekeeper._admitted, "the next look")
    door.knock()
    assert not any(each.is_known for each in door.gatekeeper._connections.values())


@needs_counts
def test_known_clients_share_what_may_be_unread(
    door: Door, caplog: pytest.LogCaptureFixture
) -> None:
    with door.client() as client:
        client.send(b"hello")
        fd = door.read()
        door.gatekeeper.note_read(fd)
        door.gatekeeper.admit(fd)
        # What was read does not count, however much it is.
        for _ in range(4):
            client.send(bytes(MAX_UNREAD_BYTES // 2))
            assert not door.gatekeeper.note_read(door.read())
            door.look()
        assert not caplog.messages
        # libzmq itself sends no message before its last part is there.
        greedy = door.knock(GREETING)
        (greedy_fd,) = door.gatekeeper._connections.keys() - {fd}
        door.gatekeeper.admit(greedy_fd)
        greedy.sendall(READY)
        # libzmq ends some connections that go on before it has answered.
        said = b""
        while b"READY" not in said:
            said += greedy.recv(4096)
        _send_while_it_is_taken(greedy, LONG_PART, count=100)
        _wait_until_closed(greedy)
        assert caplog.messages == ["a connection is ended: too much is unread"]
        client.send(b"still there")
        assert door.read() == fd


def test_only_connections_at_its_own_port_are_its_own(door: Door) -> None:
    """A number may be another file's by the time it is told of."""
    with (
        system_socket.create_server(("127.0.0.1", 0)) as other,
        system_socket.create_connection(other.getsockname()) as theirs,
        Path(os.devnull).open() as file,
    ):
        for fd in (theirs.fileno(), other.fileno(), file.fileno(), 1_000_000):
            with door.gatekeeper._lock:
                door.gatekeeper._note_accepted(fd, door.address[1])
        assert not door.gatekeeper._connections
        door.now_s = 10 * STRANGER_PATIENCE_S
        door.look()
        theirs.sendall(b"still there")


def test_what_can_not_be_watched_does_not_stay(
    door: Door, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def no_file_left(_fd: int) -> int:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(gatekeeper_module.system_socket, "dup", no_file_left)
    peer = system_socket.create_connection(door.address)
    door.peers.append(peer)
    _wait_until_closed(peer)
    assert caplog.messages == ["a connection is ended: too many files are open"]


def test_a_fault_does_not_end_the_watch(
    door: Door, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    failed = threading.Event()
    judge = door.gatekeeper._judge

    def fail_once() -> None:
        if not failed.is_set():
            failed.set()
            raise MemoryError
        judge()

    monkeypatch.setattr(door.gatekeeper, "_judge", fail_once)
    peer = door.knock()
    assert failed.wait(10)
    door.now_s = 10 * STRANGER_PATIENCE_S
    _wait_until_closed(peer)
    assert caplog.messages[0] == "connections could not be looked at"


def test_shut_ends_a_connection_once_and_says_why(
    door: Door, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    peer = door.knock(GREETING)
    (fd,) = door.gatekeeper._connections
    door.gatekeeper.shut(fd, "a test")
    door.gatekeeper.shut(fd, "a test")
    door.gatekeeper.shut(1_000_000, "nobody")
    _wait_until_closed(peer)
    assert caplog.messages == ["a connection is ended: a test"]


def test_a_flood_of_connections_is_told_of_a_few_times(
    door: Door, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(50):
        door.knock()
    _wait_until(lambda: len(door.gatekeeper._connections) <= MAX_STRANGERS, "room")
    assert len(caplog.messages) <= 10


@needs_counts
def test_where_all_are_known_it_looks_seldom(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    with door.client() as client:
        client.send(b"hello")
        fd = door.read()
        _wait_until(lambda: door.accepted, "the connection")
        assert door.gatekeeper.note_read(fd)
        door.gatekeeper.admit(fd)
        assert not door.gatekeeper.note_read(fd)
        waits: list[int] = []
        looked = threading.Event()

        class Monitor:
            def poll(self, wait_ms: int) -> int:
                waits.append(wait_ms)
                looked.set()
                return 0

            def recv_multipart(self, *_flags: int) -> list[bytes]:
                raise zmq.Again

            def close(self, linger: int = 0) -> None:
                pass

        real = door.gatekeeper._monitor
        monkeypatch.setattr(door.gatekeeper, "_monitor", Monitor())
        door.gatekeeper._look()
        monkeypatch.setattr(door.gatekeeper, "_monitor", real)
        assert set(waits) == {round(gatekeeper_module.KNOWN_LOOK_S * 1000)}


def test_what_waits_in_files_of_few_leaves_the_engine_its_own() -> None:
    pytest.importorskip("resource")
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(128, hard), hard))
        assert Gatekeeper(zmq.Socket.__new__(zmq.Socket), 1).max_strangers == 16
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
