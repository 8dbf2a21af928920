"""Classify the kept audio around a span: silence, tones, a beat, speech, noise or events."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import scipy

from reapaint_engine.backends.base import Window
from reapaint_engine.backends.context.features import Features, describe
from reapaint_engine.protocol.arrays import Float32Array, Float64Array
from reapaint_engine.protocol.progress import OnFraction
from reapaint_engine.protocol.spans import Span

MAX_TONAL_FLATNESS = 0.12
"""Tones have at most this median flatness within half octaves: music of held notes and hums has
0.02-0.05, speech 0.15-0.32, drums and ambience 0.40-0.71."""

MAX_SPEECH_FLATNESS = 0.40
ONSET_PERCENTILE = 97
"""High enough for a clock's one stroke in a second, low enough to ignore a lone knock."""

MIN_EVENTFUL_ONSET_DB = 4.4
"""Events have at least this ``ONSET_PERCENTILE`` of the bands' mean rise in 12 ms: held notes
have 0.4-1.5, ambience 0.8-3.9, speech 4.9-6.7, drums and clocks 5.9-22."""

MIN_BEAT_CONFIDENCE = 0.5
"""A beat has at least this mean autocorrelation of the onsets at three multiples of it: loops
and clocks have 0.5-1.0 with 4 s of context, speech 0.10-0.45, ambience 0.04-0.35."""

MIN_SPEECH_RANGE_DB = 15.0
"""Least range of level between a pause and a vowel. Less is a crowd, or speech processed until
it has no pauses."""

BEAT_RANGE_S = (0.25, 1.5)
BEAT_MULTIPLES = (1, 2, 3)
"""The onsets are compared after this many periods of a beat."""

NEAR_BEST_SHARE = 0.95
"""The shortest period is taken whose score is at least this share of the best."""

SILENCE_POWER = 1e-10
"""Below this mean power (-100 dB) a context is silence."""

ACTIVE_PERCENTILE = 30
"""The flatness of quieter steps is ignored: between tones there is hiss."""


