"""Items, takes and sources, as BEHAVIOUR parts B5 and B6 have them."""

import numpy as np
import pytest

from tests.reaper_sim.chunk import item_chunk, read_item
from tests.reaper_sim.model import TakeEffect, TakeMarker
from tests.reaper_sim.simulator import Reaper, ScriptError, SimulationError, Switches
from tests.reaper_sim.sources import MidiSource, SectionSource

ITEM = "local item = reaper.GetMediaItem(0, 0) local take = reaper.GetActiveTake(item) "


def split(sim, at_s, after=""):
    return sim.run_lua(
        f"{ITEM} reaper.Undo_BeginBlock2(0) local right = reaper.SplitMediaItem(item, {at_s!r})"
        f" reaper.Undo_EndBlock2(0, 'Split', 4) {after}"
    )


def test_a_split_keeps_the_left_and_makes_the_right_anew(sim, item):
    item.take.values["D_PLAYRATE"] = 1.5
    item.take.ext["K"] = "v"
    guid = item.guid
    split(sim, 2.25)
    left, right = sim.project.items
    assert (left.guid, left.position, left.length) == (guid, 1.0, 1.25)
    assert right.guid != guid
    assert right.take.guid != left.take.guid
    assert (right.position, right.length) == (2.25, 2.75)
    assert right.take.offset == 1.25 * 1.5


@pytest.mark.parametrize("at_s", [0.5, 1.0, 5.0, 9.0])
def test_a_split_at_or_outside_the_edges_gives_nil(sim, item, at_s):
    assert split(sim, at_s, "return right") is None
    assert sim.undo_texts == []


def test_a_split_ignores_locks_and_groups_and_copies_item_data(sim, item):
    item.values |= {"C_LOCK": 1.0, "I_GROUPID": 3.0}
    item.ext["K"] = "two\nlines"
    other = sim.project.tracks[0].add_item(item.take.path, 1.0, 4.0, group=3)
    split(sim, 2.0)
    assert len(sim.project.items) == 3
    assert sim.find_item(other.guid).length == 4.0
    right = max(sim.project.items, key=lambda each: each.position)
    assert right.ext == {"K": "two\nlines"}
    assert right.values["C_LOCK"] == 1.0


@pytest.mark.parametrize("copies", [True, False])
def test_take_data_and_markers_on_a_split(tmp_path, record, copies):
    switches = Switches(split_copies_take_ext=copies, split_copies_take_markers=copies)
    with Reaper(tmp_path / "m", switches=switches) as sim:
        take = sim.project.add_track().add_item(record(), 1.0).take
        take.ext["K"] = "v"
        take.markers.append(TakeMarker(0.5, "here"))
        split(sim, 2.0)
        right = sim.project.items[1].take
        assert (right.ext, len(right.markers)) == (({"K": "v"}, 1) if copies else ({}, 0))


@pytest.mark.parametrize(
    ("geometry", "left_end", "right_start"),
    [
        ("left_extends", 2.51, 2.5),
        ("right_begins_early", 2.5, 2.49),
        ("centred", 2.505, 2.495),
    ],
)
def test_a_split_crossfades_when_the_option_is_on(
    tmp_path, record, geometry, left_end, right_start
):
    with Reaper(tmp_path / "m", switches=Switches(split_crossfade=geometry)) as sim:
        sim.project.add_track().add_item(record(), 1.0)
        sim.options[40912] = 1
        split(sim, 2.5)
        left, right = sim.project.items
        assert left.end == pytest.approx(left_end)
        assert right.position == pytest.approx(right_start)
        assert right.take.offset == pytest.approx(right_start - 1.0)
        assert left.values["D_FADEOUTLEN_AUTO"] == pytest.approx(0.01)
        assert right.values["D_FADEINLEN_AUTO"] == pytest.approx(0.01)
        assert left.values["C_FADEOUTSHAPE"] == 1.0


