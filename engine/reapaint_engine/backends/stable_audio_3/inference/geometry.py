"""Where a window and its spans lie on the model's latent grid."""

from collections.abc import Sequence
from dataclasses import dataclass

from reapaint_engine.errors import JobError
from reapaint_engine.protocol.errors import PIECE_BY_PIECE, ErrorCode
from reapaint_engine.protocol.spans import Span

HEADROOM_S = 6.0
"""The model was trained to end a piece with silence after it; the reference gives it this much."""


@dataclass(frozen=True, slots=True)
class LatentPlan:
    """What of a window the model hears, and which of its latents it makes.

    ``heard`` counts frames of the window; latent 0 begins at its start. ``masks`` are
    the spans in latents, grown outward, so that no frame of a span lies in a kept
    latent and none vanishes. Latents from ``heard_latents`` to ``latents`` are headroom.
    """

    heard: Span
    heard_latents: int
    latents: int
    masks: tuple[Span, ...]
    hop: int

    @property
    def kept(self) -> tuple[Span, ...]:
        """The stretches of latents that stay as they are, in order, without empty ones."""
        edges = [0, *(edge for mask in self.masks for edge in (mask.start, mask.end))]
        edges.append(self.heard_latents)
        pairs = zip(edges[::2], edges[1::2], strict=True)
        return tuple(Span(start, end) for start, end in pairs if end > start)

    def mask_of(self, span: Span) -> Span:
        """Return the latents that a span of the window lies in."""
        return _grow(span.shifted(-self.heard.start), self.hop, self.heard_latents)


def plan_latents(
    spans: Sequence[Span],
    frames: int,
    *,
    hop: int,
    sample_rate: int,
    max_frames: int,
    multiple: int = 2,
) -> LatentPlan:
    """Lay a window on the latent grid.

    Parameters
    ----------
    spans
        To be replaced, in frames of the window, in order.
    frames
        The window's length.
    hop
        Frames of one latent.
    sample_rate
        In Hz.
    max_frames
        The most the model takes, headroom included; a longer window loses context.
    multiple
        Of which the number of latents is one.

    Raises
    ------
    JobError
        ``too_large``: the spans alone are longer than the model takes.
    """
    headroom = round(HEADROOM_S * sample_rate)
    heard = _find_heard(
        spans, frames=frames, max_frames=max_frames - headroom, hop=hop, sample_rate=sample_rate
    )
    heard_latents = -(-heard.length // hop)
    latents = -(-(heard.length + headroom) // hop)
    masks: list[Span] = []
    for span in spans:
        mask = _grow(span.shifted(-heard.start), hop, heard_latents)
        if masks and mask.start <= masks[-1].end:
            mask = Span(masks.pop().start, mask.end)
        masks.append(mask)
    return LatentPlan(
        heard=heard,
        heard_latents=heard_latents,
        latents=min(-(-latents // multiple) * multiple, max_frames // hop),
        masks=tuple(masks),
        hop=hop,
    )


def _grow(span: Span, hop: int, latents: int) -> Span:
    return Span(span.start // hop, min(-(-span.end // hop), latents))


def _find_heard(
    spans: Sequence[Span], *, frames: int, max_frames: int, hop: int, sample_rate: int
) -> Span:
    """Return the frames that the model hears: at most what it takes, around the spans."""
    first, last = spans[0].start, spans[-1].end
    room = max_frames - (last - first)
    if room < 0:
        raise JobError(
            ErrorCode.TOO_LARGE,
            f"The selection spans {(last - first) / sample_rate:.1f} s, and this model makes at"
            f" most {max_frames / sample_rate:.1f} s at once.",
            hint=PIECE_BY_PIECE,
        )
    left, right = first, frames - last
    if left + right > room:
        left = max(min(left, room // 2), room - right)
        right = min(right, room - left)
    start = first - left
    # With the grid beginning at the selection's start nothing before it is made anew.
    shift = left % hop
    if left - shift >= hop:
        start += shift
    return Span(start, last + right)
