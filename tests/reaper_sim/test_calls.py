"""Arguments, return values, pointers and versions, as BEHAVIOUR part A has them."""

import pytest

from tests.reaper_sim.signatures import core_functions
from tests.reaper_sim.simulator import Reaper, ScriptError, SimulationError, Switches


def test_an_unknown_function_fails_even_inside_pcall(tmp_path):
    with pytest.raises(SimulationError, match=r"no reaper\.GetMediaItm"), Reaper(tmp_path) as sim:
        sim.run_lua("pcall(function() reaper.GetMediaItm(0, 0) end)")


def test_a_known_function_that_the_double_lacks_fails(tmp_path):
    with pytest.raises(SimulationError, match="does not provide"), Reaper(tmp_path) as sim:
        sim.run_lua("reaper.StuffMIDIMessage(0, 0, 0, 0)")


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("reaper.GetActiveTake(nil)", "#1 to 'GetActiveTake' (MediaItem expected)"),
        ("reaper.GetActiveTake(1)", "#1 to 'GetActiveTake' (MediaItem expected)"),
        (
            "reaper.GetTakeName(reaper.GetTrack(0, 0))",
            "#1 to 'GetTakeName' (MediaItem_Take expected)",
        ),
        ("reaper.GetTrack(0)", "#2 to 'GetTrack' (number expected, got no value)"),
        ("reaper.GetTrack(0, nil)", "#2 to 'GetTrack' (number expected, got nil)"),
        ("reaper.GetTrack(0, 'x')", "#2 to 'GetTrack' (number expected, got string)"),
        ("reaper.file_exists()", "#1 to 'file_exists' (string expected, got no value)"),
        ("reaper.file_exists({})", "#1 to 'file_exists' (string expected, got table)"),
        ("reaper.CountTracks(reaper.GetTrack(0, 0))", "'CountTracks' (ReaProject expected)"),
        ("reaper.new_array(4194304)", "#1 to 'new_array' (invalid size)"),
    ],
)
def test_wrong_arguments_raise_reapers_words(sim, item, code, words):
    with pytest.raises(ScriptError) as failure:
        sim.run_lua(code)
    assert f"bad argument {words}" in str(failure.value) or words in str(failure.value)
    sim.script_errors.clear()


def test_an_error_names_the_line_of_the_script(sim):
    sim.strict = False
    sim.run_lua("\n\nreaper.GetActiveTake(nil)")
    assert "snippet.lua:3: bad argument" in sim.script_errors[0]


def test_zero_is_false_and_other_numbers_are_true(sim):
    sim.project.time_selection = (1.0, 2.0)
    assert sim.run_lua("return reaper.GetSet_LoopTimeRange(0, 0, 0, 0, 0)") == (1.0, 2.0)
    assert sim.run_lua("return reaper.GetSet_LoopTimeRange(1, 0, 3, 4)") == (3.0, 4.0)


def test_extra_arguments_are_ignored_and_missing_projects_are_the_current_one(sim, item):
    assert sim.run_lua("return reaper.CountTracks(), reaper.CountTracks(nil, 1, 2)") == (1, 1)
    assert sim.run_lua("return reaper.CountSelectedMediaItems()") == 1


def test_integers_and_floats_come_out_as_lua_has_them(sim, item):
    code = """
        local item = reaper.GetSelectedMediaItem(0, 0)
        return math.type(reaper.CountTracks(0)), math.type(
            reaper.GetMediaItemInfo_Value(item, "B_UISEL")), reaper.GetTrack(0, 9) == nil
    """
    assert sim.run_lua(code) == ("integer", "float", True)


@pytest.mark.parametrize("answer", ["truncate", "raise"])
def test_a_fraction_for_an_integer_is_noted_or_raised(tmp_path, answer):
    with Reaper(tmp_path, switches=Switches(integer_arguments=answer), strict=False) as sim:
        sim.run_lua("reaper.GetTrack(0, 1.5)")
        assert bool(sim.warnings) == (answer == "truncate")
        assert bool(sim.script_errors) == (answer == "raise")


def test_pointers_are_opaque_and_comparable(sim, item):
    code = """
        local a, b = reaper.GetSelectedMediaItem(0, 0), reaper.GetMediaItem(0, 0)
        local keyed = { [a] = 1 }
        return type(a), a == b, keyed[b], pcall(function() return a.guid end)
    """
    kind, same, found, *indexed = sim.run_lua(code)
    assert (kind, same, found, indexed[0]) == ("userdata", True, 1, False)


