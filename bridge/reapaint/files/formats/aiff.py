"""AIFF files, and AIFC with uncompressed samples.

Notes
-----
Apple, Audio Interchange File Format 1.3 (1989) and AIFF-C draft (1991).
"""

import math
import struct
from typing import BinaryIO

from reapaint.errors import WRITE_WAV_OR_FLAC, BridgeCode, InputError
from reapaint.files.formats.chunks import (
    Chunk,
    PcmLayout,
    Plan,
    Region,
    check_format,
    copied,
    damaged,
    length_of,
    padding,
    walk_chunks,
    whole_frames,
)
from reapaint.files.formats.samples import INTEGER_FORMATS, Encoding, SampleFormat

SIGNATURE = b"rpnt"
"""Whose APPL chunk it is: ours holds the request as JSON."""

MAX_FORM_SIZE = 0xFFFFFFFE

_FLOATS = {
    b"fl32": SampleFormat.FLOAT32,
    b"FL32": SampleFormat.FLOAT32,
    b"fl64": SampleFormat.FLOAT64,
    b"FL64": SampleFormat.FLOAT64,
}
_INTEGERS = (b"NONE", b"twos", b"sowt", b"in24", b"in32")


def read_layout(file: BinaryIO, file_size: int) -> PcmLayout | None:
    """Read where everything lies in an AIFF file; None if its samples are compressed.

    Raises
    ------
    InputError
        ``unreadable_audio`` or ``empty_audio``.
    """
    file.seek(8)
    form = file.read(4)
    chunks = tuple(walk_chunks(file, position=12, file_size=file_size, order=">", sizes={}))
    found = {chunk.name: chunk for chunk in reversed(chunks)}
    if b"COMM" not in found or found[b"COMM"].length < 18:
        raise damaged("it does not say how samples are stored")
    parsed = _parse_common(file, found[b"COMM"], form)
    if parsed is None:
        return None
    encoding, sample_rate, channels, frames = parsed
    data = found.get(b"SSND")
    if data is None or data.length < 8:
        raise damaged("no samples follow it")
    file.seek(data.start)
    skipped = 8 + struct.unpack(">I", file.read(4))[0]
    if skipped > data.length:
        raise damaged("it says that the samples begin after their end")
    frame_bytes = encoding.sample_bytes * channels
    frames, warnings = whole_frames(data.length - skipped, frames * frame_bytes, frame_bytes)
    last = chunks[-1]
    return PcmLayout(
        form=form,
        encoding=encoding,
        sample_rate=sample_rate,
        channels=channels,
        frames=frames,
        data_start=data.start + skipped,
        data_chunk=data,
        chunks=chunks,
        record_chunk=_find_record(file, chunks),
        tail_start=min(last.end + last.length % 2, file_size),
        file_size=file_size,
        warnings=warnings,
    )


def plan_rewrite(layout: PcmLayout, frames: int, record: bytes) -> Plan:
    """Plan the same file with another number of frames and with a record.

    Every chunk keeps its bytes and its place, but an earlier record and the length
    in ``COMM``.

    Raises
    ------
    InputError
        ``unsupported_format`` when AIFF can't hold so much.
    """
    kept = [chunk for chunk in layout.chunks if chunk is not layout.record_chunk]
    index = kept.index(layout.data_chunk)
    skipped = Region(layout.data_chunk.start, layout.data_start - layout.data_chunk.start)
    before = _kept(kept[:index], frames)
    after = (*_kept(kept[index + 1 :], frames), *_record(record))
    plan = _frame(layout.form, before, skipped, after, frames * layout.frame_bytes)
    return Plan(plan.before, (*plan.after, layout.tail))


