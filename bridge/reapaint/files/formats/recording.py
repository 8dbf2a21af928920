"""A recording on disk: what is in it, and any window of it."""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np

from reapaint.errors import BridgeCode, InputError
from reapaint.files.formats import aiff, decoder, flac, wav
from reapaint.files.formats.chunks import PcmLayout, cut_short
from reapaint.files.formats.samples import INTEGER_FORMATS, SampleFormat
from reapaint_engine.protocol.arrays import Audio, Samples
from reapaint_engine.protocol.errors import THE_PATH, ErrorCode

BLOCK_BYTES = 1 << 20
"""How much of a file is held at once."""

_CONTAINERS = {
    b"RIFF": "wav",
    b"RF64": "rf64",
    b"BW64": "bw64",
    b"AIFF": "aiff",
    b"AIFC": "aifc",
}


@dataclass(frozen=True, slots=True)
class AudioInfo:
    """What is in an audio file.

    ``sample_format`` is how samples are stored or, where ``is_lossy``, what holds all
    that they decode to. ``size`` and ``modified_ns`` tell whether it is still the same
    file.
    """

    path: Path
    container: str
    codec: str
    sample_rate: int
    channels: int
    frames: int
    sample_format: SampleFormat
    is_lossy: bool
    size: int
    modified_ns: int
    warnings: tuple[str, ...] = ()
    layout: PcmLayout | None = field(default=None, repr=False)

    @property
    def duration_s(self) -> float:
        """The length in seconds."""
        return self.frames / self.sample_rate


def probe(path: str | os.PathLike[str], watch: decoder.Watch = decoder.watch_nothing) -> AudioInfo:
    """Say what is in an audio file, or in one sentence why it can't be used.

    Parameters
    ----------
    watch
        Told of the file's length as soon as any of it is known, and as it grows.

    Raises
    ------
    InputError
        ``file_not_found``, ``not_a_file``, ``file_not_readable``, ``unreadable_audio``,
        ``unsupported_audio`` or ``empty_audio``.
    """
    path = Path(path)
    status = _check_file(path)
    try:
        with path.open("rb") as file:
            magic = file.read(12)
            layout = _read_pcm(file, magic, status.st_size)
            if layout is not None:
                watch(layout.frames, layout.sample_rate, layout.channels)
                return _pcm_info(path, status, layout)
            info = _flac_info(path, status, file, watch) if flac.is_flac(file) else None
            if info is not None:
                return info
    except OSError as error:
        raise decoder.not_readable(path, error) from error
    return _decoded_info(path, status, watch)


def read_frames(info: AudioInfo, start: int, end: int) -> Audio:
    """Read a window of a file, and only that.

    Parameters
    ----------
    start, end
        Half-open, within the file.

    Returns
    -------
    ndarray
        Shape (channels, end - start), float32, C-contiguous.

    Raises
    ------
    InputError
        ``unreadable_audio`` or ``file_not_readable`` when the file no longer holds them.
    """
    if not 0 <= start <= end <= info.frames:
        raise ValueError(f"frames {start} to {end} are outside of {info.frames}")
    window = np.empty((info.channels, end - start), np.float32)
    position = 0
    for block in read_blocks(info, start, end):
        window[:, position : position + block.shape[1]] = block
        position += block.shape[1]
    return window


def read_blocks(info: AudioInfo, start: int, end: int) -> Iterator[Samples]:
    """Yield a window in blocks, as exact as the file itself.

    Yields
    ------
    ndarray
        Shape (channels, frames), float32 or float64: the format's ``exact_dtype``.
    """
    blocks = _pcm_blocks(info, start, end) if info.layout else _decoded_blocks(info, start)
    left = end - start
    for block in blocks:
        if left <= 0:
            return
        yield block[:, :left]
        left -= block.shape[1]
    if left > 0:
        raise changed(info.path)


def changed(path: Path) -> InputError:
    """Return the error for a file that was altered while it was in use."""
    return InputError(
        BridgeCode.UNREADABLE_AUDIO,
        f"{THE_PATH} was changed while it was being worked on.",
        hint="Let the program that writes it finish, and try again.",
        path=path,
    )


