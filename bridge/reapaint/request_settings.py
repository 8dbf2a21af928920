"""What a person chooses for a job, from the command line or in REAPER."""

from dataclasses import dataclass

from reapaint_engine.protocol.messages import InpaintRequest
from reapaint_engine.protocol.spans import Span

MAX_TIME_S = 1e7
"""Four months of sound: what is beyond is a mistake."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestSettings:
    """The request's fields that are a person's; None means the engine's own default.

    ``context_s`` is the bridge's alone: it decides how large the window is.
    """

    prompt: str = ""
    negative_prompt: str = ""
    steps: int | None = None
    guidance: float | None = None
    seed: int | None = None
    takes: int = 1
    strength: float = 1.0
    crossfade_s: float | None = None
    context_s: float | None = None
    match_level: bool = True
    mode: str = "auto"
    backend: str | None = None
    model: str | None = None
    max_cost: float | None = None

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
            prompt=self.prompt,
            negative_prompt=self.negative_prompt,
            steps=self.steps,
            guidance=self.guidance,
            seed=self.seed,
            takes=self.takes,
            strength=self.strength,
            crossfade_s=self.crossfade_s,
            match_level=self.match_level,
            mode=self.mode,
            backend=self.backend,
            model=self.model,
            max_cost=self.max_cost,
        )
