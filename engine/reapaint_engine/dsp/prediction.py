"""Linear prediction: estimate a sound's next frame from its past."""

import functools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import scipy

from reapaint_engine.protocol.arrays import Audio, Float64Array, Samples

NOISE_FLOOR_SHARE = 1e-9
"""White noise assumed under every signal, as a share of its power (-90 dB): it keeps the
equations solvable for band-limited sound, whose empty bands make them singular."""

MAX_USELESS_ORDERS = 150
"""The search ends after this many orders in a row without a gain."""

MAX_DIRECT_LAGS = 64
"""Up to this many lags, sums of products are quicker than transforms."""

CONTINUATION_FLOOR_SHARES = (NOISE_FLOOR_SHARE, 1e-6, 1e-3)
"""Assumed noise floors of a continuation's attempts, in turn: more noise makes the predictor
more stable."""

MAX_CONTINUATION_PEAK_RATIO = 2.0
"""How far a continuation may rise above the peak of its context."""


def autocorrelation(signal: npt.ArrayLike, lags: int) -> Float64Array:
    """Return the sums of products of a signal with itself, delayed by 0 to ``lags`` frames.

    Parameters
    ----------
    signal
        Shape (frames,), any real dtype, taken as float64; zeros are assumed around it.
    lags
        The largest delay, in frames.

    Returns
    -------
    numpy.ndarray
        Shape (lags + 1,), float64; the first entry is the signal's energy.
    """
    samples = np.asarray(signal, dtype=np.float64)
    if lags <= MAX_DIRECT_LAGS:
        padded = np.concatenate((samples, np.zeros(lags)))
        return np.array([samples @ padded[lag : lag + samples.size] for lag in range(lags + 1)])
    size = scipy.fft.next_fast_len(samples.size + lags, real=True)
    spectrum = scipy.fft.rfft(samples, size)
    products: Float64Array = scipy.fft.irfft(np.abs(spectrum) ** 2, size)[: lags + 1]
    return products


def lpc(
    signal: npt.ArrayLike, order: int, *, noise_floor: float = NOISE_FLOOR_SHARE
) -> Float64Array:
    """Return the coefficients of the linear predictor of a signal.

    Parameters
    ----------
    signal
        Shape (frames,), any real dtype, taken as float64. It may be shorter than
        ``order``, silent or constant.
    order
        How many past frames predict the next one, at least 0.
    noise_floor
        White noise assumed under the signal, as a share of its power.

    Returns
    -------
    numpy.ndarray
        Shape (order + 1,), float64, beginning with 1. The sum of
        ``coefficients[k] * signal[n - k]`` is the residual at ``n``. All roots lie
        inside the unit circle, so that what they predict dies away. Silence gives
        1, 0, 0, ...

    Notes
    -----
    Autocorrelation method with a Hann window, solved by Levinson's recursion
    (Makhoul, Linear prediction: a tutorial review, 1975). The window keeps a tone
    from leaking over the whole spectrum; the noise floor keeps the matrix positive
    definite, and so the predictor stable.
    """
    samples = np.asarray(signal, dtype=np.float64)
    coefficients = np.zeros(order + 1)
    coefficients[0] = 1.0
    peak = np.max(np.abs(samples), initial=0.0)
    if order == 0 or peak == 0.0:
        return coefficients
    products = autocorrelation(samples / peak * _window(samples.size), order)
    products[0] *= 1.0 + noise_floor
    coefficients[1:] = scipy.linalg.solve_toeplitz(products[:-1], -products[1:])
    return coefficients


@functools.lru_cache(maxsize=16)
def _window(frames: int) -> Float64Array:
    """Return a symmetric Hann window without its two zeros: short signals keep all frames."""
    window: Float64Array = scipy.signal.windows.hann(frames + 2)[1:-1]
    window.flags.writeable = False
    return window


