"""Every backend by its name; making one loads nothing."""

from engine.backends.base import Backend
from engine.backends.context.backend import ContextBackend
from engine.backends.echo import EchoBackend


def make_backends() -> dict[str, Backend]:
    """Return a new instance of every backend, the preferred one first."""
    backends: tuple[Backend, ...] = (ContextBackend(), EchoBackend())
    return {backend.info.name: backend for backend in backends}
