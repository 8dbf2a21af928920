"""Putting patches into audio: into a file's own bytes, or into a stream of blocks."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from reapaint.files.formats.chunks import PcmLayout, Plan, Region
from reapaint.files.formats.recording import BLOCK_BYTES, AudioInfo, changed, read_blocks
from reapaint.files.formats.samples import count_over_full_scale
from reapaint.files.new_file import NewFile
from reapaint_engine.protocol.arrays import Audio, Samples
from reapaint_engine.protocol.progress import OnFraction

BLOCK_FRAMES = 1 << 15
"""Frames of a block that no file dictates."""


@dataclass(frozen=True, slots=True)
class Patch:
    """New audio of shape (channels, frames), to stand in the file from a frame on."""

    start_frame: int
    audio: Audio

    @property
    def end_frame(self) -> int:
        """The frame after the last."""
        return self.start_frame + int(self.audio.shape[1])


def result_frames(info: AudioInfo, patches: Sequence[Patch]) -> int:
    """Return how long the result is: patches may go on past the end.

    Raises
    ------
    ValueError
        A patch has other channels, or would leave a gap after the end.
    """
    frames = info.frames
    for patch in sorted(patches, key=lambda patch: patch.start_frame):
        if patch.audio.ndim != 2 or patch.audio.shape[0] != info.channels:
            raise ValueError(f"a patch of shape {patch.audio.shape} for {info.channels} channels")
        if not 0 <= patch.start_frame <= frames:
            raise ValueError(f"a patch begins at frame {patch.start_frame} of {frames}")
        frames = max(frames, patch.end_frame)
    return frames


def put_in(block: Samples, position: int, patches: Sequence[Patch]) -> None:
    """Write what patches have for a block of the source into it.

    A patch is float32. Where it equals the source as float32 nothing was meant to
    change, so the source's more exact value stays.

    Parameters
    ----------
    block
        Shape (channels, frames), float32 or float64; changed in place.
    position
        The file's frame that the block begins at.
    patches
        In the order in which they are written.
    """
    for patch in patches:
        first = max(patch.start_frame, position)
        last = min(patch.end_frame, position + block.shape[1])
        if first >= last:
            continue
        old = block[:, first - position : last - position]
        new = patch.audio[:, first - patch.start_frame : last - patch.start_frame]
        np.copyto(old, new, where=old.astype(np.float32) != new)


def spliced_blocks(info: AudioInfo, patches: Sequence[Patch], frames: int) -> Iterator[Samples]:
    """Yield the whole result in blocks, as exact as the source.

    Yields
    ------
    ndarray
        Shape (channels, frames), float32 or float64: the format's ``exact_dtype``.
    """
    position = 0
    for source in read_blocks(info, 0, info.frames):
        block = source.copy()
        put_in(block, position, patches)
        yield block
        position += block.shape[1]
    while position < frames:
        count = min(BLOCK_FRAMES, frames - position)
        block = np.zeros((info.channels, count), info.sample_format.exact_dtype)
        put_in(block, position, patches)
        yield block
        position += count


def reblock(blocks: Iterator[Samples], size: int) -> Iterator[Samples]:
    """Yield the same audio in blocks of one size; only the last may be shorter.

    Parameters
    ----------
    blocks
        Each of shape (channels, frames), float32 or float64, all of one dtype.
    size
        In frames.

    Yields
    ------
    ndarray
        Shape (channels, size), float32 or float64, as ``blocks``.
    """
    held: list[Samples] = []
    count = 0
    for block in blocks:
        held.append(block)
        count += block.shape[1]
        if count < size:
            continue
        joined = np.concatenate(held, axis=1)
        whole = count // size * size
        for first in range(0, whole, size):
            yield joined[:, first : first + size]
        held, count = [joined[:, whole:]], count - whole
    if count:
        yield np.concatenate(held, axis=1)


def copy_spliced(
    source: BinaryIO,
    out: NewFile,
    *,
    layout: PcmLayout,
    plan: Plan,
    patches: Sequence[Patch],
    frames: int,
    on_progress: OnFraction,
) -> None:
    """Copy a file by its plan, with only the patches' bytes in the samples replaced."""
    write_pieces(source, out, plan.before)
    step = max(BLOCK_BYTES // layout.frame_bytes, 1)
    for first in range(0, frames, step):
        count = min(step, frames - first)
        stored = min(count, max(layout.frames - first, 0))
        source.seek(layout.data_start + first * layout.frame_bytes)
        data = bytearray(_read(source, stored * layout.frame_bytes))
        data.extend(bytes((count - stored) * layout.frame_bytes))
        _patch_bytes(data, first=first, count=count, layout=layout, patches=patches)
        out.write(data)
        on_progress((first + count) / frames)
    write_pieces(source, out, plan.after)


def write_pieces(source: BinaryIO | None, out: NewFile, pieces: Sequence[bytes | Region]) -> None:
    """Write pieces of a plan, those of the source in blocks."""
    for piece in pieces:
        if isinstance(piece, bytes):
            out.write(piece)
            continue
        assert source is not None
        source.seek(piece.start)
        for done in range(0, piece.length, BLOCK_BYTES):
            out.write(_read(source, min(BLOCK_BYTES, piece.length - done)))


def count_clipped(patches: Sequence[Patch]) -> int:
    """Return how many frames of patches an integer format would clip."""
    return sum(count_over_full_scale(patch.audio) for patch in patches)


def _patch_bytes(
    data: bytearray, *, first: int, count: int, layout: PcmLayout, patches: Sequence[Patch]
) -> None:
    """Replace what patches change in the bytes of some frames, and nothing beside."""
    for patch in patches:
        start = max(patch.start_frame, first) - first
        end = min(patch.end_frame, first + count) - first
        if start >= end:
            continue
        span = slice(start * layout.frame_bytes, end * layout.frame_bytes)
        block = layout.encoding.decode(data[span], layout.channels)
        put_in(block, first + start, (patch,))
        data[span] = layout.encoding.encode(block)


def _read(source: BinaryIO, length: int) -> bytes:
    data = source.read(length)
    if len(data) < length:
        raise changed(Path(source.name))
    return data
