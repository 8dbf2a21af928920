"""Measure delay and gain of a service's answer, by the context that both sides have.

Codecs add a delay, and some services set a level of their own. The kept context shows both: it
is in the audio sent and, decoded again, in the answer.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy

from reapaint_engine.protocol.arrays import Audio, Float64Array
from reapaint_engine.protocol.spans import Span

MAX_DELAY_S = 0.25
"""Far above the delay of any codec: MP3 has about 50 ms at most."""

MAX_COMPARED_S = 10.0
"""How much context on each side of the mask is compared."""

MIN_CONTEXT_S = 0.05
"""A shorter context can't be compared."""

MIN_CORRELATION = 0.35
"""By chance the correlation stays below 0.1 over this much context; that of a decoded context
is far above."""

MIN_PEAK_SHARE = 0.999
"""A periodic sound correlates about as well at many delays. Peaks from this share of the
highest on are candidates, and the one of least delay is taken."""

MAX_DIP_SHARE = 0.9
"""Between two peaks of a periodic sound the curve falls to this share of the peak or below."""

MIN_LOBE_SHARE = 0.95
"""The exact peak is searched where the curve is above this share of it."""

SILENCE_RMS = 1e-4

MAX_GAIN = 8.0
"""18 dB: a service that changes the level by more has changed the sound."""

_TAPS = 64
"""Length of the filters that interpolate between frames."""

_STEPS_PER_FRAME = 16
"""Resolution of the search for a peak, before a parabola finds its top."""


@dataclass(frozen=True, slots=True)
class Alignment:
    """An answer's delay in frames, maybe fractional, and the gain that restores its level."""

    delay_frames: float
    gain: float
    correlation: float


def measure_alignment(
    sent: Audio, answer: Audio, kept: Sequence[Span], sample_rate: int
) -> Alignment | None:
    """Return delay and gain of an answer against the audio sent; None where they are unknown.

    Parameters
    ----------
    sent
        Shape (channels, frames), float32.
    answer
        Shape (channels, any frames), float32, at the same rate.
    kept
        The stretches that the answer should leave unchanged, in frames of ``sent``.
    sample_rate
        In Hz.

    Notes
    -----
    Normalised cross-correlation, summed over channels and stretches, its peak looked
    for between frames by band-limited interpolation.
    """
    reach = int(MAX_DELAY_S * sample_rate)
    near = _compared(kept, int(MAX_COMPARED_S * sample_rate))
    inside = (_within(each, answer.shape[1], reach) for each in near)
    stretches = [each for each in inside if each.length > 0]
    if sum(each.length for each in stretches) < MIN_CONTEXT_S * sample_rate:
        return None
    plain = _compare(sent, answer, stretches, reach)
    if plain is None:
        return None
    peak = _best(plain.curve)
    if plain.curve[peak] < MIN_CORRELATION:
        return None
    gain = float(np.sqrt(plain.sent_energy / plain.energies[peak]))
    return Alignment(
        delay_frames=_sharpen_peak(
            plain.curve, peak, sent=sent, answer=answer, stretches=stretches, reach=reach
        )
        - reach,
        gain=gain if 1.0 / MAX_GAIN <= gain <= MAX_GAIN else 1.0,
        correlation=float(plain.curve[peak]),
    )


@dataclass(frozen=True, slots=True)
class _Comparison:
    """The normalised correlation and the answer's energy for every delay."""

    curve: Float64Array
    energies: Float64Array
    sent_energy: float


def _compare(
    sent: Audio, answer: Audio, stretches: Sequence[Span], reach: int
) -> _Comparison | None:
    """Correlate over all channels and stretches; None where only silence was sent."""
    products = np.zeros(2 * reach + 1)
    energies = np.zeros(2 * reach + 1)
    sent_energy = 0.0
    for stretch in stretches:
        reference = sent[:, stretch.start : stretch.end].astype(np.float64)
        found = _reachable(answer, stretch, reach)
        products += _correlate(found, reference)
        energies += _sliding_energy(found, stretch.length)
        sent_energy += float(np.square(reference).sum())
    floor = SILENCE_RMS**2 * sent.shape[0] * sum(each.length for each in stretches)
    if sent_energy < floor:
        return None
    energies = np.maximum(energies, floor)
    return _Comparison(products / np.sqrt(sent_energy * energies), energies, sent_energy)


def _sharpen_peak(
    curve: Float64Array,
    peak: int,
    *,
    sent: Audio,
    answer: Audio,
    stretches: Sequence[Span],
    reach: int,
) -> float:
    """Return the position of a peak to a fraction of a frame.

    Most sound is loudest at low frequencies, so its peak is broad. The differences between
    samples have a sharp peak, if the answer kept the high frequencies.
    """
    low = high = peak
    while low > 0 and curve[low - 1] >= MIN_LOBE_SHARE * curve[peak]:
        low -= 1
    while high < curve.size - 1 and curve[high + 1] >= MIN_LOBE_SHARE * curve[peak]:
        high += 1
    steps = _compare(
        np.diff(sent, axis=1, prepend=sent[:, :1]),
        np.diff(answer, axis=1, prepend=answer[:, :1]),
        stretches,
        reach,
    )
    if steps is not None:
        sharp = low + int(np.argmax(steps.curve[low : high + 1]))
        if steps.curve[sharp] >= MIN_CORRELATION:
            return sharp + _refine(steps.curve, sharp)
    return peak + _refine(curve, peak)


