"""Our own routes, which no service has: files by their ids, the models, health.

They answer and say errors as WaveSpeed's do: the page asks both.
"""

from functools import partial
from typing import Literal

import msgspec
from starlette.responses import FileResponse, Response

from reapaint.http.bodies import read_file
from reapaint.http.errors import not_found
from reapaint.http.gateway import Gateway
from reapaint.http.inputs import FORMATS, ParameterData, describe_parameters
from reapaint.http.models import OWN_PREFIX, model_paths
from reapaint.http.routes import Call, Route, ServiceError
from reapaint.http.shapes.wavespeed import Enveloped, WaveSpeedError
from reapaint_engine.protocol.version import __version__

ERRORS_AS: type[ServiceError] = WaveSpeedError


# Requests and answers


class Kept(msgspec.Struct):
    """A file that was kept."""

    id: str
    url: str
    size: int


class Media(msgspec.Struct, kw_only=True):
    """What is in a file: masks may reach to ``duration_s``, and beyond to make it longer."""

    id: str
    filename: str
    size: int
    duration_s: float
    sample_rate: int
    channels: int
    frames: int
    warnings: list[str]


class MediaEnvelope(Enveloped[Media]):
    """What is in a file."""


class BackendData(msgspec.Struct, kw_only=True):
    """What a backend of the engine can do."""

    path: str
    name: str
    description: str
    models: list[str]
    default_model: str
    modes: list[str]
    honours: list[str]
    max_mask_s: float
    max_window_s: float
    sample_rate: int | None
    channels: int | None


class ModelsData(msgspec.Struct, kw_only=True):
    """Every model path, and what does the work behind them."""

    paths: list[str]
    default_backend: str
    backends: list[BackendData]
    formats: list[str]
    parameters: list[ParameterData]
    max_upload_bytes: int
    max_duration_s: float


class ModelsEnvelope(Enveloped[ModelsData]):
    """What there is."""


class Health(msgspec.Struct, kw_only=True):
    """Whether the server does its work."""

    status: Literal["ok", "no_engine"]
    version: str
    waiting: int


# Handlers


async def _put_file(gateway: Gateway, call: Call) -> Kept:
    place = gateway.store.take_place(call.word("place"))
    if place is None:
        raise not_found("such place to upload to", "It was used, or given up: ask for a new one.")
    async with gateway.uploads:
        with gateway.store.receive(place.name, place.file_id) as incoming:
            file = await read_file(call.request, incoming, gateway.config.limits)
    return Kept(file.file_id, gateway.link(file, call.base_url), file.size)


async def _get_file(gateway: Gateway, call: Call) -> Response:
    file = gateway.find_file(call.word("id"))
    return FileResponse(
        file.path,
        media_type=file.media_type,
        filename=file.name,
        content_disposition_type="inline",
        headers={"Cache-Control": "private, max-age=3600"},
    )


async def _media(gateway: Gateway, call: Call) -> MediaEnvelope:
    file = gateway.find_file(call.word("id"))
    info = await gateway.runner.look(file)
    media = Media(
        id=file.file_id,
        filename=file.name,
        size=file.size,
        duration_s=info.duration_s,
        sample_rate=info.sample_rate,
        channels=info.channels,
        frames=info.frames,
        warnings=list(info.warnings),
    )
    return MediaEnvelope(data=media)


async def _models(gateway: Gateway, _call: Call) -> ModelsEnvelope:
    welcome, limits = gateway.engine.welcome, gateway.config.limits
    backends = [
        BackendData(
            path=f"{OWN_PREFIX}{each.name}",
            name=each.name,
            description=each.description,
            models=list(each.models),
            default_model=each.default_model,
            modes=list(each.modes),
            honours=list(each.honours),
            max_mask_s=each.max_span_s,
            max_window_s=each.max_window_s,
            sample_rate=each.sample_rate,
            channels=each.channels,
        )
        for each in welcome.backends
    ]
    return ModelsEnvelope(
        data=ModelsData(
            paths=model_paths(welcome),
            default_backend=welcome.default_backend,
            backends=backends,
            formats=list(FORMATS),
            parameters=describe_parameters(),
            max_upload_bytes=limits.max_upload_bytes,
            max_duration_s=limits.max_duration_s,
        )
    )


async def _health(gateway: Gateway, _call: Call) -> Health:
    return Health(
        status="no_engine" if gateway.engine.trouble else "ok",
        version=__version__,
        waiting=len(gateway.predictions.active),
    )


# Routes

_route = partial(Route, errors_as=ERRORS_AS)

ROUTES = (
    _route(
        "GET", "/api/v3/media/{id}", name="reapaintMedia",
        summary="What is in a file that was uploaded",
        handler=_media, answer=MediaEnvelope, errors=(400, 404, 503),
    ),
    _route(
        "GET", "/api/v3/models", name="reapaintModels", summary="Models, backends and limits",
        handler=_models, answer=ModelsEnvelope,
    ),
    _route(
        "PUT", "/uploads/{place}", name="putUpload",
        summary="Send a file to a place that was asked for", is_open=True,
        handler=_put_file, upload="bytes", answer=Kept, errors=(400, 404, 408, 413, 507),
    ),
    _route(
        "GET", "/files/{id}/{name}", name="getFile", summary="A result or an upload", is_open=True,
        handler=_get_file, answer=None, errors=(404, 416),
    ),
    _route(
        "GET", "/health", name="health", summary="Whether the server does its work", is_open=True,
        handler=_health, answer=Health,
    ),
)  # fmt: skip
