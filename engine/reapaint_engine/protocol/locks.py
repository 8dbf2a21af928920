"""Locks between processes. The system releases a lock when its holder ends in any way."""

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
"""Least time for which a lock is tried: another process may hold it briefly to look at it."""


@contextlib.contextmanager
def hold(path: Path, *, patience_s: float = LOOK_PATIENCE_S) -> Iterator[bool]:
    """Hold a lock alone; yields False where another process keeps it for ``patience_s``.

    Parameters
    ----------
    path
        A file only for the lock; it is created, readable by its owner only, and stays.
    patience_s
        How long to wait for another holder.

    Raises
    ------
    OSError
        The file can't be created.
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
    """Return whether a process holds a lock. Several processes may look at the same time."""
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
