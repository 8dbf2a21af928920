"""WaveSpeed's API, version 3: submit, upload, poll, list, webhooks.

Notes
-----
Its documentation and the clients on PyPI and npm (2.0.5 and 0.3.2). The clients take only
status 200 for a submission, and read ``data`` of every envelope. Cancel, delete,
what is in a file, the models' list and all fields from ``progress`` on are ReaPaint's own.
"""

from datetime import UTC, datetime, timedelta
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from reapaint.http import webhooks
from reapaint.http.bodies import read_multipart
from reapaint.http.gateway import Gateway
from reapaint.http.inputs import (
    AUDIO,
    FORMATS,
    Name,
    OwnFields,
    ParameterData,
    Seconds,
    describe_parameters,
    make_request,
)
from reapaint.http.models import OWN_PREFIX, WAVESPEED_PATHS, choose_model, model_paths
from reapaint.http.predictions import Prediction, Shape, State
from reapaint.http.routes import Call, Route
from reapaint.http.store import StoredFile
from reapaint.repaint import Output

SYNC_TIMED_OUT = 5004
"""What the clients know a wait by that took too long."""

Status = Literal["created", "processing", "completed", "failed", "cancelled"]

_STATUSES: dict[State, Status] = {
    State.QUEUED: "created",
    State.RUNNING: "processing",
    State.DONE: "completed",
    State.FAILED: "failed",
    State.CANCELLED: "cancelled",
}


class Input(OwnFields, kw_only=True):
    """What to repaint, and how."""

    audio: Annotated[str, AUDIO]
    mask_start_seconds: Seconds = 0.0
    mask_end_seconds: Annotated[Seconds, Meta(description="Must be greater than the start.")] = 5.0
    enable_sync_mode: Annotated[bool, Meta(description="Answer when the prediction has ended.")] = (
        False
    )


class SubmitQuery(msgspec.Struct):
    """Where to tell of the end."""

    webhook: Annotated[str, Meta(max_length=4096)] = ""


class Urls(msgspec.Struct):
    """Where more can be had."""

    get: str
    cancel: str


class Timings(msgspec.Struct):
    """In milliseconds."""

    inference: int


class Progress(msgspec.Struct):
    """How far it is; ``position`` counts those that were asked for before."""

    stage: str
    fraction: Annotated[float, Meta(ge=0, le=1)]
    position: Annotated[int, Meta(ge=0)]


class SeamData(msgspec.Struct):
    """How one edge of one mask came out."""

    at_s: float
    side: Literal["left", "right"]
    level_step_db: float
    click_ratio: float
    crossfade_law: str
    crossfade_frames: int
    correlation: float


class TakeData(msgspec.Struct):
    """One variation."""

    url: str
    seed: int
    size: int
    seams: list[SeamData]


class PredictionData(msgspec.Struct, kw_only=True):
    """A prediction; from ``progress`` on the fields are ReaPaint's own."""

    id: str
    model: str
    input: dict[str, Any]
    outputs: list[str]
    urls: Urls
    has_nsfw_contents: list[bool]
    status: Status
    created_at: str
    error: str
    executionTime: int  # noqa: N815 - WaveSpeed's name
    timings: Timings
    progress: Progress
    error_code: str
    takes: list[TakeData]
    backend: str
    engine_model: str
    model_revision: str
    mode: str
    warnings: list[str]
    notes: list[str]
    expires_at: str
    code: int | UnsetType = UNSET
    """Only of a wait that took too long: 5004."""


class Envelope(msgspec.Struct, kw_only=True):
    """What every answer comes in."""

    data: PredictionData
    code: int = 200
    message: str = "success"


class ListQuery(msgspec.Struct, kw_only=True):
    """Which predictions to list."""

    page: Annotated[int, Meta(ge=1, le=1_000_000)] = 1
    page_size: Annotated[int, Meta(ge=1, le=100)] = 100
    model: Name | None = None
    status: Status | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None


class Page(msgspec.Struct):
    """Some predictions, the latest first."""

    page: int
    total: int
    items: list[PredictionData]


class PageEnvelope(msgspec.Struct, kw_only=True):
    """A page of predictions."""

    data: Page
    code: int = 200
    message: str = "success"