def advance(audio: Audio, delay_frames: float) -> Audio:
    """Return audio that begins later by some frames; silence is put before it if negative.

    Parameters
    ----------
    audio
        Shape (channels, frames), float32.
    delay_frames
        Whole or not, positive or negative. Fractions are made with a windowed sinc of 64
        taps: 0.1 dB and a hundredth of a frame up to 0.9 of half the rate.

    Returns
    -------
    numpy.ndarray
        Shape (channels, frames - delay), float32, C-contiguous; the delay in whole frames,
        and no frame where it is longer than the audio.
    """
    whole = int(np.floor(delay_frames + 0.5))
    rest = delay_frames - whole
    shifted = audio[:, whole:] if whole >= 0 else np.pad(audio, ((0, 0), (-whole, 0)))
    if abs(rest) < 1e-3 or shifted.shape[1] == 0:
        return np.ascontiguousarray(shifted)
    # The edge samples are repeated, so that the filter meets no step to silence.
    held = np.pad(shifted, ((0, 0), (_TAPS, _TAPS)), mode="edge")
    moved = scipy.signal.oaconvolve(held, _fraction(rest)[None], mode="same", axes=1)
    return np.ascontiguousarray(moved[:, _TAPS:-_TAPS], dtype=np.float32)


def _compared(kept: Sequence[Span], longest: int) -> list[Span]:
    """Return the parts of kept stretches that are next to the mask between them."""
    if len(kept) == 2:
        before, after = kept
        return [
            Span(max(before.start, before.end - longest), before.end),
            Span(after.start, min(after.end, after.start + longest)),
        ]
    return [
        Span(max(each.start, each.end - longest), each.end)
        if each.start == 0 or each.length <= longest
        else Span(each.start, each.start + longest)
        for each in kept
    ]


def _within(stretch: Span, frames: int, reach: int) -> Span:
    """Return the part of a stretch that is in the answer at any delay, if it is long enough."""
    whole = Span(max(stretch.start, reach), min(stretch.end, frames - reach))
    if whole.length >= reach:
        return whole
    return Span(stretch.start, max(min(stretch.end, frames), stretch.start))


def _reachable(answer: Audio, stretch: Span, reach: int) -> Float64Array:
    """Return the frames in which a stretch may be found, with silence beyond the answer."""
    start, end = stretch.start - reach, stretch.end + reach
    found = answer[:, max(start, 0) : max(min(end, answer.shape[1]), 0)].astype(np.float64)
    before = max(-start, 0)
    return np.pad(found, ((0, 0), (before, end - start - before - found.shape[1])))


def _correlate(found: Float64Array, reference: Float64Array) -> Float64Array:
    """Return the sum of all channels' products, for every place of the reference."""
    frames = found.shape[1]
    size = scipy.fft.next_fast_len(frames, real=True)
    spectra = scipy.fft.rfft(found, size) * np.conj(scipy.fft.rfft(reference, size))
    products = scipy.fft.irfft(spectra.sum(axis=0), size)[: frames - reference.shape[1] + 1]
    return np.asarray(products, dtype=np.float64)


def _sliding_energy(found: Float64Array, length: int) -> Float64Array:
    sums = np.concatenate(([0.0], np.cumsum(np.square(found).sum(axis=0))))
    return np.asarray(sums[length:] - sums[:-length], dtype=np.float64)


def _best(curve: Float64Array) -> int:
    """Return the highest peak, or among equally high ones that of least delay.

    Peaks count as several only where the curve falls between them: on the broad top of a low
    sound, every ripple of noise is a peak.
    """
    top = int(np.argmax(curve))
    high = MIN_PEAK_SHARE * curve[top]
    peaks = np.flatnonzero((curve == scipy.ndimage.maximum_filter1d(curve, 3)) & (curve >= high))
    for peak in sorted((int(each) for each in peaks), key=lambda at: abs(at - curve.size // 2)):
        between = curve[min(peak, top) : max(peak, top) + 1]
        if peak == top or between.min() < MAX_DIP_SHARE * curve[top]:
            return peak
    return top


def _refine(curve: Float64Array, peak: int) -> float:
    """Return the position of the peak between frames, by band-limited interpolation."""
    near = np.arange(max(peak - _TAPS // 2, 0), min(peak + _TAPS // 2 + 1, curve.size))
    finer = np.arange(-_STEPS_PER_FRAME, _STEPS_PER_FRAME + 1) / _STEPS_PER_FRAME
    weights = (
        np.sinc(peak + finer[:, None] - near) * np.kaiser(_TAPS + 1, 8.0)[near - peak + _TAPS // 2]
    )
    values = weights @ curve[near]
    best = int(np.argmax(values))
    if not 0 < best < values.size - 1:
        return float(finer[best])
    before, top, after = values[best - 1 : best + 2]
    bend = before - 2.0 * top + after
    step = 0.5 * (before - after) / bend if bend < 0.0 else 0.0
    return float(finer[best] + step / _STEPS_PER_FRAME)


def _fraction(rest: float) -> Float64Array:
    """Return a filter that removes a delay of a fraction of a frame."""
    at = np.arange(-_TAPS // 2, _TAPS // 2 + 1) + rest
    taps = np.sinc(at) * np.kaiser(at.size, 8.0)
    return np.asarray(taps / taps.sum(), dtype=np.float64)
