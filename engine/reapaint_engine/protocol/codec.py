"""Messages to the parts that travel and back: JSON first, then raw float32.

A header is ``{"protocol": "1.0", "type": "Submit", "body": {...}}``. How many parts
follow, and how long each is, follows from the body and is checked before a part is
looked at. Nothing is pickled.

Each end decodes what the other may send and nothing else: the body of another type is
left alone. Every number has a limit before it is multiplied.
"""

from collections.abc import Mapping, Sequence
from typing import TypeVar, get_args

import msgspec
import numpy as np

from reapaint_engine.protocol.arrays import Audio, is_finite
from reapaint_engine.protocol.errors import (
    REPAIR_SAMPLES,
    ErrorCode,
    ProtocolError,
    not_authorised,
)
from reapaint_engine.protocol.messages import (
    ClientMessage,
    Done,
    EngineMessage,
    Hello,
    Message,
    PartShape,
    Submit,
)
from reapaint_engine.protocol.version import PROTOCOL_VERSION, protocol_text

Buffer = bytes | memoryview

MAX_HEADER_BYTES = 1 << 20
"""Far above any real header: two prompts of 10,000 characters and 16 takes fit."""

_WIRE_DTYPE = np.dtype("<f4")
MAX_HELLO_BYTES = 4096
"""All that is read of somebody who has shown no token yet."""
MAX_PART_SIDE = 2**40
"""Far above the channels or the frames of any audio, and little enough for an array's shape."""

_MessageT = TypeVar("_MessageT", bound=Message)
_Types = Mapping[str, type[_MessageT]]

_FROM_CLIENTS: _Types[ClientMessage] = {kind.__name__: kind for kind in get_args(ClientMessage)}
_FROM_ENGINES: _Types[EngineMessage] = {kind.__name__: kind for kind in get_args(EngineMessage)}


class _Header(msgspec.Struct):
    protocol: str
    type: str
    body: msgspec.Raw = msgspec.Raw(b"{}")


class _JobId(msgspec.Struct, frozen=True):
    job_id: str = ""


class _AboutJob(_JobId, frozen=True):
    request: _JobId = _JobId()


def encode(message: Message, parts: Sequence[Audio] = ()) -> list[Buffer]:
    """Return the parts of a message, the header first.

    Parameters
    ----------
    message
        Any message of ``messages``.
    parts
        Its audio, each of shape (channels, frames), float32; what is C-contiguous is not
        copied.

    Raises
    ------
    ProtocolError
        ``part_mismatch``: the audio does not have the shapes the message states.
    """
    shapes = _part_shapes(message)
    if [part.shape for part in parts] != list(shapes):
        raise ProtocolError(
            ErrorCode.PART_MISMATCH,
            f"The audio's shapes {[part.shape for part in parts]} are not the message's"
            f" {list(shapes)}.",
            hint="Send the audio that the message describes.",
        )
    header = _Header(
        protocol=protocol_text(),
        type=type(message).__name__,
        body=msgspec.Raw(msgspec.json.encode(message)),
    )
    buffers = [_to_wire(part) for part in parts]
    return [msgspec.json.encode(header), *buffers]


def decode_hello(buffers: Sequence[Buffer]) -> Hello:
    """Return the Hello of somebody who is not known yet.

    Raises
    ------
    ProtocolError
        As ``decode_from_client``, and ``not_authorised``: it is another message, or longer than
        ``MAX_HELLO_BYTES``, and was not decoded.
    """
    if len(buffers) != 1 or len(buffers[0]) > MAX_HELLO_BYTES:
        raise not_authorised()
    header = _decode_header(buffers)
    _check_version(header.protocol)
    if header.type != Hello.__name__:
        raise not_authorised()
    return _decode_body(header, {Hello.__name__: Hello})


def decode_from_client(buffers: Sequence[Buffer]) -> tuple[ClientMessage, tuple[Audio, ...]]:
    """Return a client's message and its audio; the arrays are read-only views of the buffers.

    Parameters
    ----------
    buffers
        The parts as they came, the header first.

    Returns
    -------
    tuple
        The message, and each part of its audio, shape (channels, frames), float32.

    Raises
    ------
    ProtocolError
        ``malformed_message``, ``incompatible_version``, ``unknown_type``,
        ``invalid_field``, ``part_mismatch`` or ``not_finite``.
    """
    return _decode(buffers, _FROM_CLIENTS)


