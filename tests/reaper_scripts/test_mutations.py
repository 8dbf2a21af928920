"""Deliberate bugs in the scripts, each of which the scenarios below must notice.

A suite that lets one of these through listens to the wrong things.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.reaper_scripts import workbench as actions
from tests.reaper_scripts.workbench import RATE, Workbench, frames_that_differ, recording
from tests.reaper_sim.simulator import SCRIPTS, ScriptError, SimulationError
from tests.reaper_sim.switches import Switches

QUIET = 10 ** (-90 / 20)


def check_outside(before: np.ndarray, after: np.ndarray, start_s: float, end_s: float) -> None:
    changed = frames_that_differ(before, after)
    assert changed.size > 0.3 * RATE
    assert changed[0] >= np.floor(start_s * RATE)
    assert changed[-1] <= np.ceil(end_s * RATE)


def edges_meet(before: np.ndarray, after: np.ndarray, start: int, end: int) -> None:
    """New sound begins and ends as what was there: frames of arrays that begin together."""
    for edge in (slice(start + 1, start + 4), slice(end - 4, end - 1)):
        assert np.abs(before[:, edge] - after[:, edge]).max() < 0.01


def plain(scripts: Path, folder: Path) -> None:
    item = {"loop": 1, "volume": -0.5, "offset": 2.2, "pan": 0.2}
    switches = Switches(split_edge_fades="default", split_copies_colour=False)
    with Workbench(folder, scripts=scripts, item=item, switches=switches) as bench:
        bench.item.values["I_CUSTOMCOLOR"] = 9.0
        bench.sim.options[40912] = 1
        bench.select(2.0 + 0.7 / RATE, 2.6 + 0.4 / RATE)
        untouched, before = bench.sim.chunk(), bench.render()
        bench.sim.run_action(actions.FOUR_TAKES)
        assert not bench.sim.undo_texts
        bench.finish()
        after = bench.render()
        check_outside(before, after, *bench.sim.project.time_selection)
        edges_meet(before, after, round(2.0 * RATE), round(2.6 * RATE))
        left, middle, right = bench.items()
        assert middle.values["B_LOOPSRC"] == 0
        assert middle.active == 1
        assert len(middle.takes) == 5
        assert left.values["C_FADEOUTSHAPE"] == middle.values["C_FADEINSHAPE"] == 0
        assert right.values["I_CUSTOMCOLOR"] == 9
        assert {take.values["D_VOL"] for take in middle.takes} == {-0.5}
        assert {take.values["D_PAN"] for take in middle.takes} == {0.2}
        assert all("REAPAINT" in take.ext for take in middle.takes[1:])
        assert all(take.source.has_peaks for take in middle.takes[1:])
        assert bench.sim.options[40912] == 1
        assert (bench.replier.jobs()[0] / "applied").exists()
        spliced = bench.sim.chunk()
        assert bench.sim.undo()
        assert bench.sim.chunk() == untouched
        bench.sim.redo()
        assert bench.sim.chunk() == spliced
        bench.sim.run_action(actions.TRY_AGAIN)
        bench.finish()
        assert len(bench.items()) == 3
        bench.sim.run_action(actions.RESTORE)
        assert bench.sim.chunk() == untouched


def through_reaper(scripts: Path, folder: Path) -> None:
    item = {"rate": 0.5, "length_s": 4.0}
    with Workbench(folder, scripts=scripts, item=item, media=recording(1.7)) as bench:
        bench.select(2.0, 2.6)
        before = bench.sim.render(1.5, 3.2)
        bench.sim.run_action(actions.FILL)
        job = bench.wait_for_request()
        read = np.fromfile(job / "audio.f32", dtype="<f4")
        silent_from = round(3.5 * RATE) * 2
        assert np.abs(read[: 2 * RATE]).max() > 0.1
        assert not read[silent_from:].any(), "past its source an item is silent"
        bench.finish()
        after = bench.sim.render(1.5, 3.2)
        edges_meet(before, after, round(0.5 * RATE), round(1.1 * RATE))
        difference = np.abs(after - before).max(axis=0)
        changed = np.flatnonzero(difference > QUIET) / RATE + 1.5
        assert changed.size > 0.3 * RATE
        assert changed[0] >= 2.0 - 1 / RATE
        assert changed[-1] <= 2.6 + 1 / RATE


def under_a_fade(scripts: Path, folder: Path) -> None:
    media, item = recording(12.0), {"fade_in": 4.2, "length_s": 8.0}
    with Workbench(folder, scripts=scripts, media=media, item=item) as bench:
        bench.select(5.0, 5.6)
        before = bench.render(9.0)
        bench.sim.run_action(actions.FILL)
        bench.finish()
        check_outside(before, bench.render(9.0), 5.0, 5.6)


def several_at_once(scripts: Path, folder: Path) -> None:
    with Workbench(folder, scripts=scripts) as bench:
        before = bench.render()
        bench.track.razor((1.5, 1.8), (3.8, 4.1))
        bench.sim.run_action(actions.FILL)
        bench.track.razor()
        bench.select(2.4, 3.0)
        bench.sim.run_action(actions.FILL)
        for job in bench.replier.jobs():
            bench.replier.answer(job)
            bench.sim.tick(4)
        assert [item.position for item in bench.painted()] == [1.5, 2.4, 3.8]
        check_outside(before, bench.render(), 1.5, 4.1)


def whole_item(scripts: Path, folder: Path) -> None:
    with Workbench(folder, scripts=scripts, item={"loop": 1}) as bench:
        before = bench.sim.chunk()
        bench.sim.run_action(actions.FILL)
        bench.finish()
        (item,) = bench.painted()
        assert item.values["B_LOOPSRC"] == 0
        bench.sim.run_action(actions.RESTORE)
        assert bench.sim.chunk() == before


def moved_meanwhile(scripts: Path, folder: Path) -> None:
    with Workbench(folder, scripts=scripts) as bench:
        bench.select(2.0, 2.6)
        bench.sim.run_action(actions.FILL)
        bench.sim.tick(3)
        bench.item.position += 0.5
        before = bench.sim.chunk()
        bench.finish()
        assert bench.sim.chunk() == before
        assert not (bench.replier.jobs()[0] / "applied").exists()


def cancelled(scripts: Path, folder: Path) -> None:
    with Workbench(folder, scripts=scripts) as bench:
        bench.select(2.0, 2.6)
        before = bench.sim.chunk()
        bench.sim.run_action(actions.FILL)
        bench.sim.tick(2)
        bench.sim.run_action(actions.CANCEL)
        bench.sim.tick()
        assert (bench.replier.jobs()[0] / "cancel").exists()
        bench.finish()
        assert bench.sim.chunk() == before
        assert (bench.replier.jobs()[0] / "applied").exists()


def refused(scripts: Path, folder: Path) -> None:
    with Workbench(folder, scripts=scripts, version="6.83") as bench:
        bench.item.values["C_LOCK"] = 1.0
        before = bench.sim.chunk()
        bench.sim.run_action(actions.FILL)
        bench.sim.tick(2)
        assert not bench.replier.jobs()
        assert bench.sim.chunk() == before
        assert not bench.sim.undo_texts


def broken_result(scripts: Path, folder: Path) -> None:
    with Workbench(folder, scripts=scripts) as bench:
        bench.sim.options[40912] = 1
        bench.select(2.0, 2.6)
        before = bench.sim.chunk()
        bench.sim.run_action(actions.FILL)
        (job,) = bench.replier.jobs()
        result = bench.replier.answer(job)
        (job / "result.json").unlink()
        result["takes"].append({"seed": 5, "files": [], "seams": []})
        bench.replier.reply(job, result)
        bench.sim.tick(5)
        assert bench.sim.chunk() == before
        assert bench.sim.options[40912] == 1
        assert not bench.sim.undo_texts
        assert not bench.sim.redo()


SCENARIOS: list[Callable[[Path, Path], None]] = [
    plain,
    whole_item,
    several_at_once,
    moved_meanwhile,
    cancelled,
    refused,
    broken_result,
    under_a_fade,
    through_reaper,
]

EDITING, READING = "project/editing.lua", "project/reading.lua"
BUGS: list[tuple[str, str, str, str]] = [
    ("offset without the file's start", "splice.lua", "job.axis_shift_s - file.file_start_s",
     "job.axis_shift_s"),
    ("offset without the axis", "splice.lua", "part_start_s + job.axis_shift_s - file",
     "part_start_s - file"),
    ("offset a sample off", EDITING, '"D_STARTOFFS", new.offset)',
     '"D_STARTOFFS", new.offset + 1 / 48000)'),
    ("loop flag left on", "splice.lua", 'project.set_value(piece, "B_LOOPSRC", 0)', "do end"),
    ("refresh left off", EDITING, "reaper.PreventUIRefresh(-1)", "do end"),
    ("undo block left open", EDITING,
     "reaper.Undo_EndBlock2(proj, label, EDIT_UNDO_FLAGS)", "do end"),
    ("no undo block", EDITING, "reaper.Undo_BeginBlock2(proj)", "do end"),
    ("undo flags without items", EDITING, "UNDO_TRACKS | UNDO_ITEMS", "UNDO_TRACKS"),
    ("no handles", "planning.lua", "handles_s = plan.handles_s", "handles_s = 0"),
    ("handles too short for the part", "geometry.lua", "reach > 0.5 and reach + 1 or 0", "0"),
    ("accessor leaked", "sound.lua", "reaper.DestroyAudioAccessor(reader.accessor)", "do end"),
    ("new take not active", "splice.lua",
     "project.activate(project.find_take(first_guid, job.proj))", "do end"),
    ("take volume lost", EDITING, '{ "D_VOL", "D_PAN", ', '{ "D_PAN", '),
    ("polarity lost", EDITING, "set(take, key, reading.take_value(like, key))",
     "set(take, key, math.abs(reading.take_value(like, key)))"),
    ("play rate baked in twice", EDITING, 'set(take, "D_PLAYRATE", 1)',
     'set(take, "D_PLAYRATE", reading.take_value(like, "D_PLAYRATE"))'),
    ("crossfade option not given back", EDITING,
     ("  if crossfades then\n    reaper.Main_OnCommandEx(AUTO_CROSSFADE_ON_SPLIT, 0, proj)\n"
     "  end\n  reaper.UpdateArrange()"), "  reaper.UpdateArrange()"),
    ("bent fades at the joins", EDITING, "NO_FADE = { 0, -1, 0, 0 }", "NO_FADE = { 0, -1, 1, 0 }"),
    ("fade of the split kept", EDITING, '  M.set_fade(right, "IN")\n', ""),
    ("overlap of the split kept", EDITING, "  square_cut(item, right, at_s)\n", ""),
    ("colour lost", EDITING, '"I_CUSTOMCOLOR",\n  "B_UISEL"', '"B_UISEL"'),
    ("cut from the front", "splice.lua", "for index = #parts, 1, -1 do",
     "for index = 1, #parts do"),
    ("cut through a fade", "geometry.lua", "start_s < item.position + item.fade_in_s", "false"),
    ("cut beside the samples", "geometry.lua",
     "local start_s = item.position + first / sample_rate",
     "local start_s = span.start_s"),
    ("cut inside the selection", "geometry.lua",
     "math.floor((span.start_s - item.position) * sample_rate + SNAP_SAMPLES)",
     "math.ceil((span.start_s - item.position) * sample_rate + SNAP_SAMPLES)"),
    ("position not compared", READING, '  "position",\n', ""),
    ("nothing compared", READING, "if a[key] ~= b[key] then", "if false then"),
    ("applied not said", "job_steps.lua", 'spool.mark(job.job_id, "applied")', "do end"),
    ("cancel not obeyed", "listener.lua", "job_steps.cancel(own[#own])", "do end"),
    ("cancel not passed on", "job_steps.lua", 'spool.mark(job.job_id, "cancel")', "do end"),
    ("kept sources leaked", "sound.lua", "reaper.PCM_Source_Destroy(result.source)", "do end"),
    ("peaks not built", "sound.lua", "reaper.PCM_Source_BuildPeaks(result.source, 1) == 0", "true"),
    ("waiting jobs lose their place", "splice.lua", "table.insert(entry.job.targets,",
     "table.insert({},"),
    ("short numbers", "json.lua", "%.17g", "%.5g"),
    ("undo point of an action", "action.lua", "  leave_no_undo_point()\n", ""),
    ("lock not looked at", "project/refusals.lua", "elseif is_locked(item) then",
     "elseif false then"),
    ("failed splice can be redone", EDITING, "pcall(put_back or error)", "pcall(error)"),
    ("loop flag not given back", "takes.lua",
     'project.set_value(item, "B_LOOPSRC", origin.loops)', "do end"),
    ("record not stored", "splice.lua", "[planning.RECORD_KEY] = json.encode(record)",
     '[planning.RECORD_KEY] = ""'),
    ("read at a wrong time", "sound.lua", "reader.start_s + reader.done / reader.sample_rate",
     "reader.start_s"),
    ("axis of item time forgotten", "planning.lua", "plan.axis_shift_s = -facts.position",
     "plan.axis_shift_s = 0"),
]  # fmt: skip


def run_scenarios(scripts: Path, folder: Path) -> None:
    for number, scenario in enumerate(SCENARIOS):
        scenario(scripts, folder / str(number))


def test_the_scripts_as_they_are_pass(tmp_path: Path) -> None:
    run_scenarios(SCRIPTS, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(("bug", "name", "right", "wrong"), BUGS, ids=[bug[0] for bug in BUGS])
def test_a_bug_is_noticed(bug: str, name: str, right: str, wrong: str, tmp_path: Path) -> None:
    scripts = tmp_path / "scripts"
    shutil.copytree(SCRIPTS, scripts)
    path = scripts / "reapaint" / name
    text = path.read_text(encoding="utf-8")
    assert text.count(right) >= 1, f"{bug}: the text to break is gone"
    path.write_text(text.replace(right, wrong), encoding="utf-8")
    with pytest.raises((AssertionError, ScriptError, SimulationError, ValueError, IndexError)):
        run_scenarios(scripts, tmp_path)
