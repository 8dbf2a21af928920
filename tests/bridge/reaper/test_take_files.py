"""Result files: handles to the bit, the patch as it came, and where they come from."""

import json
import os
import struct
from datetime import datetime
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from reapaint.errors import BridgeError, InputError
from reapaint.files.formats.broadcast import Origin
from reapaint.files.formats.recording import probe, read_blocks
from reapaint.reaper import take_files
from reapaint.reaper.messages import AccessorSource, FileSource
from reapaint.reaper.sources import JobAudio, KnownFiles, open_audio
from reapaint.reaper.take_files import results_folder, write_take
from reapaint_engine.protocol.spans import Span
from tests.bridge.audio_files import (
    aiff,
    aiff_common,
    chunk,
    raw_samples,
    simple_wav,
    wav,
    wav_format,
)

RATE, FRAMES = 8000, 40_000
SPAN = Span(10_000, 14_000)
HANDLE = 2 * RATE


def _origin(prompt: str = "rain") -> Origin:
    return Origin(
        program="ReaPaint 1",
        model="context 1",
        job_id="0" * 32,
        prompt=prompt,
        project="Küste & Meer.rpp",
        record=json.dumps({"seed": 7, "settings": {"prompt": prompt}}),
        made_at=datetime(2026, 11, 22, 9, 8, 7),  # noqa: DTZ001 - as REAPER, local time
    )


def _file(path: Path, data: bytes, *, start_s: float = 0.0, end_s: float = 5.0) -> JobAudio:
    path.write_bytes(data)
    return open_audio(FileSource(str(path), start_s, end_s), path.parent, KnownFiles())


def _patch(audio: JobAudio, span: Span = SPAN) -> np.ndarray:
    rng = np.random.default_rng(1)
    return (rng.standard_normal((audio.channels, span.length)) / 4).astype(np.float32)


def _write(audio: JobAudio, folder: Path, span: Span = SPAN, **options: object) -> Path:
    patch = options.pop("patch", None)
    patch = _patch(audio, span) if patch is None else patch
    options = {"handles_s": 2.0, "origin": _origin(), **options}
    return write_take(audio, span, patch, folder / "a - 7.wav", **options).path


def _samples(path: Path) -> bytes:
    info = probe(path)
    assert info.layout is not None
    start = info.layout.data_start
    return path.read_bytes()[start : start + info.frames * info.layout.frame_bytes]


def _chunk(path: Path, name: bytes) -> bytes:
    info = probe(path)
    assert info.layout is not None
    found = [each for each in info.layout.chunks if each.name == name]
    assert len(found) == 1
    return path.read_bytes()[found[0].start : found[0].end]


@pytest.mark.parametrize("channels", [1, 2, 6])
@pytest.mark.parametrize("kind", ["int8", "int16", "int24", "int32", "float32", "float64"])
def test_handles_are_the_sources_own_bytes(tmp_path: Path, kind: str, channels: int) -> None:
    data = raw_samples(kind, FRAMES, channels)
    audio = _file(tmp_path / "a.wav", simple_wav(kind, RATE, channels, data))
    patch = _patch(audio)
    path = _write(audio, tmp_path, patch=patch)
    info = probe(path)
    assert (info.sample_rate, info.channels, info.sample_format) == (RATE, channels, kind)
    assert info.frames == SPAN.end + HANDLE
    written, frame = _samples(path), len(data) // FRAMES
    first = max(SPAN.start - HANDLE, 0)
    left = (SPAN.start - first) * frame
    right = left + SPAN.length * frame
    assert written[:left] == data[first * frame : SPAN.start * frame]
    assert written[right:] == data[SPAN.end * frame : (SPAN.end + HANDLE) * frame]
    inside = np.concatenate(list(read_blocks(info, SPAN.start - first, SPAN.end - first)), axis=1)
    step = 0 if kind.startswith("float") else 2.0 ** (1 - int(kind[3:]))
    assert np.abs(inside - np.clip(patch, -1, 1 - step)).max() <= step / 2
    if step == 0:
        np.testing.assert_array_equal(inside.astype(np.float32), patch)


def test_handles_of_aiff_are_the_same_values(tmp_path: Path) -> None:
    data = raw_samples("int16", FRAMES, 2)
    swapped = np.frombuffer(data, "<i2").astype(">i2").tobytes()
    content = aiff(
        chunk(b"COMM", aiff_common(RATE, channels=2, frames=FRAMES, bits=16), ">"),
        chunk(b"SSND", bytes(8) + swapped, ">"),
    )
    audio = _file(tmp_path / "a.aiff", content)
    written = _samples(_write(audio, tmp_path))
    left = SPAN.start * 4
    assert written[:left] == data[:left]
    assert written[left + SPAN.length * 4 :] == data[SPAN.end * 4 : (SPAN.end + HANDLE) * 4]


