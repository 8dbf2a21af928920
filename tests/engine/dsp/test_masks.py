import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reapaint_engine.dsp.masks import (
    grow_to_grid,
    kept_stretches,
    mask_from_spans,
    merge_spans,
    spans_from_mask,
)
from reapaint_engine.protocol.spans import Span

masks = st.lists(st.booleans(), max_size=200).map(lambda frames: np.array(frames, dtype=np.bool_))


@given(masks)
def test_mask_and_spans_say_the_same(mask):
    assert np.array_equal(mask_from_spans(spans_from_mask(mask), mask.size), mask)


@given(masks)
def test_spans_and_kept_stretches_share_every_frame_once(mask):
    spans = spans_from_mask(mask)
    kept = kept_stretches(spans, mask.size)
    assert np.array_equal(mask_from_spans(kept, mask.size), ~mask)


@given(masks, st.integers(1, 50))
def test_growing_covers_the_selection_with_whole_cells(mask, grid):
    grown = grow_to_grid(spans_from_mask(mask), grid, mask.size)
    grown_mask = mask_from_spans(grown, mask.size)
    assert grown_mask[mask].all()
    for span in grown:
        assert span.start % grid == 0
        assert span.end % grid == 0 or span.end == mask.size
        for cell in range(span.start, span.end, grid):
            assert mask[cell : cell + grid].any()
    assert grown == merge_spans(grown)


def test_spans_that_meet_by_growing_become_one():
    assert grow_to_grid([Span(1, 9), Span(11, 12)], 10, 100) == (Span(0, 20),)


def test_frames_past_the_source_are_not_context():
    assert kept_stretches([Span(0, 5), Span(10, 30)], 20) == (Span(5, 10),)
    assert kept_stretches([Span(25, 30)], 20) == (Span(0, 20),)


def test_a_span_outside_the_window_is_refused():
    with pytest.raises(ValueError, match="outside a window of 10 frames"):
        mask_from_spans([Span(5, 11)], 10)
