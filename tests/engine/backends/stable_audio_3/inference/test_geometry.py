"""A window on the latent grid."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reapaint_engine.backends.stable_audio_3.inference.geometry import (
    HEADROOM_S,
    LatentPlan,
    plan_latents,
)
from reapaint_engine.errors import JobError
from reapaint_engine.protocol.spans import Span

HOP = 4096
RATE = 44100
SMALL_FRAMES = 5_292_032


def _plan(*spans: Span, frames: int, max_frames: int = SMALL_FRAMES) -> LatentPlan:
    return plan_latents(spans, frames, hop=HOP, sample_rate=RATE, max_frames=max_frames)


def test_the_grid_begins_at_the_selection() -> None:
    plan = _plan(Span(10 * HOP + 100, 20 * HOP), frames=40 * HOP)
    assert plan.heard == Span(100, 40 * HOP)
    assert plan.masks == (Span(10, 20),)
    assert plan.kept == (Span(0, 10), Span(20, 40))


def test_a_short_mask_does_not_vanish() -> None:
    plan = _plan(Span(100, 101), frames=10 * HOP)
    assert plan.heard.start == 0
    assert plan.masks == (Span(0, 1),)


def test_spans_that_meet_on_the_grid_are_one_mask() -> None:
    plan = _plan(Span(5 * HOP, 6 * HOP + 1), Span(6 * HOP + 50, 8 * HOP), frames=12 * HOP)
    assert plan.masks == (Span(5, 8),)
    assert plan.mask_of(Span(6 * HOP + 50, 8 * HOP)) == Span(6, 8)


def test_there_is_headroom_after_the_window() -> None:
    plan = _plan(Span(5 * HOP, 6 * HOP), frames=100 * HOP)
    assert plan.heard_latents == 100
    assert (plan.latents - 1) * HOP >= 100 * HOP + HEADROOM_S * RATE - 2 * HOP
    assert plan.latents % 2 == 0


def test_too_much_context_is_shared_by_both_sides() -> None:
    frames = 60 * RATE
    span = Span(30 * RATE, 31 * RATE)
    plan = _plan(span, frames=frames, max_frames=(20 + 6) * RATE)
    assert plan.heard.length <= 20 * RATE
    assert plan.heard.length > 19 * RATE
    left, right = span.start - plan.heard.start, plan.heard.end - span.end
    assert abs(left - right) <= HOP
    near_start = _plan(Span(RATE, 2 * RATE), frames=frames, max_frames=(20 + 6) * RATE)
    assert near_start.heard.start < HOP
    assert near_start.heard.length > 19 * RATE


def test_a_selection_that_is_too_long_is_refused() -> None:
    with pytest.raises(JobError) as caught:
        _plan(Span(0, 30 * RATE), frames=40 * RATE, max_frames=20 * RATE)
    assert caught.value.code == "too_large"
    assert "30.0 s" in caught.value.message


@given(
    edges=st.lists(st.integers(0, 100_000), min_size=2, max_size=8, unique=True),
    frames=st.integers(100_000, 400_000),
    max_frames=st.integers(100_000 + round(HEADROOM_S * RATE), 800_000),
)
def test_no_frame_of_a_span_is_kept_and_no_mask_vanishes(
    edges: list[int], frames: int, max_frames: int
) -> None:
    edges.sort()
    spans = [Span(*pair) for pair in zip(edges[::2], edges[1::2], strict=False)]
    plan = _plan(*spans, frames=frames, max_frames=max_frames)
    assert 0 <= plan.heard.start <= spans[0].start
    assert spans[-1].end <= plan.heard.end <= frames
    assert plan.heard_latents <= plan.latents <= max_frames // HOP
    for span in spans:
        mask = plan.mask_of(span)
        assert mask.length > 0
        assert plan.heard.start + mask.start * HOP <= span.start
        assert plan.heard.start + mask.end * HOP >= min(span.end, plan.heard.end)
        assert any(each.start <= mask.start and mask.end <= each.end for each in plan.masks)
    for kept in plan.kept:
        for frame in (plan.heard.start + kept.start * HOP, plan.heard.start + kept.end * HOP - 1):
            assert not any(span.start <= frame < span.end for span in spans)
