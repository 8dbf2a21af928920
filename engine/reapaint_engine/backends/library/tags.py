"""Read the tags of FLAC, Ogg and MP3 files that describe the sound.

Notes
-----
Vorbis comments (xiph.org, "Ogg Vorbis I format specification", section 5), FLAC (RFC
9639), Ogg (RFC 3533) and ID3v2 (id3.org, versions 2.2 to 2.4).
"""

import re
import struct
from collections.abc import Iterator
from typing import BinaryIO

MAX_TAG_BYTES = 1 << 20
"""Only this much of a longer tag is read: tags may contain pictures."""

MAX_FIELDS = 1000

VORBIS_NAMES = frozenset(
    ["title", "subtitle", "comment", "description", "genre", "keywords", "category", "album"]
)
ID3_NAMES = frozenset(b"TIT1 TIT2 TIT3 TALB TCON COMM".split() + b"TT1 TT2 TT3 TAL TCO COM".split())
"""Names of the frames in versions 2.3 and 2.4, and their short forms in 2.2."""

_COMMENT_BLOCK = 4
_ID3_CODECS = ("latin-1", "utf-16", "utf-16-be", "utf-8")
_ID3_LANGUAGE_BYTES = 3
_NUMBERED_GENRE = re.compile(r"\(\d+\)|^\d+$")


def read_tags(file: BinaryIO) -> Iterator[str]:
    """Yield the texts of a file's tags; none where they are missing or damaged."""
    begin, head = 0, file.read(10)
    if head[:3] == b"ID3" and len(head) == 10:
        size = _syncsafe(head[6:10])
        yield from _id3_texts(file.read(min(size, MAX_TAG_BYTES)), head[3])
        # FLAC files may have both kinds.
        begin = file.seek(10 + size)
        head = file.read(4)
    if head[:4] == b"fLaC":
        yield from _flac_texts(file, begin + 4)
    elif head[:4] == b"OggS":
        file.seek(0)
        yield from _ogg_texts(file.read(MAX_TAG_BYTES))


def _flac_texts(file: BinaryIO, position: int) -> Iterator[str]:
    for _ in range(MAX_FIELDS):
        file.seek(position)
        header = file.read(4)
        if len(header) < 4:
            return
        size = int.from_bytes(header[1:], "big")
        if header[0] & 0x7F == _COMMENT_BLOCK:
            yield from _vorbis_texts(file.read(min(size, MAX_TAG_BYTES)))
        if header[0] & 0x80:
            return
        position += 4 + size


def _ogg_texts(data: bytes) -> Iterator[str]:
    """Yield the comments of the stream's second packet, in Vorbis, Opus, FLAC or Speex."""
    body = b"".join(_ogg_bodies(data))
    for mark, skipped in ((b"\x03vorbis", 7), (b"OpusTags", 8)):
        at = body.find(mark)
        if at >= 0:
            yield from _vorbis_texts(body[at + skipped :])
            return


def _ogg_bodies(data: bytes) -> Iterator[bytes]:
    position = 0
    while data[position : position + 4] == b"OggS" and position + 27 <= len(data):
        count = data[position + 26]
        lengths = data[position + 27 : position + 27 + count]
        begin = position + 27 + count
        position = begin + sum(lengths)
        yield data[begin:position]


def _vorbis_texts(body: bytes) -> Iterator[str]:
    """Yield comments. Their layout: the vendor's name, their number, then each with its length."""
    fields = _with_length(body, 0)
    vendor = next(fields, b"")
    for field in _with_length(body, 8 + len(vendor)):
        name, found, text = field.decode("utf-8", "replace").partition("=")
        if not found:
            return
        if name.lower() in VORBIS_NAMES:
            yield text


def _with_length(body: bytes, position: int) -> Iterator[bytes]:
    for _ in range(MAX_FIELDS):
        if position + 4 > len(body):
            return
        (size,) = struct.unpack_from("<I", body, position)
        yield body[position + 4 : position + 4 + size]
        position += 4 + size


def _id3_texts(body: bytes, version: int) -> Iterator[str]:
    name_bytes = 3 if version == 2 else 4
    header_bytes = 6 if version == 2 else 10
    position = 0
    while position + header_bytes <= len(body) and body[position] != 0:
        name = body[position : position + name_bytes]
        digits = body[position + name_bytes : position + 2 * name_bytes]
        size = _syncsafe(digits) if version >= 4 else int.from_bytes(digits, "big")
        begin = position + header_bytes
        if name in ID3_NAMES and size > 0:
            yield _id3_text(name, body[begin : begin + size])
        position = begin + size


def _id3_text(name: bytes, field: bytes) -> str:
    codec = _ID3_CODECS[min(field[0], len(_ID3_CODECS) - 1)] if field else "latin-1"
    is_comment = name.startswith(b"COM")
    text = field[1 + _ID3_LANGUAGE_BYTES * is_comment :].decode(codec, "replace")
    # A comment begins with its name; other fields may hold several values.
    parts = text.split("\0")[1 if is_comment else 0 :]
    told = " ".join(part.lstrip("\ufeff") for part in parts)
    return _NUMBERED_GENRE.sub("", told) if name.startswith(b"TCO") else told


def _syncsafe(digits: bytes) -> int:
    """Return a number stored with 7 bits in each byte."""
    value = 0
    for digit in digits:
        value = value << 7 | digit & 0x7F
    return value
