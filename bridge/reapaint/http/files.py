"""Files by their ids, and what any client may ask."""

from typing import Any, Literal

import msgspec
from starlette.responses import FileResponse, Response

from reapaint.http.bodies import read_file
from reapaint.http.errors import not_found
from reapaint.http.gateway import Gateway
from reapaint.http.predictions import Shape
from reapaint.http.routes import Call, Route
from reapaint_engine.protocol.version import __version__


class Kept(msgspec.Struct):
    """A file that was kept."""

    id: str
    url: str
    size: int


class Health(msgspec.Struct, kw_only=True):
    """Whether the server does its work."""

    status: Literal["ok", "no_engine"]
    version: str
    waiting: int


async def _put(gateway: Gateway, call: Call) -> Kept:
    place = gateway.store.take_place(call.word("place"))
    if place is None:
        raise not_found("such place to upload to", "It was used, or given up: ask for a new one.")
    async with gateway.uploads:
        with gateway.store.receive(place.name, place.file_id) as incoming:
            file = await read_file(call.request, incoming, gateway.config.limits)
    return Kept(file.file_id, gateway.link(file, call.base_url), file.size)


async def _get(gateway: Gateway, call: Call) -> Response:
    file = gateway.find_file(call.word("id"))
    return FileResponse(
        file.path,
        media_type=file.media_type,
        filename=file.name,
        content_disposition_type="inline",
        headers={"Cache-Control": "private, max-age=3600"},
    )


async def _health(gateway: Gateway, _call: Call) -> Health:
    return Health(
        status="no_engine" if gateway.engine.trouble else "ok",
        version=__version__,
        waiting=len(gateway.predictions.active),
    )


def _route(
    method: str, path: str, name: str, summary: str, handler: Any, answer: Any, **more: Any
) -> Route:
    return Route(
        method=method,
        path=path,
        name=name,
        summary=summary,
        handler=handler,
        answer=answer,
        errors_as=Shape.WAVESPEED,
        is_open=True,
        **more,
    )


ROUTES = (
    _route(
        "PUT", "/uploads/{place}", "putUpload", "Send a file to a place that was asked for",
        _put, Kept, upload="bytes", errors=(400, 404, 408, 413, 507),
    ),
    _route(
        "GET", "/files/{id}/{name}", "getFile", "A result or an upload", _get, None,
        errors=(404, 416),
    ),
    _route("GET", "/health", "health", "Whether the server does its work", _health, Health),
)  # fmt: skip
