"""What getting and keeping checkpoints can fail at.

::

    EngineError
    └── StoreError    with a StoreCode, or a code of jobs where one fits
"""

import errno
from enum import StrEnum
from pathlib import Path

from reapaint_engine.errors import EngineError

_NO_ROOM = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC), errno.EFBIG)
_WINDOWS_NO_ROOM = (39, 112)
"""ERROR_HANDLE_DISK_FULL and ERROR_DISK_FULL."""


class StoreCode(StrEnum):
    """Stable codes, beside those of the protocol."""

    LICENCE_NOT_ACCEPTED = "licence_not_accepted"
    HUB_UNREACHABLE = "hub_unreachable"
    HUB_REFUSED = "hub_refused"
    PACKAGE_MISSING = "package_missing"
    DISK_FULL = "disk_full"
    NOT_WRITABLE = "output_not_writable"
    FILE_NOT_FOUND = "file_not_found"
    BUSY = "model_busy"
    NOT_OURS = "model_not_ours"


class StoreError(EngineError):
    """A checkpoint can't be got, checked or removed; nothing is left half done."""


def disk_error(error: OSError, folder: Path) -> StoreError:
    """Return what a user can do about an error of the disk."""
    if error.errno in _NO_ROOM or getattr(error, "winerror", None) in _WINDOWS_NO_ROOM:
        return no_room(folder)
    return StoreError(
        StoreCode.NOT_WRITABLE,
        f"{error.filename or folder} can't be written: {error.strerror or error}.",
        hint="Stop an engine that may be using the model with `reapaint stop`, change the"
        " folder's permissions, or name another folder in REAPAINT_MODELS_DIR.",
    )


def no_room(folder: Path, needed: str = "") -> StoreError:
    """Return the refusal for want of space; ``needed`` says how much."""
    return StoreError(
        StoreCode.DISK_FULL,
        f"There is not enough room in {folder}{f': {needed}' if needed else ''}.",
        hint="Free some space, or name a folder on another disk in REAPAINT_MODELS_DIR.",
    )
