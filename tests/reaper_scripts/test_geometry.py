"""Where things lie in time, as the Lua scripts reckon it."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import lupa.lua53
import lupa.lua54
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.scale import SCALE

SCRIPTS = Path(__file__).parents[2] / "reaper_scripts"


def _module(runtime: Any) -> tuple[Any, Any]:
    runtime.execute(f"package.path = [[{SCRIPTS}/?.lua]]")
    return runtime, runtime.eval("(require('reapaint.geometry'))")


MODULES = {
    "5.3": _module(lupa.lua53.LuaRuntime(unpack_returned_tuples=True)),
    "5.4": _module(lupa.lua54.LuaRuntime(unpack_returned_tuples=True)),
}


@pytest.fixture(params=MODULES)
def lua(request: pytest.FixtureRequest) -> Any:
    return MODULES[request.param]


def span(runtime: Any, start_s: float, end_s: float) -> Any:
    return runtime.table_from({"start_s": start_s, "end_s": end_s})


def spans(runtime: Any, *pairs: tuple[float, float]) -> Any:
    return runtime.table_from([span(runtime, *pair) for pair in pairs])


def pairs(table: Any) -> list[tuple[float, float]]:
    return [(each["start_s"], each["end_s"]) for each in table.values()]


def item(runtime: Any, position: float, length: float, fades: tuple[float, float] = (0, 0)) -> Any:
    return runtime.table_from(
        {"position": position, "length": length, "fade_in_s": fades[0], "fade_out_s": fades[1]}
    )


def test_razor_areas_of_tracks_count_and_those_of_envelopes_do_not(lua: Any) -> None:
    _, geometry = lua
    text = '3.5 4 "" 1 2 "{AB-CD}" 1e0 2.25 "" 2 3 ""'
    assert pairs(geometry.razor_spans(text)) == [(1, 3), (3.5, 4)]


@pytest.mark.parametrize(
    ("other", "direction", "touches"),
    [
        ((2, 3), 1, True),
        ((2.000001, 3), 1, True),
        ((2.1, 3), 1, False),
        ((2, 3), -1, False),
        ((0, 1), -1, True),
        ((0, 0.9), -1, False),
    ],
)
def test_a_span_goes_on_in_one_that_begins_where_it_ends(
    lua: Any, other: tuple[float, float], direction: int, touches: bool
) -> None:
    runtime, geometry = lua
    assert geometry.touches(span(runtime, 1, 2), span(runtime, *other), direction) is touches


def test_a_part_is_its_span_where_that_lies_on_samples(lua: Any) -> None:
    runtime, geometry = lua
    parts = geometry.parts(item(runtime, 1, 10), spans(runtime, (3, 4), (6, 7)), 48000)
    assert pairs(parts) == [(3, 4), (6, 7)]


@settings(max_examples=200 * SCALE)
@given(
    position=st.floats(0, 5000),
    start=st.floats(0.01, 4),
    length=st.floats(0.01, 4),
    rate=st.sampled_from([44100, 48000, 96000]),
)
def test_cuts_hold_the_span_and_lie_on_the_items_own_samples(
    position: float, start: float, length: float, rate: int
) -> None:
    runtime, geometry = MODULES["5.4"]
    selected = (position + start, position + start + length)
    (part,) = pairs(geometry.parts(item(runtime, position, 10), spans(runtime, selected), rate))
    for edge, wanted in zip(part, selected, strict=True):
        frames = (edge - position) * rate
        assert abs(frames - round(frames)) < 1e-3
        assert abs(edge - wanted) * rate < 1.001
    assert part[0] <= selected[0] + 1e-3 / rate
    assert part[1] >= selected[1] - 1e-3 / rate


@pytest.mark.parametrize(
    ("fades", "part"),
    [((2.5, 0), (1, 4)), ((0, 8), (3, 11)), ((2, 7), (3, 4)), ((9, 9), (1, 11))],
)
def test_a_part_never_cuts_through_a_fade(
    lua: Any, fades: tuple[float, float], part: tuple[float, float]
) -> None:
    runtime, geometry = lua
    assert pairs(geometry.parts(item(runtime, 1, 10, fades), spans(runtime, (3, 4)), 48000)) == [
        part
    ]


def test_two_spans_in_one_fade_have_no_parts(lua: Any) -> None:
    runtime, geometry = lua
    two = spans(runtime, (2, 3), (4, 5))
    assert geometry.parts(item(runtime, 1, 10, (6, 0)), two, 48000) is None


def test_handles_reach_over_a_part_that_is_more_than_its_span(lua: Any) -> None:
    runtime, geometry = lua
    handles = geometry.handles_s(spans(runtime, (5, 6)), spans(runtime, (1, 6)))
    assert handles >= 4
    assert geometry.handles_s(spans(runtime, (5, 6)), spans(runtime, (5, 6))) == 2


def looped(runtime: Any, offset: float, *, loops: bool) -> Any:
    facts = {"position": 10, "length": 12, "offset": offset, "loops": loops}
    return runtime.table_from(facts)


def test_a_span_in_a_later_pass_is_a_span_of_the_file(lua: Any) -> None:
    runtime, geometry = lua
    window = geometry.file_window(
        looped(runtime, 1, loops=True), spans(runtime, (14, 15)), 4, False
    )
    assert 14 + window["shift_s"] == pytest.approx(1)
    assert (window["start_s"], window["end_s"]) == (0, 4)


@pytest.mark.parametrize(
    ("offset", "loops", "selected"),
    [(1, True, (12.5, 13.5)), (0, False, (13, 15)), (-2, False, (11, 13)), (0, False, (20, 21))],
)
def test_spans_that_leave_the_file_need_reapers_own_reading(
    lua: Any, offset: float, loops: bool, selected: tuple[float, float]
) -> None:
    runtime, geometry = lua
    facts = looped(runtime, offset, loops=loops)
    assert geometry.file_window(facts, spans(runtime, selected), 4, False) is None


def test_an_item_may_be_extended_past_its_file(lua: Any) -> None:
    runtime, geometry = lua
    facts = runtime.table_from({"position": 0, "length": 4, "offset": 0, "loops": False})
    window = geometry.file_window(facts, spans(runtime, (4, 6)), 4, True)
    assert (window["start_s"], window["end_s"], window["shift_s"]) == (0, 4, 0)


def test_reading_lies_on_samples_inside_the_item(lua: Any) -> None:
    runtime, geometry = lua
    start_s, frames = geometry.reading(10, spans(runtime, (1.00001, 2)), 5, 44100)
    assert start_s == 0
    assert frames == 7 * 44100
    start_s, frames = geometry.reading(100, spans(runtime, (50, 60)), 5.00001, 44100)
    assert start_s * 44100 == pytest.approx(round(start_s * 44100), abs=1e-6)
    assert start_s <= 45
    assert start_s + frames / 44100 >= 65


def test_context_is_as_much_as_the_selection_and_five_seconds_at_least(lua: Any) -> None:
    runtime, geometry = lua
    assert geometry.context_s(spans(runtime, (1, 2))) == 5
    assert geometry.context_s(spans(runtime, (1, 9), (20, 21))) == 8
    assert geometry.context_s(spans(runtime, (1, 9)), 3) == 3


@settings(max_examples=100 * SCALE)
@given(raw=st.lists(st.tuples(st.integers(0, 40), st.integers(1, 10)), min_size=1, max_size=8))
def test_union_covers_the_same_time_in_order(raw: list[tuple[int, int]]) -> None:
    runtime, geometry = MODULES["5.3"]
    given_pairs = [(start, start + length) for start, length in raw]
    merged = pairs(geometry.union(spans(runtime, *given_pairs)))
    covered = {second for start, end in given_pairs for second in range(start, end)}
    assert {second for start, end in merged for second in range(start, end)} == covered
    assert all(left[1] < right[0] for left, right in pairwise(merged))
