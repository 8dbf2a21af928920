"""Measure the background sound around a gap: levels of bands, steadiness, graininess."""

from dataclasses import dataclass

import numpy as np
import scipy

from reapaint_engine.protocol.arrays import Audio, BoolArray, Float64Array, IndexArray

FRAME_S = 0.02
"""One analysis frame: short enough to tell a click from its neighbours."""

HOP_S = 0.01
"""Distance of two analysis frames."""

BAND_COUNT = 24
"""Number of bands, of equal width on the ear's scale, as far as a frame resolves them."""

_LOWEST_EDGE_HZ = 100.0
_HIGHEST_EDGE_HZ = 18_000.0

_CHUNK_SAMPLES = 1 << 19
"""Samples transformed at once: enough to be fast, few enough to limit memory."""

_GRAIN_FRAME_S = 0.005
"""A frame this short shows the crackle of a texture as single strokes."""

_GROUP_S = 0.1
"""About the length of a grain: grains follow slower changes anyway."""

_LINE_FRAME_S = 0.1
_MIN_LINE_FRAMES = 8
"""The mean spectrum of fewer frames has peaks even in noise."""

_LINE_AROUND_HZ = 250.0
_MIN_LINE_RATIO = 6.0
"""A tone exceeds the median of the spectrum around it by at least this factor."""

_NOISE_KURTOSIS_MEDIAN = 1.93
"""Median over many groups of the kurtosis that Gaussian noise has in one group."""

_MIN_EVENT_DB = 9.0
"""An event is louder than its band's usual level by at least this much."""

_MIN_EVENT_DEVIATIONS = 3.5
"""An event exceeds its band's usual level by at least this many robust standard deviations."""

_MAX_EVENT_SHARE = 0.25
"""Sound that is louder for a larger share of the time is the texture itself."""

_MAX_STROKE_FRAMES = 5
"""An event of at most this length is a stroke: a click, a drop or a crackle, which sound alike."""

_MIN_STROKES_PER_S = 0.5
_MIN_STROKES = 3
"""Strokes belong to the texture if they are at least so many, and ``_MIN_STROKES_PER_S``."""


@dataclass(frozen=True, slots=True)
class Bands:
    """The layout of bands over the bins of an analysis frame.

    ``first_bins`` and ``centres_hz`` have shape (bands,); a band ends where the next begins.
    """

    sample_rate: int
    frame: int
    hop: int
    first_bins: IndexArray
    centres_hz: Float64Array

    @property
    def count(self) -> int:
        """Return the number of bands."""
        return int(self.first_bins.size)

    def spread(self, values: Float64Array, bins: int, step_hz: float) -> Float64Array:
        """Spread values of the bands over the bins of a spectrum.

        Parameters
        ----------
        values
            Shape (..., bands), float64, in any unit.
        bins
            How many to spread over.
        step_hz
            The distance of two bins.

        Returns
        -------
        numpy.ndarray
            Shape (..., bins), float64, in the same unit, along straight lines from one
            band's centre to the next one's.
        """
        place = np.interp(np.arange(bins) * step_hz, self.centres_hz, np.arange(self.count))
        below = place.astype(np.intp)
        above = np.minimum(below + 1, self.count - 1)
        share = place - below
        return np.asarray(values[..., below] * (1 - share) + values[..., above] * share)