def _check_file(path: Path) -> os.stat_result:
    """Return a readable, ordinary, non-empty file's status."""
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(
            ErrorCode.FILE_NOT_FOUND,
            f"There is no file {THE_PATH}.",
            hint="Check the name and the folder.",
            path=path,
        ) from None
    except OSError as error:
        raise decoder.not_readable(path, error) from error
    except ValueError:
        raise InputError(
            ErrorCode.FILE_NOT_FOUND,
            "The name of the input file holds a character that no file name can have.",
            hint="Check the name.",
        ) from None
    if not stat.S_ISREG(status.st_mode):
        kind = "a folder" if stat.S_ISDIR(status.st_mode) else "no ordinary file"
        raise InputError(
            BridgeCode.NOT_A_FILE,
            f"{THE_PATH} is {kind}.",
            hint="Give the name of an audio file.",
            path=path,
        )
    if status.st_size == 0:
        raise InputError(
            BridgeCode.EMPTY_AUDIO,
            f"{THE_PATH} is empty: it has no bytes at all.",
            hint="Copy or export it again.",
            path=path,
        )
    return status


def _read_pcm(file: BinaryIO, magic: bytes, size: int) -> PcmLayout | None:
    """Return the layout of uncompressed samples, or None where a decoder is needed."""
    if magic[:4] in wav.FORMS and magic[8:] == b"WAVE":
        return wav.read_layout(file, size)
    if magic[:4] == b"FORM" and magic[8:] in (b"AIFF", b"AIFC"):
        return aiff.read_layout(file, size)
    return None


def _pcm_info(path: Path, status: os.stat_result, layout: PcmLayout) -> AudioInfo:
    return AudioInfo(
        path=path,
        container=_CONTAINERS[layout.form],
        codec="pcm",
        sample_rate=layout.sample_rate,
        channels=layout.channels,
        frames=layout.frames,
        sample_format=layout.encoding.sample_format,
        is_lossy=False,
        size=status.st_size,
        modified_ns=status.st_mtime_ns,
        warnings=layout.warnings,
        layout=layout,
    )


def _flac_info(
    path: Path, status: os.stat_result, file: BinaryIO, watch: decoder.Watch
) -> AudioInfo | None:
    """Return what a FLAC file says of itself, if its last frame is where it says."""
    header = flac.read_header(file, status.st_size)
    watch(header.frames, header.sample_rate, header.channels)
    is_whole = header.frames and header.frames == decoder.last_frame(path, header.frames - 1, watch)
    if not is_whole:
        return None
    return AudioInfo(
        path=path,
        container="flac",
        codec="flac",
        sample_rate=header.sample_rate,
        channels=header.channels,
        frames=header.frames,
        sample_format=_flac_format(header),
        is_lossy=False,
        size=status.st_size,
        modified_ns=status.st_mtime_ns,
    )


def _flac_format(header: flac.FlacHeader) -> SampleFormat:
    return INTEGER_FORMATS[-(-header.bits // 8)]


def _decoded_info(path: Path, status: os.stat_result, watch: decoder.Watch) -> AudioInfo:
    """Return what turns up when a file is decoded."""
    found = decoder.survey(path, watch)
    sample_format, warnings = found.sample_format, found.warnings
    if found.container == "flac":
        with path.open("rb") as file:
            header = flac.read_header(file, status.st_size)
        sample_format = _flac_format(header)
        if header.frames > found.frames:
            warnings = (cut_short(header.frames, found.frames),)
    return AudioInfo(
        path=path,
        container=found.container,
        codec=found.codec,
        sample_rate=found.sample_rate,
        channels=found.channels,
        frames=found.frames,
        sample_format=sample_format,
        is_lossy=found.is_lossy,
        size=status.st_size,
        modified_ns=status.st_mtime_ns,
        warnings=warnings,
    )


def _pcm_blocks(info: AudioInfo, start: int, end: int) -> Iterator[Samples]:
    layout = info.layout
    assert layout is not None
    step = max(BLOCK_BYTES // layout.frame_bytes, 1)
    try:
        with info.path.open("rb") as file:
            for first in range(start, end, step):
                count = min(step, end - first)
                file.seek(layout.data_start + first * layout.frame_bytes)
                data = file.read(count * layout.frame_bytes)
                if len(data) < count * layout.frame_bytes:
                    raise changed(info.path)
                yield layout.encoding.decode(data, info.channels)
    except OSError as error:
        raise decoder.not_readable(info.path, error) from error


def _decoded_blocks(info: AudioInfo, start: int) -> Iterator[Samples]:
    return decoder.decode_blocks(info.path, info.sample_format, start=start)
