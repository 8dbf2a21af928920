"""The self-test's checks run, each says what it found, and nothing of it stays."""

import re
from pathlib import Path

import pytest

from tests.reaper_scripts import workbench as actions
from tests.reaper_scripts.workbench import Workbench
from tests.reaper_sim.switches import Switches, each_answer

YES, NO = 6, 7
TICKS = 700
"""More than 15 s for a person to minimise REAPER, and for all the rest."""


def run(bench: Workbench, *, minimise: bool = False) -> str:
    """Run the self-test and return its report."""
    bench.sim.answer_box(YES if minimise else NO)
    bench.sim.answer_box(1)
    bench.sim.run_action(actions.SELF_TEST)
    bench.sim.tick_until(lambda: not bench.sim.running(actions.SELF_TEST), ticks=TICKS)
    return (bench.sim.resource_path / "ReaPaint" / "self-test.txt").read_text("utf-8")


@pytest.mark.parametrize(
    ("name", "switches"),
    [each for each in each_answer() if each[0].split("=")[0] in
     ("default", "accessor_fades", "accessor_take_fx", "accessor_loop", "accessor_extra_channels",
      "split_copies_take_ext", "split_copies_take_envelopes", "split_crossfade", "source_length",
      "manual_fades_in_overlaps", "integer_arguments", "array_out_of_range")],
)  # fmt: skip
def test_the_report_tells_what_this_reaper_does(
    name: str, switches: Switches, tmp_path: Path
) -> None:
    with Workbench(tmp_path, switches=switches) as bench:
        report = run(bench)
        assert "FAILED" not in report
        assert re.search(r"Defer cycles a second: 3\d", report)
        assert "Defer cycles while rendering: 0 in 0.05" in report
        assert "minimised: not tried" in report
        assert ("no item fades" in report) is not switches.accessor_fades
        assert ("before take FX: 0.5" in report) is not switches.accessor_take_fx
        assert ('take data on the right: "kept"' in report) is switches.split_copies_take_ext
        copied = switches.split_copies_take_envelopes
        assert ("right: envelope points 0" in report) is not copied
        middle = "0.5" if switches.manual_fades_in_overlaps == "sum" else "1"
        assert f"linear fades read in the middle {middle}\n" in report
        late = switches.source_length == "zero_until_read"
        assert ("length: 0 after 3." in report) is late
        assert "Media in a saved project: " in report
        assert '"self-test inside.wav"' in report
        level = bench.sim.resource_path / "ReaPaint" / "self-test level.wav"
        assert f'"{level}"' in report


def test_nothing_of_it_stays_but_the_report(bench: Workbench) -> None:
    bench.sim.project.is_dirty = True
    before, projects = bench.sim.chunk(), list(bench.sim.projects)
    files = set(bench.sim.folder.rglob("*.*"))
    run(bench)
    assert bench.sim.projects == projects
    assert bench.sim.chunk() == before
    assert not bench.sim.undo_texts
    left = {path.name for path in set(bench.sim.folder.rglob("*.*")) - files if path.is_file()}
    assert left == {"self-test.txt"}
    assert "self-test.txt" in bench.sim.dialogs.shown[-1].text
    assert "closed unsaved" not in bench.sim.dialogs.shown[-1].text


def test_cycles_are_counted_while_a_person_minimises_reaper(bench: Workbench) -> None:
    report = run(bench, minimise=True)
    assert re.search(r"Defer cycles a second, minimised: 3\d", report)


def test_a_tab_that_comes_to_the_front_meanwhile_is_not_touched(bench: Workbench) -> None:
    first, before = bench.sim.project, bench.sim.chunk()
    bench.sim.run_action(actions.SELF_TEST)
    bench.sim.tick(5)
    bench.sim.switch_project(first)
    bench.sim.answer_box(1)
    bench.sim.tick(40)
    assert bench.sim.projects == [first]
    assert bench.sim.chunk(first) == before
    assert not list(bench.sim.folder.rglob("self-test ?*"))
