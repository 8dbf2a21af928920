"""The engine's door to sound files: what one holds, and a stretch of it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pedalboard.io import ReadableAudioFile

from reapaint_engine.dsp.resampling import MAX_SAMPLE_RATE, MIN_SAMPLE_RATE
from reapaint_engine.protocol.arrays import Audio, is_finite

SUFFIXES = frozenset({".wav", ".bwf", ".aif", ".aiff", ".flac", ".ogg", ".mp3"})
"""What is read on every system, in lower case."""


class UnreadableClip(Exception):
    """A file can't be used; the text says why, and nothing else is wrong."""


@dataclass(frozen=True, slots=True)
class ClipFormat:
    """A sound file's length in frames, its rate in Hz and its channels."""

    frames: int
    sample_rate: int
    channels: int


def probe_clip(path: Path) -> ClipFormat:
    """Return what a file's header says.

    Raises
    ------
    UnreadableClip
        It is no sound file, is empty, or of a rate that can't be converted.
    OSError
        It can't be reached.
    """
    with _opened(path) as file:
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
        As ``probe_clip``, or its samples can't be decoded or are not finite.
    OSError
        It can't be reached.
    """
    with _opened(path) as file:
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


def _opened(path: Path) -> ReadableAudioFile:
    # A missing file and one that is no audio are the same error to pedalboard.
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
