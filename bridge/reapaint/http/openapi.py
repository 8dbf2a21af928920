"""The server's description of itself, made from the very routes that it serves."""

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from reapaint.http.routes import Route
from reapaint_engine.protocol.version import __version__

_REFERENCES = "#/components/schemas/{name}"
_MEANINGS = {
    400: "What was sent can't be used; the text says why",
    401: "The token is missing or wrong",
    403: "A web page of another site asked, or the server was called by a strange name",
    404: "There is no such thing, or not any more",
    408: "The body came too slowly, or the wait took too long",
    409: "Something still uses it",
    413: "More than the server takes",
    415: "The body is of another kind than it should be",
    416: "The file has no such range",
    422: "The request failed; the text says why",
    429: "Too much at one time: try again",
    500: "A mistake of ReaPaint",
    503: "The server is stopping",
    507: "The server's disk or its quota is full",
}
_BODY_ERRORS = {400, 408, 413, 415, 429}
"""What a body of JSON can be refused with."""
_WORD_KINDS = {
    "id": {"type": "string", "pattern": "^[0-9a-f]{32}$"},
    "place": {"type": "string", "pattern": "^[0-9a-f]{32}$"},
}
_WORD: dict[str, Any] = {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]*$"}
_TOKEN_NEEDED: tuple[dict[str, list[str]], ...] = ({"bearer": []}, {"apiKey": []})


def describe(routes: Sequence[Route], *, needs_token: bool) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of routes."""
    kinds = _kinds(routes)
    schemas, components = msgspec.json.schema_components(kinds, ref_template=_REFERENCES)
    known = dict(zip(kinds, schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        operation = _operation(route, known)
        paths.setdefault(route.path, {})[route.method.lower()] = operation
    document: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {
            "title": "ReaPaint",
            "version": __version__,
            "description": "Repaints stretches of recordings, in the shapes of WaveSpeed's,"
            " eachlabs' and fal's APIs.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "paths": paths,
        "components": {"schemas": components},
    }
    if needs_token:
        document["components"]["securitySchemes"] = {
            "bearer": {"type": "http", "scheme": "bearer"},
            "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
        }
        document["security"] = list(_TOKEN_NEEDED)
    return document


def _kinds(routes: Sequence[Route]) -> list[type[msgspec.Struct]]:
    kinds: dict[type[msgspec.Struct], None] = dict.fromkeys(each.errors_as for each in routes)
    for route in routes:
        for kind in (route.body, route.query, route.answer):
            if kind is not None:
                kinds[kind] = None
    return list(kinds)


def _operation(route: Route, known: dict[type[msgspec.Struct], dict[str, Any]]) -> dict[str, Any]:
    answer = {"description": "Done"}
    if route.answer is None:
        binary = {"schema": {"type": "string", "format": "binary"}}
        answer["content"] = {"audio/*": binary, "application/octet-stream": binary}  # type: ignore[assignment]  # a tree of JSON
    else:
        answer["content"] = _json(known[route.answer])  # type: ignore[assignment]  # a tree of JSON
    wrong = _json(known[route.errors_as])
    operation: dict[str, Any] = {
        "operationId": route.name,
        "summary": route.summary,
        "tags": [route.errors_as.service],
        "responses": {
            str(route.status): answer,
            **{
                str(status): {"description": _MEANINGS[status], "content": wrong}
                for status in sorted(_error_statuses(route))
            },
        },
    }
    if route.answer is None:
        operation["responses"]["206"] = {**answer, "description": "A range of it"}
        operation["responses"]["304"] = {"description": "It has not changed"}
        # The file server's own answer, which is plain text.
        operation["responses"]["416"] = {
            "description": _MEANINGS[416],
            "content": {"text/plain": {"schema": {"type": "string"}}},
        }
        operation["responses"]["400"] = {
            "description": "The range can't be read",
            "content": {"text/plain": {"schema": {"type": "string"}}},
        }
    parameters = [*_words(route.path), *_query(route)]
    if parameters:
        operation["parameters"] = parameters
    if body := _body(route, known):
        operation["requestBody"] = body
    if route.is_open:
        operation["security"] = []
    return operation


def _error_statuses(route: Route) -> set[int]:
    statuses = {403, 500, *route.errors}
    if not route.is_open:
        statuses.add(401)
    if route.query is not None:
        statuses.add(400)
    if route.body is not None:
        statuses |= _BODY_ERRORS
    return statuses


def _words(path: str) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": _WORD_KINDS.get(name, _WORD),
        }
        for name in re.findall(r"{(\w+)}", path)
    ]


def _query(route: Route) -> list[dict[str, Any]]:
    if route.query is None:
        return []
    (schema,), more = msgspec.json.schema_components((route.query,), ref_template=_REFERENCES)
    fields = more[schema["$ref"].rpartition("/")[2]]["properties"]
    return [
        {"name": name, "in": "query", "required": False, "schema": _without_null(kind)}
        for name, kind in fields.items()
    ]


def _without_null(kind: dict[str, Any]) -> dict[str, Any]:
    """Return a query's kind: it can be left out, but not be null."""
    kinds = [each for each in kind.get("anyOf", ()) if each != {"type": "null"}]
    plain = kinds[0] if len(kinds) == 1 else kind
    if "enum" in plain:
        plain = {**plain, "enum": [each for each in plain["enum"] if each is not None]}
    return {name: value for name, value in plain.items() if name != "default"}


def _body(route: Route, known: dict[type[msgspec.Struct], dict[str, Any]]) -> dict[str, Any]:
    if route.body is not None:
        return {"required": True, "content": _json(known[route.body])}
    binary = {"type": "string", "format": "binary"}
    if route.upload == "bytes":
        return {"required": True, "content": {"application/octet-stream": {"schema": binary}}}
    if route.upload == "multipart":
        form = {"type": "object", "properties": {"file": binary}, "required": ["file"]}
        return {"required": True, "content": {"multipart/form-data": {"schema": form}}}
    return {}


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}
