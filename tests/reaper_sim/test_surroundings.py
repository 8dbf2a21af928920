"""Windows, files, programs, stored states, projects and the clock."""

import sys

import pytest

from tests.reaper_sim.signatures import gfx_names
from tests.reaper_sim.simulator import Reaper, SimulationError, Switches
from tests.reaper_sim.switches import each_answer


@pytest.fixture
def windows(tmp_path):
    with Reaper(tmp_path / "m", windows=True) as reaper:
        yield reaper


# Windows that ask ---------------------------------------------------------------------------


def test_inputs_come_back_joined_by_the_separator(sim):
    sim.answer_inputs(["rain, wind", "3"])
    code = (
        "return reaper.GetUserInputs('T', 2, 'Prompt,Takes,extrawidth=300,separator=\\n',"
        " 'old, prompt\\n1')"
    )
    assert sim.run_lua(code) == (True, "rain, wind\n3")
    dialog = sim.dialogs.shown[-1]
    assert dialog.captions == ("Prompt", "Takes")
    assert dialog.defaults == ("old, prompt", "1")


def test_commas_without_another_separator_are_caught(sim):
    sim.answer_inputs(["x"])
    with pytest.raises(SimulationError, match="default values for 1 fields"):
        sim.run_lua("reaper.GetUserInputs('T', 1, 'Prompt', 'rain, wind')")
    sim.violations.clear()


def test_cancelled_inputs_and_fields_by_name(sim):
    sim.answer_inputs(None)
    assert sim.run_lua("return (reaper.GetUserInputs('T', 1, 'A', 'x'))") is False
    sim.answer_inputs({"B": "new"})
    assert sim.run_lua("return reaper.GetUserInputs('T', 2, 'A,B', 'x,y')") == (True, "x,new")


@pytest.mark.parametrize("code", ["'T', 17, '', ''", "'T', 0, '', ''", "'T', 1, 'A', ''"])
def test_inputs_that_nobody_expects_or_reaper_refuses(tmp_path, code):
    with pytest.raises(SimulationError), Reaper(tmp_path) as sim:
        sim.run_lua(f"reaper.GetUserInputs({code})")


def test_something_may_happen_while_a_window_is_open(sim, item):
    sim.answer_inputs(["x"], meanwhile=lambda: sim.project.delete_item(item))
    code = """
        local item = reaper.GetMediaItem(0, 0)
        reaper.GetUserInputs('T', 1, 'A', '')
        return reaper.ValidatePtr(item, "MediaItem*")
    """
    assert sim.run_lua(code) is False


def test_boxes_are_answered(sim):
    sim.answer_box(6)
    assert sim.run_lua("return reaper.MB('text', 'title', 4), reaper.MB('a', 'b', 0)") == (6, 1)
    assert [dialog.text for dialog in sim.dialogs.shown] == ["text", "a"]


def test_gfx_draws_and_closes(sim):
    sim.run_lua("""
        gfx.init("Title", 300, 100)
        local function draw()
            gfx.set(1, 1, 1)
            gfx.x, gfx.y = 5, 5
            gfx.drawstr("40 %")
            if gfx.getchar() >= 0 then gfx.update() reaper.defer(draw) end
        end
        draw()
    """)
    sim.tick()
    assert (sim.window.is_open, sim.window.size) == (True, (300.0, 100.0))
    assert sim.window.shown == ["40 %"]
    sim.window.close()
    sim.tick(2)
    assert not sim.running("snippet.lua")
    assert "drawstr" in gfx_names()


def test_tooltip_and_console(sim):
    sim.run_lua("reaper.TrackCtl_SetToolTip('half', 1, 2, true) reaper.ShowConsoleMsg('a\\n')")
    assert (sim.tooltip, sim.console) == ("half", "a\n")


def test_a_tooltip_that_may_be_read_as_a_format_is_refused(sim):
    with pytest.raises(SimulationError, match="format"):
        sim.run_lua("reaper.TrackCtl_SetToolTip('40 %', 1, 2, true)")
    sim.violations.clear()


# Files --------------------------------------------------------------------------------------