def decode_from_engine(buffers: Sequence[Buffer]) -> tuple[EngineMessage, tuple[Audio, ...]]:
    """Return an engine's message and its audio; the arrays are read-only views of the buffers.

    Returns
    -------
    tuple
        The message, and each part of its audio, shape (channels, frames), float32.

    Raises
    ------
    ProtocolError
        As ``decode_from_client``.
    """
    return _decode(buffers, _FROM_ENGINES)


def _decode(
    buffers: Sequence[Buffer], types: _Types[_MessageT]
) -> tuple[_MessageT, tuple[Audio, ...]]:
    header = _decode_header(buffers)
    _check_version(header.protocol)
    message = _decode_body(header, types)
    # Counted before the shapes are made: spans times takes may be billions.
    count = message.part_count() if isinstance(message, Submit | Done) else 0
    if len(buffers) - 1 != count:
        raise ProtocolError(
            ErrorCode.PART_MISMATCH,
            f"{header.type} has {len(buffers) - 1} audio parts where its header tells of {count}.",
            hint="Send one part for each piece of audio.",
        )
    shapes = _part_shapes(message)
    parts = tuple(
        _decode_part(buffer, shape) for buffer, shape in zip(buffers[1:], shapes, strict=True)
    )
    return message, parts


def job_id_of(buffers: Sequence[Buffer]) -> str:
    """Return the job a broken message was about, or "" where it can't be told."""
    try:
        body = msgspec.json.decode(_decode_header(buffers).body, type=_AboutJob)
    except (ProtocolError, msgspec.MsgspecError):
        return ""
    return body.job_id or body.request.job_id


def _to_wire(part: Audio) -> Buffer:
    contiguous = np.ascontiguousarray(part, dtype=_WIRE_DTYPE)
    # A view of nothing can't be cast to bytes.
    return contiguous.data.cast("B") if contiguous.size else b""


def _part_shapes(message: Message) -> tuple[PartShape, ...]:
    return message.part_shapes() if isinstance(message, Submit | Done) else ()


def _decode_header(buffers: Sequence[Buffer]) -> _Header:
    if not buffers or len(buffers[0]) > MAX_HEADER_BYTES:
        raise ProtocolError(
            ErrorCode.MALFORMED_MESSAGE,
            f"A message needs a header of at most {MAX_HEADER_BYTES} bytes.",
            hint="Send a JSON header as the first part.",
        )
    try:
        return msgspec.json.decode(buffers[0], type=_Header)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ProtocolError(
            ErrorCode.MALFORMED_MESSAGE,
            f"The header is not one of ReaPaint's: {error}.",
            hint="Check that both ends speak ReaPaint's protocol.",
        ) from error


def _check_version(text: str) -> None:
    major = text.split(".", 1)[0]
    if major != str(PROTOCOL_VERSION[0]):
        raise ProtocolError(
            ErrorCode.INCOMPATIBLE_VERSION,
            f"The other end speaks protocol {text[:20]!r}, this one {protocol_text()}.",
            hint="Install the same version of ReaPaint on both sides.",
        )


def _decode_body(header: _Header, types: _Types[_MessageT]) -> _MessageT:
    kind = types.get(header.type)
    if kind is None:
        raise ProtocolError(
            ErrorCode.UNKNOWN_TYPE,
            f"{header.type[:40]!r} is no message that this end takes.",
            hint="Install the same version of ReaPaint on both sides.",
        )
    try:
        message: _MessageT = msgspec.json.decode(header.body, type=kind)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ProtocolError(
            ErrorCode.INVALID_FIELD,
            f"{header.type} has a field that is missing or of the wrong type: {error}.",
            hint="Send every field of the message with its documented type.",
        ) from error
    return message


def _decode_part(buffer: Buffer, shape: PartShape) -> Audio:
    is_possible = min(shape) >= 0 and max(shape) <= MAX_PART_SIDE
    if not is_possible or len(buffer) != shape[0] * shape[1] * _WIRE_DTYPE.itemsize:
        raise ProtocolError(
            ErrorCode.PART_MISMATCH,
            f"An audio part has {len(buffer)} bytes where its header tells of"
            f" {shape[0]} channels of {shape[1]} frames.",
            hint="Send little-endian float32, one channel after the other.",
        )
    audio = np.frombuffer(buffer, dtype=_WIRE_DTYPE).astype(np.float32, copy=False).reshape(shape)
    audio.flags.writeable = False
    if not is_finite(audio):
        raise ProtocolError(
            ErrorCode.NOT_FINITE,
            "The audio holds samples that are not numbers.",
            hint=REPAIR_SAMPLES,
        )
    return audio
