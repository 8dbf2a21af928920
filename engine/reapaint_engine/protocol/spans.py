"""Half-open spans of frames, and the only conversion from seconds to frames."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from reapaint_engine.protocol.errors import ErrorCode, ProtocolError
from reapaint_engine.protocol.integers import Int64


@dataclass(frozen=True, order=True, slots=True)
class Span:
    """Frames ``start <= n < end``."""

    start: Int64
    end: Int64

    @property
    def length(self) -> int:
        """Return the number of frames."""
        return self.end - self.start

    def shifted(self, frames: int) -> "Span":
        """Return the same span counted from another origin."""
        return Span(self.start + frames, self.end + frames)


def seconds_to_frames(seconds: float, sample_rate: int) -> int:
    """Return the frame nearest to a time, with halves rounded up.

    Python's own ``round`` would round every second half down, so that equal selections at
    different places could differ by a frame.

    Parameters
    ----------
    seconds
        A time or a duration in seconds.
    sample_rate
        Frames per second.
    """
    return math.floor(seconds * sample_rate + 0.5)


def span_from_seconds(start_s: float, end_s: float, sample_rate: int) -> Span:
    """Return the span of a selection given in seconds, exact to a frame."""
    return Span(seconds_to_frames(start_s, sample_rate), seconds_to_frames(end_s, sample_rate))


def check_spans(spans: Sequence[Span], frames: int) -> None:
    """Raise ProtocolError if spans are empty, unordered, overlapping or outside ``frames``.

    Spans that touch are refused too: they are one span, and a seam between them would have no
    context to join.

    Raises
    ------
    ProtocolError
        ``invalid_spans``, naming the span.
    """
    if not spans:
        raise ProtocolError(
            ErrorCode.INVALID_SPANS, "No span was given.", hint="Give at least one span to repaint."
        )
    for span in spans:
        if span.length <= 0:
            raise ProtocolError(
                ErrorCode.INVALID_SPANS,
                f"The span from frame {span.start} to {span.end} is empty.",
                hint="Give an end that is at least one frame after the start.",
            )
        if span.start < 0 or span.end > frames:
            raise ProtocolError(
                ErrorCode.INVALID_SPANS,
                f"The span from frame {span.start} to {span.end} lies outside"
                f" the window of {frames} frames.",
                hint="Keep every span inside the window.",
            )
    for before, after in itertools.pairwise(spans):
        if after.start <= before.end:
            raise ProtocolError(
                ErrorCode.INVALID_SPANS,
                f"The spans ending at frame {before.end} and starting at frame {after.start}"
                " overlap, touch or are out of order.",
                hint="Merge them, and give spans in the order of time.",
            )
