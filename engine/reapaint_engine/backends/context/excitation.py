"""Synthesise the excitation of a gap: random, or from where the same sound comes again."""

from dataclasses import dataclass

import numpy as np
import scipy

from reapaint_engine.dsp.interpolation import runs
from reapaint_engine.dsp.prediction import residual
from reapaint_engine.protocol.arrays import Float64Array, Mask

MIN_KNOWN_FRAMES = 8
"""Fewer known frames in a row say nothing about a sound."""

EXCITATION_SHARE = 0.85
"""Share of the residual's amplitude that is synthesised. LSD is lowest from 0.7 to 0.85, and at
0.85 the level in mid-gap is kept."""

LEVEL_DECAY_S = 0.005
"""Time constant of the weights with which the level beside a gap is averaged. Over 40 ms a
stroke that has died away would count as loud (LSD at 20 ms is 0.2 dB lower on average than over
20 ms)."""

LEVEL_BLOCK_S = 0.002
"""Block whose level is measured: shorter than most strokes, long enough for noise."""

EVENNESS_EXPONENT = 1.0
"""Exponent by which chance peaks and holes of the noise are levelled."""

EVENING_ROUNDS = 4
"""How often chance peaks and holes of the noise are levelled: at 100 ms LSD falls by 0.4 dB."""

EVEN_WINDOW_S = 0.023
SMOOTHED_BINS = 5
"""Spectra are smoothed over this many bins, since a spectrum of a few windows is uneven. Beside
a gap of 100 ms, smoothed spectra predict those in the gap 0.5 dB better."""

SEAM_S = 0.0015
USUAL_QUANTILE = 0.98
"""Within ``SEAM_S`` of kept sound, the excitation is limited to this quantile of the residual
there. Otherwise a stroke at an edge would be heard as a click."""

