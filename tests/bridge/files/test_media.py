"""Whole files: what stays identical, what is refused, what is never left behind."""

import json
import os
import socket
import struct
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

from reapaint.errors import BridgeCode, BridgeError, InputError
from reapaint.files.formats import decoder, wav
from reapaint.files.formats.samples import Encoding, SampleFormat
from reapaint.files.media import Patch, check_output, probe, read_frames, write_spliced
from reapaint_engine.protocol.errors import ErrorCode
from tests.bridge import audio_files as files

RECORD = {"prompt": "rain, ümlaut", "seed": 7}
RATES = (22_050, 44_100, 48_000, 96_000, 192_000)


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def source(tmp_path: Path) -> Path:
    data = files.raw_samples("int16", 4000, 2)
    return write(tmp_path / "in.wav", files.simple_wav("int16", 44_100, 2, data))


# Outside the patches


@pytest.mark.parametrize("channels", [1, 2, 6])
@pytest.mark.parametrize("kind", files.WAV_KINDS)
def test_wav_keeps_every_byte_outside(tmp_path: Path, kind: str, channels: int) -> None:
    for rate in RATES:
        data = files.raw_samples(kind, 5000, channels, seed=rate)
        path = write(tmp_path / "in.wav", files.simple_wav(kind, rate, channels, data))
        info = probe(path)
        assert (info.sample_rate, info.channels, info.frames) == (rate, channels, 5000)
        assert info.sample_format == kind
        patches = [files.noise_patch(info, 1000, 500), files.noise_patch(info, 3000, 7)]
        out = tmp_path / "out.wav"
        assert write_spliced(info, out, patches, force=True, record=RECORD) == []
        chunks = files.walk(out.read_bytes())
        assert [name for name, _ in chunks] == [b"fmt ", b"data", b"rpnt"]
        size = len(data) // 5000
        result = dict(chunks)[b"data"]
        for start, end in ((0, 1000), (1500, 3000), (3007, 5000)):
            assert result[start * size : end * size] == data[start * size : end * size]
        assert result[1000 * size : 1500 * size] != data[1000 * size : 1500 * size]
        step = 2.0 ** -(min(info.sample_format.bits, 24) - 1)
        for patch in patches:
            window = read_frames(probe(out), patch.start_frame, patch.end_frame)
            assert np.abs(window - patch.audio).max() <= (0.5 + 1e-6) * step


@pytest.mark.parametrize("channels", [1, 2, 6])
@pytest.mark.parametrize("bits", [16, 24])
def test_flac_keeps_every_sample_outside(tmp_path: Path, bits: int, channels: int) -> None:
    for rate in RATES:
        rng = np.random.default_rng(rate)
        smooth = files.tones(rate, channels, 9000) * 2.0 ** (bits - 1)
        ints = np.rint(smooth).astype(np.int64) + rng.integers(-3, 4, smooth.shape)
        files.flac_ints(tmp_path / "in.flac", ints, rate, bits)
        info = probe(tmp_path / "in.flac")
        assert (info.sample_rate, info.channels, info.frames) == (rate, channels, 9000)
        assert info.sample_format.bits == bits
        patch = files.noise_patch(info, 2000, 1500)
        out = tmp_path / "out.flac"
        assert write_spliced(info, out, [patch], force=True, record=RECORD) == []
        result = files.decoded(out).astype(np.int64) >> (0 if bits == 16 else 8)
        expected = ints.copy()
        expected[:, 2000:3500] = np.rint(patch.audio.astype(np.float64) * 2.0 ** (bits - 1))
        np.testing.assert_array_equal(result, expected)
        assert probe(out).sample_format.bits == bits


