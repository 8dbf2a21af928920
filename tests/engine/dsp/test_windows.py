import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from reapaint_engine.dsp.resampling import resampled_frames
from reapaint_engine.dsp.windows import passage_at_rate, span_at_rate, spans_at_rate
from reapaint_engine.protocol.spans import Span
from tests.scale import SCALE

rates = st.one_of(
    st.sampled_from((8_000, 44_100, 48_000, 96_000, 384_000)), st.integers(8_000, 384_000)
)


@st.composite
def spans_in_windows(draw):
    frames = draw(st.integers(1, 100_000))
    start = draw(st.integers(0, frames - 1))
    return frames, Span(start, draw(st.integers(start + 1, frames)))


@given(spans_in_windows(), rates, rates)
def test_no_frame_of_the_selection_is_left_outside(window, from_rate, to_rate):
    frames, span = window
    moved_frames = max(resampled_frames(frames, from_rate, to_rate), 1)
    moved = span_at_rate(span, from_rate, to_rate, moved_frames)
    assert 0 <= moved.start < moved.end <= moved_frames
    assert moved.start * from_rate <= span.start * to_rate
    assert moved.end * from_rate >= span.end * to_rate or moved.end == moved_frames
    # And no more than a frame is added.
    assert (span.start * to_rate - moved.start * from_rate) < 2 * from_rate
    assert (moved.end * from_rate - span.end * to_rate) < from_rate or moved.length == 1


def test_spans_move_within_the_window_at_the_other_rate():
    moved = spans_at_rate((Span(0, 1), Span(441, 44_100)), 44_100, 48_000, 44_100)
    assert moved == (Span(0, 2), Span(480, 48_000))


@settings(max_examples=50 * SCALE)
@given(
    st.sampled_from([(44_100, 48_000), (48_000, 44_100), (44_100, 96_000), (44_100, 16_000)]),
    st.integers(0, 30_000),
    st.integers(1, 4_000),
)
def test_a_passage_keeps_its_place_in_time(rate_pair, start, length):
    source_rate, backend_rate = rate_pair
    span = Span(start, start + length)
    inside = span_at_rate(span, source_rate, backend_rate, 10**9)
    made = Span(max(inside.start - 2_000, 0), inside.end + 2_000)
    frequency_hz = 700.0

    def sound(first, last, sample_rate):
        return np.cos(2 * np.pi * frequency_hz * np.arange(first, last) / sample_rate)[None]

    passage = sound(made.start, made.end, backend_rate).astype(np.float32)
    back = passage_at_rate(
        passage, start=made.start, from_rate=backend_rate, to_rate=source_rate, wanted=span
    )
    assert back.shape == (1, length)
    assert back.flags.c_contiguous
    # The passage's own start, at the window's first frame, rings a little.
    inner = slice(200 if made.start == 0 else 0, None)
    error = back[:, inner] - sound(span.start, span.end, source_rate)[:, inner]
    assert np.max(np.abs(error), initial=0.0) < 1e-3


@settings(max_examples=50 * SCALE)
@given(rates, rates, spans_in_windows().filter(lambda window: window[0] < 5_000))
@example(8000, 384_000, (1, Span(0, 1)))
def test_a_passage_of_exactly_the_moved_span_fills_the_span(source_rate, backend_rate, window):
    _, span = window
    inside = span_at_rate(span, source_rate, backend_rate, 10**9)
    passage = np.full((2, inside.length), 0.5, dtype=np.float32)
    back = passage_at_rate(
        passage, start=inside.start, from_rate=backend_rate, to_rate=source_rate, wanted=span
    )
    assert back.shape == (2, span.length)
    # Its edges are held on, so that not even the outermost frames fade.
    np.testing.assert_allclose(back, 0.5, atol=0.01)


def test_at_equal_rates_the_samples_are_the_same():
    passage = np.arange(10, dtype=np.float32)[None]
    back = passage_at_rate(
        passage, start=100, from_rate=48_000, to_rate=48_000, wanted=Span(102, 105)
    )
    assert back.tolist() == [[2.0, 3.0, 4.0]]


@pytest.mark.parametrize("wanted", [Span(99, 105), Span(105, 111)])
def test_a_passage_that_is_too_short_is_refused(wanted):
    with pytest.raises(ValueError, match="does not cover"):
        passage_at_rate(
            np.zeros((1, 10), dtype=np.float32),
            start=100,
            from_rate=48_000,
            to_rate=48_000,
            wanted=wanted,
        )
