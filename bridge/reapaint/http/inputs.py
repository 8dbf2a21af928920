"""What every API's input has of ours, and how an input becomes what is asked for."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from reapaint.http.addresses import parse_url
from reapaint.http.errors import bad_request
from reapaint.http.fetching import Network
from reapaint.http.models import ModelChoice
from reapaint.http.predictions import PredictionRequest, Shape
from reapaint.request_settings import MAX_TIME_S, RequestSettings
from reapaint_engine.protocol.requests import (
    MAX_CROSSFADE_S,
    MAX_GUIDANCE,
    MAX_PROMPT_CHARACTERS,
    MAX_SEED,
    MAX_STEPS,
    MAX_TAKES,
)

MAX_MASKS = 100
GIVEN_CHARACTERS = 200
"""How much of a long text is repeated in answers."""

Format = Literal["mp3", "wav", "flac", "ogg", "opus", "m4a", "aac"]
Text = Annotated[str, Meta(max_length=MAX_PROMPT_CHARACTERS)]
Name = Annotated[str, Meta(max_length=200)]
Seconds = Annotated[float, Meta(ge=0, le=MAX_TIME_S)]
Steps = Annotated[int, Meta(ge=1, le=MAX_STEPS)]
Guidance = Annotated[float, Meta(ge=0, le=MAX_GUIDANCE)]
Mask = tuple[Seconds, Seconds]

AUDIO = Meta(
    min_length=1,
    description="An uploaded file's address or id, a data: URI, or an http(s) address.",
)


class OwnFields(msgspec.Struct, kw_only=True):
    """What ReaPaint takes beyond a service's own inputs; all may be left out."""

    prompt: Annotated[Text, Meta(description="What should be there; empty: the surroundings.")] = ""
    negative_prompt: Annotated[Text, Meta(description="What to avoid.")] = ""
    num_inference_steps: Annotated[
        Steps | None, Meta(description="Left out: as many as suit the model.")
    ] = None
    guidance_scale: Annotated[
        Guidance | None, Meta(description="Left out: what suits the model.")
    ] = None
    output_format: Annotated[
        Format, Meta(description="wav and flac keep all outside the masks exactly.")
    ] = "mp3"
    seed: Annotated[int, Meta(ge=0, le=MAX_SEED)] | None = None
    takes: Annotated[int, Meta(ge=1, le=MAX_TAKES, description="Variations, one file each.")] = 1
    masks: Annotated[
        list[Mask],
        Meta(max_length=MAX_MASKS, description="[start, end] in seconds; in the mask's stead."),
    ] = []
    crossfade: Annotated[
        Annotated[float, Meta(ge=0, le=MAX_CROSSFADE_S)] | None,
        Meta(description="Seconds, inside each edge."),
    ] = None
    context: Annotated[Seconds | None, Meta(description="Seconds that are heard on each side.")] = (
        None
    )
    strength: Annotated[
        float, Meta(ge=0, le=1, description="1 repaints; less keeps more of what was there.")
    ] = 1.0
    match_level: Annotated[bool, Meta(description="Bring new sound to the old one's level.")] = True
    mode: Annotated[Name, Meta(description="How the backend goes about it.")] = "auto"
    backend: Annotated[Name, Meta(description="What fills the masks.")] | None = None
    model: Annotated[Name, Meta(description="Which of the backend's models.")] | None = None
    enable_base64_output: Annotated[
        bool, Meta(description="Outputs are data: URIs in place of addresses.")
    ] = False


def make_request(
    shape: Shape,
    path: str,
    fields: OwnFields,
    *,
    audio: str,
    mask: tuple[float, float] | None,
    choice: ModelChoice,
    base_url: str,
    given: dict[str, Any],
    webhook_url: str,
    webhook_secret: str = "",
    network: Network,
) -> PredictionRequest:
    """Return what an input asks for.

    Parameters
    ----------
    mask
        In seconds, where no ``masks`` are given; None where that is a mistake.

    Raises
    ------
    Refused
        400: a mask ends before it begins, there is none, or the webhook is not allowed.
    """
    masks: list[Mask] = fields.masks or ([mask] if mask is not None else [])
    if not masks:
        raise bad_request(
            "No mask says what to repaint.",
            "Give where it starts and ends in seconds, or several in `masks`.",
            "invalid_time",
        )
    for start_s, end_s in masks:
        if end_s <= start_s:
            raise bad_request(
                f"The mask's end, {end_s:g} s, is not after its start, {start_s:g} s.",
                "Give an end that is later.",
                "invalid_time",
            )
    if webhook_url:
        parse_url(webhook_url, network.allowed_hosts)
    return PredictionRequest(
        shape=shape,
        model=path,
        audio=audio,
        selections_s=tuple(sorted(masks)),
        settings=_settings(fields, choice),
        output_format=fields.output_format,
        base_url=base_url,
        given={name: _shortened(given[name]) for name in fields.__struct_fields__ if name in given},
        is_alias=choice.is_alias,
        wants_base64=fields.enable_base64_output,
        webhook_url=webhook_url,
        webhook_secret=webhook_secret,
    )


def _settings(fields: OwnFields, choice: ModelChoice) -> RequestSettings:
    return RequestSettings(
        prompt=fields.prompt,
        negative_prompt=fields.negative_prompt,
        steps=fields.num_inference_steps,
        guidance=fields.guidance_scale,
        seed=fields.seed,
        takes=fields.takes,
        strength=fields.strength,
        crossfade_s=fields.crossfade,
        context_s=fields.context,
        match_level=fields.match_level,
        mode=fields.mode,
        backend=choice.backend,
        model=choice.model,
    )


def _shortened(value: object) -> object:
    """Return what came as it can be repeated in answers: without a whole recording in it."""
    if isinstance(value, str) and len(value) > GIVEN_CHARACTERS and value[:5].lower() == "data:":
        return f"{value[:40]}... ({len(value)} characters)"
    return value
