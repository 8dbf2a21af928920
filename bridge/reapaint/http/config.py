"""What a gateway is told at its start: the table of its settings."""

import ipaddress
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from reapaint.errors import InputError
from reapaint_engine.protocol.errors import THE_PATH, ErrorCode, reason_of
from reapaint_engine.protocol.settings import (
    MEBIBYTES,
    PATH,
    SECONDS,
    SWITCH,
    TEXT,
    Kind,
    Setting,
)

MIN_TOKEN_CHARACTERS = 16


def _address(text: str) -> tuple[str, int]:
    parts = urlsplit(f"//{text}")
    if not parts.hostname or parts.port is None or parts.path or parts.username is not None:
        raise ValueError("no host and port")
    return parts.hostname, parts.port


def _public_url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
        raise ValueError("no address of a server")
    if parts.query or parts.fragment or parts.username is not None:
        raise ValueError("more than an address")
    return text.rstrip("/")


def _hosts(text: str) -> frozenset[str]:
    names = (name.strip().lower().rstrip(".") for name in text.split(","))
    return frozenset(name for name in names if name)


ADDRESS: Kind[tuple[str, int] | None] = Kind(_address, "a host and a port, such as 127.0.0.1:8787")
PUBLIC_URL = Kind(_public_url, "an address such as https://audio.example.com")
HOSTS = Kind(_hosts, "hosts, with commas between them", ", ".join, flag="values")

HTTP = Setting(
    name="http",
    default=None,
    kind=ADDRESS,
    metavar="HOST:PORT",
    help="serve HTTP there as well; beyond loopback only with a token,"
    " which is REAPAINT_HTTP_TOKEN or in --http-token-file",
)
TOKEN = Setting(
    name="http_token",
    default="",
    kind=TEXT,
    help="the token that clients must present; secret",
    has_flag=False,
)
TOKEN_FILE = Setting(
    name="http_token_file",
    default=None,
    kind=PATH,
    metavar="FILE",
    help="a file, readable by you alone, with the token that clients must present",
)
START = (HTTP, TOKEN, TOKEN_FILE)
"""What a gateway's host, port and token are made of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpLimits:
    """How much one gateway takes on."""

    max_upload_bytes: int = Setting(
        name="http_max_upload_mib",
        default=300 << 20,
        kind=MEBIBYTES,
        metavar="N",
        help="the largest file taken",
    ).field()
    max_body_bytes: int = 64 << 20
    """Of a JSON body: it is held in memory, with any audio in it."""
    max_bodies_bytes: int = 256 << 20
    """Of all JSON bodies whose requests are not over."""
    max_duration_s: float = Setting(
        name="http_max_seconds",
        default=3600.0,
        kind=SECONDS,
        metavar="N",
        help="the longest recording taken",
    ).field()
    max_decoded_bytes: int = 4 << 30
    quota_bytes: int = Setting(
        name="http_quota_mib",
        default=8 << 30,
        kind=MEBIBYTES,
        metavar="N",
        help="how much disk files may take",
    ).field()
    keep_s: float = Setting(
        name="http_keep",
        default=86_400.0,
        kind=SECONDS,
        metavar="N",
        help="seconds for which files, results and predictions are kept",
    ).field()
    fetch_timeout_s: float = 120.0
    upload_timeout_s: float = 1800.0
    idle_timeout_s: float = 30.0
    """Silence in the middle of a body after which it is given up."""
    decode_timeout_s: float = 120.0
    sync_timeout_s: float = 300.0
    max_waiting: int = 256
    """Predictions that wait or run."""
    max_predictions: int = 5_000
    max_base64_bytes: int = 64 << 20
    max_uploads: int = 32
    """Uploads at one time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpConfig:
    """One gateway's settings, checked by ``check_config``."""

    host: str
    port: int
    token: str = field(default="", repr=False)
    """What clients must present; empty = none, which only loopback may have."""
    allowed_hosts: frozenset[str] = Setting(
        name="http_allow",
        default=frozenset(),
        kind=HOSTS,
        metavar="HOST[:PORT]",
        help="let audio be fetched from, and webhooks sent to, this host although it is a private"
        " one; may be given several times",
    ).field()
    offers_paid: bool = Setting(
        name="http_paid",
        default=False,
        kind=SWITCH,
        help="let clients ask for hosted services, which cost you money; see --max-cost",
    ).field()
    public_url: str = Setting(
        name="http_url",
        default="",
        kind=PUBLIC_URL,
        metavar="URL",
        help="how clients reach the server, where a proxy stands before it",
    ).field()
    cert: Path | None = Setting(  # noqa: RUF009 - it makes a field
        name="http_cert",
        default=None,
        kind=PATH,
        metavar="FILE",
        help="the certificate, as PEM: serve https",
    ).field()
    key: Path | None = Setting(  # noqa: RUF009 - it makes a field
        name="http_key",
        default=None,
        kind=PATH,
        metavar="FILE",
        help="the certificate's key, as PEM: serve https",
    ).field()
    limits: HttpLimits = field(default_factory=HttpLimits)

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return is_loopback_host(self.host)


def is_loopback_host(host: str) -> bool:
    """Tell whether a name or address is this machine's own."""
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def read_token(path: Path | None) -> str:
    """Return the token of its variable or of a file that only its owner can read.

    Raises
    ------
    InputError
        ``invalid_option``: it can't be read, others can read it, or it is too short.
    """
    if path is None:
        token, source = TOKEN.value().strip(), TOKEN.variable
        if not token:
            return ""
    else:
        token, source = _token_of(path), str(path)
    if len(token) < MIN_TOKEN_CHARACTERS or not token.isascii() or not token.isprintable():
        raise InputError(
            ErrorCode.INVALID_OPTION,
            f"The token in {source} is too short to be a secret, or has odd characters.",
            hint="Make one with `python -c 'import secrets; print(secrets.token_urlsafe(32))'`.",
        )
    return token


def check_config(config: HttpConfig) -> None:
    """Refuse settings that no gateway should start with.

    Raises
    ------
    InputError
        ``invalid_option``, with why.
    """
    if not config.is_loopback and not config.token:
        raise InputError(
            ErrorCode.INVALID_OPTION,
            f"{config.host} can be reached from other machines, and no token keeps strangers out.",
            hint="Set REAPAINT_HTTP_TOKEN, or name a file that only you can read with"
            " --http-token-file; or listen on 127.0.0.1.",
        )
    if (config.cert is None) != (config.key is None):
        raise InputError(
            ErrorCode.INVALID_OPTION,
            "A certificate needs its key, and a key its certificate.",
            hint="Give both --http-cert and --http-key, or neither.",
        )
    for file in (config.cert, config.key):
        if file is not None and not file.is_file():
            raise InputError(
                ErrorCode.FILE_NOT_FOUND,
                f"There is no file {THE_PATH}.",
                hint="Check its name.",
                path=file,
            )


def _token_of(path: Path) -> str:
    try:
        mode = path.stat().st_mode
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeError) as error:
        raise InputError(
            ErrorCode.INVALID_OPTION,
            f"The token in {THE_PATH} can't be read: {reason_of(error)}.",
            hint="Check the name of --http-token-file.",
            path=path,
        ) from error
    if os.name == "posix" and mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise InputError(
            ErrorCode.INVALID_OPTION,
            f"Others than its owner can use {THE_PATH}, so the token in it is no secret.",
            hint=f"Run `chmod 600 {THE_PATH}`.",
            path=path,
        )
    return text
