"""Vorbis comments: the tags of FLAC, Ogg Vorbis and Opus.

Notes
-----
https://xiph.org/vorbis/doc/v-comment.html
"""

import struct
from dataclasses import dataclass

RECORD_KEY = "REAPAINT"
"""The tag that holds the request as JSON."""


@dataclass(frozen=True, slots=True)
class Comments:
    """Who wrote the file, and its tags as ``KEY=value`` in their order."""

    vendor: bytes = b"ReaPaint"
    entries: tuple[bytes, ...] = ()

    def with_record(self, record: bytes) -> "Comments":
        """Return the same tags with this record in place of an earlier one."""
        prefix = f"{RECORD_KEY}=".encode()
        others = tuple(entry for entry in self.entries if not entry.upper().startswith(prefix))
        return Comments(self.vendor, (*others, prefix + record) if record else others)

    def pack(self) -> bytes:
        """Return the bytes, without Vorbis's framing bit."""
        strings = (self.vendor, *self.entries)
        packed = [struct.pack("<I", len(text)) + text for text in strings]
        return packed[0] + struct.pack("<I", len(self.entries)) + b"".join(packed[1:])


def unpack(data: bytes) -> Comments:
    """Read comments; of damaged ones, what can be read."""
    vendor, position = _string(data, 0)
    if vendor is None:
        return Comments()
    entries: list[bytes] = []
    position += 4  # the count, which the strings themselves tell as well
    while True:
        entry, position = _string(data, position)
        if entry is None:
            return Comments(vendor, tuple(entries))
        entries.append(entry)


def _string(data: bytes, position: int) -> tuple[bytes | None, int]:
    header = data[position : position + 4]
    if len(header) < 4:
        return None, position
    end = position + 4 + int(struct.unpack("<I", header)[0])
    if end > len(data):
        return None, position
    return data[position + 4 : end], end
