"""Read a sound file's own description: the chunks of WAV and AIFF files, or tags.

Notes
-----
EBU Tech 3285 (bext), the iXML specification 3.01, and the RIFF and AIFF chunk forms.
"""

import html
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from reapaint_engine.backends.library.tags import read_tags

MAX_CHUNKS = 1000
MAX_TEXT_BYTES = 1 << 20
"""Only this much of a longer chunk is read: descriptions are short, and a file's sizes may be
wrong."""

MAX_CHARACTERS = 2000

_FORMS = {b"RIFF": "<", b"RF64": "<", b"BW64": "<", b"FORM": ">"}
_MAX_POSITION_BYTES = 1 << 42
"""No sound is longer (4 TiB). A damaged header may point further, where some file systems can't
even seek."""

_UNKNOWN_SIZE = 0xFFFFFFFF
_BEXT_DESCRIPTION_BYTES = 256
_INFO_NAMES = (b"INAM", b"ISBJ", b"ICMT", b"IKEY", b"IGNR", b"IPRD")
_AIFF_NAMES = (b"NAME", b"ANNO")
_IXML_FIELD = re.compile(
    r"<(?:BWF_|FX_?)?(DESCRIPTION|NOTES?|KEYWORDS?|CATEGORY|SUBCATEGORY|FXNAME|CATID|NAME)>"
    r"([^<]*)<",
    re.IGNORECASE,
)


def read_description(path: Path) -> str:
    """Return a file's own texts, each once; "" where there are none.

    Raises
    ------
    OSError
        The file can't be read.
    """
    with path.open("rb") as file:
        is_chunked = file.read(4) in _FORMS
        file.seek(0)
        found = _texts(file) if is_chunked else read_tags(file)
        texts = [text.strip() for text in found]
    return " ".join(dict.fromkeys(text for text in texts if text))[:MAX_CHARACTERS]


def _texts(file: BinaryIO) -> Iterator[str]:
    for name, size in _chunks(file):
        if name == b"bext":
            yield _decode(file.read(min(size, _BEXT_DESCRIPTION_BYTES)))
        elif name == b"iXML":
            yield from _ixml_fields(file.read(min(size, MAX_TEXT_BYTES)))
        elif name == b"LIST":
            yield from _info_fields(file.read(min(size, MAX_TEXT_BYTES)))
        elif name in _AIFF_NAMES:
            yield _decode(file.read(min(size, MAX_TEXT_BYTES)))


def _chunks(file: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """Yield each chunk's name and size, with the file at its body."""
    order = _FORMS.get(file.read(12)[:4])
    position, large = 12, _UNKNOWN_SIZE
    for _ in range(MAX_CHUNKS if order else 0):
        file.seek(position)
        header = file.read(8)
        if len(header) < 8:
            return
        name, size = struct.unpack(f"{order}4sI", header)
        if name == b"ds64":
            # RF64 has sizes beyond 4 GiB here; only the samples are ever that large.
            large = int.from_bytes(file.read(16)[8:], "little")
            file.seek(position + 8)
        size = large if size == _UNKNOWN_SIZE else size
        yield name, size
        position += 8 + size + size % 2
        if position > _MAX_POSITION_BYTES:
            return


def _ixml_fields(body: bytes) -> Iterator[str]:
    for _, text in _IXML_FIELD.findall(_decode(body)):
        yield html.unescape(text)


def _info_fields(body: bytes) -> Iterator[str]:
    position = 4 if body[:4] == b"INFO" else len(body)
    while position + 8 <= len(body):
        name, size = struct.unpack_from("<4sI", body, position)
        if name in _INFO_NAMES:
            yield _decode(body[position + 8 : position + 8 + size])
        position += 8 + size + size % 2


def _decode(body: bytes) -> str:
    """Return text up to its first zero; bytes that are not UTF-8 are read as Latin-1."""
    if body[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return body.decode("utf-16", "replace").partition("\0")[0]
    text = body.partition(b"\0")[0]
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError:
        return text.decode("latin-1")