class Character(StrEnum):
    """The kinds of context that are filled in different ways."""

    SILENT = "silent"
    TONAL = "tonal"
    RHYTHMIC = "rhythmic"
    SPEECH = "speech"
    NOISE = "noise-like"
    EVENTS = "eventful"
    """Onsets without a beat, and none of the other kinds."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Analysis:
    """The kind of a context, and the measurements that tell it.

    ``beat_s`` is the best period of a beat. ``beat_confidence`` is how much of the onsets
    recurs after it, 0 to 1, and 0 where the context has no beat worth keeping.
    """

    character: Character
    features: Features
    flatness: float
    onset_db: float
    beat_s: float
    beat_confidence: float


def analyse(window: Window, span: Span, step: OnFraction) -> Analysis:
    """Classify the kept audio around a span.

    Parameters
    ----------
    window, span
        Only kept audio is read, the nearest 40 s at most.
    step
        Called between pieces of work with the share that is done, 0 to 1.
    """
    features = describe(window, span, step)
    loud = features.level_db >= np.percentile(features.level_db, ACTIVE_PERCENTILE)
    flatness = float(np.median(features.flatness[loud]))
    onset_db = float(np.percentile(features.onset, ONSET_PERCENTILE))
    beat_s, confidence = find_beat(features)
    character = _character(features, flatness, onset_db, confidence)
    keeps_beat = confidence >= MIN_BEAT_CONFIDENCE and onset_db >= MIN_EVENTFUL_ONSET_DB
    return Analysis(
        character=character,
        features=features,
        flatness=flatness,
        onset_db=onset_db,
        beat_s=beat_s,
        beat_confidence=confidence if keeps_beat else 0.0,
    )


def _character(
    features: Features, flatness: float, onset_db: float, confidence: float
) -> Character:
    """Return the kind of context for the measured values."""
    eventful = onset_db >= MIN_EVENTFUL_ONSET_DB
    if features.mean_power < SILENCE_POWER:
        return Character.SILENT
    if eventful and confidence >= MIN_BEAT_CONFIDENCE:
        return Character.RHYTHMIC
    if flatness < MAX_TONAL_FLATNESS:
        return Character.TONAL
    if not eventful:
        return Character.NOISE
    low, high = np.percentile(features.level_db, [10, 95])
    if flatness < MAX_SPEECH_FLATNESS and high - low >= MIN_SPEECH_RANGE_DB:
        return Character.SPEECH
    return Character.EVENTS


def find_beat(features: Features) -> tuple[float, float]:
    """Return the period of the beat in seconds and how sure it is, 0 to 1.

    The onsets on both sides of the span are compared with themselves across it, so that
    the period fits what comes before and after.

    Returns
    -------
    beat_s, confidence
        Where nothing repeats the period is 0.5 s and the confidence 0.
    """
    likeness = _self_likeness(features)
    shortest, longest = (round(edge / features.hop_s) for edge in BEAT_RANGE_S)
    longest = min(longest, (len(likeness) - 2) // BEAT_MULTIPLES[-1])
    if longest <= shortest:
        return 0.5, 0.0
    periods = np.arange(max(shortest, 2), longest + 1)
    spread = np.max([likeness[:-2], likeness[1:-1], likeness[2:]], axis=0)
    multiples = np.array([spread[times * periods - 1] for times in BEAT_MULTIPLES])
    known = np.isfinite(multiples)
    scores = np.where(known, multiples, 0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    scores[known.sum(axis=0) < 2] = 0
    if scores.max() <= 0:
        return 0.5, 0.0
    # Take the shortest of almost equal ones: its grid contains the others'.
    period = int(periods[np.flatnonzero(scores >= NEAR_BEST_SHARE * scores.max())[0]])
    best = float(np.clip(scores.max(), 0, 1))
    return _refine(likeness, period) * features.hop_s, best


def _self_likeness(features: Features) -> Float32Array:
    """Return the autocorrelation of the onsets by lag in steps.

    Only pairs of kept steps count. It is nan at lags with too few pairs.
    """
    first = int(features.starts[0])
    place = np.round((features.starts - first) / features.hop).astype(np.int64)
    onset = np.minimum(features.onset, np.percentile(features.onset, 99))
    size = int(place[-1]) + 1
    signal, kept = np.zeros(size), np.zeros(size)
    signal[place] = onset - onset.mean()
    kept[place] = 1
    products, pairs = _autocorrelation(signal), _autocorrelation(kept)
    enough = pairs > 0.15 * pairs[0]
    if products[0] <= 1e-12:
        return np.zeros(size, dtype=np.float32)
    mean = np.where(enough, products / np.maximum(pairs, 1), np.nan)
    return np.asarray(mean / (products[0] / pairs[0]), dtype=np.float32)


def _autocorrelation(signal: Float64Array) -> Float64Array:
    """Return the sums of products at every lag."""
    size = scipy.fft.next_fast_len(2 * len(signal), real=True)
    products = scipy.fft.irfft(np.abs(scipy.fft.rfft(signal, size)) ** 2, size)
    return np.asarray(products[: len(signal)], dtype=np.float64)


def _refine(likeness: Float32Array, period: int) -> float:
    """Return a period refined to a fraction of a step by means of its multiples."""
    refined = float(period)
    multiple = 1
    while (multiple + 1) * refined + 3 < len(likeness):
        multiple += 1
        near = round(multiple * refined)
        around = likeness[near - 2 : near + 3]
        if not np.isfinite(around).all() or around.max() < 0.5 * likeness[period]:
            continue
        peak = near - 2 + int(np.argmax(around))
        refined += (_parabola(likeness, peak) / multiple - refined) / 2
    return refined


def _parabola(values: Float32Array, peak: int) -> float:
    """Return where the parabola through a peak and its neighbours is highest."""
    before, at, after = (float(value) for value in values[peak - 1 : peak + 2])
    curve = before - 2 * at + after
    return peak + 0.5 * (before - after) / curve if curve < 0 else float(peak)
