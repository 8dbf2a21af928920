"""FLAC files: metadata kept block by block, samples encoded exactly.

Notes
-----
RFC 9639. Blocks are read and written here since a muxer would keep only the tags it
knows; the audio itself is coded by FFmpeg's lossless encoder.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import av
import numpy as np

from reapaint.files.formats.chunks import check_format, damaged
from reapaint.files.formats.samples import to_integers
from reapaint.files.formats.vorbis_comments import Comments, unpack
from reapaint.files.new_file import Sink
from reapaint_engine.protocol.arrays import Samples

MAX_CHANNELS = 8
MAX_SAMPLE_RATE = 655_350
"""Hz; what the header of a frame can tell."""

LAYOUTS = {
    1: "mono",
    2: "stereo",
    3: "3.0",
    4: "quad",
    5: "5.0",
    6: "5.1",
    7: "6.1",
    8: "7.1",
}
"""FFmpeg's names of the usual arrangements, in the channel order of FLAC and WAV."""

_STREAMINFO, _SEEKTABLE, _COMMENTS = 0, 3, 4
_STREAMINFO_LENGTH = 34
_MAX_BLOCK_LENGTH = (1 << 24) - 1


@dataclass(frozen=True, slots=True)
class Block:
    """One metadata block's body."""

    kind: int
    start: int
    length: int


@dataclass(frozen=True, slots=True)
class FlacHeader:
    """What stands before the audio; ``frames`` is 0 when the writer did not know."""

    sample_rate: int
    channels: int
    bits: int
    frames: int
    blocks: tuple[Block, ...]


def is_flac(file: BinaryIO) -> bool:
    """Whether this is a FLAC file; others begin with an ID3 tag, too."""
    file.seek(_skip_id3(file))
    return file.read(4) == b"fLaC"


def read_header(file: BinaryIO, file_size: int) -> FlacHeader:
    """Read a FLAC file's metadata.

    Raises
    ------
    InputError
        ``unreadable_audio``.
    """
    blocks = tuple(_walk_blocks(file, file_size))
    if not blocks or blocks[0].kind != _STREAMINFO or blocks[0].length < _STREAMINFO_LENGTH:
        raise damaged("it does not begin as a FLAC file does")
    file.seek(blocks[0].start + 10)
    packed = int.from_bytes(file.read(8), "big")
    sample_rate, channels = packed >> 44, (packed >> 41 & 7) + 1
    check_format(sample_rate, channels)
    return FlacHeader(
        sample_rate=sample_rate,
        channels=channels,
        bits=(packed >> 36 & 31) + 1,
        frames=packed & (1 << 36) - 1,
        blocks=blocks,
    )


def read_comments(file: BinaryIO, header: FlacHeader) -> Comments:
    """Return the file's tags."""
    for block in header.blocks:
        if block.kind == _COMMENTS:
            file.seek(block.start)
            return unpack(file.read(block.length))
    return Comments()


def written_bits(bits: int) -> int:
    """Return the depth that holds so many bits and that every player reads."""
    return 16 if bits <= 16 else 24 if bits <= 24 else 32


