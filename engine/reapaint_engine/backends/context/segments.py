"""Lay segments of kept audio end to end: move them into phase, join and level them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import scipy

from reapaint_engine.backends.base import Passage, Window
from reapaint_engine.backends.context.features import kept_stretches
from reapaint_engine.backends.context.paths import Run
from reapaint_engine.dsp.crossfades import crossfade
from reapaint_engine.dsp.extrapolation import continuation
from reapaint_engine.protocol.arrays import Audio, Float64Array
from reapaint_engine.protocol.progress import OnFraction
from reapaint_engine.protocol.spans import Span

MAX_BEYOND_S = 0.05
"""How far a passage reaches beyond its span where its source allows, for crossfades."""

ALIGN_S = 0.06
"""How much audio is compared when a segment is moved into phase."""

MEET_S = 0.02
"""How much of both sounds is compared where they meet."""

LARGEST_MOVE_COST = 0.05
"""A move by the largest distance must raise the correlation by this much."""

MAX_JOIN_SHIFT_S = 0.15
"""How far from the path's jump two segments may be joined."""

LOUDNESS_WEIGHT = 0.5
"""How much correlation a join may lose to lie in silence instead of the loudest sound."""

LEVEL_S = 0.3
LEVEL_RELEASE_S = 1.0
"""A level correction fades out over this time from the edge it belongs to."""

MAX_LEVEL_DB = 4.0
FULL_LEAD_DIFFERENCE = 0.5
"""From this difference on the whole lead is used; unrelated sounds differ by 1."""

MIN_LEAD_S = 0.003
LEAD_CONTEXT_S = 0.25
"""How much context a continuation gets; it may use less."""


@dataclass(frozen=True, slots=True)
class Segment:
    """Kept audio that is heard over ``target``; in the window it lies ``lag`` frames later.

    It may be read from ``home`` only, a stretch of kept audio.
    """

    target: Span
    lag: int
    home: Span

    def reach(self) -> Span:
        """Return the frames of the target for which there is kept audio."""
        return self.home.shifted(-self.lag)


def segments_of(window: Window, span: Span, runs: Sequence[Run]) -> tuple[Segment, ...]:
    """Return the segments that fill a span when the given runs are followed."""
    stretches = kept_stretches(window)
    ends = [run.target for run in runs[1:]] + [span.end]
    segments = []
    for run, end in zip(runs, ends, strict=True):
        home = next(stretch for stretch in stretches if stretch.start <= run.node < stretch.end)
        segments.append(Segment(Span(run.target, end), run.source - run.target, home))
    return tuple(segments)


