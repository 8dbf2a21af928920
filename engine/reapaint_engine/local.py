"""The engine inside another process: no socket, no queue, one job after the other."""

from dataclasses import replace
from pathlib import Path

from reapaint_engine.backends.options import BackendOptions
from reapaint_engine.backends.registry import end_work, make_backends
from reapaint_engine.config import LOOPBACK_ENDPOINT, EngineConfig, check_config
from reapaint_engine.inpaint import inpaint
from reapaint_engine.monitor import JobMonitor
from reapaint_engine.protocol.arrays import Audio
from reapaint_engine.protocol.messages import Done, InpaintRequest
from reapaint_engine.protocol.progress import OnProgress
from reapaint_engine.protocol.requests import check_request
from reapaint_engine.protocol.settings import read_settings
from reapaint_engine.welcome import welcome_of


class LocalEngine:
    """Runs jobs in the caller's thread, and answers like an engine's client."""

    def __init__(self, backend: str, library: Path | None = None) -> None:
        """Create the engine; ``library`` is a folder of sounds, by default the variable's."""
        options = read_settings(BackendOptions)
        if library is not None:
            options = replace(options, library=library)
        config = read_settings(
            EngineConfig,
            endpoint=LOOPBACK_ENDPOINT,
            backend=backend,
            backend_options=options,
        )
        self._backends = make_backends(config.backend_options)
        check_config(config, self._backends)
        self.welcome = welcome_of(config, self._backends)

    def close(self) -> None:
        """End the backends' background work."""
        end_work(self._backends)

    def run(
        self, request: InpaintRequest, audio: Audio, on_progress: OnProgress
    ) -> tuple[Done, tuple[Audio, ...]]:
        """Do one job now.

        Parameters
        ----------
        request
            The request.
        audio
            The window, shape (channels, audio_frames), float32, at the request's rate.
        on_progress
            Called with the stage and the share that is done, 0 to 1.

        Returns
        -------
        tuple
            The report, and a patch for each span of each take, takes outermost, each of
            shape (channels, span frames), float32.

        Raises
        ------
        reapaint_engine.protocol.errors.ProtocolError
            The request is out of range.
        reapaint_engine.errors.JobError
            The job can't be done.
        """
        check_request(request, max_window_bytes=self.welcome.limits.max_window_bytes)
        return inpaint(
            request,
            audio,
            backends=self._backends,
            default_backend=self.welcome.default_backend,
            monitor=JobMonitor(lambda: False, on_progress),
            queued_s=0.0,
        )
