"""fal's queue: submit, status, result, cancel; and its direct run under ``/run``.

Notes
-----
As the clients on PyPI and npm (1.0.3 and 1.10.1) use it: they raise on other states, and
read ``queue_position`` and ``logs``. A request is known by the first two names of its app.
What the real result holds beside ``audio`` and ``seed`` is ReaPaint's own.
"""

from functools import partial
from typing import Annotated, ClassVar, Literal, Self

import msgspec
from msgspec import UNSET, Meta, UnsetType

from reapaint.http.errors import HttpCode, Refused, refusal_of
from reapaint.http.gateway import Gateway
from reapaint.http.inputs import AUDIO, OwnFields, Seconds, ServiceInput
from reapaint.http.models import FAL_APPS
from reapaint.http.predictions import Prediction, State, Webhook
from reapaint.http.routes import Call, Route, ServiceError
from reapaint.http.shapes import shared
from reapaint.http.store import StoredFile
from reapaint_engine.protocol.errors import ReaPaintError

# Requests and answers


class FalError(ServiceError, kw_only=True):
    """What went wrong."""

    service: ClassVar[str] = "fal"

    detail: str
    error_type: str
    hint: str

    @classmethod
    def of(cls, status: int, error: ReaPaintError) -> Self:  # noqa: ARG003 - fal repeats no status
        """Return an error as fal says it."""
        return cls(detail=str(error), error_type=error.code, hint=error.hint)

    def headers(self) -> dict[str, str]:
        """Return the kind of the error once more, where fal's clients look for it."""
        return {"x-fal-error-type": self.error_type}


class Input(OwnFields, kw_only=True):
    """What to repaint, and how; both ways to name the mask are taken."""

    audio_url: Annotated[str, AUDIO]
    mask_start_seconds: Seconds | None = None
    mask_end_seconds: Seconds | None = None
    mask_start: Seconds | None = None
    mask_end: Seconds | None = None
    seconds_total: Annotated[
        float | None, Meta(description="Without effect: the recording keeps its length.")
    ] = None


class SubmitQuery(msgspec.Struct):
    """Where to tell of the end."""

    fal_webhook: Annotated[str, Meta(max_length=4096)] = ""


class StatusQuery(msgspec.Struct):
    """Whether to tell what was logged; it always is."""

    logs: str = ""


class Submitted(msgspec.Struct, kw_only=True):
    """It was taken on."""

    request_id: str
    response_url: str
    status_url: str
    cancel_url: str
    queue_position: int
    status: Literal["IN_QUEUE"] = "IN_QUEUE"
    gateway_request_id: str = ""


class LogLine(msgspec.Struct):
    """One line of what was logged."""

    message: str
    level: str
    source: str
    timestamp: str


class Metrics(msgspec.Struct):
    """In seconds."""

    inference_time: float


class Progress(msgspec.Struct):
    """How far it is."""

    stage: str
    fraction: float


class StatusData(msgspec.Struct, kw_only=True):
    """How far a request is."""

    status: Literal["IN_QUEUE", "IN_PROGRESS", "COMPLETED"]
    request_id: str
    response_url: str
    status_url: str
    cancel_url: str
    logs: list[LogLine]
    metrics: Metrics
    progress: Progress
    queue_position: int | UnsetType = UNSET
    error: str | UnsetType = UNSET
    error_type: str | UnsetType = UNSET


class File(msgspec.Struct):
    """A file that can be fetched."""

    url: str
    content_type: str
    file_name: str
    file_size: int


class Result(msgspec.Struct, kw_only=True):
    """What came of a request: ``audio`` is the first take, ``audios`` has them all."""

    audio: File
    seed: int
    audios: list[File]
    seeds: list[int]
    prompt: str
    backend: str
    warnings: list[str]
    notes: list[str]


class CancelData(msgspec.Struct):
    """Whether it will end."""

    status: Literal["CANCELLATION_REQUESTED", "ALREADY_COMPLETED"]


class WebhookError(msgspec.Struct):
    """Why there is no result."""

    detail: str
    error_type: str


class WebhookData(msgspec.Struct, kw_only=True):
    """What a webhook says."""

    request_id: str
    gateway_request_id: str
    status: Literal["OK", "ERROR"]
    payload: Result | WebhookError
    error: str | UnsetType = UNSET


# Handlers


async def _submit(gateway: Gateway, call: Call) -> Submitted:
    prediction = await _submitted(gateway, call, call.path.strip("/"), call.query.fal_webhook)
    request_id = prediction.prediction_id
    url = _url(prediction, call.base_url)
    return Submitted(
        request_id=request_id,
        gateway_request_id=request_id,
        queue_position=gateway.predictions.position(prediction),
        response_url=url,
        status_url=f"{url}/status",
        cancel_url=f"{url}/cancel",
    )


async def _run(gateway: Gateway, call: Call) -> Result:
    app = call.path.strip("/").removeprefix("run/")
    prediction = await _submitted(gateway, call, app, webhook_url="")
    limit_s = gateway.config.limits.sync_timeout_s
    if not await gateway.wait(prediction, limit_s):
        prediction.cancel()
        raise Refused(
            408,
            HttpCode.TOO_SLOW,
            f"It was not done in {limit_s:g} s and was cancelled.",
            hint="Use the queue, which waits as long as it takes.",
        )
    return await _finished(gateway, prediction, call.base_url)


