import contextlib
import dataclasses
import json
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from enum import StrEnum
from typing import Annotated, get_args, get_origin, get_type_hints

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from reapaint_engine.protocol.codec import (
    MAX_HEADER_BYTES,
    MAX_HELLO_BYTES,
    decode_from_client,
    decode_from_engine,
    decode_hello,
    encode,
    job_id_of,
)
from reapaint_engine.protocol.errors import ProtocolError
from reapaint_engine.protocol.messages import (
    ClientMessage,
    Done,
    EngineMessage,
    Hello,
    InpaintRequest,
    Ping,
    Submit,
    TakeReport,
)
from reapaint_engine.protocol.spans import Span
from tests.scale import SCALE

REQUEST = InpaintRequest(
    job_id="job-1",
    sample_rate=48000,
    channels=2,
    audio_frames=100,
    window_frames=100,
    spans=(Span(10, 20), Span(50, 51)),
)
AUDIO = np.arange(200, dtype=np.float32).reshape(2, 100)


def _code_of(buffers: list[bytes]) -> str:
    with pytest.raises(ProtocolError) as caught:
        decode_from_client(buffers)
    assert caught.value.message.endswith(".")
    assert caught.value.hint.endswith(".")
    return caught.value.code


def _header(**changes: object) -> bytes:
    header = json.loads(bytes(encode(Submit(REQUEST), [AUDIO])[0]))
    header.update(changes)
    return json.dumps(header).encode()


def _with_request(**changes: object) -> list[bytes]:
    header = json.loads(bytes(encode(Submit(REQUEST), [AUDIO])[0]))
    header["body"]["request"].update(changes)
    return [json.dumps(header).encode(), AUDIO.tobytes()]


def test_audio_comes_back_as_it_was_and_read_only() -> None:
    message, (audio,) = decode_from_client(encode(Submit(REQUEST), [AUDIO]))
    assert message == Submit(REQUEST)
    assert audio.dtype == np.float32
    np.testing.assert_array_equal(audio, AUDIO)
    with pytest.raises(ValueError, match="read-only"):
        audio[0, 0] = 1


def test_audio_is_neither_copied_out_nor_in() -> None:
    buffers = encode(Submit(REQUEST), [AUDIO])
    assert np.shares_memory(np.frombuffer(buffers[1], np.float32), AUDIO)
    _, (audio,) = decode_from_client(buffers)
    assert np.shares_memory(audio, AUDIO)


def test_patches_travel_takes_outermost() -> None:
    takes = (TakeReport(1, ()), TakeReport(2, ()))
    done = Done(
        job_id="job-1",
        request=REQUEST,
        backend="echo",
        model="echo",
        model_revision="1",
        mode="auto",
        engine_version="0",
        takes=takes,
    )
    shapes = [(2, 10), (2, 1), (2, 10), (2, 1)]
    patches = [np.full(shape, n, np.float32) for n, shape in enumerate(shapes)]
    message, parts = decode_from_engine(encode(done, patches))
    assert message == done
    assert [part.shape for part in parts] == shapes
    assert [part.flat[0] for part in parts] == [0, 1, 2, 3]


@given(
    hnp.arrays(
        np.float32,
        st.tuples(st.integers(1, 8), st.integers(0, 50)),
        elements=st.floats(width=32, allow_nan=False, allow_infinity=False),
    )
)
def test_any_finite_audio_survives(audio: np.ndarray) -> None:
    request = replace(
        REQUEST,
        channels=audio.shape[0],
        audio_frames=audio.shape[1],
        window_frames=audio.shape[1] + 1,
        spans=(Span(0, audio.shape[1] + 1),),
    )
    _, (back,) = decode_from_client(encode(Submit(request), [audio]))
    assert back.tobytes() == audio.tobytes()