class Uploaded(msgspec.Struct, kw_only=True):
    """A file that was kept; ``id`` can be given as audio as well."""

    type: str
    id: str
    download_url: str
    filename: str
    size: int


class UploadedEnvelope(msgspec.Struct, kw_only=True):
    """A file that was kept."""

    data: Uploaded
    code: int = 200
    message: str = "success"


class UploadRequest(msgspec.Struct, kw_only=True):
    """A file that is about to be sent."""

    filename: Annotated[str, Meta(max_length=1000)] = ""
    size: Annotated[int, Meta(ge=0)] | None = None
    content_type: Name = ""


class PutInstruction(msgspec.Struct, kw_only=True):
    """How to send it."""

    method: Literal["PUT"] = "PUT"
    url: str
    headers: dict[str, str]


class UploadPlace(msgspec.Struct, kw_only=True):
    """Where to send a file, and where it will be; the place waits for 15 minutes."""

    upload: PutInstruction
    id: str
    download_url: str


class UploadPlaceEnvelope(msgspec.Struct, kw_only=True):
    """Where to send a file."""

    data: UploadPlace
    code: int = 200
    message: str = "success"


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


class MediaEnvelope(msgspec.Struct, kw_only=True):
    """What is in a file."""

    data: Media
    code: int = 200
    message: str = "success"


class SecretData(msgspec.Struct):
    """What webhooks are signed with."""

    secret: str


class SecretEnvelope(msgspec.Struct, kw_only=True):
    """What webhooks are signed with."""

    data: SecretData
    code: int = 200
    message: str = "success"


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


class ModelsEnvelope(msgspec.Struct, kw_only=True):
    """What there is."""

    data: ModelsData
    code: int = 200
    message: str = "success"


class Nothing(msgspec.Struct):
    """Nothing more to say."""


class DoneEnvelope(msgspec.Struct, kw_only=True):
    """It was done."""

    data: Nothing
    code: int = 200
    message: str = "success"


# Predictions


async def _submit(gateway: Gateway, call: Call) -> Envelope:
    path = call.path.removeprefix("/api/v3/")
    body: Input = call.body
    request = make_request(
        Shape.WAVESPEED,
        path,
        body,
        audio=body.audio,
        mask=(body.mask_start_seconds, body.mask_end_seconds),
        choice=choose_model(path, body.backend, body.model, gateway.engine.welcome),
        base_url=call.base_url,
        given=call.given,
        webhook_url=call.query.webhook,
        network=gateway.network,
    )
    prediction = await gateway.submit(request)
    if not body.enable_sync_mode:
        return await _envelope(gateway, prediction, call.base_url)
    limit_s = gateway.config.limits.sync_timeout_s
    is_over = await gateway.wait(prediction, limit_s)
    envelope = await _envelope(gateway, prediction, call.base_url)
    if not is_over:
        envelope.data.code = SYNC_TIMED_OUT
        envelope.data.error = (
            f"Sync mode timed out after {limit_s:g} s; the prediction goes on, and its result"
            f" will be at {envelope.data.urls.get}."
        )
    return envelope


async def _get(gateway: Gateway, call: Call) -> Envelope:
    return await _envelope(gateway, gateway.find(call.word("id")), call.base_url)


async def _cancel(gateway: Gateway, call: Call) -> Envelope:
    prediction = gateway.find(call.word("id"))
    prediction.cancel()
    return await _envelope(gateway, prediction, call.base_url)


async def _delete(gateway: Gateway, call: Call) -> DoneEnvelope:
    gateway.delete(gateway.find(call.word("id")))
    return DoneEnvelope(data=Nothing())


async def _list(gateway: Gateway, call: Call) -> PageEnvelope:
    asked: ListQuery = call.body if call.body is not None else call.query
    found = [each for each in reversed(tuple(gateway.predictions)) if _is_asked(each, asked)]
    first = (asked.page - 1) * asked.page_size
    items = [
        describe(gateway, each, call.base_url, _links(gateway, each, call.base_url))
        for each in found[first : first + asked.page_size]
    ]
    return PageEnvelope(data=Page(asked.page, len(found), items))


