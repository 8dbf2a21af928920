"""Broadcast WAV's descriptions: ``bext`` for every player, ``iXML`` in full.

Notes
-----
EBU Tech 3285 (bext, version 1) and the iXML specification 3.01.
"""

import struct
from dataclasses import dataclass
from datetime import datetime
from xml.sax.saxutils import escape

from reapaint.files.formats.recording import AudioInfo

BEXT_CHUNK, IXML_CHUNK = b"bext", b"iXML"

_TIME_REFERENCE_AT = 338
"""Bytes into ``bext``: description 256, originator 32, its reference 32, date 10, time 8."""
_FIXED_BYTES = 602
"""Up to the coding history; a UMID and loudness, which nobody measured, are zeros."""
_VERSION = 1


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a machine-generated file comes from; ``record`` is the request as JSON."""

    program: str
    model: str
    job_id: str
    prompt: str
    project: str
    record: str
    made_at: datetime

    @property
    def sentence(self) -> str:
        """What to tell whoever opens the file."""
        asked = f": {self.prompt}" if self.prompt else ", from its surroundings"
        return f"Machine-generated audio, made by {self.program} with {self.model}{asked}"


def bext(origin: Origin, *, sample_rate: int, time_reference: int) -> bytes:
    """Return the body of a ``bext`` chunk; what is not ASCII becomes a question mark.

    Parameters
    ----------
    time_reference
        Frames since midnight of the file's first frame.
    """
    history = f"A=PCM,F={sample_rate},T=machine-generated;{origin.program};{origin.model}\r\n"
    fixed = struct.pack(
        "<256s32s32s10s8sQH",
        _ascii(origin.sentence),
        _ascii(origin.program),
        _ascii(origin.job_id),
        origin.made_at.strftime("%Y-%m-%d").encode(),
        origin.made_at.strftime("%H:%M:%S").encode(),
        time_reference,
        _VERSION,
    )
    return fixed.ljust(_FIXED_BYTES, b"\0") + _ascii(history)


def ixml(origin: Origin) -> bytes:
    """Return the body of an ``iXML`` chunk."""
    fields = {
        "MACHINE_GENERATED": "TRUE",
        "PROGRAM": origin.program,
        "MODEL": origin.model,
        "PROMPT": origin.prompt,
        "REQUEST": origin.record,
    }
    inside = "".join(f"<{name}>{_text(value)}</{name}>" for name, value in fields.items())
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        "<BWFXML><IXML_VERSION>3.01</IXML_VERSION>"
        f"<PROJECT>{_text(origin.project)}</PROJECT>"
        f"<NOTE>{_text(origin.sentence)}</NOTE>"
        f"<FILE_UID>{_text(origin.job_id)}</FILE_UID>"
        f"<REAPAINT>{inside}</REAPAINT>"
        "</BWFXML>\n"
    ).encode()


def time_reference(info: AudioInfo) -> int:
    """Return the time of a recording's first frame, in frames since midnight; 0 if unknown."""
    chunks = info.layout.chunks if info.layout else ()
    chunk = next((each for each in chunks if each.name == BEXT_CHUNK), None)
    if chunk is None or chunk.length < _TIME_REFERENCE_AT + 8:
        return 0
    with info.path.open("rb") as file:
        file.seek(chunk.start + _TIME_REFERENCE_AT)
        return int.from_bytes(file.read(8), "little")


def _ascii(text: str) -> bytes:
    return text.encode("ascii", "replace").replace(b"\n", b" ")


def _text(text: str) -> str:
    """Return text as XML can hold it: most control characters have no way in at all."""
    kept = (
        character
        for character in text
        if character in "\t\n\r"
        or "\x20" <= character <= "\ud7ff"
        or "\ue000" <= character <= "\ufffd"
        or character >= "\U00010000"
    )
    return escape("".join(kept))
