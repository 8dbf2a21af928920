"""Describe the kept audio around a span step by step: mel, chroma, onsets, level."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import scipy

from reapaint_engine.backends.base import Window
from reapaint_engine.protocol.arrays import Audio, Float32Array
from reapaint_engine.protocol.progress import OnFraction
from reapaint_engine.protocol.spans import Span

Steps = npt.NDArray[np.int64]

STEP_S = 0.0116
"""Distance of two steps: a fifth of the shortest drum stroke."""

MAX_STEPS = 2000
"""Most steps that are described, so that tables over pairs of them stay near 16 MB."""

MAX_CONTEXT_S = 40.0
"""Most kept audio that is described; with more, the steps would be too coarse for rhythm."""

MIN_STEPS = 24
"""A context that is too short for this many steps is described in shorter ones."""

MEL_BANDS = 32
MEL_WINDOW_S = 0.046
CHROMA_WINDOW_S = 0.186
"""Long enough to tell semitones from about 130 Hz up."""
CHROMA_EVERY_STEPS = 4
DYNAMIC_RANGE_DB = 60.0
"""Sound further below the loudest band counts as silence."""

MAX_HEARD_CHANNELS = 8
"""Only this many of the loudest channels are described, so that 64 cost no more than 8."""

MIN_BAND_BINS = 6
"""A band of fewer bins says nothing about flatness."""

CHUNK_STEPS = 256


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Features:
    """The description of every kept step.

    Attributes
    ----------
    sample_rate, hop
        Frames per second, and frames of audio per step.
    starts
        First frame of each step in the window, shape (steps,), ascending.
    stretch
        Which run of kept audio each step belongs to, shape (steps,).
    mel_db
        Level of each mel band in dB over the quietest that counts, shape (steps, bands).
    chroma
        Share of each pitch class, rows of length 1, shape (steps, 12).
    onset
        Mean rise of the bands since the step before in dB, shape (steps,).
    level_db
        Level of each step in dB, shape (steps,).
    flatness
        Geometric over arithmetic mean of the power within half octaves, 0 (tones) to
        about 0.6 (noise), shape (steps,).
    mean_power
        Mean square of all kept steps, over channels.
    """

    sample_rate: int
    hop: int
    starts: Steps
    stretch: Steps
    mel_db: Float32Array
    chroma: Float32Array
    onset: Float32Array
    level_db: Float32Array
    flatness: Float32Array
    mean_power: float

    @property
    def steps(self) -> int:
        """Return how many steps are described."""
        return len(self.starts)

    @property
    def hop_s(self) -> float:
        """Return the distance of two steps in seconds."""
        return self.hop / self.sample_rate


def kept_stretches(window: Window) -> tuple[Span, ...]:
    """Return the runs of audio that no span covers, in the order of time."""
    edges = [0]
    for span in window.spans:
        edges += [span.start, span.end]
    edges.append(window.audio_frames)
    runs = (
        Span(start, min(end, window.audio_frames))
        for start, end in zip(edges[::2], edges[1::2], strict=True)
    )
    return tuple(run for run in runs if run.length > 0)


def near_stretches(window: Window, span: Span, limit: int) -> tuple[Span, ...]:
    """Return the kept audio nearest to a span, at most ``limit`` frames of it.

    Half of it comes from each side; the other side makes up for what one side lacks.
    """
    runs = kept_stretches(window)
    left = sum(run.length for run in runs if run.end <= span.start)
    right = sum(run.length for run in runs if run.start >= span.end)
    from_left = min(left, max(limit // 2, limit - right))
    from_right = min(right, limit - from_left)
    near: list[Span] = []
    for run in reversed([run for run in runs if run.end <= span.start]):
        start = max(run.start, run.end - from_left)
        from_left -= run.end - start
        near.insert(0, Span(start, run.end))
    for run in (run for run in runs if run.start >= span.end):
        end = min(run.end, run.start + from_right)
        from_right -= end - run.start
        near.append(Span(run.start, end))
    return tuple(run for run in near if run.length > 0)


def describe(window: Window, span: Span, step: OnFraction) -> Features:
    """Describe the kept audio around a span.

    Parameters
    ----------
    window
        Only its kept audio is read.
    span
        The span to be filled. Steps left of it end exactly at its start, so that the
        seam lies between two steps; those right of it begin exactly at its end.
    step
        Called between pieces of work with the share that is done, 0 to 1.
    """
    rate = window.sample_rate
    stretches = near_stretches(window, span, int(MAX_CONTEXT_S * rate))
    kept = sum(stretch.length for stretch in stretches)
    hop = _hop_frames(kept, rate)
    channels = _loudest_channels(window.audio, stretches)
    parts = []
    for index, stretch in enumerate(stretches):
        count = stretch.length // hop
        if count == 0:
            continue
        first = stretch.end - count * hop if stretch.end == span.start else stretch.start
        step(index / len(stretches))
        audio = window.audio[:, stretch.start : stretch.end]
        spectra = _mel_spectra(
            audio,
            channels=channels,
            rate=rate,
            first=first - stretch.start,
            hop=hop,
            count=count,
            step=step,
        )
        parts.append(
            (
                first + hop * np.arange(count, dtype=np.int64),
                np.full(count, index, dtype=np.int64),
                *spectra,
            )
        )
    starts, stretch_of, mel, chroma, level, flatness = (
        np.concatenate(rows) for rows in zip(*parts, strict=True)
    )
    mel_db = _db_over_floor(mel)
    return Features(
        sample_rate=rate,
        hop=hop,
        starts=starts,
        stretch=stretch_of,
        mel_db=mel_db,
        chroma=chroma,
        onset=_onsets(mel_db, stretch_of),
        level_db=_db_over_floor(level[:, None])[:, 0],
        flatness=flatness,
        mean_power=float(np.mean(level, dtype=np.float64)),
    )


def _hop_frames(kept: int, rate: int) -> int:
    """Return the frames per step: about STEP_S, unless there is very much or very little."""
    hop = max(round(STEP_S * rate), -(-kept // MAX_STEPS))
    return max(1, min(hop, kept // MIN_STEPS))


def _loudest_channels(audio: Audio, stretches: tuple[Span, ...]) -> list[int]:
    """Return the channels that are described."""
    if audio.shape[0] <= MAX_HEARD_CHANNELS:
        return list(range(audio.shape[0]))
    power = np.zeros(audio.shape[0])
    for stretch in stretches:
        for channel in range(audio.shape[0]):
            heard = audio[channel, stretch.start : stretch.end]
            power[channel] += np.dot(heard, heard)
    return sorted(int(index) for index in np.argsort(power)[-MAX_HEARD_CHANNELS:])


def _mel_spectra(
    audio: Audio,
    *,
    channels: list[int],
    rate: int,
    first: int,
    hop: int,
    count: int,
    step: OnFraction,
) -> tuple[Float32Array, Float32Array, Float32Array, Float32Array]:
    """Return mel power, chroma, level and flatness of the steps of one stretch."""
    size = _fft_size(MEL_WINDOW_S, rate)
    bands = mel_bands(rate, size)
    mel = np.zeros((count, MEL_BANDS), dtype=np.float32)
    centres = first + hop * np.arange(count) + hop // 2
    for begin in range(0, count, CHUNK_STEPS):
        step(0.0)
        rows = slice(begin, begin + CHUNK_STEPS)
        mel[rows] = _power(audio, channels, centres[rows], size) @ bands
    long_size = _fft_size(CHROMA_WINDOW_S, rate)
    classes = pitch_classes(rate, long_size)
    sparse = (
        centres[CHROMA_EVERY_STEPS // 2 :: CHROMA_EVERY_STEPS]
        if count > CHROMA_EVERY_STEPS
        else centres[:1]
    )
    chroma = np.zeros((len(sparse), 12), dtype=np.float32)
    flatness = np.zeros(len(sparse), dtype=np.float32)
    for begin in range(0, len(sparse), CHUNK_STEPS // CHROMA_EVERY_STEPS):
        step(0.0)
        rows = slice(begin, begin + CHUNK_STEPS // CHROMA_EVERY_STEPS)
        power = _power(audio, channels, sparse[rows], long_size)
        chroma[rows] = np.sqrt(power) @ classes
        flatness[rows] = _flatness(power, rate)
    chroma /= np.maximum(np.linalg.norm(chroma, axis=1, keepdims=True), 1e-9)
    nearest = np.minimum(np.arange(count) // CHROMA_EVERY_STEPS, len(sparse) - 1)
    return mel, chroma[nearest], mel.sum(axis=1), flatness[nearest]


def _fft_size(window_s: float, rate: int) -> int:
    """Return the power of two nearest to a window's length."""
    return int(2 ** max(5, round(np.log2(window_s * rate))))


