"""Undo points and the pointers that they kill, as BEHAVIOUR part B7 has them."""

import pytest

from tests.reaper_sim.simulator import Reaper, ScriptError, SimulationError, Switches

SPLIT = """
    reaper.Undo_BeginBlock2(0)
    reaper.SplitMediaItem(reaper.GetMediaItem(0, 0), 2.5)
    reaper.Undo_EndBlock2(0, "Split", 4)
"""


def test_undo_and_redo_go_between_equal_states(sim, item):
    before = sim.chunk()
    sim.run_lua(SPLIT)
    after = sim.chunk()
    assert sim.undo_texts == ["Split"]
    assert before != after
    assert sim.undo() == "Split"
    assert sim.chunk() == before
    assert sim.redo() == "Split"
    assert sim.chunk() == after
    assert sim.redo() == ""


def test_item_and_take_pointers_die_with_an_undo_and_guids_live(sim, item):
    sim.run_lua("""
        local item, track = reaper.GetMediaItem(0, 0), reaper.GetTrack(0, 0)
        local take = reaper.GetActiveTake(item)
        local _, guid = reaper.GetSetMediaItemTakeInfo_String(take, "GUID", "", false)
        reaper.Undo_BeginBlock2(0)
        reaper.SetMediaItemInfo_Value(item, "D_VOL", 0.5)
        reaper.Undo_EndBlock2(0, "Volume", 4)
        reaper.Undo_DoUndo2(0)
        assert(not reaper.ValidatePtr2(0, item, "MediaItem*"))
        assert(not reaper.ValidatePtr2(0, take, "MediaItem_Take*"))
        assert(reaper.ValidatePtr2(0, track, "MediaTrack*"))
        local again = reaper.GetMediaItemTakeByGUID(0, guid)
        assert(again and again ~= take)
        assert(reaper.GetMediaItemInfo_Value(reaper.GetMediaItemTake_Item(again), "D_VOL") == 1)
    """)


def test_a_dead_pointer_is_refused(sim, item):
    sim.run_lua(
        "local item = reaper.GetMediaItem(0, 0) reaper.defer(function()"
        " reaper.GetMediaItemInfo_Value(item, 'D_LENGTH') end)"
    )
    sim.run_lua(SPLIT)
    sim.undo()
    with pytest.raises(ScriptError, match="MediaItem expected"):
        sim.tick()
    sim.script_errors.clear()


def test_a_block_without_a_change_adds_no_point(sim, item):
    sim.run_lua("reaper.Undo_BeginBlock2(0) reaper.Undo_EndBlock2(0, 'Nothing', -1)")
    assert sim.undo_texts == []


@pytest.mark.parametrize("counts", [True, False])
def test_selection_alone(tmp_path, record, counts):
    with Reaper(tmp_path / "m", switches=Switches(undo_counts_selection=counts)) as sim:
        sim.project.add_track().add_item(record())
        sim.run_lua(
            "reaper.Undo_BeginBlock2(0) reaper.SetMediaItemSelected(reaper.GetMediaItem(0, 0),"
            " true) reaper.Undo_EndBlock2(0, 'Select', -1)"
        )
        assert sim.undo_texts == (["Select"] if counts else [])


def test_edits_outside_of_blocks_fold_into_the_next(sim, item):
    before = sim.chunk()
    sim.run_lua(
        "reaper.SetMediaItemInfo_Value(reaper.GetMediaItem(0, 0), 'D_VOL', 0.25)"
        " reaper.defer(function() end)"
    )
    assert sim.undo_texts == []
    sim.run_lua(SPLIT)
    assert sim.undo_texts == ["Split"]
    sim.undo()
    assert sim.chunk() == before


def test_an_open_block_is_closed_at_the_end_of_the_tick(sim, item):
    sim.strict = False
    sim.run_lua(
        "reaper.Undo_BeginBlock2(0) reaper.SplitMediaItem(reaper.GetMediaItem(0, 0), 2)"
        " reaper.defer(function() reaper.Undo_EndBlock2(0, 'Late', -1) end)"
    )
    assert sim.undo_texts == ["ReaScript: Run"]
    assert "undo block was open" in sim.violations[0]
    sim.tick()
    assert "never opened" in sim.violations[1]