@pytest.mark.parametrize("channels", [1, 2, 6])
@pytest.mark.parametrize(
    ("kind", "form", "compression"),
    [
        ("int8", b"AIFF", b""),
        ("int16", b"AIFF", b""),
        ("int24", b"AIFF", b""),
        ("int32", b"AIFF", b""),
        ("int16", b"AIFC", b"sowt\0\0"),
        ("int24", b"AIFC", b"NONE\x0enot compressed\0"),
        ("float32", b"AIFC", b"fl32\0\0"),
        ("float64", b"AIFC", b"fl64\0\0"),
    ],
)
def test_aiff_keeps_every_byte_outside(
    tmp_path: Path, kind: str, form: bytes, compression: bytes, channels: int
) -> None:
    bits = files.WAV_KINDS[kind][1]
    size = bits // 8 * channels
    data = files.raw_samples(kind, 3000, channels)
    if kind.startswith("float"):
        swapped = np.frombuffer(data, f"<f{bits // 8}")
        data = swapped.astype(f">f{bits // 8}").tobytes()
    for rate in RATES:
        common = files.aiff_common(
            rate, channels=channels, frames=3000, bits=bits, kind=compression
        )
        content = files.aiff(files.chunk(b"COMM", common, ">"), files.sound_chunk(data), form=form)
        info = probe(write(tmp_path / "in.aiff", content))
        assert (info.sample_rate, info.channels, info.frames) == (rate, channels, 3000)
        assert info.sample_format == kind
        patch = files.noise_patch(info, 700, 300)
        out = tmp_path / "out.aif"
        assert write_spliced(info, out, [patch], force=True, record=RECORD) == []
        chunks = dict(files.walk(out.read_bytes(), ">"))
        assert chunks[b"COMM"] == common
        assert chunks[b"APPL"][:4] == b"rpnt"
        assert json.loads(chunks[b"APPL"][4:]) == RECORD
        result = chunks[b"SSND"][8:]
        assert result[: 700 * size] == data[: 700 * size]
        assert result[1000 * size :] == data[1000 * size :]
        window = read_frames(probe(out), 700, 1000)
        assert np.abs(window - patch.audio).max() <= (0.5 + 1e-6) * 2.0 ** -(min(bits, 24) - 1)


def test_samples_are_what_ffmpeg_reads(tmp_path: Path) -> None:
    for kind, scale in (("int16", 2**15), ("int24", 2**31), ("float32", 1)):
        data = files.raw_samples(kind, 500, 2)
        path = write(tmp_path / f"{kind}.wav", files.simple_wav(kind, 48_000, 2, data))
        expected = files.decoded(path) / np.float64(scale)
        np.testing.assert_array_equal(read_frames(probe(path), 0, 500), expected)


def test_what_a_patch_does_not_change_keeps_its_precision(tmp_path: Path) -> None:
    for kind in ("int32", "float64"):
        data = files.raw_samples(kind, 1000, 2)
        info = probe(write(tmp_path / "in.wav", files.simple_wav(kind, 48_000, 2, data)))
        same = Patch(100, read_frames(info, 100, 600))
        write_spliced(info, tmp_path / "out.wav", [same], force=True, record={})
        assert dict(files.walk((tmp_path / "out.wav").read_bytes()))[b"data"] == data


def test_wav_to_flac_and_back_is_exact(tmp_path: Path) -> None:
    for kind in ("int16", "int24", "int32"):
        data = files.raw_samples(kind, 3000, 2)
        info = probe(write(tmp_path / "in.wav", files.simple_wav(kind, 44_100, 2, data)))
        assert write_spliced(info, tmp_path / "m.flac", [], force=True, record={}) == []
        middle = probe(tmp_path / "m.flac")
        assert middle.sample_format == kind
        assert write_spliced(middle, tmp_path / "out.aiff", [], force=True, record={}) == []
        last = probe(tmp_path / "out.aiff")
        assert write_spliced(last, tmp_path / "out.wav", [], force=True, record={}) == []
        assert dict(files.walk((tmp_path / "out.wav").read_bytes()))[b"data"] == data


# Longer, louder


@pytest.mark.parametrize("suffix", [".wav", ".aiff", ".flac"])
def test_a_patch_may_go_on_past_the_end(tmp_path: Path, source: Path, suffix: str) -> None:
    info = probe(source)
    write_spliced(info, tmp_path / f"a{suffix}", [], force=False, record={})
    start = probe(tmp_path / f"a{suffix}")
    out = tmp_path / f"b{suffix}"
    patch = files.noise_patch(start, 3900, 1001)
    write_spliced(start, out, [patch], force=False, record=RECORD)
    result = probe(out)
    assert result.frames == 4901
    assert files.decoded(out).shape[1] == 4901
    kept = read_frames(result, 0, 3900)
    np.testing.assert_array_equal(kept, read_frames(info, 0, 3900))
    assert np.abs(read_frames(result, 3900, 4901) - patch.audio).max() < 2.0**-15


