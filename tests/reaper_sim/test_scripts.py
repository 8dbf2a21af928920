"""Scripts in the simulation: their state, their life, and what ends them."""

import pytest

from tests.reaper_sim.simulator import Reaper, ScriptError, SimulationError, Switches


@pytest.fixture
def action(tmp_path):
    """Return a maker of action files and the REAPER that runs them."""

    def make(text, **options):
        folder = tmp_path / "scripts"
        folder.mkdir(exist_ok=True)
        (folder / "A.lua").write_text(text)
        return Reaper(tmp_path / "machine", scripts=folder, **options)

    return make


@pytest.mark.parametrize(("lua", "name"), [("5.3", "Lua 5.3"), ("5.4", "Lua 5.4")])
def test_both_luas_run(tmp_path, lua, name):
    with Reaper(tmp_path, lua=lua) as sim:
        assert sim.run_lua("return _VERSION, math.type(1)") == (name, "integer")


def test_deferred_functions_run_once_a_tick_of_31_ms(sim):
    sim.run_lua(
        "local n = 0; local function f() n = n + 1; reaper.SetExtState('t', 'n', tostring(n) .. '"
        " ' .. math.floor(reaper.time_precise() * 1000 + .5), false); reaper.defer(f) end f()"
    )
    assert sim.ext_state["t", "n"] == "1 1000000"
    sim.tick(2)
    count, milliseconds = sim.ext_state["t", "n"].split()
    assert int(count) == 3
    assert 1_000_062 <= int(milliseconds) <= 1_000_090


def test_more_than_1024_pending_defers_are_refused(sim):
    sim.strict = False
    sim.run_lua("for i = 1, 1025 do reaper.defer(function() end) end")
    assert "too many functions pending" in sim.script_errors[0]


def test_exit_functions_run_in_order_after_the_end(sim):
    sim.run_lua(
        "for i = 1, 3 do reaper.atexit(function() reaper.SetExtState('t', 'x',"
        " reaper.GetExtState('t', 'x') .. i, false) end) end"
    )
    assert sim.ext_state["t", "x"] == "123"


def test_exit_functions_run_after_an_error_and_cannot_defer(sim):
    sim.strict = False
    sim.run_lua(
        "reaper.atexit(function() reaper.SetExtState('t', 'x',"
        " tostring(reaper.defer(function() end)), false) end); error('no')"
    )
    assert sim.ext_state["t", "x"] == "false"
    assert "no" in sim.script_errors[0]
    assert not sim.running("snippet.lua")


def test_an_error_in_a_deferred_function_ends_the_script(sim):
    sim.run_lua("reaper.defer(function() error({}) end) reaper.defer(function() x() end)")
    with pytest.raises(ScriptError):
        sim.tick()
    assert not sim.running("snippet.lua")
    sim.script_errors.clear()


def test_a_running_action_meets_the_task_control(action):
    with action("reaper.defer(function() end) reaper.defer(function() end)") as sim:
        sim.run_action("A.lua")
        sim.answer_task_control("terminate")
        sim.run_action("A.lua")
        assert not sim.running("A.lua")


def test_an_unexpected_task_control_fails(action):
    sim = action("local function f() reaper.defer(f) end f()")
    sim.run_action("A.lua")
    with pytest.raises(SimulationError, match="task control"):
        sim.run_action("A.lua")
    sim.close(check=False)


@pytest.mark.parametrize(("options", "running"), [(1, 0), (3, 1)])
def test_action_options_end_or_restart_a_running_instance(action, options, running):
    text = f"reaper.set_action_options({options}) local function f() reaper.defer(f) end f()"
    with action(text) as sim:
        first = sim.run_action("A.lua")
        sim.run_action("A.lua")
        assert len(sim.running("A.lua")) == running
        assert first not in sim.running("A.lua")


def test_a_modal_window_stops_every_defer_and_lets_time_pass(sim):
    sim.run_lua("local n = 0 local function f() n = n + 1 reaper.defer(f) end f()")
    ticks = sim.tick_count
    sim.answer_inputs(["x"], after_s=60)
    before = sim.now
    sim.run_lua("reaper.GetUserInputs('t', 1, 'a', '')")
    assert (sim.tick_count, sim.now - before) == (ticks, 60)


