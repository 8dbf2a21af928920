"""Put new audio in the place of a span."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from reapaint_engine.dsp.crossfades import crossfade
from reapaint_engine.dsp.declick import declick
from reapaint_engine.dsp.extrapolation import continuation, follows_on
from reapaint_engine.dsp.levels import match_level as matched
from reapaint_engine.dsp.levels import settle_level
from reapaint_engine.dsp.seams import measure_seam, neighbourhood_frames
from reapaint_engine.protocol.arrays import Audio, is_finite
from reapaint_engine.protocol.spans import Span

MIN_CROSSFADES_PER_SPAN = 4
"""A span is at least this many times as long as a crossfade, so that half of it is all new."""

HARD = "hard"
"""Law of a seam without a crossfade: none was asked for, or there is no room for one."""

CONTINUOUS = "continuous"
"""Law of a seam without a crossfade: the new audio already continues the context."""


class Levelling(StrEnum):
    """How far new audio is brought to the level of what is beside it."""

    MATCH = "match"
    """The new audio is levelled as a whole and at its edges."""

    SETTLE = "settle"
    """Only the edges are levelled: an event beside the span must not change the whole."""

    LEAVE = "leave"
    """The new audio keeps its level."""


@dataclass(frozen=True, slots=True)
class Seam:
    """The result at one edge of the span.

    ``frame`` is the first frame after the edge, in the window. ``law`` names how old and new
    were joined over ``crossfade_frames``; ``correlation`` is that of both there.
    """

    frame: int
    law: str
    crossfade_frames: int
    correlation: float
    level_step_db: float
    click_ratio: float


@dataclass(frozen=True, slots=True)
class Splice:
    """The patch for the span, and its seams. A seam is None where nothing is beside the edge."""

    patch: Audio
    left: Seam | None
    right: Seam | None


@dataclass(frozen=True, slots=True)
class _Join:
    """The first frames of new audio, joined to the audio before them.

    ``is_as_it_was`` is True where the join begins with the original, or must not be smoothed.
    """

    head: Audio
    law: str
    correlation: float
    is_as_it_was: bool = False

    @property
    def frames(self) -> int:
        return int(self.head.shape[1])


def splice(
    window_audio: Audio,
    audio_frames: int,
    span: Span,
    new_audio: Audio,
    *,
    sample_rate: int,
    crossfade_frames: int,
    levelling: Levelling = Levelling.MATCH,
    continuous: bool = False,
    within: Span | None = None,
) -> Splice:
    """Return the patch that replaces a span, joined to the audio on both sides.

    The crossfades lie inside the span, so nothing outside changes. They start from the original
    audio where it continues its context naturally: then the edge frame is the original's. Where
    it doesn't (it holds the unwanted sound, or does not exist), they start from a continuation
    of the context. If the seam still clicks, the first milliseconds are replaced.

    Parameters
    ----------
    window_audio
        Shape (channels, at least audio_frames), float32: context and masks.
    audio_frames
        How many frames of the window exist in the source.
    span
        What is replaced, in frames of the window; not empty.
    new_audio
        Shape (channels, span.length), float32.
    sample_rate
        In Hz.
    crossfade_frames
        The length of each crossfade, at most a quarter of the span; 0 joins hard. An
        edge with nothing beside it has none.
    levelling
        How far the new audio is brought to its surroundings' level.
    continuous
        The new audio already meets its context sample by sample: it is left at its
        level, and joined without a crossfade where the original isn't natural.
    within
        The frames that count as this span's surroundings, where other spans are near;
        by default the whole window.

    Raises
    ------
    ValueError
        The new audio has another shape than the span, or a sample that is not finite.
    """
    _check(window_audio, span, new_audio)
    within = within or Span(0, window_audio.shape[1])
    # A span that begins after the source's end has nothing before it to join.
    before = window_audio[:, within.start : span.start if span.start <= audio_frames else 0]
    original = window_audio[:, span.start : min(span.end, audio_frames)]
    after = window_audio[:, span.end : min(within.end, audio_frames)]
    if continuous:
        levelling = Levelling.LEAVE
    is_matched = levelling is Levelling.MATCH
    patch = matched(new_audio, before, after, sample_rate) if is_matched else new_audio.copy()
    fade = min(crossfade_frames, span.length // MIN_CROSSFADES_PER_SPAN)
    left = _join(
        before,
        original=original,
        new_audio=patch,
        fade=fade,
        sample_rate=sample_rate,
        continuous=continuous,
    )
    right = _join(
        after[:, ::-1],
        original=original[:, ::-1],
        new_audio=patch[:, ::-1],
        fade=fade,
        sample_rate=sample_rate,
        continuous=continuous,
    )
    if left is not None:
        patch[:, : left.frames] = left.head
    if right is not None:
        patch[:, span.length - right.frames :] = right.head[:, ::-1]
    if levelling is not Levelling.LEAVE:
        _settle(patch, before, sample_rate)
        _settle(patch[:, ::-1], after[:, ::-1], sample_rate)
    _declick(left, before=before, patch=patch, after=after, sample_rate=sample_rate)
    _declick(
        right,
        before=after[:, ::-1],
        patch=patch[:, ::-1],
        after=before[:, ::-1],
        sample_rate=sample_rate,
    )
    return Splice(
        patch=patch,
        left=_seam(
            left, span.start, preceding=(before,), following=(patch, after), sample_rate=sample_rate
        ),
        right=_seam(
            right, span.end, preceding=(before, patch), following=(after,), sample_rate=sample_rate
        ),
    )


def _check(window_audio: Audio, span: Span, new_audio: Audio) -> None:
    wanted = (window_audio.shape[0], span.length)
    if new_audio.shape != wanted:
        raise ValueError(f"new audio of shape {new_audio.shape} can't fill a span of {wanted}")
    if not is_finite(new_audio):
        raise ValueError("the new audio holds samples that are not finite numbers")


def _join(
    context: Audio,
    *,
    original: Audio,
    new_audio: Audio,
    fade: int,
    sample_rate: int,
    continuous: bool,
) -> _Join | None:
    """Return new audio joined to the context before it; None where there is none."""
    if context.shape[1] == 0:
        return None
    head = new_audio[:, :fade]
    if fade == 0:
        law = CONTINUOUS if continuous else HARD
        return _Join(head=head, law=law, correlation=0.0, is_as_it_was=True)
    lead = original[:, :fade]
    is_natural = lead.shape[1] == fade and follows_on(context, lead, sample_rate)
    if not is_natural:
        if continuous:
            return _Join(head=head[:, :0], law=CONTINUOUS, correlation=0.0)
        lead = continuation(context, fade, sample_rate)
    mixed = crossfade(lead, head)
    return _Join(mixed.audio, mixed.law, mixed.correlation, is_as_it_was=is_natural)


def _settle(patch: Audio, before: Audio, sample_rate: int) -> None:
    head = settle_level(patch, before, sample_rate)
    patch[:, : head.shape[1]] = head


def _declick(
    join: _Join | None, *, before: Audio, patch: Audio, after: Audio, sample_rate: int
) -> None:
    """Remove the click that is left where old and new audio don't meet."""
    if join is not None and not join.is_as_it_was:
        head = declick(before, patch, after, sample_rate)
        patch[:, : head.shape[1]] = head


def _seam(
    join: _Join | None,
    frame: int,
    *,
    preceding: tuple[Audio, ...],
    following: tuple[Audio, ...],
    sample_rate: int,
) -> Seam | None:
    """Measure an edge in a copy of its neighbourhood only."""
    if join is None:
        return None
    reach = neighbourhood_frames(sample_rate)
    before = np.concatenate([piece[:, -reach:] for piece in preceding], axis=1)[:, -reach:]
    after = np.concatenate([piece[:, :reach] for piece in following], axis=1)[:, :reach]
    around = np.concatenate((before, after), axis=1)
    figures = measure_seam(around, before.shape[1], sample_rate)
    return Seam(
        frame=frame,
        law=join.law,
        crossfade_frames=join.frames,
        correlation=join.correlation,
        level_step_db=figures.level_step_db,
        click_ratio=figures.click_ratio,
    )