def test_the_splits_crossfade_hangs_on_the_zoom(sim, item):
    sim.options[40912] = 1
    sim.config["splitautoxfade"] = "257"
    sim.project.view.start, sim.project.view.end = 1.0, 1.6
    split(sim, 2.5)
    pixels_20 = 20 / (1200 / 0.6)
    assert sim.project.items[0].end - 2.5 == pytest.approx(min(0.01, pixels_20))
    sim.project.view.end = 1.01
    split(sim, 2.0)
    assert sim.project.items[0].end - 2.0 == pytest.approx(20 / (1200 / 0.01))


def test_midi_gets_no_split_crossfade(sim):
    sim.project.add_track().add_item(MidiSource(), 1.0)
    sim.options[40912] = 1
    split(sim, 2.5)
    assert sim.project.items[0].end == 2.5


def test_the_action_toggles_the_option(sim):
    code = "return reaper.GetToggleCommandStateEx(0, 40912)"
    assert sim.run_lua(code) == 0
    sim.run_lua("reaper.Main_OnCommandEx(40912, 0, 0)")
    assert sim.run_lua(code) == 1
    sim.run_lua("reaper.Main_OnCommandEx(40928, 0, 0)")
    assert sim.run_lua(code) == 0


def test_fades_stay_outside_and_never_exceed_their_part(sim, item):
    item.values |= {"D_FADEINLEN": 0.5, "D_FADEOUTLEN": 2.0}
    split(sim, 1.25)
    left, right = sim.project.items
    assert (left.values["D_FADEINLEN"], left.values["D_FADEOUTLEN"]) == (0.25, 0.0)
    assert (right.values["D_FADEINLEN"], right.values["D_FADEOUTLEN"]) == (0.0, 2.0)


def test_stretch_markers_and_envelopes_play_on_over_a_split(sim, record):
    item = sim.project.add_track().add_item(record(), 1.0)
    item.take.stretch_markers = [(0.0, 0.0), (2.0, 1.5), (4.0, 4.0)]
    item.take.add_envelope("Volume", (0.0, 1.0), (4.0, 0.2))
    before = sim.render(2.3, 3.3)
    split(sim, 2.5)
    np.testing.assert_allclose(sim.render(2.3, 3.3), before, atol=1e-6)


def test_healing_undoes_splits(sim, item):
    before = item_chunk(item)
    split(sim, 2.0)
    split(sim, 1.5)
    sim.run_lua(
        "reaper.Undo_BeginBlock2(0) reaper.Main_OnCommandEx(40182, 0, 0)"
        " reaper.Main_OnCommandEx(40548, 0, 0) reaper.Undo_EndBlock2(0, 'Heal', 4)"
    )
    assert [item_chunk(each) for each in sim.project.items] == [before]


def test_a_new_take_is_neither_active_nor_does_it_change_the_length(sim, item):
    sim.run_lua(
        f"{ITEM} reaper.Undo_BeginBlock2(0) local new = reaper.AddTakeToMediaItem(item)"
        " assert(reaper.GetMediaItemTake_Source(new) == nil)"
        " assert(reaper.GetActiveTake(item) == take) reaper.Undo_EndBlock2(0, 'Add', 4)"
    )
    now = sim.find_item(item.guid)
    assert (len(now.takes), now.active, now.length) == (2, 0, 4.0)


def test_items_made_by_scripts_loop_and_fade(sim):
    sim.project.add_track()
    sim.run_lua(
        "reaper.Undo_BeginBlock2(0) reaper.AddMediaItemToTrack(reaper.GetTrack(0, 0))"
        " reaper.Undo_EndBlock2(0, 'Add', 4)"
    )
    values = sim.project.items[0].values
    assert (values["B_LOOPSRC"], values["D_FADEINLEN"], values["D_FADEOUTLEN"]) == (1.0, 0.01, 0.01)


