"""Cut the part of a window that a service gets: around one span, padded as needed."""

from dataclasses import dataclass

import numpy as np

from reapaint_engine.backends.base import Window
from reapaint_engine.backends.hosted.service import Capabilities
from reapaint_engine.dsp.masks import grow_to_grid
from reapaint_engine.protocol.arrays import Audio
from reapaint_engine.protocol.spans import Span

GRID_FRAMES = 4096
"""Frames in one step of Stable Audio 3, at 44.1 kHz (2.5: half of it). A mask on this grid is
the same however a service rounds it."""


@dataclass(frozen=True, slots=True)
class Section:
    """The part of a window that is sent for one span.

    ``audio`` has shape (channels, frames). Its first frame is frame ``origin`` of the window,
    which is negative where padding was put before the window. ``mask`` is the span that the
    service replaces, ``kept`` the real context around it, both in frames of the section.
    """

    audio: Audio
    origin: int
    mask: Span
    kept: tuple[Span, ...]

    @property
    def frames(self) -> int:
        """Return the section's length."""
        return int(self.audio.shape[1])


class SpanTooLong(Exception):
    """A span is longer than the model takes."""

    def __init__(self, longest_s: float) -> None:
        super().__init__(f"more than {longest_s:g} s")
        self.longest_s = longest_s


def cut_section(window: Window, index: int, takes: Capabilities) -> Section:
    """Return the section that a service gets to fill one span of a window.

    The section ends at the neighbouring spans: their old audio will be replaced, so it is no
    context. A window that is too long is cut around the span. A section that is too short is
    padded with its mirror image, which sounds alike and costs nothing.

    Parameters
    ----------
    window
        At the service's rate.
    index
        The index of the span.
    takes
        The model's capabilities.

    Raises
    ------
    SpanTooLong
        The span alone is longer than the model takes.
    """
    rate = window.sample_rate
    span = window.spans[index]
    heard = _around(window, index, _longest_frames(takes, rate))
    audio = window.audio[:, heard.start : heard.end]
    local = span.shifted(-heard.start)
    lead = -local.start % rate if takes.has_whole_seconds and local.start else 0
    mask = _mask(local.shifted(lead), lead + audio.shape[1], takes, rate)
    trail = _trail(lead + audio.shape[1], mask, takes, rate)
    if local.end == audio.shape[1]:
        # Nothing follows the span, so the padding belongs to it.
        mask = Span(mask.start, lead + audio.shape[1] + trail)
        audio = np.pad(_mirror(audio, lead, 0), ((0, 0), (0, trail)))
    else:
        audio = _mirror(audio, lead, trail)
    real = Span(lead, lead + heard.length)
    kept = (Span(real.start, mask.start), Span(mask.end, real.end))
    return Section(
        audio=np.ascontiguousarray(audio),
        origin=heard.start - lead,
        mask=mask,
        kept=tuple(stretch for stretch in kept if stretch.length > 0),
    )


def _longest_frames(takes: Capabilities, rate: int) -> int:
    # Rounding to whole seconds may need one more at each end.
    return int((takes.max_s - (2.0 if takes.has_whole_seconds else 0.0)) * rate)


def _around(window: Window, index: int, longest: int) -> Span:
    """Return at most so many frames around a span, centred, up to its neighbours."""
    spans, span = window.spans, window.spans[index]
    if span.length > longest:
        raise SpanTooLong(longest / window.sample_rate)
    low = spans[index - 1].end if index else 0
    high = spans[index + 1].start if index + 1 < len(spans) else window.frames
    if high - low <= longest:
        return Span(low, high)
    start = span.start - (longest - span.length) // 2
    start = min(max(start, low), high - longest)
    return Span(start, start + longest)


def _mask(span: Span, frames: int, takes: Capabilities, rate: int) -> Span:
    if takes.has_whole_seconds:
        return Span(span.start, -(-span.end // rate) * rate)
    (mask,) = grow_to_grid((span,), GRID_FRAMES, frames)
    return mask


def _trail(frames: int, mask: Span, takes: Capabilities, rate: int) -> int:
    wanted = max(frames, mask.end, int(np.ceil(takes.min_s * rate)))
    if takes.has_whole_seconds:
        wanted = -(-wanted // rate) * rate
    return wanted - frames


def _mirror(audio: Audio, lead: int, trail: int) -> Audio:
    return np.pad(audio, ((0, 0), (lead, trail)), mode="symmetric")