def test_unknown_fields_are_ignored() -> None:
    buffers = _with_request(colour="blue")
    assert decode_from_client(buffers)[0] == Submit(REQUEST)
    assert decode_from_client([_header(colour="blue"), AUDIO.tobytes()])[0] == Submit(REQUEST)


def test_a_newer_minor_version_is_understood() -> None:
    assert decode_from_client([_header(protocol="1.99"), AUDIO.tobytes()])[0] == Submit(REQUEST)


@pytest.mark.parametrize("version", ["2.0", "0.9", "", "x", "11.0"])
def test_another_major_version_is_refused(version: str) -> None:
    assert _code_of([_header(protocol=version), AUDIO.tobytes()]) == "incompatible_version"


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b"null",
        b'{"type": "Ping"}',
        b'{"protocol": 1, "type": "Ping"}',
        b'{"protocol": "1.0", "type": "Ping", "body": NaN}',
        b"{" * 100_000,
        b'{"protocol": "1.0", "type": "Ping", "pad": "' + b"x" * MAX_HEADER_BYTES + b'"}',
    ],
)
def test_what_is_no_header_is_refused(header: bytes) -> None:
    assert _code_of([header]) == "malformed_message"


def test_nothing_at_all_is_refused() -> None:
    assert _code_of([]) == "malformed_message"


@pytest.mark.parametrize("kind", ["Explode", "", "InpaintRequest", "ping"])
def test_an_unknown_type_is_refused(kind: str) -> None:
    assert _code_of([_header(type=kind)]) == "unknown_type"


@pytest.mark.parametrize(
    "changes",
    [
        {"takes": "four"},
        {"takes": True},
        {"takes": 1.5},
        {"sample_rate": None},
        {"spans": [{"start": 1}]},
        {"spans": {"start": 1, "end": 2}},
        {"prompt": 7},
        {"match_level": "yes"},
        {"guidance": [1]},
    ],
)
def test_mistyped_fields_are_refused(changes: dict[str, object]) -> None:
    assert _code_of(_with_request(**changes)) == "invalid_field"


def test_missing_fields_are_refused() -> None:
    header = json.loads(bytes(encode(Submit(REQUEST), [AUDIO])[0]))
    del header["body"]["request"]["channels"]
    assert _code_of([json.dumps(header).encode(), AUDIO.tobytes()]) == "invalid_field"


@pytest.mark.parametrize(
    "parts",
    [[], [b""], [AUDIO.tobytes()[:-1]], [AUDIO.tobytes() + b"\0"], [AUDIO.tobytes()] * 2],
    ids=["none", "empty", "short", "long", "two"],
)
def test_parts_must_have_the_size_of_the_header(parts: list[bytes]) -> None:
    assert _code_of([_header(), *parts]) == "part_mismatch"


@pytest.mark.parametrize(("channels", "frames"), [(2**62, 2**62), (-2, -100), (0, 100)])
def test_absurd_shapes_allocate_nothing(channels: int, frames: int) -> None:
    buffers = _with_request(channels=channels, audio_frames=frames)
    assert _code_of(buffers) == "part_mismatch"


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_audio_that_is_not_finite_is_refused(bad: float) -> None:
    audio = AUDIO.copy()
    audio[1, 99] = bad
    assert _code_of([_header(), audio.tobytes()]) == "not_finite"


def test_what_is_sent_must_match_what_is_said() -> None:
    with pytest.raises(ProtocolError, match="not the message's"):
        encode(Submit(REQUEST), [AUDIO[:, :50]])
    with pytest.raises(ProtocolError, match="not the message's"):
        encode(Ping(), [AUDIO])


def test_the_job_of_a_broken_message_is_found_where_it_can_be() -> None:
    assert job_id_of(_with_request(takes="four")) == "job-1"
    assert job_id_of([b'{"protocol": "1.0", "type": "Cancel", "body": {"job_id": "x"}}']) == "x"
    assert job_id_of([b"rubbish"]) == ""
    assert job_id_of([_header(body=[1])]) == ""


