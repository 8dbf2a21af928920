"""Reads what comes with a request, and no more of it than is taken."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

from reapaint.http.config import HttpLimits
from reapaint.http.errors import HttpCode, Refused, bad_request, too_large
from reapaint.http.store import Incoming, Store, StoredFile

_WRITE_BYTES = 1 << 20
_NAME = "file"

_Struct = TypeVar("_Struct", bound=msgspec.Struct)


class BodyBudget:
    """How much memory all bodies that are being read take. It belongs to the event loop."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._used_bytes = 0

    def claim(self, count: int) -> None:
        """Count what is about to be held.

        Raises
        ------
        Refused
            429 ``too_many``.
        """
        if self._used_bytes + count > self._limit_bytes:
            raise Refused(
                429,
                HttpCode.TOO_MANY,
                "The server is reading as many requests as it has memory for.",
                hint="Send it again in a moment; files that are uploaded first need no memory.",
            )
        self._used_bytes += count

    @contextlib.contextmanager
    def share(self) -> Iterator["Share"]:
        """Yield one request's share, which is given back when the request is over."""
        share = Share(self)
        try:
            yield share
        finally:
            self._used_bytes -= share.size


@dataclass(eq=False)
class Share:
    """What one request holds."""

    budget: BodyBudget
    size: int = 0

    def claim(self, count: int) -> None:
        """Count what is about to be held."""
        self.budget.claim(count)
        self.size += count


async def read_json(
    request: Request, kind: type[_Struct], share: Share, limits: HttpLimits
) -> tuple[_Struct, dict[str, Any]]:
    """Return a JSON body as what it should be, and as it came.

    Raises
    ------
    Refused
        400, 413, 415 or 429.
    """
    content_type = request.headers.get("content-type", "")
    if content_type.partition(";")[0].strip().lower() != "application/json":
        raise Refused(
            415,
            HttpCode.UNSUPPORTED_MEDIA_TYPE,
            "The body is not said to be JSON.",
            hint="Send it with Content-Type: application/json.",
        )
    chunks: list[bytes] = []
    async for chunk in _chunks(request, limits.max_body_bytes, "The body", limits):
        share.claim(len(chunk))
        chunks.append(chunk)
    body = b"".join(chunks)
    chunks.clear()
    if len(body) < _WRITE_BYTES:
        return _decode(body, kind)
    return await asyncio.to_thread(_decode, body, kind)


def read_query(request: Request, kind: type[_Struct]) -> _Struct:
    """Return the query as what it should be.

    Raises
    ------
    Refused
        400.
    """
    given = dict(request.query_params)
    if "null" in given.values():
        raise bad_request("A query can hold no null.", "Leave the name out.")
    try:
        return msgspec.convert(given, kind, strict=False)
    except msgspec.ValidationError as error:
        raise _invalid("query", error) from error


async def read_file(request: Request, incoming: Incoming, limits: HttpLimits) -> StoredFile:
    """Keep a body that is a file.

    Raises
    ------
    Refused
        400, 413 or 507.
    """
    writer = _Writer(incoming)
    async for chunk in _chunks(request, limits.max_upload_bytes, "The file", limits):
        await writer.take(chunk)
    return await writer.finish()


async def read_multipart(request: Request, store: Store, limits: HttpLimits) -> StoredFile:
    """Keep the one file of a form, in its field ``file``.

    Raises
    ------
    Refused
        400, 413, 415 or 507.
    """
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    if kind != b"multipart/form-data" or not options.get(b"boundary"):
        raise Refused(
            415,
            HttpCode.UNSUPPORTED_MEDIA_TYPE,
            "The body is no multipart form.",
            hint="Send the file in the field `file` of a multipart/form-data body.",
        )
    with store.receive("") as incoming:
        writer = _Writer(incoming)
        form = _Form(writer)
        try:
            parser = MultipartParser(options[b"boundary"], form.callbacks)
            # The form's own words come on top of the file.
            most = limits.max_upload_bytes + (64 << 10)
            async for chunk in _chunks(request, most, "The file", limits):
                parser.write(chunk)
                await writer.flush()
            parser.finalize()
        except (FormParserError, UnicodeError) as error:
            raise bad_request("The multipart form is damaged.", "Send it again.") from error
        if not form.is_whole:
            raise bad_request(
                "The form has no file in its field `file`.",
                "Send the file there, as in curl -F file=@take.wav.",
            )
        return await writer.finish()


