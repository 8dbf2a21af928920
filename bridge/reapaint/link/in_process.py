"""The engine in this process, for `--in-process`, `reapaint serve` and `reapaint models`.

The bridge knows the engine by its protocol, and besides by what the engine's ``api`` lets
others use: this is the one place that imports it.
"""

from pathlib import Path

from reapaint.errors import JobFailed
from reapaint.link.engine import Engine
from reapaint_engine import api
from reapaint_engine.protocol.arrays import Audio
from reapaint_engine.protocol.errors import ProtocolError, ReaPaintError, out_of_memory
from reapaint_engine.protocol.messages import Done, InpaintRequest, Welcome
from reapaint_engine.protocol.progress import OnProgress

engine_api = api
"""For those who need more of it than an engine that does jobs."""


class InProcessEngine(Engine):
    """Runs jobs in this process; its failures are those of any job."""

    def __init__(self, backend: str, library: Path | None = None) -> None:
        self._engine = api.local_engine(backend, library)

    @property
    def welcome(self) -> Welcome:
        """What it can do."""
        return self._engine.welcome

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
            return self._engine.run(request, audio, on_progress)
        except ProtocolError:
            raise
        except ReaPaintError as error:
            raise JobFailed.of(error) from error
        except MemoryError as error:
            raise JobFailed.of(out_of_memory()) from error
