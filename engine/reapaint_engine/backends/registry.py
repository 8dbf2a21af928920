"""Create every backend by its name; this loads nothing."""

import contextlib
from collections.abc import Iterator, Mapping

from reapaint_engine.backends.base import Backend
from reapaint_engine.backends.context.backend import ContextBackend
from reapaint_engine.backends.echo import EchoBackend
from reapaint_engine.backends.hosted.registry import make_hosted_backends
from reapaint_engine.backends.library.backend import LibraryBackend
from reapaint_engine.backends.options import BackendOptions
from reapaint_engine.backends.stable_audio_3.backend import StableAudio3Backend
from reapaint_engine.protocol.params import AUTO


def make_backends(
    options: BackendOptions | None = None, *, opens_folders: bool = True
) -> dict[str, Backend]:
    """Return a new instance of every backend.

    The first backend needs nothing, and does the jobs that another can't do because something
    is missing.

    Parameters
    ----------
    opens_folders
        Whether a request may name a folder of this machine.
    """
    options = options or BackendOptions()
    backends: list[Backend] = [
        ContextBackend(),
        StableAudio3Backend(options.stable_audio, opens_folders=opens_folders),
    ]
    if options.library is not None:
        backends.append(LibraryBackend(options.library))
    backends += [*make_hosted_backends(options.max_cost), EchoBackend()]
    return {backend.info.name: backend for backend in backends}


def preferred_backend(backends: Mapping[str, Backend], configured: str) -> str:
    """Return the backend that does a job without a named one now."""
    if configured != AUTO:
        return configured
    preferred = (name for name, backend in backends.items() if backend.is_preferred())
    return next(preferred, next(iter(backends)))


@contextlib.contextmanager
def at_work(backends: Mapping[str, Backend], default: str) -> Iterator[None]:
    """Start the backends' background work, and end it on exit."""
    for name, backend in backends.items():
        backend.start(is_default=name == default)
    try:
        yield
    finally:
        end_work(backends)


def end_work(backends: Mapping[str, Backend]) -> None:
    """End the backends' background work, also where a job began it."""
    for backend in backends.values():
        backend.close()
