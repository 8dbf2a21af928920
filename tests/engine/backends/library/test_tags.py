"""Tags as common programs write them, and files that lie."""

from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reapaint_engine.backends.library.descriptions import MAX_CHARACTERS, read_description
from tests.scale import SCALE

SAID = {"title": "Heron", "comment": "by the r\u00edver", "genre": "Birds"}


def write_tagged(path: Path, codec: str, tags: dict[str, str], **options: str) -> None:
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream(codec, rate=48000)
        stream.layout = "stereo"
        stream.codec_context.options = {"strict": "-2"}
        container.metadata.update(tags)
        form = stream.format.name
        shape = (2, 4800) if form.endswith("p") else (1, 9600)
        sample = {"s16": np.int16, "s32": np.int32}.get(form.rstrip("p"), np.float32)
        silence = np.zeros(shape, sample)
        frame = av.AudioFrame.from_ndarray(silence, form, "stereo")
        frame.rate = 48000
        resampler = av.AudioResampler(form, "stereo", 48000, frame_size=960)
        for piece in (*resampler.resample(frame), *resampler.resample(None)):
            container.mux(stream.encode(piece))
        container.mux(stream.encode(None))


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("a.flac", "flac", {}),
        ("a.ogg", "vorbis", {}),
        ("a.ogg", "libopus", {}),
        ("a.mp3", "libmp3lame", {"id3v2_version": "3"}),
        ("a.mp3", "libmp3lame", {"id3v2_version": "4"}),
    ],
)
def test_tags(tmp_path: Path, name: str, codec: str, options: dict[str, str]) -> None:
    path = tmp_path / name
    write_tagged(path, codec, {**SAID, "artist": "Somebody"}, **options)
    told = read_description(path)
    assert "Heron" in told
    assert "Birds" in told
    assert "Somebody" not in told
    # FFmpeg writes an MP3's comment into a field that is nobody's comment.
    assert ("by the r\u00edver" in told) == (name != "a.mp3")


def test_an_mp3s_comment_and_numbered_genre(tmp_path: Path) -> None:
    def field(name: bytes, text: bytes) -> bytes:
        return name + len(text).to_bytes(4, "big") + bytes(2) + text

    body = field(b"COMM", b"\x01eng\xff\xfe\0\0" + "\ufeffwet".encode("utf-16-le"))
    body += field(b"TCON", b"\0(17)Water") + field(b"TPE1", b"\0Somebody")
    path = tmp_path / "a.mp3"
    path.write_bytes(b"ID3\x03\0\0\0\0" + bytes([len(body) >> 7, len(body) & 127]) + body)
    assert read_description(path) == "wet Water"


def test_no_tags_no_words(tmp_path: Path) -> None:
    write_tagged(tmp_path / "a.flac", "flac", {})
    assert read_description(tmp_path / "a.flac") == ""


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    max_examples=300 * SCALE,
)
@given(
    st.sampled_from([b"ID3\x02", b"ID3\x03\0\0\0\0\0\x40", b"ID3\x04", b"fLaC", b"OggS"]),
    st.lists(
        st.sampled_from([b"TIT2", b"COMM", b"TCON", b"\x84\0\0\x40", b"\x03vorbis", b"\0\0\0\x05"])
        | st.binary(max_size=30),
        max_size=12,
    ),
)
def test_no_damage_is_worse_than_no_tags(tmp_path: Path, head: bytes, rest: list[bytes]) -> None:
    path = tmp_path / "a.mp3"
    path.write_bytes(head + b"".join(rest))
    assert len(read_description(path)) <= MAX_CHARACTERS