def test_no_tick_passes_while_a_window_is_open(sim):
    sim.answer_inputs(["x"], meanwhile=sim.tick)
    with pytest.raises(SimulationError, match="modal window is open"):
        sim.run_lua("reaper.GetUserInputs('t', 1, 'a', '')")
    sim.violations.clear()


@pytest.mark.parametrize("always", [True, False])
def test_an_action_without_block_or_defer_gets_an_undo_point(action, always):
    switches = Switches(auto_undo_when_unchanged=always)
    with action("local x = 1", switches=switches) as sim:
        sim.run_action("A.lua")
        assert sim.undo_texts == (["ReaScript: A.lua"] if always else [])


def test_a_deferred_nothing_avoids_the_automatic_undo_point(action):
    with action("reaper.defer(function() end)") as sim:
        sim.run_action("A.lua")
        sim.tick()
        assert sim.undo_texts == []


def test_each_script_has_its_own_state(sim):
    sim.run_lua("shared = 1")
    assert sim.run_lua("return shared") is None


def test_an_accessor_gives_nothing_in_a_coroutine(sim, item):
    code = """
        local take = reaper.GetActiveTake(reaper.GetSelectedMediaItem(0, 0))
        local accessor, buffer = reaper.CreateTakeAudioAccessor(take), reaper.new_array(20)
        local function read()
            return reaper.GetAudioAccessorSamples(accessor, 48000, 2, 0, 10, buffer)
        end
        local inside = coroutine.wrap(read)()
        local untouched = buffer[1]
        local outside = read()
        reaper.DestroyAudioAccessor(accessor)
        return tostring(inside), untouched, outside, buffer[1] ~= 0
    """
    assert sim.run_lua(code) == ("nil", 0.0, 1, True)


def test_what_blocks_reaper_fails(sim):
    sim.strict = False
    for call in ("os.execute('ls')", "io.popen('ls')", "os.exit()", "reaper.ExecProcess('ls', 0)"):
        sim.run_lua(call)
    assert len(sim.violations) == 4


def test_time_in_lua_is_told_from_time_in_the_double(sim, item):
    sim.run_lua("for i = 1, 2000 do reaper.CountTracks(0) end")
    calls = sim.slices[-1]
    sim.run_lua("local x = 0 for i = 1, 1e6 do x = x + i end")
    loop = sim.slices[-1]
    assert loop.lua_ms > 1
    assert calls.lua_cpu_ms < 40
    assert sim.max_lua_ms >= loop.lua_ms


def test_reading_costs_reapers_own_time(sim, item):
    sim.run_lua("""
        local take = reaper.GetActiveTake(reaper.GetSelectedMediaItem(0, 0))
        local accessor, buffer = reaper.CreateTakeAudioAccessor(take), reaper.new_array(96000)
        local began = reaper.time_precise()
        reaper.GetAudioAccessorSamples(accessor, 48000, 2, 0, 48000, buffer)
        assert(reaper.time_precise() - began >= 0.01)
        reaper.DestroyAudioAccessor(accessor)
    """)
    assert sim.slices[-1].api_ms == pytest.approx(10.0)


def test_modules_are_found_through_package_path(action, tmp_path):
    folder = tmp_path / "scripts"
    (folder / "inner").mkdir(parents=True)
    (folder / "inner" / "thing.lua").write_text("return { value = 42 }")
    text = """
        local folder = debug.getinfo(1, "S").source:match("@?(.*[\\\\/])")
        package.path = folder .. "?.lua;" .. package.path
        reaper.SetExtState("t", "v", tostring(require("inner.thing").value), false)
        reaper.defer(function() end)
    """
    for windows in (False, True):
        with action(text, windows=windows) as sim:
            sim.run_action("A.lua")
            assert sim.ext_state["t", "v"] == "42"


def test_a_script_that_does_not_parse_is_an_error(action):
    with pytest.raises(ScriptError, match=r"A\.lua"), action("local = 1") as sim:
        sim.run_action("A.lua")


def test_restart_forgets_what_was_not_kept(sim, item):
    sim.run_lua(
        "reaper.SetExtState('t', 'gone', '1', false) reaper.SetExtState('t', 'kept', '1', true)"
        " local function f() reaper.defer(f) end f()"
    )
    guid = item.guid
    sim.restart(crash=True)
    assert sim.run_lua("return reaper.GetExtState('t','gone')..reaper.GetExtState('t','kept')") == (
        "1"
    )
    assert not item.alive
    assert sim.find_item(guid) is not None
    assert not sim.running("snippet.lua")
