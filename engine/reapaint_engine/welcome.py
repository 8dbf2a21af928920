"""What an engine says of itself, and what its settings say to its backends."""

import os
from collections.abc import Mapping

from reapaint_engine.backends.base import Backend
from reapaint_engine.backends.registry import BackendOptions, preferred_backend
from reapaint_engine.backends.stable_audio_3.backend import StableAudioOptions
from reapaint_engine.config import EngineConfig
from reapaint_engine.protocol.messages import Welcome
from reapaint_engine.protocol.version import __version__


def backend_options(config: EngineConfig) -> BackendOptions:
    """Return what of an engine's settings its backends need."""
    return BackendOptions(
        library=config.library,
        stable_audio=StableAudioOptions(
            model=config.model,
            device=config.device,
            idle_s=config.model_idle_s,
            hide_replaced=config.hide_replaced,
            # Other machines' users have no business with this one's folders.
            opens_folders=config.is_loopback,
        ),
        max_cost=config.max_cost,
    )


def welcome_of(config: EngineConfig, backends: Mapping[str, Backend]) -> Welcome:
    """Return what an engine can do now: models come and go while it runs."""
    return Welcome(
        version=__version__,
        pid=os.getpid(),
        backends=tuple(backend.info for backend in backends.values()),
        default_backend=preferred_backend(backends, config.backend),
        limits=config.limits,
    )
