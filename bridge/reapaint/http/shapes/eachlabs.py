"""eachlabs' API: predictions, models, uploads.

Notes
-----
Its documentation names states in two ways; ``created``, ``starting``, ``processing``,
``success``, ``error`` and ``cancelled`` are taken here. Fields from ``progress`` on are
ReaPaint's own.
"""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from reapaint.http.errors import HttpCode, Refused, bad_request, not_found
from reapaint.http.gateway import Gateway
from reapaint.http.inputs import AUDIO, Name, OwnFields, Seconds, make_request
from reapaint.http.models import EACHLABS_SLUGS, choose_model
from reapaint.http.predictions import Prediction, PredictionRequest, Shape, State
from reapaint.http.routes import Call, Route
from reapaint.http.store import PLACE_S
from reapaint_engine.protocol.errors import ErrorCode

Status = Literal["created", "processing", "success", "error", "cancelled"]

_STATUSES: dict[State, Status] = {
    State.QUEUED: "created",
    State.RUNNING: "processing",
    State.DONE: "success",
    State.FAILED: "error",
    State.CANCELLED: "cancelled",
}
_REQUIRED = ("prompt", "audio_url", "mask_start", "mask_end")
"""What scripts are told that the model needs; ``masks`` may stand for the mask."""


class Input(OwnFields, kw_only=True):
    """What to repaint, and how."""

    audio_url: Annotated[str, AUDIO] | None = None
    audio: Annotated[str, AUDIO] | None = None
    mask_start: Seconds | None = None
    mask_end: Seconds | None = None


class CreateBody(msgspec.Struct, kw_only=True):
    """A new prediction."""

    model: Name
    input: Input
    version: Any = None
    webhook_url: Annotated[str, Meta(max_length=4096)] | None = None
    webhook_secret: Annotated[str, Meta(max_length=1000)] | None = None


class Created(msgspec.Struct, kw_only=True):
    """It was taken on."""

    predictionID: str  # noqa: N815 - the service's name
    status: Literal["success"] = "success"
    message: str = "Prediction created"


class Metrics(msgspec.Struct):
    """How long it took, in seconds, and what it cost."""

    predict_time: float
    cost: float


class Urls(msgspec.Struct):
    """Where more can be had."""

    get: str
    cancel: str


class ErrorOutput(msgspec.Struct):
    """Why there is no output."""

    error_code: str
    error_message: str


class Progress(msgspec.Struct):
    """How far it is; ``position`` counts those that were asked for before."""

    stage: str
    fraction: float
    position: int


class PredictionData(msgspec.Struct, kw_only=True):
    """A prediction; ``output`` is an address, several for several takes, or an error."""

    id: str
    input: dict[str, Any]
    status: Status
    output: str | list[str] | ErrorOutput | None
    logs: str
    metrics: Metrics
    urls: Urls
    progress: Progress
    seeds: list[int]
    warnings: list[str]


class ModelQuery(msgspec.Struct):
    """Which model."""

    slug: Name = EACHLABS_SLUGS[0]


class ModelData(msgspec.Struct, kw_only=True):
    """A model, and what it takes."""

    slug: str
    title: str
    version: str
    output_type: str
    request_schema: dict[str, Any]


class PresignBody(msgspec.Struct, kw_only=True):
    """A file that is about to be sent."""

    content_type: Name
    file_type: Name = ""
    expires_in_seconds: Annotated[int, Meta(ge=1, le=86_400)] = int(PLACE_S)


class Presigned(msgspec.Struct, kw_only=True):
    """Where to PUT a file, and where it will be."""

    id: str
    presigned_url: str
    public_url: str
    expires_at: str
    required_headers: dict[str, str]


class Deleted(msgspec.Struct):
    """It is gone."""

    status: Literal["success"]
    message: str


async def _create(gateway: Gateway, call: Call) -> Created:
    prediction = await gateway.submit(_request_of(gateway, call))
    return Created(predictionID=prediction.prediction_id)


async def _run(gateway: Gateway, call: Call) -> PredictionData:
    prediction = await gateway.submit(_request_of(gateway, call))
    await gateway.wait(prediction, gateway.config.limits.sync_timeout_s)
    return await _described(gateway, prediction, call.base_url)


async def _get(gateway: Gateway, call: Call) -> PredictionData:
    return await _described(gateway, gateway.find(call.word("id")), call.base_url)


async def _cancel(gateway: Gateway, call: Call) -> PredictionData:
    prediction = gateway.find(call.word("id"))
    prediction.cancel()
    return await _described(gateway, prediction, call.base_url)


def _request_of(gateway: Gateway, call: Call) -> PredictionRequest:
    body: CreateBody = call.body
    fields = body.input
    audio = fields.audio_url or fields.audio
    if audio is None:
        raise bad_request(
            "The input names no audio.", "Give its address as `audio_url`.", ErrorCode.INVALID_FIELD
        )
    has_mask = fields.mask_start is not None and fields.mask_end is not None
    return make_request(
        Shape.EACHLABS,
        body.model,
        fields,
        audio=audio,
        mask=(fields.mask_start or 0.0, fields.mask_end or 0.0) if has_mask else None,
        choice=choose_model(body.model, fields.backend, fields.model, gateway.engine.welcome),
        base_url=call.base_url,
        given=call.given["input"],
        webhook_url=body.webhook_url or "",
        webhook_secret=body.webhook_secret or "",
        network=gateway.network,
    )


