"""Read keys and addresses of services: from the environment, or from a private file."""

import os
import re
import stat
import tomllib
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from reapaint_engine.backends.hosted.errors import HostedCode, HostedError
from reapaint_engine.protocol.discovery import is_loopback
from reapaint_engine.protocol.errors import THE_PATH, ErrorCode, ProtocolError
from reapaint_engine.protocol.folders import config_folder
from reapaint_engine.protocol.settings import TEXT, Setting

FILE_NAME = "hosted.toml"
_KEY = re.compile(r"[\x21-\x7e]{1,512}\Z")
"""A key is printable and has no spaces, so that it can't end a header's line."""


class Secret:
    """A text that is never shown by accident in a log, an error or a debugger."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return "Secret(...)"

    def reveal(self) -> str:
        """Return the text, for the one header that needs it."""
        return self._text

    def redact(self, text: str) -> str:
        """Return a text without the secret in it."""
        return text.replace(self._text, "***")


@dataclass(frozen=True, slots=True)
class Login:
    """How to authenticate at a service, and at which addresses."""

    service: str
    title: str
    key_variable: str
    scheme: str
    origins: tuple[str, ...]
    """The addresses that its key is for, that of its API first."""

    @property
    def key(self) -> Setting[str]:
        """Return the setting of its key, which no flag gives."""
        return Setting(
            name=f"{self.service}_key",
            variable=self.key_variable,
            default="",
            kind=TEXT,
            help=f"your key for {self.title}; secret",
            has_flag=False,
        )

    @property
    def url(self) -> Setting[str]:
        """Return the setting of another address of its API, for tests."""
        return Setting(
            name=f"{self.service}_url",
            default="",
            kind=TEXT,
            help=f"another address of {self.title}, for tests",
            has_flag=False,
        )


@dataclass(frozen=True, slots=True)
class Account:
    """A key, and the only addresses that it is ever sent to."""

    login: Login
    key: Secret
    origins: tuple[str, ...]

    @property
    def api(self) -> str:
        """Return the address of the API, without a slash at its end."""
        return self.origins[0]

    @property
    def uploads(self) -> str:
        """Return the first address for audio, where it isn't the API's."""
        return self.origins[-1]

    def is_ours(self, url: str) -> bool:
        """Return whether an address belongs to the service, so that it may get the key."""
        return origin_of(url) in {origin_of(each) for each in self.origins}

    def is_fit(self, url: str) -> bool:
        """Return whether an address may be opened: it is encrypted or on this machine."""
        parts = urlsplit(url)
        if parts.scheme == "https":
            return bool(parts.hostname)
        return parts.scheme == "http" and is_loopback(self.api) and is_loopback(url)


def origin_of(url: str) -> tuple[str, str, int | None]:
    """Return scheme, host and port of an address, which identify the server."""
    parts = urlsplit(url)
    port = parts.port or {"https": 443, "http": 80}.get(parts.scheme)
    return parts.scheme, (parts.hostname or "").lower(), port


def has_key(login: Login) -> bool:
    """Return whether there is a key; only the service knows whether it is valid."""
    try:
        load_account(login)
    except HostedError:
        return False
    return True


def load_account(login: Login) -> Account:
    """Return the account of a service, from the variable or else from the file.

    Raises
    ------
    HostedError
        ``no_key``, ``not_authorised`` where others can read the file, or
        ``invalid_field`` where the file or an address is invalid.
    """
    section = _section(login)
    key = login.key.value() or section.get("key", "")
    if not key:
        raise HostedError(
            HostedCode.NO_KEY,
            f"There is no key for {login.title}.",
            hint=f"Set {login.key_variable} to yours for the engine, or write it into"
            f" {THE_PATH} (docs/hosted.md shows how).",
            path=_path(),
        )
    if not _KEY.match(key):
        raise HostedError(
            HostedCode.NO_KEY,
            f"The key for {login.title} holds spaces or characters that no key has.",
            hint=f"Copy it again into {login.key_variable} or {THE_PATH}.",
            path=_path(),
        )
    return Account(login, Secret(key), _origins(login, section.get("url", "")))


def _origins(login: Login, from_file: str) -> tuple[str, ...]:
    url = (login.url.value() or from_file).rstrip("/")
    if not url:
        return login.origins
    if urlsplit(url).scheme != "https" and not is_loopback(url):
        raise HostedError(
            ErrorCode.INVALID_FIELD,
            f"No key is sent to {url}: the address is not encrypted.",
            hint=f"Give an address that begins with https:// in {login.url.variable} or"
            f" {THE_PATH}.",
            path=_path(),
        )
    return (url,)


def _path() -> Path:
    try:
        return config_folder() / FILE_NAME
    except ProtocolError as error:
        raise HostedError.of(error) from error


def _section(login: Login) -> dict[str, str]:
    path = _path()
    try:
        with path.open("rb") as file:
            _refuse_open_file(path, os.fstat(file.fileno()))
            content = tomllib.load(file)
    except FileNotFoundError:
        return {}
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        # tomllib's error could quote a piece of a key.
        why = error.strerror if isinstance(error, OSError) else "it is not TOML"
        raise HostedError(
            ErrorCode.INVALID_FIELD,
            f"{THE_PATH} can't be read: {why}.",
            hint=f'Write a line [{login.service}] and below it key = "..." into it.',
            path=path,
        ) from None
    section = content.get(login.service, {})
    if not isinstance(section, dict):
        return {}
    return {name: value for name, value in section.items() if isinstance(value, str)}


def _refuse_open_file(path: Path, status: os.stat_result) -> None:
    """Raise HostedError if other users can read the file of keys, as ssh does."""
    if os.name == "posix" and status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise HostedError(
            ErrorCode.NOT_AUTHORISED,
            f"{THE_PATH} holds keys, and other users can read it.",
            hint=f"Run `chmod 600 {THE_PATH}`.",
            path=path,
        )
