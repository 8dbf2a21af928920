"""Plan the requests of a job, and adapt its parameters to the model."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from reapaint_engine.backends.base import GenerationParams, Window
from reapaint_engine.backends.hosted.errors import HostedError
from reapaint_engine.backends.hosted.paid_requests import digests
from reapaint_engine.backends.hosted.sections import Section, SpanTooLong, cut_section
from reapaint_engine.backends.hosted.service import Bounds, HostedModel, PaidRequest, Service
from reapaint_engine.backends.hosted.wav import encode_wav, safe_gain
from reapaint_engine.protocol.errors import PIECE_BY_PIECE, ErrorCode


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One request: its take and span, the audio to send, and its key in the journal.

    ``gain`` is the factor by which the window was turned down to fit into a file of integers.
    """

    take: int
    index: int
    section: Section
    gain: float
    request: PaidRequest
    key: str
    content: str


def plan_requests(
    service: Service,
    model: HostedModel,
    window: Window,
    params: GenerationParams,
    seeds: Sequence[int],
) -> tuple[list[Plan], list[str]]:
    """Return the requests of a job, take by take, and warnings about its parameters.

    Raises
    ------
    HostedError
        ``invalid_spans``: a span is longer than the model takes.
    """
    steps, guidance, warnings = _settings(service, model, params)
    sent_seeds = [_seed(service, model, seed, warnings) for seed in seeds]
    plans = []
    for index in range(len(window.spans)):
        section = _section(service, model, window, index)
        gain = safe_gain(section.audio)
        wav = encode_wav(section.audio * np.float32(gain), window.sample_rate)
        for take, (seed, sent_seed) in enumerate(zip(seeds, sent_seeds, strict=True)):
            request = PaidRequest(
                model=model,
                wav=wav,
                duration_s=section.frames / window.sample_rate,
                mask_start_s=round(section.mask.start / window.sample_rate, 6),
                mask_end_s=round(section.mask.end / window.sample_rate, 6),
                prompt=params.prompt,
                negative_prompt=params.negative_prompt if model.takes.has_negative_prompt else "",
                steps=steps,
                guidance=guidance,
                seed=sent_seed,
            )
            key, content = digests(service.name, request, seed)
            plans.append(
                Plan(
                    take=take,
                    index=index,
                    section=section,
                    gain=gain,
                    request=request,
                    key=key,
                    content=content,
                )
            )
    return sorted(plans, key=lambda plan: (plan.take, plan.index)), list(dict.fromkeys(warnings))


def honoured_fields(models: Sequence[HostedModel]) -> tuple[str, ...]:
    """Return the fields of a request that have an effect with any of the models."""
    takes = [model.takes for model in models]
    fields = ["prompt", "takes", "seed", "crossfade_s", "match_level"]
    if any(each.has_negative_prompt for each in takes):
        fields.append("negative_prompt")
    if any(each.steps for each in takes):
        fields.append("steps")
    if any(each.guidance for each in takes):
        fields.append("guidance")
    return tuple(fields)


def _settings(
    service: Service, model: HostedModel, params: GenerationParams
) -> tuple[int | None, float | None, list[str]]:
    """Return steps and guidance as the model takes them, and warnings.

    For fields that no model of the service takes, ``inpaint`` warns, as for every backend.
    """
    fields = honoured_fields(service.models)
    warnings: list[str] = []
    wanted = params.negative_prompt
    if wanted and not model.takes.has_negative_prompt and "negative_prompt" in fields:
        warnings.append(not_taken(service, model.name, "negative_prompt"))

    def fit(name: str, value: float | None, bounds: Bounds | None) -> float | None:
        if value is None:
            return None
        if bounds is None:
            if name in fields:
                warnings.append(not_taken(service, model.name, name))
            return None
        fitted = bounds.clamp(value)
        if fitted != value:
            warnings.append(
                f"{model.name} at {service.title} takes {name} from {bounds.low:g} to"
                f" {bounds.high:g}: {fitted:g} was sent instead of {value:g}."
            )
        return fitted

    steps = fit("steps", params.steps, model.takes.steps)
    guidance = fit("guidance", params.guidance, model.takes.guidance)
    return None if steps is None else int(steps), guidance, warnings


def not_taken(service: Service, model: str, field: str) -> str:
    """Return the warning that a model knows no such parameter."""
    return f"{model} at {service.title} takes no {field.replace('_', ' ')}: it had no effect."


def _seed(service: Service, model: HostedModel, seed: int, warnings: list[str]) -> int | None:
    bounds = model.takes.seed
    if bounds is None:
        warnings.append(
            f"{model.name} at {service.title} takes no seed: a new request will sound different."
        )
        return None
    if bounds.low <= seed <= bounds.high:
        return seed
    # Any other fixed seed will do, if it isn't that of the next take.
    sent = int(bounds.high) // 2 + (seed & 1)
    warnings.append(f"{service.title} takes no seed {seed}: {sent} was sent instead.")
    return sent


def _section(service: Service, model: HostedModel, window: Window, index: int) -> Section:
    try:
        return cut_section(window, index, model.takes)
    except SpanTooLong as error:
        length_s = window.spans[index].length / window.sample_rate
        raise HostedError(
            ErrorCode.INVALID_SPANS,
            f"A span of {length_s:.1f} s is longer than {model.name} at {service.title} takes:"
            f" {error.longest_s:.0f} s.",
            hint=PIECE_BY_PIECE,
        ) from error
