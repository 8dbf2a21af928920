"""Functions of the engine for other packages in the same process, beyond the protocol.

Importing this costs little: each function imports what it needs.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reapaint_engine.cli import main as serve
from reapaint_engine.cli import read_config
from reapaint_engine.models import (
    get_model,
    licence_of,
    list_models,
    remove_model,
    verify_models,
)
from reapaint_engine.protocol.progress import OnProgress

if TYPE_CHECKING:
    from reapaint_engine.local import LocalEngine

__all__ = [
    "get_model",
    "licence_of",
    "list_models",
    "local_engine",
    "measure_model",
    "read_config",
    "remove_model",
    "serve",
    "verify_models",
]


def local_engine(backend: str, library: Path | None = None) -> "LocalEngine":
    """Return an engine that works in the caller's thread; see ``LocalEngine``."""
    from reapaint_engine.local import LocalEngine

    return LocalEngine(backend, library)


def measure_model(options: Mapping[str, Any], on_progress: OnProgress) -> dict[str, Any]:
    """Measure the model beside the stock pipeline; see ``benchmark.run.measure``."""
    from reapaint_engine.backends.stable_audio_3.benchmark.run import measure

    return measure(options, on_progress)