def test_too_loud_is_clipped_and_said(tmp_path: Path, source: Path) -> None:
    info = probe(source)
    loud = Patch(10, np.array([[2.0, 0.5, -3.0], [0.1, 0.1, 0.1]], np.float32))
    for suffix in (".wav", ".flac", ".aiff"):
        warnings = write_spliced(info, tmp_path / f"o{suffix}", [loud], force=False, record={})
        assert [text for text in warnings if text.startswith("2 frames were louder")]
        window = read_frames(probe(tmp_path / f"o{suffix}"), 10, 13)
        np.testing.assert_array_equal(window[0], np.float32([1 - 2.0**-15, 0.5, -1.0]))


def test_patches_that_do_not_fit_are_our_own_mistake(tmp_path: Path, source: Path) -> None:
    info = probe(source)
    for patch in (
        Patch(4001, np.zeros((2, 5), np.float32)),
        Patch(-1, np.zeros((2, 5), np.float32)),
        Patch(0, np.zeros((1, 5), np.float32)),
    ):
        with pytest.raises(ValueError, match="patch"):
            write_spliced(info, tmp_path / "o.wav", [patch], force=False, record={})
    assert names(tmp_path) == ["in.wav"]


# Records and tags


def test_a_record_replaces_an_earlier_one(tmp_path: Path, source: Path) -> None:
    for suffix in (".wav", ".aiff", ".flac"):
        first, second = tmp_path / f"1{suffix}", tmp_path / f"2{suffix}"
        write_spliced(probe(source), first, [], force=False, record={"seed": 1})
        write_spliced(probe(first), second, [], force=False, record={"seed": 2})
        content = second.read_bytes()
        assert b'{"seed":2}' in content
        assert b'{"seed":1}' not in content


@pytest.mark.parametrize("suffix", [".mp3", ".ogg", ".opus", ".m4a", ".aac"])
def test_lossy_files_hold_the_record_and_the_tags(tmp_path: Path, suffix: str) -> None:
    files.flac_ints(tmp_path / "in.flac", np.zeros((2, 48_000), np.int64), 48_000, 16)
    out = tmp_path / f"out{suffix}"
    write_spliced(probe(tmp_path / "in.flac"), out, [], force=False, record=RECORD)
    tags = {key.lower(): value for key, value in decoder.read_metadata(out).items()}
    assert tags["title"] == "A title"
    assert tags["artist"] == "Somebody"
    text = tags["comment"].removeprefix("REAPAINT=") if suffix == ".m4a" else tags["reapaint"]
    assert json.loads(text) == RECORD


def test_flac_keeps_pictures_doubled_tags_and_unknown_blocks(tmp_path: Path) -> None:
    files.flac_ints(tmp_path / "plain.flac", np.zeros((1, 9000), np.int64), 44_100, 16)
    plain = (tmp_path / "plain.flac").read_bytes()
    tags = [b"ARTIST=One", b"ARTIST=Two", b'reapaint={"seed":1}']
    packed = b"".join(struct.pack("<I", len(tag)) + tag for tag in tags)
    comments = struct.pack("<I", 3) + b"abc" + struct.pack("<I", len(tags)) + packed
    blocks = [(2, b"someapplication"), (4, comments), (6, bytes(99)), (3, bytes(18)), (1, bytes(9))]
    info_end = 8 + 34
    header = plain[:4] + b"\0" + plain[5:info_end]
    for number, (kind, body) in enumerate(blocks):
        last = 0x80 if number == len(blocks) - 1 else 0
        header += struct.pack(">I", (last | kind) << 24 | len(body)) + body
    audio = plain[plain.index(b"\xff\xf8", info_end) :]
    info = probe(write(tmp_path / "in.flac", header + audio))
    assert info.frames == 9000
    out = tmp_path / "out.flac"
    write_spliced(info, out, [], force=False, record={"seed": 2})
    content = out.read_bytes()
    found, position, is_last = [], 4, False
    while not is_last:
        word = struct.unpack(">I", content[position : position + 4])[0]
        is_last, length = bool(word >> 31), word & 0xFFFFFF
        found.append((word >> 24 & 0x7F, content[position + 4 : position + 4 + length]))
        position += 4 + length
    assert [kind for kind, _ in found] == [0, 2, 4, 6, 1]
    assert found[1][1] == b"someapplication"
    assert found[2][1].startswith(b"\x03\0\0\0abc")
    assert found[2][1].count(b"ARTIST=") == 2
    assert found[2][1].endswith(b'REAPAINT={"seed":2}')
    assert b'{"seed":1}' not in content


# Other formats


