"""Puts the routes together to what a web server serves."""

import contextlib
import os
import re
from collections import defaultdict
from collections.abc import AsyncIterator
from pathlib import Path

from starlette.applications import Starlette
from starlette.convertors import Convertor, register_url_convertor
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Mount
from starlette.routing import Route as WebRoute
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from reapaint.http import openapi
from reapaint.http.access import Access
from reapaint.http.config import HttpConfig
from reapaint.http.errors import HttpCode
from reapaint.http.gateway import Gateway
from reapaint.http.routes import Route, ServiceError, endpoint, error_response
from reapaint.http.shapes import eachlabs, fal, native, wavespeed
from reapaint_engine.protocol.errors import ReaPaintError

ROUTES: tuple[Route, ...] = (
    *wavespeed.ROUTES,
    *eachlabs.ROUTES,
    *native.ROUTES,
    *fal.ROUTES,
)
"""Every route; of two that fit a path the first one answers."""

_ID = re.compile(r"{(id|place)}")

PAGE = Path(__file__).parent / "page"
"""A web page, served at / with what lies beside it under /page/."""
_PAGE_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
"""Said here, for what the system's own list says may be wrong, and then nothing would run."""


class _IdConvertor(Convertor[str]):
    """Fits ids alone, so that no other word of a path is taken for one."""

    regex = "[0-9a-f]{32}"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("hex", _IdConvertor())


def make_app(gateway: Gateway) -> Access:
    """Return what answers requests for a gateway, which it starts and closes."""

    @contextlib.asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        await gateway.start()
        try:
            yield
        finally:
            await gateway.close()

    app = Starlette(
        routes=_web_routes(gateway),
        lifespan=lifespan,
        exception_handlers={HTTPException: _on_no_route},
    )
    app.router.redirect_slashes = False
    return Access(app, gateway.config, errors_for)


def errors_for(path: str) -> type[ServiceError]:
    """Return how errors are said about a path that no route speaks for.

    It is said as the routes do that share the path's first folder, else as our own routes do.
    """
    folder = _first_folder(path)
    for route in ROUTES:
        if folder and _first_folder(route.path) == folder:
            return route.errors_as
    return native.ERRORS_AS


def _first_folder(path: str) -> str:
    return path[: path.find("/", 1) + 1]


def document(config: HttpConfig) -> dict[str, object]:
    """Return the OpenAPI document of a gateway."""
    return openapi.describe(ROUTES, needs_token=bool(config.token))


def _web_routes(gateway: Gateway) -> list[BaseRoute]:
    by_path: dict[str, dict[str, Route]] = defaultdict(dict)
    for route in ROUTES:
        by_path[route.path][route.method] = route
    described = document(gateway.config)

    async def describe(_request: Request) -> Response:
        return JSONResponse(described)

    return [
        *(
            WebRoute(_ID.sub(r"{\1:hex}", path), endpoint(routes, gateway), methods=list(routes))
            for path, routes in by_path.items()
        ),
        WebRoute("/openapi.json", describe),
        WebRoute("/", _page),
        Mount("/page", _PageFiles(directory=PAGE, check_dir=False)),
    ]


class _PageFiles(StaticFiles):
    """Lets browsers ask each time whether a file is still the same, as an update needs."""

    def file_response(
        self,
        full_path: str | os.PathLike[str],
        stat_result: os.stat_result,
        scope: Scope,
        status_code: int = 200,
    ) -> Response:
        """Return the answer for one file."""
        response = super().file_response(full_path, stat_result, scope, status_code)
        response.headers["Cache-Control"] = "no-cache"
        kind = _PAGE_TYPES.get(Path(full_path).suffix)
        if kind is not None:
            response.headers["Content-Type"] = f"{kind}; charset=utf-8"
        return response


async def _page(_request: Request) -> Response:
    if not (PAGE / "index.html").is_file():
        raise HTTPException(404)
    return FileResponse(PAGE / "index.html", headers={"Cache-Control": "no-cache"})


async def _on_no_route(request: Request, error: Exception) -> Response:
    """Say what no route was there to say."""
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        said = ReaPaintError(
            HttpCode.METHOD_NOT_ALLOWED,
            f"{request.method} is not possible here.",
            hint="See /openapi.json for what is.",
        )
    else:
        said = ReaPaintError(
            HttpCode.NOT_FOUND,
            f"There is nothing at {request.scope['path'][:100]}.",
            hint="See /openapi.json for what there is.",
        )
    response = error_response(errors_for(request.scope["path"]), error.status_code, said)
    for name, value in (error.headers or {}).items():
        response.headers[name] = value
    return response
