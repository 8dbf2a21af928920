"""eachlabs' API: predictions, models, uploads.

Notes
-----
Its documentation names states in two ways; ``created``, ``starting``, ``processing``,
``success``, ``error`` and ``cancelled`` are taken here. Fields from ``progress`` on are
ReaPaint's own.
"""

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Annotated, Any, ClassVar, Literal, Self

import msgspec
from msgspec import Meta

from reapaint.http.errors import HttpCode, Refused, bad_request
from reapaint.http.gateway import Gateway
from reapaint.http.inputs import AUDIO, Name, OwnFields, Seconds, ServiceInput
from reapaint.http.models import EACHLABS_SLUGS, choose_model
from reapaint.http.predictions import Prediction, State, Webhook
from reapaint.http.routes import Call, Route, ServiceError
from reapaint.http.shapes import shared
from reapaint.http.store import PLACE_S
from reapaint_engine.protocol.errors import ErrorCode, ReaPaintError

Status = Literal["created", "processing", "success", "error", "cancelled"]

_STATUSES: dict[State, Status] = {
    State.QUEUED: "created",
    State.RUNNING: "processing",
    State.DONE: "success",
    State.FAILED: "error",
    State.CANCELLED: "cancelled",
}
_ENDINGS = {"mpeg": "mp3", "x-wav": "wav", "wave": "wav", "mp4": "m4a", "x-flac": "flac"}
"""Of files, by the kinds that are not called so."""
_REQUIRED = ("prompt", "audio_url", "mask_start", "mask_end")
"""What scripts are told that the model needs; ``masks`` may stand for the mask."""


# Requests and answers


class EachLabsError(ServiceError, kw_only=True):
    """What went wrong."""

    service: ClassVar[str] = "eachlabs"

    error: str
    status: int
    error_code: str
    details: str

    @classmethod
    def of(cls, status: int, error: ReaPaintError) -> Self:
        """Return an error as eachlabs says it."""
        return cls(error=str(error), status=status, error_code=error.code, details=error.hint)


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


# Handlers


async def _create(gateway: Gateway, call: Call) -> Created:
    prediction = await _submitted(gateway, call)
    return Created(predictionID=prediction.prediction_id)


async def _run(gateway: Gateway, call: Call) -> PredictionData:
    prediction = await _submitted(gateway, call)
    await gateway.wait(prediction, gateway.config.limits.sync_timeout_s)
    return await _described(gateway, prediction, call.base_url)


async def _get(gateway: Gateway, call: Call) -> PredictionData:
    return await _described(gateway, gateway.find(call.word("id")), call.base_url)


async def _cancel(gateway: Gateway, call: Call) -> PredictionData:
    prediction = gateway.find(call.word("id"))
    prediction.cancel()
    return await _described(gateway, prediction, call.base_url)


async def _submitted(gateway: Gateway, call: Call) -> Prediction:
    body: CreateBody = call.body
    fields = body.input
    audio = fields.audio_url or fields.audio
    if audio is None:
        raise bad_request(
            "The input names no audio.", "Give its address as `audio_url`.", ErrorCode.INVALID_FIELD
        )
    has_mask = fields.mask_start is not None and fields.mask_end is not None
    webhook = Webhook(
        body.webhook_url or "", partial(_webhook_content, gateway), body.webhook_secret or ""
    )
    asked = ServiceInput(
        model=body.model,
        fields=fields,
        given=call.given["input"],
        audio=audio,
        mask=(fields.mask_start or 0.0, fields.mask_end or 0.0) if has_mask else None,
        webhook=webhook,
    )
    return await shared.submit(gateway, call, asked)


async def _described(gateway: Gateway, prediction: Prediction, base_url: str) -> PredictionData:
    outputs = await gateway.outputs(prediction, base_url)
    return _describe(gateway, prediction, base_url, outputs)


def _webhook_content(
    gateway: Gateway, prediction: Prediction, outputs: tuple[str, ...]
) -> PredictionData:
    return _describe(gateway, prediction, prediction.request.base_url, outputs)


def _describe(
    gateway: Gateway, prediction: Prediction, base_url: str, outputs: tuple[str, ...]
) -> PredictionData:
    error = prediction.error
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
        logs=str(error) if error else "\n".join(prediction.notes),
        metrics=Metrics(round(prediction.run_s, 3), 0.0),
        urls=Urls(url, f"{url}/cancel"),
        progress=Progress(prediction.stage, shared.fraction_of(prediction), position),
        seeds=prediction.seeds,
        warnings=prediction.all_warnings,
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
    return Presigned(
        id=place.file_id,
        presigned_url=gateway.upload_link(place, call.base_url),
        public_url=gateway.link(place, call.base_url),
        expires_at=shared.utc_text(expires_at),
        required_headers=shared.content_type_headers(body.content_type),
    )


async def _delete_file(gateway: Gateway, call: Call) -> Deleted:
    file = gateway.find_file(call.word("id"))
    if not gateway.store.remove(file):
        raise Refused(
            409, HttpCode.IN_USE, "A prediction is using the file.", hint="Wait for its end."
        )
    return Deleted("success", "File deleted")


# Routes

_route = partial(Route, errors_as=EachLabsError)

ROUTES = (
    _route(
        "POST", "/v1/prediction", name="eachlabsCreate",
        summary="Repaint stretches of a recording",
        handler=_create, body=CreateBody, answer=Created, errors=shared.SUBMIT_ERRORS,
    ),
    _route(
        "POST", "/v1/prediction/run", name="eachlabsRun",
        summary="Repaint, and answer when it is done",
        handler=_run, body=CreateBody, answer=PredictionData, errors=shared.SUBMIT_ERRORS,
    ),
    _route(
        "GET", "/v1/prediction/{id}", name="eachlabsPrediction",
        summary="How far a prediction is",
        handler=_get, answer=PredictionData, errors=(404,),
    ),
    _route(
        "POST", "/v1/prediction/{id}/cancel", name="eachlabsCancel", summary="End a prediction",
        handler=_cancel, answer=PredictionData, errors=(404,),
    ),
    _route(
        "GET", "/v1/model", name="eachlabsModel", summary="What a model takes",
        handler=_model, query=ModelQuery, answer=ModelData, errors=(404,),
    ),
    _route(
        "POST", "/v1/upload/presign", name="eachlabsPresign", summary="Ask where to PUT a file",
        handler=_presign, body=PresignBody, answer=Presigned,
    ),
    _route(
        "DELETE", "/v1/files/{id}", name="eachlabsDeleteFile", summary="Remove a file",
        handler=_delete_file, answer=Deleted, errors=(404, 409),
    ),
)  # fmt: skip
