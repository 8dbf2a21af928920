"""What happens in a clip: where it sounds, its events, and whether it goes on evenly."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from reapaint_engine.dsp.masks import merge_spans, spans_from_mask
from reapaint_engine.protocol.arrays import Audio, BoolArray, Float64Array
from reapaint_engine.protocol.spans import Span

FRAME_S = 0.01
SILENCE_DB = -80.0
"""What is not louder is no sound, whatever a file's name says."""

BELOW_PEAK_DB = 50.0
"""What lies further below the loudest moment is the silence before and after it."""

CORE_BELOW_PEAK_DB, CORE_OVER_FLOOR_DB = 30.0, 10.0
"""An event is where the sound is louder than both, ..."""

EDGE_OVER_FLOOR_DB = 4.0
"""... and goes on until it sinks into the clip's own noise."""

FLOOR_PERCENTILE = 10
LONGEST_ATTACK_S = 0.3
"""Rising longer than this is no attack."""

PAUSE_S = 1.0
"""After a longer pause begins another performance: libraries hold several in a file."""

EVEN_WINDOW_S = 0.2
EVEN_RANGE_DB = 25.0
"""Pauses, so far below the loudest, say nothing about how loud a sound usually is."""

EVEN_DB = 9.0
EVEN_SHARE = 0.8
EVEN_TREND_DB = 8.0
"""A sound is sustained if so much of it is within this of its usual level, and if its
last third is no quieter than its first by more: a gong rings long, but it dies away."""

LEAST_EVEN_SHARE = 0.5
"""Fades take less than this much of a sustained sound; what fades all the time is none."""

GAP_DB = 14.0
"""How deep the quietest tenth of a sustained sound may lie. Measured: ambience, machines,
vinyl and drum loops 2 to 10, an orchestra 11; speech 17 and 34, a tabla 23, a clock 25."""

SHORTEST_SUSTAINED_S = 1.0
EDGE_DB = 6.0
"""At its ends a sustained sound must be this near to its usual level: fades are cut off."""


@dataclass(frozen=True, slots=True)
class Event:
    """One sound: from where it rises to where it has died away; ``onset`` is its attack."""

    span: Span
    onset: int


@dataclass(frozen=True, slots=True)
class Clip:
    """A clip as it is used.

    ``sustained`` is the part that goes on evenly, or None. ``performances`` are what is
    to be heard as one, each with its events in the order of time; at least one.
    """

    audio: Audio
    sample_rate: int
    sustained: Span | None
    performances: tuple[tuple[Event, ...], ...]


def describe_clip(audio: Audio, sample_rate: int) -> Clip | None:
    """Say what happens in a clip; None if it is silent.

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
    sounding = np.flatnonzero(levels > max(peak - BELOW_PEAK_DB, SILENCE_DB))
    first, last = int(sounding[0]), int(sounding[-1]) + 1
    events = [
        Event(_in_frames(span, frame, audio.shape[1]), min(onset * frame, audio.shape[1]))
        for span, onset in _events(levels, first, last)
    ]
    return Clip(
        audio=audio,
        sample_rate=sample_rate,
        sustained=_sustained(levels, first=first, last=last, frame=frame, frames=audio.shape[1]),
        performances=_performances(events, round(PAUSE_S * sample_rate)),
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
    # Where nothing is quiet there is no floor to speak of: all of it is the event.
    floor = floor if floor < peak - 2 * CORE_OVER_FLOOR_DB else SILENCE_DB
    core = levels > max(peak - CORE_BELOW_PEAK_DB, floor + CORE_OVER_FLOOR_DB)
    edge = levels > max(peak - BELOW_PEAK_DB, floor + EDGE_OVER_FLOOR_DB)
    core[:first] = core[last:] = edge[:first] = edge[last:] = False
    cores = spans_from_mask(core)
    longest = round(LONGEST_ATTACK_S / FRAME_S)
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
    """Return the even part of a sound, or None where it is no such sound."""
    width = round(EVEN_WINDOW_S / FRAME_S)
    if (last - first) * FRAME_S < SHORTEST_SUSTAINED_S:
        return None
    powers = 10 ** (levels[first:last] / 10)
    smooth = 10 * np.log10(np.convolve(powers, np.ones(width) / width, mode="valid"))
    heard = smooth[smooth > np.percentile(smooth, 95) - EVEN_RANGE_DB]
    usual = float(np.median(heard))
    near = np.flatnonzero(np.abs(smooth - usual) <= EDGE_DB)
    begin, end = int(near[0]), int(near[-1]) + 1
    inside = smooth[begin:end]
    if inside.size < LEAST_EVEN_SHARE * smooth.size:
        return None
    if np.percentile(levels[first + begin : first + end], FLOOR_PERCENTILE) < usual - GAP_DB:
        return None
    third = max(1, inside.size // 3)
    trend = float(np.median(inside[:third]) - np.median(inside[-third:]))
    is_even = float(np.mean(np.abs(inside - usual) <= EVEN_DB)) >= EVEN_SHARE
    span = Span((first + begin) * frame, min((first + end + width - 1) * frame, frames))
    is_long = span.length >= SHORTEST_SUSTAINED_S / FRAME_S * frame
    return span if is_even and is_long and trend <= EVEN_TREND_DB else None


def _in_frames(span: Span, frame: int, frames: int) -> Span:
    return Span(span.start * frame, min(span.end * frame, frames))
