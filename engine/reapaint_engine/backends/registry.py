"""Every backend by its name; making one loads nothing."""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

from reapaint_engine.backends.base import Backend
from reapaint_engine.backends.context.backend import ContextBackend
from reapaint_engine.backends.echo import EchoBackend
from reapaint_engine.backends.hosted.registry import make_hosted_backends
from reapaint_engine.backends.library.backend import LibraryBackend
from reapaint_engine.backends.stable_audio_3.backend import StableAudio3Backend, StableAudioOptions

AUTO = "auto"
"""The model where one is here, else the sound around the selection."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendOptions:
    """What an engine's settings say to its backends."""

    library: Path | None = None
    """A folder of sounds; without one there is no library backend."""
    stable_audio: StableAudioOptions = field(default_factory=StableAudioOptions)
    max_cost: float | None = None
    """What one job may cost at a hosted service, in USD; None is no limit."""


@runtime_checkable
class Background(Protocol):
    """A backend that does something in the background."""

    def start(self) -> None:
        """Begin with it."""

    def close(self) -> None:
        """End it, also where a job began it."""


def make_backends(options: BackendOptions | None = None) -> dict[str, Backend]:
    """Return a new instance of every backend."""
    options = options or BackendOptions()
    backends: list[Backend] = [ContextBackend(), StableAudio3Backend(options.stable_audio)]
    if options.library is not None:
        backends.append(LibraryBackend(options.library))
    backends += [*make_hosted_backends(options.max_cost), EchoBackend()]
    return {backend.info.name: backend for backend in backends}


def preferred_backend(backends: Mapping[str, Backend], configured: str) -> str:
    """Return what does a job that names no backend, as of now."""
    if configured != AUTO:
        return configured
    ready = (
        name
        for name, backend in backends.items()
        if isinstance(backend, StableAudio3Backend) and backend.is_ready()
    )
    return next(ready, next(iter(backends)))


@contextlib.contextmanager
def at_work(backends: Mapping[str, Backend], preferred: str) -> Iterator[None]:
    """Let backends do what they do in the background, and end that in the end.

    A model is loaded only where it is the preferred backend: it takes memory.
    """
    for name, backend in backends.items():
        if isinstance(backend, Background):
            if isinstance(backend, StableAudio3Backend) and name != preferred:
                continue
            backend.start()
    try:
        yield
    finally:
        end_work(backends)


def end_work(backends: Mapping[str, Backend]) -> None:
    """End what backends do in the background, also where a job began it."""
    for backend in backends.values():
        if isinstance(backend, Background):
            backend.close()