def _power(audio: Audio, channels: list[int], centres: Steps, size: int) -> Float32Array:
    """Return the power spectra around some frames, summed over channels.

    Frames beyond the stretch mirror those inside, so that its edges sound like it.
    """
    frames = audio.shape[1]
    index = centres[:, None] + np.arange(-(size // 2), size - size // 2)
    if index[0, 0] < 0 or index[-1, -1] >= frames:
        period = max(2 * (frames - 1), 1)
        index = np.abs(index) % period
        index = np.minimum(index, period - index) if frames > 1 else index * 0
    taper = np.hanning(size + 1)[:size].astype(np.float32) * np.sqrt(8 / 3) / size
    power = np.zeros((len(centres), size // 2 + 1), dtype=np.float32)
    for channel in channels:
        spectrum = scipy.fft.rfft(audio[channel][index] * taper, axis=1)
        power += spectrum.real**2 + spectrum.imag**2
    return power


def _flatness(power: Float32Array, rate: int) -> Float32Array:
    """Return how flat each spectrum is within half octaves, whatever its tilt.

    White and coloured noise of any shape give 0.5 to 0.6, steady tones under 0.1.
    """
    spacing = rate / (2 * (power.shape[1] - 1))
    top = min(12000.0, 0.45 * rate)
    edges = 60.0 * 2 ** np.arange(0.0, np.log2(max(top / 60.0, 2.0)), 0.5)
    bins = np.unique(np.round(edges / spacing).astype(int))
    total = np.zeros(len(power))
    weight = np.full(len(power), 1e-12)
    for low, high in pairwise(bins):
        if high - low < MIN_BAND_BINS:
            continue
        band = power[:, low:high] + np.float32(1e-16)
        mean = band.mean(axis=1)
        energy = np.sqrt(mean * (high - low))
        total += energy * np.exp(np.log(band).mean(axis=1)) / mean
        weight += energy
    return np.asarray(total / weight, dtype=np.float32)


def _db_over_floor(power: Float32Array) -> Float32Array:
    """Return levels in dB over the floor that lies DYNAMIC_RANGE_DB under the loudest."""
    loudest = float(power.max(initial=0.0))
    if loudest <= 1e-20:
        return np.zeros_like(power)
    level = 10 * np.log10(np.maximum(power / loudest, 1e-12)) + DYNAMIC_RANGE_DB
    return np.asarray(np.maximum(level, 0.0), dtype=np.float32)


def _onsets(mel_db: Float32Array, stretch: Steps) -> Float32Array:
    """Return the mean rise of the bands at each step; 0 at a stretch's first."""
    onset = np.zeros(len(mel_db), dtype=np.float32)
    onset[1:] = np.maximum(np.diff(mel_db, axis=0), 0).mean(axis=1)
    onset[1:][np.diff(stretch) != 0] = 0
    return onset


def mel_bands(rate: int, size: int) -> Float32Array:
    """Return triangular mel filters for power spectra.

    From 50 Hz to 16 kHz or what the rate allows; none is narrower than two bins.

    Parameters
    ----------
    rate
        In Hz.
    size
        How many frames a spectrum is made from.

    Returns
    -------
    numpy.ndarray
        Shape (size // 2 + 1, MEL_BANDS), float32: weights, 0 to 1.
    """
    top = min(16000.0, 0.48 * rate)
    mels = np.linspace(_mel(50.0), _mel(top), MEL_BANDS + 2)
    edges = 700 * (10 ** (mels / 2595) - 1)
    spacing = rate / size
    frequency = np.arange(size // 2 + 1)[:, None] * spacing
    centre = edges[1:-1]
    rise = np.maximum(centre - edges[:-2], spacing)
    fall = np.maximum(edges[2:] - centre, spacing)
    slopes = np.minimum((frequency - centre) / rise + 1, (centre - frequency) / fall + 1)
    return np.asarray(np.maximum(slopes, 0), dtype=np.float32)


def _mel(frequency: float) -> float:
    """Return a frequency in mel (O'Shaughnessy)."""
    return float(2595 * np.log10(1 + frequency / 700))


def pitch_classes(rate: int, size: int) -> Float32Array:
    """Return how much each bin of a spectrum contributes to each pitch class.

    Parameters
    ----------
    rate
        In Hz.
    size
        How many frames a spectrum is made from.

    Returns
    -------
    numpy.ndarray
        Shape (size // 2 + 1, 12), float32: weights, 0 to 1.
    """
    frequency = np.arange(size // 2 + 1) * rate / size
    heard = (frequency >= 60) & (frequency <= min(4000.0, 0.45 * rate))
    pitch = 12 * np.log2(np.maximum(frequency, 1.0) / 440.0)
    distance = (pitch[:, None] - np.arange(12) + 6) % 12 - 6
    return np.asarray(np.exp(-0.5 * (distance / 0.4) ** 2) * heard[:, None], dtype=np.float32)
