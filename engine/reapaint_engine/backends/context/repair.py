"""Fill short gaps from the sound on both sides (mode ``repair``)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import scipy

from reapaint_engine.backends.base import Fill, Passage, Window
from reapaint_engine.backends.context.excitation import MIN_KNOWN_FRAMES, estimate_excitation
from reapaint_engine.backends.context.repetition import find_repetition
from reapaint_engine.dsp.interpolation import Interpolator, interpolator, runs
from reapaint_engine.dsp.prediction import autocorrelation, burg, lpc
from reapaint_engine.protocol.arrays import Audio, Float64Array, Mask
from reapaint_engine.protocol.progress import OnFraction
from reapaint_engine.protocol.spans import Span


@dataclass(frozen=True, slots=True)
class Reach:
    """How far a predictor looks back, and how much sound on each side it is fitted to.

    ``penalty`` is how much each coefficient must add to twice the log likelihood to be kept.
    """

    order_s: float
    most_order: int
    context_s: float
    penalty: float


NEAR = Reach(order_s=0.0116, most_order=512, context_s=0.04, penalty=5.0)
"""For noise-like sound. Less context is more of one kind (LSD at 20 to 100 ms is 0.2 to 0.3 dB
lower than with ``FAR``). Few coefficients follow chance less (another 0.2 to 0.4 dB)."""

FAR = Reach(order_s=0.0227, most_order=1000, context_s=0.06, penalty=0.0)
"""For clicks and tones: it tells partials apart (SNR at 5 ms is 0.5 dB higher)."""

TONES = Reach(order_s=0.0227, most_order=1000, context_s=0.06, penalty=5.0)
"""For longer gaps in tones: like ``FAR``, but without coefficients that are there only by
chance."""

WIDE = Reach(order_s=0.0625, most_order=1000, context_s=0.25, penalty=0.0)
"""For a second fill of clicks: the mean of both fills errs less than either, by 0.3 dB in SNR
at 5 ms."""

MAX_CLICK_S = 0.01
"""Gaps up to this length are filled from ``FAR`` and ``WIDE``, whatever the sound."""

MIN_STEADY_SNR_DB = 10.0
STEADY_FOR_S = 0.01
"""Sound is steady when prediction alone reaches ``MIN_STEADY_SNR_DB`` over this long."""

MAX_PLAIN_S = 0.005
"""Up to this length a gap is filled by the most likely sound, without an excitation."""

MIN_EXCITED_S = 0.02
"""From this length on a gap gets the whole excitation, or noise would sink to silence in
mid-gap. Between ``MAX_PLAIN_S`` and this, the excitation grows evenly."""

MAX_PEAK_RATIO = 2.0
"""A fill that rises above this many times its surroundings' peak is not used."""

POLE_FACTORS = (1.0, 0.999, 0.99, 0.9)
"""Factors by which a predictor's poles are moved inward, tried in turn."""

MAX_AUTOCORRELATION_DIFFERENCE = 0.6
"""Channels share a predictor when their normalised autocorrelations differ by less."""

MIN_SIZE_SHARE = 1e-3
"""A stretch below this share of the loudest is silence, and isn't raised further."""

MAX_GROUP_CHANNELS = 8
"""More channels are filled in several groups, so that a cancelled job ends soon."""

COMPARED_LAGS = 32
SAME_TAKE_DB = -30.0
"""Takes that differ by less sound the same."""


@dataclass(frozen=True, slots=True)
class Repair:
    """A fill for each seed, and warnings for the user."""

    fills: tuple[Fill, ...]
    warnings: tuple[str, ...] = ()


def repair(window: Window, seeds: Sequence[int], step: OnFraction) -> Repair:
    """Fill every span of a window from the sound right beside it.

    Spans within a predictor's reach of each other are unknowns of one system, so that no span's
    old content is read for the fill of another.

    Parameters
    ----------
    window
        Audio at any rate, of any number of channels. What its spans hold is not read.
    seeds
        One for each take: its excitation is drawn with it.
    step
        Called between two pieces of work with the share that is done, 0 to 1.

    Returns
    -------
    Repair
        Fills whose passages cover their spans exactly and continue their context. A
        span with known sound on one side only is extrapolated.
    """
    missing = _missing(window)
    passages: list[list[Passage]] = [[] for _ in seeds]
    clusters = _clusters(window.spans, _order(FAR, window.sample_rate))
    for index, spans in enumerate(clusters):

        def step_cluster(share: float, done: int = index) -> None:
            step((done + share) / len(clusters))

        takes = _fill(window, missing, spans, seeds, step_cluster)
        for take, filled in zip(passages, takes, strict=True):
            take.extend(filled)
    step(1.0)
    fills = tuple(Fill(tuple(take)) for take in passages)
    return Repair(fills, _warnings(fills))


