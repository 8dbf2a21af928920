"""Where both sides keep what they share on one machine."""

import os
import sys
from pathlib import Path

from reapaint_engine.protocol.errors import ErrorCode, ProtocolError


def runtime_folder() -> Path:
    """Return the folder of the running engine's connection file, private to the user.

    ``REAPAINT_RUNTIME_DIR`` overrides the system's own.
    """
    return _private_folder("REAPAINT_RUNTIME_DIR", "runtime")


def config_folder() -> Path:
    """Return the folder of keys; ``REAPAINT_CONFIG_DIR`` overrides the system's own."""
    return _private_folder("REAPAINT_CONFIG_DIR", "config")


def log_folder() -> Path:
    """Return the folder of the log of engines started by a client (``REAPAINT_LOG_DIR``)."""
    return _private_folder("REAPAINT_LOG_DIR", "log")


def cache_folder() -> Path:
    """Return the folder of what can be made again (``REAPAINT_CACHE_DIR``)."""
    return _private_folder("REAPAINT_CACHE_DIR", "cache")


def state_folder() -> Path:
    """Return the folder of what must outlive a crash (``REAPAINT_STATE_DIR``)."""
    return _private_folder("REAPAINT_STATE_DIR", "state")


def make_private(folder: Path) -> Path:
    """Make a folder that only its owner can enter, and refuse somebody else's.

    A shared temporary folder can hold a folder of this name made by another user,
    who could then read tokens or answer in the engine's place.

    Raises
    ------
    ProtocolError
        ``not_authorised``: the folder can't be made, or belongs to somebody else.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if os.name == "posix":
            if folder.stat().st_uid != os.getuid():
                raise PermissionError("it belongs to another user")
            folder.chmod(0o700)
    except OSError as error:
        raise ProtocolError(
            ErrorCode.NOT_AUTHORISED,
            f"The folder {folder} can't be used: {error}.",
            hint="Remove it, or name another one in REAPAINT_RUNTIME_DIR, REAPAINT_CONFIG_DIR,"
            " REAPAINT_LOG_DIR, REAPAINT_CACHE_DIR or REAPAINT_STATE_DIR.",
        ) from error
    return folder


def _private_folder(variable: str, kind: str) -> Path:
    chosen = os.environ.get(variable)
    if chosen:
        return make_private(Path(chosen))
    # Imported here: it costs more than all that needs no folder.
    import platformdirs

    if kind == "config":
        return make_private(platformdirs.user_config_path("reapaint", appauthor=False))
    if kind == "cache":
        return make_private(platformdirs.user_cache_path("reapaint", appauthor=False))
    if kind == "state":
        return make_private(platformdirs.user_state_path("reapaint", appauthor=False))
    if kind == "log":
        return make_private(platformdirs.user_log_path("reapaint", appauthor=False))
    if sys.platform.startswith("linux") and not os.environ.get("XDG_RUNTIME_DIR"):
        # Without a session there is only a folder in /tmp, which everybody can enter.
        return make_private(platformdirs.user_state_path("reapaint", appauthor=False) / "run")
    return make_private(platformdirs.user_runtime_path("reapaint", appauthor=False))
