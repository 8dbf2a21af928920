"""The engine in this process, for `--in-process` and `reapaint serve`.

The bridge knows the engine by its protocol alone. This is the one place that reaches
for the rest, by name and when it is asked for, so that nothing else loads it.
"""

from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from reapaint.errors import JobFailed
from reapaint.link.engine import Engine
from reapaint_engine.protocol.arrays import Audio
from reapaint_engine.protocol.errors import ProtocolError, ReaPaintError
from reapaint_engine.protocol.messages import Done, InpaintRequest, Welcome
from reapaint_engine.protocol.progress import OnBytes, OnProgress


class InProcessEngine(Engine):
    """Runs jobs in this process; its failures are those of any job."""

    def __init__(self, backend: str, library: Path | None = None) -> None:
        self._engine = import_module("reapaint_engine.local").LocalEngine(backend, library)

    @property
    def welcome(self) -> Welcome:
        """What it can do."""
        welcome: Welcome = self._engine.welcome
        return welcome

    def close(self) -> None:
        """End what the engine does in the background."""
        self._engine.close()

    def run(
        self, request: InpaintRequest, audio: Audio, on_progress: OnProgress
    ) -> tuple[Done, tuple[Audio, ...]]:
        """Do one job in the calling thread, as ``Engine.run``.

        Raises
        ------
        JobFailed
            It can't be done.
        """
        try:
            result: tuple[Done, tuple[Audio, ...]] = self._engine.run(request, audio, on_progress)
        except ProtocolError:
            raise
        except ReaPaintError as error:
            raise JobFailed(error.code, error.message, hint=error.hint) from error
        except MemoryError as error:
            raise JobFailed(
                "out_of_memory",
                "The machine has too little memory for this job.",
                hint="Select less, ask for less context, or for fewer takes.",
            ) from error
        return result


class Models(Protocol):
    """The models of this machine; answers are plain data, as ``reapaint_engine.models`` tells."""

    def list_models(self) -> dict[str, Any]:
        """Return what exists and what is here."""

    def licence_of(self, name: str) -> dict[str, Any]:
        """Return a model's licence and its page."""

    def get_model(self, name: str, folder: Path | None, on_progress: OnBytes) -> dict[str, Any]:
        """Bring a model here."""

    def verify_models(self, name: str | None, on_progress: OnBytes) -> dict[str, Any]:
        """Compare models with their checksums."""

    def remove_model(self, name: str) -> dict[str, Any]:
        """Remove a model."""


def local_models() -> Models:
    """Return what keeps the models of this machine."""
    models: Models = import_module("reapaint_engine.models")
    return models


class ModelBench(Protocol):
    """Measures the model against the stock pipeline; see its ``measure``."""

    def measure(self, options: Mapping[str, Any], on_progress: OnProgress) -> dict[str, Any]:
        """Return times, ratios and memory as plain data."""


def model_bench() -> ModelBench:
    """Return what measures the model on this machine."""
    bench: ModelBench = import_module("reapaint_engine.backends.stable_audio_3.benchmark.run")
    return bench


def serve(arguments: Sequence[str]) -> int:
    """Run an engine in the foreground and return its exit code."""
    code: int = import_module("reapaint_engine.cli").main(arguments)
    return code
