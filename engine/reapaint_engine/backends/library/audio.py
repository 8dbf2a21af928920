"""Read sound files: their format, and a stretch of their audio."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pedalboard.io import ReadableAudioFile

from reapaint_engine.dsp.resampling import MAX_SAMPLE_RATE, MIN_SAMPLE_RATE
from reapaint_engine.protocol.arrays import Audio, is_finite

SUFFIXES = frozenset({".wav", ".bwf", ".aif", ".aiff", ".flac", ".ogg", ".mp3"})
"""Suffixes of files that are read on every system, in lower case."""


class UnreadableClip(Exception):
    """A file can't be used; the text says why."""


@dataclass(frozen=True, slots=True)
class ClipFormat:
    """A sound file's length in frames, its rate in Hz and its channels."""

    frames: int
    sample_rate: int
    channels: int


def probe_clip(path: Path) -> ClipFormat:
    """Return the format that a file's header states.

    Raises
    ------
    UnreadableClip
        The file is no sound file, is empty, or has a rate that can't be converted.
    OSError
        It can't be reached.
    """
    with _open(path) as file:
        return _format(file)


def read_clip(path: Path, max_s: float) -> tuple[Audio, int]:
    """Read a file's beginning.

    Parameters
    ----------
    path
        A sound file.
    max_s
        How many seconds at most; no more is read.

    Returns
    -------
    audio, sample_rate
        Shape (channels, frames), float32, C-contiguous; the rate in Hz.

    Raises
    ------
    UnreadableClip
        The file is no sound file, is empty, or has a rate that can't be converted; or its
        samples can't be decoded or are not finite.
    OSError
        It can't be reached.
    """
    with _open(path) as file:
        found = _format(file)
        frames = min(found.frames, int(max_s * found.sample_rate))
        try:
            audio = np.ascontiguousarray(file.read(frames), dtype=np.float32)
        except (RuntimeError, ValueError) as error:
            raise UnreadableClip(str(error)) from error
    if audio.shape[1] == 0:
        raise UnreadableClip("none of its samples can be decoded")
    if not is_finite(audio):
        raise UnreadableClip("it holds samples that are not finite numbers")
    return audio, found.sample_rate


def _open(path: Path) -> ReadableAudioFile:
    # pedalboard raises the same error for a missing file and for one that is no audio.
    with path.open("rb"):
        pass
    try:
        return ReadableAudioFile(str(path))
    except (RuntimeError, ValueError) as error:
        raise UnreadableClip("it is no sound file that can be read") from error


def _format(file: ReadableAudioFile) -> ClipFormat:
    rate = round(file.samplerate)
    if file.frames <= 0 or file.num_channels <= 0:
        raise UnreadableClip("it has no samples")
    if not MIN_SAMPLE_RATE <= rate <= MAX_SAMPLE_RATE:
        raise UnreadableClip(f"its rate of {rate} Hz can't be converted")
    return ClipFormat(int(file.frames), rate, int(file.num_channels))
