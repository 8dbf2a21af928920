"""What a route is: all that the server and its description say of it, in one place."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar, Self

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from reapaint.http.bodies import read_json, read_query
from reapaint.http.errors import our_mistake, status_of
from reapaint.http.gateway import Gateway
from reapaint_engine.protocol.errors import ReaPaintError

_log = logging.getLogger(__name__)


class ServiceError(msgspec.Struct, kw_only=True):
    """How an interface says what went wrong: each has a struct of its own."""

    service: ClassVar[str]
    """Whose words these are."""

    @classmethod
    def of(cls, status: int, error: ReaPaintError) -> Self:
        """Return an error as the service would say it; ``status`` is the HTTP status."""
        raise NotImplementedError

    def headers(self) -> dict[str, str]:
        """Return the headers that the service adds."""
        return {}


@dataclass(frozen=True, slots=True)
class Call:
    """One request: ``body`` and ``query`` are as the route declares them."""

    request: Request
    base_url: str
    query: Any
    body: Any
    given: dict[str, Any]

    @property
    def path(self) -> str:
        """The path that was asked for."""
        return str(self.request.scope["path"])

    def word(self, name: str) -> str:
        """Return a piece of the path."""
        return str(self.request.path_params[name])


Answer = msgspec.Struct | Response
Handler = Callable[[Gateway, Call], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class Route:
    """One method of one path.

    ``answer`` is None where the answer is a file. ``body`` is read before the handler is
    called; ``upload`` names the kind of a body that the handler reads itself. ``errors`` are
    the HTTP statuses that the handler adds to those of a body, a query and the token.
    """

    method: str
    path: str
    _: KW_ONLY
    name: str
    summary: str
    handler: Handler
    errors_as: type[ServiceError]
    answer: type[msgspec.Struct] | None
    status: int = 200
    body: type[msgspec.Struct] | None = None
    query: type[msgspec.Struct] | None = None
    upload: str = ""
    errors: tuple[int, ...] = ()
    is_open: bool = False
    """Needs no token: its path holds a secret, or it tells nothing."""


def endpoint(
    routes: Mapping[str, Route], gateway: Gateway
) -> Callable[[Request], Awaitable[Response]]:
    """Return what answers for one path, given its routes by their methods."""

    async def answer(request: Request) -> Response:
        route = routes["GET" if request.method == "HEAD" else request.method]
        try:
            return await _call(route, gateway, request)
        except ReaPaintError as error:
            return error_response(route.errors_as, status_of(error), error)
        except Exception as error:  # noqa: BLE001 - the message boundary: the server lives on
            _log.exception("%s %s broke", request.method, route.path)
            return error_response(route.errors_as, 500, our_mistake(error))

    return answer


def error_response(errors_as: type[ServiceError], status: int, error: ReaPaintError) -> Response:
    """Return an error as its service would say it."""
    content = errors_as.of(status, error.for_stranger())
    headers = content.headers()
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if status in (408, 413):
        # What is left of the body is not read: the connection can't go on.
        headers["Connection"] = "close"
    return json_response(content, status, headers)


def json_response(
    content: msgspec.Struct, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """Return a struct as JSON."""
    return Response(
        msgspec.json.encode(content), status, dict(headers or {}), media_type="application/json"
    )


async def _call(route: Route, gateway: Gateway, request: Request) -> Response:
    query = read_query(request, route.query) if route.query else None
    body: msgspec.Struct | None = None
    given: dict[str, Any] = {}
    with gateway.bodies.share() as share:
        if route.body is not None:
            body, given = await read_json(request, route.body, share, gateway.config.limits)
        call = Call(request, gateway.base_url(request), query, body, given)
        answer = await route.handler(gateway, call)
    return answer if isinstance(answer, Response) else json_response(answer, route.status)
