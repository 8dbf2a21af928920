"""Fetching, from servers that misbehave."""

import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from reapaint.http.errors import Refused
from reapaint.http.fetching import Network, fetch, post

LISTED = frozenset(("127.0.0.1",))
PUBLIC = "93.184.216.34"


class Peer:
    """Answers every connection with the same bytes, and counts what was asked."""

    def __init__(
        self, answer: Callable[["Peer"], bytes], tls: ssl.SSLContext | None = None
    ) -> None:
        self.asked: list[bytes] = []
        self.closing = threading.Event()
        self._answer = answer
        self._tls = tls
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/a.wav"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while not self.closing.is_set():
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        try:
            with connection:
                if self._tls:
                    connection = self._tls.wrap_socket(connection, server_side=True)
                self.asked.append(connection.recv(65536))
                self.send_to(connection)
                connection.close()
        except OSError:
            pass

    def send_to(self, connection: socket.socket) -> None:
        connection.sendall(self._answer(self))

    def close(self) -> None:
        self.closing.set()
        self._socket.close()


class Dripping(Peer):
    """Sends a byte now and then, for ever."""

    def send_to(self, connection: socket.socket) -> None:
        connection.sendall(self._answer(self))
        while not self.closing.wait(0.02):
            connection.sendall(b"x")


@pytest.fixture
def peer() -> Iterator[Callable[..., Peer]]:
    peers: list[Peer] = []

    def make(
        answer: bytes | Callable[[Peer], bytes], kind: type[Peer] = Peer, **more: object
    ) -> Peer:
        said = answer if callable(answer) else lambda _: answer
        peers.append(kind(said, **more))
        return peers[-1]

    yield make
    for each in peers:
        each.close()


def _fetch(url: str, network: Network, max_bytes: int = 1000, timeout_s: float = 10) -> bytes:
    blocks: list[bytes] = []
    fetch(url, blocks.append, network=network, max_bytes=max_bytes, timeout_s=timeout_s)
    return b"".join(blocks)


def _redirect(to: str) -> bytes:
    return f"HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n".encode()


def test_a_file_comes_whole(peer: Callable[..., Peer]) -> None:
    server = peer(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nsound")
    assert _fetch(server.url, Network(LISTED)) == b"sound"
    assert b"Accept-Encoding: identity" in server.asked[0]


def test_the_address_that_was_looked_at_is_the_one_that_is_used(peer: Callable[..., Peer]) -> None:
    server = peer(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nsound")
    answers = iter((["127.0.0.1"], ["127.0.0.2"]))
    network = Network(frozenset(("rebinding.example",)), lambda *_: next(answers))
    assert _fetch(f"http://rebinding.example:{server.port}/a", network) == b"sound"
    assert f"Host: rebinding.example:{server.port}".encode() in server.asked[0]


def test_a_name_that_leads_inside_is_not_asked(peer: Callable[..., Peer]) -> None:
    server = peer(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nsound")
    network = Network(resolver=lambda *_: ["127.0.0.1"])
    with pytest.raises(Refused, match="inside"):
        _fetch(f"http://rebinding.example:{server.port}/a", network)
    assert not server.asked


@pytest.mark.parametrize(
    "to",
    [
        "http://169.254.169.254/latest/meta-data/",
        "http://127.0.0.2:{port}/",
        "http://localhost:{port}/",
        "http://10.0.0.1/",
        "file:///etc/passwd",
        "ftp://example.com/",
        "//[::1]/",
        "http://inside.example/",
    ],
)
def test_every_redirect_is_looked_at_again(peer: Callable[..., Peer], to: str) -> None:
    server = peer(lambda self: _redirect(to.format(port=self.port)))
    network = Network(
        LISTED, lambda host, _: ["127.0.0.1"] if host == "127.0.0.1" else ["10.0.0.1"]
    )
    with pytest.raises(Refused) as refused:
        _fetch(server.url, network)
    assert refused.value.code in ("host_not_allowed", "invalid_url")
    assert len(server.asked) == 1


def test_redirects_end(peer: Callable[..., Peer]) -> None:
    server = peer(lambda self: _redirect(self.url))
    with pytest.raises(Refused, match="leads on"):
        _fetch(server.url, Network(LISTED))
    assert len(server.asked) == 6


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2000000000\r\n\r\nx", "larger"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + bytes(5000), "larger"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1388\r\n" + bytes(5000), "larger"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nshort", "fetched"),
        (b"HTTP/1.1 404 Not Found\r\n\r\n", "404"),
        (b"HTTP/1.1 302 Found\r\n\r\n", "leads on"),
        (b"SSH-2.0-OpenSSH\r\n", "fetched"),
        (b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 500 + b"\r\n", "fetched"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n" + bytes(5000), "larger"),
        (b"", "fetched"),
    ],
)
def test_answers_that_are_none(peer: Callable[..., Peer], answer: bytes, said: str) -> None:
    with pytest.raises(Refused, match=said):
        _fetch(peer(answer).url, Network(LISTED))


@pytest.mark.parametrize("begun", [b"", b"HTTP/1.1 200 OK\r\nA: ", b"HTTP/1.1 200 OK\r\n\r\n"])
def test_a_server_that_drips_is_cut_off(peer: Callable[..., Peer], begun: bytes) -> None:
    server = peer(begun, Dripping)
    began_s = time.monotonic()
    with pytest.raises(Refused) as refused:
        _fetch(server.url, Network(LISTED), max_bytes=1 << 30, timeout_s=0.3)
    assert refused.value.code == "too_slow"
    assert time.monotonic() - began_s < 5


def test_what_takes_the_blocks_ends_the_work(peer: Callable[..., Peer]) -> None:
    server = peer(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nsound")

    def full(_: bytes) -> None:
        raise Refused(507, "store_full", "Full.")

    with pytest.raises(Refused, match="Full"):
        fetch(server.url, full, network=Network(LISTED), max_bytes=100, timeout_s=5)


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(Refused, match="fetched"):
        _fetch(f"http://127.0.0.1:{port}/", Network(LISTED))


def test_a_webhook_follows_no_redirect(peer: Callable[..., Peer]) -> None:
    server = peer(_redirect("http://169.254.169.254/"))
    assert post(server.url, b"{}", {}, network=Network(LISTED)) == 302
    assert len(server.asked) == 1


def test_the_certificate_is_checked_against_the_name(
    peer: Callable[..., Peer], tmp_path: Path
) -> None:
    cert, key = make_certificate(tmp_path, "audio.example")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(cert, key)
    server = peer(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nsound", tls=tls)
    trusting = ssl.create_default_context(cafile=str(cert))
    listed = frozenset(("audio.example", "other.example"))

    def network(context: ssl.SSLContext | None) -> Network:
        return Network(listed, lambda *_: ["127.0.0.1"], context)

    url = f"https://audio.example:{server.port}/a.wav"
    assert _fetch(url, network(trusting)) == b"sound"
    for bad_url, context in ((url, None), (url.replace("audio", "other"), trusting)):
        with pytest.raises(Refused, match="certificate"):
            _fetch(bad_url, network(context))


def make_certificate(folder: Path, name: str) -> tuple[Path, Path]:
    cert, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
            "-keyout", str(key), "-out", str(cert), "-subj", f"/CN={name}",
            "-addext", f"subjectAltName=DNS:{name},IP:127.0.0.1",
        ],
        check=True, capture_output=True,
    )  # fmt: skip
    return cert, key
