"""What is heard after a splice: the new sound in the selection, and nothing else changed."""

from pathlib import Path

import numpy as np
import pytest

from tests.reaper_scripts.situations import ALL, OTHER_RATE, PLAIN, THROUGH_REAPER, Build
from tests.reaper_scripts.workbench import (
    RATE,
    RESTORE,
    TRY_AGAIN,
    Workbench,
    frames_that_differ,
    painted_takes,
)
from tests.reaper_sim.model import TakeEffect
from tests.reaper_sim.spool_bridge import read_wav
from tests.reaper_sim.switches import Switches, each_answer

QUIET = 10 ** (-90 / 20)
RESAMPLED = OTHER_RATE | THROUGH_REAPER


def spliced(bench: Workbench) -> tuple[np.ndarray, np.ndarray]:
    """Paint the selection and return the timeline before and after."""
    before = bench.render()
    bench.paint("birdsong")
    bench.finish()
    return before, bench.render()


def check_outside(bench: Workbench, before: np.ndarray, after: np.ndarray) -> None:
    start_s, end_s = bench.sim.project.time_selection
    changed = frames_that_differ(before, after)
    assert changed.size > 0.2 * RATE, "the new sound is heard"
    assert changed[0] >= np.floor(start_s * RATE)
    assert changed[-1] <= np.ceil(end_s * RATE)


@pytest.mark.parametrize("build", PLAIN.values(), ids=PLAIN)
def test_outside_the_selection_not_one_sample_differs(build: Build, tmp_path: Path) -> None:
    with build(tmp_path) as bench:
        before, after = spliced(bench)
        check_outside(bench, before, after)
        assert set(bench.sim.undo_texts) == {"ReaPaint: birdsong"}


@pytest.mark.parametrize("build", RESAMPLED.values(), ids=RESAMPLED)
def test_joins_of_other_rates_and_of_the_accessor_are_silent(build: Build, tmp_path: Path) -> None:
    with build(tmp_path) as bench:
        start_s, end_s = bench.sim.project.time_selection
        near = (start_s - 0.4, end_s + 0.5)
        before = bench.sim.render(*near)
        bench.paint("birdsong")
        bench.finish()
        difference = np.abs(bench.sim.render(*near) - before).max(axis=0)
        changed = np.flatnonzero(difference > QUIET) / RATE + near[0]
        assert changed.size > 0.2 * RATE
        assert start_s - 1 / RATE <= changed[0]
        assert changed[-1] <= end_s + 1 / RATE


@pytest.mark.parametrize("build", ALL.values(), ids=ALL)
def test_the_life_of_a_painted_part(build: Build, tmp_path: Path) -> None:
    with build(tmp_path) as bench:
        untouched = bench.sim.chunk()
        bench.paint("birdsong")
        bench.finish()
        spliced_chunk = bench.sim.chunk()
        assert spliced_chunk != untouched
        steps = len(bench.sim.undo_texts)
        for _ in range(steps):
            bench.sim.undo()
        assert bench.sim.chunk() == untouched, "undo gives the project back"
        for _ in range(steps):
            bench.sim.redo()
        assert bench.sim.chunk() == spliced_chunk, "redo gives the splice back"

        places = [(item.position, item.length) for item in bench.items()]
        takes = [len(item.takes) for item in bench.painted()]
        bench.sim.run_action(TRY_AGAIN)
        bench.finish()
        assert [(item.position, item.length) for item in bench.items()] == places, "no new cut"
        assert [len(item.takes) for item in bench.painted()] == [count + 1 for count in takes]

        bench.sim.run_action(RESTORE)
        bench.sim.tick()
        assert bench.sim.chunk() == untouched, "restoring heals the cuts"


