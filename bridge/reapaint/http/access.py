"""Who may ask at all: by the token, and never a web page of somebody else.

A browser sends what any page tells it to, also to this machine's own servers. Three things
keep such pages out. A request that says it comes from another site is refused. Where no
token is needed, the server answers only to its own names: a strange name that leads here is
a trick to make that page's site and this server the same in a browser's eyes. And no answer
ever allows another site to read it.
"""

import hmac
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from reapaint.http.config import HttpConfig
from reapaint.http.errors import HttpCode, Refused
from reapaint.http.routes import ServiceError, error_response
from reapaint_engine.protocol.errors import ErrorCode

OPEN_PREFIXES = ("/files/", "/uploads/", "/page/")
OPEN_PATHS = ("/", "/health", "/openapi.json", "/favicon.ico")
"""What needs no token: what tells nothing, and paths that hold a secret of their own."""

_LOOPBACK_NAMES = frozenset(("localhost", "127.0.0.1", "::1"))
_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
)


class Access:
    """Lets through what may ask, and refuses the rest."""

    def __init__(
        self, app: ASGIApp, config: HttpConfig, errors_for: Callable[[str], type[ServiceError]]
    ) -> None:
        """``errors_for`` returns how errors are said about a path."""
        self._app = app
        self._errors_for = errors_for
        self._config = config
        self._token = config.token.encode()
        names = {config.host.lower().strip("[]"), urlsplit(config.public_url).hostname or ""}
        self._names = _LOOPBACK_NAMES | (names - {"", "0.0.0.0", "::"})  # noqa: S104 - no binding

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return
        try:
            self._check(scope, Headers(scope=scope))
        except Refused as error:
            response = error_response(self._errors_for(scope["path"]), error.status, error)
            await response(scope, receive, _guarded(send, is_private=True))
            return
        is_private = not scope["path"].startswith(("/files/", "/page/"))
        await self._app(scope, receive, _guarded(send, is_private=is_private))

    def _check(self, scope: Scope, headers: Headers) -> None:
        self._check_site(scope, headers)
        if not self._token:
            self._check_name(headers)
        elif not _is_open(scope["path"]) and not self._has_token(headers):
            raise Refused(
                401,
                ErrorCode.NOT_AUTHORISED,
                "The server does not know this client.",
                hint="Send its token as `Authorization: Bearer TOKEN`.",
            )

    def _check_site(self, scope: Scope, headers: Headers) -> None:
        origin = headers.get("origin")
        is_strange = origin is not None and not self._is_own(origin, scope, headers)
        # A link that somebody follows to the page is no page asking behind their back.
        is_visit = scope["path"] == "/" and headers.get("sec-fetch-mode") == "navigate"
        comes_from = headers.get("sec-fetch-site", "none")
        if is_strange or (comes_from not in ("none", "same-origin") and not is_visit):
            raise Refused(
                403,
                HttpCode.CROSS_SITE,
                "Web pages of other sites may not use this server.",
                hint="Use its own page, or a program that is no web page.",
            )

    def _is_own(self, origin: str, scope: Scope, headers: Headers) -> bool:
        own = {f"{scope['scheme']}://{headers.get('host', '')}".lower()}
        if self._config.public_url:
            parts = urlsplit(self._config.public_url)
            own.add(f"{parts.scheme}://{parts.netloc}".lower())
        return origin.lower() in own

    def _check_name(self, headers: Headers) -> None:
        try:
            name = urlsplit(f"//{headers.get('host', 'localhost')}").hostname or ""
        except ValueError:
            name = ""
        if name.rstrip(".") not in self._names:
            raise Refused(
                403,
                HttpCode.WRONG_HOST,
                "The server was called by a name that is not its own.",
                hint="Use 127.0.0.1 or localhost; name others with --http-url.",
            )

    def _has_token(self, headers: Mapping[str, str]) -> bool:
        scheme, _, given = headers.get("authorization", "").partition(" ")
        # fal's clients say Key.
        token = given.strip() if scheme.lower() in ("bearer", "key") else ""
        token = token or headers.get("x-api-key", "")
        return hmac.compare_digest(token.encode(), self._token)


def _is_open(path: str) -> bool:
    return path in OPEN_PATHS or path.startswith(OPEN_PREFIXES)


def _guarded(send: Send, *, is_private: bool) -> Send:
    """Return what sends answers with the headers that all have."""

    async def guarded(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = [*message.get("headers", ()), *_HEADERS]
            if is_private:
                headers.append((b"cache-control", b"no-store"))
            message = {**message, "headers": headers}
        await send(message)

    return guarded
