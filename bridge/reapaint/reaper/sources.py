"""Where a job's audio comes from: a file as it is, or what REAPER heard of an item."""

import threading
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from reapaint.errors import BridgeCode, InputError
from reapaint.files.formats import broadcast
from reapaint.files.formats.decoder import not_readable
from reapaint.files.formats.recording import (
    BLOCK_BYTES,
    AudioInfo,
    changed,
    probe,
    read_blocks,
    read_frames,
)
from reapaint.files.formats.samples import Encoding, SampleFormat
from reapaint.reaper.messages import AccessorSource, FileSource, Source
from reapaint_engine.protocol.arrays import Audio, Samples
from reapaint_engine.protocol.errors import reason_of
from reapaint_engine.protocol.spans import Span, seconds_to_frames

BLOCK_FRAMES = 1 << 16
KNOWN_FILES = 32
"""Probing a compressed file means decoding it: the last ones are remembered."""

_SAMPLE_BYTES = 4
_FLOAT = Encoding(SampleFormat.FLOAT32)


class JobAudio(Protocol):
    """Audio on a job's axis.

    ``origin_s`` is the axis' time of frame 0, ``frames`` is all there is, and ``heard``
    the part of it that the item plays.
    """

    @property
    def sample_rate(self) -> int:
        """Frames per second."""

    @property
    def channels(self) -> int:
        """The number of channels."""

    @property
    def frames(self) -> int:
        """The number of frames."""

    @property
    def origin_s(self) -> float:
        """The time of frame 0."""

    @property
    def heard(self) -> Span:
        """What the item plays."""

    @property
    def encoding(self) -> Encoding:
        """What results are written as, in WAV."""

    @property
    def time_reference(self) -> int:
        """The time of day of frame 0, in frames; 0 if unknown."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a person should know of it."""

    def read(self, start: int, end: int) -> Audio:
        """Return frames from ``start`` to before ``end``, (channels, end - start), float32."""

    def blocks(self, start: int, end: int) -> Iterator[Samples]:
        """Yield frames as exact as they are stored.

        Yields
        ------
        numpy.ndarray
            Each block of shape (channels, frames), float32 or float64.
        """

    def stored(self, start: int, end: int) -> Iterator[bytes]:
        """Yield the bytes of frames in ``encoding``."""


@dataclass(frozen=True, slots=True)
class FileAudio:
    """A file that an item plays as it is."""

    info: AudioInfo
    heard: Span
    origin_s: float = 0.0

    @property
    def sample_rate(self) -> int:
        """Frames per second."""
        return self.info.sample_rate

    @property
    def channels(self) -> int:
        """The number of channels."""
        return self.info.channels

    @property
    def frames(self) -> int:
        """The number of frames."""
        return self.info.frames

    @property
    def encoding(self) -> Encoding:
        """The file's own, but that no integers hold all of a lossy file's decoding."""
        own = SampleFormat.FLOAT32 if self.info.is_lossy else self.info.sample_format
        return Encoding(own, is_unsigned=own is SampleFormat.INT8)

    @property
    def time_reference(self) -> int:
        """The file's own time of day, where it tells it."""
        return broadcast.time_reference(self.info)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What was odd about the file."""
        return self.info.warnings

    def read(self, start: int, end: int) -> Audio:
        """Return frames from ``start`` to before ``end``, (channels, end - start), float32."""
        return read_frames(self.info, start, end)

    def blocks(self, start: int, end: int) -> Iterator[Samples]:
        """Yield frames as exact as the file.

        Yields
        ------
        numpy.ndarray
            Each block of shape (channels, frames), float32 or float64.
        """
        return read_blocks(self.info, start, end)

    def stored(self, start: int, end: int) -> Iterator[bytes]:
        """Yield the file's own bytes where they can be taken as they are."""
        layout, encoding = self.info.layout, self.encoding
        if layout is None or layout.encoding != encoding:
            return (encoding.encode(block) for block in self.blocks(start, end))
        offset = layout.data_start + start * layout.frame_bytes
        return _bytes_of(self.info.path, offset, (end - start) * layout.frame_bytes)


