"""WAV headers: every chunk kept, every size right, lies survived."""

import io
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from reapaint.errors import BridgeCode, InputError
from reapaint.files.formats import wav
from reapaint.files.formats.chunks import UNKNOWN_SIZE, Chunk, PcmLayout
from reapaint.files.media import probe, read_frames, write_spliced
from tests.bridge import audio_files as files

DATA = files.raw_samples("int16", 1001, 1)
FORMAT = files.chunk(b"fmt ", files.wav_format("int16", 48_000, 1))


def layout_of(content: bytes) -> PcmLayout:
    layout = wav.read_layout(io.BytesIO(content), len(content))
    assert layout is not None
    return layout


def rewrite(path: Path, *, extra_frames: int = 0) -> list[tuple[bytes, bytes]]:
    info = probe(path)
    patch = files.noise_patch(info, info.frames - 10, 10 + extra_frames)
    out = path.with_name("out.wav")
    write_spliced(info, out, [patch], force=True, record={"seed": 1})
    return files.walk(out.read_bytes())


def test_every_chunk_keeps_its_bytes_and_its_place(tmp_path: Path) -> None:
    extras = [
        (b"JUNK", bytes(28)),
        (b"bext", b"odd-length bext" * 3),
        (b"fmt ", FORMAT[8:]),
        (b"fact", struct.pack("<I", 1001)),
        (b"cue ", b"c" * 28),
        (b"data", DATA),
        (b"LIST", b"INFOINAM\x04\0\0\0abc\0"),
        (b"smpl", b"s" * 36),
        (b"iXML", b"<a/>!"),
        (b"x y!", b""),
        (b"LIST", b"adtl"),
    ]
    path = tmp_path / "in.wav"
    path.write_bytes(files.wav(*(files.chunk(name, body) for name, body in extras)))
    result = rewrite(path)
    assert result[-1] == (b"rpnt", b'{"seed":1}')
    assert [name for name, _ in result[:-1]] == [name for name, _ in extras]
    for (name, body), (_, original) in zip(result[:-1], extras, strict=True):
        expected = original if name != b"data" else None
        assert expected is None or body == expected
    longer = dict(rewrite(path, extra_frames=500))
    assert struct.unpack("<I", longer[b"fact"]) == (1501,)
    assert len(longer[b"data"]) == 1501 * 2


def test_a_missing_pad_byte_is_survived(tmp_path: Path) -> None:
    odd = struct.pack("<4sI", b"note", 3) + b"abc"
    path = tmp_path / "in.wav"
    path.write_bytes(files.wav(FORMAT, odd, files.chunk(b"data", DATA)))
    assert [name for name, _ in rewrite(path)] == [b"fmt ", b"note", b"data", b"rpnt"]


def test_what_follows_the_chunks_is_kept_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "in.wav"
    path.write_bytes(files.wav(FORMAT, files.chunk(b"data", DATA)) + b"\x01\x02 a tail")
    info = probe(path)
    write_spliced(info, tmp_path / "out.wav", [], force=False, record={"seed": 1})
    content = (tmp_path / "out.wav").read_bytes()
    assert content.endswith(b'{"seed":1}\x01\x02 a tail')
    assert struct.unpack("<I", content[4:8])[0] == len(content) - 8 - len(b"\x01\x02 a tail")


@pytest.mark.parametrize("size", [0, UNKNOWN_SIZE])
@pytest.mark.parametrize("riff_size", [0, UNKNOWN_SIZE])
def test_a_streamed_recording_goes_on_to_its_end(tmp_path: Path, size: int, riff_size: int) -> None:
    data = struct.pack("<4sI", b"data", size) + DATA
    path = tmp_path / "in.wav"
    path.write_bytes(files.wav(FORMAT, data, size=riff_size))
    info = probe(path)
    assert (info.frames, info.warnings) == (1001, ())
    assert dict(rewrite(path))[b"data"][:-20] == DATA[:-20]


def test_zero_is_the_truth_when_chunks_follow() -> None:
    empty = files.wav(FORMAT, files.chunk(b"data", b""), files.chunk(b"LIST", b"INFO"))
    with pytest.raises(InputError) as caught:
        layout_of(empty)
    assert caught.value.code == BridgeCode.EMPTY_AUDIO


@pytest.mark.parametrize("channels", [1, 2, 6])
@pytest.mark.parametrize("kind", files.WAV_KINDS)
def test_extensible_formats_are_understood(tmp_path: Path, kind: str, channels: int) -> None:
    data = files.raw_samples(kind, 100, channels)
    body = files.extensible_format(kind, 48_000, channels)
    path = tmp_path / "in.wav"
    path.write_bytes(files.wav(files.chunk(b"fmt ", body), files.chunk(b"data", data)))
    info = probe(path)
    assert (info.sample_format, info.channels, info.frames) == (kind, channels, 100)
    assert dict(rewrite(path))[b"fmt "] == body