def align_segments(
    window: Window, span: Span, segments: Sequence[Segment], slide_s: float, step: OnFraction
) -> tuple[Segment, ...]:
    """Move segments by up to ``slide_s`` until their waveforms agree with their neighbours.

    The first segment is moved to agree with the sound before the span, the last with the sound
    after it, a single one with both. Those between follow each other.
    """
    slide = round(slide_s * window.sample_rate)
    reach = max(1, round(ALIGN_S * window.sample_rate))
    context = _surroundings(window, span)
    moved: list[Segment] = []
    for index, segment in enumerate(segments):
        step(0.2 + 0.3 * index / len(segments))
        scores = -LARGEST_MOVE_COST * np.abs(np.arange(-slide, slide + 1)) / max(slide, 1)
        if index == 0:
            near = Span(max(context.start, span.start - reach), span.start)
            scores += _agreement(window, near, 0, segment, slide)
        if index == len(segments) - 1:
            near = Span(span.end, min(context.end, span.end + reach))
            scores += _agreement(window, near, 0, segment, slide)
        elif index > 0:
            before = moved[-1]
            start, end = before.reach().start, before.reach().end
            middle = segment.target.start
            near = Span(max(start, middle - reach // 2), min(end, middle + reach // 2))
            scores += _agreement(window, near, before.lag, segment, slide)
        moved.append(replace(segment, lag=segment.lag + int(np.argmax(scores)) - slide))
    return tuple(moved)


def _surroundings(window: Window, span: Span) -> Span:
    """Return the stretch of the window that is kept around a span, including the span."""
    stretches = kept_stretches(window)
    start = next((kept.start for kept in stretches if kept.end == span.start), span.start)
    end = next((kept.end for kept in stretches if kept.start == span.end), span.end)
    return Span(start, end)


def _agreement(window: Window, near: Span, lag: int, segment: Segment, slide: int) -> Float64Array:
    """Return the correlation of a segment, moved by -slide to slide frames, with other audio.

    Parameters
    ----------
    near, lag
        The frames of the target where both are compared, and how much later the other
        audio stands in the window.

    Returns
    -------
    ndarray of float64, shape (2 * slide + 1,)
        Correlation over all channels, -1 to 1; -2 where the segment has no audio.
    """
    scores = np.zeros(2 * slide + 1)
    reach = segment.reach()
    low, high = -slide, slide
    # Moving by m needs the segment's audio m frames later.
    near = Span(max(near.start, reach.start + slide), min(near.end, reach.end - slide))
    if near.length < 16:
        return scores
    other = window.audio[:, near.start + lag : near.end + lag].astype(np.float64)
    own = window.audio[:, near.start + segment.lag + low : near.end + segment.lag + high].astype(
        np.float64
    )
    other -= other.mean(axis=1, keepdims=True)
    size = scipy.fft.next_fast_len(own.shape[1], real=True)
    spectrum = scipy.fft.rfft(own, size) * np.conj(scipy.fft.rfft(other, size))
    products = scipy.fft.irfft(spectrum, size).sum(axis=0)[: 2 * slide + 1]
    energy = _running_sum(np.sum(own**2, axis=0), near.length)
    sums = np.array([_running_sum(row, near.length) for row in own])
    energy = energy - np.sum(sums**2, axis=0) / near.length
    scale = np.sqrt(np.maximum(energy, 1e-12) * max(float(np.sum(other**2)), 1e-12))
    return np.asarray(products / scale)


def _running_sum(values: Float64Array, length: int) -> Float64Array:
    """Return the sums of every ``length`` neighbours."""
    total = np.concatenate(([0.0], np.cumsum(values)))
    return np.asarray(total[length:] - total[:-length])


def mismatch(window: Window, span: Span, segments: Sequence[Segment]) -> float:
    """Return how badly waveforms meet at both edges of a span.

    Returns
    -------
    float
        Power of the differences over the sum of powers: 0 where both edges continue,
        1 where the sounds are unrelated or one is silent, 2 where they are opposed.
    """
    context = _surroundings(window, span)
    reach = max(1, round(MEET_S * window.sample_rate))
    before = Span(max(context.start, span.start - reach), span.start)
    after = Span(span.end, min(context.end, span.end + reach))
    edges = ((before, segments[0]), (after, segments[-1]))
    misses = [_miss(window, near, segment) for near, segment in edges if near.length > 0]
    return sum(misses) / len(misses) if misses else 0.0


def _miss(window: Window, near: Span, segment: Segment) -> float:
    reach = segment.reach()
    near = Span(max(near.start, reach.start), min(near.end, reach.end))
    if near.length <= 0:
        return 1.0
    context = window.audio[:, near.start : near.end]
    return _difference(context, window.audio[:, near.start + segment.lag : near.end + segment.lag])


def _difference(one: Audio, other: Audio) -> float:
    """Return the power of the difference over the sum of powers, 0 for silence in both."""
    powers = [
        float(np.sum(np.square(each, dtype=np.float64))) for each in (one, other, one - other)
    ]
    return powers[2] / (powers[0] + powers[1]) if powers[0] + powers[1] > 0 else 0.0


def join_segments(
    window: Window, span: Span, segments: Sequence[Segment], join_s: float, step: OnFraction
) -> Passage:
    """Lay segments end to end, each joined to the next where both agree.

    Parameters
    ----------
    join_s
        How long two segments overlap.

    Returns
    -------
    Passage
        Covers the span, and goes beyond it where the outer segments have kept audio.
    """
    rate = window.sample_rate
    beyond = round(MAX_BEYOND_S * rate)
    start = min(span.start, max(span.start - beyond, segments[0].reach().start))
    end = max(span.end, min(span.end + beyond, segments[-1].reach().end))
    audio = np.empty((window.audio.shape[0], end - start), dtype=np.float32)
    written = start
    for index, segment in enumerate(segments):
        step(0.5 + 0.5 * index / len(segments))
        if index + 1 == len(segments):
            audio[:, written - start :] = _read(window, segment, Span(written, end))
            break
        join = _best_join(
            window, written=written, segment=segment, following=segments[index + 1], join_s=join_s
        )
        audio[:, written - start : join.start - start] = _read(
            window, segment, Span(written, join.start)
        )
        if join.length > 0:
            mix = crossfade(_read(window, segment, join), _read(window, segments[index + 1], join))
            audio[:, join.start - start : join.end - start] = mix.audio
        written = join.end
    _level(window, span, segments, audio, start)
    return Passage(start, audio)


def _read(window: Window, segment: Segment, target: Span) -> Audio:
    """Return a segment's audio; beyond the ends of its home, the home is mirrored."""
    source = target.shifted(segment.lag)
    home = segment.home
    if source.start >= home.start and source.end <= home.end:
        return window.audio[:, source.start : source.end]
    index = np.arange(source.start, source.end) - home.start
    period = max(2 * (home.length - 1), 1)
    index = np.abs(index) % period
    index = np.minimum(np.minimum(index, period - index), home.length - 1)
    return window.audio[:, home.start + index]


def _best_join(
    window: Window, *, written: int, segment: Segment, following: Segment, join_s: float
) -> Span:
    """Return the frame at which to go from one segment to the next.

    Where the waveforms agree, the level neither dips nor swells. Where the sound is quiet, no
    note is cut off.
    """
    rate = window.sample_rate
    fade = max(1, min(round(join_s * rate), following.target.length // 2))
    search = min(round(MAX_JOIN_SHIFT_S * rate), following.target.length // 2)
    middle = following.target.start - fade // 2
    low = max(written, middle - search, following.reach().start)
    high = min(middle + search, segment.reach().end - fade, following.target.end - fade)
    if high < low:
        at = min(max(written, middle), following.target.end - fade)
        return Span(at, at + fade)
    both = Span(low, high + fade)
    old = _read(window, segment, both).astype(np.float64)
    new = _read(window, following, both).astype(np.float64)
    old_energy = _running_sum(np.sum(old**2, axis=0), fade)
    new_energy = _running_sum(np.sum(new**2, axis=0), fade)
    energy = np.maximum(old_energy, 0) + np.maximum(new_energy, 0)
    product = _running_sum(np.sum(old * new, axis=0), fade)
    likeness = 2 * product / np.maximum(energy, 1e-12)
    loudness = np.sqrt(energy / max(float(energy.max()), 1e-12))
    at = low + int(np.argmax(likeness - LOUDNESS_WEIGHT * loudness))
    return Span(at, at + fade)


def _level(
    window: Window, span: Span, segments: Sequence[Segment], audio: Audio, start: int
) -> None:
    """Bring both ends of a passage to the level of their context, in place."""
    rate = window.sample_rate
    context = _surroundings(window, span)
    reach = round(LEVEL_S * rate)
    before = Span(max(context.start, span.start - reach), span.start)
    after = Span(span.end, min(context.end, span.end + reach))
    left = _level_gap_db(window, before, segments[0])
    right = _level_gap_db(window, after, segments[-1])
    if left == 0 and right == 0:
        return
    release = max(1.0, min(span.length, LEVEL_RELEASE_S * rate))
    place = np.arange(start, start + audio.shape[1])
    from_left = np.clip(1 - (place - span.start) / release, 0, 1)
    from_right = np.clip(1 - (span.end - place) / release, 0, 1)
    audio *= (10 ** ((left * from_left + right * from_right) / 20)).astype(np.float32)


def lead_in(window: Window, span: Span, passage: Passage, lead_s: float) -> Passage:
    """Let the sound at both edges ring on into a passage while the new sound fades in.

    Held notes that change within the few milliseconds of a splice are heard as a cut. Over a
    tenth of a second, one note is heard to fade into another.

    Parameters
    ----------
    lead_s
        How long the old sound takes to give way, in seconds.
    """
    frames = min(round(lead_s * window.sample_rate), span.length // 4)
    if frames == 0:
        return passage
    context = _surroundings(window, span)
    reach = round(LEAD_CONTEXT_S * window.sample_rate)
    audio = passage.audio.copy()
    left, right = span.start - passage.start, span.end - passage.start
    before = window.audio[:, max(context.start, span.start - reach) : span.start]
    after = window.audio[:, span.end : min(context.end, span.end + reach)][:, ::-1]
    _lead(
        context=before,
        past=audio[:, :left],
        audio=audio[:, left:right],
        frames=frames,
        sample_rate=window.sample_rate,
    )
    _lead(
        context=after,
        past=audio[:, right:][:, ::-1],
        audio=audio[:, left:right][:, ::-1],
        frames=frames,
        sample_rate=window.sample_rate,
    )
    return replace(passage, audio=audio)


def _lead(*, context: Audio, past: Audio, audio: Audio, frames: int, sample_rate: int) -> None:
    """Let a context ring on into audio, in place: the less, the more the audio's past is alike."""
    if context.shape[1] == 0:
        return
    compared = min(context.shape[1], past.shape[1], round(MEET_S * sample_rate))
    if compared > 0:
        miss = _difference(context[:, -compared:], past[:, -compared:])
        least = round(MIN_LEAD_S * sample_rate)
        frames = min(frames, max(least, round(frames * miss / FULL_LEAD_DIFFERENCE)))
    lead = continuation(context, frames, sample_rate)
    audio[:, :frames] = crossfade(lead, audio[:, :frames]).audio


def _level_gap_db(window: Window, near: Span, segment: Segment) -> float:
    """Return how much louder the context is than the segment where both exist, in dB."""
    reach = segment.reach()
    near = Span(max(near.start, reach.start), min(near.end, reach.end))
    if near.length < round(LEVEL_S * window.sample_rate) // 4:
        return 0.0
    context = window.audio[:, near.start : near.end]
    own = window.audio[:, near.start + segment.lag : near.end + segment.lag]
    powers = (float(np.mean(np.square(part, dtype=np.float64))) for part in (context, own))
    wanted, given = powers
    if min(wanted, given) < 1e-10:
        return 0.0
    return float(np.clip(10 * np.log10(wanted / given), -MAX_LEVEL_DB, MAX_LEVEL_DB))