async def _described(gateway: Gateway, prediction: Prediction, base_url: str) -> PredictionData:
    outputs = await gateway.outputs(prediction, base_url)
    return describe(gateway, prediction, base_url, outputs)


def webhook_content(
    gateway: Gateway, prediction: Prediction, outputs: tuple[str, ...]
) -> msgspec.Struct:
    """Return what a webhook says: the prediction."""
    return describe(gateway, prediction, prediction.request.base_url, outputs)


def describe(
    gateway: Gateway, prediction: Prediction, base_url: str, outputs: tuple[str, ...]
) -> PredictionData:
    """Return a prediction as answers show it."""
    report, error = prediction.report, prediction.error
    output: str | list[str] | ErrorOutput | None = None
    if error is not None:
        output = ErrorOutput(error.code, str(error))
    elif outputs:
        output = outputs[0] if len(outputs) == 1 else list(outputs)
    url = f"{base_url}/v1/prediction/{prediction.prediction_id}"
    position = gateway.predictions.position(prediction)
    return PredictionData(
        id=prediction.prediction_id,
        input=prediction.request.given,
        status=_STATUSES[prediction.state],
        output=output,
        logs=str(error) if error else "\n".join(report.notes if report else ()),
        metrics=Metrics(round(prediction.run_s, 3), 0.0),
        urls=Urls(url, f"{url}/cancel"),
        progress=Progress(prediction.stage, round(prediction.fraction, 4), position),
        seeds=[take.output.seed for take in prediction.takes],
        warnings=[*(report.warnings if report else ()), *prediction.warnings],
    )


async def _model(gateway: Gateway, call: Call) -> ModelData:
    slug: str = call.query.slug
    choose_model(slug, None, None, gateway.engine.welcome)
    return ModelData(
        slug=slug,
        title=f"{slug}, done on this machine",
        version="local",
        output_type="audio",
        request_schema=_request_schema(),
    )


def _request_schema() -> dict[str, Any]:
    (_,), components = msgspec.json.schema_components((Input,), ref_template="#/{name}")
    schema = dict(components["Input"])
    schema["required"] = list(_REQUIRED)
    return schema


async def _presign(gateway: Gateway, call: Call) -> Presigned:
    body: PresignBody = call.body
    kind = body.file_type or body.content_type.partition(";")[0].rpartition("/")[2]
    name = f"audio.{_ENDINGS.get(kind.lower(), kind.lower())}"
    place = gateway.store.reserve(name, None, body.expires_in_seconds)
    expires_at = datetime.now(UTC) + timedelta(seconds=min(body.expires_in_seconds, PLACE_S))
    is_plain = body.content_type.isascii() and body.content_type.isprintable()
    return Presigned(
        id=place.file_id,
        presigned_url=f"{call.base_url}/uploads/{place.secret}",
        public_url=f"{call.base_url}/files/{place.file_id}/{place.name}",
        expires_at=expires_at.isoformat().replace("+00:00", "Z"),
        required_headers={"Content-Type": body.content_type} if is_plain else {},
    )


_ENDINGS = {"mpeg": "mp3", "x-wav": "wav", "wave": "wav", "mp4": "m4a", "x-flac": "flac"}


async def _delete_file(gateway: Gateway, call: Call) -> Deleted:
    file = gateway.store.find(call.word("id"))
    if file is None:
        raise not_found("such file", "It was never there, or has expired.")
    if not gateway.store.remove(file):
        raise Refused(
            409, HttpCode.IN_USE, "A prediction is using the file.", hint="Wait for its end."
        )
    return Deleted("success", "File deleted")


def _route(
    method: str, path: str, name: str, summary: str, handler: Any, answer: Any, **more: Any
) -> Route:
    return Route(
        method=method,
        path=f"/v1/{path}",
        name=name,
        summary=summary,
        handler=handler,
        answer=answer,
        errors_as=Shape.EACHLABS,
        **more,
    )


_CREATE_ERRORS = (400, 404, 408, 413, 415, 429, 503)

ROUTES = (
    _route(
        "POST", "prediction", "eachlabsCreate", "Repaint stretches of a recording", _create,
        Created, body=CreateBody, errors=_CREATE_ERRORS,
    ),
    _route(
        "POST", "prediction/run", "eachlabsRun", "Repaint, and answer when it is done", _run,
        PredictionData, body=CreateBody, errors=_CREATE_ERRORS,
    ),
    _route(
        "GET", "prediction/{id}", "eachlabsPrediction", "How far a prediction is", _get,
        PredictionData, errors=(404,),
    ),
    _route(
        "POST", "prediction/{id}/cancel", "eachlabsCancel", "End a prediction", _cancel,
        PredictionData, errors=(404,),
    ),
    _route(
        "GET", "model", "eachlabsModel", "What a model takes", _model, ModelData,
        query=ModelQuery, errors=(400, 404),
    ),
    _route(
        "POST", "upload/presign", "eachlabsPresign", "Ask where to PUT a file", _presign,
        Presigned, body=PresignBody, errors=(400, 408, 413, 415, 429),
    ),
    _route(
        "DELETE", "files/{id}", "eachlabsDeleteFile", "Remove a file", _delete_file, Deleted,
        errors=(404, 409),
    ),
)  # fmt: skip