@dataclass(frozen=True, slots=True)
class HeardAudio:
    """What REAPER read through a take's accessor: all of it is heard."""

    path: Path
    source: AccessorSource
    encoding: Encoding = _FLOAT
    time_reference: int = 0
    warnings: tuple[str, ...] = ()

    @property
    def sample_rate(self) -> int:
        """Frames per second."""
        return self.source.sample_rate

    @property
    def channels(self) -> int:
        """The number of channels."""
        return self.source.channels

    @property
    def frames(self) -> int:
        """The number of frames."""
        return self.source.frames

    @property
    def origin_s(self) -> float:
        """The item time of frame 0."""
        return self.source.start_s

    @property
    def heard(self) -> Span:
        """All of it."""
        return Span(0, self.frames)

    def read(self, start: int, end: int) -> Audio:
        """Return frames from ``start`` to before ``end``, (channels, end - start), float32."""
        values = (end - start) * self.channels
        offset = start * self.channels * _SAMPLE_BYTES
        try:
            flat = np.fromfile(self.path, "<f4", count=values, offset=offset)
        except OSError as error:
            raise _unreadable(f"can't be read: {reason_of(error)}") from error
        if flat.size < values:
            raise _unreadable("was cut short while it was read")
        frames = flat.reshape(-1, self.channels).T
        return np.ascontiguousarray(frames, dtype=np.float32)

    def blocks(self, start: int, end: int) -> Iterator[Samples]:
        """Yield the same frames, a block at a time.

        Yields
        ------
        numpy.ndarray
            Each block of shape (channels, frames), float32.
        """
        for first in range(start, end, BLOCK_FRAMES):
            yield self.read(first, min(first + BLOCK_FRAMES, end))

    def stored(self, start: int, end: int) -> Iterator[bytes]:
        """Yield the same frames as REAPER's script wrote them."""
        frame_bytes = self.channels * _SAMPLE_BYTES
        return _bytes_of(self.path, start * frame_bytes, (end - start) * frame_bytes)


class KnownFiles:
    """Remembers what files hold as long as they don't change; shared by threads."""

    def __init__(self) -> None:
        self._infos: OrderedDict[Path, AudioInfo] = OrderedDict()
        self._lock = threading.Lock()

    def probe(self, path: Path) -> AudioInfo:
        """Say what is in a file, as ``recording.probe`` does."""
        with self._lock:
            known = self._infos.get(path)
        if known is not None and _is_same(known):
            return known
        info = probe(path)
        with self._lock:
            self._infos[path] = info
            self._infos.move_to_end(path)
            while len(self._infos) > KNOWN_FILES:
                self._infos.popitem(last=False)
        return info


def open_audio(source: Source, folder: Path, known: KnownFiles) -> JobAudio:
    """Return a job's audio.

    Parameters
    ----------
    folder
        The job's, where audio from the accessor lies.

    Raises
    ------
    InputError
        It can't be read, or the item plays nothing of it.
    """
    if isinstance(source, FileSource):
        info = known.probe(Path(source.path))
        return FileAudio(info, _heard(source, info))
    path = folder / source.audio
    expected = source.frames * source.channels * _SAMPLE_BYTES
    try:
        size = path.stat().st_size
    except OSError as error:
        raise _unreadable(f"can't be read: {reason_of(error)}") from error
    if size != expected:
        raise _unreadable(f"has {size} bytes where the request tells of {expected}")
    if not source.frames:
        raise _nothing_heard()
    return HeardAudio(path, source)


def _bytes_of(path: Path, offset: int, length: int) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            file.seek(offset)
            while length > 0:
                data = file.read(min(length, BLOCK_BYTES))
                if not data:
                    raise changed(path)
                length -= len(data)
                yield data
    except OSError as error:
        raise not_readable(path, error) from error


def _heard(source: FileSource, info: AudioInfo) -> Span:
    start = max(seconds_to_frames(source.start_s, info.sample_rate), 0)
    end = min(seconds_to_frames(source.end_s, info.sample_rate), info.frames)
    if start >= end:
        raise _nothing_heard()
    return Span(start, end)


def _is_same(info: AudioInfo) -> bool:
    try:
        status = info.path.stat()
    except OSError:
        return False
    return (status.st_size, status.st_mtime_ns) == (info.size, info.modified_ns)


def _unreadable(what: str) -> InputError:
    return InputError(
        BridgeCode.UNREADABLE_AUDIO,
        f"The audio that REAPER read {what}.",
        hint="Run the action again.",
    )


def _nothing_heard() -> InputError:
    return InputError(
        BridgeCode.EMPTY_AUDIO,
        "The item plays none of its source's sound.",
        hint="Move the item's edges so that some sound is left in it.",
    )
