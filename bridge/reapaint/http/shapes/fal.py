"""fal's queue: submit, status, result, cancel; and its direct run under ``/run``.

Notes
-----
As the clients on PyPI and npm (1.0.3 and 1.10.1) use it: they raise on other states, and
read ``queue_position`` and ``logs``. A request is known by the first two names of its app.
What the real result holds beside ``audio`` and ``seed`` is ReaPaint's own.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType
from starlette.responses import Response

from reapaint.http.errors import HttpCode, Refused, refusal_of
from reapaint.http.gateway import Gateway
from reapaint.http.inputs import AUDIO, OwnFields, Seconds, make_request
from reapaint.http.models import FAL_APPS, choose_model
from reapaint.http.predictions import Prediction, PredictionRequest, Shape, State
from reapaint.http.routes import Call, Route, json_response
from reapaint.http.store import StoredFile


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


class Webhook(msgspec.Struct, kw_only=True):
    """What a webhook says."""

    request_id: str
    gateway_request_id: str
    status: Literal["OK", "ERROR"]
    payload: Result | WebhookError
    error: str | UnsetType = UNSET


async def _submit(gateway: Gateway, call: Call) -> Submitted:
    prediction = await gateway.submit(_request_of(gateway, call, call.path.strip("/")))
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
    request = _request_of(gateway, call, call.path.strip("/").removeprefix("run/"))
    prediction = await gateway.submit(request)
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


def _request_of(gateway: Gateway, call: Call, app: str) -> PredictionRequest:
    body: Input = call.body
    start_s = body.mask_start_seconds if body.mask_start is None else body.mask_start
    end_s = body.mask_end_seconds if body.mask_end is None else body.mask_end
    return make_request(
        Shape.FAL,
        app,
        body,
        audio=body.audio_url,
        mask=(start_s or 0.0, end_s) if end_s is not None else None,
        choice=choose_model(app, body.backend, body.model, gateway.engine.welcome),
        base_url=call.base_url,
        given=call.given,
        webhook_url=call.query.fal_webhook if call.query else "",
        network=gateway.network,
    )


async def _status(gateway: Gateway, call: Call) -> StatusData:
    prediction = gateway.find(call.word("id"))
    error = prediction.error
    url = _url(prediction, call.base_url)
    status = StatusData(
        status="COMPLETED" if prediction.has_ended else "IN_PROGRESS",
        request_id=prediction.prediction_id,
        logs=_logs(prediction),
        metrics=Metrics(round(prediction.run_s, 3)),
        progress=Progress(prediction.stage, round(prediction.fraction, 4)),
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


async def _cancel(gateway: Gateway, call: Call) -> Response:
    is_asked = gateway.find(call.word("id")).cancel()
    if is_asked:
        return json_response(CancelData("CANCELLATION_REQUESTED"), 202)
    return json_response(CancelData("ALREADY_COMPLETED"), 202)


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
    return describe(prediction, await gateway.outputs(prediction, base_url))


def webhook_content(
    _gateway: Gateway, prediction: Prediction, outputs: tuple[str, ...]
) -> msgspec.Struct:
    """Return what a webhook says of a request's end."""
    request_id, error = prediction.prediction_id, prediction.error
    if error is None:
        return Webhook(
            request_id=request_id,
            gateway_request_id=request_id,
            status="OK",
            payload=describe(prediction, outputs),
        )
    return Webhook(
        request_id=request_id,
        gateway_request_id=request_id,
        status="ERROR",
        payload=WebhookError(str(error), error.code),
        error=str(error),
    )


def describe(prediction: Prediction, outputs: tuple[str, ...]) -> Result:
    """Return what came of a request that ended well."""
    report = prediction.report
    assert report is not None, "it ended well"
    files = [_file(url, take.file) for url, take in zip(outputs, prediction.takes, strict=True)]
    seeds = [take.output.seed for take in prediction.takes]
    return Result(
        audio=files[0],
        seed=seeds[0],
        audios=files,
        seeds=seeds,
        prompt=prediction.request.settings.prompt,
        backend=report.backend,
        warnings=[*report.warnings, *prediction.warnings],
        notes=list(report.notes),
    )


def _file(url: str, file: StoredFile) -> File:
    return File(url, file.media_type, file.name, file.size)


def _url(prediction: Prediction, base_url: str) -> str:
    app = "/".join(prediction.request.model.split("/")[:2])
    return f"{base_url}/{app}/requests/{prediction.prediction_id}"


def _logs(prediction: Prediction) -> list[LogLine]:
    said = prediction.report.notes if prediction.report else ()
    time = prediction.created_at.isoformat()
    return [LogLine(line, "info", "reapaint", time) for line in said]


def _app_routes(app: str, number: int) -> tuple[Route, Route]:
    """Return the ways to ask for an app: through the queue, and at once."""
    errors = (400, 404, 408, 413, 415, 429, 503)
    queued = Route(
        method="POST",
        path=f"/{app}",
        name=f"falSubmit{number}",
        summary="Repaint stretches of a recording, through the queue",
        handler=_submit,
        errors_as=Shape.FAL,
        body=Input,
        query=SubmitQuery,
        answer=Submitted,
        errors=errors,
    )
    direct = Route(
        method="POST",
        path=f"/run/{app}",
        name=f"falRun{number}",
        summary="Repaint stretches of a recording, and answer when it is done",
        handler=_run,
        errors_as=Shape.FAL,
        body=Input,
        answer=Result,
        errors=(*errors, 422),
    )
    return queued, direct


def _request_routes(owner: str) -> tuple[Route, ...]:
    path = f"/{owner}/{{alias}}/requests/{{id}}"
    return tuple(
        Route(
            method=method,
            path=f"{path}{tail}",
            name=f"fal{name}{owner.title().replace('-', '')}",
            summary=summary,
            handler=handler,
            errors_as=Shape.FAL,
            answer=answer,
            status=status,
            query=query,
            errors=errors,
        )
        for method, tail, name, summary, handler, answer, status, query, errors in (
            ("GET", "/status", "Status", "How far it is", _status, StatusData, 200, StatusQuery,
             (400, 404)),
            ("GET", "", "Result", "What came of it", _result, Result, 200, None, (400, 404, 422)),
            ("PUT", "/cancel", "Cancel", "End it", _cancel, CancelData, 202, None, (404,)),
        )
    )  # fmt: skip


_APPS = (*FAL_APPS, "reapaint/{backend}", "reapaint/{backend}/{model}")

ROUTES = (
    *_request_routes("fal-ai"),
    *_request_routes("reapaint"),
    *(route for number, app in enumerate(_APPS) for route in _app_routes(app, number)),
)
