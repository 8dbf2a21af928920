"""One loaded model: a window and its parameters in, new passages for its spans out."""

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from reapaint_engine.backends.base import (
    Fill,
    Generation,
    GenerationParams,
    JobControl,
    Passage,
    Window,
)
from reapaint_engine.backends.stable_audio_3.checkpoint.adapters import Adapter
from reapaint_engine.backends.stable_audio_3.checkpoint.checkpoint import Checkpoint
from reapaint_engine.backends.stable_audio_3.checkpoint.settings import Objective
from reapaint_engine.backends.stable_audio_3.device.graphs import LATENTS_MULTIPLE, GraphRunner
from reapaint_engine.backends.stable_audio_3.device.memory import (
    free,
    is_out_of_memory,
    out_of_memory,
    to_host,
)
from reapaint_engine.backends.stable_audio_3.device.placement import DevicePlan
from reapaint_engine.backends.stable_audio_3.inference.captured import sample_captured
from reapaint_engine.backends.stable_audio_3.inference.codec import Codec
from reapaint_engine.backends.stable_audio_3.inference.conditioning import (
    Conditioning,
    local_conditioning,
    make_conditioning,
)
from reapaint_engine.backends.stable_audio_3.inference.context_encoder import ContextEncoder
from reapaint_engine.backends.stable_audio_3.inference.geometry import (
    HEADROOM_S,
    LatentPlan,
    plan_latents,
)
from reapaint_engine.backends.stable_audio_3.inference.guidance import Guidance
from reapaint_engine.backends.stable_audio_3.inference.loading import Parts, load
from reapaint_engine.backends.stable_audio_3.inference.lora import AdapterStack
from reapaint_engine.backends.stable_audio_3.inference.noise import TakeNoise
from reapaint_engine.backends.stable_audio_3.inference.sampling import (
    DEFAULT_STEPS,
    log_snr_sigmas,
    noise_draws,
    sampler_for,
)
from reapaint_engine.backends.stable_audio_3.inference.self_test import check_parts
from reapaint_engine.backends.stable_audio_3.inference.text import TextEncoder
from reapaint_engine.backends.stable_audio_3.network.denoiser import Denoiser, PreparedJob
from reapaint_engine.backends.stable_audio_3.network.duration import embed_duration
from reapaint_engine.protocol.params import AUTO, MAX_TAKES
from reapaint_engine.protocol.progress import OnFraction, Stage
from reapaint_engine.protocol.spans import Span

_log = logging.getLogger(__name__)

ENCODED_FRACTION, SAMPLED_FRACTION = 0.15, 0.85
"""How much of a job is done after encoding, and after sampling."""

LOADED_FRACTION = 0.9
"""How much of loading is reading; the rest is the check of the device."""


def load_model(
    name: str,
    checkpoint: Checkpoint,
    plan: DevicePlan,
    on_progress: OnFraction,
    *,
    hide_replaced: bool = False,
) -> "LoadedModel":
    """Load a checkpoint, and see that its device computes it as it should.

    Raises
    ------
    JobError
        ``model_broken``, ``out_of_memory`` or ``device_failed``.
    """
    try:
        with torch.inference_mode():
            parts = load(checkpoint, plan, lambda fraction: on_progress(LOADED_FRACTION * fraction))
            check_parts(parts, plan, checkpoint.settings)
            model = LoadedModel(name, checkpoint, parts, plan, hide_replaced=hide_replaced)
            model.warm_up()
            on_progress(1.0)
            return model
    except (RuntimeError, MemoryError) as error:
        if is_out_of_memory(error):
            raise out_of_memory("for the model") from error
        raise