def test_a_position_sorts_the_track_at_once(sim, record):
    track = sim.project.add_track()
    for position in (0.0, 5.0, 10.0):
        track.add_item(record(), position)
    sim.run_lua(
        "local item = reaper.GetMediaItem(0, 0) reaper.Undo_BeginBlock2(0)"
        " reaper.SetMediaItemInfo_Value(item, 'D_POSITION', 7)"
        " assert(reaper.GetMediaItem(0, 1) == item) reaper.Undo_EndBlock2(0, 'Move', 4)"
    )
    assert [each.position for each in track.items] == [5.0, 7.0, 10.0]


def test_empty_take_lanes_count_but_are_no_takes(sim, item):
    item.takes.append(None)
    item.active = 1
    code = ITEM + "return reaper.CountTakes(item), reaper.GetTake(item, 1), take"
    assert sim.run_lua(code) == (2, None, None)


def test_an_empty_item_has_no_take(sim):
    sim.project.add_track().add_item(None, 1.0, 2.0)
    assert sim.run_lua(ITEM + "return reaper.CountTakes(item), take") == (0, None)


NEW_SOURCE = """
    reaper.Undo_BeginBlock2(0)
    local source = reaper.PCM_Source_CreateFromFile(path)
    local new = reaper.AddTakeToMediaItem(item)
    reaper.SetMediaItemTake_Source(new, source)
    reaper.Undo_EndBlock2(0, "Add", 4)
"""


def lua_path(path):
    return f"local path = [[{path}]] "


def test_a_take_owns_the_source_it_is_given(sim, item, record):
    code = lua_path(record(name="b.wav")) + ITEM + NEW_SOURCE
    sim.run_lua(code)
    with pytest.raises(SimulationError, match="that a take plays"):
        sim.run_lua(code + "reaper.PCM_Source_Destroy(source)")
    sim.violations.clear()


def test_a_source_in_use_is_duplicated(sim, item, record):
    code = lua_path(record(name="b.wav")) + ITEM + NEW_SOURCE
    sim.run_lua(
        code
        + """
        local third = reaper.AddTakeToMediaItem(item)
        reaper.SetMediaItemTake_Source(third, source)
        assert(reaper.GetMediaItemTake_Source(third) ~= source)
        assert(reaper.GetMediaItemTake_Source(new) == source)
    """
    )


def test_an_old_source_stays_and_must_be_destroyed(sim, item, record):
    swap = (
        lua_path(record(name="b.wav"))
        + ITEM
        + """
        local old = reaper.GetMediaItemTake_Source(take)
        reaper.SetMediaItemTake_Source(take, reaper.PCM_Source_CreateFromFile(path))
        assert(reaper.GetMediaSourceNumChannels(old) == 2)
    """
    )
    sim.run_lua(swap + "reaper.PCM_Source_Destroy(old)")
    with pytest.raises(SimulationError, match="never destroyed nor given"):
        sim.run_lua(swap)
    sim.violations.clear()


def test_a_source_cannot_be_destroyed_twice(sim, record):
    code = lua_path(record()) + "local s = reaper.PCM_Source_CreateFromFile(path) "
    with pytest.raises(ScriptError, match="PCM_source expected"):
        sim.run_lua(code + "reaper.PCM_Source_Destroy(s) reaper.PCM_Source_Destroy(s)")
    sim.script_errors.clear()


def test_a_forgotten_source_is_a_leak(sim, record):
    with pytest.raises(SimulationError, match="never destroyed"):
        sim.run_lua(lua_path(record()) + "reaper.PCM_Source_CreateFromFile(path)")
    sim.violations.clear()


def test_no_source_comes_of_what_is_no_media(sim, tmp_path):
    (tmp_path / "text.wav").write_text("no sound at all, only words")
    code = lua_path(tmp_path / "text.wav") + "return reaper.PCM_Source_CreateFromFile(path)"
    assert sim.run_lua(code) is None