@pytest.mark.parametrize(
    ("suffix", "rate", "channels", "bound"),
    [
        (".ogg", 44_100, 1, 0.02),
        (".ogg", 96_000, 2, 0.02),
        (".mp3", 44_100, 2, 0.03),
        (".mp3", 22_050, 1, 0.03),
        (".opus", 48_000, 2, 0.05),
        (".opus", 48_000, 6, 0.05),
        (".m4a", 44_100, 2, 0.03),
        (".m4a", 96_000, 1, 0.03),
    ],
)
def test_lossy_files_are_as_long_and_in_time(
    tmp_path: Path, suffix: str, rate: int, channels: int, bound: float
) -> None:
    frames = rate + 333
    sound = files.tones(rate, channels, frames) * np.hanning(frames)
    if channels == 6:
        sound[3] = 0.0  # the channel of low frequencies takes no tone of 700 Hz
    data = sound.astype("<f4").T.tobytes()
    path = write(tmp_path / "in.wav", files.simple_wav("float32", rate, channels, data))
    out = tmp_path / f"out{suffix}"
    warnings = write_spliced(probe(path), out, [], force=False, record=RECORD)
    assert any("encoded again" in text for text in warnings)
    info = probe(out)
    assert (info.sample_rate, info.channels, info.frames) == (rate, channels, frames)
    assert info.is_lossy
    assert np.abs(read_frames(info, 0, frames) - sound).max() < bound
    part = read_frames(info, 10_000, 11_000)
    np.testing.assert_array_equal(part, read_frames(info, 0, frames)[:, 10_000:11_000])
    back = tmp_path / "back.wav"
    assert write_spliced(info, back, [], force=False, record={}) == []
    assert np.abs(read_frames(probe(back), 0, frames) - sound).max() < bound


def test_short_vorbis_is_read_to_its_last_frame(tmp_path: Path) -> None:
    for frames in (1, 100, 4410, 30_000):
        sound = files.tones(44_100, 1, frames) * np.hanning(frames + 2)[1:-1]
        data = sound.astype("<f4").T.tobytes()
        path = write(tmp_path / "in.wav", files.simple_wav("float32", 44_100, 1, data))
        write_spliced(probe(path), tmp_path / "o.ogg", [], force=True, record={})
        info = probe(tmp_path / "o.ogg")
        assert info.frames == frames
        assert np.abs(read_frames(info, 0, frames) - sound).max() < 0.02


def test_vorbis_channels_stay_where_they_were(tmp_path: Path) -> None:
    for channels in range(1, 9):
        sound = files.tones(48_000, channels, 48_000)
        data = sound.astype("<f4").T.tobytes()
        content = files.wav(
            files.chunk(b"fmt ", files.extensible_format("float32", 48_000, channels)),
            files.chunk(b"data", data),
        )
        out = tmp_path / "o.ogg"
        write_spliced(probe(write(tmp_path / "in.wav", content)), out, [], force=True, record={})
        heard = files.decoded(out)
        # FFmpeg alone loses a few frames of a file with one page
        np.testing.assert_array_equal(read_frames(probe(out), 0, heard.shape[1]), heard)
        spectra = np.abs(np.fft.rfft(heard))
        for channel in range(channels):
            if channel == {6: 3, 7: 3, 8: 3}.get(channels):
                continue  # low frequencies only
            assert abs(int(np.argmax(spectra[channel])) - (300 + 130 * channel)) <= 1


@pytest.mark.parametrize(
    ("suffix", "rate", "expected"),
    [(".mp3", 96_000, 48_000), (".mp3", 37_800, 44_100), (".opus", 44_100, 48_000)],
)
def test_a_rate_that_does_not_fit_is_resampled_and_said(
    tmp_path: Path, suffix: str, rate: int, expected: int
) -> None:
    sound = files.tones(rate, 1, rate) * np.hanning(rate)
    data = sound.astype("<f4").T.tobytes()
    path = write(tmp_path / "in.wav", files.simple_wav("float32", rate, 1, data))
    out = tmp_path / f"o{suffix}"
    warnings = write_spliced(probe(path), out, [], force=False, record={})
    assert any(f"resampled to {expected} Hz" in text for text in warnings)
    info = probe(out)
    assert info.sample_rate == expected
    ideal = files.tones(expected, 1, expected) * np.hanning(expected)
    assert abs(info.frames - expected) <= 1
    count = min(info.frames, expected)
    assert np.abs(read_frames(info, 0, count) - ideal[:, :count]).max() < 0.05