RENAME = """
    local folder = reaper.GetResourcePath() .. package.config:sub(1, 1)
    for _, name in ipairs({ "a", "b" }) do
        local file = assert(io.open(folder .. name, "wb"))
        file:write(name)
        file:close()
    end
    local ok, why = os.rename(folder .. "a", folder .. "b")
    return ok, why, reaper.GetResourcePath()
"""


def test_renaming_onto_a_file_works_on_linux(sim):
    assert sim.run_lua(RENAME)[0] is True
    assert (sim.resource_path / "b").read_text() == "a"


def test_renaming_onto_a_file_fails_on_windows(windows):
    ok, why, folder = windows.run_lua(RENAME)
    assert ok is None
    assert "File exists" in why
    assert folder.startswith("C:\\")
    assert windows.files.to_host(folder) == str(windows.resource_path)


def test_windows_refuses_open_files_text_writing_and_strange_names(windows):
    windows.strict = False
    code = """
        local folder = reaper.GetResourcePath() .. "\\\\"
        local file = io.open(folder .. "open", "wb")
        local renamed = os.rename(folder .. "open", folder .. "new")
        local removed = os.remove(folder .. "open")
        file:close()
        local strange = io.open(folder .. "a:b?.wav", "wb")
        io.open(folder .. "text", "w"):close()
        return renamed, removed, strange, os.remove(folder .. "open")
    """
    assert windows.run_lua(code) == (None, None, None, True)
    assert "line ends" in windows.violations[0]


@pytest.mark.parametrize("utf8", [True, False])
def test_names_beyond_ascii_on_windows(tmp_path, utf8):
    with Reaper(tmp_path, windows=True, switches=Switches(utf8_file_names=utf8)) as sim:
        code = "return io.open(reaper.GetResourcePath() .. '\\\\ä.txt', 'wb') ~= nil"
        assert sim.run_lua(code) == utf8


def test_full_disks_and_read_only_folders(sim):
    sim.files.disk_full("*/full*")
    sim.files.read_only("*/closed/*")
    code = """
        local folder = reaper.GetResourcePath()
        local file = io.open(folder .. "/full.bin", "wb")
        local ok, why = file:write("x")
        file:close()
        reaper.RecursiveCreateDirectory(folder .. "/closed", 0)
        local closed, reason = io.open(folder .. "/closed/a", "wb")
        return ok, why, closed, reason
    """
    ok, why, closed, reason = sim.run_lua(code)
    assert (ok, closed) == (None, None)
    assert "No space left" in why
    assert "Permission denied" in reason


def test_listings_are_remembered_until_asked_with_minus_one(sim):
    folder = sim.resource_path / "F"
    folder.mkdir()
    (folder / "a").touch()
    code = f"return reaper.EnumerateFiles('{folder}', 0), reaper.EnumerateFiles('{folder}', 1)"
    assert sim.run_lua(code) == ("a", None)
    (folder / "b").touch()
    assert sim.run_lua(code) == ("a", None)
    sim.run_lua(f"reaper.EnumerateFiles('{folder}', -1)")
    assert sim.run_lua(code) == ("a", "b")


def test_media_in_use_must_not_be_deleted(sim, item):
    with pytest.raises(SimulationError, match="was deleted"):
        sim.run_lua(f"os.remove([[{item.take.path}]])")
    sim.violations.clear()


# Programs -----------------------------------------------------------------------------------


def test_command_lines_are_noted_and_answered(sim):
    code = """return reaper.ExecProcess('"/a b/python" -m reapaint', -2)"""
    assert sim.run_lua(code) == "0\n"
    assert sim.processes.commands[0].words == ["/a b/python", "-m", "reapaint"]
    for answer in (None, "259\n"):
        sim.processes.answer = answer
        assert sim.run_lua(code) == answer


def test_a_program_can_really_be_started_also_late(sim, tmp_path):
    line = f'''{sys.executable} -c "open('{tmp_path}/made', 'w')"'''
    sim.run_lua(f"reaper.ExecProcess([[{line}]], -2)")
    assert not (tmp_path / "made").exists()
    sim.processes.start_late()
    assert sim.processes.started[0].wait(20) == 0
    assert (tmp_path / "made").exists()
    sim.processes.really = True
    assert sim.run_lua("return reaper.ExecProcess('/no/such/program', -2)") is None