def _is_asked(prediction: Prediction, asked: ListQuery) -> bool:
    after, before = asked.created_after, asked.created_before
    return (
        asked.model in (None, prediction.request.model)
        and asked.status in (None, _STATUSES[prediction.state])
        and (after is None or prediction.created_at >= _aware(after))
        and (before is None or prediction.created_at <= _aware(before))
    )


def _aware(time: datetime) -> datetime:
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def webhook_content(
    gateway: Gateway, prediction: Prediction, outputs: tuple[str, ...]
) -> msgspec.Struct:
    """Return what a webhook says: the prediction, without an envelope."""
    return describe(gateway, prediction, prediction.request.base_url, outputs)


async def _envelope(gateway: Gateway, prediction: Prediction, base_url: str) -> Envelope:
    outputs = await gateway.outputs(prediction, base_url)
    return Envelope(data=describe(gateway, prediction, base_url, outputs))


def _links(gateway: Gateway, prediction: Prediction, base_url: str) -> tuple[str, ...]:
    return tuple(gateway.link(take.file, base_url) for take in prediction.takes)


def describe(
    gateway: Gateway, prediction: Prediction, base_url: str, outputs: tuple[str, ...]
) -> PredictionData:
    """Return a prediction as answers show it."""
    report, error = prediction.report, prediction.error
    url = f"{base_url}/api/v3/predictions/{prediction.prediction_id}"
    run_ms = round(prediction.run_s * 1000)
    keep = timedelta(seconds=gateway.config.limits.keep_s)
    return PredictionData(
        id=prediction.prediction_id,
        model=prediction.request.model,
        input=prediction.request.given,
        outputs=list(outputs),
        urls=Urls(get=f"{url}/result", cancel=f"{url}/cancel"),
        has_nsfw_contents=[False] * len(outputs),
        status=_STATUSES[prediction.state],
        created_at=prediction.created_at.isoformat().replace("+00:00", "Z"),
        error=str(error) if error else "",
        executionTime=run_ms,
        timings=Timings(run_ms),
        progress=Progress(
            prediction.stage,
            round(prediction.fraction, 4),
            gateway.predictions.position(prediction),
        ),
        error_code=error.code if error else "",
        takes=[
            TakeData(
                gateway.link(take.file, base_url),
                take.output.seed,
                take.file.size,
                _seams(take.output),
            )
            for take in prediction.takes
        ],
        backend=report.backend if report else "",
        engine_model=report.model if report else "",
        model_revision=report.model_revision if report else "",
        mode=report.mode if report else "",
        warnings=[*(report.warnings if report else ()), *prediction.warnings],
        notes=list(report.notes) if report else [],
        expires_at=(prediction.created_at + keep).isoformat().replace("+00:00", "Z"),
    )


def _seams(output: Output) -> list[SeamData]:
    return [
        SeamData(
            at_s=seam.at_s,
            side=seam.report.side.value,
            level_step_db=seam.report.level_step_db,
            click_ratio=seam.report.click_ratio,
            crossfade_law=seam.report.crossfade_law,
            crossfade_frames=seam.report.crossfade_frames,
            correlation=seam.report.correlation,
        )
        for seam in output.seams
    ]


# Files


async def _upload_binary(gateway: Gateway, call: Call) -> UploadedEnvelope:
    async with gateway.uploads:
        file = await read_multipart(call.request, gateway.store, gateway.config.limits)
    return UploadedEnvelope(data=_uploaded(gateway, file, call.base_url))


def _uploaded(gateway: Gateway, file: StoredFile, base_url: str) -> Uploaded:
    return Uploaded(
        type=file.media_type.partition("/")[0] if file.media_type.startswith("audio") else "file",
        id=file.file_id,
        download_url=gateway.link(file, base_url),
        filename=file.name,
        size=file.size,
    )


async def _upload_place(gateway: Gateway, call: Call) -> UploadPlaceEnvelope:
    upload: UploadRequest = call.body
    name = PurePosixPath(upload.filename).name
    place = gateway.store.reserve(name, upload.size)
    headers = {"Content-Type": upload.content_type} if _is_plain(upload.content_type) else {}
    instruction = PutInstruction(url=f"{call.base_url}/uploads/{place.secret}", headers=headers)
    link = f"{call.base_url}/files/{place.file_id}/{place.name}"
    return UploadPlaceEnvelope(
        data=UploadPlace(upload=instruction, id=place.file_id, download_url=link)
    )