@given(st.lists(st.binary(max_size=200), max_size=4))
def test_garbage_only_ever_gives_a_protocol_error(buffers: list[bytes]) -> None:
    with pytest.raises(ProtocolError):
        decode_from_client(buffers)


# What a hostile peer may write

ODD_NUMBERS = st.one_of(
    st.integers(-(10**30), 10**30),
    st.sampled_from([0, -1, 2**31, 2**40, 2**62, 2**63, -(2**63), 2**64, 10**400]),
    st.floats(allow_nan=True, allow_infinity=True),
    st.sampled_from([1e308, -1e308, 5e-324]),
)
ODD_TEXTS = st.one_of(st.text(max_size=20), st.just("\ud800"), st.just("x" * 100_000))
ODD_VALUES = st.recursive(
    st.none() | st.booleans() | ODD_NUMBERS | ODD_TEXTS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)
EVERY_TYPE = {kind.__name__: kind for kind in get_args(ClientMessage | EngineMessage)}
_FROM_CLIENTS = {kind.__name__ for kind in get_args(ClientMessage)}
_FROM_ENGINES = {kind.__name__ for kind in get_args(EngineMessage)}


def _fields_of(kind: type) -> dict[str, object]:
    return get_type_hints(kind, include_extras=True)


@st.composite
def _bodies(draw: st.DrawFn, kind: type) -> dict[str, object]:
    """Draw a body with the type's own fields, most of them plausible, some hostile or left out."""
    body: dict[str, object] = {}
    for name, hint in _fields_of(kind).items():
        choice = draw(st.integers(0, 9))
        if choice == 0:
            continue
        body[name] = draw(ODD_VALUES if choice <= 2 else _values(hint))
    return body


def _values(hint: object) -> st.SearchStrategy[object]:
    if dataclasses.is_dataclass(hint):
        return _bodies(hint)
    arguments = get_args(hint)
    if get_origin(hint) is Annotated or hint is int:
        return st.integers(-3, 100) | ODD_NUMBERS
    if get_origin(hint) is tuple:
        return st.lists(_values(arguments[0]), max_size=4)
    if arguments:
        return st.one_of([_values(each) for each in arguments])
    if hint is float:
        return st.floats() | ODD_NUMBERS
    if hint is bool:
        return st.booleans()
    if hint is type(None):
        return st.none()
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return st.sampled_from([str(each) for each in hint])
    return ODD_TEXTS


@st.composite
def _hostile_messages(draw: st.DrawFn) -> list[bytes]:
    kind = draw(st.sampled_from(sorted(EVERY_TYPE)))
    header = {
        "protocol": draw(
            st.sampled_from(["1.0", "1.0", "1.0", "1.99999999999999999999", "\ud800"])
        ),
        "type": draw(st.sampled_from([kind, kind, kind, "Explode"])),
        "body": draw(_bodies(EVERY_TYPE[kind])),
    }
    parts = draw(st.lists(st.binary(max_size=64), max_size=3))
    # As Python writes it: NaN, Infinity and lone surrogates stay in.
    return [json.dumps(header).encode(), *parts]


@settings(max_examples=300 * SCALE)
@given(_hostile_messages())
def test_whatever_is_written_gives_a_message_or_a_protocol_error(buffers: list[bytes]) -> None:
    tracemalloc.start()
    try:
        for decode in (decode_from_client, decode_from_engine, decode_hello):
            with contextlib.suppress(ProtocolError):
                decode(buffers)
        assert isinstance(job_id_of(buffers), str)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # An error may say the value once more; nothing is made in the size that a header tells of.
    assert peak_bytes < 20 * sum(map(len, buffers)) + (1 << 20)


@pytest.mark.parametrize("kind", sorted(_FROM_ENGINES - _FROM_CLIENTS))
def test_an_engine_refuses_what_only_engines_send(kind: str) -> None:
    body = [{"spans": "never looked at"}]
    assert _code_of([_header(type=kind, body=body)]) == "unknown_type"


