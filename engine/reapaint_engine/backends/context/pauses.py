"""The pauses of speech, as the only context of a gap in it.

A word that is missing can't be made from other words: their pieces would be babble.
What a listener expects where nobody speaks is the room, and the room is heard in the
pauses.
"""

from dataclasses import replace

import numpy as np

from reapaint_engine.backends.base import Window
from reapaint_engine.backends.context.features import Features
from reapaint_engine.protocol.spans import Span

QUIET_PERCENTILE = 5
ABOVE_QUIET_DB = 8.0
"""A pause is this near to the quietest steps ..."""
BELOW_LOUD_DB = 15.0
"""... and this far below the loudest, or it is speech as well."""
SHORTEST_S = 0.1
"""A shorter pause is the stop of a consonant."""
MARGIN_S = 0.02
"""Not taken from a pause's ends, where words begin and die away."""
LEAST_S = 0.2
"""Pauses needed altogether to know the room from them."""


def pauses_only(window: Window, features: Features) -> Window | None:
    """Return the window with all but its pauses masked.

    Parameters
    ----------
    window
        What is heard.
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
    if length < LEAST_S * window.sample_rate:
        return None
    edges = [0, *(edge for pause in pauses for edge in (pause.start, pause.end)), window.frames]
    masks = (Span(start, end) for start, end in zip(edges[::2], edges[1::2], strict=True))
    return replace(window, spans=tuple(mask for mask in masks if mask.length > 0))


def _pauses(features: Features) -> list[Span]:
    """Return the runs of quiet steps, in frames, without their ends."""
    quiet_db, loud_db = np.percentile(features.level_db, [QUIET_PERCENTILE, 95])
    quiet = features.level_db < min(quiet_db + ABOVE_QUIET_DB, loud_db - BELOW_LOUD_DB)
    same = np.diff(features.stretch) == 0
    margin = round(MARGIN_S * features.sample_rate)
    shortest = round(SHORTEST_S * features.sample_rate)
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
