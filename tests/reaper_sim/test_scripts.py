"""Scripts in the simulation: their state, their life, and what ends them."""

import pytest

from tests.reaper_sim.simulator import Reaper, ScriptError, SimulationError


@pytest.mark.parametrize(("lua", "name"), [("5.3", "Lua 5.3"), ("5.4", "Lua 5.4")])
def test_both_luas_run(tmp_path, lua, name):
    with Reaper(tmp_path, lua=lua) as sim:
        assert sim.run_lua("return _VERSION, math.type(1)") == (name, "integer")


def test_an_unknown_function_fails_even_inside_pcall(tmp_path):
    with pytest.raises(SimulationError, match="no reaper.GetMediaItm"), Reaper(tmp_path) as sim:
        sim.run_lua("pcall(function() reaper.GetMediaItm(0, 0) end)")


def test_a_wrong_pointer_ends_the_script_with_reapers_words(tmp_path):
    words = r"bad argument #1 to 'GetActiveTake' \(MediaItem expected\)"
    with pytest.raises(ScriptError, match=words), Reaper(tmp_path) as sim:
        sim.run_lua("reaper.GetActiveTake(nil)")
