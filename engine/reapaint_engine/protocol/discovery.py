"""Find the engine of this user: by the connection file and its lock.

The engine holds the lock as long as it lives. The system releases it when the process ends in
any way. So a connection file with a free lock is a dead engine's.
"""

import contextlib
import ipaddress
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from reapaint_engine.protocol import locks
from reapaint_engine.protocol.folders import runtime_folder


class ConnectionFile(msgspec.Struct, frozen=True):
    """The data that a client needs to reach a running engine."""

    endpoint: str
    token: str
    pid: int
    version: str


def connection_path() -> Path:
    """Return the path of the connection file of this user's engine."""
    return runtime_folder() / "engine.json"


def is_loopback(endpoint: str) -> bool:
    """Tell whether an endpoint such as ``tcp://127.0.0.1:5555`` stays on this machine."""
    try:
        host = urlsplit(endpoint.replace("*", "0")).hostname or ""
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def new_token() -> str:
    """Return a secret that only those who can read the connection file know."""
    return secrets.token_urlsafe(32)


def write_connection_file(connection: ConnectionFile) -> None:
    """Write the file whole and readable by its owner only."""
    path = connection_path()
    draft = path.with_suffix(f".{os.getpid()}.tmp")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.encode(connection))
    draft.replace(path)


def read_connection_file() -> ConnectionFile | None:
    """Return the connection file, or None where there is none or it can't be read."""
    try:
        return msgspec.json.decode(connection_path().read_bytes(), type=ConnectionFile)
    except (OSError, msgspec.MsgspecError):
        return None


def remove_connection_file() -> None:
    """Remove the file, as its engine does when it ends."""
    connection_path().unlink(missing_ok=True)


def find_engine() -> ConnectionFile | None:
    """Return the connection of a living engine; a dead engine's file is ignored."""
    connection = read_connection_file()
    if connection is None or not is_engine_alive():
        return None
    return connection


def is_engine_alive() -> bool:
    """Tell whether an engine of this user holds the lock."""
    return locks.is_held(_lock_path())


@contextlib.contextmanager
def engine_lock() -> Iterator[bool]:
    """Hold the lock of this user's engine; yields False where another engine has it."""
    with locks.hold(_lock_path()) as is_ours:
        yield is_ours


@contextlib.contextmanager
def starting_lock(patience_s: float) -> Iterator[bool]:
    """Hold the right to start an engine, so that two clients start only one."""
    with locks.hold(runtime_folder() / "starting.lock", patience_s=patience_s) as is_ours:
        yield is_ours


def _lock_path() -> Path:
    return runtime_folder() / "engine.lock"