def test_peaks_are_built_step_by_step(sim, record):
    code = (
        lua_path(record())
        + """
        local source, steps = reaper.PCM_Source_CreateFromFile(path), 0
        assert(reaper.PCM_Source_BuildPeaks(source, 0) ~= 0)
        repeat steps = steps + 1 until reaper.PCM_Source_BuildPeaks(source, 1) == 0
        reaper.PCM_Source_BuildPeaks(source, 2)
        local again = reaper.PCM_Source_BuildPeaks(source, 0)
        reaper.PCM_Source_Destroy(source)
        return steps > 1, again
    """
    )
    assert sim.run_lua(code) == (True, 0)


@pytest.mark.parametrize(
    ("mode", "in_take", "fresh"),
    [("known", 4.0, 4.0), ("zero_in_takes", 0.0, 4.0), ("zero_until_read", 0.0, 0.0)],
)
def test_lengths_that_read_zero(tmp_path, record, mode, in_take, fresh):
    with Reaper(tmp_path / "m", switches=Switches(source_length=mode)) as sim:
        path = record()
        sim.project.add_track().add_item(path, 0.0, 4.0)
        code = (
            lua_path(path)
            + ITEM
            + """
            local old = reaper.GetMediaItemTake_Source(take)
            local new = reaper.PCM_Source_CreateFromFile(path)
            local a, b = reaper.GetMediaSourceLength(old), reaper.GetMediaSourceLength(new)
            reaper.PCM_Source_Destroy(new)
            return a, b, reaper.GetMediaSourceSampleRate(old)
        """
        )
        assert sim.run_lua(code) == (in_take, fresh, 48000 if in_take else 0)


def test_sections_hide_their_file_and_name_their_parent(sim, record):
    source = SectionSource(sim.source_file(record()), 1.0, 2.0, reverse=True)
    sim.project.add_track().add_item(source, 0.0)
    code = (
        ITEM
        + """
        local source = reaper.GetMediaItemTake_Source(take)
        local parent = reaper.GetMediaSourceParent(source)
        return reaper.GetMediaSourceType(source), reaper.GetMediaSourceFileName(source),
            reaper.GetMediaSourceType(parent), reaper.GetMediaSourceParent(parent),
            reaper.PCM_Source_GetSectionInfo(source)
    """
    )
    assert sim.run_lua(code) == ("SECTION", "", "WAVE", None, True, 1.0, 2.0, True)


def test_lanes(sim, item):
    track = sim.project.tracks[0]
    track.set_lanes(2, {0})
    second = track.add_item(item.take.path, 1.0, 4.0, lane=1)
    code = "return reaper.GetMediaItemInfo_Value(reaper.GetMediaItem(0, {}), 'C_LANEPLAYS')"
    assert [sim.run_lua(code.format(i)) for i in (0, 1)] == [1.0, 0.0]
    assert not second.plays


def test_setting_a_lane_turns_any_track_into_one_with_lanes(sim, item):
    sim.run_lua(
        f"{ITEM} reaper.Undo_BeginBlock2(0) reaper.SetMediaItemInfo_Value(item, 'I_FIXEDLANE', 1)"
        " reaper.Undo_EndBlock2(0, 'Lane', 5)"
    )
    assert sim.project.tracks[0].values["I_FREEMODE"] == 2.0


def test_offline_media_shows_in_the_chunk_alone(sim, item):
    item.take.source.is_offline = True
    kind, chunk = sim.run_lua(
        f"{ITEM} local _, chunk = reaper.GetItemStateChunk(item, '', false) return"
        " reaper.GetMediaSourceType(reaper.GetMediaItemTake_Source(take)), chunk"
    )
    assert kind == "WAVE"
    assert "<SOURCE _OFFLINE_WAVE" in chunk
    assert not sim.render(1.0, 5.0).any()