# Stored states ------------------------------------------------------------------------------


def test_ext_state_minds_neither_case_nor_other_scripts(sim):
    sim.run_lua("reaper.SetExtState('ReaPaint', 'Key', 'a', false)")
    assert sim.run_lua("return reaper.GetExtState('reapaint', 'KEY')") == "a"
    with pytest.raises(SimulationError, match="line end"):
        sim.run_lua("reaper.SetExtState('a', 'b', 'c\\nd', true)")
    sim.violations.clear()


def test_project_ext_state(sim):
    sim.run_lua("reaper.SetProjExtState(0, 'a', 'b', 'c\\0d')")
    assert sim.run_lua("return reaper.GetProjExtState(0, 'a', 'b')") == (1, "c")
    sim.run_lua("reaper.SetProjExtState(0, 'a', 'b', '')")
    assert sim.run_lua("return reaper.GetProjExtState(0, 'a', 'b')") == (0, "")


def test_item_ext_data(sim, item):
    code = """
        local item = reaper.GetMediaItem(0, 0)
        local get = reaper.GetSetMediaItemInfo_String
        local missing = { get(item, "P_EXT:k", "", false) }
        reaper.Undo_BeginBlock2(0)
        local set = { get(item, "P_EXT:k", "v", true) }
        local found = { get(item, "P_EXT:k", "", false) }
        get(item, "P_EXT:k", "", true)
        local gone = { get(item, "P_EXT:k", "", false) }
        reaper.Undo_EndBlock2(0, "Ext", 4)
        return missing, set, found, gone
    """
    assert sim.run_lua(code) == ([False, ""], [True, "v"], [True, "v"], [False, ""])


# Projects -----------------------------------------------------------------------------------


def test_an_unsaved_project_has_a_media_folder_and_no_path(tmp_path):
    with Reaper(tmp_path, saved=False) as sim:
        path, folder = sim.run_lua(
            "return select(2, reaper.EnumProjects(-1)), reaper.GetProjectPathEx(0)"
        )
        assert path == ""
        assert folder == str(tmp_path / "REAPER Media")


def test_tabs(sim):
    sim.new_project("second")
    code = "return select(2, reaper.EnumProjects(-1)), reaper.EnumProjects(2)"
    path, third, _ = sim.run_lua(code)
    assert path.endswith("second.rpp")
    assert third is None


def test_the_projects_rate_and_the_devices(sim):
    sim.project.sample_rate_used = False
    sim.device = None
    code = """
        return reaper.GetSetProjectInfo(0, "PROJECT_SRATE_USE", 0, false),
            reaper.GetAudioDeviceInfo("SRATE", "")
    """
    assert sim.run_lua(code) == (0.0, False, "")
    assert sim.run_lua("return 1 / reaper.parse_timestr_len('1', 0, 4)") == pytest.approx(48_000)


def test_razor_edits(sim, item):
    sim.project.tracks[0].razor((1.0, 1.5), (2.0, 2.25))
    key = "'P_RAZOREDITS', '', false"
    code = f"return reaper.GetSetMediaTrackInfo_String(reaper.GetTrack(0, 0), {key})"
    assert sim.run_lua(code) == (True, '1.0 1.5 "" 2.0 2.25 ""')


def test_reopening_keeps_guids_and_forgets_undo(sim, item):
    guid = item.guid
    item.length = 2.0
    sim.tick()
    sim.reopen(sim.project)
    assert sim.undo() == ""
    assert not item.alive
    assert sim.find_item(guid).length == 2.0


def test_the_wall_clock_may_be_set_wrong(sim):
    before = sim.run_lua("return os.time()")
    sim.clock_step_s = -3600
    assert sim.run_lua("return os.time()") < before - 3500


def test_every_open_question_has_another_answer():
    names = [name for name, _ in each_answer()]
    assert len(names) == len(set(names)) > 20


def test_tick_until_gives_up(sim):
    with pytest.raises(SimulationError, match="does not hold"):
        sim.tick_until(lambda: False, ticks=3)
