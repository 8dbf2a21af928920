"""Make a clip as long as a span: extend it, or place it over the background."""

import numpy as np
import scipy

from reapaint_engine.backends.base import Window
from reapaint_engine.backends.context.ambience import fill_ambience
from reapaint_engine.backends.context.analysis import Character, analyse
from reapaint_engine.backends.context.features import kept_stretches
from reapaint_engine.backends.context.similar import fill_similar
from reapaint_engine.backends.library.events import Clip, Event, levels_db
from reapaint_engine.dsp.channels import map_channels
from reapaint_engine.dsp.crossfades import crossfade, fade_in_gains
from reapaint_engine.dsp.levels import level_db
from reapaint_engine.dsp.resampling import resample
from reapaint_engine.protocol.arrays import Audio
from reapaint_engine.protocol.progress import OnFraction
from reapaint_engine.protocol.spans import Span

JOIN_S = 0.05
"""Length of the crossfade from a clip to its continuation."""

MAX_CORRELATION_DIFFERENCE = 0.02
"""Places whose correlation is this near to the best fit equally well."""

MIN_LOOP_S = 0.2
"""A shorter sound says nothing about its texture; it is repeated unchanged."""

EDGE_S = 0.06
"""An event keeps this distance from the span's edges, where old and new audio are mixed and
compared."""

FADE_IN_S, SHORTEST_FADE_IN_S = 0.005, 0.0005
FADE_OUT_S = 0.05
MAX_CUT_FADE_S = 0.5
"""A sound that was cut off fades out over this time, or a third of its length."""

NEAR_S = 2.0
"""The level of the surroundings is measured over this much on each side."""

LOUD_S = 0.05
"""An event's level is that of its loudest stretch of this length."""

MIN_OLD_EVENT_DB = 12.0
"""Old sound counts as an event if it is this much louder than its surroundings usually are."""

OLD_ONSET_DB = 15.0
"""The attack of an old event is where it first comes this near to its loudest moment."""

MIN_FOREGROUND_DB = 10.0
OVER_BACKGROUND_DB = 20.0
"""A new event is as loud as the events around it. Where there is only background, it is this
much louder than that, or keeps the clip's own level if that is less."""

MAX_GAIN_DB = 24.0
SILENT_CONTEXT_DB = -90.0
MAX_RAISED_PEAK = 0.97
"""Gains stop at this peak; an event that was louder in its file stays so."""


def at_window(audio: Audio, sample_rate: int, window: Window) -> Audio:
    """Return a clip at the window's rate and channel count.

    A mono clip is placed in the middle of a stereo window. In a window with more channels, a
    clip with fewer is placed where the surroundings are.

    Parameters
    ----------
    audio
        The clip, shape (clip channels, clip frames), float32.
    sample_rate
        The clip's rate, in Hz.
    window
        The window whose rate and channels the result has.

    Returns
    -------
    numpy.ndarray
        Shape (channels, frames), float32: ``window``'s channels, and as long as the clip.
        Where neither rate nor channels differ it is ``audio`` itself.
    """
    audio = resample(audio, sample_rate, window.sample_rate)
    channels, wanted = audio.shape[0], window.audio.shape[0]
    if channels == wanted:
        return audio
    if wanted == 2 and channels == 1:
        return np.repeat(audio, 2, axis=0)
    if channels < wanted:
        kept = [window.audio[:, each.start : each.end] for each in kept_stretches(window)]
        context = np.concatenate([window.audio[:, :0], *kept], axis=1)
        return map_channels(context, channels).from_backend(audio)
    folded = np.zeros((wanted, audio.shape[1]), dtype=np.float32)
    for channel, samples in enumerate(audio):
        folded[channel % wanted] += samples
    return folded * np.float32(wanted / channels)


