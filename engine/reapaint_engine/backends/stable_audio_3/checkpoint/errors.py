"""What getting and keeping checkpoints can fail at.

::

    EngineError
    └── StoreError    with a StoreCode, or a code of the protocol where one fits
"""

from pathlib import Path

from reapaint_engine.errors import EngineError
from reapaint_engine.protocol.errors import (
    THE_PATH,
    Code,
    ErrorCode,
    is_disk_full,
    not_writable,
)


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
    if is_disk_full(error):
        return no_room(folder)
    hint = (
        "Stop an engine that may be using the model with `reapaint stop`, change the"
        " folder's permissions, or name another folder in REAPAINT_MODELS_DIR."
    )
    return StoreError.of(not_writable(error.filename or folder, error, hint))


def no_room(folder: Path, needed: str = "") -> StoreError:
    """Return the refusal for want of space; ``needed`` says how much."""
    return StoreError(
        ErrorCode.DISK_FULL,
        f"There is not enough room in {THE_PATH}{f': {needed}' if needed else ''}.",
        hint="Free some space, or name a folder on another disk in REAPAINT_MODELS_DIR.",
        path=folder,
    )


def not_installed(name: str) -> StoreError:
    """Return the error of a model that this machine has not."""
    return StoreError(
        ErrorCode.NO_MODEL,
        f"{name} is not installed.",
        hint=f"Get it with `reapaint models get {name}`.",
    )