class FlacEncoder:
    """Writes one FLAC file, block after block."""

    def __init__(
        self,
        file: Sink,
        *,
        sample_rate: int,
        channels: int,
        bits: int,
        metadata: tuple[tuple[int, bytes], ...],
    ) -> None:
        self._file = file
        self._bits = bits
        self._frames = 0
        self._context = _open_encoder(sample_rate, channels, bits)
        self.block_frames = self._context.frame_size
        self._write_metadata(metadata)

    def write(self, audio: Samples) -> None:
        """Encode ``block_frames`` frames, or fewer at the end.

        Parameters
        ----------
        audio
            Shape (channels, frames), float32 or float64; full scale is 1.
        """
        values = to_integers(audio, self._bits)
        packed = values.astype(np.int16) if self._bits == 16 else values << (32 - self._bits)
        interleaved = np.ascontiguousarray(packed.T).reshape(1, -1)
        context = self._context
        frame = av.AudioFrame.from_ndarray(interleaved, context.format.name, context.layout)
        frame.sample_rate = context.sample_rate
        frame.pts = self._frames
        self._frames += audio.shape[1]
        for packet in context.encode(frame):
            self._file.write(bytes(packet))

    def finish(self) -> None:
        """Write what is left, and then the length and checksum into the header."""
        for packet in self._context.encode(None):
            self._file.write(bytes(packet))
        self._file.seek(8)
        self._file.write(self._streaminfo())

    def close(self) -> None:
        """Do nothing: there is nothing to let go of."""

    def _streaminfo(self) -> bytes:
        # FFmpeg gives its own header; after the last packet it holds length and MD5
        data = self._context.extradata or b""
        assert len(data) == _STREAMINFO_LENGTH
        return bytes(data)

    def _write_metadata(self, metadata: tuple[tuple[int, bytes], ...]) -> None:
        blocks = ((_STREAMINFO, self._streaminfo()), *metadata)
        self._file.write(b"fLaC")
        for number, (kind, body) in enumerate(blocks, start=1):
            is_last = 0x80 if number == len(blocks) else 0
            self._file.write(struct.pack(">I", (is_last | kind) << 24 | len(body)) + body)


def read_kept_metadata(file: BinaryIO, header: FlacHeader) -> tuple[tuple[int, bytes], ...]:
    """Return the metadata blocks that stay true of a file with other frames.

    Pictures, cue sheets, applications' blocks and padding do. A seek table does not:
    the frames it points to lie elsewhere, and players find their way without.
    """
    kept: list[tuple[int, bytes]] = []
    for block in header.blocks[1:]:
        if block.kind != _SEEKTABLE:
            file.seek(block.start)
            kept.append((block.kind, file.read(block.length)))
    return tuple(kept)


def replace_comments(
    metadata: tuple[tuple[int, bytes], ...], comments: Comments
) -> tuple[tuple[int, bytes], ...]:
    """Return metadata with these tags, in the old ones' place or first."""
    body = comments.pack()
    if len(body) > _MAX_BLOCK_LENGTH:
        return metadata
    kinds = [kind for kind, _ in metadata]
    index = kinds.index(_COMMENTS) if _COMMENTS in kinds else 0
    rest = metadata[index + 1 :] if _COMMENTS in kinds else metadata
    return (*metadata[:index], (_COMMENTS, body), *rest)


def _walk_blocks(file: BinaryIO, file_size: int) -> Iterator[Block]:
    position = _skip_id3(file)
    file.seek(position)
    if file.read(4) != b"fLaC":
        return
    position += 4
    is_last = False
    while not is_last:
        file.seek(position)
        header = file.read(4)
        if len(header) < 4:
            return
        word = struct.unpack(">I", header)[0]
        kind, length, is_last = word >> 24 & 0x7F, word & 0xFFFFFF, bool(word >> 31)
        if position + 4 + length > file_size:
            return
        yield Block(kind, position + 4, length)
        position += 4 + length


def _skip_id3(file: BinaryIO) -> int:
    """Return where the stream begins: some programs put an ID3v2 tag before it."""
    file.seek(0)
    header = file.read(10)
    if header[:3] != b"ID3" or len(header) < 10:
        return 0
    size = 0
    for byte in header[6:10]:
        size = size << 7 | byte & 0x7F
    return 10 + size


def _open_encoder(sample_rate: int, channels: int, bits: int) -> av.AudioCodecContext:
    context = av.CodecContext.create("flac", "w")
    assert isinstance(context, av.AudioCodecContext)
    context.sample_rate = sample_rate
    context.layout = LAYOUTS[channels]
    context.format = "s16" if bits == 16 else "s32"
    context.options = {"bits_per_raw_sample": str(bits)}
    if bits == 32:
        # FFmpeg calls 32 bits experimental; RFC 9639 does not, and it decodes to the bit
        context.options = {**context.options, "strict": "experimental"}
    context.open()
    return context