def plan_new(
    encoding: Encoding, *, sample_rate: int, channels: int, frames: int, record: bytes
) -> Plan:
    """Plan an AIFF file of so many frames, AIFC where samples are floating point."""
    bits = encoding.sample_format.bits
    common = struct.pack(">hIh", channels, frames, bits) + _extended(sample_rate)
    before: tuple[bytes | Region, ...] = (_chunk(b"COMM", common),)
    form = b"AIFF"
    if encoding.sample_format.is_float:
        form = b"AIFC"
        common += (b"fl32" if bits == 32 else b"fl64") + b"\0\0"
        before = (_chunk(b"FVER", struct.pack(">I", 0xA2805140)), _chunk(b"COMM", common))
    length = frames * channels * encoding.sample_bytes
    return _frame(form, before, bytes(8), _record(record), length)


def _parse_common(
    file: BinaryIO, chunk: Chunk, form: bytes
) -> tuple[Encoding, int, int, int] | None:
    """Return encoding, rate, channels and frames, or None for a codec's own format."""
    file.seek(chunk.start)
    body = file.read(min(chunk.length, 22))
    channels, frames, bits = struct.unpack(">hIh", body[:8])
    kind = b"NONE" if form == b"AIFF" else body[18:22]
    sample_rate = _from_extended(body[8:18])
    if kind in _FLOATS:
        encoding = Encoding(_FLOATS[kind], big_endian=True)
    elif kind in (*_INTEGERS, b"raw "):
        sample_bytes = -(-bits // 8)
        if sample_bytes not in INTEGER_FORMATS:
            raise damaged(f"it says that samples have {bits} bits")
        encoding = Encoding(
            INTEGER_FORMATS[sample_bytes],
            big_endian=kind != b"sowt",
            is_unsigned=kind == b"raw ",
        )
    else:
        return None
    check_format(sample_rate, channels)
    return encoding, round(sample_rate), channels, frames


def _find_record(file: BinaryIO, chunks: tuple[Chunk, ...]) -> Chunk | None:
    for chunk in chunks:
        file.seek(chunk.start)
        if chunk.name == b"APPL" and file.read(4) == SIGNATURE:
            return chunk
    return None


def _kept(chunks: list[Chunk], frames: int) -> tuple[bytes | Region, ...]:
    pieces: list[bytes | Region] = []
    for chunk in chunks:
        pieces.append(struct.pack(">4sI", chunk.name, chunk.length))
        if chunk.name == b"COMM":
            rest = Chunk(chunk.name, chunk.start + 6, 0, chunk.length - 6)
            pieces += [Region(chunk.start, 2), struct.pack(">I", frames), *copied(rest)]
        else:
            pieces += copied(chunk)
    return tuple(pieces)


def _frame(
    form: bytes,
    before: tuple[bytes | Region, ...],
    skipped: bytes | Region,
    after: tuple[bytes | Region, ...],
    data_length: int,
) -> Plan:
    """Put the outer form around chunks."""
    sound_length = length_of((skipped,)) + data_length
    after = (padding(sound_length), *after)
    form_size = 4 + length_of(before) + 8 + sound_length + length_of(after)
    if form_size > MAX_FORM_SIZE:
        raise InputError(
            BridgeCode.UNSUPPORTED_FORMAT,
            "An AIFF file can't be larger than 4 GiB, and this one would be.",
            hint=WRITE_WAV_OR_FLAC,
        )
    head = struct.pack(">4sI4s", b"FORM", form_size, form)
    return Plan((head, *before, struct.pack(">4sI", b"SSND", sound_length), skipped), after)


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">4sI", name, len(body)) + body + padding(len(body))


def _record(record: bytes) -> tuple[bytes, ...]:
    return (_chunk(b"APPL", SIGNATURE + record),) if record else ()


def _from_extended(data: bytes) -> float:
    """Return an 80-bit float as a number; infinity and such as 0, which is refused."""
    sign_exponent, mantissa = struct.unpack(">HQ", data)
    exponent = sign_exponent & 0x7FFF
    if sign_exponent & 0x8000 or exponent > 16383 + 63:
        return 0.0
    return math.ldexp(mantissa, exponent - 16383 - 63)


def _extended(value: int) -> bytes:
    """Return a positive whole number as an 80-bit float."""
    shift = 64 - value.bit_length()
    return struct.pack(">HQ", 16383 + 63 - shift, value << shift)
