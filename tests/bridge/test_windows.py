import pytest
from hypothesis import given
from hypothesis import strategies as st

from reapaint.errors import InputError
from reapaint.windows import merge_selections, plan_windows
from reapaint_engine.protocol.messages import BackendInfo
from reapaint_engine.protocol.spans import Span, check_spans

RATE = 1000


def _backend(
    max_window_s: float = 100.0, max_span_s: float = 60.0, preferred_window_s: float = 0.0
) -> BackendInfo:
    return BackendInfo(
        name="b",
        description="",
        models=(),
        default_model="",
        modes=(),
        honours=(),
        max_window_s=max_window_s,
        max_span_s=max_span_s,
        preferred_window_s=preferred_window_s,
    )


def _plan(*selections: Span, file_s: float = 60.0, context_s: float | None = None, **limits: float):
    return plan_windows(
        selections,
        file_frames=int(file_s * RATE),
        sample_rate=RATE,
        context_s=context_s,
        backend=_backend(**limits),
    )


def test_context_is_at_least_five_seconds_and_as_long_as_the_selection() -> None:
    (short,) = _plan(Span(20_000, 21_000))
    assert (short.start, short.frames) == (15_000, 11_000)
    assert short.spans == (Span(5_000, 6_000),)
    (long,) = _plan(Span(20_000, 30_000))
    assert (long.start, long.frames) == (10_000, 30_000)


def test_context_is_as_asked_but_never_nothing() -> None:
    (plan,) = _plan(Span(20_000, 21_000), context_s=2.0)
    assert (plan.start, plan.frames) == (18_000, 5_000)
    (plan,) = _plan(Span(20_000, 21_000), context_s=0.0)
    assert (plan.start, plan.frames) == (19_950, 1_100)


@pytest.mark.parametrize(
    ("selection", "window"),
    [((30, 31), (18.5, 42.5)), ((1, 2), (0, 24)), ((59, 60), (36, 60)), ((10, 30), (0, 50))],
)
def test_a_window_grows_to_what_the_backend_prefers(
    selection: tuple[int, int], window: tuple[float, float]
) -> None:
    (plan,) = _plan(Span(selection[0] * RATE, selection[1] * RATE), preferred_window_s=24.0)
    assert (plan.start, plan.start + plan.frames) == tuple(round(s * RATE) for s in window)
    (plan,) = _plan(
        Span(selection[0] * RATE, selection[1] * RATE), preferred_window_s=24.0, context_s=2.0
    )
    assert plan.frames <= (selection[1] - selection[0] + 4) * RATE


def test_the_file_bounds_the_context() -> None:
    (plan,) = _plan(Span(0, 1_000), file_s=3.0)
    assert (plan.start, plan.frames, plan.audio_frames) == (0, 3_000, 3_000)


def test_a_selection_past_the_end_extends() -> None:
    (plan,) = _plan(Span(9_000, 12_000), file_s=10.0)
    assert (plan.start, plan.audio_frames, plan.frames) == (4_000, 6_000, 8_000)
    assert plan.spans == (Span(5_000, 8_000),)


def test_selections_whose_contexts_meet_share_a_window() -> None:
    (plan,) = _plan(Span(10_000, 11_000), Span(20_000, 21_000))
    assert plan.spans == (Span(5_000, 6_000), Span(15_000, 16_000))


def test_selections_far_apart_get_a_window_each() -> None:
    first, second = _plan(Span(10_000, 11_000), Span(40_000, 41_000))
    assert (first.start, second.start) == (5_000, 35_000)


def test_no_window_hears_what_another_one_replaces() -> None:
    first, second = _plan(Span(10_000, 14_000), Span(15_000, 19_000), max_window_s=6.0)
    assert first.start + first.frames <= 15_000
    assert second.start >= 14_000


def test_a_window_fits_the_backend() -> None:
    (plan,) = _plan(Span(20_000, 21_000), max_window_s=5.0)
    assert plan.frames == 5_000
    (plan,) = _plan(Span(500, 1_500), max_window_s=5.0)
    assert (plan.start, plan.frames) == (0, 5_000)


def test_a_selection_too_long_for_the_backend_is_refused() -> None:
    with pytest.raises(InputError, match="longer than the 60"):
        _plan(Span(0, 60_001), file_s=100)


def test_selections_are_sorted_and_joined_where_they_touch() -> None:
    assert merge_selections([Span(5, 6), Span(1, 2), Span(2, 3)]) == (Span(1, 3), Span(5, 6))
    with pytest.raises(InputError, match="overlap"):
        merge_selections([Span(1, 3), Span(2, 4)])


@given(
    edges=st.lists(st.integers(0, 60_000), min_size=2, max_size=10, unique=True).filter(
        lambda edges: len(edges) % 2 == 0
    ),
    file_frames=st.integers(1, 60_000),
    context_s=st.none() | st.floats(0, 100),
    max_window_s=st.floats(61, 200),
)
def test_any_selections_get_windows_that_hold_them(
    edges: list[int], file_frames: int, context_s: float | None, max_window_s: float
) -> None:
    edges.sort()
    selections = [Span(*pair) for pair in zip(edges[::2], edges[1::2], strict=True)]
    selections = [span for span in selections if span.start <= file_frames]
    # Only the last selection can reach past the end.
    selections = [span for span in selections[:-1] if span.end <= file_frames] + selections[-1:]
    if not selections:
        return
    plans = plan_windows(
        selections,
        file_frames=file_frames,
        sample_rate=RATE,
        context_s=context_s,
        backend=_backend(max_window_s, 61.0),
    )
    found = [span.shifted(plan.start) for plan in plans for span in plan.spans]
    assert found == selections
    for plan in plans:
        check_spans(plan.spans, plan.frames)
        assert plan.start >= 0
        assert plan.frames <= max_window_s * RATE + 1
        assert 0 <= plan.audio_frames <= plan.frames
        assert plan.start + plan.audio_frames <= file_frames
        if plan.audio_frames < plan.frames:
            assert plan.spans[-1].end == plan.frames
            assert plan.spans[-1].start <= plan.audio_frames