def _missing(window: Window) -> Mask:
    missing = np.zeros(window.frames, dtype=bool)
    for span in window.spans:
        missing[span.start : span.end] = True
    missing[window.audio_frames :] = True
    return missing


def _order(reach: Reach, sample_rate: int) -> int:
    return min(reach.most_order, max(1, round(reach.order_s * sample_rate)))


def _clusters(spans: Sequence[Span], reach: int) -> list[list[Span]]:
    """Group spans that lie within a predictor's reach of each other."""
    clusters: list[list[Span]] = []
    for span in spans:
        if clusters and span.start - clusters[-1][-1].end <= reach:
            clusters[-1].append(span)
        else:
            clusters.append([span])
    return clusters


@dataclass(frozen=True, slots=True, eq=False)
class _Region:
    """Neighbouring gaps and the known sound around them.

    ``audio`` has shape (channels, frames) and is zero where ``hole`` is True; ``start``
    is its first frame in the window. ``longest_s`` is the longest gap.
    """

    audio: Float64Array
    hole: Mask
    start: int
    longest_s: float
    sample_rate: int

    def stretches(self) -> list[Float64Array]:
        """Return the known sound, each stretch of shape (channels, frames)."""
        return [self.audio[:, start:end] for start, end in runs(~self.hole)]


def _region(window: Window, missing: Mask, spans: Sequence[Span], reach: Reach) -> _Region:
    context = max(MIN_KNOWN_FRAMES, round(reach.context_s * window.sample_rate))
    start = max(0, spans[0].start - context)
    # Frames after the source's end are no context, but may have to be filled.
    end = max(min(window.audio_frames, spans[-1].end + context), spans[-1].end)
    hole = missing[start:end]
    return _Region(
        audio=np.where(hole, 0.0, window.audio[:, start:end]),
        hole=hole,
        start=start,
        longest_s=max(span.length for span in spans) / window.sample_rate,
        sample_rate=window.sample_rate,
    )


def _fill(
    window: Window,
    missing: Mask,
    spans: Sequence[Span],
    seeds: Sequence[int],
    step: OnFraction,
) -> list[list[Passage]]:
    """Return the passages of neighbouring spans for each seed."""
    near, far, wide = (_region(window, missing, spans, reach) for reach in (NEAR, FAR, WIDE))
    filled = np.zeros((len(seeds), window.audio.shape[0], far.hole.size), dtype=np.float32)
    passage: Float64Array | None = None
    groups = list(_alike_channels(far))
    for index, channels in enumerate(groups):
        step(index / len(groups))
        region, coefficients = _choose_predictor(near, far, channels)
        step(index / len(groups))
        if region.longest_s > MAX_CLICK_S and passage is None:
            passage = _find_recurring(window, missing, far, spans)
            step(index / len(groups))
        first = region.start - far.start
        heard = None
        if passage is not None:
            heard = passage[channels, first : first + region.hole.size]
        takes = _takes(
            region,
            wide=wide,
            channels=channels,
            coefficients=coefficients,
            passage=heard,
            seeds=seeds,
        )
        for take, fill in enumerate(takes):
            filled[take, channels, first : first + region.hole.size] = fill
            step((index + (take + 1) / len(seeds)) / len(groups))
    return [[_passage(take, span, far.start) for span in spans] for take in filled]


def _find_recurring(
    window: Window, missing: Mask, region: _Region, spans: Sequence[Span]
) -> Float64Array:
    """Return the passage most like a region, of its shape; silence where there is none."""
    extent = Span(region.start, region.start + region.hole.size)
    hull = Span(spans[0].start, spans[-1].end)
    shift = find_repetition(
        window.audio, missing, region=extent, hull=hull, sample_rate=window.sample_rate
    )
    if shift is None:
        return np.zeros_like(region.audio)
    return window.audio[:, extent.start + shift : extent.end + shift].astype(np.float64)


