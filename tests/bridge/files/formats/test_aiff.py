"""AIFF headers: every chunk kept, sizes right."""

import io
import struct
from pathlib import Path

import numpy as np
import pytest

from reapaint.errors import BridgeCode, InputError
from reapaint.files.formats import aiff
from reapaint.files.formats.samples import Encoding, SampleFormat
from reapaint.files.media import probe, read_frames, write_spliced
from tests.bridge import audio_files as files

DATA = files.raw_samples("int24", 301, 1)
COMMON = files.aiff_common(96_000, channels=1, frames=301, bits=24)


def test_every_chunk_keeps_its_bytes_and_its_place(tmp_path: Path) -> None:
    chunks = [
        (b"NAME", b"odd"),
        (b"SSND", struct.pack(">II", 4, 0) + b"skip" + DATA),
        (b"COMM", COMMON),
        (b"APPL", b"op-1{}"),
        (b"APPL", b'rpnt{"seed":0}'),
        (b"MARK", bytes(2)),
    ]
    path = tmp_path / "in.aif"
    path.write_bytes(files.aiff(*(files.chunk(name, body, ">") for name, body in chunks)))
    info = probe(path)
    assert info.frames == 301
    patch = files.noise_patch(info, 300, 100)
    out = tmp_path / "out.aif"
    write_spliced(info, out, [patch], force=False, record={"seed": 1})
    result = files.walk(out.read_bytes(), ">")
    assert [name for name, _ in result] == [b"NAME", b"SSND", b"COMM", b"APPL", b"MARK", b"APPL"]
    assert result[0] == chunks[0]
    assert result[1][1][: 12 + 900] == chunks[1][1][: 12 + 900]
    assert len(result[1][1]) == 12 + 1200
    assert result[2][1] == COMMON[:2] + struct.pack(">I", 400) + COMMON[6:]
    assert result[3] == chunks[3]
    assert result[5] == (b"APPL", b'rpnt{"seed":1}')
    assert files.decoded(out).shape == (1, 400)


@pytest.mark.parametrize("rate", [1, 8000, 44_100, 192_000, 10_000_000])
def test_rates_survive_the_80_bit_float(rate: int) -> None:
    plan = aiff.plan_new(
        Encoding(SampleFormat.INT16, big_endian=True),
        sample_rate=rate,
        channels=2,
        frames=10,
        record=b"",
    )
    content = b"".join(plan.before) + bytes(40)  # type: ignore[arg-type]
    assert files.aiff_common(rate, channels=2, frames=10, bits=16) in content
    layout = aiff.read_layout(io.BytesIO(content), len(content))
    assert layout is not None
    assert (layout.sample_rate, layout.frames) == (rate, 10)


@pytest.mark.parametrize("kind", ["int8", "int16", "int24", "int32", "float32", "float64"])
def test_new_files_are_what_ffmpeg_understands(tmp_path: Path, kind: str) -> None:
    content = files.simple_wav(kind, 44_100, 2, files.raw_samples(kind, 99, 2))
    (tmp_path / "in.wav").write_bytes(content)
    info = probe(tmp_path / "in.wav")
    out = tmp_path / "out.aiff"
    assert write_spliced(info, out, [], force=False, record={"a": 1}) == []
    again = probe(out)
    assert again.container == ("aifc" if kind.startswith("float") else "aiff")
    assert again.sample_format == kind
    np.testing.assert_array_equal(read_frames(again, 0, 99), read_frames(info, 0, 99))
    scale = {"int8": 2**7, "int16": 2**15, "int24": 2**31, "int32": 2**31}.get(kind, 1)
    heard = files.decoded(out).astype(np.float64) / scale
    if kind == "int8":
        heard = files.decoded(out).astype(np.float64) / 2**7 - (heard.min() >= 0)
    np.testing.assert_array_equal(heard.astype(np.float32), read_frames(info, 0, 99))


def test_more_than_aiff_can_hold_is_refused() -> None:
    with pytest.raises(InputError, match="4 GiB") as caught:
        aiff.plan_new(
            Encoding(SampleFormat.INT16, big_endian=True),
            sample_rate=48_000,
            channels=2,
            frames=1 << 30,
            record=b"",
        )
    assert caught.value.code == BridgeCode.UNSUPPORTED_FORMAT


@pytest.mark.parametrize(
    "rate_bytes", [b"\x7f\xff" + bytes(8), b"\xff" * 10, bytes(10), b"\xc0\x0e" + b"\xff" * 8]
)
def test_rates_that_are_none_are_refused(rate_bytes: bytes) -> None:
    common = COMMON[:8] + rate_bytes
    content = files.aiff(files.chunk(b"COMM", common, ">"), files.sound_chunk(DATA))
    with pytest.raises(InputError) as caught:
        aiff.read_layout(io.BytesIO(content), len(content))
    assert caught.value.code == BridgeCode.UNREADABLE_AUDIO
