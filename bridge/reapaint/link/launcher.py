"""Finds the engine to talk to, and starts one where none runs."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from reapaint.errors import BridgeCode, EngineUnavailable
from reapaint.link.client import EngineAddress, EngineClient
from reapaint_engine.protocol import discovery, keys
from reapaint_engine.protocol.discovery import ConnectionFile
from reapaint_engine.protocol.errors import THE_PATH, ProtocolError
from reapaint_engine.protocol.folders import log_folder
from reapaint_engine.protocol.interpreter import module_command

START_TIMEOUT_S = 30.0
POLL_INTERVAL_S = 0.02
IDLE_EXIT_S = 900.0
"""An engine started for a command waits this long for the next one (REAPAINT_IDLE_EXIT)."""

_started: list[subprocess.Popen[bytes]] = []
"""Engines are meant to outlive this process: Python would warn of each it lets go of."""


def started_processes() -> list[subprocess.Popen[bytes]]:
    """Return the engines that this process started, but for those whose end is known."""
    _started[:] = [process for process in _started if process.poll() is None]
    return list(_started)


def engine_log_path() -> Path:
    """Return the log of the engine that clients start."""
    return log_folder() / "engine.log"


def find_address(endpoint: str | None) -> EngineAddress:
    """Return how to reach the engine at an endpoint, or this user's running one.

    Raises
    ------
    EngineUnavailable
        None runs, or its token or key is not known here.
    """
    connection = discovery.find_engine()
    if endpoint is not None and (connection is None or connection.endpoint != endpoint):
        return _named_address(endpoint)
    if connection is None:
        raise EngineUnavailable(
            BridgeCode.ENGINE_NOT_RUNNING,
            "No engine is running.",
            hint="Start one with `reapaint serve`; `reapaint inpaint` starts one by itself.",
        )
    return _local_address(connection, process=None)


def find_or_start(endpoint: str | None, *, options: Sequence[str] = ()) -> EngineAddress:
    """Return how to reach an engine; one is started where none runs and none was named.

    Parameters
    ----------
    endpoint
        A named engine is never started: it is somebody else's.
    options
        More flags of ``reapaint serve`` for an engine that has to be started.
    """
    if endpoint is not None:
        return find_address(endpoint)
    connection = discovery.find_engine()
    if connection is not None:
        return _local_address(connection, process=None)
    with discovery.starting_lock(START_TIMEOUT_S) as is_ours:
        connection = discovery.find_engine()
        if connection is not None:
            return _local_address(connection, process=None)
        if not is_ours:
            raise _not_started("another command has been starting one for too long")
        stale = discovery.read_connection_file()
        process = _start_process(options)
        _started[:] = [*started_processes(), process]
        return _local_address(_wait_for_start(process, stale), process)


def connect(endpoint: str | None, *, options: Sequence[str] = ()) -> EngineClient:
    """Open a session with an engine, found or started as by ``find_or_start``.

    One that ends between being found and answering is looked for, or started, once more.
    """
    try:
        return EngineClient(find_or_start(endpoint, options=options))
    except EngineUnavailable as error:
        if endpoint is not None or error.code != BridgeCode.ENGINE_UNREACHABLE:
            raise
    return EngineClient(find_or_start(endpoint, options=options))


def _start_process(options: Sequence[str]) -> subprocess.Popen[bytes]:
    command = module_command("reapaint_engine", "serve", *options)
    path = engine_log_path()
    if path.exists():
        path.replace(path.with_suffix(".log.1"))
    with path.open("wb") as log:
        # Its own session: Ctrl-C in a terminal is for the command, not for the engine.
        return subprocess.Popen(  # noqa: S603 - our own interpreter and module
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=Path.home() if Path.home().is_dir() else None,
            env=_environment(),
            **_detached(),
        )


def _detached() -> dict[str, Any]:
    if sys.platform == "win32":
        flags = subprocess.CREATE_NO_WINDOW | subprocess.CREATE_NEW_PROCESS_GROUP
        return {"creationflags": flags}
    return {"start_new_session": True}


def _environment() -> dict[str, str]:
    """Let the engine end when nobody needs it any more."""
    return {"REAPAINT_IDLE_EXIT": f"{IDLE_EXIT_S:g}", **os.environ}


def _wait_for_start(
    process: subprocess.Popen[bytes], stale: ConnectionFile | None
) -> ConnectionFile:
    """Wait for the new engine's connection file; a dead one's may lie there for a moment."""
    deadline_s = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline_s:
        connection = discovery.find_engine()
        if connection is not None and connection != stale:
            return connection
        if process.poll() is not None:
            raise _not_started(_last_log_line() or _exit_text(process.returncode))
        time.sleep(POLL_INTERVAL_S)
    process.terminate()
    raise _not_started(f"it was not ready after {START_TIMEOUT_S:g} s")


def _local_address(
    connection: ConnectionFile, process: subprocess.Popen[bytes] | None
) -> EngineAddress:
    if not connection.token:
        # An engine for other machines: it knows us by our key, which is its own.
        pair = _own_keys()
        return EngineAddress(
            endpoint=_reachable(connection.endpoint),
            keys=pair,
            engine_key=pair.public,
            is_gone=_is_gone(connection, process),
            cause_of_death=_cause_of_death(connection, process),
        )
    return EngineAddress(
        endpoint=connection.endpoint,
        token=connection.token,
        is_gone=_is_gone(connection, process),
        cause_of_death=_cause_of_death(connection, process),
    )


def _own_keys() -> keys.KeyPair:
    try:
        return keys.load_key_pair()
    except ProtocolError as error:
        raise EngineUnavailable.of(error, code=BridgeCode.ENGINE_REFUSED) from error


def _reachable(endpoint: str) -> str:
    """Return an address of this machine where an engine listens on all of them."""
    return endpoint.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:")


def _is_gone(
    connection: ConnectionFile, process: subprocess.Popen[bytes] | None
) -> Callable[[], bool]:
    def is_gone() -> bool:
        if process is not None and process.poll() is not None:
            return True
        found = discovery.find_engine()
        if found is None:
            # One that is ending has removed its file, and lives on until it has said so.
            return not discovery.is_engine_alive()
        return found != connection

    return is_gone


def _cause_of_death(
    connection: ConnectionFile, process: subprocess.Popen[bytes] | None
) -> Callable[[], str]:
    def cause() -> str:
        if discovery.is_engine_alive():
            return ""
        if process is not None and (code := process.poll()) is not None:
            return _exit_text(code)
        return f"process {connection.pid} ended without a word; its log may tell why"

    return cause


def _exit_text(code: int) -> str:
    if code == -signal.SIGTERM:
        return "it was told to end"
    if sys.platform != "win32" and code == -signal.SIGKILL:
        return "it was killed, by a person or because the machine ran out of memory"
    if code < 0:
        return f"it crashed with signal {-code} ({signal.Signals(-code).name})"
    return f"it ended with code {code}; its log tells more"


def _last_log_line() -> str:
    try:
        lines = engine_log_path().read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


def _named_address(endpoint: str) -> EngineAddress:
    # One that is known by its key may be another user's, or the end of a tunnel.
    if discovery.is_loopback(endpoint) and not keys.is_engine_trusted(endpoint):
        raise EngineUnavailable(
            BridgeCode.ENGINE_UNREACHABLE,
            f"No engine of this user listens at {endpoint}.",
            hint="Leave --engine out to use the running one, or start one with"
            f" `reapaint serve --endpoint {endpoint}`.",
        )
    return keyed_address(endpoint)


def keyed_address(endpoint: str) -> EngineAddress:
    """Return how to reach an engine that knows its clients by their keys.

    Raises
    ------
    EngineUnavailable
        This machine has no key of its own, or does not know the engine's.
    """
    try:
        return EngineAddress(
            endpoint=endpoint,
            keys=keys.load_key_pair(),
            engine_key=keys.load_engine_key(endpoint),
        )
    except ProtocolError as error:
        raise EngineUnavailable.of(error, code=BridgeCode.ENGINE_REFUSED) from error


def _not_started(reason: str) -> EngineUnavailable:
    return EngineUnavailable(
        BridgeCode.ENGINE_NOT_STARTED,
        f"The engine did not start: {reason.rstrip('.')}.",
        hint=f"Its log is {THE_PATH}; `--in-process` works without one.",
        path=engine_log_path(),
    )
