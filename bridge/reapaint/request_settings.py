"""What a person chooses for a job, from the command line, over HTTP or in REAPER."""

from dataclasses import dataclass

from reapaint_engine.protocol.errors import ErrorCode
from reapaint_engine.protocol.messages import InpaintRequest
from reapaint_engine.protocol.params import RequestParams, chosen_from, parameter
from reapaint_engine.protocol.spans import Span

MAX_TIME_S = 1e7
"""Four months of sound: what is beyond is a mistake."""
MAX_CONTEXT_S = 3600.0
"""No backend listens for so long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestSettings(RequestParams):
    """All that a person chooses; None means the engine's own default.

    ``context_s`` is the bridge's alone: it decides how large the window is.
    """

    context_s: float | None = parameter(
        None,
        title="Context",
        meaning="how much to hear on each side; by itself as long as the selection, at least 5",
        code=ErrorCode.INVALID_CONTEXT,
        low=0,
        high=MAX_CONTEXT_S,
        unit="seconds",
        if_open="enough",
    )

    def for_window(
        self,
        job_id: str,
        *,
        sample_rate: int,
        channels: int,
        audio_frames: int,
        window_frames: int,
        spans: tuple[Span, ...],
    ) -> InpaintRequest:
        """Return what is asked of the engine for one window of audio."""
        return InpaintRequest(
            job_id=job_id,
            sample_rate=sample_rate,
            channels=channels,
            audio_frames=audio_frames,
            window_frames=window_frames,
            spans=spans,
            **chosen_from(self),
        )