def test_apple_lossless_stays_lossless(tmp_path: Path) -> None:
    for bits in (16, 24):
        rng = np.random.default_rng(bits)
        ints = rng.integers(-(2 ** (bits - 1)), 2 ** (bits - 1), (2, 9000))
        with av.open(str(tmp_path / "in.m4a"), "w", format="ipod") as container:
            kind = "s16p" if bits == 16 else "s32p"
            stream = container.add_stream(
                "alac", rate=44_100, layout="stereo", options={"bits_per_raw_sample": str(bits)}
            )
            stream.format = kind
            packed = (ints << (0 if bits == 16 else 8)).astype("i2" if bits == 16 else "i4")
            for first in range(0, 9000, 4096):
                block = np.ascontiguousarray(packed[:, first : first + 4096])
                frame = av.AudioFrame.from_ndarray(block, kind, "stereo")
                frame.sample_rate, frame.pts = 44_100, first
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        info = probe(tmp_path / "in.m4a")
        assert (info.codec, info.frames, info.is_lossy) == ("alac", 9000, False)
        assert info.sample_format.bits == bits
        patch = files.noise_patch(info, 1000, 50)
        out = tmp_path / "o.m4a"
        assert write_spliced(info, out, [patch], force=True, record={}) == []
        result = probe(out)
        assert (result.codec, result.sample_format) == ("alac", info.sample_format)
        got = np.rint(read_frames(result, 0, 9000).astype(np.float64) * 2.0 ** (bits - 1))
        np.testing.assert_array_equal(got[:, :1000], ints[:, :1000])
        np.testing.assert_array_equal(got[:, 1050:], ints[:, 1050:])


@pytest.mark.parametrize(
    ("suffix", "channels"), [(".mp3", 3), (".m4a", 7), (".opus", 5), (".flac", 9), (".ogg", 12)]
)
def test_channels_that_do_not_fit_are_refused(tmp_path: Path, suffix: str, channels: int) -> None:
    data = files.raw_samples("int16", 100, channels)
    info = probe(write(tmp_path / "in.wav", files.simple_wav("int16", 48_000, channels, data)))
    with pytest.raises(InputError, match=f"{channels} channels") as caught:
        check_output(tmp_path / f"o{suffix}", info, force=False)
    assert caught.value.code == BridgeCode.UNSUPPORTED_FORMAT


def test_a_compressed_wav_is_read_and_written_as_samples(tmp_path: Path) -> None:
    path = tmp_path / "in.wav"
    with av.open(str(path), "w", format="wav") as container:
        stream = container.add_stream("pcm_mulaw", rate=8000, layout="mono")
        sound = np.rint(files.tones(8000, 1, 8000) * 2**15).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(sound, "s16", "mono")
        frame.sample_rate, frame.pts = 8000, 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    info = probe(path)
    assert (info.codec, info.is_lossy, info.sample_format) == ("pcm_mulaw", True, "int16")
    write_spliced(info, tmp_path / "out.wav", [], force=False, record={})
    out = probe(tmp_path / "out.wav")
    assert (out.codec, out.sample_format, out.frames) == ("pcm", "int16", 8000)
    np.testing.assert_array_equal(read_frames(out, 0, 8000), read_frames(info, 0, 8000))


# Input that can't be used


def code_of(action: Callable[[], object]) -> str:
    with pytest.raises(BridgeError) as caught:
        action()
    message, hint = caught.value.message, caught.value.hint
    assert message.endswith((".", "?"))
    assert "\n" not in message
    assert hint
    return caught.value.code