@pytest.mark.parametrize(("name", "switches"), list(each_answer()), ids=lambda x: str(x)[:40])
def test_a_splice_holds_under_every_open_answer(
    name: str, switches: Switches, tmp_path: Path
) -> None:
    with Workbench(tmp_path, switches=switches) as bench:
        bench.sim.options[40912] = 1
        bench.item.values["I_CUSTOMCOLOR"] = 77.0
        bench.item.values["I_GROUPID"] = 5.0
        bench.select(2.0, 2.6)
        before, after = spliced(bench)
        check_outside(bench, before, after)
        assert bench.sim.options[40912] == 1
        assert {item.values["I_CUSTOMCOLOR"] for item in bench.items()} == {77.0}
        assert {item.values["I_GROUPID"] for item in bench.items()} == {5.0}
        assert all(item.selected for item in bench.items())


@pytest.mark.parametrize("version", ["6.83", "7.08", "7.78"])
@pytest.mark.parametrize("lua", ["5.3", "5.4"])
def test_a_splice_holds_in_every_version(version: str, lua: str, tmp_path: Path) -> None:
    with Workbench(tmp_path, version=version, lua=lua) as bench:
        bench.select(2.0, 2.6)
        check_outside(bench, *spliced(bench))
        assert bench.sim.undo_texts == ["ReaPaint: birdsong"]


@pytest.mark.parametrize("extensions", [("SWS",), ("SWS", "js_ReaScriptAPI", "ReaPack")])
def test_a_splice_holds_beside_extensions(extensions: tuple[str, ...], tmp_path: Path) -> None:
    with Workbench(tmp_path, extensions=extensions) as bench:
        bench.select(2.0, 2.6)
        check_outside(bench, *spliced(bench))


def test_a_splice_holds_under_windows_rules(tmp_path: Path) -> None:
    with Workbench(tmp_path, windows=True) as bench:
        bench.select(2.0, 2.6)
        bench.paint("birdsong")
        request = bench.replier.request(bench.wait_for_request())
        assert request["source"]["path"].startswith("C:\\")


def test_everything_of_the_item_is_kept(bench: Workbench) -> None:
    values = bench.item.values
    values |= {"D_FADEINLEN": 0.2, "D_FADEOUTLEN": 0.3, "C_FADEOUTSHAPE": 3.0, "B_LOOPSRC": 1.0}
    values |= {"D_SNAPOFFSET": 1.5, "D_VOL": 0.8}
    bench.item.notes = "the good one"
    take = bench.item.take
    assert take is not None
    take.values |= {"D_VOL": -0.5, "D_PAN": 0.25}
    bench.select(2.0, 2.6)
    bench.paint("birdsong")
    bench.finish()
    left, middle, right = bench.items()
    assert left.values["D_FADEINLEN"] == 0.2
    assert (right.values["D_FADEOUTLEN"], right.values["C_FADEOUTSHAPE"]) == (0.3, 3.0)
    for item, edge in ((left, "OUT"), (middle, "IN"), (middle, "OUT"), (right, "IN")):
        assert item.values[f"D_FADE{edge}LEN"] == 0
        assert item.values[f"C_FADE{edge}SHAPE"] == 0
        assert item.values[f"D_FADE{edge}DIR"] == 0
    assert middle.values["D_SNAPOFFSET"] == pytest.approx(0.5)
    assert left.values["D_SNAPOFFSET"] == right.values["D_SNAPOFFSET"] == 0
    assert middle.values["B_LOOPSRC"] == 0
    assert {item.values["D_VOL"] for item in bench.items()} == {0.8}
    assert {item.notes for item in bench.items()} == {"the good one"}
    first, new = middle.takes
    assert first.name == "voice.wav"
    assert not first.ext
    assert middle.active == 1
    assert (new.values["D_VOL"], new.values["D_PAN"]) == (-0.5, 0.25)
    assert new.name.startswith("voice.wav - tone - ")
    assert middle.position == 2.0
    assert middle.end == 2.6


ROUTES = {"file": {}, "accessor": {"channel_mode": 1}}


