"""Fills a span with passages of its own recording that fit there: music, rhythm, events.

Where to take them from is decided on a coarse description (``paths``), the same for
all channels. Here the chosen runs are moved by up to a step until their waveforms
agree with what they meet, joined where they agree best, and brought to the level of
the span's surroundings.
"""

from dataclasses import dataclass

import numpy as np

from reapaint_engine.backends.base import Passage, Window
from reapaint_engine.backends.context.analysis import Analysis, Character, analyse
from reapaint_engine.backends.context.features import kept_stretches
from reapaint_engine.backends.context.paths import Routes, Weights, find_routes, walk
from reapaint_engine.backends.context.segments import (
    aligned,
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
        What counts when moments are compared.
    echo_s
        How long after it was heard a passage is still heard as the same again.
    slide_s
        How far a passage may be moved into phase, in seconds.
    join_s
        How long two passages are heard together.
    lead_s
        How long what sounds at the edges rings on into the fill; 0 leaves that to the
        splice's own crossfade.
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
    # The ear hears a beat 10 ms off, and a stroke that a fade has blunted.
    Character.RHYTHMIC: Manner(
        Weights(mel=1.0, chroma=0.2, onset=1.0), echo_s=1.0, slide_s=0.007, join_s=0.02, lead_s=0.01
    ),
}
OTHERWISE = Manner(
    Weights(mel=1.0, chroma=0.4, onset=0.4), echo_s=2.0, slide_s=0.015, join_s=0.025, lead_s=0.0
)
CHANCE = 0.15
"""How much a way to go may seem dearer or cheaper to one take than to another."""
NEAR_BEST = 0.6
"""Entries this much dearer than the best still serve as other takes."""
MIN_TAKES = 4
TRIED = 16
"""Entries whose waveforms are tried."""
MISMATCH_COST = 1.0
"""What two edges cost at which waveforms are unrelated."""
OFFSET_S = 0.02
"""Where nothing sounds, a constant offset is measured over this."""


@dataclass(frozen=True, slots=True, eq=False)
class SimilarPlan:
    """What all takes of one span share.

    ``routes`` is None where nothing sounds; ``entries`` are the nodes at which a take may
    begin, best first.
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
    manner = MANNERS.get(analysis.character, OTHERWISE)
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
        What all takes share.
    variation
        Which take: neighbouring numbers begin at other places of the context.
    rng
        What else is left to chance.
    step
        Called between pieces of work with the share that is done, 0 to 1.
    """
    if plan.routes is None:
        return Passage(plan.span.start, _level_line(plan.window, plan.span))
    entry = plan.entries[variation % len(plan.entries)]
    runs = walk(plan.routes, entry, rng, CHANCE)
    step(0.2)
    segments = segments_of(plan.window, plan.span, runs)
    manner = MANNERS.get(plan.analysis.character, OTHERWISE)
    segments = aligned(plan.window, plan.span, segments, manner.slide_s, step)
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
    """Return where takes begin: those that fit in outline, the best waveforms first."""
    rng = np.random.default_rng(0)
    costs = []
    for index, entry in enumerate(routes.entries[:TRIED]):
        step(0.9 + 0.1 * index / TRIED)
        segments = segments_of(window, span, walk(routes, int(entry), rng, 0.0))
        segments = aligned(window, span, segments, manner.slide_s, lambda _: None)
        costs.append(routes.entry_costs[index] + MISMATCH_COST * mismatch(window, span, segments))
    order = np.argsort(costs, kind="stable")
    good = int(np.sum(np.asarray(costs) <= min(costs) + NEAR_BEST))
    count = min(max(good, MIN_TAKES), len(costs))
    return tuple(int(routes.entries[index]) for index in order[:count])


def _level_line(window: Window, span: Span) -> Audio:
    """Return silence that goes from one side's constant offset to the other's."""
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