def rf64(form: bytes, data: bytes, *, said: int | None = None) -> bytes:
    sizes = struct.pack("<QQQI", 0, len(data) if said is None else said, 0, 1)
    table = struct.pack("<4sQ", b"axml", 6)
    return files.wav(
        files.chunk(b"ds64", sizes + table),
        FORMAT,
        struct.pack("<4sI", b"data", UNKNOWN_SIZE) + data,
        struct.pack("<4sI", b"axml", UNKNOWN_SIZE) + b"<axml>",
        files.chunk(b"chna", bytes(4)),
        form=form,
        size=UNKNOWN_SIZE,
    )


@pytest.mark.parametrize("form", [b"RF64", b"BW64"])
def test_large_forms_keep_their_form_and_tell_right_sizes(tmp_path: Path, form: bytes) -> None:
    path = tmp_path / "in.wav"
    path.write_bytes(rf64(form, DATA))
    info = probe(path)
    assert (info.container, info.frames) == (form.decode().lower(), 1001)
    patch = files.noise_patch(info, 1000, 100)
    out = tmp_path / "out.wav"
    write_spliced(info, out, [patch], force=False, record={"seed": 1})
    content = out.read_bytes()
    assert content[:8] == form + b"\xff" * 4
    assert content[12:16] == b"ds64"
    riff, data, frames, entries = struct.unpack("<QQQI", content[20:48])
    assert (riff, data, frames, entries) == (len(content) - 8, 2200, 1100, 1)
    assert content[48:60] == struct.pack("<4sQ", b"axml", 6)
    assert content[60 : 60 + len(FORMAT)] == FORMAT
    assert content[60 + len(FORMAT) :][:8] == b"data" + b"\xff" * 4
    assert b"axml\xff\xff\xff\xff<axml>" in content
    assert probe(out).frames == 1100
    assert files.decoded(out).shape == (1, 1100)


def test_growth_over_four_gigabytes_becomes_rf64() -> None:
    """Only planned: the sizes are what matters, and no test writes so much."""
    plain = layout_of(
        files.wav(FORMAT, files.chunk(b"JUNK", bytes(28)), files.chunk(b"data", DATA))
    )
    frames = 0x80000000
    plan = wav.plan_rewrite(plain, frames, b'{"seed":1}')
    head = plan.before[0]
    assert head == b"RF64" + b"\xff" * 4 + b"WAVE"
    ds64 = plan.before[1]
    assert isinstance(ds64, bytes)
    riff, data, count, _ = struct.unpack("<QQQI", ds64[8:36])
    assert (data, count) == (frames * 2, frames)
    record = 8 + len(b'{"seed":1}')
    assert riff == 4 + 36 + (8 + 16) + (8 + 28) + 8 + frames * 2 + record
    largest = (wav.MAX_RIFF_SIZE - 4 - 24 - 36 - 8) // 2
    assert wav.plan_rewrite(plain, largest, b"").before[0][:4] == b"RIFF"  # type: ignore[index]
    assert wav.plan_rewrite(plain, largest + 1, b"").before[0][:4] == b"RF64"  # type: ignore[index]


def test_a_stream_longer_than_four_gigabytes_is_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "in.wav"
    head = files.wav(FORMAT, struct.pack("<4sI", b"data", UNKNOWN_SIZE), size=UNKNOWN_SIZE)
    with path.open("wb") as file:
        file.write(head)
        file.truncate(len(head) + 2 * 3_000_000_000)
    info = probe(path)
    assert info.frames == 3_000_000_000
    np.testing.assert_array_equal(read_frames(info, 2_999_999_990, 3_000_000_000), 0)


@pytest.mark.parametrize("channels", range(1, 11))
@pytest.mark.parametrize("kind", files.WAV_KINDS)
def test_new_files_are_what_ffmpeg_understands(tmp_path: Path, kind: str, channels: int) -> None:
    data = files.raw_samples(kind, 64, channels)
    layout = layout_of(files.simple_wav(kind, 44_100, channels, data))
    plan = wav.plan_new(
        layout.encoding, sample_rate=44_100, channels=channels, frames=64, record=b'{"a":1}'
    )
    content = b"".join(plan.before) + data + b"".join(plan.after)  # type: ignore[arg-type]
    chunks = dict(files.walk(content))
    assert (chunks[b"data"], chunks[b"rpnt"]) == (data, b'{"a":1}')
    path = tmp_path / "new.wav"
    path.write_bytes(content)
    assert files.decoded(path).shape == (channels, 64)
    again = layout_of(content)
    assert (again.encoding, again.channels, again.frames) == (layout.encoding, channels, 64)


def test_many_chunks_do_not_take_forever() -> None:
    content = files.wav(FORMAT, files.chunk(b"data", DATA), files.chunk(b"none", b"") * 30_000)
    layout = layout_of(content)
    assert layout.frames == 1001
    assert layout.tail.start + layout.tail.length == len(content)


def test_a_layout_tells_chunks_apart_by_place() -> None:
    twice = layout_of(files.wav(FORMAT, files.chunk(b"data", DATA), files.chunk(b"data", b"ab")))
    assert twice.frames == 1001
    assert twice.data_chunk == Chunk(b"data", 44, 2002, 2002)
    assert replace(twice, frames=1).frame_bytes == 2
