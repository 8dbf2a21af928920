"""WAV files: RIFF, and its large forms RF64 and BW64.

Notes
-----
EBU Tech 3306 (RF64), ITU-R BS.2088 (BW64), and the registry of formats in mmreg.h.
"""

import struct
from collections.abc import Sequence
from typing import BinaryIO

from reapaint.errors import BridgeCode, InputError
from reapaint.files.formats.chunks import (
    UNKNOWN_SIZE,
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

RECORD_CHUNK = b"rpnt"
"""Our chunk: the request as JSON. Registered names are in capitals, so this is none."""

FORMS = (b"RIFF", b"RF64", b"BW64")
MAX_RIFF_SIZE = 0xFFFFFFFE
"""Bytes after the size field; one more would read as ``UNKNOWN_SIZE``."""

_OPEN_ENDED = (0, UNKNOWN_SIZE, 0xFFFFFFFFFFFFFFFF)
"""What stands for the length of samples when the recorder did not know it yet."""

_TAG_PCM, _TAG_FLOAT, _TAG_EXTENSIBLE = 1, 3, 0xFFFE
_GUID_TAIL = bytes.fromhex("000000001000800000aa00389b71")
_SPEAKERS = {1: 0x4, 2: 0x3, 3: 0x7, 4: 0x33, 5: 0x37, 6: 0x3F, 7: 0x70F, 8: 0x63F}
"""The usual arrangement of so many channels, as FLAC and WAV order them."""


def read_layout(file: BinaryIO, file_size: int) -> PcmLayout | None:
    """Read where everything lies in a WAV file; None if its samples are compressed.

    Raises
    ------
    InputError
        ``unreadable_audio`` or ``empty_audio``.
    """
    file.seek(0)
    form = file.read(12)[:4]
    sizes = _large_sizes(file)
    chunks = tuple(walk_chunks(file, position=12, file_size=file_size, order="<", sizes=sizes))
    found = {chunk.name: chunk for chunk in reversed(chunks)}
    if b"fmt " not in found:
        raise damaged("it does not say how samples are stored")
    parsed = _parse_format(file, found[b"fmt "])
    if parsed is None:
        return None
    encoding, sample_rate, channels = parsed
    if b"data" not in found:
        raise damaged("no samples follow it")
    data = found[b"data"]
    said = sizes.get(b"data", UNKNOWN_SIZE) if data.size == UNKNOWN_SIZE else data.size
    if said in _OPEN_ENDED:
        data, chunks = _open_ended(data, chunks, file_size)
        said = data.length
    frames, warnings = whole_frames(data.length, said, encoding.sample_bytes * channels)
    last = chunks[-1]
    return PcmLayout(
        form=form,
        encoding=encoding,
        sample_rate=sample_rate,
        channels=channels,
        frames=frames,
        data_start=data.start,
        data_chunk=data,
        chunks=chunks,
        record_chunk=found.get(RECORD_CHUNK),
        tail_start=min(last.end + last.length % 2, file_size),
        file_size=file_size,
        warnings=warnings,
    )


def plan_rewrite(layout: PcmLayout, frames: int, record: bytes) -> Plan:
    """Plan the same file with another number of frames and with a record.

    Every chunk keeps its bytes and its place, but an earlier record, ``ds64`` and
    the length in ``fact``.
    """
    index = layout.chunks.index(layout.data_chunk)
    before = _kept(layout, layout.chunks[:index], frames)
    after = (*_kept(layout, layout.chunks[index + 1 :], frames), *_record(record))
    return _assemble(layout, before=before, after=after, frames=frames, form=layout.form)


def plan_new(
    encoding: Encoding,
    *,
    sample_rate: int,
    channels: int,
    frames: int,
    record: bytes,
    chunks: Sequence[tuple[bytes, bytes]] = (),
) -> Plan:
    """Plan a WAV file of so many frames; more chunks, names and bodies, lie before them."""
    before: tuple[bytes | Region, ...] = (
        *(_chunk(name, body) for name, body in chunks),
        _chunk(b"fmt ", _format(encoding, sample_rate, channels)),
    )
    if encoding.sample_format.is_float:
        before = (*before, _fact(frames))
    data_length = frames * channels * encoding.sample_bytes
    return _frame(
        b"RIFF",
        before=before,
        after=_record(record),
        data_length=data_length,
        frames=frames,
        table=b"",
    )


def _parse_format(file: BinaryIO, chunk: Chunk) -> tuple[Encoding, int, int] | None:
    """Return encoding, rate and channels, or None for a codec's own format."""
    if chunk.length < 16:
        raise damaged("its format description is too short")
    file.seek(chunk.start)
    body = file.read(min(chunk.length, 40))
    tag, channels, sample_rate, _, frame_bytes, bits = struct.unpack("<HHIIHH", body[:16])
    if tag == _TAG_EXTENSIBLE and len(body) >= 40 and body[26:40] == _GUID_TAIL:
        tag = struct.unpack("<H", body[24:26])[0]
    if tag not in (_TAG_PCM, _TAG_FLOAT):
        return None
    check_format(sample_rate, channels)
    sample_bytes = -(-bits // 8)
    if frame_bytes != sample_bytes * channels or not bits:
        raise damaged(f"frames of {frame_bytes} bytes can't hold {channels} x {bits} bits")
    if tag == _TAG_FLOAT and bits in (32, 64):
        return Encoding(SampleFormat(f"float{bits}")), sample_rate, channels
    if tag == _TAG_PCM and sample_bytes in INTEGER_FORMATS:
        return Encoding(INTEGER_FORMATS[sample_bytes], is_unsigned=bits <= 8), sample_rate, channels
    raise InputError(
        BridgeCode.UNSUPPORTED_AUDIO,
        f"The file has samples of {bits} bits, which this program does not read.",
        hint="Export it with 8, 16, 24 or 32 bits, or as 32- or 64-bit float.",
    )


def _large_sizes(file: BinaryIO) -> dict[bytes, int]:
    """Return the sizes that ds64 tells, by chunk name; nothing for a small file."""
    file.seek(12)
    header = file.read(8 + 28)
    if len(header) < 36 or header[:4] != b"ds64":
        return {}
    size = struct.unpack("<I", header[4:8])[0]
    data_size, _, entries = struct.unpack("<QQI", header[16:36])
    table = file.read(12 * min(entries, max(size - 28, 0) // 12, 1000))
    sizes = {bytes(name): int(long) for name, long in struct.iter_unpack("<4sQ", _whole(table))}
    return {**sizes, b"data": int(data_size)}


def _whole(table: bytes) -> bytes:
    return table[: len(table) // 12 * 12]


def _open_ended(
    data: Chunk, chunks: tuple[Chunk, ...], file_size: int
) -> tuple[Chunk, tuple[Chunk, ...]]:
    """Let samples without a stated length go on to the end of the file.

    A recorder that streams, or that was cut off, never came back to write the length.
    Zero may also be the truth: then other chunks follow in good order, to the end.
    """
    index = chunks.index(data)
    last = chunks[-1]
    if last is not data and last.end + last.length % 2 >= file_size:
        return data, chunks
    streamed = Chunk(b"data", data.start, data.size, file_size - data.start)
    return streamed, (*chunks[:index], streamed)


def _kept(layout: PcmLayout, chunks: tuple[Chunk, ...], frames: int) -> tuple[bytes | Region, ...]:
    pieces: list[bytes | Region] = []
    for chunk in chunks:
        if chunk.name in (RECORD_CHUNK, b"ds64"):
            continue
        if chunk.name == b"fact" and chunk.length >= 4 and frames != layout.frames:
            rest = Chunk(b"fact", chunk.start + 4, 0, chunk.length - 4)
            length = struct.pack("<4sII", b"fact", chunk.length, min(frames, UNKNOWN_SIZE))
            pieces += [length, *copied(rest)]
        else:
            is_large = chunk.size == UNKNOWN_SIZE and layout.form != b"RIFF"
            size = UNKNOWN_SIZE if is_large else chunk.length
            pieces += [struct.pack("<4sI", chunk.name, size), *copied(chunk)]
    return tuple(pieces)


def _assemble(
    layout: PcmLayout,
    *,
    before: tuple[bytes | Region, ...],
    after: tuple[bytes | Region, ...],
    frames: int,
    form: bytes,
) -> Plan:
    table = b"".join(
        struct.pack("<4sQ", chunk.name, chunk.length)
        for chunk in layout.chunks
        if chunk.size == UNKNOWN_SIZE and chunk is not layout.data_chunk
    )
    data_length = frames * layout.frame_bytes
    plan = _frame(
        form, before=before, after=after, data_length=data_length, frames=frames, table=table
    )
    return Plan(plan.before, (*plan.after, layout.tail))


def _frame(
    form: bytes,
    *,
    before: tuple[bytes | Region, ...],
    after: tuple[bytes | Region, ...],
    data_length: int,
    frames: int,
    table: bytes,
) -> Plan:
    """Put the outer form around chunks: RIFF where it fits, RF64 where it doesn't."""
    after = (padding(data_length), *after)
    riff_size = 4 + length_of(before) + 8 + data_length + length_of(after)
    if form == b"RIFF" and riff_size <= MAX_RIFF_SIZE:
        head = struct.pack("<4sI4s", form, riff_size, b"WAVE")
        return Plan((head, *before, struct.pack("<4sI", b"data", data_length)), after)
    ds64_size = 28 + len(table)
    sizes = struct.pack("<QQQI", riff_size + 8 + ds64_size, data_length, frames, len(table) // 12)
    head = struct.pack("<4sI4s", b"RF64" if form == b"RIFF" else form, UNKNOWN_SIZE, b"WAVE")
    data = struct.pack("<4sI", b"data", UNKNOWN_SIZE)
    return Plan((head, _chunk(b"ds64", sizes + table), *before, data), after)


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack("<4sI", name, len(body)) + body + padding(len(body))


def _record(record: bytes) -> tuple[bytes, ...]:
    return (_chunk(RECORD_CHUNK, record),) if record else ()


def _fact(frames: int) -> bytes:
    return _chunk(b"fact", struct.pack("<I", min(frames, UNKNOWN_SIZE)))


def _format(encoding: Encoding, sample_rate: int, channels: int) -> bytes:
    """Return a format description: the plain one where readers know what it means."""
    bits, frame_bytes = encoding.sample_format.bits, encoding.sample_bytes * channels
    tag = _TAG_FLOAT if encoding.sample_format.is_float else _TAG_PCM
    numbers = (channels, sample_rate, sample_rate * frame_bytes & 0xFFFFFFFF, frame_bytes, bits)
    if channels <= 2:
        plain = struct.pack("<HHIIHH", tag, *numbers)
        return plain + struct.pack("<H", 0) if tag == _TAG_FLOAT else plain
    extension = struct.pack("<HHIH", 22, bits, _SPEAKERS.get(channels, 0), tag)
    return struct.pack("<HHIIHH", _TAG_EXTENSIBLE, *numbers) + extension + _GUID_TAIL
