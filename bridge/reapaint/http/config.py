"""What a gateway is told at its start: flags first, then REAPAINT_HTTP_*, then defaults."""

import ipaddress
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from reapaint.errors import BridgeCode, InputError

MIN_TOKEN_CHARACTERS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpLimits:
    """How much one gateway takes on."""

    max_upload_bytes: int = 300 << 20
    max_body_bytes: int = 64 << 20
    """Of a JSON body: it is held in memory, with any audio in it."""
    max_bodies_bytes: int = 256 << 20
    """Of all JSON bodies whose requests are not over."""
    max_duration_s: float = 3600.0
    max_decoded_bytes: int = 4 << 30
    quota_bytes: int = 8 << 30
    keep_s: float = 86_400.0
    """For how long uploads, results and predictions are kept."""
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
    allowed_hosts: frozenset[str] = frozenset()
    """Hosts, or HOST:PORT, that may be fetched from although they are private."""
    offers_paid: bool = False
    """Whether clients may ask for backends that cost money."""
    public_url: str = ""
    """How clients reach it, where that is not how they say; such as behind a proxy."""
    cert: Path | None = None
    key: Path | None = None
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


def parse_address(text: str) -> tuple[str, int]:
    """Read ``HOST:PORT``; port 0 takes any that is free.

    Raises
    ------
    InputError
        ``invalid_option``.
    """
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or port is None or parts.path or parts.username is not None:
        raise InputError(
            BridgeCode.INVALID_OPTION,
            f"{text!r} is no address to listen on.",
            hint="Give --http a host and a port, such as 127.0.0.1:8787.",
        )
    return host, port


def read_token(path: Path | None) -> str:
    """Return the token of ``REAPAINT_HTTP_TOKEN`` or of a file that only its owner can read.

    Raises
    ------
    InputError
        ``invalid_option``: it can't be read, others can read it, or it is too short.
    """
    if path is None:
        token, source = os.environ.get("REAPAINT_HTTP_TOKEN", "").strip(), "REAPAINT_HTTP_TOKEN"
        if not token:
            return ""
    else:
        token, source = _token_of(path), str(path)
    if len(token) < MIN_TOKEN_CHARACTERS or not token.isascii() or not token.isprintable():
        raise InputError(
            BridgeCode.INVALID_OPTION,
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
            BridgeCode.INVALID_OPTION,
            f"{config.host} can be reached from other machines, and no token keeps strangers out.",
            hint="Set REAPAINT_HTTP_TOKEN, or name a file that only you can read with"
            " --http-token-file; or listen on 127.0.0.1.",
        )
    if (config.cert is None) != (config.key is None):
        raise InputError(
            BridgeCode.INVALID_OPTION,
            "A certificate needs its key, and a key its certificate.",
            hint="Give both --http-cert and --http-key, or neither.",
        )
    for file in (config.cert, config.key):
        if file is not None and not file.is_file():
            raise InputError(
                BridgeCode.FILE_NOT_FOUND, f"There is no file {file}.", hint="Check its name."
            )
    if config.public_url:
        _check_public_url(config.public_url)
    for name, value in (
        ("--http-max-upload-mib", config.limits.max_upload_bytes),
        ("--http-max-seconds", config.limits.max_duration_s),
        ("--http-quota-mib", config.limits.quota_bytes),
        ("--http-keep", config.limits.keep_s),
    ):
        if not 0 < value < float("inf"):
            raise InputError(
                BridgeCode.INVALID_OPTION,
                f"{name} must be more than 0.",
                hint="Leave it out to use the default.",
            )


def _check_public_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        is_good = parts.scheme in ("http", "https") and bool(parts.hostname)
        is_good = is_good and (parts.port is None or parts.port > 0)
    except ValueError:
        is_good = False
    if not is_good or parts.query or parts.fragment or parts.username is not None:
        raise InputError(
            BridgeCode.INVALID_OPTION,
            f"{url!r} is no address that clients could use.",
            hint="Give --http-url one such as https://audio.example.com.",
        )


def _token_of(path: Path) -> str:
    try:
        mode = path.stat().st_mode
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeError) as error:
        raise InputError(
            BridgeCode.INVALID_OPTION,
            f"The token in {path} can't be read: {getattr(error, 'strerror', None) or error}.",
            hint="Check the name of --http-token-file.",
        ) from error
    if os.name == "posix" and mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise InputError(
            BridgeCode.INVALID_OPTION,
            f"Others than its owner can use {path}, so the token in it is no secret.",
            hint=f"Run `chmod 600 {path}`.",
        )
    return text
