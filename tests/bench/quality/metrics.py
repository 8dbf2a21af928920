"""How close a filled gap comes to its surroundings and to the audio that was there.

Every function takes whole recordings, shape (channels, frames), and the span that was
filled. ``true`` is the recording as it was, ``filled`` the same with new audio in the
span. Recordings may have any rate and channel count.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import cache

import numpy as np
import numpy.typing as npt
from scipy.fft import ifft, irfft, next_fast_len, rfft
from scipy.ndimage import gaussian_filter1d
from scipy.signal import resample_poly

from reapaint_engine.dsp.prediction import lpc, residual
from reapaint_engine.protocol.arrays import Audio, Float64Array
from reapaint_engine.protocol.spans import Span

Spectrum = npt.NDArray[np.complex128]

NOT_MEASURED = float("nan")
"""Where a measure says nothing: a texture of 5 ms, the coherence of one channel."""

SURROUNDINGS_S = 5.0
"""Sound on each side that a long fill is compared with."""


@dataclass(frozen=True, slots=True)
class Quality:
    """All measures of one fill.

    Attributes
    ----------
    snr_db
        Power of the true audio over that of the difference to it; for gaps with one right
        answer.
    lsd_db
        Log-spectral distance to the true audio.
    level_db
        Level of the fill over that of the true audio.
    texture
        Distance of envelope statistics to the surroundings; near 1 the true audio's own.
    flux
        Percentile of the worse seam's spectral jump among those of the recording.
    click_ratio
        Largest prediction error at a seam over the 99.9th percentile around it.
    kept_click_ratio
        The same of the kept audio beside the seams: where it is large no fill can help.
    copy
        How literally blocks of the fill occur elsewhere in the recording, 0 to 1.
    onset
        Correlation of onset strength with that of the true audio.
    chroma
        Correlation of pitch classes with those of the true audio.
    coherence
        Mean difference of inter-channel coherence to the surroundings.
    image_db
        Mean difference of inter-channel level to the surroundings.
    """

    snr_db: float
    lsd_db: float
    level_db: float
    texture: float
    flux: float
    click_ratio: float
    kept_click_ratio: float
    copy: float
    onset: float
    chroma: float
    coherence: float
    image_db: float

    @staticmethod
    def names() -> tuple[str, ...]:
        """Return the names of the measures."""
        return tuple(field.name for field in fields(Quality))


def measure(true: Audio, filled: Audio, span: Span, sample_rate: int) -> Quality:
    """Return all measures of one fill."""
    coherence, image_db = image_difference(filled, span, sample_rate)
    return Quality(
        snr_db=snr_db(true, filled, span),
        lsd_db=log_spectral_distance(true, filled, span, sample_rate),
        level_db=level_difference_db(true, filled, span),
        texture=texture_distance(filled, span, sample_rate),
        flux=flux_percentile(true, filled, span, sample_rate),
        click_ratio=click_ratio(filled, span, sample_rate),
        kept_click_ratio=kept_click_ratio(filled, span, sample_rate),
        copy=copy_score(filled, span, sample_rate),
        onset=onset_agreement(true, filled, span, sample_rate),
        chroma=chroma_agreement(true, filled, span, sample_rate),
        coherence=coherence,
        image_db=image_db,
    )


# Sample by sample

SILENCE = 1e-20
"""A power below every audible one, so that silence has a level."""


def snr_db(true: Audio, filled: Audio, span: Span) -> float:
    """Return the signal-to-difference ratio inside the span."""
    inside = slice(span.start, span.end)
    wanted = _power(true[:, inside])
    wrong = _power(true[:, inside].astype(np.float64) - filled[:, inside])
    return _db(wanted) - _db(wrong)


def level_difference_db(true: Audio, filled: Audio, span: Span) -> float:
    """Return how much louder the fill is than the true audio."""
    inside = slice(span.start, span.end)
    return _db(_power(filled[:, inside])) - _db(_power(true[:, inside]))


def _power(audio: npt.NDArray[np.floating]) -> float:
    return float(np.mean(np.square(audio, dtype=np.float64))) + SILENCE


def _db(power: float) -> float:
    return float(10.0 * np.log10(power))


# Spectra

LSD_WINDOW_S = 0.023
LSD_FLOOR_DB = -70.0
"""What lies this far below the loudest part of the true audio is inaudible beside it."""


def log_spectral_distance(true: Audio, filled: Audio, span: Span, sample_rate: int) -> float:
    """Return the distance of log spectra over all frames that touch the span, in dB.

    Notes
    -----
    Root mean square over frequencies, mean over frames and channels; Hann windows of
    23 ms, a quarter of a window apart.
    """
    size = _fft_size(LSD_WINDOW_S, sample_rate)
    region = slice(max(0, span.start - size + 1), min(true.shape[1], span.end + size - 1))
    before = _power_frames(true[:, region], size, size // 4)
    after = _power_frames(filled[:, region], size, size // 4)
    floor = max(float(before.max(initial=0.0)) * 10 ** (LSD_FLOOR_DB / 10), SILENCE)
    difference_db = 10.0 * np.log10((before + floor) / (after + floor))
    return float(np.sqrt((difference_db**2).mean(axis=-1)).mean())


def _fft_size(seconds: float, sample_rate: int) -> int:
    return int(2 ** max(4, round(np.log2(seconds * sample_rate))))


def _power_frames(audio: Audio, size: int, hop: int) -> Float64Array:
    """Return power spectra, shape (channels, steps, frequencies)."""
    short = size - audio.shape[1]
    if short > 0:
        audio = np.pad(audio, ((0, 0), (0, short)))
    frames = np.lib.stride_tricks.sliding_window_view(audio, size, axis=1)[:, ::hop]
    spectra = rfft(frames * np.hanning(size).astype(np.float32), axis=-1)
    return np.square(np.abs(spectra), dtype=np.float64)


FLUX_WINDOW_S = 0.023
FLUX_BANDS = 40
FLUX_POINTS = 2000
"""Places of the recording among which a seam is ranked, at most."""


def flux_percentile(true: Audio, filled: Audio, span: Span, sample_rate: int) -> float:
    """Return the rank of the worse seam's spectral jump among the recording's own, 0 to 100.

    A jump is the distance between the mel spectra of the 23 ms before and after a frame.
    The worse of two seams of true audio ranks 71 on average.
    """
    size = _fft_size(FLUX_WINDOW_S, sample_rate)
    frames = true.shape[1]
    points = np.linspace(size, frames - size, FLUX_POINTS).astype(int)
    own = _jumps(true, np.unique(points[points >= size]), size, sample_rate)
    edges = np.array([edge for edge in (span.start, span.end) if size <= edge <= frames - size])
    if not edges.size or not own.size:
        return NOT_MEASURED
    worst = _jumps(filled, edges, size, sample_rate).max()
    return float(100.0 * np.mean(own < worst))


def _jumps(audio: Audio, points: npt.NDArray[np.int_], size: int, sample_rate: int) -> Float64Array:
    frames = np.lib.stride_tricks.sliding_window_view(audio, size, axis=1)
    weights = _mel_weights(size, sample_rate, FLUX_BANDS)
    window = np.hanning(size).astype(np.float32)
    levels = []
    for at in (points - size, points):
        powers = np.square(np.abs(rfft(frames[:, at] * window, axis=-1)), dtype=np.float64)
        levels.append(_band_levels_db(powers.mean(axis=0) @ weights.T))
    jumps: Float64Array = np.sqrt(np.mean((levels[1] - levels[0]) ** 2, axis=-1))
    return jumps


def _band_levels_db(powers: Float64Array) -> Float64Array:
    """Return levels, with what is 80 dB below full scale counted as silence."""
    levels: Float64Array = 10.0 * np.log10(powers + 1e-8)
    return levels


@cache
def _mel_weights(size: int, sample_rate: int, bands: int) -> Float64Array:
    """Return triangular mel bands that weigh a power spectrum, shape (bands, frequencies)."""
    top = 2595 * np.log10(1 + min(sample_rate / 2, 16000) / 700)
    edges = 700 * (10 ** (np.linspace(0, top, bands + 2) / 2595) - 1)
    frequencies = np.fft.rfftfreq(size, 1 / sample_rate)
    rising = (frequencies - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - frequencies) / (edges[2:] - edges[1:-1])[:, None]
    weights = np.maximum(0.0, np.minimum(rising, falling))
    # A band narrower than a bin takes the bin next to its centre.
    for band in np.flatnonzero(weights.sum(axis=1) == 0):
        weights[band, np.argmin(np.abs(frequencies - edges[band + 1]))] = 1.0
    normalised: Float64Array = weights / weights.sum(axis=1, keepdims=True) / size
    return normalised


CLICK_ORDER = 32
CLICK_AROUND_S = 0.25
CLICK_AT_SEAM_S = 0.001


def click_ratio(filled: Audio, span: Span, sample_rate: int) -> float:
    """Return the worse seam's largest prediction error over the 99.9th percentile around it.

    The predictor and the percentile are those of the kept audio within 0.25 s on both
    sides. Near or below 1 nothing stands out; a hard join gives 4 to 7.
    """
    close = max(1, round(CLICK_AT_SEAM_S * sample_rate))
    worst = 0.0
    for samples, predictor, usual in _predicted(filled, span, sample_rate):
        for edge in (span.start, span.end):
            if 0 < edge < samples.size:
                near = samples[max(0, edge - close - CLICK_ORDER) : edge + close]
                worst = max(worst, _largest_error(near, predictor) / usual)
    return worst


def kept_click_ratio(audio: Audio, span: Span, sample_rate: int) -> float:
    """Return what ``click_ratio`` is of the kept audio alone, whatever fills the span.

    The last frames before it are foreseen from those before them, the first ones after
    it from those after: above 1.5 there is a click, or a stroke, that no fill can help.
    """
    close = max(1, round(CLICK_AT_SEAM_S * sample_rate))
    worst = 0.0
    for samples, predictor, usual in _predicted(audio, span, sample_rate):
        before = samples[: span.start][-close - CLICK_ORDER :]
        after = samples[span.end :][: close + CLICK_ORDER][::-1]
        worst = max(worst, *(_largest_error(side, predictor) / usual for side in (before, after)))
    return worst


def _predicted(
    audio: Audio, span: Span, sample_rate: int
) -> Iterator[tuple[Audio, Float64Array, float]]:
    """Yield each channel with sound around the span, its predictor and usual largest error."""
    around = round(CLICK_AROUND_S * sample_rate)
    for samples in audio:
        sides = (samples[: span.start][-around:], samples[span.end :][:around])
        kept = np.concatenate(sides)
        if not np.any(kept) or kept.size < 4 * CLICK_ORDER:
            continue
        predictor = lpc(kept, CLICK_ORDER)
        own = [residual(side[np.newaxis], predictor[np.newaxis])[0, CLICK_ORDER:] for side in sides]
        yield samples, predictor, float(np.percentile(np.abs(np.concatenate(own)), 99.9))


def _largest_error(samples: Audio, predictor: Float64Array) -> float:
    errors = residual(samples[np.newaxis], predictor[np.newaxis])[0, CLICK_ORDER:]
    return float(np.abs(errors).max(initial=0.0))


# Texture

TEXTURE_LEAST_S = 0.2
TEXTURE_BANDS = 24
TEXTURE_LOWEST_HZ = 60.0
TEXTURE_HIGHEST_HZ = 14000.0
ENVELOPE_RATE = 400
COMPRESSION = 0.3
"""Envelopes are raised to it, as the cochlea does."""
MODULATION_EDGES_HZ = (2.0, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0)
CORRELATED_BANDS_APART = (1, 2, 3, 5, 8)
TEXTURE_UNITS = {
    "level": 0.13,
    "variation": 0.11,
    "skew": 0.65,
    "modulation": 0.15,
    "correlation": 0.21,
}
"""Near each statistic's difference between a second of true audio and its surroundings:
measured over 20 recordings, such true audio comes out at 0.8."""


def texture_distance(filled: Audio, span: Span, sample_rate: int) -> float:
    """Return how far a fill's envelope statistics are from those of its surroundings.

    Notes
    -----
    A light form of McDermott and Simoncelli (2011): 24 bands equally spaced on the ear's
    scale, compressed Hilbert envelopes, their mean, variation and skewness, the shares of
    octave-wide modulation bands, and the correlations between bands. Each kind's root
    mean square difference is taken in units of its own, then the mean over kinds.
    """
    if span.length < TEXTURE_LEAST_S * sample_rate:
        return NOT_MEASURED
    reach = round(SURROUNDINGS_S * sample_rate)
    sides = (filled[:, max(0, span.start - reach) : span.start], filled[:, span.end :][:, :reach])
    long_enough = [side for side in sides if side.shape[1] >= TEXTURE_LEAST_S * sample_rate]
    if not long_enough:
        return NOT_MEASURED
    own = _texture(filled[:, span.start : span.end], sample_rate)
    around = [_texture(side, sample_rate) for side in long_enough]
    shares = np.array([side.shape[1] for side in long_enough], dtype=float)
    distances = []
    for kind, unit in TEXTURE_UNITS.items():
        wanted = np.average([side[kind] for side in around], axis=0, weights=shares)
        distances.append(np.sqrt(np.mean((own[kind] - wanted) ** 2)) / unit)
    return float(np.mean(distances))


def _texture(audio: Audio, sample_rate: int) -> dict[str, Float64Array]:
    statistics = [_channel_texture(channel, sample_rate) for channel in audio]
    return {kind: np.mean([each[kind] for each in statistics], axis=0) for kind in TEXTURE_UNITS}


def _channel_texture(samples: npt.NDArray[np.float32], sample_rate: int) -> dict[str, Float64Array]:
    envelopes = _envelopes(samples, sample_rate)
    mean = envelopes.mean(axis=1)
    centred = envelopes - mean[:, np.newaxis]
    spread = np.sqrt(np.mean(centred**2, axis=1)) + 1e-9
    correlations = [
        np.mean(centred[apart:] * centred[:-apart], axis=1) / (spread[apart:] * spread[:-apart])
        for apart in CORRELATED_BANDS_APART
    ]
    return {
        "level": np.log(mean + 1e-3),
        "variation": spread / (mean + 1e-3),
        "skew": np.mean(centred**3, axis=1) / spread**3,
        "modulation": _modulation(centred, spread),
        "correlation": np.concatenate(correlations),
    }


def _modulation(centred: Float64Array, spread: Float64Array) -> Float64Array:
    size = centred.shape[1]
    powers = 2 * np.square(np.abs(rfft(centred, axis=1))) / size**2
    bands = np.searchsorted(MODULATION_EDGES_HZ, np.fft.rfftfreq(size, 1 / ENVELOPE_RATE))
    shares = [powers[:, bands == band].sum(axis=1) for band in range(len(MODULATION_EDGES_HZ))]
    normalised: Float64Array = np.sqrt(np.stack(shares, axis=1) / spread[:, np.newaxis] ** 2)
    return normalised


def _envelopes(samples: npt.NDArray[np.float32], sample_rate: int) -> Float64Array:
    """Return compressed envelopes of all bands at 400 Hz, shape (bands, steps)."""
    spectrum = rfft(samples.astype(np.float64))
    steps = max(8, round(samples.size * ENVELOPE_RATE / sample_rate))
    heard = _erb(np.arange(spectrum.size) * sample_rate / samples.size)
    top = min(TEXTURE_HIGHEST_HZ, 0.45 * sample_rate)
    scale = np.linspace(_erb(TEXTURE_LOWEST_HZ), _erb(top), TEXTURE_BANDS + 2)
    envelopes = []
    for low, centre, high in zip(scale[:-2], scale[1:-1], scale[2:], strict=True):
        inside = (heard > low) & (heard < high)
        band = spectrum[inside] * np.cos((heard[inside] - centre) / (high - low) * np.pi)
        # A band moved to 0 Hz keeps its envelope, and needs no higher rate than its width.
        points = next_fast_len(max(2 * band.size, 2 * steps))
        envelope = np.abs(ifft(band, points)) * (2.0 * points / samples.size)
        edges = np.linspace(0, points, steps + 1).astype(int)
        compressed = envelope**COMPRESSION
        envelopes.append(np.add.reduceat(compressed, edges[:-1]) / np.diff(edges))
    return np.stack(envelopes)


def _erb(frequency_hz: npt.ArrayLike) -> Float64Array:
    """Return the place of a frequency on the ear's scale (Glasberg and Moore, 1990)."""
    return np.asarray(21.4 * np.log10(1 + 0.00437 * np.asarray(frequency_hz)))


