"""Convert a window's spans and passages to another sample rate."""

from math import gcd

import numpy as np

from reapaint_engine.dsp.resampling import resample, resampled_frames
from reapaint_engine.protocol.arrays import Audio
from reapaint_engine.protocol.spans import Span

EDGE_FRAMES = 256
"""How far a passage's outermost samples are repeated while it is resampled. Otherwise the
filter would ring after the step to silence; it rings for less than this."""


def span_at_rate(span: Span, from_rate: int, to_rate: int, frames: int) -> Span:
    """Return the span at another rate, rounded outward so that it covers the selection.

    Parameters
    ----------
    span
        Not empty, in frames at ``from_rate``.
    from_rate, to_rate
        In Hz.
    frames
        The window's length in frames at ``to_rate``; the span stays within it and has
        at least one frame.
    """
    start = span.start * to_rate // from_rate
    end = -(-span.end * to_rate // from_rate)
    # A rounded window may be shorter than its last frame's span: keep one frame of it.
    return Span(max(min(start, frames - 1), 0), min(end, frames))


def spans_at_rate(
    spans: tuple[Span, ...], from_rate: int, to_rate: int, window_frames: int
) -> tuple[Span, ...]:
    """Return all spans at another rate; ``window_frames`` counts at ``from_rate``."""
    frames = resampled_frames(window_frames, from_rate, to_rate)
    return tuple(span_at_rate(span, from_rate, to_rate, frames) for span in spans)


def passage_at_rate(
    audio: Audio, *, start: int, from_rate: int, to_rate: int, wanted: Span
) -> Audio:
    """Return the part of a passage that lies in a span at another rate.

    A passage that begins between two frames of the other rate is not moved to the nearest one:
    its sound keeps its position to a fraction of a frame.

    Parameters
    ----------
    audio
        Shape (channels, frames), float32, at ``from_rate``.
    start
        The window's frame, at ``from_rate``, that the passage begins at.
    from_rate, to_rate
        In Hz, as ``resample`` takes them.
    wanted
        What to return, in frames of the window at ``to_rate``.

    Returns
    -------
    numpy.ndarray
        Shape (channels, wanted frames), float32, at ``to_rate``. C-contiguous, but for
        equal rates: they give a view.

    Raises
    ------
    ValueError
        The passage doesn't cover the span.
    """
    end = start + audio.shape[1]
    if start * to_rate > wanted.start * from_rate or end * to_rate < wanted.end * from_rate:
        raise ValueError(
            f"a passage from frame {start} to {end} at {from_rate} Hz does not cover"
            f" {wanted} at {to_rate} Hz"
        )
    if from_rate == to_rate:
        return audio[:, wanted.start - start : wanted.end - start]
    # Only frames that are whole at both rates can be counted in either.
    period = from_rate // gcd(from_rate, to_rate)
    # The filter is as long in frames of the slower rate.
    edge = EDGE_FRAMES * max(from_rate // to_rate, 1)
    shared = (start - edge) // period * period
    padded = np.pad(audio, ((0, 0), (start - shared, edge)), mode="edge")
    offset = wanted.start - shared * to_rate // from_rate
    resampled = resample(padded, from_rate, to_rate)
    return np.ascontiguousarray(resampled[:, offset : offset + wanted.length])