@pytest.mark.parametrize("route", ROUTES)
def test_volume_pan_envelopes_and_fx_stay_on_the_take_and_act_once(
    bench: Workbench, route: str
) -> None:
    take = bench.item.take
    assert take is not None
    take.values |= {"D_VOL": -0.5, "I_CHANMODE": ROUTES[route].get("channel_mode", 0)}
    take.add_envelope("Volume", (0.0, 1.0), (1.2, 0.25), (3.5, 1.0))
    take.add_envelope("Pan", (0.0, 0.0), (3.5, 0.5))
    take.effects = [TakeEffect(gain=0.5), TakeEffect("JS: utility/volume", 3.0, enabled=False)]
    bench.select(2.0, 2.6)
    untouched = bench.sim.chunk()
    before, after = spliced(bench)
    # A cut envelope gets a point of its own: the line through it is the same but for rounding.
    changed = np.flatnonzero(np.abs(after - before).max(axis=0) > 1e-7)
    assert changed.size > 0.2 * RATE
    assert 2.0 * RATE <= changed[0] < changed[-1] <= 2.6 * RATE
    assert bench.replier.request(bench.replier.jobs()[0])["source"]["route"] == route
    (middle,) = bench.painted()
    assert set(middle.takes[1].envelopes) == set(middle.takes[0].envelopes) == {"Volume", "Pan"}
    for name in middle.takes[0].envelopes:
        old, new = (take.envelopes[name] for take in middle.takes)
        for time in (0.0, 0.3, 0.6):
            assert new.value_at(time) == pytest.approx(old.value_at(time))
    assert middle.takes[1].effects == middle.takes[0].effects
    assert middle.takes[1].values["D_VOL"] == -0.5

    # What is heard is the file, once through polarity, volume, envelopes and the one FX.
    rate, painted = read_wav(middle.takes[1].path)
    first = round(middle.takes[1].values["D_STARTOFFS"] * rate)
    heard = bench.sim.render(2.0, 2.6)
    times = np.arange(heard.shape[1]) / rate
    old = middle.takes[0].envelopes
    gain = -0.5 * 0.5 * np.array([old["Volume"].value_at(time) for time in times])
    left = np.array([1.0 - old["Pan"].value_at(time) for time in times])
    expected = painted[:, first : first + heard.shape[1]] * gain * np.stack([left, left * 0 + 1])
    np.testing.assert_allclose(heard, expected, atol=1e-6)

    bench.sim.run_action(RESTORE)
    bench.sim.tick()
    assert bench.sim.chunk() == untouched


def test_a_second_take_carries_each_effect_once(bench: Workbench) -> None:
    take = bench.item.take
    assert take is not None
    take.effects = [TakeEffect(gain=0.5)]
    bench.select(2.0, 2.6)
    spliced(bench)
    bench.sim.run_action(TRY_AGAIN)
    bench.finish()
    (middle,) = bench.painted()
    assert [len(take.effects) for take in middle.takes] == [1, 1, 1]


def test_four_takes_come_at_once(bench: Workbench) -> None:
    bench.select(2.0, 2.6)
    bench.sim.run_action("ReaPaint_Four takes.lua")
    bench.finish()
    (middle,) = bench.painted()
    assert len(painted_takes(middle)) == 4
    assert middle.active == 1
    assert len(bench.sim.undo_texts) == 1


FAILING_EDIT = """
    package.path = reaper.GetResourcePath() .. "/?.lua;" .. "{scripts}/?.lua"
    local project = require("reapaint.project")
    local done, problem = project.edit(0, "an edit", function()
        project.set_value(reaper.GetMediaItem(0, 0), "D_LENGTH", 1)
        error("halfway")
    end)
    return done, problem:match("halfway")
"""


def test_an_edit_that_fails_halfway_is_taken_back(bench: Workbench) -> None:
    before = bench.sim.chunk()
    code = FAILING_EDIT.replace("{scripts}", str(bench.sim.scripts))
    assert bench.sim.run_lua(code) == (None, "halfway")
    assert bench.sim.chunk() == before
    assert not bench.sim.undo_texts