def burg(stretches: Sequence[Samples], order: int, *, penalty: float = 0.0) -> Float64Array:
    """Return one predictor for several stretches of sound.

    It is more exact than ``lpc`` for short stretches, at a hundred times the cost.

    Parameters
    ----------
    stretches
        Each of shape (frames,), float32 or float64, of one kind and level. A stretch
        tells nothing about delays that it is too short for.
    order
        How many past frames predict the next one, at most.
    penalty
        How much each further coefficient must add to twice the log likelihood; with 0 all
        are kept. Noise gains little from any, and a high order would give it peaks that
        are there only by chance.

    Returns
    -------
    numpy.ndarray
        Shape (chosen order + 1,), float64, beginning with 1; stable, as from ``lpc``.

    Notes
    -----
    Burg's lattice (1967), with the prediction errors of all stretches in one sum. No
    window blurs its tones: over 60 ms, gaps of 5 ms in music come out 1 dB nearer to the
    truth than by the autocorrelation method. The order is chosen as by Akaike (1974),
    whose penalty is 2; more makes up for testing hundreds of orders (Broersen, 2000).
    """
    coefficients = np.zeros(order + 1)
    coefficients[0] = 1.0
    energy = sum(float(np.sum(np.square(each, dtype=np.float64))) for each in stretches)
    if energy == 0.0:
        return coefficients[:1]
    # Add real noise: a limit on the reflections alone would leave empty bands empty.
    count = sum(each.size for each in stretches)
    floor = np.sqrt(NOISE_FLOOR_SHARE * energy / count)
    rng = np.random.default_rng(0)
    noisy = [each + floor * rng.standard_normal(each.size) for each in stretches]
    # Stretches of one length are stacked, so that they cost no more calls than one.
    lengths = sorted({each.size for each in noisy})
    stacks = [np.stack([each for each in noisy if each.size == size], 1) for size in lengths]
    errors = [(stack, stack.copy()) for stack in stacks]
    cost = least = 0.0
    best = coefficients[:1].copy()
    for step in range(1, order + 1):
        errors = [(ahead[1:], behind[:-1]) for ahead, behind in errors if len(ahead) > 1]
        shared = sum(float(np.vdot(ahead, behind)) for ahead, behind in errors)
        whole = sum(
            float(np.vdot(ahead, ahead) + np.vdot(behind, behind)) for ahead, behind in errors
        )
        if whole == 0.0:
            break
        reflection = -2.0 * shared / (whole * (1.0 + NOISE_FLOOR_SHARE))
        coefficients[1 : step + 1] += reflection * coefficients[step - 1 :: -1]
        cost += count * np.log1p(-(reflection**2)) + penalty
        if cost <= least:
            least, best = cost, coefficients[: step + 1].copy()
        elif step - best.size >= MAX_USELESS_ORDERS:
            break
        for ahead, behind in errors:
            before = reflection * ahead
            np.add(ahead, reflection * behind, out=ahead)
            np.add(behind, before, out=behind)
    return best


def residual(audio: Samples, coefficients: Float64Array) -> Float64Array:
    """Return the prediction residual of each frame.

    Parameters
    ----------
    audio
        Shape (channels, frames), float32 or float64; zeros are assumed before it, so that
        the first ``order`` frames of the result are larger than they would be inside a
        sound.
    coefficients
        Shape (channels, order + 1), float64, as ``lpc`` returns them for each channel; or
        (1, order + 1), one predictor for all.

    Returns
    -------
    numpy.ndarray
        Shape (channels, frames), float64.
    """
    if audio.shape[1] == 0:
        return np.zeros(audio.shape)
    samples = audio.astype(np.float64)
    errors: Float64Array = scipy.signal.oaconvolve(samples, coefficients, axes=1)
    return errors[:, : audio.shape[1]]


def continue_audio(context: Samples, frames: int, *, order: int = 512) -> Audio:
    """Return the continuation of a sound by linear prediction.

    Tones ring on, noise dies away. To continue backwards, flip the context and the result in
    time.

    Parameters
    ----------
    context
        Shape (channels, context frames), float32 or float64: what precedes, at best
        several times ``order`` frames; less lowers the order. Without a frame, silence
        follows.
    frames
        How many frames to add.
    order
        How many past frames predict the next one.

    Returns
    -------
    numpy.ndarray
        Shape (channels, frames), float32, C-contiguous. No sample is larger than
        ``MAX_CONTINUATION_PEAK_RATIO`` times the context channel's peak.
    """
    continued = np.zeros((context.shape[0], frames), dtype=np.float32)
    usable_order = min(order, context.shape[1] // 2)
    if usable_order == 0 or frames == 0:
        return continued
    for channel, samples in enumerate(context.astype(np.float64)):
        continued[channel] = _continue_channel(samples, frames, usable_order)
    return continued


def _continue_channel(samples: Float64Array, frames: int, order: int) -> Float64Array:
    limit = MAX_CONTINUATION_PEAK_RATIO * np.max(np.abs(samples))
    going_on = np.zeros(frames)
    if limit == 0.0:
        return going_on
    # A stable predictor dies away in the end, but may swell before it does.
    for noise_floor in CONTINUATION_FLOOR_SHARES:
        coefficients = lpc(samples, order, noise_floor=noise_floor)
        past = scipy.signal.lfiltic([1.0], coefficients, samples[: -order - 1 : -1])
        going_on, _ = scipy.signal.lfilter([1.0], coefficients, np.zeros(frames), zi=past)
        if np.max(np.abs(going_on)) <= limit:
            return going_on
    return np.clip(going_on, -limit, limit)