def _choose_predictor(
    near: _Region, far: _Region, channels: Sequence[int]
) -> tuple[_Region, Float64Array]:
    """Return the region and predictor that suit the gaps and the sound."""
    if near.longest_s > MAX_CLICK_S:
        coefficients = _predictor(near, channels, NEAR)
        if not _is_steady(near, channels, coefficients):
            return near, coefficients
        return far, _predictor(far, channels, TONES)
    return far, _predictor(far, channels, FAR)


def _passage(filled: Audio, span: Span, start: int) -> Passage:
    inside = filled[:, span.start - start : span.end - start]
    return Passage(span.start, np.ascontiguousarray(inside), continuous=True)


def _alike_channels(region: _Region) -> Iterator[list[int]]:
    """Group the channels of similar spectrum that aren't silent: they share a predictor."""
    left = [channel for channel in range(region.audio.shape[0]) if np.any(region.audio[channel])]
    shapes = {}
    for channel in left:
        products = autocorrelation(region.audio[channel], COMPARED_LAGS)
        shapes[channel] = products / products[0]
    while left:
        group = [
            c
            for c in left
            if np.max(np.abs(shapes[c] - shapes[left[0]])) < MAX_AUTOCORRELATION_DIFFERENCE
        ]
        group = group[:MAX_GROUP_CHANNELS]
        yield group
        left = [channel for channel in left if channel not in group]