def bands_for(sample_rate: int) -> Bands:
    """Lay out the bands for a sample rate.

    Notes
    -----
    Equal steps of the ERB rate: B. R. Glasberg and B. C. J. Moore, "Derivation of
    auditory filter shapes from notched-noise data", Hearing Research 47 (1990).
    """
    frame = max(2, round(FRAME_S * sample_rate))
    hop = max(1, round(HOP_S * sample_rate))
    highest = min(_HIGHEST_EDGE_HZ, 0.45 * sample_rate)
    rates = [21.4 * np.log10(1 + 0.00437 * hz) for hz in (_LOWEST_EDGE_HZ, highest)]
    edges_hz = (10 ** (np.linspace(rates[0], rates[1], BAND_COUNT) / 21.4) - 1) / 0.00437
    edges = np.unique(np.round(edges_hz * frame / sample_rate).astype(np.intp))
    first = np.concatenate([[0], edges[(edges > 0) & (edges <= frame // 2)]]).astype(np.intp)
    ends = np.append(first[1:], frame // 2 + 1)
    return Bands(sample_rate, frame, hop, first, (first + ends - 1) / 2 * sample_rate / frame)


def band_powers(signal: Audio, bands: Bands) -> Float64Array:
    """Measure one channel's power in every band, frame by frame.

    Parameters
    ----------
    signal
        Samples of one channel, shape (frames,), float32.
    bands
        The layout to use.

    Returns
    -------
    numpy.ndarray
        Powers, linear, shape (analysis frames, bands), float64. Analysis frame ``i`` is
        centred ``bands.hop * i`` frames into the signal; the first and last move inwards
        until they lie in it.
    """
    count = signal.size // bands.hop + 1
    begins = np.arange(count) * bands.hop - bands.frame // 2
    if signal.size < bands.frame:
        signal = np.pad(signal, (0, bands.frame - signal.size), mode="symmetric")
    views = np.lib.stride_tricks.sliding_window_view(signal, bands.frame)
    begins = np.clip(begins, 0, views.shape[0] - 1)
    taper = np.hanning(bands.frame + 1)[:-1].astype(np.float32)
    powers = np.empty((count, bands.count))
    rows = max(1, _CHUNK_SAMPLES // bands.frame)
    for begin in range(0, count, rows):
        spectrum = np.fft.rfft(views[begins[begin : begin + rows]] * taper, axis=1)
        squares = spectrum.real**2 + spectrum.imag**2
        powers[begin : begin + rows] = np.add.reduceat(squares, bands.first_bins, axis=1)
    return powers


def events(levels_db: Float64Array) -> BoolArray:
    """Mark the frames in which something stands out from the background.

    Parameters
    ----------
    levels_db
        Band levels in dB, shape (analysis frames, bands), float64.

    Returns
    -------
    numpy.ndarray
        Shape (analysis frames,), bool, True in events. At most a quarter are, because what
        happens more often is no event but the texture; so are strokes that recur, like
        drops or crackle.
    """
    usual = np.median(levels_db, axis=0)
    deviation = 1.4826 * np.median(np.abs(levels_db - usual), axis=0)
    threshold = np.maximum(_MIN_EVENT_DB, _MIN_EVENT_DEVIATIONS * deviation)
    excess = np.max((levels_db - usual) / threshold, axis=1)
    loud = excess > max(1.0, float(np.quantile(excess, 1 - _MAX_EVENT_SHARE)))
    edges = np.flatnonzero(np.diff(np.concatenate([[False], loud, [False]])))
    begins, ends = edges[::2], edges[1::2]
    strokes = ends - begins <= _MAX_STROKE_FRAMES
    if np.count_nonzero(strokes) >= max(_MIN_STROKES, loud.size * HOP_S * _MIN_STROKES_PER_S):
        for begin, end in zip(begins[strokes], ends[strokes], strict=True):
            loud[begin:end] = False
    return np.asarray(loud)


def smooth(levels: Float64Array, width: int) -> Float64Array:
    """Average levels over some analysis frames around each.

    Beyond the ends, the first and last level are repeated.

    Parameters
    ----------
    levels
        In dB, shape (analysis frames, bands), float64.
    width
        Over how many analysis frames; odd.

    Returns
    -------
    numpy.ndarray
        In dB, shape (analysis frames, bands), float64.
    """
    padded = np.pad(levels, ((width // 2 + 1, width // 2), (0, 0)), mode="edge")
    sums = np.cumsum(padded, axis=0)
    return np.asarray((sums[width:] - sums[:-width]) / width)


def kurtosis(signal: Audio, bands: Bands) -> Float64Array:
    """Measure in every band how far short-time power varies as that of noise does.

    Parameters
    ----------
    signal
        Samples of one channel, shape (frames,), float32.
    bands
        The layout of the result.

    Returns
    -------
    numpy.ndarray
        Kurtosis of the complex spectrum against its level over 0.1 s, shape (bands,),
        float64: 2 for Gaussian noise, towards 1 for a steady tone, above 2 for crackle and
        clatter. Too little sound to tell counts as noise.
    """
    frame = max(8, round(_GRAIN_FRAME_S * bands.sample_rate))
    rows = signal.size // frame
    group = round(_GROUP_S / _GRAIN_FRAME_S)
    rows -= rows % group
    if rows < group:
        return np.full(bands.count, 2.0)
    taper = np.hanning(frame + 1)[:-1].astype(np.float32)
    squares = np.abs(np.fft.rfft(signal[: rows * frame].reshape(rows, frame) * taper, axis=1)) ** 2
    grouped = squares.reshape(-1, group, squares.shape[1]).astype(np.float64)
    second = grouped.mean(axis=1) ** 2 / (1 + 1 / group)
    fourth = (grouped**2).mean(axis=1)
    ratios = np.divide(fourth, second, out=np.full(fourth.shape, 2.0), where=second > 0)
    ratio = np.median(ratios, axis=0) / _NOISE_KURTOSIS_MEDIAN * 2.0
    at_hz = np.fft.rfftfreq(frame, 1 / bands.sample_rate)
    return np.asarray(np.interp(bands.centres_hz, at_hz, ratio))


def line_share(signal: Audio, bands: Bands) -> Float64Array:
    """Return the share of each band's power that lies in steady tones.

    Parameters
    ----------
    signal
        Samples of one channel, shape (frames,), float32.
    bands
        The layout of the result.

    Returns
    -------
    numpy.ndarray
        Shares, shape (bands,), float64, 0 for noise to 1 for a hum. Too little sound to
        tell is noise.
    """
    frame = round(_LINE_FRAME_S * bands.sample_rate)
    count = signal.size // frame
    if count < _MIN_LINE_FRAMES:
        return np.zeros(bands.count)
    taper = np.hanning(frame + 1)[:-1].astype(np.float32)
    power = np.zeros(frame // 2 + 1)
    for row in signal[: count * frame].reshape(count, frame):
        spectrum = np.fft.rfft(row * taper)
        power += spectrum.real**2 + spectrum.imag**2
    around_bins = round(_LINE_AROUND_HZ * _LINE_FRAME_S) | 1
    around = scipy.ndimage.median_filter(power, around_bins, mode="nearest")
    lines = np.where(power > _MIN_LINE_RATIO * around, power, 0.0)
    at_hz = np.arange(power.size) / frame * bands.sample_rate
    edges = np.searchsorted(at_hz, bands.first_bins * bands.sample_rate / bands.frame)
    edges = np.minimum(edges, power.size - 1)
    whole = np.add.reduceat(power, edges)
    return np.asarray(np.add.reduceat(lines, edges) / np.maximum(whole, np.finfo(float).tiny))
