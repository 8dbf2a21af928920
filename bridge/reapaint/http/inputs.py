"""What every API's input has of ours, and how an input becomes what is asked for."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

import msgspec
from msgspec import Meta

from reapaint.errors import BridgeCode
from reapaint.http.addresses import parse_url
from reapaint.http.errors import bad_request
from reapaint.http.fetching import Network
from reapaint.http.models import ModelChoice, choose_model
from reapaint.http.predictions import PredictionRequest, Webhook
from reapaint.request_settings import MAX_TIME_S, RequestSettings
from reapaint_engine.protocol.messages import Welcome
from reapaint_engine.protocol.params import (
    MAX_NAME_CHARACTERS,
    Parameter,
    SchemaType,
    parameters,
)

MAX_MASKS = 100
GIVEN_CHARACTERS = 200
"""How much of a long text is repeated in answers."""

Format = Literal["mp3", "wav", "flac", "ogg", "opus", "m4a", "aac"]
FORMATS: tuple[Format, ...] = get_args(Format)
Name = Annotated[str, Meta(max_length=MAX_NAME_CHARACTERS)]
Seconds = Annotated[float, Meta(ge=0, le=MAX_TIME_S)]
Mask = tuple[Seconds, Seconds]

AUDIO = Meta(
    min_length=1,
    description="An uploaded file's address or id, a data: URI, or an http(s) address.",
)

SERVICES_NAMES = {"steps": "num_inference_steps", "guidance": "guidance_scale"}
"""What the services call a parameter, where that is not our name."""


def http_name(parameter: Parameter) -> str:
    """Return the name that a parameter has in HTTP inputs."""
    return SERVICES_NAMES.get(parameter.name, parameter.short_name)


class ParameterData(msgspec.Struct, kw_only=True):
    """What a form shows of a parameter.

    ``field`` is its name in inputs, ``name`` the one that backends say they honour.
    """

    name: str
    field: str
    title: str
    meaning: str
    type: SchemaType
    optional: bool
    if_open: str
    default: str | float | bool | None
    low: float | None
    high: float | None
    max_characters: int | None
    needs_backend: bool


def describe_parameters() -> list[ParameterData]:
    """Return all parameters of a request, for clients that make a form of them."""
    return [
        ParameterData(
            name=name,
            field=http_name(each),
            title=each.full_title,
            meaning=each.meaning,
            type=each.schema_type,
            optional=each.is_optional,
            if_open=each.if_open,
            default=each.default,
            low=each.low,
            high=each.high,
            max_characters=each.max_characters,
            needs_backend=each.needs_backend,
        )
        for name, each in parameters(RequestSettings).items()
    ]


def _as_field(parameter: Parameter) -> tuple[str, Any, Any]:
    """Return a parameter as msgspec takes a field: its name, type and default."""
    limits: dict[str, Any] = {
        "ge": parameter.low,
        "le": parameter.high,
        "max_length": parameter.max_characters,
    }
    given = Meta(**{name: limit for name, limit in limits.items() if limit is not None})
    plain: Any = Annotated[parameter.type, given]
    kind = plain | None if parameter.is_optional else plain
    left_open = f" Left out: {parameter.if_open}." if parameter.if_open else ""
    description = f"{parameter.full_title}: {parameter.meaning}.{left_open}"
    return http_name(parameter), Annotated[kind, Meta(description=description)], parameter.default


if TYPE_CHECKING:

    class _Parameters(msgspec.Struct, kw_only=True):
        backend: str | None
        model: str | None
else:
    _Parameters = msgspec.defstruct(
        "_Parameters",
        [_as_field(each) for each in parameters(RequestSettings).values()],
        kw_only=True,
    )


class OwnFields(_Parameters, kw_only=True):
    """What ReaPaint takes beyond a service's own inputs; all may be left out."""

    output_format: Annotated[
        Format, Meta(description="wav and flac keep all outside the masks exactly.")
    ] = "mp3"
    masks: Annotated[
        list[Mask],
        Meta(
            max_length=MAX_MASKS, description="[start, end] in seconds; used instead of the mask."
        ),
    ] = msgspec.field(default_factory=list)
    enable_base64_output: Annotated[
        bool, Meta(description="Outputs are data: URIs in place of addresses.")
    ] = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceInput:
    """What a client asked for in a service's own words.

    ``model`` is the path it was asked under, ``given`` the input as it came. ``mask`` is in
    seconds and counts where the fields have no ``masks``; None: then there must be some.
    """

    model: str
    fields: OwnFields
    given: dict[str, Any]
    audio: str
    mask: tuple[float, float] | None
    webhook: Webhook


def make_request(
    asked: ServiceInput, *, base_url: str, welcome: Welcome, network: Network
) -> PredictionRequest:
    """Return what an input asks for, for what an engine can do.

    Raises
    ------
    Refused
        404: there is no such model path; 400: no such backend or model, a mask ends before
        it begins, there is none, or the webhook is not allowed.
    """
    fields = asked.fields
    choice = choose_model(asked.model, fields.backend, fields.model, welcome)
    masks: list[Mask] = fields.masks or ([asked.mask] if asked.mask is not None else [])
    if not masks:
        raise bad_request(
            "No mask says what to repaint.",
            "Give where it starts and ends in seconds, or several in `masks`.",
            BridgeCode.INVALID_TIME,
        )
    for start_s, end_s in masks:
        if end_s <= start_s:
            raise bad_request(
                f"The mask's end, {end_s:g} s, is not after its start, {start_s:g} s.",
                "Give an end that is later.",
                BridgeCode.INVALID_TIME,
            )
    if asked.webhook.url:
        parse_url(asked.webhook.url, network.allowed_hosts)
    given = asked.given
    return PredictionRequest(
        model=asked.model,
        audio=asked.audio,
        selections_s=tuple(sorted(masks)),
        settings=_settings(fields, choice),
        output_format=fields.output_format,
        base_url=base_url,
        given={name: _shortened(given[name]) for name in fields.__struct_fields__ if name in given},
        webhook=asked.webhook,
        is_alias=choice.is_alias,
        wants_base64=fields.enable_base64_output,
    )


def _settings(fields: OwnFields, choice: ModelChoice) -> RequestSettings:
    chosen = {
        name: getattr(fields, http_name(parameter))
        for name, parameter in parameters(RequestSettings).items()
    }
    return RequestSettings(**chosen | {"backend": choice.backend, "model": choice.model})


def _shortened(value: object) -> object:
    """Return what came as it can be repeated in answers: without a whole recording in it."""
    if isinstance(value, str) and len(value) > GIVEN_CHARACTERS and value[:5].lower() == "data:":
        return f"{value[:40]}... ({len(value)} characters)"
    return value
