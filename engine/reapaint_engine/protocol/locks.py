"""Locks between processes, which the system lets go when their holder ends, however it ends."""

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import portalocker

POLL_INTERVAL_S = 0.01
LOOK_PATIENCE_S = 1.0
"""Who takes a lock tries for at least as long: somebody may be just looking at it."""


@contextlib.contextmanager
def hold(path: Path, *, patience_s: float = LOOK_PATIENCE_S) -> Iterator[bool]:
    """Hold a lock alone; yields False where another process has it for longer than the patience.

    Parameters
    ----------
    path
        A file for the lock alone; it is made, readable by its owner only, and stays.
    patience_s
        How long another holder is waited for.

    Raises
    ------
    OSError
        The file can't be made.
    """
    import portalocker

    flags = portalocker.LockFlags.EXCLUSIVE | portalocker.LockFlags.NON_BLOCKING
    deadline_s = time.monotonic() + patience_s
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        while not _take(descriptor, flags):
            if time.monotonic() >= deadline_s:
                yield False
                return
            time.sleep(POLL_INTERVAL_S)
        try:
            yield True
        finally:
            portalocker.unlock(descriptor)
    finally:
        os.close(descriptor)


def is_held(path: Path) -> bool:
    """Tell whether a process holds a lock. Any number may look at once, and none finds another."""
    import portalocker

    try:
        descriptor = os.open(path, os.O_RDWR)
    except OSError:
        return False
    try:
        is_free = _take(
            descriptor, portalocker.LockFlags.SHARED | portalocker.LockFlags.NON_BLOCKING
        )
        if is_free:
            portalocker.unlock(descriptor)
        return not is_free
    finally:
        os.close(descriptor)


def _take(descriptor: int, flags: "portalocker.LockFlags") -> bool:
    import portalocker

    try:
        portalocker.lock(descriptor, flags)
    except portalocker.LockException:
        return False
    return True
