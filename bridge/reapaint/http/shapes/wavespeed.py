"""WaveSpeed's API, version 3: submit, upload, poll, list, webhooks.

Notes
-----
Its documentation and the clients on PyPI and npm (2.0.5 and 0.3.2). The clients take only
status 200 for a submission, and read ``data`` of every envelope. Cancel, delete and all
fields from ``progress`` on are ReaPaint's own; routes that WaveSpeed has nothing like are in
``native``.
"""

from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import PurePosixPath
from typing import Annotated, Any, ClassVar, Generic, Literal, Self, TypeVar

import msgspec
from msgspec import UNSET, Meta, UnsetType

from reapaint.http import webhooks
from reapaint.http.bodies import read_multipart
from reapaint.http.gateway import Gateway
from reapaint.http.inputs import AUDIO, Name, OwnFields, Seconds, ServiceInput
from reapaint.http.models import WAVESPEED_PATHS
from reapaint.http.predictions import Prediction, State, Webhook
from reapaint.http.routes import Call, Route, ServiceError
from reapaint.http.shapes import shared
from reapaint.http.store import StoredFile
from reapaint.repaint import Output
from reapaint_engine.protocol.errors import ReaPaintError

Data = TypeVar("Data")

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


# Requests and answers


class WaveSpeedError(ServiceError, kw_only=True):
    """What went wrong; ``code`` is the HTTP status, ``error_code`` stays the same."""

    service: ClassVar[str] = "wavespeed"

    code: int
    message: str
    error_code: str
    hint: str
    data: dict[str, str] = msgspec.field(default_factory=dict)

    @classmethod
    def of(cls, status: int, error: ReaPaintError) -> Self:
        """Return an error as WaveSpeed says it."""
        return cls(code=status, message=str(error), error_code=error.code, hint=error.hint)


class Enveloped(msgspec.Struct, Generic[Data], kw_only=True):
    """What every answer comes in."""

    data: Data
    code: int = 200
    message: str = "success"


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


class Envelope(Enveloped[PredictionData]):
    """What every answer comes in."""


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


class PageEnvelope(Enveloped[Page]):
    """A page of predictions."""


class Uploaded(msgspec.Struct, kw_only=True):
    """A file that was kept; ``id`` can be given as audio as well."""

    type: str
    id: str
    download_url: str
    filename: str
    size: int


class UploadedEnvelope(Enveloped[Uploaded]):
    """A file that was kept."""


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


class UploadPlaceEnvelope(Enveloped[UploadPlace]):
    """Where to send a file."""


class SecretData(msgspec.Struct):
    """What webhooks are signed with."""

    secret: str


class SecretEnvelope(Enveloped[SecretData]):
    """What webhooks are signed with."""


class Nothing(msgspec.Struct):
    """Nothing more to say."""


class DoneEnvelope(Enveloped[Nothing]):
    """It was done."""


# Handlers


async def _submit(gateway: Gateway, call: Call) -> Envelope:
    body: Input = call.body
    asked = ServiceInput(
        model=call.path.removeprefix("/api/v3/"),
        fields=body,
        given=call.given,
        audio=body.audio,
        mask=(body.mask_start_seconds, body.mask_end_seconds),
        webhook=Webhook(call.query.webhook, partial(_webhook_content, gateway)),
    )
    prediction = await shared.submit(gateway, call, asked)
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
        _describe(gateway, each, call.base_url, gateway.links(each, call.base_url))
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


def _webhook_content(
    gateway: Gateway, prediction: Prediction, outputs: tuple[str, ...]
) -> PredictionData:
    return _describe(gateway, prediction, prediction.request.base_url, outputs)


async def _envelope(gateway: Gateway, prediction: Prediction, base_url: str) -> Envelope:
    outputs = await gateway.outputs(prediction, base_url)
    return Envelope(data=_describe(gateway, prediction, base_url, outputs))


def _describe(
    gateway: Gateway, prediction: Prediction, base_url: str, outputs: tuple[str, ...]
) -> PredictionData:
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
        created_at=shared.utc_text(prediction.created_at),
        error=str(error) if error else "",
        executionTime=run_ms,
        timings=Timings(run_ms),
        progress=Progress(
            prediction.stage,
            shared.fraction_of(prediction),
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
        warnings=prediction.all_warnings,
        notes=prediction.notes,
        expires_at=shared.utc_text(prediction.created_at + keep),
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
    kind = upload.content_type
    place = gateway.store.reserve(PurePosixPath(upload.filename).name, upload.size)
    instruction = PutInstruction(
        url=gateway.upload_link(place, call.base_url),
        headers=shared.content_type_headers(kind) if kind else {},
    )
    link = gateway.link(place, call.base_url)
    return UploadPlaceEnvelope(
        data=UploadPlace(upload=instruction, id=place.file_id, download_url=link)
    )


async def _secret(_gateway: Gateway, _call: Call) -> SecretEnvelope:
    return SecretEnvelope(data=SecretData(webhooks.load_secret()))


# Routes

_route = partial(Route, errors_as=WaveSpeedError)


def _submit_route(path: str, name: str, summary: str) -> Route:
    return _route(
        "POST", f"/api/v3/{path}", name=name, summary=summary,
        handler=_submit, body=Input, query=SubmitQuery, answer=Envelope,
        errors=shared.SUBMIT_ERRORS,
    )  # fmt: skip


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
        "GET", "/api/v3/predictions/{id}/result", name="wavespeedResult",
        summary="How far a prediction is",
        handler=_get, answer=Envelope, errors=(404,),
    ),
    _route(
        "GET", "/api/v3/predictions/{id}", name="wavespeedPrediction",
        summary="How far a prediction is",
        handler=_get, answer=Envelope, errors=(404,),
    ),
    _route(
        "DELETE", "/api/v3/predictions/{id}", name="wavespeedDelete",
        summary="Forget a prediction and its results",
        handler=_delete, answer=DoneEnvelope, errors=(404, 409),
    ),
    _route(
        "POST", "/api/v3/predictions/{id}/cancel", name="wavespeedCancel",
        summary="End a prediction",
        handler=_cancel, answer=Envelope, errors=(404,),
    ),
    _route(
        "GET", "/api/v3/predictions", name="wavespeedList",
        summary="All predictions, the latest first",
        handler=_list, query=ListQuery, answer=PageEnvelope,
    ),
    _route(
        "POST", "/api/v3/predictions", name="wavespeedListByPost",
        summary="All predictions, the latest first",
        handler=_list, body=ListQuery, answer=PageEnvelope,
    ),
    _route(
        "POST", "/api/v3/media/upload/binary", name="wavespeedUpload",
        summary="Upload a file as a form",
        handler=_upload_binary, upload="multipart", answer=UploadedEnvelope,
        errors=(400, 408, 413, 415, 507),
    ),
    _route(
        "POST", "/api/v3/media/uploads", name="wavespeedUploadPlace",
        summary="Ask where to PUT a file",
        handler=_upload_place, body=UploadRequest, answer=UploadPlaceEnvelope,
    ),
    _route(
        "GET", "/api/v3/webhook/secret", name="wavespeedSecret",
        summary="What webhooks are signed with",
        handler=_secret, answer=SecretEnvelope,
    ),
)  # fmt: skip
