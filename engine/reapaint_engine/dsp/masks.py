"""Masks as spans and as arrays, and the kept stretches between them."""

from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np

from reapaint_engine.protocol.arrays import Mask
from reapaint_engine.protocol.spans import Span


def mask_from_spans(spans: Iterable[Span], frames: int) -> Mask:
    """Return the mask array of some spans.

    Parameters
    ----------
    spans
        In any order; they may overlap.
    frames
        The window's length, in frames.

    Returns
    -------
    numpy.ndarray
        Shape (frames,), bool.

    Raises
    ------
    ValueError
        A span lies outside the window.
    """
    mask = np.zeros(frames, dtype=np.bool_)
    for span in spans:
        if not 0 <= span.start <= span.end <= frames:
            raise ValueError(f"{span} lies outside a window of {frames} frames")
        mask[span.start : span.end] = True
    return mask


def spans_from_mask(mask: Mask) -> tuple[Span, ...]:
    """Return the stretches where a mask is True, in the order of time.

    Parameters
    ----------
    mask
        Shape (frames,), bool.
    """
    padded = np.zeros(mask.size + 2, dtype=np.int8)
    padded[1:-1] = mask
    turns = np.flatnonzero(np.diff(padded)).tolist()
    return tuple(Span(start, end) for start, end in zip(turns[0::2], turns[1::2], strict=True))


def grow_to_grid(spans: Sequence[Span], grid_frames: int, frames: int) -> tuple[Span, ...]:
    """Return spans moved outward to multiples of a grid, so that whole cells are masked.

    Parameters
    ----------
    spans
        In the order of time.
    grid_frames
        The frames of one cell, such as a model's latent frame.
    frames
        The window's length, which need not be a multiple of the grid: its last cell
        may be a short one.

    Returns
    -------
    tuple of Span
        In the order of time. Spans that meet by growing become one.
    """
    grown = (
        Span(
            span.start // grid_frames * grid_frames,
            min(-(-span.end // grid_frames) * grid_frames, frames),
        )
        for span in spans
    )
    return merge_spans(grown)


def merge_spans(spans: Iterable[Span]) -> tuple[Span, ...]:
    """Return spans of the same frames, in the order of time, that neither overlap nor touch."""
    merged: list[Span] = []
    for span in sorted(spans):
        if merged and span.start <= merged[-1].end:
            merged[-1] = Span(merged[-1].start, max(merged[-1].end, span.end))
        else:
            merged.append(span)
    return tuple(merged)


def kept_stretches(spans: Sequence[Span], frames: int) -> tuple[Span, ...]:
    """Return the stretches before, between and after spans: the context.

    Parameters
    ----------
    spans
        In the order of time, without overlaps.
    frames
        How many frames exist; a span may begin or end after them.

    Returns
    -------
    tuple of Span
        Without empty ones: a span at the very start has nothing before it.
    """
    edges = [Span(0, 0), *spans, Span(frames, frames)]
    between = (Span(before.end, min(after.start, frames)) for before, after in pairwise(edges))
    return tuple(stretch for stretch in between if stretch.length > 0)
