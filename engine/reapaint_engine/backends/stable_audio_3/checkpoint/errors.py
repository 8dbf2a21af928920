"""What getting and keeping checkpoints can fail at.

::

    EngineError
    └── StoreError    with a StoreCode, or a code of the protocol where one fits
"""

import errno
from pathlib import Path

from reapaint_engine.errors import EngineError
from reapaint_engine.protocol.errors import THE_PATH, Code, ErrorCode, reason_of

_NO_ROOM = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC), errno.EFBIG)
_WINDOWS_NO_ROOM = (39, 112)
"""ERROR_HANDLE_DISK_FULL and ERROR_DISK_FULL."""


class StoreCode(Code):
    """Codes of getting a checkpoint, beside those of the protocol."""

    LICENCE_NOT_ACCEPTED = "licence_not_accepted"
    HUB_UNREACHABLE = "hub_unreachable"
    HUB_REFUSED = "hub_refused"
    MODEL_BUSY = "model_busy"


class StoreError(EngineError):
    """A checkpoint can't be got, checked or removed; nothing is left half done."""


def disk_error(error: OSError, folder: Path) -> StoreError:
    """Return what a user can do about an error of the disk."""
    if error.errno in _NO_ROOM or getattr(error, "winerror", None) in _WINDOWS_NO_ROOM:
        return no_room(folder)
    return StoreError(
        ErrorCode.OUTPUT_NOT_WRITABLE,
        f"{THE_PATH} can't be written: {reason_of(error)}.",
        hint="Stop an engine that may be using the model with `reapaint stop`, change the"
        " folder's permissions, or name another folder in REAPAINT_MODELS_DIR.",
        path=error.filename or folder,
    )


def no_room(folder: Path, needed: str = "") -> StoreError:
    """Return the refusal for want of space; ``needed`` says how much."""
    return StoreError(
        ErrorCode.DISK_FULL,
        f"There is not enough room in {THE_PATH}{f': {needed}' if needed else ''}.",
        hint="Free some space, or name a folder on another disk in REAPAINT_MODELS_DIR.",
        path=folder,
    )
