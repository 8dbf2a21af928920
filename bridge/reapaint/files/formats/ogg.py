"""Ogg: the tags of Vorbis and Opus files, read and put into a stream on its way to disk.

Notes
-----
RFC 3533 (pages), RFC 7845 (Opus), https://xiph.org/vorbis/doc/Vorbis_I_spec.html.
"""

import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO

from reapaint.files.formats.vorbis_comments import Comments, unpack
from reapaint.files.new_file import Sink

_HEADER_LENGTH = 27
_MAX_SEGMENTS = 255
_CONTINUED, _LAST = 1, 4
_MAX_HEADER_BYTES = 1 << 26
_MARKS = (b"\x03vorbis", b"OpusTags")
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def read_comments(file: BinaryIO) -> Comments | None:
    """Return the tags of an Ogg Vorbis or Opus file, None if it is another."""
    file.seek(0)
    packets: list[bytes] = [b""]
    read = 0
    while len(packets) < 3 and read < _MAX_HEADER_BYTES:
        header = file.read(_HEADER_LENGTH)
        if len(header) < _HEADER_LENGTH or header[:4] != b"OggS":
            return None
        lacing = file.read(header[26])
        for size in lacing:
            packets[-1] += file.read(size)
            if size < 255:
                packets.append(b"")
        read += sum(lacing)
    return _from_packet(packets[1]) if len(packets) > 2 else None


def single_page_frames(file: BinaryIO) -> int | None:
    """Return the length of an Ogg Vorbis file if all its sound lies on one page."""
    file.seek(0)
    start = file.read(_HEADER_LENGTH + 8)
    if start[:4] != b"OggS" or start[-7:] != b"\x01vorbis":
        return None
    file.seek(0)
    while len(header := file.read(_HEADER_LENGTH)) == _HEADER_LENGTH and header[:4] == b"OggS":
        file.seek(sum(file.read(header[26])), 1)
        granule = struct.unpack("<q", header[6:14])[0]
        if granule > 0:
            return int(granule) if header[5] & _LAST else None
    return None


class Retagger:
    """A file to write an Ogg stream to, which replaces its tags as they pass by.

    An encoder gets by with tags of its own, and the file gets the ones that it should
    have: neither FFmpeg nor JUCE can write a tag twice, or a picture.
    """

    def __init__(self, file: Sink, comments: Comments) -> None:
        self._file = file
        self._comments = comments
        self._pending = bytearray()
        self._position = 0
        self._packets: list[bytes] = [b""]
        self._in_headers = True
        self._serial = b""
        self._sequence = 0

    def write(self, data: bytes) -> int:
        """Take some of the stream."""
        self._position += len(data)
        self._pending += data
        while (page := self._take_page()) is not None:
            self._pass_on(page)
        return len(data)

    def tell(self) -> int:
        """Return how much was taken."""
        return self._position

    def seekable(self) -> bool:
        """Return False."""
        return False

    def seek(self, offset: int, whence: int = 0) -> int:
        """Stand still: Ogg is written from beginning to end.

        Raises
        ------
        OSError
            An encoder wants to go back.
        """
        if (whence, offset) not in ((0, self._position), (1, 0), (2, 0)):
            raise OSError("an Ogg stream can't be rewound")
        return self._position

    def _take_page(self) -> bytes | None:
        held = self._pending
        if len(held) < _HEADER_LENGTH or len(held) < _HEADER_LENGTH + held[26]:
            return None
        length = _HEADER_LENGTH + held[26] + sum(held[27 : 27 + held[26]])
        if len(held) < length:
            return None
        page = bytes(held[:length])
        del held[:length]
        return page

    def _pass_on(self, page: bytes) -> None:
        if not self._in_headers:
            self._write_page(page)
            return
        self._serial = page[14:18]
        self._collect(page)
        first, *rest = self._packets
        count = 3 if first.startswith(b"\x01vorbis") else 2
        # Headers end where a page ends, so the packet after them is still empty
        if len(rest) < count:
            return
        headers = [first, _to_packet(rest[0], self._comments), *rest[1 : count - 1]]
        for header_page in _pages(headers, self._serial):
            self._write_page(header_page)
        self._in_headers = False

    def _collect(self, page: bytes) -> None:
        position = _HEADER_LENGTH + page[26]
        for size in page[27 : 27 + page[26]]:
            self._packets[-1] += page[position : position + size]
            position += size
            if size < 255:
                self._packets.append(b"")

    def _write_page(self, page: bytes) -> None:
        numbered = page[:18] + struct.pack("<II", self._sequence, 0) + page[26:]
        checksum = struct.pack("<I", crc(numbered))
        self._file.write(numbered[:22] + checksum + numbered[26:])
        self._sequence += 1


def crc(data: bytes) -> int:
    """Return Ogg's checksum, which is zlib's with all bits in the other order."""
    value = zlib.crc32(data.translate(_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{value:032b}"[::-1], 2)


def _pages(packets: list[bytes], serial: bytes) -> Iterator[bytes]:
    """Yield header packets as pages: the first alone, the others after each other."""
    yield _page(packets[0], _lacing(packets[0]), serial, flags=2)
    lacing = b"".join(_lacing(packet) for packet in packets[1:])
    body = b"".join(packets[1:])
    position = 0
    for first in range(0, len(lacing), _MAX_SEGMENTS):
        part = lacing[first : first + _MAX_SEGMENTS]
        is_continued = first > 0 and lacing[first - 1] == 255
        length = sum(part)
        flags = _CONTINUED if is_continued else 0
        yield _page(body[position : position + length], part, serial, flags=flags)
        position += length


def _page(body: bytes, lacing: bytes, serial: bytes, *, flags: int) -> bytes:
    # A page on which no packet ends has no position of its own
    granule = 0 if any(size < 255 for size in lacing) else -1
    head = struct.pack("<4sBBq", b"OggS", 0, flags, granule) + serial + bytes(8)
    return head + bytes([len(lacing)]) + lacing + body


def _lacing(packet: bytes) -> bytes:
    return bytes([255]) * (len(packet) // 255) + bytes([len(packet) % 255])


def _from_packet(packet: bytes) -> Comments | None:
    for mark in _MARKS:
        if packet.startswith(mark):
            return unpack(packet[len(mark) :])
    return None


def _to_packet(packet: bytes, comments: Comments) -> bytes:
    """Return a tag packet with other tags, by the same vendor."""
    mark = next(mark for mark in _MARKS if packet.startswith(mark))
    vendor = unpack(packet[len(mark) :]).vendor
    framing = b"\x01" if mark == _MARKS[0] else b""
    return mark + Comments(vendor, comments.entries).pack() + framing