def test_names_without_an_ordinary_file(tmp_path: Path) -> None:
    assert code_of(lambda: probe(tmp_path / "nothing.wav")) == ErrorCode.FILE_NOT_FOUND
    assert code_of(lambda: probe(tmp_path / "a\0b.wav")) == ErrorCode.FILE_NOT_FOUND
    assert code_of(lambda: probe(tmp_path)) == BridgeCode.NOT_A_FILE
    assert code_of(lambda: probe(tmp_path / ("n" * 300))) == BridgeCode.FILE_NOT_READABLE


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_pipes_sockets_and_devices_are_refused_without_opening_them(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.wav")
    assert code_of(lambda: probe(tmp_path / "pipe.wav")) == BridgeCode.NOT_A_FILE
    assert code_of(lambda: probe("/dev/zero")) == BridgeCode.NOT_A_FILE
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s"))
        assert code_of(lambda: probe(tmp_path / "s")) == BridgeCode.NOT_A_FILE


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read all")
def test_a_file_without_permission(source: Path) -> None:
    source.chmod(0)
    assert code_of(lambda: probe(source)) == BridgeCode.FILE_NOT_READABLE


def test_a_disk_that_fails_to_read(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(wav, "read_layout", fail)
    assert code_of(lambda: probe(source)) == BridgeCode.FILE_NOT_READABLE


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", BridgeCode.EMPTY_AUDIO),
        (b"This is a text, and no sound at all.\n" * 50, BridgeCode.UNREADABLE_AUDIO),
        (b"#EXTM3U\nhttp://localhost/x.mp3\n", BridgeCode.UNREADABLE_AUDIO),
        (b"\x89PNG\r\n\x1a\n" + bytes(1000), BridgeCode.UNREADABLE_AUDIO),
        (bytes(5000), BridgeCode.UNREADABLE_AUDIO),
        (files.wav(), BridgeCode.UNREADABLE_AUDIO),
        (files.simple_wav("int16", 44_100, 2, b""), BridgeCode.EMPTY_AUDIO),
        (files.simple_wav("int16", 44_100, 2, b"abc"), BridgeCode.EMPTY_AUDIO),
        (files.simple_wav("int16", 0, 2, bytes(400)), BridgeCode.UNREADABLE_AUDIO),
        (files.simple_wav("int16", 4_000_000_000, 1, bytes(400)), BridgeCode.UNREADABLE_AUDIO),
        (files.simple_wav("int16", 44_100, 0, bytes(400)), BridgeCode.UNREADABLE_AUDIO),
        (
            files.wav(
                files.chunk(b"fmt ", struct.pack("<HHIIHH", 1, 2, 44_100, 1, 7, 16)),
                files.chunk(b"data", bytes(400)),
            ),
            BridgeCode.UNREADABLE_AUDIO,
        ),
        (
            files.wav(
                files.chunk(b"fmt ", struct.pack("<HHIIHH", 1, 1, 44_100, 1, 8, 64)),
                files.chunk(b"data", bytes(400)),
            ),
            BridgeCode.UNSUPPORTED_AUDIO,
        ),
        (
            files.wav(
                files.chunk(b"fmt ", struct.pack("<HHIIHH", 0x7777, 1, 44_100, 1, 2, 16)),
                files.chunk(b"data", bytes(400)),
            ),
            BridgeCode.UNSUPPORTED_AUDIO,
        ),
        (files.wav(files.chunk(b"fmt ", bytes(4))), BridgeCode.UNREADABLE_AUDIO),
        (
            files.wav(files.chunk(b"fmt ", files.wav_format("int16", 44_100, 1))),
            BridgeCode.UNREADABLE_AUDIO,
        ),
        (files.aiff(), BridgeCode.UNREADABLE_AUDIO),
        (
            files.aiff(
                files.chunk(b"COMM", files.aiff_common(44_100, channels=1, frames=0, bits=16), ">"),
                files.sound_chunk(b""),
            ),
            BridgeCode.EMPTY_AUDIO,
        ),
        (b"fLaC" + bytes(100), BridgeCode.UNREADABLE_AUDIO),
        (b"fLaC\0\0\0\x22" + b"\xff" * 34, BridgeCode.UNREADABLE_AUDIO),
        (b"ID3\4\0\0\0\0\0\x0a" + bytes(40), BridgeCode.UNREADABLE_AUDIO),
        (b"OggS" + bytes(300), BridgeCode.UNREADABLE_AUDIO),
    ],
)
def test_content_that_is_no_recording(tmp_path: Path, content: bytes, code: str) -> None:
    path = write(tmp_path / "in.wav", content)
    assert code_of(lambda: probe(path)) == code


