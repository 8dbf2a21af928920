"""Fetches files and sends webhooks, to addresses that were checked, within bounds.

Blocking, for threads. The standard library's client is enough, and its connection can be
told which address to use while the certificate is still checked against the name.
"""

import contextlib
import http.client
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import urljoin

from reapaint.http.addresses import ParsedUrl, Resolver, parse_url, resolve, system_resolver
from reapaint.http.errors import HttpCode, Refused, bad_request, too_large
from reapaint_engine.protocol.version import __version__

MAX_REDIRECTS = 5
BLOCK_BYTES = 1 << 16
CONNECT_TIMEOUT_S = 10.0
WEBHOOK_TIMEOUT_S = 15.0

_REDIRECTS = (301, 302, 303, 307, 308)
_USER_AGENT = f"reapaint/{__version__}"


@dataclass(frozen=True, slots=True)
class Network:
    """What the gateway may reach, and how names are resolved."""

    allowed_hosts: frozenset[str] = frozenset()
    resolver: Resolver = system_resolver
    tls: ssl.SSLContext | None = None
    """None: the system's own certificates."""


def fetch(
    url: str,
    take: Callable[[bytes], None],
    *,
    network: Network,
    max_bytes: int,
    timeout_s: float,
) -> None:
    """Fetch a file, following redirects that are allowed as the first address is.

    Parameters
    ----------
    take
        Called with one block after the other; what it raises ends the work.
    max_bytes, timeout_s
        Of the whole, redirects included.

    Raises
    ------
    Refused
        The address is not allowed, or its file is too large, too slow, or not there.
    """
    deadline_s = time.monotonic() + timeout_s
    for _ in range(MAX_REDIRECTS + 1):
        target = parse_url(url, network.allowed_hosts)
        headers = {"Accept": "audio/*, */*;q=0.5", "Accept-Encoding": "identity"}
        with _exchange(
            target, network, deadline_s=deadline_s, method="GET", headers=headers
        ) as response:
            if response.status in _REDIRECTS:
                url = urljoin(target.url, response.getheader("Location") or "")
                continue
            if response.status != 200:
                raise _failed(target, f"it answered with status {response.status}")
            _read(response, take, max_bytes)
            return
    raise bad_request(
        f"The address leads on more than {MAX_REDIRECTS} times.",
        "Give the address where the file is.",
        HttpCode.FETCH_FAILED,
    )


def post(url: str, body: bytes, headers: Mapping[str, str], *, network: Network) -> int:
    """Send a webhook and return the status it is answered with; redirects are not followed.

    Raises
    ------
    Refused
        The address is not allowed, or nothing answers there.
    """
    target = parse_url(url, network.allowed_hosts)
    deadline_s = time.monotonic() + WEBHOOK_TIMEOUT_S
    with _exchange(
        target, network, deadline_s=deadline_s, method="POST", headers=headers, body=body
    ) as response:
        return response.status


def _read(
    response: http.client.HTTPResponse, take: Callable[[bytes], None], max_bytes: int
) -> None:
    if response.length is not None and response.length > max_bytes:
        raise too_large(max_bytes)
    done = 0
    # read1 gives what has come: a slow server must not fill a block first.
    while block := response.read1(BLOCK_BYTES):
        done += len(block)
        if done > max_bytes:
            raise too_large(max_bytes)
        take(block)
    if response.length:
        raise http.client.IncompleteRead(b"", response.length)


@contextlib.contextmanager
def _exchange(
    target: ParsedUrl,
    network: Network,
    *,
    deadline_s: float,
    method: str,
    headers: Mapping[str, str],
    body: bytes | None = None,
) -> Iterator[http.client.HTTPResponse]:
    """Send a request to an address that was checked, and yield the answer."""
    address = resolve(target, network.allowed_hosts, network.resolver)[0]
    connection = _PinnedConnection(target, address, network.tls)
    late = threading.Event()

    def cut() -> None:
        late.set()
        connection.cut()

    # A time-out of the socket is for one silence; a server that drips is cut off.
    alarm = threading.Timer(max(deadline_s - time.monotonic(), 0.0), cut)
    alarm.daemon = True
    alarm.start()
    try:
        connection.request(
            method,
            target.path,
            body,
            {"Host": target.authority, "User-Agent": _USER_AGENT, **headers},
        )
        yield connection.getresponse()
        if late.is_set():
            raise TimeoutError
    except (OSError, http.client.HTTPException, ValueError) as error:
        if late.is_set() or isinstance(error, TimeoutError):
            raise Refused(
                400,
                HttpCode.TOO_SLOW,
                f"{target.host} was too slow.",
                hint="Try again, or upload the file instead.",
            ) from error
        raise _failed(target, str(error) or type(error).__name__) from error
    finally:
        alarm.cancel()
        connection.close()


class _PinnedConnection(http.client.HTTPConnection):
    """Connects to one address, whatever its name resolves to by now."""

    def __init__(self, target: ParsedUrl, address: str, tls: ssl.SSLContext | None) -> None:
        super().__init__(target.host, target.port, timeout=CONNECT_TIMEOUT_S)
        self._address = address
        self._context = None
        if target.scheme == "https":
            self._context = tls or ssl.create_default_context()
        self._open: socket.socket | None = None

    def connect(self) -> None:
        """Open the connection."""
        self._open = socket.create_connection((self._address, self.port), CONNECT_TIMEOUT_S)
        if self._context is not None:
            wrapped = self._context.wrap_socket(
                self._open, server_hostname=self.host, do_handshake_on_connect=False
            )
            self._open = wrapped
            wrapped.do_handshake()
        self.sock = self._open

    def close(self) -> None:
        """End it, also where it never became a connection."""
        super().close()
        if self._open is not None:
            self._open.close()

    def cut(self) -> None:
        """End it from another thread: whoever waits for it wakes up.

        Its base forgets the socket when the answer begins, and that of TLS would take
        its state from under the reader.
        """
        if self._open is not None:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(self._open, socket.SHUT_RDWR)


def _failed(target: ParsedUrl, reason: str) -> Refused:
    return bad_request(
        f"Nothing could be fetched from {target.host}: {reason.rstrip('.')[:200]}.",
        "Check the address, or upload the file instead.",
        HttpCode.FETCH_FAILED,
    )
