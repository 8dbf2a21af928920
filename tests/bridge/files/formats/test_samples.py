"""Samples and bytes: nothing is lost on the way, and nothing wraps around."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reapaint.files.formats.samples import (
    Encoding,
    SampleFormat,
    count_over_full_scale,
    to_integers,
)

ENCODINGS = [
    Encoding(fmt, big_endian=big, is_unsigned=unsigned)
    for fmt in SampleFormat
    for big in (False, True)
    for unsigned in ((False, True) if fmt is SampleFormat.INT8 else (False,))
]


@pytest.mark.parametrize("encoding", ENCODINGS, ids=str)
@given(data=st.binary(min_size=48, max_size=480))
def test_integers_come_back_byte_for_byte(encoding: Encoding, data: bytes) -> None:
    if encoding.sample_format.is_float:
        values = np.frombuffer(data[: len(data) // 8 * 8], np.uint8).astype(np.float64) / 255
        data = values.astype(f"{'>' if encoding.big_endian else '<'}f{encoding.sample_bytes}")
        data = data.tobytes()  # type: ignore[attr-defined]
    whole = data[: len(data) // (2 * encoding.sample_bytes) * 2 * encoding.sample_bytes]
    audio = encoding.decode(whole, 2)
    assert audio.shape == (2, len(whole) // (2 * encoding.sample_bytes))
    assert audio.flags.c_contiguous
    assert encoding.encode(audio) == whole


def test_known_bytes() -> None:
    int24 = Encoding(SampleFormat.INT24)
    assert int24.encode(np.array([[-1.0, 0.5, 2.0**-23]], np.float32)) == bytes.fromhex(
        "000080 000040 010000"
    )
    big = Encoding(SampleFormat.INT24, big_endian=True)
    assert big.encode(np.array([[-1.0, 0.5]], np.float32)) == bytes.fromhex("800000 400000")
    unsigned = Encoding(SampleFormat.INT8, is_unsigned=True)
    assert unsigned.encode(np.array([[-1.0, 0.0, 1.0]], np.float32)) == bytes([0, 128, 255])


@given(st.floats(allow_nan=True, allow_infinity=True, width=32), st.sampled_from([8, 16, 24, 32]))
def test_any_number_stays_within_full_scale(value: float, bits: int) -> None:
    result = int(to_integers(np.array([[value]], np.float32), bits)[0, 0])
    full = 2 ** (bits - 1)
    assert -full <= result <= full - 1
    if not np.isnan(value):
        assert result >= 0 if value > 0 else result <= 0
    if abs(value) < 0.99:
        assert abs(result - float(np.float32(value)) * full) <= 0.5


def test_full_scale_itself_is_not_too_loud() -> None:
    audio = np.array([[1.0, -1.0, 1.001, 0.0], [0.0, 0.0, -2.0, 0.0]], np.float32)
    assert count_over_full_scale(audio) == 1
