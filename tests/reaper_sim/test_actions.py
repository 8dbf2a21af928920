"""The project's own actions in the simulation, their jobs answered by the stand-in bridge.

One road through each part of the double that the actions use; what the actions must do is
tested beside them.
"""

import numpy as np
import pytest

from tests.reaper_sim.model import TakeEffect
from tests.reaper_sim.simulator import Reaper
from tests.reaper_sim.spool_bridge import SpoolBridge
from tests.reaper_sim.switches import each_answer

INPAINT = "ReaPaint_Inpaint time selection.lua"
ANSWERS = dict(each_answer())
WORLDS = {
    "7.78": {},
    "7.08": {"version": "7.08"},
    "6.83 with Lua 5.3": {"version": "6.83", "lua": "5.3"},
    "Windows": {"windows": True},
    "ReaImGui and SWS": {"extensions": ["ReaImGui", "SWS"]},
    "unsaved": {"saved": False},
}


def paint(sim, bridge, prompt="birds"):
    """Run the action and let its job be done; returns the rendered timeline before."""
    before = sim.render(0.0, 7.0)
    sim.answer_inputs(lambda dialog: {dialog.captions[0]: prompt})
    sim.run_action(INPAINT)
    points = len(sim.undo_texts)
    for _ in range(200):
        bridge.step()
        sim.tick()
        if len(sim.undo_texts) > points:
            break
    sim.tick(3)
    return before


def assert_painted(sim, before, start_s=2.0, end_s=2.5):
    """Check that only the selection sounds otherwise, and that undo and redo are exact."""
    after, chunk = sim.render(0.0, 7.0), sim.chunk()
    changed = np.flatnonzero((before != after).any(axis=0)) / 48_000
    assert start_s <= changed.min() < changed.max() < end_s
    assert len(changed) > 0.9 * (end_s - start_s) * 48_000
    assert sim.undo_texts == ["ReaPaint: birds"]
    sim.undo()
    np.testing.assert_array_equal(sim.render(0.0, 7.0), before)
    sim.redo()
    assert sim.chunk() == chunk


@pytest.mark.parametrize("world", WORLDS)
def test_a_selection_is_repainted(tmp_path, record, world):
    with Reaper(tmp_path / "m", **WORLDS[world]) as sim:
        bridge = SpoolBridge.installed(sim)
        item = sim.project.add_track().add_item(record(), 1.0, volume=-0.5)
        item.selected = True
        sim.project.time_selection = (2.0, 2.5)
        chunk = sim.chunk()
        before = paint(sim, bridge)
        assert_painted(sim, before)
        sim.undo()
        assert sim.chunk() == chunk


@pytest.mark.parametrize("answer", ANSWERS)
def test_a_selection_is_repainted_whatever_reaper_does(tmp_path, record, answer):
    with Reaper(tmp_path / "m", switches=ANSWERS[answer]) as sim:
        bridge = SpoolBridge.installed(sim)
        sim.options[40912] = 1
        item = sim.project.add_track().add_item(record(), 1.0)
        item.selected = True
        sim.project.time_selection = (2.0, 2.5)
        assert_painted(sim, paint(sim, bridge))
        assert sim.options[40912] == 1


def test_a_take_with_all_trimmings_goes_through_the_accessor(sim, record):
    bridge = SpoolBridge.installed(sim)
    item = sim.project.add_track().add_item(record(), 1.0, 3.0, channel_mode=1, volume=-0.5)
    item.take.add_envelope("Volume", (0.0, 1.0), (4.0, 0.5))
    item.take.effects.append(TakeEffect(gain=0.5))
    item.selected = True
    sim.project.time_selection = (2.0, 2.5)
    assert_painted(sim, paint(sim, bridge))
    assert bridge.requests[0]["source"]["route"] == "accessor"


def test_a_cancelled_dialog_leaves_no_trace(sim, item):
    SpoolBridge.installed(sim)
    sim.project.time_selection = (2.0, 2.5)
    sim.tick()
    chunk, points = sim.chunk(), list(sim.history().texts)
    sim.answer_inputs(None)
    sim.run_action(INPAINT)
    sim.tick(5)
    assert (sim.chunk(), sim.history().texts) == (chunk, points)


def test_a_failed_job_leaves_the_project_as_it_was(sim, item):
    bridge = SpoolBridge.installed(sim)
    bridge.error = ("out_of_memory", "The model ran out of memory.", "Select less.")
    sim.project.time_selection = (2.0, 2.5)
    sim.tick()
    chunk = sim.chunk()
    sim.answer_inputs(lambda dialog: {dialog.captions[0]: "birds"})
    sim.run_action(INPAINT)
    bridge.run(5)
    assert sim.chunk() == chunk
    assert sim.undo_texts == []
    assert "out of memory" in sim.tooltip


def test_progress_shows_in_reaimgui_and_can_be_cancelled_there(tmp_path, record):
    with Reaper(tmp_path / "m", extensions=["ReaImGui"]) as sim:
        bridge = SpoolBridge.installed(sim)
        bridge.is_holding = True
        item = sim.project.add_track().add_item(record(), 1.0)
        item.selected = True
        sim.project.time_selection = (2.0, 2.5)
        sim.answer_inputs(lambda dialog: {dialog.captions[0]: "birds"})
        sim.run_action(INPAINT)
        bridge.run(2)
        bridge.progress(bridge.jobs()[0], "sample", 0.4)
        sim.tick_until(lambda: any("painting" in line for line in sim.imgui.shown), ticks=20)
        sim.imgui.press("Cancel")
        bridge.run(4)
        assert bridge.cancelled == [bridge.requests[0]["job_id"]]
        assert sim.undo_texts == []
