"""What RIFF and IFF share: chunks in a row, and the plan of a file made from another's."""

import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO

from reapaint.errors import BridgeCode, InputError
from reapaint.files.formats.samples import Encoding

CHOOSE_SOUND = "Choose a recording that has sound in it."
MAX_CHUNKS = 10_000
"""More chunks than any editor writes; what follows is kept, but not understood."""

UNKNOWN_SIZE = 0xFFFFFFFF
"""A size told elsewhere (RF64), or not known when the header was written (a stream)."""

MAX_SAMPLE_RATE = 10_000_000
"""Hz; faster than any converter for sound or ultrasound."""

_CHUNK_ID = re.compile(rb"[\x20-\x7e]{4}")


@dataclass(frozen=True, slots=True)
class Chunk:
    """One chunk; ``size`` is what its header says, ``length`` what the file holds of it."""

    name: bytes
    start: int
    size: int
    length: int

    @property
    def end(self) -> int:
        """The position after the body, before any padding."""
        return self.start + self.length


@dataclass(frozen=True, slots=True)
class Region:
    """Bytes of the file that is being copied."""

    start: int
    length: int


@dataclass(frozen=True, slots=True)
class Plan:
    """A new file: pieces before the samples, the samples, pieces after them."""

    before: tuple[bytes | Region, ...]
    after: tuple[bytes | Region, ...]


@dataclass(frozen=True, slots=True)
class PcmLayout:
    """Where everything lies in a file of uncompressed samples.

    ``form`` is the file's own name of its kind, ``chunks`` are in the order of the
    file, ``record_chunk`` is an earlier result's record among them, and bytes from
    ``tail_start`` on are no chunk: they are kept at the end.
    """

    form: bytes
    encoding: Encoding
    sample_rate: int
    channels: int
    frames: int
    data_start: int
    data_chunk: Chunk
    chunks: tuple[Chunk, ...]
    record_chunk: Chunk | None
    tail_start: int
    file_size: int
    warnings: tuple[str, ...] = ()

    @property
    def frame_bytes(self) -> int:
        """The number of bytes of one frame."""
        return self.encoding.sample_bytes * self.channels

    @property
    def tail(self) -> Region:
        """What follows the last chunk."""
        return Region(self.tail_start, self.file_size - self.tail_start)


def walk_chunks(
    file: BinaryIO, *, position: int, file_size: int, order: str, sizes: Mapping[bytes, int]
) -> Iterator[Chunk]:
    """Yield the chunks that lie one after the other from a position on.

    Ends at the file's end, or where no chunk name stands. The size of the outermost
    form is not asked: it is wrong in streamed and in interrupted recordings.

    Parameters
    ----------
    order
        ``<`` for RIFF, ``>`` for IFF.
    sizes
        What stands for ``UNKNOWN_SIZE``, by chunk name.
    """
    for _ in range(MAX_CHUNKS):
        file.seek(position)
        header = file.read(8)
        if len(header) < 8 or not _CHUNK_ID.fullmatch(header[:4]):
            return
        name, size = struct.unpack(f"{order}4sI", header)
        real = sizes.get(name, size) if size == UNKNOWN_SIZE else size
        chunk = Chunk(name, position + 8, size, min(real, file_size - position - 8))
        yield chunk
        position = next_position(file, chunk)


def next_position(file: BinaryIO, chunk: Chunk) -> int:
    """Return where the chunk after this one begins.

    Odd bodies are padded, but some writers forget: then a name stands where the
    padding should be.
    """
    if chunk.length % 2 == 0:
        return chunk.end
    file.seek(chunk.end)
    following = file.read(5)
    if following[:1] != b"\0" and _CHUNK_ID.fullmatch(following[:4]):
        return chunk.end
    return chunk.end + min(len(following), 1)


def copied(chunk: Chunk) -> tuple[bytes | Region, ...]:
    """Return the pieces of a chunk's body with its padding."""
    return (Region(chunk.start, chunk.length), padding(chunk.length))


def padding(length: int) -> bytes:
    """Return what makes a length even."""
    return bytes(length % 2)


def length_of(pieces: tuple[bytes | Region, ...]) -> int:
    """Return the number of bytes of pieces."""
    return sum(len(piece) if isinstance(piece, bytes) else piece.length for piece in pieces)


def damaged(what: str) -> InputError:
    """Return the error for a header that contradicts itself."""
    return InputError(
        BridgeCode.UNREADABLE_AUDIO,
        f"The file's header is damaged: {what}.",
        hint="Export the recording again, or repair it in an audio editor.",
    )


def check_format(sample_rate: float, channels: int) -> None:
    """Refuse numbers that no recording has.

    Raises
    ------
    InputError
        ``unreadable_audio``.
    """
    if not 1 <= sample_rate <= MAX_SAMPLE_RATE:
        raise damaged(f"it says {sample_rate:.0f} frames per second")
    if channels < 1:
        raise damaged("it says that there is no channel")


def whole_frames(stored: int, said: int, frame_bytes: int) -> tuple[int, tuple[str, ...]]:
    """Return how many frames there are, and a warning if the header promised more.

    Parameters
    ----------
    stored, said
        Bytes of samples in the file, and by its header.

    Raises
    ------
    InputError
        ``empty_audio`` when there is not one frame.
    """
    frames = min(stored, said) // frame_bytes
    if frames == 0:
        raise InputError(
            BridgeCode.EMPTY_AUDIO,
            "The file has a header but not one frame of audio.",
            hint=CHOOSE_SOUND,
        )
    if said // frame_bytes <= frames:
        return frames, ()
    return frames, (cut_short(said // frame_bytes, frames),)


def cut_short(announced_frames: int, frames: int) -> str:
    """Return the warning of a recording that has less than its header says."""
    lost = f"{announced_frames} frames were announced and {frames} are there"
    return f"The recording is cut short: {lost}; what is there is used."
