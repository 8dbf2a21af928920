"""Which windows of a file an engine needs to hear to repaint its selections."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from reapaint.errors import BridgeCode, InputError
from reapaint_engine.protocol.errors import PIECE_BY_PIECE
from reapaint_engine.protocol.messages import BackendInfo
from reapaint_engine.protocol.spans import Span, seconds_to_frames

MIN_DEFAULT_CONTEXT_S = 5.0
"""Each side has at least this much context, and as much as the selection is long."""
MIN_CONTEXT_S = 0.05
"""Less would leave nothing to join to; where the file has more, it is taken."""


@dataclass(frozen=True, slots=True)
class WindowPlan:
    """One job's window: ``start`` counts frames of the file, ``spans`` those of the window.

    ``frames`` exceeds ``audio_frames`` where the last span reaches past the file's end.
    """

    start: int
    frames: int
    audio_frames: int
    spans: tuple[Span, ...]


def merge_selections(selections: Sequence[Span]) -> tuple[Span, ...]:
    """Return selections in the order of time; those that touch become one.

    Raises
    ------
    InputError
        ``invalid_time``: two of them overlap.
    """
    merged: list[Span] = []
    for selection in sorted(selections):
        if merged and selection.start < merged[-1].end:
            raise InputError(
                BridgeCode.INVALID_TIME,
                "Two selections overlap.",
                hint="Give each stretch of time once.",
            )
        if merged and selection.start == merged[-1].end:
            merged[-1] = Span(merged[-1].start, selection.end)
        else:
            merged.append(selection)
    return tuple(merged)


def plan_windows(
    selections: Sequence[Span],
    *,
    file_frames: int,
    sample_rate: int,
    context_s: float | None,
    backend: BackendInfo,
) -> tuple[WindowPlan, ...]:
    """Return one window for every group of selections that hear the same context.

    Parameters
    ----------
    selections
        In frames of the file, in order, apart; the last may reach past its end.
    file_frames, sample_rate
        The file's length, and its rate in Hz.
    context_s
        Context on each side in seconds; None = as long as the selection, at least 5 s,
        and more where the backend prefers a longer window.
    backend
        Its limits bound the window.

    Raises
    ------
    InputError
        ``invalid_time``: a selection is too long for the backend.
    """
    context = [_context_frames(span, context_s, sample_rate) for span in selections]
    max_frames = seconds_to_frames(backend.max_window_s, sample_rate)
    # Who asks for a certain context gets no more than that.
    preferred_s = backend.preferred_window_s if context_s is None else 0.0
    preferred = min(seconds_to_frames(preferred_s, sample_rate), max_frames)
    max_span = min(seconds_to_frames(backend.max_span_s, sample_rate), max_frames)
    for span in selections:
        if span.length > max_span:
            raise InputError(
                BridgeCode.INVALID_TIME,
                f"A selection of {span.length / sample_rate:.1f} s is longer than the"
                f" {max_span / sample_rate:.1f} s that {backend.name} can repaint at once.",
                hint=PIECE_BY_PIECE,
            )
    groups = _group(selections, context, max_frames)
    plans = []
    for index, group in enumerate(groups):
        # A neighbouring selection is about to be replaced: it is nobody's context.
        low = groups[index - 1][-1][0].end if index else 0
        high = groups[index + 1][0][0].start if index + 1 < len(groups) else file_frames
        within = Span(low, max(high, group[-1][0].end))
        heard = _lengthen(_heard(group, within, max_frames), within, preferred)
        plans.append(_plan(group, heard, file_frames))
    return tuple(plans)


def _context_frames(span: Span, context_s: float | None, sample_rate: int) -> int:
    if context_s is None:
        return max(span.length, seconds_to_frames(MIN_DEFAULT_CONTEXT_S, sample_rate))
    return seconds_to_frames(max(context_s, MIN_CONTEXT_S), sample_rate)


_Group = list[tuple[Span, int]]


def _group(selections: Sequence[Span], context: Sequence[int], max_frames: int) -> list[_Group]:
    groups: list[_Group] = [[(selections[0], context[0])]]
    pairs = itertools.pairwise(zip(selections, context, strict=True))
    for (before, before_context), (after, after_context) in pairs:
        contexts_meet = before.end + before_context >= after.start - after_context
        fits = after.end - groups[-1][0][0].start <= max_frames
        if contexts_meet and fits:
            groups[-1].append((after, after_context))
        else:
            groups.append([(after, after_context)])
    return groups


def _heard(group: _Group, within: Span, max_frames: int) -> Span:
    """Return the group's selections with their context, in frames of the file."""
    (first, left_context), (last, right_context) = group[0], group[-1]
    # What the backend can take beyond the selections is shared by both sides; what one
    # side lacks the other may have.
    spare = max_frames - (last.end - first.start)
    left = min(left_context, first.start - within.start)
    right = min(right_context, within.end - last.end)
    if left + right > spare:
        left = max(min(left, spare // 2), spare - right) if right < spare else min(left, spare // 2)
        right = min(right, spare - left)
    return Span(first.start - left, last.end + right)


def _lengthen(heard: Span, within: Span, preferred: int) -> Span:
    """Return a window grown on both sides alike to a length, where the file goes on."""
    missing = max(preferred - heard.length, 0)
    before, after = heard.start - within.start, within.end - heard.end
    left = min(max(missing // 2, missing - after), before)
    right = min(missing - left, after)
    return Span(heard.start - left, heard.end + right)


def _plan(group: _Group, heard: Span, file_frames: int) -> WindowPlan:
    return WindowPlan(
        start=heard.start,
        frames=heard.length,
        audio_frames=min(heard.end, file_frames) - heard.start,
        spans=tuple(span.shifted(-heard.start) for span, _ in group),
    )