def make_intricate(item, record):
    take = item.take
    take.name, take.ext = 'He said "hi"', {"REAPAINT": '{"a": "b c"}', "N": "x\ny", "E": "é'\"`"}
    take.values |= {"D_VOL": -0.7, "D_PAN": 0.25, "D_STARTOFFS": 0.1, "D_PITCH": 2.0}
    take.stretch_markers = [(0.0, 0.1), (1.0, 1.3)]
    take.markers.append(TakeMarker(0.5, "a marker", 7))
    take.add_envelope("Volume", (0.0, 1.0), (1.0, 0.5))
    take.effects.append(TakeEffect(gain=0.25))
    item.takes.append(None)
    item.add_take(SectionSource(take.source.clone(), 0.5, 1.0, reverse=True), rate=0.5)
    item.active = 2
    item.notes, item.ext = "two\nlines", {"K": "v w"}
    item.values |= {"D_VOL": 0.3, "C_LOCK": 1.0, "I_CUSTOMCOLOR": 16777471.0, "D_FADEINDIR": -0.5}


def test_a_chunk_holds_the_whole_item(sim, item, record):
    make_intricate(item, record)
    chunk = item_chunk(item)
    other = sim.project.tracks[0].add_item(None, 3.0)
    read_item(other, chunk)
    assert item_chunk(other) == chunk
    old = item.take
    sim.run_lua(
        f"{ITEM} local _, chunk = reaper.GetItemStateChunk(item, '', false)"
        " reaper.Undo_BeginBlock2(0) assert(reaper.SetItemStateChunk(item, chunk, false))"
        " assert(not reaper.ValidatePtr2(0, take, 'MediaItem_Take*') or take == nil)"
        " reaper.Undo_EndBlock2(0, 'Chunk', 4)"
    )
    assert item_chunk(item) == chunk
    assert not old.alive


def test_a_broken_chunk_is_refused(sim, item):
    sim.strict = False
    assert sim.run_lua(f"{ITEM} return reaper.SetItemStateChunk(item, '<ITEM', false)") is False
    assert "never closed" in sim.violations[0]


def test_crop_next_and_delete_take_act_on_selected_items(sim, item, record):
    item.add_take(record(name="b.wav"))
    run = (
        "reaper.Undo_BeginBlock2(0) reaper.Main_OnCommandEx({}, 0, 0)"
        " reaper.Undo_EndBlock2(0, 'A', 4)"
    )
    sim.run_lua(run.format(40125))
    assert sim.project.items[0].active == 1
    sim.run_lua(run.format(40131))
    assert len(sim.project.items[0].takes) == 1
    assert sim.project.items[0].take.path.name == "b.wav"


EFFECTS = """
    local take = reaper.GetActiveTake(reaper.GetMediaItem(0, 0))
    local none = reaper.TakeFX_AddByName(take, "no such thing", 1)
    local seen = reaper.TakeFX_AddByName(take, "JS:utility/volume", 0)
    local first = reaper.TakeFX_AddByName(take, "JS:utility/volume", 1)
    local again = reaper.TakeFX_AddByName(take, "JS:utility/volume", 1)
    local another = reaper.TakeFX_AddByName(take, "JS:utility/volume", -1)
    reaper.TakeFX_SetParam(take, first, 0, -6)
    reaper.TakeFX_SetEnabled(take, another, false)
    local _, chunk = reaper.GetItemStateChunk(reaper.GetMediaItem(0, 0), "", false)
    reaper.SetItemStateChunk(reaper.GetMediaItem(0, 0), chunk, false)
    take = reaper.GetActiveTake(reaper.GetMediaItem(0, 0))
    local value = reaper.TakeFX_GetParam(take, 0, 0)
    return none, seen, first, again, another, reaper.TakeFX_GetCount(take), value,
        reaper.TakeFX_GetEnabled(take, 0), reaper.TakeFX_GetEnabled(take, 1)
"""


def test_take_fx_are_added_by_name_and_stand_in_the_chunk(sim, item):
    *numbers, value, first, second = sim.run_lua(EFFECTS)
    assert numbers == [-1, -1, 0, 0, 1, 2]
    assert value == pytest.approx(-6)
    assert (first, second) == (True, False)