def test_a_patch_that_changes_nothing_changes_no_bit(tmp_path: Path) -> None:
    data = raw_samples("int32", FRAMES, 2)
    audio = _file(tmp_path / "a.wav", simple_wav("int32", RATE, 2, data))
    written = _samples(_write(audio, tmp_path, patch=audio.read(SPAN.start, SPAN.end)))
    assert written == data[: (SPAN.end + HANDLE) * 8]


def test_handles_end_where_the_file_does(tmp_path: Path) -> None:
    data = raw_samples("int16", FRAMES, 1)
    audio = _file(tmp_path / "a.wav", simple_wav("int16", RATE, 1, data))
    span = Span(100, FRAMES - 50)
    take = write_take(
        audio, span, _patch(audio, span), tmp_path / "b.wav", handles_s=2, origin=_origin()
    )
    assert (take.start, take.frames) == (0, FRAMES)
    written = _samples(take.path)
    assert written[:200] == data[:200]
    assert written[-100:] == data[-100:]


def test_handles_reach_beyond_what_the_item_plays(tmp_path: Path) -> None:
    data = raw_samples("int16", FRAMES, 1)
    audio = _file(tmp_path / "a.wav", simple_wav("int16", RATE, 1, data), start_s=1, end_s=2)
    span = Span(RATE, 2 * RATE)
    take = write_take(
        audio, span, _patch(audio, span), tmp_path / "b.wav", handles_s=0.5, origin=_origin()
    )
    assert (take.start, take.frames) == (RATE // 2, 2 * RATE)
    assert _samples(take.path)[-RATE:] == data[4 * RATE : 5 * RATE]


def test_what_goes_past_the_items_sound_has_nothing_after_it(tmp_path: Path) -> None:
    data = raw_samples("int16", FRAMES, 1)
    audio = _file(tmp_path / "a.wav", simple_wav("int16", RATE, 1, data), start_s=0, end_s=4)
    for end in (4 * RATE + 100, FRAMES + 4000):
        span = Span(3 * RATE, end)
        patch = _patch(audio, span)
        path = _write(audio, tmp_path, span, patch=patch)
        info = probe(path)
        assert info.frames == end - RATE
        inside = np.concatenate(list(read_blocks(info, 2 * RATE, info.frames)), axis=1)
        assert np.abs(inside - np.clip(patch, -1, 1 - 2**-15)).max() <= 2**-16
        path.unlink()


def test_accessor_audio_becomes_float(tmp_path: Path) -> None:
    heard = np.random.default_rng(0).standard_normal((3, FRAMES)).astype(np.float32) * 2
    (tmp_path / "audio.f32").write_bytes(heard.T.tobytes())
    audio = open_audio(AccessorSource(RATE, 3, FRAMES, 0.5), tmp_path, KnownFiles())
    np.testing.assert_array_equal(audio.read(5, 90), heard[:, 5:90])
    patch = _patch(audio) * 8
    path = _write(audio, tmp_path, patch=patch)
    info = probe(path)
    assert (info.sample_format, info.channels) == ("float32", 3)
    expected = np.concatenate(
        [heard[:, : SPAN.start], patch, heard[:, SPAN.end : SPAN.end + HANDLE]], axis=1
    )
    assert _samples(path) == expected.T.astype("<f4").tobytes()


def test_accessor_audio_that_is_not_all_there_is_refused(tmp_path: Path) -> None:
    (tmp_path / "audio.f32").write_bytes(bytes(400))
    with pytest.raises(InputError) as caught:
        open_audio(AccessorSource(RATE, 2, 100, 0.0), tmp_path, KnownFiles())
    assert caught.value.code == "unreadable_audio"
    with pytest.raises(InputError, match="can't be read"):
        open_audio(AccessorSource(RATE, 2, 100, 0.0), tmp_path / "nowhere", KnownFiles())


@pytest.mark.parametrize(("start_s", "end_s"), [(5.0, 9.0), (-3.0, 0.0), (2.0, 2.0)])
def test_an_item_that_plays_nothing_is_refused(
    tmp_path: Path, start_s: float, end_s: float
) -> None:
    content = simple_wav("int16", RATE, 1, raw_samples("int16", FRAMES, 1))
    with pytest.raises(InputError) as caught:
        _file(tmp_path / "a.wav", content, start_s=start_s, end_s=end_s)
    assert caught.value.code == "empty_audio"


def test_a_file_is_probed_again_when_it_changed(tmp_path: Path) -> None:
    known = KnownFiles()
    path = tmp_path / "a.wav"
    path.write_bytes(simple_wav("int16", RATE, 1, bytes(2 * 100)))
    first = known.probe(path)
    assert known.probe(path) is first
    path.write_bytes(simple_wav("int16", RATE, 1, bytes(2 * 101)))
    assert known.probe(path).frames == 101


# Names


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    content = simple_wav("int16", RATE, 1, raw_samples("int16", FRAMES, 1))
    audio = _file(tmp_path / "a.wav", content)
    (tmp_path / "a - 7.wav").write_text("somebody's")
    assert _write(audio, tmp_path).name == "a - 7 (2).wav"
    assert _write(audio, tmp_path).name == "a - 7 (3).wav"
    assert (tmp_path / "a - 7.wav").read_text() == "somebody's"


def test_a_name_taken_in_the_last_moment_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = simple_wav("int16", RATE, 1, raw_samples("int16", FRAMES, 1))
    audio = _file(tmp_path / "a.wav", content)
    stored = take_files._content

    def slow(*arguments: object) -> object:
        (tmp_path / "a - 7.wav").write_text("somebody's")
        return stored(*arguments)

    monkeypatch.setattr(take_files, "_content", slow)
    assert _write(audio, tmp_path).name == "a - 7 (2).wav"
    assert (tmp_path / "a - 7.wav").read_text() == "somebody's"


@pytest.mark.skipif(os.name == "nt" or os.getuid() == 0, reason="needs a folder to be refused")
def test_a_folder_that_is_not_writable_is_refused_by_the_system(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(InputError):
        results_folder(str(tmp_path))


def test_a_folder_that_cant_be_is_refused_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for media in ("relative/folder", "", str(tmp_path / "file" / "media"), "\0"):
        with pytest.raises(InputError) as caught:
            results_folder(media)
        assert caught.value.code == "output_not_writable"
        assert caught.value.hint
    assert results_folder(str(tmp_path / "new" / "media")).name == "ReaPaint"
    assert not (tmp_path / "new").exists()


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = simple_wav("int16", RATE, 1, raw_samples("int16", FRAMES, 1))
    audio = _file(tmp_path / "a.wav", content)

    def no_room(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_room)
    with pytest.raises(BridgeError) as caught:
        _write(audio, tmp_path)
    assert caught.value.code == "disk_full"
    assert [path.name for path in tmp_path.iterdir()] == ["a.wav"]


# Where they come from


def test_a_file_says_that_a_machine_made_it(tmp_path: Path) -> None:
    content = simple_wav("int24", RATE, 2, raw_samples("int24", FRAMES, 2))
    audio = _file(tmp_path / "a.wav", content)
    path = _write(audio, tmp_path, origin=_origin('Regen <auf> "Blech" & \x00\x0b静か'))
    bext = _chunk(path, b"bext")
    fields = struct.unpack("<256s32s32s10s8sQH", bext[:348])
    description, program, job_id, date, at, reference, version = (
        each.rstrip(b"\0") if isinstance(each, bytes) else each for each in fields
    )
    assert description.startswith(b"Machine-generated audio, made by ReaPaint 1 with context 1")
    assert (program, job_id, date, at) == (b"ReaPaint 1", b"0" * 32, b"2026-11-22", b"09:08:07")
    assert (reference, version) == (0, 1)
    assert b"machine-generated" in bext[602:]
    tree = ElementTree.fromstring(_chunk(path, b"iXML"))
    assert tree.findtext("REAPAINT/MACHINE_GENERATED") == "TRUE"
    assert tree.findtext("REAPAINT/MODEL") == "context 1"
    assert tree.findtext("REAPAINT/PROMPT") == 'Regen <auf> "Blech" & 静か'
    assert tree.findtext("PROJECT") == "Küste & Meer.rpp"
    request = tree.findtext("REAPAINT/REQUEST")
    assert request is not None
    assert json.loads(request)["seed"] == 7
    assert json.loads(_chunk(path, b"rpnt"))["seed"] == 7


def test_the_time_of_day_of_a_field_recording_is_carried_on(tmp_path: Path) -> None:
    bext = bytes(338) + struct.pack("<Q", 3600 * RATE) + bytes(256)
    content = wav(
        chunk(b"bext", bext),
        chunk(b"fmt ", wav_format("int16", RATE, 1)),
        chunk(b"data", raw_samples("int16", FRAMES, 1)),
    )
    span = Span(4 * RATE, 4 * RATE + 100)
    path = _write(_file(tmp_path / "a.wav", content), tmp_path, span)
    written = struct.unpack("<Q", _chunk(path, b"bext")[338:346])[0]
    assert written == 3602 * RATE


def test_a_long_prompt_keeps_its_place(tmp_path: Path) -> None:
    content = simple_wav("int16", RATE, 1, raw_samples("int16", FRAMES, 1))
    path = _write(_file(tmp_path / "a.wav", content), tmp_path, origin=_origin("ä" * 9999))
    bext = _chunk(path, b"bext")
    assert bext[256:266] == b"ReaPaint 1"
    assert probe(path).frames == SPAN.end + HANDLE