def test_a_video_without_sound(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        for _ in range(3):
            frame = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert code_of(lambda: probe(path)) == BridgeCode.UNSUPPORTED_AUDIO


def test_the_sound_of_a_film_is_used_and_the_film_is_not(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    sound = (files.tones(48_000, 1, 48_000) * np.hanning(48_000)).astype(np.float32)
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg4", rate=25)
        video.width = video.height = 64
        video.pix_fmt = "yuv420p"
        audio = container.add_stream("aac", rate=48_000, layout="mono")
        for _ in range(3):
            picture = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
            container.mux(video.encode(picture))
        frame = av.AudioFrame.from_ndarray(sound, "fltp", "mono")
        frame.sample_rate, frame.pts = 48_000, 0
        container.mux(audio.encode(frame))
        container.mux(video.encode(None))
        container.mux(audio.encode(None))
    info = probe(path)
    assert (info.codec, info.channels, info.frames) == ("aac", 1, 48_000)
    warnings = write_spliced(info, tmp_path / "out.wav", [], force=False, record={})
    assert warnings == ["Only the sound was written: the picture in film.mp4 was left out."]
    heard = read_frames(probe(tmp_path / "out.wav"), 2000, 46_000)
    assert np.abs(heard - sound[:, 2000:46_000]).max() < 0.05


def test_a_recording_cut_short_is_used_with_a_warning(tmp_path: Path) -> None:
    data = files.raw_samples("int24", 1000, 2)
    whole = files.simple_wav("int24", 48_000, 2, data)
    info = probe(write(tmp_path / "in.wav", whole[:-602]))
    assert info.frames == 899
    assert info.warnings
    assert "1000 frames were announced and 899 are there" in info.warnings[0]
    write_spliced(info, tmp_path / "out.wav", [], force=False, record={})
    assert dict(files.walk((tmp_path / "out.wav").read_bytes()))[b"data"] == data[: 899 * 6]
    assert not probe(tmp_path / "out.wav").warnings


def test_a_flac_file_cut_short_is_used_with_a_warning(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    ints = rng.integers(-1000, 1000, (1, 40_000))
    files.flac_ints(tmp_path / "in.flac", ints, 44_100, 16)
    content = (tmp_path / "in.flac").read_bytes()
    info = probe(write(tmp_path / "in.flac", content[: len(content) // 2]))
    assert 10_000 < info.frames < 40_000
    assert "cut short" in info.warnings[0]
    np.testing.assert_array_equal(
        read_frames(info, 0, info.frames) * 2.0**15, ints[:, : info.frames]
    )


def test_an_input_that_changes_meanwhile_is_noticed(tmp_path: Path, source: Path) -> None:
    info = probe(source)
    write(source, files.simple_wav("int16", 44_100, 2, files.raw_samples("int16", 3000, 2)))
    action = lambda: write_spliced(info, tmp_path / "o.wav", [], force=False, record={})  # noqa: E731
    assert code_of(action) == BridgeCode.UNREADABLE_AUDIO
    assert not (tmp_path / "o.wav").exists()


def test_an_input_that_changes_during_the_write_is_noticed(tmp_path: Path, source: Path) -> None:
    info = probe(source)

    def touch(_: float) -> None:
        os.utime(source, ns=(0, info.modified_ns + 1_000_000_000))

    assert (
        code_of(
            lambda: write_spliced(
                info, tmp_path / "o.wav", [], force=False, record={}, on_progress=touch
            )
        )
        == BridgeCode.UNREADABLE_AUDIO
    )
    assert names(tmp_path) == ["in.wav"]


# Output that can't be written


def test_outputs_are_refused_before_any_work(tmp_path: Path, source: Path) -> None:
    info = probe(source)
    taken = write(tmp_path / "taken.wav", b"mine")

    def refused(path: Path, *, force: bool = False) -> str:
        return code_of(lambda: check_output(path, info, force=force))

    assert refused(tmp_path / "o.xyz") == BridgeCode.UNSUPPORTED_FORMAT
    assert refused(tmp_path / "o") == BridgeCode.UNSUPPORTED_FORMAT
    assert refused(taken) == BridgeCode.OUTPUT_EXISTS
    assert refused(tmp_path / "no" / "o.wav") == ErrorCode.OUTPUT_NOT_WRITABLE
    assert refused(taken / "o.wav") == ErrorCode.OUTPUT_NOT_WRITABLE
    assert refused(tmp_path / ("n" * 300 + ".wav")) == ErrorCode.OUTPUT_NOT_WRITABLE
    assert refused(tmp_path / "a\0b.wav") == ErrorCode.OUTPUT_NOT_WRITABLE
    (tmp_path / "folder.wav").mkdir()
    assert refused(tmp_path / "folder.wav", force=True) == ErrorCode.OUTPUT_NOT_WRITABLE
    check_output(taken, info, force=True)
    check_output(tmp_path / "OK.WAV", info, force=False)
    assert taken.read_bytes() == b"mine"
    assert not list(tmp_path.glob(".reapaint*"))


def test_the_input_is_no_output_by_any_name(tmp_path: Path, source: Path) -> None:
    info = probe(source)
    (tmp_path / "hard.wav").hardlink_to(source)
    (tmp_path / "soft.wav").symlink_to(source)
    (tmp_path / "d").mkdir()
    for path in (source, tmp_path / "hard.wav", tmp_path / "soft.wav", tmp_path / "d/../in.wav"):
        assert code_of(lambda p=path: check_output(p, info, force=True)) == (
            ErrorCode.OUTPUT_NOT_WRITABLE
        )


def test_an_output_that_appears_meanwhile_is_kept(tmp_path: Path, source: Path) -> None:
    out = tmp_path / "o.wav"
    action = lambda: write_spliced(  # noqa: E731
        probe(source),
        out,
        [],
        force=False,
        record={},
        on_progress=lambda _: out.write_bytes(b"somebody else's") and None,
    )
    assert code_of(action) == BridgeCode.OUTPUT_EXISTS
    assert out.read_bytes() == b"somebody else's"
    assert names(tmp_path) == ["in.wav", "o.wav"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
@pytest.mark.parametrize(
    "suffix", [".wav", ".aiff", ".flac", ".ogg", ".mp3", ".opus", ".m4a", ".aac"]
)
def test_an_interrupted_write_leaves_nothing(
    tmp_path: Path, source: Path, suffix: str, error: type[BaseException]
) -> None:
    def interrupt(fraction: float) -> None:
        assert [name for name in names(tmp_path) if name.endswith(".part")]
        raise error("cancelled")

    expected = (KeyboardInterrupt, RuntimeError, BridgeError)
    with pytest.raises(expected):
        write_spliced(
            probe(source),
            tmp_path / f"o{suffix}",
            [],
            force=False,
            record={},
            on_progress=interrupt,
        )
    assert names(tmp_path) == ["in.wav"]


_FULL_DISK = """
import resource, sys
from pathlib import Path
from reapaint.errors import BridgeError
from reapaint.files.media import probe, write_spliced
source, out = Path(sys.argv[1]), Path(sys.argv[2])
info = probe(source)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    write_spliced(info, out, [], force=False, record={})
except BridgeError as error:
    print(error.code, sorted(path.name for path in out.parent.iterdir()))
"""


@pytest.mark.parametrize(
    "suffix", [".wav", ".aiff", ".flac", ".ogg", ".mp3", ".opus", ".m4a", ".aac"]
)
def test_a_limit_on_file_size_leaves_nothing(tmp_path: Path, suffix: str) -> None:
    """The system itself refuses to let the file grow, as a full disk would."""
    data = files.raw_samples("int16", 150_000, 2)
    path = write(tmp_path / "in.wav", files.simple_wav("int16", 44_100, 2, data))
    done = subprocess.run(
        [sys.executable, "-c", _FULL_DISK, str(path), str(tmp_path / f"o{suffix}")],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.stdout.strip(), done.stderr) == ("disk_full ['in.wav']", "")


# Long files


def test_a_window_of_a_long_file_is_read_alone(tmp_path: Path) -> None:
    """A sparse RF64 file of 6 GB: only the window may be touched."""
    frames = 1_000_000_000
    path = tmp_path / "long.wav"
    plan = wav.plan_new(
        Encoding(SampleFormat.INT24), sample_rate=96_000, channels=2, frames=frames, record=b""
    )
    head = b"".join(piece for piece in plan.before if isinstance(piece, bytes))
    marked = files.raw_samples("int24", 4800, 2)
    with path.open("wb") as file:
        file.write(head)
        file.truncate(len(head) + frames * 6)
        file.seek(len(head) + 900_000_000 * 6)
        file.write(marked)
    tracemalloc.start()
    info = probe(path)
    window = read_frames(info, 900_000_000, 900_004_800)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (info.container, info.frames, info.warnings) == ("rf64", frames, ())
    expected = np.frombuffer(marked, np.uint8).reshape(-1, 3).astype(np.int64)
    values = expected[:, 0] | expected[:, 1] << 8 | expected[:, 2] << 16
    values -= (values >> 23) << 24
    np.testing.assert_array_equal(window.T.ravel(), values / 2.0**23)
    assert peak < 4 << 20


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg"])
def test_writing_holds_blocks_and_not_the_file(tmp_path: Path, suffix: str) -> None:
    data = bytes(4 * 6_000_000)
    path = write(tmp_path / "in.wav", files.simple_wav("int16", 48_000, 2, data))
    del data
    info = probe(path)
    patch = files.noise_patch(info, 5_000_000, 1000)
    tracemalloc.start()
    write_spliced(info, tmp_path / f"o{suffix}", [patch], force=False, record={})
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 12 << 20
