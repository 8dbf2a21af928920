"""Find where a clip sounds, its events, and whether it is sustained."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from reapaint_engine.dsp.masks import merge_spans, spans_from_mask
from reapaint_engine.protocol.arrays import Audio, BoolArray, Float64Array
from reapaint_engine.protocol.spans import Span

FRAME_S = 0.01
SILENCE_DB = -80.0
"""A clip that is nowhere louder is silent, whatever the file's name says."""

MAX_BELOW_PEAK_DB = 50.0
"""Sound further below the loudest moment counts as silence before and after the clip."""

CORE_BELOW_PEAK_DB, CORE_OVER_FLOOR_DB = 30.0, 10.0
"""An event's core is less than the first below the loudest moment, and more than the second
over the clip's noise floor."""

EDGE_OVER_FLOOR_DB = 4.0
"""An event extends from its core until its level is this near to the clip's noise floor."""

FLOOR_PERCENTILE = 10
MAX_ATTACK_S = 0.3
"""A longer rise is no attack."""

MIN_PAUSE_S = 1.0
"""After a longer pause another performance begins: libraries have several in a file."""

EVEN_WINDOW_S = 0.2
EVEN_RANGE_DB = 25.0
"""Pauses, which lie further below the loudest moment, don't count towards a sound's usual
level."""

MAX_EVEN_DEVIATION_DB = 9.0
"""Sound this near to its usual level is even."""

MIN_EVEN_SHARE = 0.8
"""At least this share of a sustained sound is even."""

MAX_EVEN_DROP_DB = 8.0
"""The last third of a sustained sound is at most this much quieter than its first: a gong rings
long, but it dies away."""

MIN_UNFADED_SHARE = 0.5
"""Without its fades, at least this share of a sustained sound is left."""

MAX_GAP_DB = 14.0
"""How far the quietest tenth of a sustained sound may lie below its usual level. Measured:
ambience, machines, vinyl and drum loops 2 to 10, an orchestra 11; speech 17 and 34, a tabla 23,
a clock 25."""

MIN_SUSTAINED_S = 1.0
MAX_EDGE_DEVIATION_DB = 6.0
"""At its ends a sustained sound is this near to its usual level: fades are cut off."""


@dataclass(frozen=True, slots=True)
class Event:
    """One sound, from where it rises to where it has died away; ``onset`` is its attack."""

    span: Span
    onset: int


@dataclass(frozen=True, slots=True)
class Clip:
    """The usable parts of a clip.

    ``sustained`` is the even part, or None. ``performances`` are parts to be heard as one, at
    least one, each with its events in the order of time.
    """

    audio: Audio
    sample_rate: int
    sustained: Span | None
    performances: tuple[tuple[Event, ...], ...]


def describe_clip(audio: Audio, sample_rate: int) -> Clip | None:
    """Find the events and the sustained part of a clip; None if it is silent.

    Parameters
    ----------
    audio
        Shape (channels, frames), float32.
    sample_rate
        In Hz.
    """
    frame = max(1, round(FRAME_S * sample_rate))
    levels = levels_db(audio, frame)
    peak = float(levels.max(initial=-np.inf))
    if peak <= SILENCE_DB:
        return None
    sounding = np.flatnonzero(levels > max(peak - MAX_BELOW_PEAK_DB, SILENCE_DB))
    first, last = int(sounding[0]), int(sounding[-1]) + 1
    events = [
        Event(_in_frames(span, frame, audio.shape[1]), min(onset * frame, audio.shape[1]))
        for span, onset in _events(levels, first, last)
    ]
    return Clip(
        audio=audio,
        sample_rate=sample_rate,
        sustained=_sustained(levels, first=first, last=last, frame=frame, frames=audio.shape[1]),
        performances=_performances(events, round(MIN_PAUSE_S * sample_rate)),
    )


