"""Describe an engine to its clients."""

import os
from collections.abc import Mapping

from reapaint_engine.backends.base import Backend
from reapaint_engine.backends.registry import preferred_backend
from reapaint_engine.config import EngineConfig
from reapaint_engine.protocol.messages import Welcome
from reapaint_engine.protocol.version import __version__


def welcome_of(config: EngineConfig, backends: Mapping[str, Backend]) -> Welcome:
    """Return what an engine can do now, since models may be installed or removed while it runs."""
    return Welcome(
        version=__version__,
        pid=os.getpid(),
        backends=tuple(backend.info for backend in backends.values()),
        default_backend=preferred_backend(backends, config.backend),
        limits=config.limits,
    )