async def _media(gateway: Gateway, call: Call) -> MediaEnvelope:
    file = gateway.find_file(call.word("id"))
    info = await gateway.runner.look(file)
    return MediaEnvelope(
        data=Media(
            id=file.file_id,
            filename=file.name,
            size=file.size,
            duration_s=info.duration_s,
            sample_rate=info.sample_rate,
            channels=info.channels,
            frames=info.frames,
            warnings=list(info.warnings),
        )
    )


def _is_plain(content_type: str) -> bool:
    """Whether a header can hold it: the client is asked to send it back."""
    return bool(content_type) and content_type.isascii() and content_type.isprintable()


# The rest


async def _secret(_gateway: Gateway, _call: Call) -> SecretEnvelope:
    return SecretEnvelope(data=SecretData(webhooks.load_secret()))


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


def _submit_route(path: str, name: str, summary: str) -> Route:
    return Route(
        method="POST",
        path=f"/api/v3/{path}",
        name=name,
        summary=summary,
        handler=_submit,
        errors_as=Shape.WAVESPEED,
        body=Input,
        query=SubmitQuery,
        answer=Envelope,
        errors=(400, 404, 408, 413, 415, 429, 503),
    )


def _route(
    method: str, path: str, name: str, summary: str, handler: Any, answer: Any, **more: Any
) -> Route:
    return Route(
        method=method,
        path=f"/api/v3/{path}",
        name=name,
        summary=summary,
        handler=handler,
        answer=answer,
        errors_as=Shape.WAVESPEED,
        **more,
    )


ROUTES = (
    *(
        _submit_route(path, "wavespeedSubmit", "Repaint stretches of a recording")
        for path in WAVESPEED_PATHS
    ),
    _submit_route("reapaint/{backend}", "wavespeedSubmitTo", "Repaint with a certain backend"),
    _submit_route(
        "reapaint/{backend}/{model}", "wavespeedSubmitToModel", "Repaint with a certain model"
    ),
    _route(
        "GET", "predictions/{id}/result", "wavespeedResult", "How far a prediction is", _get,
        Envelope, errors=(404,),
    ),
    _route(
        "GET", "predictions/{id}", "wavespeedPrediction", "How far a prediction is", _get,
        Envelope, errors=(404,),
    ),
    _route(
        "DELETE", "predictions/{id}", "wavespeedDelete", "Forget a prediction and its results",
        _delete, DoneEnvelope, errors=(404, 409),
    ),
    _route(
        "POST", "predictions/{id}/cancel", "wavespeedCancel", "End a prediction", _cancel,
        Envelope, errors=(404,),
    ),
    _route(
        "GET", "predictions", "wavespeedList", "All predictions, the latest first", _list,
        PageEnvelope, query=ListQuery, errors=(400,),
    ),
    _route(
        "POST", "predictions", "wavespeedListByPost", "All predictions, the latest first", _list,
        PageEnvelope, body=ListQuery, errors=(400, 408, 413, 415, 429),
    ),
    _route(
        "POST", "media/upload/binary", "wavespeedUpload", "Upload a file as a form", _upload_binary,
        UploadedEnvelope, upload="multipart", errors=(400, 408, 413, 415, 507),
    ),
    _route(
        "POST", "media/uploads", "wavespeedUploadPlace", "Ask where to PUT a file", _upload_place,
        UploadPlaceEnvelope, body=UploadRequest, errors=(400, 408, 413, 415, 429),
    ),
    _route(
        "GET", "media/{id}", "reapaintMedia", "What is in a file that was uploaded", _media,
        MediaEnvelope, errors=(400, 404, 503),
    ),
    _route(
        "GET", "webhook/secret", "wavespeedSecret", "What webhooks are signed with", _secret,
        SecretEnvelope,
    ),
    _route(
        "GET", "models", "reapaintModels", "Models, backends and limits", _models, ModelsEnvelope
    ),
)  # fmt: skip