def levels_db(audio: Audio, frame: int) -> Float64Array:
    """Return the level of every ``frame`` frames over all channels.

    Parameters
    ----------
    audio
        Shape (channels, frames), float32.
    frame
        How many frames each level is measured over; the last one may be over fewer.

    Returns
    -------
    numpy.ndarray
        In dB of full scale, shape (levels,), float64. Silence is -120 dB.
    """
    starts = np.arange(0, audio.shape[1], frame)
    powers = np.zeros(audio.shape[1])
    for channel in audio:
        powers += np.square(channel, dtype=np.float64)
    counts = np.diff(np.append(starts, audio.shape[1]))
    means = np.add.reduceat(powers, starts) / (counts * audio.shape[0]) if starts.size else powers
    return np.asarray(10 * np.log10(np.maximum(means, 1e-12)))


def _events(levels: Float64Array, first: int, last: int) -> list[tuple[Span, int]]:
    """Return the events between two frames, each with its onset, in levels' frames."""
    heard = levels[first:last]
    peak = float(heard.max())
    floor = float(np.percentile(heard, FLOOR_PERCENTILE))
    # Where nothing is quiet there is no noise floor: the whole sound is the event.
    floor = floor if floor < peak - 2 * CORE_OVER_FLOOR_DB else SILENCE_DB
    core = levels > max(peak - CORE_BELOW_PEAK_DB, floor + CORE_OVER_FLOOR_DB)
    edge = levels > max(peak - MAX_BELOW_PEAK_DB, floor + EDGE_OVER_FLOOR_DB)
    core[:first] = core[last:] = edge[:first] = edge[last:] = False
    cores = spans_from_mask(core)
    longest = round(MAX_ATTACK_S / FRAME_S)
    extents = [_extent(span, edge, longest) for span in cores]
    events = []
    for extent in merge_spans(extents):
        onset = next(span.start for span in cores if span.start >= extent.start)
        events.append((extent, onset))
    return events


def _extent(core: Span, edge: BoolArray, longest_attack: int) -> Span:
    before = np.flatnonzero(~edge[: core.start])
    after = np.flatnonzero(~edge[core.end :])
    start = int(before[-1]) + 1 if before.size else 0
    end = core.end + int(after[0]) if after.size else edge.size
    return Span(max(start, core.start - longest_attack), end)


def _performances(events: list[Event], pause: int) -> tuple[tuple[Event, ...], ...]:
    groups = [[events[0]]]
    for before, event in pairwise(events):
        if event.span.start - before.span.end > pause:
            groups.append([])
        groups[-1].append(event)
    return tuple(tuple(group) for group in groups)


def _sustained(
    levels: Float64Array, *, first: int, last: int, frame: int, frames: int
) -> Span | None:
    """Return the even part of a sound, or None where it isn't sustained."""
    width = round(EVEN_WINDOW_S / FRAME_S)
    if (last - first) * FRAME_S < MIN_SUSTAINED_S:
        return None
    powers = 10 ** (levels[first:last] / 10)
    smooth = 10 * np.log10(np.convolve(powers, np.ones(width) / width, mode="valid"))
    heard = smooth[smooth > np.percentile(smooth, 95) - EVEN_RANGE_DB]
    usual = float(np.median(heard))
    near = np.flatnonzero(np.abs(smooth - usual) <= MAX_EDGE_DEVIATION_DB)
    begin, end = int(near[0]), int(near[-1]) + 1
    inside = smooth[begin:end]
    if inside.size < MIN_UNFADED_SHARE * smooth.size:
        return None
    if np.percentile(levels[first + begin : first + end], FLOOR_PERCENTILE) < usual - MAX_GAP_DB:
        return None
    third = max(1, inside.size // 3)
    trend = float(np.median(inside[:third]) - np.median(inside[-third:]))
    is_even = float(np.mean(np.abs(inside - usual) <= MAX_EVEN_DEVIATION_DB)) >= MIN_EVEN_SHARE
    span = Span((first + begin) * frame, min((first + end + width - 1) * frame, frames))
    is_long = span.length >= MIN_SUSTAINED_S / FRAME_S * frame
    return span if is_even and is_long and trend <= MAX_EVEN_DROP_DB else None


def _in_frames(span: Span, frame: int, frames: int) -> Span:
    return Span(span.start * frame, min(span.end * frame, frames))
