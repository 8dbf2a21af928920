"""The backend that returns its input: for measuring delays, and for tests."""

from collections.abc import Sequence

from reapaint_engine.backends.base import (
    Backend,
    Fill,
    Generation,
    GenerationParams,
    JobControl,
    Passage,
    Window,
)
from reapaint_engine.protocol.messages import BackendInfo
from reapaint_engine.protocol.params import AUTO
from reapaint_engine.protocol.progress import Stage
from reapaint_engine.protocol.version import __version__


class EchoBackend(Backend):
    """Fills every span with the sound that was there."""

    @property
    def info(self) -> BackendInfo:
        """Return the backend's info: any rate, channels and length; no field has an effect."""
        return BackendInfo(
            name="echo",
            description="returns its input; for measurements and tests",
            models=("echo",),
            default_model="echo",
            modes=(AUTO,),
            honours=(),
            max_window_s=3600.0,
            max_span_s=3600.0,
        )

    def generate(
        self, window: Window, params: GenerationParams, seeds: Sequence[int], control: JobControl
    ) -> Generation:
        """Return each span's own audio for every seed."""
        control.step(Stage.SAMPLE, 0.0)
        passages = tuple(
            Passage(span.start, window.audio[:, span.start : span.end], continuous=True)
            for span in window.spans
        )
        return Generation(
            fills=tuple(Fill(passages) for _ in seeds),
            model=params.model,
            model_revision=__version__,
            mode=AUTO,
        )
