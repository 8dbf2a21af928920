"""The first promise, by the whole road: outside the selection nothing changes on disk."""

import json
import struct
from pathlib import Path

import numpy as np
import pytest

from reapaint.commands.cli import main
from reapaint.files.media import Patch, probe, read_frames, write_spliced

SECONDS = 2.0

# Format, bytes of a sample, rate, channels, selection in seconds
CASES = [
    ("int16", 22_050, 1, (0.5, 0.505)),
    ("int16", 44_100, 2, (0.0, 0.3)),
    ("int16", 48_000, 6, (1.7, 2.0)),
    ("int24", 44_100, 1, (0.7, 1.4)),
    ("int24", 96_000, 2, (1.0, 1.02)),
    ("int24", 192_000, 2, (0.9, 1.0)),
    ("int32", 48_000, 2, (0.5, 0.6)),
    ("float32", 48_000, 2, (0.3, 1.6)),
    ("float32", 44_100, 4, (1.0, 1.08)),
    ("float64", 48_000, 1, (0.4, 0.9)),
    ("int8", 8_000, 1, (0.5, 1.0)),
]
WIDTHS = {"int8": 1, "int16": 2, "int24": 3, "int32": 4, "float32": 4, "float64": 8}


def _samples(channels: int, rate: int) -> np.ndarray:
    """Return a chord with noise in it, so that every bit of every format is in use."""
    rng = np.random.default_rng(channels * rate)
    t = np.arange(int(SECONDS * rate)) / rate
    tones = [np.sin(2 * np.pi * f * t + n) for n, f in enumerate((220, 331, 587))]
    return np.stack(
        [sum(tones) * 0.2 + 0.05 * rng.standard_normal(t.size) for _ in range(channels)], axis=1
    )


def _encoded(samples: np.ndarray, kind: str) -> bytes:
    if kind.startswith("float"):
        return samples.astype(f"<f{WIDTHS[kind]}").tobytes()
    bits = 8 * WIDTHS[kind]
    integers = np.round(samples * (2 ** (bits - 1) - 1)).astype(np.int64)
    if kind == "int8":
        return (integers + 128).astype(np.uint8).tobytes()
    return integers.astype("<i8").reshape(-1, 1).view(np.uint8)[:, : WIDTHS[kind]].tobytes()


def _write_wav(path: Path, kind: str, rate: int, channels: int) -> int:
    """Write a WAV with chunks before and after its samples; return where the samples begin."""
    data = _encoded(_samples(channels, rate), kind)
    block = channels * WIDTHS[kind]
    tag = 3 if kind.startswith("float") else 1
    form = struct.pack("<HHIIHH", tag, channels, rate, rate * block, block, 8 * WIDTHS[kind])
    before = b"WAVE" + b"fmt " + struct.pack("<I", 16) + form
    before += b"bext" + struct.pack("<I", 602) + b"made by a test".ljust(602, b"\0")
    before += b"data" + struct.pack("<I", len(data))
    after = b"\0" * (len(data) % 2)
    after += b"LIST" + struct.pack("<I", 14) + b"INFOICMT" + struct.pack("<I", 2) + b"a\0"
    after += b"iXML" + struct.pack("<I", 8) + b"<BWFXML>"
    body = before + data + after
    path.write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)
    return 8 + len(before)


def _repaint(source: Path, target: Path, selection: tuple[float, float]) -> None:
    start_s, end_s = selection
    words = ["inpaint", source, target, "--start", start_s, "--end", end_s, "--seed", 1]
    assert main([*(str(word) for word in words), "--in-process", "--json"]) == 0


@pytest.mark.parametrize(("kind", "rate", "channels", "selection"), CASES)
def test_wav_is_the_same_bytes_outside_the_selection(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    kind: str,
    rate: int,
    channels: int,
    selection: tuple[float, float],
) -> None:
    source, target = tmp_path / "in.wav", tmp_path / "out.wav"
    begin = _write_wav(source, kind, rate, channels)
    _repaint(source, target, selection)
    block = channels * WIDTHS[kind]
    first, last = (round(edge_s * rate) for edge_s in selection)
    old, new = source.read_bytes(), target.read_bytes()
    # The length of the whole may grow by our own chunk: all else stands where it stood.
    assert new[8 : begin + first * block] == old[8 : begin + first * block]
    assert new[begin + last * block : len(old)] == old[begin + last * block :]
    assert (
        new[begin + first * block : begin + last * block]
        != (old[begin + first * block : begin + last * block])
    )
    info = probe(target)
    assert (info.sample_rate, info.channels, info.frames) == (rate, channels, int(SECONDS * rate))


@pytest.mark.parametrize(
    ("kind", "rate", "channels", "selection"),
    [case for case in CASES if case[0] in ("int16", "int24") and case[1] <= 96_000],
)
def test_flac_holds_the_same_samples_outside_the_selection(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    kind: str,
    rate: int,
    channels: int,
    selection: tuple[float, float],
) -> None:
    wav, source, target = (tmp_path / name for name in ("in.wav", "in.flac", "out.flac"))
    _write_wav(wav, kind, rate, channels)
    write_spliced(probe(wav), source, [], force=False, record={})
    _repaint(source, target, selection)
    before, after = probe(source), probe(target)
    assert after.sample_format == before.sample_format == kind
    assert (after.sample_rate, after.channels, after.frames) == (rate, channels, before.frames)
    changed = read_frames(before, 0, before.frames) != read_frames(after, 0, after.frames)
    first, last = (round(edge_s * rate) for edge_s in selection)
    assert not changed[:, :first].any()
    assert not changed[:, last:].any()
    assert changed[:, first:last].any()


def test_samples_above_full_scale_survive_as_float(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, target = tmp_path / "in.wav", tmp_path / "out.wav"
    _write_wav(source, "float32", 48_000, 1)
    loud = tmp_path / "loud.wav"
    info = probe(source)
    everything = read_frames(info, 0, info.frames) * 4
    write_spliced(info, loud, [Patch(0, everything)], force=False, record={})
    _repaint(loud, target, (0.5, 1.5))
    result = read_frames(probe(target), 0, info.frames)
    np.testing.assert_array_equal(result[:, :24_000], everything[:, :24_000])
    assert np.abs(result[:, 30_000:66_000]).max() > 1.0


def test_the_result_says_how_to_make_it_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, target = tmp_path / "in.wav", tmp_path / "out.wav"
    _write_wav(source, "int16", 48_000, 1)
    _repaint(source, target, (0.5, 1.0))
    content = target.read_bytes()
    at = content.rindex(b"rpnt")
    (length,) = struct.unpack("<I", content[at + 4 : at + 8])
    record = json.loads(content[at + 8 : at + 8 + length])
    assert record["seed"] == 1
    (window,) = record["windows"]
    assert (window["backend"], window["request"]["seed"]) == ("context", 1)
    assert window["start_frame"] + window["request"]["spans"][0]["start"] == 24_000