def _predictor(region: _Region, channels: Sequence[int], reach: Reach) -> Float64Array:
    stretches = region.stretches()
    longest = max((stretch.shape[1] for stretch in stretches), default=0)
    order = min(_order(reach, region.sample_rate), longest // 2)
    # Quiet stretches and channels count as much as loud ones. Otherwise a stroke on one
    # side would give the gap its spectrum, and the other side would count as silence.
    rows = [stretch[channel] for channel in channels for stretch in stretches]
    sizes = [np.sqrt(np.mean(np.square(row))) for row in rows]
    least = max(MIN_SIZE_SHARE * max(sizes, default=0.0), 1e-30)
    levelled = [row / max(size, least) for row, size in zip(rows, sizes, strict=True)]
    return burg(levelled, order, penalty=reach.penalty)


def _is_steady(region: _Region, channels: Sequence[int], coefficients: Float64Array) -> bool:
    """Return whether prediction alone follows the sound on both sides of the gaps.

    It is tested forwards over the last frames before and backwards over the first ones after:
    from there on, the fill would have to be predicted.
    """
    order = coefficients.size - 1
    frames = round(STEADY_FOR_S * region.sample_rate)
    gaps = runs(region.hole)
    sides = (region.audio[:, : gaps[0][0]], region.audio[:, gaps[-1][1] :][:, ::-1])
    for side in sides:
        if side.shape[1] == 0:
            continue
        if side.shape[1] < order + frames:
            return False
        known, wanted = side[:, :-frames], side[:, -frames:]
        missed = 0.0
        for channel in channels:
            past = scipy.signal.lfiltic([1.0], coefficients, known[channel, : -order - 1 : -1])
            predicted, _ = scipy.signal.lfilter([1.0], coefficients, np.zeros(frames), zi=past)
            missed += float(np.sum((predicted - wanted[channel]) ** 2))
        if missed > 10 ** (-MIN_STEADY_SNR_DB / 10) * np.sum(wanted[channels] ** 2):
            return False
    return True


def _takes(
    region: _Region,
    *,
    wide: _Region,
    channels: Sequence[int],
    coefficients: Float64Array,
    passage: Float64Array | None,
    seeds: Sequence[int],
) -> Iterator[Float64Array]:
    """Fill a region once for each seed, each of shape (channels, frames).

    The most likely fill and the excitations are solved separately, which adds up to the same.
    So no excitation changes how the predictor is made stable for the others.
    """
    peaks = np.max(np.abs(region.audio[channels]), axis=1, keepdims=True)
    bound = np.maximum(MAX_PEAK_RATIO * peaks, 1e-30)
    likeliest, solve = _fill_without_swell(region, channels, coefficients, bound)
    if region.longest_s <= MAX_CLICK_S:
        likeliest = _average_with_second_fill(
            region, wide=wide, channels=channels, filled=likeliest, bound=bound
        )
    share = min(1.0, (region.longest_s - MAX_PLAIN_S) / (MIN_EXCITED_S - MAX_PLAIN_S))
    excitation = None
    if share > 0.0:
        audio, rate = region.audio[channels], region.sample_rate
        excitation = estimate_excitation(audio, region.hole, coefficients, rate, passage)
    if excitation is not None:
        bound = np.maximum(bound, MAX_PEAK_RATIO * excitation.loudest)
    for seed in seeds:
        if excitation is None:
            yield likeliest
            continue
        wanted = share * excitation.draw(np.random.default_rng([seed, region.start]))
        drawn = solve(np.zeros_like(wanted), wanted)
        yield likeliest + drawn / max(1.0, float(np.max(np.abs(drawn) / bound)))


def _fill_without_swell(
    region: _Region, channels: Sequence[int], coefficients: Float64Array, bound: Float64Array
) -> tuple[Float64Array, Interpolator]:
    """Return the most likely fill, and the interpolator that made it.

    From very little sound, a predictor may mistake tones for others that beat. Such a fill fits
    on both sides but swells in between. Moving the poles inward prevents this.
    """
    audio = region.audio[channels]
    for inward in POLE_FACTORS:
        solve = _local_interpolator(
            region.hole, coefficients * inward ** np.arange(coefficients.size)
        )
        filled = solve(audio, np.zeros_like(audio))
        if np.all(np.abs(filled) <= bound) or inward == POLE_FACTORS[-1]:
            return np.clip(filled, -bound, bound), solve
    raise AssertionError("the last fill is always taken")


def _average_with_second_fill(
    region: _Region,
    *,
    wide: _Region,
    channels: Sequence[int],
    filled: Float64Array,
    bound: Float64Array,
) -> Float64Array:
    """Average a fill with a second one, whose predictor is fitted to more sound.

    Once a gap is filled, a predictor can be fitted across it, as by Janssen, Veldhuis and Vries
    (1986).
    """
    first = region.start - wide.start
    inside = slice(first, first + region.hole.size)
    hole = np.zeros_like(wide.hole)
    hole[inside] = region.hole
    audio = wide.audio[channels]
    audio[:, inside] = filled
    order = min(_order(WIDE, wide.sample_rate), hole.size // 4)
    mean = filled.copy()
    for samples, fill, most in zip(audio, mean, bound, strict=True):
        again = _local_interpolator(hole, lpc(samples, order))(
            samples[np.newaxis], np.zeros((1, hole.size))
        )
        if np.max(np.abs(again[:, hole])) <= most:
            fill[region.hole] = (fill[region.hole] + again[0, hole]) / 2
    return mean


def _local_interpolator(hole: Mask, coefficients: Float64Array) -> Interpolator:
    """Interpolate within a predictor's reach of the gaps, and leave the rest unchanged."""
    order = coefficients.size - 1
    gaps = runs(hole)
    reached = slice(max(0, gaps[0][0] - order), gaps[-1][1] + order)
    solve = interpolator(hole[reached], coefficients)

    def fill(audio: Float64Array, wanted: Float64Array) -> Float64Array:
        filled = audio.copy()
        filled[:, reached] = solve(audio[:, reached], wanted[:, reached])
        return filled

    return fill


def _warnings(fills: Sequence[Fill]) -> tuple[str, ...]:
    """Warn where several takes were wanted but sound the same."""
    if len(fills) < 2:
        return ()
    first, second = (np.concatenate([p.audio for p in f.passages], axis=1) for f in fills[:2])
    heard, changed = np.sum(np.square(first)), np.sum(np.square(first - second))
    if changed >= 10 ** (SAME_TAKE_DB / 10) * heard > 0.0:
        return ()
    return (
        (
            "The sound around the selection leaves no choice of what belongs there:"
            " the takes sound alike. For other takes choose the mode similar or ambience."
        ),
    )
