"""One real engine, and peers that mean it harm: it answers a good client, stays small, logs truly.

They speak ZMTP by hand: libzmq itself would neither send an unfinished message nor take a name
that another has.
"""

import contextlib
import json
import re
import socket
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from reapaint.link import launcher
from reapaint.link.client import EngineAddress, EngineClient
from reapaint_engine.protocol.messages import Status

FORGED = "2026-01-01 00:00:00,000 I reapaint_engine.server: forged"
ENTRY = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} [DIWEC] [\w.]+: ")
MAX_GROWTH_BYTES = 256 << 20
"""What an attack may cost: a known client's own messages, and what a stranger sends in 20 ms."""
MAX_LOG_BYTES = 64 << 10
GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32)

only_on_linux = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="only Linux tells what a connection has sent"
)


def _frame(body: bytes, *, more: bool = False) -> bytes:
    return bytes([2 + more]) + len(body).to_bytes(8) + body


def _ready(identity: bytes = b"") -> bytes:
    properties = ((b"Socket-Type", b"DEALER"), (b"Identity", identity))
    body = b"\x05READY" + b"".join(
        bytes([len(name)]) + name + len(value).to_bytes(4) + value for name, value in properties
    )
    return bytes([4, len(body)]) + body


def _header(kind: str, body: object, protocol: str = "1.0") -> bytes:
    return json.dumps({"protocol": protocol, "type": kind, "body": body}).encode()


def _submit(**fields: object) -> bytes:
    request = {
        "job_id": uuid.uuid4().hex, "sample_rate": 8000, "channels": 1, "audio_frames": 800,
        "window_frames": 800, "spans": [{"start": 200, "end": 400}], "backend": "echo",
    }  # fmt: skip
    return _header("Submit", {"request": {**request, **fields}})


class Peer:
    """A connection on which anything may be sent."""

    def __init__(self, engine: EngineAddress, identity: bytes | None = b"") -> None:
        host, _, port = engine.endpoint.removeprefix("tcp://").rpartition(":")
        self.socket = socket.create_connection((host, int(port)), timeout=10)
        self._heard = b""
        if identity is not None:
            self.socket.sendall(GREETING + _ready(identity))
            # A message before the engine's own handshake would break ZeroMQ's rules.
            self.hear(b"READY")

    def send(self, *parts: bytes) -> None:
        """Send one message; who is cut off meanwhile has what it asked for."""
        with contextlib.suppress(OSError):
            for part in parts[:-1]:
                self.socket.sendall(_frame(part, more=True))
            self.socket.sendall(_frame(parts[-1]))

    def hear(self, *words: bytes) -> bytes:
        """Return what has come once one of the words is in it."""
        while not any(word in self._heard for word in words):
            data = self.socket.recv(65536)
            assert data, f"closed before {words}"
            self._heard += data
        heard, self._heard = self._heard, b""
        return heard

    def say_hello(self, token: str) -> None:
        self.send(_header("Hello", {"token": token, "client": "a peer"}))
        self.hear(b'"Welcome"')

    def wait_until_closed(self) -> None:
        with contextlib.suppress(ConnectionError):
            while self.socket.recv(65536):
                pass


@pytest.fixture
def peers(engine: EngineAddress) -> Iterator[Callable[..., Peer]]:
    with contextlib.ExitStack() as stack:

        def connect(identity: bytes | None = b"") -> Peer:
            peer = Peer(engine, identity)
            stack.callback(peer.socket.close)
            return peer

        yield connect


@pytest.fixture(autouse=True)
def _holds(engine: EngineAddress) -> Iterator[None]:
    """Hold the engine after each attack to answers, size and a true log."""
    log_path = launcher.engine_log_path()
    status = _status(engine)
    size_bytes, log_bytes = _resident_bytes(status.pid), log_path.stat().st_size
    yield
    after = _status(engine)
    assert after.pid == status.pid
    assert _resident_bytes(status.pid) - size_bytes < MAX_GROWTH_BYTES
    log = log_path.read_text(encoding="utf-8")
    assert log_path.stat().st_size - log_bytes < MAX_LOG_BYTES
    assert all(ENTRY.match(line) or line.startswith("  | ") for line in log.splitlines())
    assert "Traceback" not in log
    assert not any(line.startswith("2026-01-01") for line in log.splitlines())


def _status(engine: EngineAddress) -> Status:
    with EngineClient(engine) as client:
        return client.status()


def _resident_bytes(pid: int) -> int:
    if not sys.platform.startswith("linux"):
        return 0
    text = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    (kilobytes,) = re.findall(r"VmRSS:\s+(\d+) kB", text)
    return int(kilobytes) * 1024


