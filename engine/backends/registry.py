"""Every backend by its name; making one loads nothing."""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from engine.backends.base import Backend
from engine.backends.context.backend import ContextBackend
from engine.backends.echo import EchoBackend
from engine.backends.library.backend import LibraryBackend


def make_backends(library: Path | None = None) -> dict[str, Backend]:
    """Return a new instance of every backend, the preferred one first.

    Parameters
    ----------
    library
        A folder of sounds; without one there is no library backend.
    """
    backends: list[Backend] = [ContextBackend(), EchoBackend()]
    if library is not None:
        backends.insert(1, LibraryBackend(library))
    return {backend.info.name: backend for backend in backends}


@contextlib.contextmanager
def at_work(backends: Mapping[str, Backend]) -> Iterator[None]:
    """Let backends do what they do in the background, and end that in the end."""
    for library in _libraries(backends):
        library.start()
    try:
        yield
    finally:
        end_work(backends)


def end_work(backends: Mapping[str, Backend]) -> None:
    """End what backends do in the background, also where a job began it."""
    for library in _libraries(backends):
        library.close()


def _libraries(backends: Mapping[str, Backend]) -> list[LibraryBackend]:
    return [each for each in backends.values() if isinstance(each, LibraryBackend)]