class LoadedModel:
    """A checkpoint on its device.

    Parameters
    ----------
    name
        What results call it.
    hide_replaced
        See ``ContextEncoder``.
    """

    def __init__(
        self,
        name: str,
        checkpoint: Checkpoint,
        parts: Parts,
        plan: DevicePlan,
        *,
        hide_replaced: bool = False,
    ) -> None:
        self.name = name
        self.checkpoint = checkpoint
        self.plan = plan
        self.settings = checkpoint.settings
        self.codec = Codec(parts.codec_module, self.settings.codec)
        self.denoiser = Denoiser(parts.transformer)
        self.text = TextEncoder(parts.tokenizer, parts.text_encoder, self.settings.max_tokens)
        self._parts = parts
        self._device = torch.device(plan.device)
        self._runner = GraphRunner(self._device)
        self._stack = AdapterStack(parts)
        self._adapters: tuple[Adapter, ...] = ()
        self._context = ContextEncoder(self.codec, self._device, hide_replaced=hide_replaced)
        self.takes_at_once = MAX_TAKES if plan.is_gpu else 1
        """A CPU is busy with one take, and each is then the same to the last bit."""

    def close(self) -> None:
        """Give the memory back; the model can't be used any more."""
        device = self._device
        self.__dict__.clear()
        free(device)

    def use_adapters(self, adapters: Sequence[tuple[Adapter, float]]) -> None:
        """Have these adapters act from now on, each with its strength, and no others.

        Raises
        ------
        JobError
            ``model_broken``: one of them is for another model; ``out_of_memory``: they don't
            fit. None acts then.
        """
        if self._stack.is_using(adapters):
            return
        self._runner.clear()
        self.denoiser.release()
        try:
            self._stack.use(adapters)
            self._adapters = tuple(adapter for adapter, _ in adapters)
        except BaseException as error:
            self._adapters = ()
            if is_out_of_memory(error):
                raise out_of_memory("for the adapters") from error
            raise
        finally:
            self.denoiser = Denoiser(self._parts.transformer)

    def warm_up(self) -> None:
        """Do a silent job, where the first one would else wait for kernels and graphs."""
        if not self._runner.captures:
            return
        began_s = time.monotonic()
        rate = self.settings.sample_rate
        frames = round((self.settings.trained_s - HEADROOM_S) * rate)
        window = Window(
            np.zeros((self.codec.channels, frames), np.float32),
            rate,
            (Span(frames // 2, frames // 2 + rate),),
            frames,
        )
        self.generate(window, GenerationParams(), [0], _Unwatched())
        _log.info("%s is warm after %.1f s", self.name, time.monotonic() - began_s)

    def generate(
        self, window: Window, params: GenerationParams, seeds: Sequence[int], control: JobControl
    ) -> Generation:
        """Do what ``Backend.generate`` documents.

        Raises
        ------
        JobError
            ``too_large``: the spans are longer than the model makes at once.
            ``out_of_memory``: not even one take fits.
        """
        with torch.inference_mode():
            job = self._prepare(window, params, control)
            fills = [fill for made in self._in_batches(job, seeds, control) for fill in made]
        return Generation(
            fills=tuple(fills),
            model=self.name,
            model_revision="+".join(
                [self.checkpoint.revision, *(each.revision for each in self._adapters)]
            ),
            mode=AUTO,
            warnings=(*job.warnings, *_guidance_warnings(params, self.settings.objective)),
            steps=job.steps,
            guidance=job.guidance.scale,
        )

    # Once a job

    def _prepare(self, window: Window, params: GenerationParams, control: JobControl) -> "_Job":
        settings, codec = self.settings, self.codec
        plan = plan_latents(
            window.spans,
            window.frames,
            hop=codec.hop,
            sample_rate=settings.sample_rate,
            max_frames=settings.max_frames,
            multiple=LATENTS_MULTIPLE if self._runner.captures else self.codec.alignment,
        )
        control.step(Stage.ENCODE, 0.0)
        guidance = Guidance.for_checkpoint(settings.objective, params.guidance)
        conditioning, warnings = self._condition(params, guidance, plan)
        mask = _mask(plan).to(self._device)
        latents = self._context.encode(
            window,
            plan,
            lambda fraction: control.step(Stage.ENCODE, ENCODED_FRACTION * fraction),
            is_whole=params.strength < 1,
        )
        steps = params.steps or DEFAULT_STEPS[settings.objective]
        sigmas = log_snr_sigmas(steps, params.strength)
        return _Job(
            plan=plan,
            spans=window.spans,
            mask=mask,
            latents=latents,
            prepared=self.denoiser.prepare(
                conditioning.context,
                conditioning.global_embed,
                local_conditioning(latents, mask),
                sigmas[:-1] or sigmas,
            ),
            guidance=guidance,
            steps=steps,
            sigmas=sigmas,
            warnings=warnings,
        )

    def _condition(
        self, params: GenerationParams, guidance: Guidance, plan: LatentPlan
    ) -> tuple[Conditioning, tuple[str, ...]]:
        prompt = self.text.encode(params.prompt)
        unheard = [prompt.unheard]
        negative = None
        if params.negative_prompt and guidance.branches == 2:
            encoded = self.text.encode(params.negative_prompt)
            negative = encoded.tokens.to(self._device)
            unheard.append(encoded.unheard)
        padding: Any = self._parts.transformer.prompt_padding_embedding
        duration_s = plan.heard.length / self.settings.sample_rate
        conditioning = make_conditioning(
            prompt.tokens.to(self._device),
            embed_duration(self._parts.duration_embedder, duration_s).to(self._device),
            padding,
            max_tokens=self.settings.max_tokens,
            branches=guidance.branches,
            negative=negative,
        )
        return conditioning, tuple(
            f"The model hears {self.settings.max_tokens} tokens; this went unheard: {text!r}."
            for text in unheard
            if text
        )

    # Once a batch of takes

    def _in_batches(
        self, job: "_Job", seeds: Sequence[int], control: JobControl
    ) -> Iterator[list[Fill]]:
        """Make all takes at once, or as many as fit the memory."""
        at_once, made = min(len(seeds), self.takes_at_once), 0
        while made < len(seeds):
            batch = seeds[made : made + at_once]
            try:
                yield self._make(job, batch, _Share(control, made, len(batch), len(seeds)))
                made += len(batch)
                continue
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                failure = error
            # Outside the except clause, which keeps the failed batch's tensors alive.
            if at_once == 1:
                raise out_of_memory("even for one take") from failure
            del failure
            self._runner.clear()
            free(self._device)
            at_once = (at_once + 1) // 2

    def _make(self, job: "_Job", seeds: Sequence[int], share: "_Share") -> list[Fill]:
        sampler = sampler_for(self.settings.objective)
        share.step(Stage.SAMPLE, ENCODED_FRACTION)
        shape = (self.codec.latent_dim, job.plan.latents)
        noise = TakeNoise(seeds, shape, noise_draws(sampler, job.sigmas), self._device)
        latents = sample_captured(
            self._runner,
            self.denoiser,
            job.prepared,
            noise,
            job.sigmas,
            sampler=sampler,
            guidance=job.guidance,
            initial=job.latents,
            on_step=lambda step: share.step(
                Stage.SAMPLE,
                ENCODED_FRACTION
                + (SAMPLED_FRACTION - ENCODED_FRACTION) * step / max(1, len(job.sigmas) - 1),
            ),
        )
        # What is kept is known: new audio then joins the true context, not its likeness.
        latents = torch.where(job.mask, latents, job.latents)
        passages = [self._decode(latents, job.plan, span, share) for span in job.spans]
        return [
            Fill(tuple(passages[index][take] for index in range(len(job.spans))))
            for take in range(len(seeds))
        ]

    def _decode(
        self, latents: Tensor, plan: LatentPlan, span: Span, share: "_Share"
    ) -> list[Passage]:
        """Return each take's passage for a span, with a latent more on each side."""
        mask = plan.mask_of(span)
        first, last = max(mask.start - 1, 0), min(mask.end + 1, plan.latents)
        share.step(Stage.DECODE, SAMPLED_FRACTION)
        audio = self.codec.decode_range(
            latents,
            first,
            last,
            lambda fraction: share.step(
                Stage.DECODE, SAMPLED_FRACTION + (1 - SAMPLED_FRACTION) * fraction
            ),
        )
        start = plan.heard.start + first * plan.hop
        return [Passage(start, np.ascontiguousarray(take)) for take in to_host(audio).numpy()]


class _Unwatched:
    """The control of a job that nobody waits for."""

    def step(self, stage: Stage, fraction: float) -> None:
        """Go on."""


@dataclass(frozen=True, slots=True)
class _Job:
    """What all takes of a job share."""

    plan: LatentPlan
    spans: tuple[Span, ...]
    mask: Tensor
    """Shape (latents,), True where the model makes something new."""
    latents: Tensor
    prepared: PreparedJob
    guidance: Guidance
    steps: int
    sigmas: list[float]
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Share:
    """One batch's part of a job's progress, once the context is encoded."""

    control: JobControl
    made: int
    batch: int
    takes: int

    def step(self, stage: Stage, fraction: float) -> None:
        """Report a fraction of the job as it would be with this batch alone."""
        done = (
            self.made + self.batch * (fraction - ENCODED_FRACTION) / (1 - ENCODED_FRACTION)
        ) / self.takes
        self.control.step(stage, ENCODED_FRACTION + (1 - ENCODED_FRACTION) * done)


def _mask(plan: LatentPlan) -> Tensor:
    mask = torch.zeros(plan.latents, dtype=torch.bool)
    for span in plan.masks:
        mask[span.start : span.end] = True
    mask[plan.heard_latents :] = True
    return mask


def _guidance_warnings(params: GenerationParams, objective: Objective) -> Iterator[str]:
    if objective is Objective.DISTILLED:
        for what, is_asked in (
            ("Guidance", params.guidance not in (None, 1.0)),
            ("A negative prompt", bool(params.negative_prompt)),
        ):
            if is_asked:
                yield (
                    f"{what} has no documented effect on a distilled model;"
                    " a model whose name ends in -base follows it."
                )
    elif params.negative_prompt and params.guidance == 1.0:
        yield "The negative prompt had no effect: that takes a guidance other than 1."