@pytest.mark.parametrize("kind", sorted(_FROM_CLIENTS - _FROM_ENGINES))
def test_a_client_refuses_what_only_clients_send(kind: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        decode_from_engine([_header(type=kind, body=[1])])
    assert caught.value.code == "unknown_type"


def test_spans_times_takes_are_counted_before_shapes_are_made() -> None:
    header = json.loads(bytes(encode(Submit(REQUEST), [AUDIO])[0]))
    request = {**header["body"]["request"], "spans": [{"start": 0, "end": 1}] * 20_000}
    body = {
        "job_id": "x", "request": request, "backend": "x", "model": "", "model_revision": "",
        "mode": "", "engine_version": "", "takes": [{"seed": 0, "seams": []}] * 20_000,
    }  # fmt: skip
    buffers = [json.dumps({**header, "type": "Done", "body": body}, separators=(",", ":")).encode()]
    tracemalloc.start()
    try:
        with pytest.raises(ProtocolError) as caught:
            decode_from_engine(buffers)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert caught.value.code in ("part_mismatch", "malformed_message")
    assert peak_bytes < 64 << 20


def _hello(token: str = "t", client: str = "c") -> bytes:
    return bytes(encode(Hello(token, client))[0])


def test_a_hello_is_read_of_a_stranger() -> None:
    assert decode_hello([_hello()]) == Hello("t", "c")
    longest = "x" * (MAX_HELLO_BYTES - len(_hello(client="")))
    assert decode_hello([_hello(client=longest)]).client == longest


@pytest.mark.parametrize(
    ("buffers", "code"),
    [
        ([], "not_authorised"),
        ([_hello(client="x" * MAX_HELLO_BYTES)], "not_authorised"),
        ([_hello(), b""], "not_authorised"),
        ([b"{" * MAX_HELLO_BYTES], "malformed_message"),
        ([b"{" * (MAX_HELLO_BYTES + 1)], "not_authorised"),
        ([b""], "malformed_message"),
        ([bytes(encode(Ping())[0])], "not_authorised"),
        ([_hello().replace(b"Hello", b"Submit")], "not_authorised"),
        ([_hello().replace(b'"c"', b"1")], "invalid_field"),
        ([_hello().replace(b'"c"', b'"\\ud800"')], "malformed_message"),
    ],
)
def test_nothing_else_is_read_of_a_stranger(buffers: list[bytes], code: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        decode_hello(buffers)
    assert caught.value.code == code


def _integers_of(hint: object, where: str) -> Iterator[tuple[str, object]]:
    """Yield every place below a type where a whole number may stand, and its hint."""
    if dataclasses.is_dataclass(hint):
        for name, each in _fields_of(hint).items():
            yield from _integers_of(each, f"{where}.{name}")
    elif get_origin(hint) is Annotated:
        if get_args(hint)[0] is int:
            yield where, hint
    elif hint is int:
        yield where, hint
    else:
        for each in get_args(hint):
            yield from _integers_of(each, where)


INTEGERS = [each for kind in EVERY_TYPE.values() for each in _integers_of(kind, kind.__name__)]


@pytest.mark.parametrize(("where", "hint"), INTEGERS, ids=[where for where, _ in INTEGERS])
def test_every_whole_number_of_a_message_has_64_bits(where: str, hint: object) -> None:
    assert msgspec.json.decode(b"9223372036854775807", type=hint) == 2**63 - 1
    for text in (b"9223372036854775808", b"-9223372036854775809", b"9" * 5000):
        with pytest.raises(msgspec.ValidationError):
            msgspec.json.decode(text, type=hint)


def test_whole_numbers_were_found() -> None:
    names = {where for where, _ in INTEGERS}
    assert {"Submit.request.spans.start", "Done.takes.seams.frame", "Submit.request.seed"} <= names