async def _submitted(gateway: Gateway, call: Call, app: str, webhook_url: str) -> Prediction:
    body: Input = call.body
    start_s = body.mask_start_seconds if body.mask_start is None else body.mask_start
    end_s = body.mask_end_seconds if body.mask_end is None else body.mask_end
    asked = ServiceInput(
        model=app,
        fields=body,
        given=call.given,
        audio=body.audio_url,
        mask=(start_s or 0.0, end_s) if end_s is not None else None,
        webhook=Webhook(webhook_url, _webhook_content),
    )
    return await shared.submit(gateway, call, asked)


async def _status(gateway: Gateway, call: Call) -> StatusData:
    prediction = gateway.find(call.word("id"))
    error = prediction.error
    url = _url(prediction, call.base_url)
    status = StatusData(
        status="COMPLETED" if prediction.has_ended else "IN_PROGRESS",
        request_id=prediction.prediction_id,
        logs=_logs(prediction),
        metrics=Metrics(round(prediction.run_s, 3)),
        progress=Progress(prediction.stage, shared.fraction_of(prediction)),
        response_url=url,
        status_url=f"{url}/status",
        cancel_url=f"{url}/cancel",
    )
    if prediction.state is State.QUEUED:
        status.status = "IN_QUEUE"
        status.queue_position = gateway.predictions.position(prediction)
    if error is not None:
        status.error, status.error_type = str(error), error.code
    return status


async def _result(gateway: Gateway, call: Call) -> Result:
    return await _finished(gateway, gateway.find(call.word("id")), call.base_url)


async def _cancel(gateway: Gateway, call: Call) -> CancelData:
    is_asked = gateway.find(call.word("id")).cancel()
    return CancelData("CANCELLATION_REQUESTED" if is_asked else "ALREADY_COMPLETED")


async def _finished(gateway: Gateway, prediction: Prediction, base_url: str) -> Result:
    if not prediction.has_ended:
        raise Refused(
            400,
            HttpCode.NOT_FINISHED,
            "The request is still in progress.",
            hint="Ask for its status until it is COMPLETED.",
        )
    if prediction.error is not None:
        error = prediction.error
        raise refusal_of(error, 422)
    return _describe(prediction, await gateway.outputs(prediction, base_url))


def _webhook_content(prediction: Prediction, outputs: tuple[str, ...]) -> WebhookData:
    request_id, error = prediction.prediction_id, prediction.error
    if error is None:
        return WebhookData(
            request_id=request_id,
            gateway_request_id=request_id,
            status="OK",
            payload=_describe(prediction, outputs),
        )
    return WebhookData(
        request_id=request_id,
        gateway_request_id=request_id,
        status="ERROR",
        payload=WebhookError(str(error), error.code),
        error=str(error),
    )


def _describe(prediction: Prediction, outputs: tuple[str, ...]) -> Result:
    report = prediction.report
    assert report is not None, "it ended well"
    files = [_file(url, take.file) for url, take in zip(outputs, prediction.takes, strict=True)]
    return Result(
        audio=files[0],
        seed=prediction.seeds[0],
        audios=files,
        seeds=prediction.seeds,
        prompt=prediction.request.settings.prompt,
        backend=report.backend,
        warnings=prediction.all_warnings,
        notes=prediction.notes,
    )


def _file(url: str, file: StoredFile) -> File:
    return File(url, file.media_type, file.name, file.size)


def _url(prediction: Prediction, base_url: str) -> str:
    app = "/".join(prediction.request.model.split("/")[:2])
    return f"{base_url}/{app}/requests/{prediction.prediction_id}"


def _logs(prediction: Prediction) -> list[LogLine]:
    time = prediction.created_at.isoformat()
    return [LogLine(line, "info", "reapaint", time) for line in prediction.notes]


# Routes

_route = partial(Route, errors_as=FalError)


def _app_routes(app: str, number: int) -> tuple[Route, ...]:
    """Return the ways to ask for an app: through the queue, and at once."""
    return (
        _route(
            "POST", f"/{app}", name=f"falSubmit{number}",
            summary="Repaint stretches of a recording, through the queue",
            handler=_submit, body=Input, query=SubmitQuery, answer=Submitted,
            errors=shared.SUBMIT_ERRORS,
        ),
        _route(
            "POST", f"/run/{app}", name=f"falRun{number}",
            summary="Repaint stretches of a recording, and answer when it is done",
            handler=_run, body=Input, answer=Result, errors=(*shared.SUBMIT_ERRORS, 422),
        ),
    )  # fmt: skip


def _request_routes(owner: str) -> tuple[Route, ...]:
    """Return what can be asked of the requests to an owner's apps."""
    path = f"/{owner}/{{alias}}/requests/{{id}}"
    name = owner.title().replace("-", "")
    return (
        _route(
            "GET", f"{path}/status", name=f"falStatus{name}", summary="How far it is",
            handler=_status, query=StatusQuery, answer=StatusData, errors=(404,),
        ),
        _route(
            "GET", path, name=f"falResult{name}", summary="What came of it",
            handler=_result, answer=Result, errors=(400, 404, 422),
        ),
        _route(
            "PUT", f"{path}/cancel", name=f"falCancel{name}", summary="End it",
            handler=_cancel, answer=CancelData, status=202, errors=(404,),
        ),
    )  # fmt: skip


_APPS = (*FAL_APPS, "reapaint/{backend}", "reapaint/{backend}/{model}")

ROUTES = (
    *_request_routes("fal-ai"),
    *_request_routes("reapaint"),
    *(route for number, app in enumerate(_APPS) for route in _app_routes(app, number)),
)
