import pytest
from hypothesis import given
from hypothesis import strategies as st

from reapaint_engine.protocol.errors import ProtocolError
from reapaint_engine.protocol.spans import Span, check_spans, seconds_to_frames, span_from_seconds


@given(frame=st.integers(0, 2**40), rate=st.sampled_from([8000, 22050, 44100, 48000, 384000]))
def test_frames_survive_seconds(frame: int, rate: int) -> None:
    assert seconds_to_frames(frame / rate, rate) == frame


def test_halves_go_up_everywhere() -> None:
    assert [seconds_to_frames(half, 1) for half in (0.5, 1.5, 2.5)] == [1, 2, 3]


def test_span_from_seconds() -> None:
    assert span_from_seconds(1.0, 2.5, 48000) == Span(48000, 120000)


@pytest.mark.parametrize(
    "spans",
    [
        (),
        (Span(5, 5),),
        (Span(6, 5),),
        (Span(-1, 5),),
        (Span(0, 101),),
        (Span(0, 10), Span(9, 20)),
        (Span(0, 10), Span(10, 20)),
        (Span(50, 60), Span(0, 10)),
    ],
    ids=["none", "empty", "reversed", "negative", "outside", "overlap", "touching", "disorder"],
)
def test_bad_spans_are_refused(spans: tuple[Span, ...]) -> None:
    with pytest.raises(ProtocolError) as caught:
        check_spans(spans, 100)
    assert caught.value.code == "invalid_spans"
    assert caught.value.hint


def test_the_whole_window_is_a_span() -> None:
    check_spans((Span(0, 100),), 100)
    check_spans((Span(0, 1), Span(99, 100)), 100)
