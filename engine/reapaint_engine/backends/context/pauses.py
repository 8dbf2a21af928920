"""Find the pauses of speech, the only context of a gap in it.

A missing word can't be made from other words: their pieces would be babble. Where nobody speaks
a listener expects the sound of the room, which is heard in the pauses.
"""

from dataclasses import replace

import numpy as np

from reapaint_engine.backends.base import Window
from reapaint_engine.backends.context.features import Features
from reapaint_engine.protocol.spans import Span

QUIET_PERCENTILE = 5
MAX_ABOVE_QUIET_DB = 8.0
"""A pause is no louder than the quietest steps by more than this."""

MIN_BELOW_LOUD_DB = 15.0
"""A pause is at least this much quieter than the loudest steps; else it is speech."""

MIN_PAUSE_S = 0.1
"""A shorter pause is the stop of a consonant."""

MARGIN_S = 0.02
"""This much is left out at a pause's ends, where words begin and die away."""

MIN_TOTAL_PAUSES_S = 0.2
"""Pauses must have this length altogether, or they don't show what the room sounds like."""


def pauses_only(window: Window, features: Features) -> Window | None:
    """Return the window with all but its pauses masked.

    Parameters
    ----------
    window
        The audio and its spans.
    features
        The description of its kept audio around the span to be filled.

    Returns
    -------
    Window or None
        Its spans cover the given window's spans and all speech. None where there are
        too few pauses.
    """
    pauses = _pauses(features)
    length = sum(pause.length for pause in pauses)
    if length < MIN_TOTAL_PAUSES_S * window.sample_rate:
        return None
    edges = [0, *(edge for pause in pauses for edge in (pause.start, pause.end)), window.frames]
    masks = (Span(start, end) for start, end in zip(edges[::2], edges[1::2], strict=True))
    return replace(window, spans=tuple(mask for mask in masks if mask.length > 0))


def _pauses(features: Features) -> list[Span]:
    """Return the runs of quiet steps, in frames, without their margins."""
    quiet_db, loud_db = np.percentile(features.level_db, [QUIET_PERCENTILE, 95])
    quiet = features.level_db < min(quiet_db + MAX_ABOVE_QUIET_DB, loud_db - MIN_BELOW_LOUD_DB)
    same = np.diff(features.stretch) == 0
    margin = round(MARGIN_S * features.sample_rate)
    shortest = round(MIN_PAUSE_S * features.sample_rate)
    pauses, start = [], None
    for index in range(features.steps):
        begins = index == 0 or not (quiet[index - 1] and same[index - 1])
        if quiet[index] and begins:
            start = index
        ends = index + 1 == features.steps or not (quiet[index + 1] and same[index])
        if quiet[index] and ends and start is not None:
            first, last = int(features.starts[start]), int(features.starts[index]) + features.hop
            if last - first >= shortest:
                pauses.append(Span(first + margin, last - margin))
    return pauses
