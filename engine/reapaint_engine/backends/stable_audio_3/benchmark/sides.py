"""The two that are compared, each doing one and the same job."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from reapaint_engine.backends.base import Generation, GenerationParams, Window
from reapaint_engine.backends.stable_audio_3.benchmark.options import BenchOptions
from reapaint_engine.backends.stable_audio_3.benchmark.watch import Place, Watch
from reapaint_engine.backends.stable_audio_3.checkpoint.settings import ModelSettings
from reapaint_engine.backends.stable_audio_3.device.graphs import LATENTS_MULTIPLE
from reapaint_engine.backends.stable_audio_3.inference import pipeline
from reapaint_engine.backends.stable_audio_3.inference.codec import Codec
from reapaint_engine.backends.stable_audio_3.inference.geometry import LatentPlan, plan_latents
from reapaint_engine.backends.stable_audio_3.inference.pipeline import LoadedModel
from reapaint_engine.backends.stable_audio_3.inference.sampling import DEFAULT_STEPS
from reapaint_engine.protocol.arrays import Audio
from reapaint_engine.protocol.spans import Span

TEXT, ENCODE, PREPARE, SAMPLE, DECODE = "text", "encode", "prepare", "sample", "decode"
STAGES = (TEXT, ENCODE, PREPARE, SAMPLE, DECODE)

PROMPT = "a slow warm melody on an old upright piano, close and quiet, take"
"""Of a length that people write; a number behind it makes it another one."""

SOUND_RMS = 0.2


@dataclass(frozen=True, slots=True)
class BenchJob:
    """What both sides are asked: a window, what to put into its mask, and seeds."""

    plan: LatentPlan
    window: Window
    prompt: str
    seeds: tuple[int, ...]
    steps: int
    guidance: float

    @property
    def duration_s(self) -> float:
        """How long the window is."""
        return self.plan.heard.length / self.window.sample_rate

    def rerolled(self) -> "BenchJob":
        """Return the same place and prompt with seeds that are new."""
        return replace(self, seeds=tuple(seed + 1000 for seed in self.seeds))

    def reworded(self) -> "BenchJob":
        """Return the same place and seeds with another prompt."""
        return replace(self, prompt=f"{self.prompt} again")


def make_job(
    options: BenchOptions, settings: ModelSettings, device: torch.device, number: int
) -> BenchJob:
    """Return a job of its own sound and prompt, so that nothing of it is known before.

    Its latents are as many as our pipeline makes there.

    Raises
    ------
    JobError
        ``too_large``: the mask is longer than the model makes.
    """
    rate = settings.sample_rate
    mask = options.mask(rate)
    frames = round(options.window_s * rate)
    plan = plan_latents(
        (mask,),
        frames,
        hop=settings.codec.hop,
        sample_rate=rate,
        max_frames=settings.max_frames,
        multiple=LATENTS_MULTIPLE if device.type == "cuda" else 1,
    )
    # What the model could not hear would be another job for the stock pipeline.
    heard = plan.heard
    audio = _sound(number, settings.codec.audio_channels, frames)[:, heard.start : heard.end]
    window = Window(
        np.ascontiguousarray(audio), rate, (mask.shifted(-heard.start),), audio.shape[1]
    )
    return BenchJob(
        plan=replace(plan, heard=Span(0, heard.length)),
        window=window,
        prompt=f"{PROMPT} {number}",
        seeds=tuple(range(options.takes)),
        steps=options.steps or DEFAULT_STEPS[settings.objective],
        guidance=options.guidance,
    )


def _sound(number: int, channels: int, frames: int) -> Audio:
    noise = np.random.default_rng(number).standard_normal((channels, frames), dtype=np.float32)
    return SOUND_RMS * noise


class Ours:
    """ReaPaint's model, with the codec that is compared or with its own."""

    def __init__(self, model: LoadedModel) -> None:
        self._model = model

    @property
    def codec(self) -> Codec:
        """What it encodes and decodes with."""
        return self._model.codec

    def do(self, job: BenchJob, watch: Watch, places: Sequence[Place] | None = None) -> Generation:
        """Do a job, watched at all its places, or at those that are named."""
        with watch.watching(self.places() if places is None else places):
            return self._generate(job)

    def _generate(self, job: BenchJob) -> Generation:
        params = GenerationParams(prompt=job.prompt, steps=job.steps, guidance=job.guidance)
        return self._model.generate(job.window, params, job.seeds, _Unwatched())

    def places(self) -> Sequence[Place]:
        """Return where its stages can be timed."""
        model = self._model
        return (
            Place(model.text, "encode", TEXT),
            Place(model.codec, "encode_range", ENCODE),
            Place(model.denoiser, "prepare", PREPARE),
            Place(pipeline, "sample_captured", SAMPLE),
            Place(model.codec, "decode_range", DECODE),
        )


class Stock:
    """diffusers' ``StableAudio3InpaintPipeline``, called as its documentation calls it."""

    def __init__(self, pipe: Any, *, has_headroom: bool = True) -> None:
        self.pipe = pipe
        self._has_headroom = has_headroom

    def do(self, job: BenchJob, watch: Watch, places: Sequence[Place] | None = None) -> Any:
        """Do a job, watched at all its places, or at those that are named."""
        with watch.watching(self.places() if places is None else places):
            return self.generate(job)

    def generate(self, job: BenchJob, **more: Any) -> Any:
        """Return the whole window anew, a take for each seed, on the processor."""
        duration_s = job.duration_s
        mask = self._mask(job.plan)
        hop_s = job.plan.hop / job.window.sample_rate
        keywords: dict[str, Any] = {
            "prompt": job.prompt,
            "duration": duration_s,
            "audio": torch.from_numpy(job.window.audio)[None],
            "mask": mask,
            # Half a latent short, so that no rounding makes it one too many.
            "silence_padding_duration": max(0.0, (mask.shape[-1] - 0.5) * hop_s - duration_s),
            "num_inference_steps": job.steps,
            "num_waveforms_per_prompt": len(job.seeds),
            "generator": torch.Generator(self.pipe.device).manual_seed(job.seeds[0]),
            "output_type": "np",
        }
        return self.pipe(**(keywords | more)).audios

    def _mask(self, plan: LatentPlan) -> Tensor:
        """Return the mask in the pipeline's sense, 1 where the sound is kept."""
        mask = torch.zeros(1, 1, plan.latents if self._has_headroom else plan.heard_latents)
        for span in plan.kept:
            mask[..., span.start : span.end] = 1.0
        return mask

    def places(self) -> Sequence[Place]:
        """Return where its stages can be timed."""
        pipe = self.pipe
        return (
            Place(pipe, "encode_prompt", TEXT),
            Place(pipe.vae, "encode", ENCODE),
            Place(pipe.transformer, "forward", SAMPLE),
            Place(pipe.scheduler, "step", SAMPLE),
            Place(pipe.vae, "decode", DECODE),
        )

    def outer_places(self) -> Sequence[Place]:
        """Return what stands around sampling, which is then not made to wait between its steps."""
        return (Place(self.pipe.vae, "encode", ENCODE), Place(self.pipe.vae, "decode", DECODE))


Contestant = Ours | Stock


class _Unwatched:
    """The control of a job that nobody waits for."""

    def step(self, stage: str, fraction: float) -> None:
        """Go on."""