def fill_with_loop(
    clip: Clip,
    window: Window,
    span: Span,
    *,
    variation: int,
    match_level: bool,
    rng: np.random.Generator,
    step: OnFraction,
) -> Audio:
    """Fill a span with a sustained sound: a part of the clip, extended where it is too short.

    Parameters
    ----------
    clip
        At the window's rate and channel count.
    variation
        Chooses a part of a longer clip.
    match_level
        Whether to bring it to the level of the sound around the span.

    Returns
    -------
    numpy.ndarray
        Shape (channels, span.length), float32.
    """
    first, last = clip.performances[0][0], clip.performances[-1][-1]
    part = clip.sustained or Span(first.span.start, last.span.end)
    source = clip.audio[:, part.start : part.end]
    if part.length >= span.length:
        start = variation % (part.length // span.length) * span.length
        audio = source[:, start : start + span.length]
    else:
        audio = _continue(source, span.length, rate=window.sample_rate, rng=rng, step=step)
    own_db, wanted_db = level_db(audio), _level_around(window, span)
    if not match_level or wanted_db is None:
        return np.ascontiguousarray(audio)
    gain_db = min(wanted_db - own_db, MAX_GAIN_DB)
    return audio * np.float32(10 ** (gain_db / 20))


def fill_with_event(
    clip: Clip,
    window: Window,
    span: Span,
    *,
    variation: int,
    match_level: bool,
    rng: np.random.Generator,
    step: OnFraction,
) -> Audio:
    """Fill a span with the surroundings' background, with one event over it.

    The event is where the span's old sound stood out, so that a slam replaces a slam in time;
    otherwise it is at the beginning. An event that is too long is cut between its parts.

    Parameters
    ----------
    clip
        At the window's rate and channel count.
    variation
        Chooses one of the clip's performances.
    match_level
        Whether to make it as loud as the old event, or as the events around.

    Returns
    -------
    numpy.ndarray
        Shape (channels, span.length), float32.
    """
    rate = window.sample_rate
    audio = fill_ambience(window, span, rng, step).copy()
    edge = min(round(EDGE_S * rate), span.length // 8)
    events = clip.performances[variation % len(clip.performances)]
    piece = _piece(clip.audio, events, span.length - 2 * edge, rate)
    old = _old_event(window, span)
    at = edge
    if old is not None:
        attack = min(events[0].onset - events[0].span.start, piece.shape[1])
        at = max(edge, min(old[0] - attack, span.length - edge - piece.shape[1]))
    if match_level:
        wanted_db = old[1] if old is not None else _event_level(window, span)
        piece = _at_level(piece, wanted_db, rate)
    audio[:, at : at + piece.shape[1]] += piece
    return audio


def _continue(
    source: Audio, frames: int, *, rate: int, rng: np.random.Generator, step: OnFraction
) -> Audio:
    """Return a sound followed by more of its kind, ``frames`` long altogether."""
    length = source.shape[1]
    if length < MIN_LOOP_S * rate:
        return np.tile(source, -(-frames // length))[:, :frames]
    join = min(round(JOIN_S * rate), length // 4)
    known = source[:, : length - join]
    gap = Span(length - join, frames)
    window = Window(
        audio=np.pad(known, ((0, 0), (0, gap.length))),
        sample_rate=rate,
        spans=(gap,),
        audio_frames=known.shape[1],
    )
    character = analyse(window, gap, lambda share: step(0.2 * share)).character
    if character is Character.TONAL:
        return _repeat(source, frames, join, rng)
    # Steady noise is synthesised; sound with a beat or a shape is continued by passages.
    make = fill_ambience if character is Character.NOISE else fill_similar
    more = make(window, gap, rng, lambda share: step(0.2 + 0.8 * share))
    joined = crossfade(source[:, length - join :], more[:, :join]).audio
    return np.concatenate([known, joined, more[:, join:]], axis=1)


def _repeat(source: Audio, frames: int, join: int, rng: np.random.Generator) -> Audio:
    """Repeat a tone: each repeat begins where the waveform fits its end best.

    Among places that fit equally well one is drawn, so that the repeats form no beat.

    Notes
    -----
    Synchronised overlap-add (S. Roucos and A. Wilgus, ICASSP 1985).
    """
    audio = np.empty((source.shape[0], frames), dtype=np.float32)
    length = source.shape[1]
    fits = _likeness(source, source[:, length - join :])[: max(1, length // 2)]
    places = np.flatnonzero(fits >= fits.max() - MAX_CORRELATION_DIFFERENCE)
    audio[:, :length] = source
    written = length
    while written < frames:
        place = int(rng.choice(places))
        more = source[:, place : place + join + frames - written]
        overlap = audio[:, written - join : written]
        overlap[:] = crossfade(overlap, more[:, :join]).audio
        audio[:, written : written + more.shape[1] - join] = more[:, join:]
        written += more.shape[1] - join
    return audio


def _likeness(source: Audio, end: Audio) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Return the correlation of every place in a sound with an end, -1 to 1."""
    products = np.zeros(source.shape[1] - end.shape[1] + 1)
    energies = np.zeros_like(products)
    ones = np.ones(end.shape[1])
    for whole, part in zip(source.astype(np.float64), end.astype(np.float64), strict=True):
        products += scipy.signal.oaconvolve(whole, part[::-1], mode="valid")
        energies += scipy.signal.oaconvolve(np.square(whole), ones, mode="valid")
    power = float(np.square(end, dtype=np.float64).sum())
    return np.asarray(products / np.sqrt(np.maximum(energies * power, 1e-20)))


def _piece(audio: Audio, events: tuple[Event, ...], room: int, rate: int) -> Audio:
    """Cut a performance to as many whole events as there is room for, at least one."""
    start = events[0].span.start
    fitting = [event.span.end for event in events if event.span.end - start <= room]
    end = fitting[-1] if fitting else start + max(room, 1)
    piece = audio[:, start:end].copy()
    frames = piece.shape[1]
    shortest = round(SHORTEST_FADE_IN_S * rate)
    rise = max(shortest, min(round(FADE_IN_S * rate), events[0].onset - start))
    fall = round(FADE_OUT_S * rate) if fitting else round(MAX_CUT_FADE_S * rate)
    rise, fall = min(rise, frames // 3), min(fall, frames // 3)
    piece[:, :rise] *= fade_in_gains(rise).astype(np.float32)
    piece[:, frames - fall :] *= fade_in_gains(fall)[::-1].astype(np.float32)
    return piece


def _old_event(window: Window, span: Span) -> tuple[int, float] | None:
    """Return the position of the old sound's attack in the span, and its level, or None."""
    rate = window.sample_rate
    old = window.audio[:, span.start : min(span.end, window.audio_frames)]
    around = _levels_around(window, span, round(0.01 * rate))
    frame = max(1, round(0.01 * rate))
    if old.shape[1] < frame or around.size == 0:
        return None
    levels = levels_db(old, frame)
    if levels.max() < max(float(np.median(around)) + MIN_OLD_EVENT_DB, SILENT_CONTEXT_DB):
        return None
    onset = int(np.argmax(levels >= levels.max() - OLD_ONSET_DB)) * frame
    return onset, _loudest_db(old, rate)


def _event_level(window: Window, span: Span) -> float | None:
    """Return how loud an event may be here; None where nothing is kept to compare."""
    around = _levels_around(window, span, round(LOUD_S * window.sample_rate))
    if around.size == 0 or float(around.max()) <= SILENT_CONTEXT_DB:
        return None
    usual, loudest = (float(value) for value in np.percentile(around, [50, 99]))
    return loudest if loudest >= usual + MIN_FOREGROUND_DB else usual + OVER_BACKGROUND_DB


def _at_level(piece: Audio, wanted_db: float | None, rate: int) -> Audio:
    if wanted_db is None:
        return piece
    gain = 10 ** (min(wanted_db - _loudest_db(piece, rate), MAX_GAIN_DB) / 20)
    peak = float(np.abs(piece).max(initial=0.0))
    if gain > 1:
        gain = min(gain, max(1.0, MAX_RAISED_PEAK / max(peak, 1e-9)))
    return piece * np.float32(gain)


def _loudest_db(audio: Audio, rate: int) -> float:
    return float(levels_db(audio, max(1, round(LOUD_S * rate))).max(initial=-120.0))


def _near(window: Window, span: Span) -> list[Audio]:
    reach = round(NEAR_S * window.sample_rate)
    parts = []
    for kept in kept_stretches(window):
        start, end = max(kept.start, span.start - reach), min(kept.end, span.end + reach)
        if start < end:
            parts.append(window.audio[:, start:end])
    return parts


def _levels_around(
    window: Window, span: Span, frame: int
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    parts = [levels_db(part, max(1, frame)) for part in _near(window, span)]
    return np.concatenate([np.zeros(0), *parts])


def _level_around(window: Window, span: Span) -> float | None:
    """Return the level of the kept audio near a span; None where it is silence or empty."""
    parts = _near(window, span)
    level = level_db(np.concatenate(parts, axis=1)) if parts else SILENT_CONTEXT_DB
    return level if level > SILENT_CONTEXT_DB else None
