"""Ogg pages: tags replaced in passing, checksums right."""

import io

import av
import numpy as np
import pytest

from reapaint.files.formats import ogg
from reapaint.files.formats.encoders import FfmpegEncoder, VorbisEncoder
from reapaint.files.formats.targets import Kind
from reapaint.files.formats.vorbis_comments import Comments, unpack
from tests.bridge import audio_files as files

ENTRIES = (b"TITLE=A", b"ARTIST=One", b"ARTIST=Two")


def encoded(kind: Kind, comments: Comments) -> bytes:
    file = io.BytesIO()
    sound = files.tones(48_000, 2, 48_000)
    if kind is Kind.OGG:
        encoder: VorbisEncoder | FfmpegEncoder = VorbisEncoder(
            file, sample_rate=48_000, channels=2, comments=comments
        )
    else:
        encoder = FfmpegEncoder(
            file, kind=kind, sample_rate=48_000, channels=2, bits=0, tags={}, comments=comments
        )
    for first in range(0, 48_000, encoder.block_frames):
        encoder.write(sound[:, first : first + encoder.block_frames])
    encoder.finish()
    encoder.close()
    return file.getvalue()


@pytest.mark.parametrize("kind", [Kind.OGG, Kind.OPUS])
@pytest.mark.parametrize("length", [10, 255, 60_000, 200_000])
def test_tags_of_any_length_are_put_in(kind: Kind, length: int) -> None:
    comments = Comments(entries=(*ENTRIES, b"REAPAINT=" + b"x" * length))
    content = encoded(kind, comments)
    found = ogg.read_comments(io.BytesIO(content))
    assert found is not None
    assert found.entries == comments.entries
    check_pages(content)
    with av.open(io.BytesIO(content)) as container:
        stream = container.streams.audio[0]
        frames = sum(frame.samples for frame in container.decode(stream))
        tags = stream.metadata | container.metadata
    assert frames >= 47_000
    assert tags["REAPAINT"] == "x" * length


def check_pages(content: bytes) -> None:
    """Walk the pages: numbered in order, and with checksums that a slow sum confirms."""
    position, number = 0, 0
    while position < len(content):
        head = content[position : position + 27]
        assert head[:4] == b"OggS"
        lacing = content[position + 27 : position + 27 + head[26]]
        length = 27 + head[26] + sum(lacing)
        page = content[position : position + length]
        assert int.from_bytes(page[18:22], "little") == number
        zeroed = page[:22] + bytes(4) + page[26:]
        if number < 3:
            assert slow_crc(zeroed) == int.from_bytes(page[22:26], "little")
        assert ogg.crc(zeroed) == int.from_bytes(page[22:26], "little")
        position, number = position + length, number + 1


def slow_crc(data: bytes) -> int:
    """Ogg's checksum as RFC 3533 words it, bit by bit."""
    value = 0
    for byte in data:
        value ^= byte << 24
        for _ in range(8):
            value = (value << 1 ^ 0x04C11DB7) if value >> 31 else value << 1
            value &= 0xFFFFFFFF
    return value


def test_damaged_comments_give_what_can_be_read() -> None:
    whole = Comments(b"vendor", ENTRIES).pack()
    assert unpack(whole).entries == ENTRIES
    for cut in range(len(whole)):
        assert ENTRIES[: len(unpack(whole[:cut]).entries)] == unpack(whole[:cut]).entries


def test_a_record_is_replaced_whatever_its_case() -> None:
    comments = Comments(entries=(b"reapaint={}", b"TITLE=A")).with_record(b"[]")
    assert comments.entries == (b"TITLE=A", b"REAPAINT=[]")


def test_other_files_have_no_tags_of_this_kind() -> None:
    for content in (b"", b"OggS", b"RIFF" + bytes(40), np.random.default_rng(0).bytes(500)):
        assert ogg.read_comments(io.BytesIO(content)) is None
        assert ogg.single_page_frames(io.BytesIO(content)) is None
