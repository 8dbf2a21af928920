"""Simple ways to fill a gap, to compare with: written for clarity, and apart from the engine.

Each takes a recording with zeros in the gap, shape (channels, frames), the gap, the
sample rate and a random generator, and returns the gap's new audio.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy.linalg import solve_toeplitz
from scipy.signal import lfilter, oaconvolve

from reapaint_engine.protocol.arrays import Audio, Float64Array
from reapaint_engine.protocol.spans import Span

Method = Callable[[Audio, Span, int, np.random.Generator], Float64Array]

ORDER = 1000
CONTEXT_S = 0.25
JANSSEN_ROUNDS = 5
REACH_S = 5.0
"""How far passages, grains and envelopes are taken from."""

# Interpolation


def straight_line(
    audio: Audio, span: Span, sample_rate: int, rng: np.random.Generator
) -> Float64Array:
    """Join both edges by a line."""
    left = audio[:, max(0, span.start - 1), np.newaxis].astype(np.float64)
    right = audio[:, min(span.end, audio.shape[1] - 1), np.newaxis]
    return left + (right - left) * np.linspace(0, 1, span.length + 2)[1:-1]


def least_squares(
    audio: Audio, span: Span, sample_rate: int, rng: np.random.Generator
) -> Float64Array:
    """Interpolate by linear prediction, fitted once to 0.25 s on each side."""
    return _interpolated(audio, span, sample_rate, CONTEXT_S, rounds=1)


def janssen(audio: Audio, span: Span, sample_rate: int, rng: np.random.Generator) -> Float64Array:
    """Interpolate by linear prediction, fitted anew to what it filled, five times."""
    return _interpolated(audio, span, sample_rate, CONTEXT_S, rounds=JANSSEN_ROUNDS)


def janssen_near(
    audio: Audio, span: Span, sample_rate: int, rng: np.random.Generator
) -> Float64Array:
    """Do as ``janssen`` does, with 60 ms on each side."""
    return _interpolated(audio, span, sample_rate, 0.06, rounds=JANSSEN_ROUNDS)


def excited(audio: Audio, span: Span, sample_rate: int, rng: np.random.Generator) -> Float64Array:
    """Interpolate by linear prediction, and add predicted noise of the power that is missing."""
    inner, region = _around(span, audio.shape[1], sample_rate, CONTEXT_S)
    filled = audio[:, region].astype(np.float64)
    for samples in filled:
        coefficients = _predictor(samples, inner, ORDER)
        samples[inner] = _least_squares(samples, inner, coefficients)
        noise = lfilter([1.0], coefficients, rng.standard_normal(span.length + 4 * ORDER))
        near = round(0.02 * sample_rate)
        beside = [samples[: inner.start][-near:], samples[inner.stop :][:near]]
        powers = [float(np.mean(side**2)) for side in beside if side.size]
        wanted = np.linspace(powers[0], powers[-1], span.length)
        smooth = np.ones(min(near // 4, span.length))
        have = np.convolve(samples[inner] ** 2, smooth / smooth.size, mode="same")
        gain = np.sqrt(np.maximum(0.0, wanted - have) / (np.mean(noise**2) + 1e-30))
        fade = min(near // 4, span.length // 4)
        gain[:fade] *= np.linspace(0, 1, fade)
        gain[span.length - fade :] *= np.linspace(1, 0, fade)
        samples[inner] += gain * noise[-span.length :]
    return filled[:, inner]


def _around(span: Span, frames: int, sample_rate: int, context_s: float) -> tuple[slice, slice]:
    """Return the span inside its region, and the region inside the recording."""
    reach = max(round(context_s * sample_rate), ORDER)
    start, end = max(0, span.start - reach), min(frames, span.end + reach)
    return slice(span.start - start, span.end - start), slice(start, end)


def _interpolated(
    audio: Audio, span: Span, sample_rate: int, context_s: float, *, rounds: int
) -> Float64Array:
    inner, region = _around(span, audio.shape[1], sample_rate, context_s)
    filled = audio[:, region].astype(np.float64)
    filled[:, inner] = 0.0
    for samples in filled:
        for _ in range(rounds):
            samples[inner] = _least_squares(samples, inner, _predictor(samples, inner, ORDER))
    return filled[:, inner]


def _predictor(samples: Float64Array, inner: slice, order: int) -> Float64Array:
    """Yule-Walker over the region as it stands."""
    spectrum = np.fft.rfft(samples, 2 * samples.size)
    products = np.fft.irfft(np.abs(spectrum) ** 2)[: order + 1]
    products[0] = products[0] * (1 + 1e-9) + 1e-20
    return np.concatenate([[1.0], solve_toeplitz(products[:-1], -products[1:])])


def _least_squares(samples: Float64Array, inner: slice, coefficients: Float64Array) -> Float64Array:
    order, length = coefficients.size - 1, inner.stop - inner.start
    products = np.convolve(coefficients, coefficients[::-1])
    known = samples.copy()
    known[inner] = 0.0
    influence = oaconvolve(known, products)[order : order + samples.size][inner]
    column = np.zeros(length)
    column[: order + 1] = products[order : order + length]
    return np.asarray(solve_toeplitz(column, -influence))


# Passages


def repeat(audio: Audio, span: Span, sample_rate: int, rng: np.random.Generator) -> Float64Array:
    """Play what precedes the gap once more."""
    left = audio[:, max(0, span.start - span.length) : span.start].astype(np.float64)
    return np.resize(left.T, (span.length, audio.shape[0])).T


def matching_passage(
    audio: Audio, span: Span, sample_rate: int, rng: np.random.Generator
) -> Float64Array:
    """Take the passage whose surroundings are most like the gap's, faded in and out."""
    edge = round(0.05 * sample_rate)
    kept = audio.astype(np.float64)
    left, right = kept[:, span.start - edge : span.start], kept[:, span.end : span.end + edge]
    match = (
        _likeness(kept, left)[: -span.length - edge] + _likeness(kept, right)[span.length + edge :]
    )
    ends = np.arange(match.size) + 2 * edge + span.length
    reach = round(REACH_S * sample_rate) + span.length
    clear = (ends <= span.start) | (ends - 2 * edge - span.length >= span.end)
    near = (ends > span.start - reach) & (ends < span.end + reach)
    if not np.any(clear & near):
        return repeat(audio, span, sample_rate, rng)
    start = int(np.argmax(np.where(clear & near, match, -np.inf))) + edge
    fill = kept[:, start : start + span.length].copy()
    fade = min(round(0.01 * sample_rate), span.length // 4)
    gains = np.linspace(0, 1, fade + 2)[1:-1]
    fill[:, :fade] += (left[:, -1:] - kept[:, start - 1 : start]) * gains[::-1]
    after = kept[:, start + span.length : start + span.length + 1]
    fill[:, span.length - fade :] += (right[:, :1] - after) * gains
    return fill


def _likeness(audio: Float64Array, template: Float64Array) -> Float64Array:
    """Return the normalised correlation of a template with each place of the recording."""
    size = template.shape[1]
    products = oaconvolve(audio, template[:, ::-1], mode="valid", axes=1).sum(axis=0)
    energy = np.cumsum(np.pad(np.sum(audio**2, axis=0), (1, 0)))
    energies = np.maximum(energy[size:] - energy[:-size], 1e-9)
    return np.asarray(products / np.sqrt(energies * (np.sum(template**2) + 1e-9)))


def granular(audio: Audio, span: Span, sample_rate: int, rng: np.random.Generator) -> Float64Array:
    """Overlap grains of 120 ms from random places nearby, of equal power."""
    size = min(round(0.12 * sample_rate) // 2 * 2, span.start, audio.shape[1] - span.end)
    window = np.sqrt(np.hanning(size + 1)[:-1])
    places = _places(audio, span, sample_rate, size)
    fill = np.zeros((audio.shape[0], span.length + 2 * size))
    for at in range(0, span.length + size, max(1, size // 2)):
        place = int(rng.choice(places))
        fill[:, at : at + size] += audio[:, place : place + size] * window
    return fill[:, size : size + span.length]


def _places(audio: Audio, span: Span, sample_rate: int, size: int) -> npt.NDArray[np.int_]:
    reach = round(REACH_S * sample_rate)
    before = np.arange(max(0, span.start - reach), max(1, span.start - size + 1))
    after = np.arange(span.end, min(audio.shape[1], span.end + reach) - size + 1)
    return np.concatenate([before, after])


def enveloped_noise(
    audio: Audio, span: Span, sample_rate: int, rng: np.random.Generator
) -> Float64Array:
    """Give noise the band envelopes of what precedes and follows."""
    reach = round(REACH_S * sample_rate)
    left = audio[:, max(0, span.start - reach) : span.start]
    right = audio[:, span.end : span.end + reach]
    heard = np.concatenate([left, right], axis=1).astype(np.float64)
    size: int = 2 ** round(float(np.log2(0.023 * sample_rate)))
    offset = int(rng.integers(heard.shape[1]))
    model = np.take(heard, offset + np.arange(span.length + 2 * size), axis=1, mode="wrap")
    noise = rng.standard_normal((model.shape[1],))
    window = np.sqrt(np.hanning(size + 1)[:-1])
    edges = np.unique(np.geomspace(1, size // 2 + 1, 25).astype(int)) - 1
    widths = np.diff(edges, append=size // 2 + 1)
    fill = np.zeros_like(model)
    for at in range(0, model.shape[1] - size + 1, size // 2):
        part = slice(at, at + size)
        carrier = np.fft.rfft(noise[part] * window)
        carrier_power = np.add.reduceat(np.abs(carrier) ** 2, edges) / widths
        wanted = np.abs(np.fft.rfft(model[:, part] * window, axis=1)) ** 2
        power = np.add.reduceat(wanted, edges, axis=1) / widths
        gains = np.repeat(np.sqrt(power / carrier_power), widths, axis=1)
        fill[:, part] += np.fft.irfft(carrier * gains, size, axis=1) * window
    return fill[:, size // 2 : size // 2 + span.length]


SHORT: dict[str, Method] = {
    "straight line": straight_line,
    "AR least squares": least_squares,
    "Janssen x5": janssen,
    "Janssen x5, 60 ms": janssen_near,
    "AR + excited noise": excited,
}
"""For gaps up to 0.25 s."""

LONG: dict[str, Method] = {
    "repeat": repeat,
    "matching passage": matching_passage,
    "granular": granular,
    "enveloped noise": enveloped_noise,
}
"""For gaps of any length."""