# Copying

COPY_BLOCK_S = 0.3
COPY_RATE = 16000


def copy_score(filled: Audio, span: Span, sample_rate: int) -> float:
    """Return how literally 0.3 s blocks of the fill occur in the rest of the recording.

    The largest normalised cross-correlation of each block with the kept audio, all
    channels together, mean over the blocks; 1 is a copy.
    """
    if span.length < 1.01 * COPY_BLOCK_S * sample_rate:
        return NOT_MEASURED
    fill = _at_copy_rate(filled[:, span.start : span.end], sample_rate)
    length = round(COPY_BLOCK_S * min(sample_rate, COPY_RATE))
    blocks = [fill[:, at : at + length] for at in range(0, fill.shape[1] - length + 1, length)]
    scores = np.zeros(len(blocks))
    for side in (filled[:, : span.start], filled[:, span.end :]):
        kept = _at_copy_rate(side, sample_rate)
        if kept.shape[1] <= length:
            continue
        spectrum = rfft(kept, 2 * next_fast_len(kept.shape[1] // 2 + 1), axis=1)
        likeness = [_likeness(block, kept, spectrum) for block in blocks]
        scores = np.maximum(scores, likeness)
    return float(np.mean(scores))


def _at_copy_rate(audio: Audio, sample_rate: int) -> Float64Array:
    if sample_rate <= COPY_RATE:
        return audio.astype(np.float64)
    common = np.gcd(sample_rate, COPY_RATE)
    resampled: Float64Array = resample_poly(
        audio.astype(np.float64), COPY_RATE // common, sample_rate // common, axis=1
    )
    return resampled


def _likeness(block: Float64Array, audio: Float64Array, spectrum: Spectrum) -> float:
    """Return the largest normalised correlation of a block with any place of some audio."""
    size = 2 * (spectrum.shape[1] - 1)
    products = np.conj(rfft(block, size, axis=1)) * spectrum
    matches = irfft(products.sum(axis=0), size)[: audio.shape[1] - block.shape[1] + 1]
    energy = np.concatenate([[0.0], np.cumsum(np.sum(audio**2, axis=0))])
    energies = energy[block.shape[1] :] - energy[: -block.shape[1]]
    loudness = np.sum(block**2)
    # Where the recording is nearly silent a quotient of rounding errors means nothing.
    audible = energies > 1e-6 * energies.max(initial=0.0)
    if loudness <= SILENCE or not audible.any():
        return 0.0
    return float(np.max(matches[audible] / np.sqrt(energies[audible] * loudness)))


# Rhythm and harmony

ONSET_LEAST_S = 0.5
ONSET_HOP_S = 0.01
ONSET_SPREAD_S = 0.02
"""Onsets this far apart still count as together."""


def onset_agreement(true: Audio, filled: Audio, span: Span, sample_rate: int) -> float:
    """Return the correlation of onset strengths inside the span with the true audio's."""
    if span.length < ONSET_LEAST_S * sample_rate:
        return NOT_MEASURED
    wanted = _onset_strength(true, span, sample_rate)
    return _correlation(wanted, _onset_strength(filled, span, sample_rate))


def _onset_strength(audio: Audio, span: Span, sample_rate: int) -> Float64Array:
    size, hop = _fft_size(0.023, sample_rate), max(1, round(ONSET_HOP_S * sample_rate))
    region = audio[:, max(0, span.start - hop) : span.end + size]
    powers = _power_frames(region, size, hop).mean(axis=0)
    levels = _band_levels_db(powers @ _mel_weights(size, sample_rate, FLUX_BANDS).T)
    rises = np.maximum(0.0, np.diff(levels, axis=0)).mean(axis=1)
    smoothed: Float64Array = gaussian_filter1d(rises, ONSET_SPREAD_S / ONSET_HOP_S)
    return smoothed


CHROMA_LEAST_S = 0.25
CHROMA_WINDOW_S = 0.186
CHROMA_RANGE_HZ = (100.0, 4000.0)


def chroma_agreement(true: Audio, filled: Audio, span: Span, sample_rate: int) -> float:
    """Return the correlation of pitch classes over time with the true audio's."""
    if span.length < CHROMA_LEAST_S * sample_rate:
        return NOT_MEASURED
    wanted, got = (_chroma(audio, span, sample_rate) for audio in (true, filled))
    return _correlation(wanted, got)


def _chroma(audio: Audio, span: Span, sample_rate: int) -> Float64Array:
    size = _fft_size(CHROMA_WINDOW_S, sample_rate)
    powers = _power_frames(audio[:, span.start : span.end], size, size // 4).mean(axis=0)
    frequencies = np.fft.rfftfreq(size, 1 / sample_rate)
    low, high = CHROMA_RANGE_HZ
    heard = (frequencies >= low) & (frequencies <= high)
    pitch = np.round(12 * np.log2(frequencies[heard] / 440.0)).astype(int) % 12
    classes = np.zeros((powers.shape[0], 12))
    np.add.at(classes.T, pitch, np.sqrt(powers[:, heard]).T)
    centred = classes / (np.linalg.norm(classes, axis=1, keepdims=True) + 1e-9)
    return np.asarray(centred - centred.mean(axis=1, keepdims=True))


def _correlation(wanted: Float64Array, got: Float64Array) -> float:
    first, second = wanted.ravel() - wanted.mean(), got.ravel() - got.mean()
    size = np.linalg.norm(first) * np.linalg.norm(second)
    return float(first @ second / size) if size > 0 else 0.0


# The image

IMAGE_LEAST_S = 0.2
IMAGE_BANDS = 12


def image_difference(filled: Audio, span: Span, sample_rate: int) -> tuple[float, float]:
    """Return how far coherence and level between channels are from the surroundings'.

    Each channel against the one before it, in 12 mel bands: the mean difference of the
    coherence (0 to 1) and of the level difference (dB).
    """
    if filled.shape[0] < 2 or span.length < IMAGE_LEAST_S * sample_rate:
        return NOT_MEASURED, NOT_MEASURED
    reach = round(SURROUNDINGS_S * sample_rate)
    left = filled[:, max(0, span.start - reach) : span.start]
    right = filled[:, span.end : span.end + reach]
    sides = [side for side in (left, right) if side.shape[1] >= IMAGE_LEAST_S * sample_rate]
    if not sides:
        return NOT_MEASURED, NOT_MEASURED
    coherence, level = _image(filled[:, span.start : span.end], sample_rate)
    around = [_image(side, sample_rate) for side in sides]
    wanted_coherence = np.mean([side[0] for side in around], axis=0)
    wanted_level = np.mean([side[1] for side in around], axis=0)
    return (
        float(np.mean(np.abs(coherence - wanted_coherence))),
        float(np.mean(np.abs(level - wanted_level))),
    )


def _image(audio: Audio, sample_rate: int) -> tuple[Float64Array, Float64Array]:
    size = _fft_size(0.046, sample_rate)
    frames = np.lib.stride_tricks.sliding_window_view(audio, size, axis=1)[:, :: size // 2]
    spectra = rfft(frames * np.hanning(size), axis=-1)
    weights = _mel_weights(size, sample_rate, IMAGE_BANDS)
    powers = np.mean(np.abs(spectra) ** 2, axis=1) @ weights.T + 1e-10
    crossed = np.mean(spectra[1:] * np.conj(spectra[:-1]), axis=1)
    coherence = np.abs(crossed) @ weights.T / np.sqrt(powers[1:] * powers[:-1])
    return coherence, 10.0 * np.log10(powers[1:] / powers[:-1])
