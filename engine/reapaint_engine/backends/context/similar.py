"""Fill a span with passages of its own recording that fit there: music, rhythm, events.

``paths`` chooses the passages by a coarse description, the same for all channels. Here the
chosen runs are moved by up to a step until their waveforms agree with their neighbours. Then
they are joined where they agree best and brought to the level of the span's surroundings.
"""

from dataclasses import dataclass

import numpy as np

from reapaint_engine.backends.base import Passage, Window
from reapaint_engine.backends.context.analysis import Analysis, Character, analyse
from reapaint_engine.backends.context.features import kept_stretches
from reapaint_engine.backends.context.paths import Routes, Weights, find_routes, walk
from reapaint_engine.backends.context.segments import (
    align_segments,
    join_segments,
    lead_in,
    mismatch,
    segments_of,
)
from reapaint_engine.protocol.arrays import Audio
from reapaint_engine.protocol.progress import OnFraction
from reapaint_engine.protocol.spans import Span


@dataclass(frozen=True, slots=True)
class Manner:
    """How passages of one kind of sound are compared and joined.

    Attributes
    ----------
    weights
        The weights for comparing moments.
    echo_s
        For how long a repeated passage is recognised as the same.
    slide_s
        How far a passage may be moved into phase, in seconds.
    join_s
        How long two passages overlap.
    lead_s
        How long the sound at the edges rings on into the fill; with 0, only the splice's
        own crossfade does this.
    """

    weights: Weights
    echo_s: float
    slide_s: float
    join_s: float
    lead_s: float


MANNERS = {
    Character.TONAL: Manner(
        Weights(mel=0.6, chroma=1.0, onset=0.3), echo_s=4.0, slide_s=0.015, join_s=0.08, lead_s=0.15
    ),
    # A beat that is 10 ms off is heard, and so is a stroke that a fade has blunted.
    Character.RHYTHMIC: Manner(
        Weights(mel=1.0, chroma=0.2, onset=1.0), echo_s=1.0, slide_s=0.007, join_s=0.02, lead_s=0.01
    ),
}
OTHER_MANNER = Manner(
    Weights(mel=1.0, chroma=0.4, onset=0.4), echo_s=2.0, slide_s=0.015, join_s=0.025, lead_s=0.0
)
"""The manner for every other kind of sound."""

RANDOM_COST = 0.15
"""The cost of each way changes by up to this at random, so that takes differ."""

MAX_EXTRA_COST = 0.6
"""Entries that cost at most this much more than the best still serve as other takes."""

MIN_TAKES = 4
MAX_TRIED_ENTRIES = 16
"""The waveforms of this many entries are compared."""

MISMATCH_COST = 1.0
"""Cost of two edges at which waveforms are unrelated."""

OFFSET_S = 0.02
"""In silence, a constant offset is measured over this long."""


@dataclass(frozen=True, slots=True, eq=False)
class SimilarPlan:
    """The plan that all takes of one span share.

    ``routes`` is None where there is only silence; ``entries`` are the nodes at which a take
    may begin, best first.
    """

    window: Window
    span: Span
    analysis: Analysis
    routes: Routes | None
    entries: tuple[int, ...] = ()


def plan_similar(window: Window, span: Span, analysis: Analysis, step: OnFraction) -> SimilarPlan:
    """Find where passages for a span can come from.

    Parameters
    ----------
    window, span
        The span of the window to fill; only kept audio is read.
    analysis
        What the context is.
    step
        Called between pieces of work with the share that is done, 0 to 1.
    """
    if analysis.character is Character.SILENT:
        return SimilarPlan(window, span, analysis, None)
    manner = MANNERS.get(analysis.character, OTHER_MANNER)
    routes = find_routes(
        analysis.features,
        span,
        manner.weights,
        echo_s=manner.echo_s,
        beat_s=analysis.beat_s,
        beat_confidence=analysis.beat_confidence,
        step=step,
    )
    return SimilarPlan(window, span, analysis, routes, _entries(window, span, routes, manner, step))


def fill_planned(
    plan: SimilarPlan, variation: int, rng: np.random.Generator, step: OnFraction
) -> Passage:
    """Fill a span once.

    Parameters
    ----------
    plan
        The plan that all takes share.
    variation
        Which take: neighbouring numbers begin at other places of the context.
    rng
        Draws all other random choices.
    step
        Called between pieces of work with the share that is done, 0 to 1.
    """
    if plan.routes is None:
        return Passage(plan.span.start, _level_line(plan.window, plan.span))
    entry = plan.entries[variation % len(plan.entries)]
    runs = walk(plan.routes, entry, rng, RANDOM_COST)
    step(0.2)
    segments = segments_of(plan.window, plan.span, runs)
    manner = MANNERS.get(plan.analysis.character, OTHER_MANNER)
    segments = align_segments(plan.window, plan.span, segments, manner.slide_s, step)
    passage = join_segments(plan.window, plan.span, segments, manner.join_s, step)
    return lead_in(plan.window, plan.span, passage, manner.lead_s)


def fill_similar(window: Window, span: Span, rng: np.random.Generator, step: OnFraction) -> Audio:
    """Fill a span of a window once, at its exact length.

    Returns
    -------
    ndarray of float32, shape (channels, span.length)
    """
    analysis = analyse(window, span, lambda share: step(0.4 * share))
    plan = plan_similar(window, span, analysis, lambda share: step(0.4 + 0.4 * share))
    passage = fill_planned(plan, 0, rng, lambda share: step(0.8 + 0.2 * share))
    begin = span.start - passage.start
    return np.ascontiguousarray(passage.audio[:, begin : begin + span.length])


def _entries(
    window: Window, span: Span, routes: Routes, manner: Manner, step: OnFraction
) -> tuple[int, ...]:
    """Return where takes begin: entries of low cost, those with the best waveforms first."""
    rng = np.random.default_rng(0)
    costs = []
    for index, entry in enumerate(routes.entries[:MAX_TRIED_ENTRIES]):
        step(0.9 + 0.1 * index / MAX_TRIED_ENTRIES)
        segments = segments_of(window, span, walk(routes, int(entry), rng, 0.0))
        segments = align_segments(window, span, segments, manner.slide_s, lambda _: None)
        costs.append(routes.entry_costs[index] + MISMATCH_COST * mismatch(window, span, segments))
    order = np.argsort(costs, kind="stable")
    good = int(np.sum(np.asarray(costs) <= min(costs) + MAX_EXTRA_COST))
    count = min(max(good, MIN_TAKES), len(costs))
    return tuple(int(routes.entries[index]) for index in order[:count])


def _level_line(window: Window, span: Span) -> Audio:
    """Return silence whose constant offset changes from one side's to the other's."""
    reach = max(1, round(OFFSET_S * window.sample_rate))
    near = [
        window.audio[:, max(run.start, run.end - reach) : run.end]
        for run in kept_stretches(window)
        if run.end == span.start
    ] + [
        window.audio[:, run.start : min(run.end, run.start + reach)]
        for run in kept_stretches(window)
        if run.start == span.end
    ]
    line = np.zeros((window.audio.shape[0], span.length), dtype=np.float32)
    if near:
        first, last = (side.mean(axis=1, keepdims=True) for side in (near[0], near[-1]))
        share = ((np.arange(span.length) + 0.5) / span.length).astype(np.float32)
        line += first + (last - first) * share
    return line
