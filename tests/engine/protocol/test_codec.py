import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from reapaint_engine.protocol.codec import (
    MAX_HEADER_BYTES,
    decode_from_client,
    decode_from_engine,
    encode,
    job_id_of,
)
from reapaint_engine.protocol.errors import ProtocolError
from reapaint_engine.protocol.messages import Done, InpaintRequest, Ping, Submit, TakeReport
from reapaint_engine.protocol.spans import Span

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