@pytest.mark.parametrize(
    ("version", "has_options", "has_file_name", "has_peaks"),
    [("6.83", False, False, True), ("7.08", True, False, True), ("7.78", True, True, True)],
)
def test_newer_functions_are_absent(tmp_path, version, has_options, has_file_name, has_peaks):
    with Reaper(tmp_path, version=version) as sim:
        names = "set_action_options", "GetUserFileName", "PCM_Source_BuildPeaks"
        code = ", ".join(f"reaper.{name} ~= nil" for name in names)
        assert sim.run_lua(f"return {code}") == (has_options, has_file_name, has_peaks)
        assert sim.run_lua("return reaper.APIExists('set_action_options')") == has_options
        assert sim.run_lua("return reaper.GetAppVersion():match('[%d.]+')") == version


def test_extensions_are_absent_unless_named(tmp_path):
    code = "return reaper.CF_GetMediaSourceOnline ~= nil, reaper.ImGui_Begin ~= nil"
    with Reaper(tmp_path) as sim:
        assert sim.run_lua(code) == (False, False)
    with Reaper(tmp_path, extensions=["SWS"]) as sim:
        assert sim.run_lua(code) == (True, False)


def test_every_function_of_the_double_is_one_of_reapers():
    from tests.reaper_sim.calls import PROVIDED, provide_everything
    from tests.reaper_sim.signatures import builtins, extension_names

    provide_everything()
    known = {*core_functions(), *builtins(), *extension_names()}
    assert set(PROVIDED) <= known
    assert len(PROVIDED) > 200


@pytest.mark.parametrize(
    "code",
    [
        "reaper.SetMediaItemInfo_Value(I, 'D_POSITON', 1)",
        "reaper.SetMediaItemInfo_Value(I, 'IP_ITEMNUMBER', 1)",
        "reaper.SetMediaItemInfo_Value(I, 'C_FADEINSHAPE', 8)",
        "reaper.SetMediaItemInfo_Value(I, 'D_LENGTH', 0/0)",
        "reaper.GetMediaItemInfo_Value(I, 'P_TRACK')",
        "reaper.GetSetMediaItemInfo_String(I, 'P_NAME', '', false)",
    ],
)
def test_keys_that_no_reaper_has_fail(sim, item, code):
    sim.strict = False
    sim.run_lua("I = reaper.GetMediaItem(0, 0) " + code)
    assert len(sim.violations) == 1


def test_values_are_stored_as_their_c_types_store_them(sim, item):
    code = """
        local item = reaper.GetMediaItem(0, 0)
        for key, value in pairs({ B_MUTE = 7, I_GROUPID = 2.9, F_FREEMODE_Y = 0.1, D_VOL = 0.1 }) do
            reaper.SetMediaItemInfo_Value(item, key, value)
        end
        return reaper.GetMediaItemInfo_Value(item, "B_MUTE"),
            reaper.GetMediaItemInfo_Value(item, "I_GROUPID"),
            reaper.GetMediaItemInfo_Value(item, "F_FREEMODE_Y") == 0.1,
            reaper.GetMediaItemInfo_Value(item, "D_VOL") == 0.1
    """
    assert sim.run_lua(code) == (1.0, 2.0, False, True)


@pytest.mark.parametrize("answer", ["refused", "accepted"])
def test_pointers_of_a_project_behind_another(tmp_path, record, answer):
    switches = Switches(pointers_across_tabs=answer)
    with Reaper(tmp_path / "m", switches=switches, strict=False) as sim:
        sim.project.add_track().add_item(record(), 0.0)
        first = sim.project
        sim.new_project("other", switch=False)
        sim.run_lua(
            "local item = reaper.GetMediaItem(0, 0) reaper.defer(function()"
            " reaper.GetActiveTake(item) end)"
        )
        sim.switch_project(sim.projects[1])
        sim.tick()
        assert bool(sim.script_errors) == (answer == "refused")
        assert first.alive


def test_arrays_are_bounded_and_one_based(sim):
    sim.strict = False
    code = """
        local a = reaper.new_array(3)
        a[1], a[3] = 1, 3
        local low = pcall(function() return a[0] end)
        local high = pcall(function() a[4] = 1 end)
        local copy = reaper.new_array({ 5, 6 })
        a.copy(copy, 1, 2, 2)
        local t = a.table(1, 3)
        a.clear()
        return type(a), #a, low, high, t[1], t[2], t[3], a[3], a.get_alloc(), a.resize(2), #a
    """
    result = sim.run_lua(code)
    assert result == ("userdata", 3, False, False, 1.0, 5.0, 6.0, 0.0, 3, True, 2)