class _Writer:
    """Gathers small chunks, and writes them in a thread so that the loop never waits."""

    def __init__(self, incoming: Incoming) -> None:
        self._incoming = incoming
        self._held: list[bytes] = []
        self._held_bytes = 0

    def hold(self, chunk: bytes) -> None:
        self._held.append(chunk)
        self._held_bytes += len(chunk)

    def rename(self, filename: str) -> None:
        self._incoming.rename(filename)

    async def take(self, chunk: bytes) -> None:
        self.hold(chunk)
        await self.flush()

    async def flush(self, least_bytes: int = _WRITE_BYTES) -> None:
        if self._held_bytes >= least_bytes:
            block = b"".join(self._held)
            self._held, self._held_bytes = [], 0
            await asyncio.to_thread(self._incoming.write, block)

    async def finish(self) -> StoredFile:
        await self.flush(1)
        if not self._incoming.size:
            raise bad_request("The file is empty.", "Choose one that has sound in it.")
        return self._incoming.keep()


class _Form:
    """Hears what a parser finds in a form, and takes the first part that is named ``file``."""

    def __init__(self, writer: _Writer) -> None:
        self._writer = writer
        self._field = b""
        self._value = b""
        self._headers: dict[bytes, bytes] = {}
        self._is_file = False
        self.is_whole = False
        self.callbacks: Any = {
            "on_part_begin": self._begin,
            "on_header_field": self._hear_field,
            "on_header_value": self._hear_value,
            "on_header_end": self._end_header,
            "on_headers_finished": self._end_headers,
            "on_part_data": self._hear_data,
            "on_part_end": self._end_part,
        }

    def _begin(self) -> None:
        self._headers, self._is_file = {}, False

    def _hear_field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]

    def _hear_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _end_header(self) -> None:
        self._headers[self._field.lower()] = self._value
        self._field = self._value = b""

    def _end_headers(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition"))
        self._is_file = not self.is_whole and options.get(b"name") == _NAME.encode()
        if self._is_file:
            self._writer.rename(options.get(b"filename", b"").decode("utf-8", "replace"))

    def _hear_data(self, data: bytes, start: int, end: int) -> None:
        if self._is_file:
            self._writer.hold(data[start:end])

    def _end_part(self) -> None:
        self.is_whole = self.is_whole or self._is_file


async def _chunks(
    request: Request, max_bytes: int, what: str, limits: HttpLimits
) -> AsyncIterator[bytes]:
    """Yield a body as it comes; one that is said to be too large is not read at all."""
    said = request.headers.get("content-length", "")
    if said.isdigit() and int(said) > max_bytes:
        raise too_large(max_bytes, what)
    deadline_s = time.monotonic() + limits.upload_timeout_s
    size = 0
    stream = request.stream()
    while True:
        wait_s = min(limits.idle_timeout_s, deadline_s - time.monotonic())
        try:
            chunk = await asyncio.wait_for(anext(stream), max(wait_s, 0.0))
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise Refused(
                408, HttpCode.TOO_SLOW, "The body came too slowly.", hint="Send it again."
            ) from None
        except ClientDisconnect:
            raise bad_request("The connection was closed.", "Send it again.") from None
        size += len(chunk)
        if size > max_bytes:
            raise too_large(max_bytes, what)
        if chunk:
            yield chunk


def _decode(body: bytes, kind: type[_Struct]) -> tuple[_Struct, dict[str, Any]]:
    try:
        given = msgspec.json.decode(body)
        return msgspec.convert(given, kind), given
    except msgspec.ValidationError as error:
        raise _invalid("body", error) from error
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise bad_request("The body is no JSON.", "Send one JSON object.") from error


def _invalid(what: str, error: msgspec.ValidationError) -> Refused:
    return bad_request(
        f"The {what} is not as it should be: {str(error)[:300]}.",
        "See /openapi.json for what it may hold.",
    )