def test_prevented_refresh_must_be_given_back_in_the_tick(sim):
    with pytest.raises(SimulationError, match="PreventUIRefresh is 1"):
        sim.run_lua("reaper.PreventUIRefresh(1)")
    sim.violations.clear()
    with pytest.raises(SimulationError, match="fell below 0"):
        sim.run_lua("reaper.PreventUIRefresh(-1)")
    sim.violations.clear()


@pytest.mark.parametrize(("flags", "fails"), [(4, False), (-1, False), (1, True), (5, False)])
def test_flags_must_cover_what_changed(sim, item, flags, fails):
    sim.strict = False
    sim.run_lua(SPLIT.replace("4)", f"{flags})"))
    assert bool(sim.violations) == fails


def test_a_users_edit_is_a_point_of_its_own(sim, item):
    item.length = 3.0
    sim.tick()
    sim.run_lua(SPLIT)
    assert sim.history().texts[-2:] == ["User edit", "Split"]
    sim.undo()
    assert sim.project.items[0].length == 3.0
    assert sim.undo() == "User edit"


def test_a_users_edit_takes_up_what_a_script_left(sim, item):
    code = "reaper.SetMediaItemInfo_Value(reaper.GetMediaItem(0, 0), 'D_VOL', 0.5)"
    sim.run_lua(code + " reaper.defer(function() end)")
    sim.tick(2)
    assert sim.history().texts == ["User edit"]
    item.length = 2.0
    sim.tick()
    assert sim.history().texts == ["User edit", "User edit"]
    sim.undo()
    assert (sim.project.items[0].length, sim.project.items[0].values["D_VOL"]) == (4.0, 1.0)


def test_an_action_of_reapers_makes_its_own_point_unless_in_a_block(sim, item, record):
    item.add_take(record(name="b.wav"))
    item.selected = True
    sim.run_lua("reaper.Main_OnCommandEx(40125, 0, 0)")
    assert sim.undo_texts == ["selected items: next take"]
    sim.run_lua(
        "reaper.Undo_BeginBlock2(0) reaper.Main_OnCommandEx(40125, 0, 0)"
        " reaper.Undo_EndBlock2(0, 'Mine', 4)"
    )
    assert sim.undo_texts == ["selected items: next take", "Mine"]


def test_deleting_kills_pointers_and_undo_brings_the_item_back(sim, item):
    guid = item.guid
    sim.run_lua("""
        local item = reaper.GetMediaItem(0, 0)
        local take = reaper.GetActiveTake(item)
        reaper.Undo_BeginBlock2(0)
        reaper.DeleteTrackMediaItem(reaper.GetMediaItem_Track(item), item)
        reaper.Undo_EndBlock2(0, "Delete", 4)
        assert(not reaper.ValidatePtr(item, "MediaItem*"))
        assert(not reaper.ValidatePtr(take, "MediaItem_Take*"))
    """)
    assert sim.find_item(guid) is None
    sim.undo()
    assert sim.find_item(guid) is not None


def test_closing_a_tab_kills_its_pointers(sim, item):
    other = sim.new_project(None, switch=False)
    sim.run_lua("""
        local project, item = reaper.EnumProjects(-1), reaper.GetMediaItem(0, 0)
        reaper.defer(function()
            assert(not reaper.ValidatePtr(project, "ReaProject*"))
            assert(not reaper.ValidatePtr2(0, item, "MediaItem*"))
            reaper.defer(function() reaper.CountTracks(project) end)
        end)
    """)
    sim.close_project(sim.project)
    assert sim.project is other
    sim.tick()
    with pytest.raises(ScriptError, match="ReaProject expected"):
        sim.tick()
    sim.script_errors.clear()


def test_editing_while_recording_is_a_violation(sim, item):
    sim.project.play_state = 5
    with pytest.raises(SimulationError, match="records"):
        sim.run_lua(SPLIT)
    sim.violations.clear()


@pytest.mark.parametrize("kept", [True, False])
def test_project_ext_state_and_undo(tmp_path, record, kept):
    with Reaper(tmp_path / "m", switches=Switches(undo_keeps_project_ext=kept)) as sim:
        sim.project.add_track().add_item(record())
        sim.run_lua(
            "reaper.SetProjExtState(0, 'a', 'b', 'c')"
            + SPLIT.replace("2.5", "1").replace("4)", "-1)")
        )
        sim.undo()
        value = sim.run_lua("return reaper.GetProjExtState(0, 'a', 'b')")
        assert value == ((1, "c") if kept else (0, ""))
