"""The folders that both sides share on one machine."""

import os
import sys
from pathlib import Path

from reapaint_engine.protocol.errors import THE_PATH, ErrorCode, ProtocolError, reason_of
from reapaint_engine.protocol.settings import PATH, Setting


def _folder(name: str, content: str) -> Setting[Path | None]:
    """Return the setting of a folder; the default is the system's folder for this purpose."""
    return Setting(
        name=name,
        default=None,
        kind=PATH,
        help=f"the folder of {content} (default: the system's own)",
        has_flag=False,
    )


RUNTIME = _folder("runtime_dir", "the running engine's connection file")
CONFIG = _folder("config_dir", "the keys")
LOG = _folder("log_dir", "the logs")
CACHE = _folder("cache_dir", "what can be made again, such as the library's index")
STATE = _folder("state_dir", "what was paid for and not yet delivered")
FOLDERS = (RUNTIME, CONFIG, LOG, CACHE, STATE)


def runtime_folder() -> Path:
    """Return the folder of the running engine's connection file, private to the user."""
    return _private_folder(RUNTIME)


def config_folder() -> Path:
    """Return the folder of keys."""
    return _private_folder(CONFIG)


def log_folder() -> Path:
    """Return the folder of the log of engines started by a client."""
    return _private_folder(LOG)


def cache_folder() -> Path:
    """Return the folder of data that can be created again."""
    return _private_folder(CACHE)


def state_folder() -> Path:
    """Return the folder of data that must survive a crash."""
    return _private_folder(STATE)


def make_private(folder: Path) -> Path:
    """Create a folder that only its owner can enter, or check that it is the user's own.

    A shared temporary folder may contain a folder of this name made by another user, who could
    then read tokens or pose as the engine.

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
        *names, last = (each.variable for each in FOLDERS)
        raise ProtocolError(
            ErrorCode.NOT_AUTHORISED,
            f"The folder {THE_PATH} can't be used: {reason_of(error)}.",
            hint=f"Remove it, or name another one in {', '.join(names)} or {last}.",
            path=folder,
        ) from error
    return folder


def _private_folder(setting: Setting[Path | None]) -> Path:
    if (chosen := setting.value()) is not None:
        return make_private(chosen)
    # Imported here: this takes longer than everything that needs no folder.
    import platformdirs

    if setting is CONFIG:
        return make_private(platformdirs.user_config_path("reapaint", appauthor=False))
    if setting is CACHE:
        return make_private(platformdirs.user_cache_path("reapaint", appauthor=False))
    if setting is STATE:
        return make_private(platformdirs.user_state_path("reapaint", appauthor=False))
    if setting is LOG:
        return make_private(platformdirs.user_log_path("reapaint", appauthor=False))
    if sys.platform.startswith("linux") and not os.environ.get("XDG_RUNTIME_DIR"):
        # Without a login session there is only a folder in /tmp, which everybody can enter.
        return make_private(platformdirs.user_state_path("reapaint", appauthor=False) / "run")
    return make_private(platformdirs.user_runtime_path("reapaint", appauthor=False))
