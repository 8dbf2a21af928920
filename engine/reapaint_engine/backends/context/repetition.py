"""Find where the sound around a gap recurs: loops and beats repeat the lost sound."""

from dataclasses import dataclass

import numpy as np
import scipy

from reapaint_engine.protocol.arrays import Audio, Float64Array, Mask
from reapaint_engine.protocol.spans import Span

SEARCHED_S = 5.0
"""How far on each side a passage is searched for."""

SEARCH_RATE_HZ = 12_000
"""The first search is made at about this rate; a second one finds the exact frame."""

MAX_CANDIDATES = 8
"""Best places of the first search that are compared exactly: at a low rate an exact repeat
between two samples may not be the very best."""

MIN_ENERGY_SHARE = 1e-6
"""Passages below this share of the loudest one's energy are too quiet to compare."""


@dataclass(frozen=True, slots=True, eq=False)
class _Searched:
    """The searched sound, one sample for every ``step`` frames from frame ``first`` on."""

    samples: Float64Array
    kept: Mask
    first: int
    step: int


def find_repetition(
    audio: Audio, missing: Mask, *, region: Span, hull: Span, sample_rate: int
) -> int | None:
    """Return the distance to the passage that is most like the surroundings of a gap.

    Parameters
    ----------
    audio
        Shape (channels, frames), float32. What it holds where ``missing`` is True is not
        read.
    missing
        Shape (frames,), bool.
    region
        The gap and the surroundings to compare.
    hull
        The gap; surroundings lie in ``region`` on both sides.
    sample_rate
        In Hz.

    Returns
    -------
    int or None
        Frames to the right, or to the left if negative. None where no passage of the
        region's length is kept.
    """
    searched = _prepare_search(audio, missing, region, sample_rate)
    step = searched.step
    sides = [Span(region.start, hull.start), Span(hull.end, region.end)]
    at = [(side.start - region.start) // step for side in sides]
    before = (region.start - searched.first) // step
    length = -(-region.length // step)
    places = searched.samples.size - length + 1
    if places <= 0:
        return None
    whole = np.concatenate([[0], np.cumsum(~searched.kept)])
    is_kept = whole[length:] == whole[:-length]
    if not is_kept.any():
        return None
    score = np.zeros(places)
    for side, offset in zip(sides, at, strict=True):
        begin = before + offset
        template = searched.samples[begin : begin + side.length // step]
        if template.size:
            score += _likeness(searched.samples, template)[offset : offset + places]
    score = np.where(is_kept, score, -np.inf)
    shifts = [(place - before) * step for place in _highest(score, apart=2)]
    fits = [_refine_shift(audio, missing, sides=sides, shift=shift, step=step) for shift in shifts]
    return max(fits)[1]


def _highest(score: Float64Array, *, apart: int) -> list[int]:
    """Return the places of the highest scores, without the neighbours of each."""
    score = score.copy()
    places: list[int] = []
    while len(places) < MAX_CANDIDATES and np.isfinite(score).any():
        places.append(int(np.argmax(score)))
        score[max(0, places[-1] - apart) : places[-1] + apart + 1] = -np.inf
    return places


def _prepare_search(audio: Audio, missing: Mask, region: Span, sample_rate: int) -> _Searched:
    """Mix the surroundings down at a low rate, without rumble."""
    step = max(1, sample_rate // SEARCH_RATE_HZ)
    reach = round(SEARCHED_S * sample_rate)
    # A whole number of steps before the region, so that it begins at a sample.
    first = region.start - min(reach, region.start) // step * step
    end = min(audio.shape[1], region.end + reach)
    mixed = np.where(missing[first:end], 0.0, audio[:, first:end].sum(axis=0, dtype=np.float64))
    samples = scipy.signal.resample_poly(mixed, 1, step) if step > 1 else mixed
    kept = np.ones(samples.size, dtype=np.bool_)
    kept[np.flatnonzero(missing[first:end]) // step] = False
    return _Searched(np.diff(samples, prepend=samples[:1]), kept, first, step)


def _likeness(samples: Float64Array, template: Float64Array) -> Float64Array:
    """Return the normalised correlation of a template with every place of a sound."""
    size = scipy.fft.next_fast_len(samples.size, real=True)
    spectrum = scipy.fft.rfft(samples, size) * np.conj(scipy.fft.rfft(template, size))
    products = scipy.fft.irfft(spectrum, size)[: samples.size - template.size + 1]
    sums = np.concatenate([[0.0], np.cumsum(samples**2)])
    energies = sums[template.size :] - sums[: -template.size]
    least = MIN_ENERGY_SHARE * float(energies.max()) + 1e-30
    wanted = float(template @ template)
    return np.asarray(products / np.sqrt(np.maximum(energies, least) * max(wanted, 1e-30)))


def _refine_shift(
    audio: Audio, missing: Mask, *, sides: list[Span], shift: int, step: int
) -> tuple[float, int]:
    """Return the best normalised correlation of a passage within two steps, and its shift."""
    lowest = max(shift - 2 * step, -sides[0].start)
    highest = min(shift + 2 * step, audio.shape[1] - sides[1].end)
    if missing[sides[0].start + lowest : sides[1].end + highest].any():
        lowest = highest = shift
    score = np.zeros(highest - lowest + 1)
    for side in sides:
        for channel in audio:
            wanted = np.diff(channel[side.start : side.end].astype(np.float64))
            near = np.diff(channel[side.start + lowest : side.end + highest].astype(np.float64))
            if wanted.any():
                score += _likeness_nearby(near, wanted)
    best = int(np.argmax(score))
    return float(score[best]), lowest + best


def _likeness_nearby(near: Float64Array, wanted: Float64Array) -> Float64Array:
    """Return the normalised correlation of a template with a few places."""
    sums = np.concatenate([[0.0], np.cumsum(near**2)])
    energies = sums[wanted.size :] - sums[: -wanted.size]
    products = np.correlate(near, wanted, mode="valid")
    return np.asarray(products / np.sqrt(np.maximum(energies, 1e-30) * (wanted @ wanted)))
