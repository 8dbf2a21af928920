"""Which addresses of the network the gateway may turn to on behalf of a request.

Whoever can name an address could otherwise reach through this machine what only this
machine can reach: its own services, its neighbours', a cloud's metadata. So a name is
resolved once, every address it has is looked at, and the connection goes to an address
that was looked at: a name that changes its mind in between gains nothing.
"""

import ipaddress
import re
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from reapaint.http.errors import HttpCode, Refused, bad_request

MAX_URL_CHARACTERS = 4096

_PORTS = {"http": 80, "https": 443}
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")

_HOST = re.compile(r"[A-Za-z0-9._:-]+")

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolver = Callable[[str, int], Sequence[str]]


@dataclass(frozen=True, slots=True)
class ParsedUrl:
    """An address of the network whose words are good; ``path`` has the query."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """What stands in the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """The whole address."""
        return f"{self.scheme}://{self.authority}{self.path}"


def parse_url(text: str, allowed_hosts: frozenset[str]) -> ParsedUrl:
    """Read an address, and refuse what is wrong with it before any name is resolved.

    Raises
    ------
    Refused
        400 ``invalid_url`` or ``host_not_allowed``.
    """
    parts = _split(text)
    if parts is None:
        raise _invalid("is none", "Give one such as https://example.com/take.wav.")
    if parts.scheme not in _PORTS:
        raise _invalid(
            f"begins with {parts.scheme[:20]!r}" if parts.scheme else "has no http:// or https://",
            "Only http and https are fetched; upload a file of yours, or send it as a data: URI.",
        )
    if parts.username is not None or parts.password is not None:
        raise _invalid("holds a user or a password", "Leave them out.")
    if not parts.hostname:
        raise _invalid("names no host", "Give one such as https://example.com/take.wav.")
    host = _ascii(parts.hostname)
    port = parts.port or _PORTS[parts.scheme]
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    target = ParsedUrl(parts.scheme, host, port, path)
    literal = _literal(host)
    if literal is not None and not is_listed(target, allowed_hosts):
        _check_address(literal, host)
    return target


def system_resolver(host: str, port: int) -> Sequence[str]:
    """Return every address of a name."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(each[4][0]).split("%")[0] for each in found))


def resolve(
    target: ParsedUrl, allowed_hosts: frozenset[str], resolver: Resolver = system_resolver
) -> Sequence[str]:
    """Return the addresses of a target's host, all of which may be connected to.

    Raises
    ------
    Refused
        400 ``fetch_failed``: there is no such host; ``host_not_allowed``: one of its
        addresses is not public, and the host is not listed.
    """
    try:
        addresses = resolver(target.host, target.port)
    except (OSError, UnicodeError):
        addresses = ()
    if not addresses:
        raise bad_request(
            f"The host {target.host} can't be found.", "Check its name.", HttpCode.FETCH_FAILED
        )
    if not is_listed(target, allowed_hosts):
        for address in addresses:
            _check_address(ipaddress.ip_address(address), target.host)
    return addresses


def is_listed(target: ParsedUrl, allowed_hosts: frozenset[str]) -> bool:
    """Tell whether a host was allowed by name, with or without its port."""
    host = f"[{target.host}]" if ":" in target.host else target.host
    return bool({target.host, host, f"{host}:{target.port}"} & allowed_hosts)


def is_public(address: _Address) -> bool:
    """Tell whether an address belongs to the whole network, and to no one's inner one.

    Notes
    -----
    The IANA registries of special-purpose addresses, as the standard library has them;
    what carries an IPv4 address inside an IPv6 one is judged by that as well.
    """
    inner: ipaddress.IPv4Address | None = None
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if address.teredo or address.is_site_local:
            return False
        if inner is not None:
            return is_public(inner)
    return address.is_global and not (
        address.is_multicast
        or address.is_reserved
        or address.is_unspecified
        or address.is_loopback
        or address.is_link_local
    )


def _split(text: str) -> SplitResult | None:
    is_clean = text.isprintable() and " " not in text and "\\" not in text
    if not is_clean or not 0 < len(text) <= MAX_URL_CHARACTERS:
        return None
    try:
        parts = urlsplit(text)
        # Asking for the port raises where it is none.
        return parts if parts.port is None or parts.port > 0 else None
    except ValueError:
        return None


def _ascii(host: str) -> str:
    try:
        plain = (host if host.isascii() else host.encode("idna").decode()).rstrip(".")
    except UnicodeError:
        plain = ""
    if not _HOST.fullmatch(plain):
        raise _invalid("names no host", "Check the host's name.")
    return plain


def _literal(host: str) -> _Address | None:
    if host.lower() == "localhost":
        return ipaddress.IPv4Address("127.0.0.1")
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None


def _check_address(address: _Address, host: str) -> None:
    if is_public(address):
        return
    raise Refused(
        400,
        HttpCode.HOST_NOT_ALLOWED,
        f"{host[:100]} is an address inside this machine or its network.",
        hint="Upload the file instead; whoever runs the server can allow the host with"
        " --http-allow.",
    )


def _invalid(what: str, hint: str) -> Refused:
    return bad_request(f"The address {what}.", hint, HttpCode.INVALID_URL)