MAX_PASSAGE_GAIN = 4.0
"""Limit of a passage's gain: a passage that is much quieter than the sound beside the gap is
mostly noise."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Excitation:
    """What is known about the residual in a gap, for some channels.

    ``ends`` are the residuals before and after, shapes (channels, any frames). ``place`` says
    how far each frame lies from the one towards the other, 0 to 1, shape (frames,). ``level``
    is the residual's size, ``heard`` the scaled residual of a similar passage, and ``unknown``
    the share of the size that the passage leaves open, shapes (channels, frames). ``loudest``
    is the peak of that passage, shape (channels, 1), and ``bound`` the largest excitation
    allowed.
    """

    ends: tuple[Float64Array, Float64Array]
    place: Float64Array
    level: Float64Array
    heard: Float64Array
    unknown: Float64Array
    loudest: Float64Array
    bound: Float64Array
    sample_rate: int

    def draw(self, rng: np.random.Generator) -> Float64Array:
        """Draw an excitation.

        Returns
        -------
        numpy.ndarray
            Shape (channels, frames), float64.
        """
        frames = self.level.shape[1]
        noise = _noise_like(np.concatenate(self.ends, axis=1), frames, rng)
        noise = _even_out(noise, self.ends, self.place, self.sample_rate)
        size = np.maximum(_size(noise), 1e-30)
        errors = self.heard + EXCITATION_SHARE * self.level * self.unknown * noise / size
        return np.asarray(np.clip(errors, -self.bound, self.bound))


def estimate_excitation(
    audio: Float64Array,
    hole: Mask,
    coefficients: Float64Array,
    sample_rate: int,
    passage: Float64Array | None,
) -> Excitation | None:
    """Measure the residual beside gaps, for their excitation.

    Parameters
    ----------
    audio
        Shape (channels, frames), float32 or float64, zero in the gaps.
    hole
        Shape (frames,), bool, True in the gaps.
    coefficients
        The channels' predictor, shape (order + 1,), float64.
    sample_rate
        In Hz.
    passage
        Where the same sound may come again, shape (channels, frames), float32 or float64.

    Returns
    -------
    Excitation or None
        None where too little is known. The level in dB passes evenly from that before
        the gaps to that after. The passage counts as far as its residual is like that of
        the known sound.
    """
    order = coefficients.size - 1
    known = [each for each in runs(~hole) if each[1] - each[0] > order + MIN_KNOWN_FRAMES]
    if not known:
        return None
    whole = residual(audio, coefficients[np.newaxis])
    sides = [whole[:, start + order : end] for start, end in known]
    gaps = runs(hole)
    place = np.clip((np.arange(hole.size) - gaps[0][0]) / (gaps[-1][1] - gaps[0][0]), 0.0, 1.0)
    left, right = _size_near_end(sides[0], sample_rate), _size_near_start(sides[-1], sample_rate)
    floor = 1e-3 * (left + right) + 1e-30
    level = (left + floor) ** (1.0 - place) * (right + floor) ** place
    heard, unknown, loudest = np.zeros_like(audio), np.ones_like(level), np.zeros_like(left)
    if passage is not None:
        errors = residual(passage, coefficients[np.newaxis])
        errors[:, :order] = 0.0
        # One side that fits is enough: the other may hold another sound, or be so quiet
        # that only its noise could be compared.
        left_fit, right_fit = (_fit(whole, errors, s + order, e) for s, e in (known[0], known[-1]))
        gain, likeness = np.where(left_fit[1] > right_fit[1], left_fit, right_fit)
        heard, unknown = gain * errors, np.sqrt(np.maximum(0.0, 1.0 - likeness**2))
        loudest = gain * np.max(np.abs(passage), axis=1, keepdims=True)
    beside = np.concatenate(sides, axis=1)
    usual = np.quantile(np.abs(beside), USUAL_QUANTILE, axis=1, keepdims=True)
    bound = np.where(_is_near_known(hole, round(SEAM_S * sample_rate)), usual, np.inf)
    ends = (sides[0], sides[-1])
    return Excitation(
        ends=ends,
        place=place,
        level=level,
        heard=heard,
        unknown=unknown,
        loudest=loudest,
        bound=bound,
        sample_rate=sample_rate,
    )


def _is_near_known(hole: Mask, frames: int) -> Mask:
    """Mark the frames of kept sound and those within so many frames of it."""
    known = np.concatenate([[0], np.cumsum(~hole)])
    place = np.arange(hole.size)
    before = known[np.maximum(place - frames, 0)]
    after = known[np.minimum(place + frames + 1, hole.size)]
    return np.asarray(after > before)


def _fit(
    wanted: Float64Array, got: Float64Array, start: int, end: int
) -> tuple[Float64Array, Float64Array]:
    """Return the gain that brings one sound nearest to another, and their correlation."""
    wanted, got = wanted[:, start:end], got[:, start:end]
    shared = np.maximum(np.sum(wanted * got, axis=1, keepdims=True), 0.0)
    energy = np.sum(got**2, axis=1, keepdims=True) + 1e-30
    both = np.sqrt(energy * np.sum(wanted**2, axis=1, keepdims=True)) + 1e-30
    return np.minimum(shared / energy, MAX_PASSAGE_GAIN), shared / both


def _size(signals: Float64Array) -> Float64Array:
    return np.asarray(np.sqrt(np.mean(signals**2, axis=1, keepdims=True)))


def _size_near_start(signals: Float64Array, sample_rate: int) -> Float64Array:
    """Return the usual size near the start: the mean in dB, which a stroke hardly changes."""
    block = max(1, round(LEVEL_BLOCK_S * sample_rate))
    count = max(1, signals.shape[1] // block)
    blocks = signals[:, : count * block].reshape(signals.shape[0], count, -1)
    levels = np.log(np.sqrt(np.mean(blocks**2, axis=2)) + 1e-30)
    weights = np.exp(-np.arange(count) * LEVEL_BLOCK_S / LEVEL_DECAY_S)
    return np.asarray(np.exp(levels @ weights / weights.sum())[:, np.newaxis])


def _size_near_end(signals: Float64Array, sample_rate: int) -> Float64Array:
    return _size_near_start(signals[:, ::-1], sample_rate)


def _noise_like(errors: Float64Array, frames: int, rng: np.random.Generator) -> Float64Array:
    """Return noise with the spectra of given residuals and the correlation of their channels.

    All channels' phases are rotated by the same random angles. Blocks as long as the residuals
    overlap, so that nothing repeats.
    """
    size = errors.shape[1]
    hop = max(1, size // 2)
    spectrum = scipy.fft.rfft(errors, axis=1)
    window = np.sin(np.pi * (np.arange(size) + 0.5) / size)
    drawn = np.zeros((errors.shape[0], frames + 2 * size))
    for start in range(0, frames + size, hop):
        turns = np.exp(2j * np.pi * rng.random(spectrum.shape[1]))
        drawn[:, start : start + size] += window * scipy.fft.irfft(spectrum * turns, size, axis=1)
    return drawn[:, size : size + frames]


def _even_out(
    noise: Float64Array,
    ends: tuple[Float64Array, Float64Array],
    place: Float64Array,
    sample_rate: int,
) -> Float64Array:
    """Level chance peaks and holes of noise to the spectra on both sides.

    In long noise they aren't noticed; in a gap of a few windows each one is heard. Each channel
    is levelled by itself, since a mix of even sounds need not be even. The correlation of
    channels is restored at the end.
    """
    size = min(max(MIN_KNOWN_FRAMES, round(EVEN_WINDOW_S * sample_rate)), noise.shape[1])
    hop = max(1, size // 4)
    left, right = (_usual_spectrum(end, size)[..., np.newaxis] for end in ends)
    scale = np.maximum(_size(noise), 1e-30)
    even = noise / scale
    for _ in range(EVENING_ROUNDS):
        _, _, spectra = scipy.signal.stft(even, nperseg=size, noverlap=size - hop, axis=1)
        share = place[np.minimum(np.arange(spectra.shape[2]) * hop, place.size - 1)]
        usual = np.exp((1.0 - share) * left + share * right)
        power = np.abs(spectra) ** 2
        usual *= np.mean(power, axis=(1, 2), keepdims=True) / np.mean(usual, axis=1, keepdims=True)
        # Digital silence stays unchanged.
        spectra *= ((power + 1e-6 * usual + 1e-30) / (usual + 1e-30)) ** (-EVENNESS_EXPONENT / 2)
        _, even = scipy.signal.istft(
            spectra, nperseg=size, noverlap=size - hop, time_axis=2, freq_axis=1
        )
        even = np.asarray(even)[:, : noise.shape[1]]
        even /= np.maximum(_size(even), 1e-30)
    return _with_covariance_of(noise, even * scale)


def _with_covariance_of(wanted: Float64Array, signals: Float64Array) -> Float64Array:
    """Mix channels as little as needed to give them the covariance of others.

    This is the optimal transport between two Gaussians (Olkin and Pukelsheim, 1982).
    """
    given = signals @ signals.T
    root, inverse = _power(given, 0.5), _power(given, -0.5)
    mixing = inverse @ _power(root @ wanted @ wanted.T @ root, 0.5) @ inverse
    return np.asarray(mixing @ signals)


def _power(covariance: Float64Array, exponent: float) -> Float64Array:
    """Raise a positive matrix to a power; eigenvalues near zero count as a small one."""
    sizes, axes = np.linalg.eigh(covariance)
    sizes = np.maximum(sizes, 1e-9 * sizes.max() + 1e-30)
    return np.asarray((axes * sizes**exponent) @ axes.T)


def _usual_spectrum(errors: Float64Array, size: int) -> Float64Array:
    """Return the mean logarithm of power, smoothed, shape (channels, size // 2 + 1)."""
    length = min(size, errors.shape[1])
    frames = np.lib.stride_tricks.sliding_window_view(errors, length, axis=1)
    frames = frames[:, :: max(1, length // 4)] * scipy.signal.windows.hann(length + 2)[1:-1]
    power = np.abs(scipy.fft.rfft(frames, size, axis=2)) ** 2
    floor = 1e-6 * np.mean(power, axis=(1, 2), keepdims=True) + 1e-30
    usual = np.mean(np.log(power + floor), axis=1)
    return np.asarray(scipy.ndimage.uniform_filter1d(usual, SMOOTHED_BINS, axis=1, mode="nearest"))