HOSTILE = {
    "channels beyond any": [_submit(channels=10**20, audio_frames=0), b""],
    "channels beyond memory": [_submit(channels=2**40, audio_frames=0), b""],
    "no channels": [_submit(channels=0, audio_frames=2**62), b""],
    "less than nothing": [_submit(channels=-1, audio_frames=-1), bytes(4)],
    "a digit too many": [_submit(seed=10**400), bytes(3200)],
    "steps of 4,000 digits": [
        _submit(steps=0).replace(b'"steps": 0', b'"steps": ' + b"9" * 4000), bytes(3200)
    ],
    "no number": [_submit(strength=float("nan")), bytes(3200)],
    "beyond numbers": [
        _submit(strength=0).replace(b'"strength": 0', b'"strength": 1e999'), bytes(3200)
    ],
    "half a character": [_header("Hello", {"token": "\ud800", "client": "\udfff"})],
    "half a type": [_header("\ud800", {})],
    "no text": [b'{"protocol":"1.0","type":"\xff\xfe","body":{}}'],
    "deep": [b"[" * 500_000],
    "a deep body": [b'{"protocol":"1.0","type":"Submit","body":' + b'{"request":' * 90_000],
    "a long header": [b" " * (2 << 20)],
    "a long version": [_header("Ping", {}, protocol="1." + "9" * 900_000)],
    "a long id": [_submit(job_id="a" * 900_000), bytes(3200)],
    "an id that is a path": [_submit(job_id="../../x"), bytes(3200)],
    "nothing": [b""],
    "nothing, often": [b""] * 20_000,
    "an engine's message": [_header("Progress", {"job_id": "x", "stage": "y", "fraction": 0.5})],
    "many results": [
        _header("Done", {"takes": [{"seed": 0, "seams": []}] * 20_000, "request": {"spans": []}})
    ],
    "endless samples": [_submit(), b"\x00\x00\x80\x7f" * 800],
    "half a sample": [_submit(), bytes(3201)],
    "an entry of its own": [_header("Hello", {"token": "x", "client": f"x\n{FORGED}"})],
    "an entry in an id": [_submit(job_id=f"x\r{FORGED}\u2028{FORGED}"), bytes(3200)],
    "an entry in a type": [_header(f"\n{FORGED}", {})],
}  # fmt: skip


@pytest.mark.parametrize("is_known", [False, True], ids=["stranger", "known"])
@pytest.mark.parametrize("parts", HOSTILE.values(), ids=list(HOSTILE))
def test_no_message_harms_it(
    engine: EngineAddress, peers: Callable[..., Peer], parts: list[bytes], is_known: bool
) -> None:
    peer = peers()
    if is_known:
        peer.say_hello(engine.token)
    peer.send(*parts)
    # A stranger that sends much is cut off instead.
    with contextlib.suppress(ConnectionError, AssertionError):
        peer.hear(b'"Rejected"', b'"Pong"')


@only_on_linux
def test_a_stranger_that_never_ends_its_message_is_cut_off(peers: Callable[..., Peer]) -> None:
    peer = peers()
    with contextlib.suppress(OSError):
        for _ in range(500):
            peer.socket.sendall(_frame(bytes(1 << 20), more=True))
    peer.wait_until_closed()


@only_on_linux
def test_strangers_that_send_endless_empty_parts_are_cut_off(peers: Callable[..., Peer]) -> None:
    strangers = [peers() for _ in range(20)]
    for stranger in strangers:
        with contextlib.suppress(OSError):
            stranger.socket.sendall(b"\x01\x00" * 100_000)
    for stranger in strangers:
        stranger.wait_until_closed()


def test_a_stranger_that_goes_on_trying_is_cut_off(peers: Callable[..., Peer]) -> None:
    peer = peers()
    for _ in range(50):
        peer.send(_header("Hello", {"token": "wrong", "client": "x"}))
    peer.wait_until_closed()


def test_a_crowd_of_silent_strangers_keeps_nobody_out(
    engine: EngineAddress, peers: Callable[..., Peer]
) -> None:
    for number in range(300):
        peers(None)
        if number % 50 == 0:
            _status(engine)


def test_peers_of_other_protocols_harm_nobody(
    engine: EngineAddress, peers: Callable[..., Peer]
) -> None:
    hello = _header("Hello", {"token": engine.token, "client": "of old"})
    first_words = (
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\x01\x00" + bytes([len(hello) + 1, 0]) + hello,
        b"\xff" + bytes(8) + b"\x7f\x01\x05\x00\x00" + b"\x00" + bytes([len(hello)]) + hello,
        GREETING[:20],
        GREETING,
    )
    for words in first_words * 3:
        peers(None).socket.sendall(words)


def test_a_part_of_a_gibibyte_is_told_of_and_never_comes(peers: Callable[..., Peer]) -> None:
    for size_bytes in (1 << 30, 2**62, 2**63 - 1, 2**64 - 1):
        peer = peers()
        with contextlib.suppress(OSError):
            peer.socket.sendall(b"\x02" + size_bytes.to_bytes(8) + b"x")


def test_who_takes_the_name_of_a_client_that_vanished_is_a_stranger(
    engine: EngineAddress, peers: Callable[..., Peer]
) -> None:
    gone = peers(b"a name")
    gone.say_hello(engine.token)
    gone.socket.close()
    # Until libzmq has seen the end of the first it turns the second away.
    deadline_s = time.monotonic() + 10
    while time.monotonic() < deadline_s:
        other = peers(b"a name")
        other.socket.settimeout(0.2)
        other.send(_header("StatusRequest", {}))
        with contextlib.suppress(TimeoutError):
            heard = other.hear(b'"Status"', b'"Rejected"')
            break
        other.socket.close()
    assert b"not_authorised" in heard
    # It may be the client itself, that has come back.
    other.socket.settimeout(10)
    other.say_hello(engine.token)
    other.send(_header("StatusRequest", {}))
    other.hear(b'"Status"')


def test_the_name_of_a_client_that_is_there_can_not_be_taken(
    engine: EngineAddress, peers: Callable[..., Peer]
) -> None:
    good = peers(b"a name")
    good.say_hello(engine.token)
    peers(b"a name").send(_header("Stop", {}))
    good.send(_header("StatusRequest", {}))
    good.hear(b'"Status"')
