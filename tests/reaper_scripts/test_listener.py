"""The resident script: what it follows, what it never does blindly, and how long it takes."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.reaper_scripts import workbench as actions
from tests.reaper_scripts.workbench import RATE, Workbench, painted_takes, recording
from tests.reaper_sim.simulator import Reaper

MAX_TICK_MS = 10.0
GONE_TICKS = 360
"""Until a REAPER that crashed is given up by the next."""
HICCUPS = 0.02
"""The share of ticks that other programs on the machine may hold up."""


@pytest.fixture
def asked(bench: Workbench) -> Workbench:
    """A job that was sent and has no answer yet."""
    bench.select(2.0, 2.6)
    bench.paint("birdsong")
    return bench


def job_of(bench: Workbench) -> Path:
    return bench.replier.jobs()[-1]


def longest_tick_ms(bench: Workbench) -> float:
    """Return for how long REAPER was held up at most, its own share included."""
    held = sorted(each.lua_cpu_ms + each.api_ms for each in bench.sim.slices)
    return held[int(len(held) * (1 - HICCUPS))]


# In time


def test_a_result_is_spliced_within_two_ticks(asked: Workbench) -> None:
    asked.sim.tick(7)
    for shift in range(5):
        asked.sim.run_action(actions.TRY_AGAIN)
        asked.sim.tick(3 + shift)
        points = len(asked.sim.undo_texts)
        asked.replier.answer(job_of(asked))
        asked.sim.tick(2)
        assert len(asked.sim.undo_texts) == points + 1
        assert (job_of(asked) / "applied").exists()


def test_one_path_is_probed_a_job_and_tick(asked: Workbench) -> None:
    asked.sim.run_action(actions.TRY_AGAIN)
    asked.sim.tick(5)
    before = asked.sim.calls["file_exists"]
    asked.sim.tick(20)
    assert asked.sim.calls["file_exists"] - before <= 2 * 20


@pytest.mark.slow
def test_no_tick_holds_reaper_up(tmp_path: Path) -> None:
    """A minute of stereo, through the accessor, and back."""
    item = {"length_s": 70.0, "channel_mode": 1, "position_s": 0.0}
    with Workbench(tmp_path, media=recording(80.0), item=item) as bench:
        bench.select(5.0, 65.0)
        bench.sim.run_action(actions.FILL)
        ticks = bench.sim.tick_until(bench.replier.open_jobs)
        request = bench.replier.request(job_of(bench))
        assert request["source"]["frames"] == 70 * RATE
        assert ticks * bench.sim.tick_s < 10.0, "70 s are read in a fraction of their length"
        bench.finish(ticks=10)
        assert bench.painted()
        assert longest_tick_ms(bench) < MAX_TICK_MS
        assert bench.sim.largest_array < 2**22


def test_keys_and_splices_are_quick(asked: Workbench) -> None:
    asked.finish()
    assert asked.painted()
    assert longest_tick_ms(asked) < MAX_TICK_MS


# Never blindly


def after_a_split(bench: Workbench) -> None:
    bench.item.length -= 1.0


def after_a_move(bench: Workbench) -> None:
    bench.item.position += 0.25


def after_a_slip(bench: Workbench) -> None:
    take = bench.item.take
    assert take is not None
    take.values["D_STARTOFFS"] += 0.1


def after_a_rate_change(bench: Workbench) -> None:
    take = bench.item.take
    assert take is not None
    take.values["D_PLAYRATE"] = 1.1


def after_deletion(bench: Workbench) -> None:
    bench.sim.project.delete_item(bench.item)


def after_locking(bench: Workbench) -> None:
    bench.item.values["C_LOCK"] = 1.0


def after_another_take(bench: Workbench) -> None:
    bench.item.add_take(bench.path, offset=1.0)
    bench.item.active = 1


@pytest.mark.parametrize(
    "change",
    [after_a_split, after_a_move, after_a_slip, after_a_rate_change, after_deletion,
     after_locking, after_another_take],
)  # fmt: skip
def test_a_result_for_a_changed_item_is_kept_and_offered(
    asked: Workbench, change: Callable[[Workbench], None]
) -> None:
    asked.sim.tick(3)
    change(asked)
    before = asked.sim.chunk()
    asked.finish()
    assert asked.sim.chunk() == before
    assert not asked.sim.undo_texts
    assert not (job_of(asked) / "applied").exists()
    assert "is kept" in asked.sim.tooltip
    asked.sim.answer_box(6)
    asked.sim.answer_inputs(None)
    asked.sim.project.time_selection = (0.0, 0.0)
    if change is after_deletion:
        asked.add_item().selected = True
    if change is after_locking:
        asked.item.values["C_LOCK"] = 0.0
    asked.sim.run_action(actions.INPAINT)
    asked.sim.tick(4)
    assert (job_of(asked) / "applied").exists()
    if change is after_locking:
        assert len(asked.painted()) == 1
    else:
        (new_track,) = asked.sim.project.tracks[1:]
        (item,) = new_track.items
        assert (item.position, round(item.end, 9)) == (2.0, 2.6)
        assert painted_takes(item)


def test_a_kept_result_holds_no_tick_up(asked: Workbench) -> None:
    asked.sim.tick(3)
    after_a_move(asked)
    asked.finish()
    assert not (job_of(asked) / "applied").exists()
    asked.sim.slices.clear()
    asked.sim.tick(300)
    assert longest_tick_ms(asked) < MAX_TICK_MS


def test_a_kept_result_says_why_it_waits(asked: Workbench) -> None:
    asked.sim.tick(3)
    after_a_move(asked)
    asked.finish()
    asked.sim.answer_box(2)
    asked.sim.answer_inputs(None)
    asked.sim.run_action(actions.INPAINT)
    box = next(shown for shown in asked.sim.dialogs.shown if shown.kind == "box")
    assert "(birdsong) waits: its item has changed." in box.text
    assert "back in its place" in box.text


def test_a_result_of_another_tab_says_so(asked: Workbench) -> None:
    asked.sim.tick(2)
    after_a_move(asked)
    asked.finish()
    first = asked.sim.project
    before = asked.sim.chunk(first)
    asked.sim.new_project("other")
    asked.sim.answer_box(6)
    asked.sim.run_action(actions.INPAINT)
    box = next(shown for shown in asked.sim.dialogs.shown if shown.kind == "box")
    assert "It was made in project.rpp" in box.text
    asked.sim.tick(4)
    assert "made in project.rpp; it is on a new track of the project in front" in asked.sim.tooltip
    (track,) = asked.sim.project.tracks
    assert painted_takes(track.items[0])
    assert asked.sim.chunk(first) == before


def test_a_result_can_be_dismissed_and_its_files_stay(asked: Workbench) -> None:
    asked.sim.tick(3)
    after_a_move(asked)
    asked.finish()
    files = list(asked.sim.project.media_folder.glob("*tone*.wav"))
    assert files
    asked.sim.answer_box(7)
    asked.sim.answer_inputs(None)
    asked.sim.run_action(actions.INPAINT)
    asked.sim.tick(2)
    assert (job_of(asked) / "applied").exists()
    assert all(path.exists() for path in files)
    assert len(asked.sim.project.tracks) == 1


def test_a_result_waits_for_its_tab_to_come_back(asked: Workbench) -> None:
    asked.sim.tick(2)
    first = asked.sim.project
    before = asked.sim.chunk(first)
    other = asked.sim.new_project("other")
    asked.finish()
    assert asked.sim.chunk(first) == before
    assert not other.items
    asked.sim.switch_project(first)
    asked.sim.tick(2)
    assert len(asked.painted()) == 1


def test_a_result_of_a_closed_project_is_kept(asked: Workbench) -> None:
    asked.sim.tick(2)
    asked.sim.new_project("other")
    asked.sim.close_project(asked.sim.projects[0])
    asked.finish()
    assert not (job_of(asked) / "applied").exists()
    assert "is kept" in asked.sim.tooltip


def test_a_result_waits_while_recording(asked: Workbench) -> None:
    asked.sim.project.play_state = 5
    asked.finish()
    assert not asked.painted()
    asked.sim.project.play_state = 0
    asked.sim.tick(2)
    assert asked.painted()


def test_an_item_that_changes_while_it_is_read_ends_the_job(tmp_path: Path) -> None:
    with Workbench(tmp_path, item={"pitch": 1.0}, media=recording(60.0)) as bench:
        bench.item.length = 50.0
        bench.select(20.0, 40.0)
        bench.sim.run_action(actions.FILL)
        bench.sim.tick(2)
        assert not bench.replier.jobs()
        bench.item.length = 49.0
        bench.sim.tick(2)
        assert "changed while it was read" in bench.sim.tooltip
        assert not bench.sim.undo_texts


# Several at once


def test_jobs_on_one_item_find_their_pieces(bench: Workbench) -> None:
    before = bench.render()
    spans = [(1.5, 1.8), (3.0, 3.4), (2.2, 2.6)]
    for span in spans:
        bench.select(*span)
        bench.sim.run_action(actions.FILL)
    for job in bench.replier.jobs():
        bench.replier.answer(job)
        bench.sim.tick(3)
    assert sorted((item.position, round(item.end, 9)) for item in bench.painted()) == sorted(spans)
    changed = np.flatnonzero((bench.render() != before).any(axis=0)) / RATE
    assert all(any(start <= at <= end for start, end in spans) for at in changed[::31])


def test_an_undo_between_two_results_does_not_lose_the_second(bench: Workbench) -> None:
    for span in ((1.5, 1.8), (3.0, 3.4)):
        bench.select(*span)
        bench.sim.run_action(actions.FILL)
    first, second = bench.replier.jobs()
    bench.replier.answer(first)
    bench.sim.tick(3)
    bench.sim.undo()
    bench.replier.answer(second)
    bench.sim.tick(3)
    assert [(item.position, item.end) for item in bench.painted()] == [(3.0, 3.4)]


def test_stepping_through_takes_does_not_lose_the_next(asked: Workbench) -> None:
    asked.finish()
    asked.sim.run_action(actions.TRY_AGAIN)
    asked.sim.tick(2)
    asked.sim.run_action(actions.PREVIOUS_TAKE)
    asked.finish()
    (middle,) = asked.painted()
    assert len(painted_takes(middle)) == 2


# Ending and failing


def test_a_cancelled_job_leaves_nothing_behind(asked: Workbench) -> None:
    before = asked.sim.chunk()
    asked.sim.tick(2)
    asked.sim.run_action(actions.CANCEL)
    asked.sim.tick(1)
    assert (job_of(asked) / "cancel").exists()
    asked.replier.fail(job_of(asked), "cancelled", "The job was cancelled.")
    asked.sim.tick(3)
    assert (job_of(asked) / "applied").exists()
    assert asked.sim.chunk() == before
    assert not asked.sim.undo_texts


def test_a_result_that_comes_after_the_cancel_is_not_spliced(asked: Workbench) -> None:
    before = asked.sim.chunk()
    asked.sim.tick(2)
    asked.sim.run_action(actions.CANCEL_ALL)
    asked.sim.tick(1)
    asked.finish()
    assert asked.sim.chunk() == before
    assert (job_of(asked) / "applied").exists()


def test_a_cancelled_job_is_over_though_no_bridge_lives(asked: Workbench) -> None:
    asked.sim.tick(2)
    asked.sim.run_action(actions.CANCEL)
    asked.sim.tick(2)
    assert (job_of(asked) / "cancel").exists()
    launched = len(asked.sim.processes.commands)
    asked.sim.tick(1000)
    assert len(asked.sim.processes.commands) == launched
    assert asked.sim.run_lua("return reaper.GetExtState('ReaPaint', 'busy')") == "0"
    asked.sim.restart()
    asked.sim.run_action(actions.LISTENER)
    asked.sim.tick(GONE_TICKS)
    assert asked.sim.tooltip == ""


def test_reading_can_be_cancelled(tmp_path: Path) -> None:
    with Workbench(tmp_path, item={"pitch": 1.0}, media=recording(60.0)) as bench:
        bench.item.length = 50.0
        bench.select(20.0, 40.0)
        bench.sim.run_action(actions.FILL)
        bench.sim.tick(2)
        bench.sim.run_action(actions.CANCEL)
        bench.sim.tick(200)
        assert not bench.replier.jobs()


def test_a_failure_is_said_in_one_sentence_and_changes_nothing(asked: Workbench) -> None:
    before = asked.sim.chunk()
    asked.replier.fail(job_of(asked), "no_context", "There is nothing around.", "Select less.")
    asked.sim.tick(3)
    assert asked.sim.tooltip == "There is nothing around. Select less."
    assert asked.sim.chunk() == before
    assert not asked.sim.undo_texts
    asked.sim.tick(250)
    assert asked.sim.tooltip == ""


def test_progress_is_shown_with_stage_and_per_cent(asked: Workbench) -> None:
    asked.replier.progress(job_of(asked), "sample", 0.43)
    asked.sim.tick(8)
    assert "birdsong: painting, 43 of 100" in asked.sim.tooltip
    assert "Cancel" in asked.sim.tooltip
    asked.finish()
    assert asked.sim.tooltip == ""


def test_a_warning_is_said(asked: Workbench) -> None:
    asked.replier.answer(job_of(asked), warnings=("tone ignores the prompt.",))
    asked.sim.tick(3)
    assert asked.sim.tooltip == "tone ignores the prompt."


@pytest.mark.parametrize(
    "text", ["", "{", '{"protocol":"2.0","ok":true}', '{"protocol":"1.0","job_id":"x","ok":true}']
)
def test_a_damaged_result_is_said_and_changes_nothing(asked: Workbench, text: str) -> None:
    before = asked.sim.chunk()
    (job_of(asked) / "result.json").write_text(text)
    asked.sim.tick(4)
    assert asked.sim.tooltip
    assert asked.sim.chunk() == before


def test_a_result_that_cannot_be_opened_yet_is_waited_for(asked: Workbench) -> None:
    asked.sim.files.fail("open", "*/result.json", "The file is in use", times=3)
    asked.finish(ticks=10)
    assert len(asked.painted()) == 1


def test_a_missing_result_file_is_said_and_changes_nothing(asked: Workbench) -> None:
    before = asked.sim.chunk()
    asked.replier.answer(job_of(asked))
    for path in asked.sim.project.media_folder.glob("*tone*.wav"):
        path.unlink()
    asked.sim.tick(4)
    assert "is gone" in asked.sim.tooltip
    assert asked.sim.chunk() == before


def test_a_result_that_reaper_fails_to_open_once_is_offered_again(asked: Workbench) -> None:
    before = asked.sim.chunk()
    asked.replier.answer(job_of(asked))
    asked.sim.files.fail("open", "*tone*.wav", "Too many open files", times=1)
    asked.sim.tick(4)
    assert asked.sim.chunk() == before
    assert not (job_of(asked) / "applied").exists()
    assert "A result of ReaPaint is kept: REAPER could not open its file" in asked.sim.tooltip
    asked.sim.answer_box(6)
    asked.sim.answer_inputs(None)
    asked.sim.run_action(actions.INPAINT)
    asked.sim.tick(4)
    assert len(asked.painted()) == 1
    assert (job_of(asked) / "applied").exists()


def test_a_failed_splice_leaves_no_trace(asked: Workbench) -> None:
    """Not even in the history: what could be redone stays, and an older point of that name."""
    asked.finish()
    asked.sim.run_action(actions.TRY_AGAIN)
    asked.finish()
    asked.sim.undo()
    undone, redo = asked.sim.chunk(), asked.sim.history().points[-1].text
    points = asked.sim.undo_texts
    assert points == ["ReaPaint: birdsong"]
    asked.select(3.0, 3.4)
    asked.sim.run_action(actions.TRY_AGAIN)
    result = asked.replier.answer(job_of(asked))
    (job_of(asked) / "result.json").unlink()
    result["takes"].append({"seed": 5, "files": [], "seams": []})
    before = asked.sim.chunk()
    assert before != undone, "the time selection"
    asked.replier.reply(job_of(asked), result)
    asked.sim.tick(4)
    assert "the project is as it was" in asked.sim.tooltip
    assert asked.sim.chunk() == before
    assert asked.sim.undo_texts == points
    assert asked.sim.redo() == redo


def test_a_failed_placing_leaves_no_trace(asked: Workbench) -> None:
    asked.sim.tick(2)
    after_deletion(asked)
    result = asked.replier.answer(job_of(asked))
    (job_of(asked) / "result.json").unlink()
    result["takes"].append({"seed": 5, "files": [], "seams": []})
    asked.replier.reply(job_of(asked), result)
    asked.sim.tick(4)
    before = asked.sim.chunk()
    asked.sim.answer_box(6)
    asked.sim.run_action(actions.INPAINT)
    asked.sim.tick(4)
    assert "could not be placed" in asked.sim.tooltip
    assert asked.sim.chunk() == before
    assert not asked.sim.undo_texts
    assert not asked.sim.redo()


def test_an_error_inside_a_splice_leaves_the_project_as_it_was(asked: Workbench) -> None:
    before = asked.sim.chunk()
    result = asked.replier.answer(job_of(asked))
    (job_of(asked) / "result.json").unlink()
    result["takes"].append({"seed": 5, "files": [], "seams": []})
    asked.replier.reply(job_of(asked), result)
    asked.sim.options[40912] = 1
    asked.sim.tick(4)
    assert asked.sim.chunk() == before
    assert asked.sim.options[40912] == 1
    assert "the project is as it was" in asked.sim.tooltip


@pytest.mark.parametrize("pattern", ["*request.json*", "*script.json*"])
def test_a_full_disk_is_said(bench: Workbench, pattern: str) -> None:
    before = bench.sim.chunk()
    bench.sim.files.disk_full(pattern)
    bench.sim.run_action(actions.FILL)
    assert "could not write" in bench.sim.tooltip
    bench.sim.tick(3)
    assert not bench.replier.jobs()
    assert bench.sim.chunk() == before


# The bridge


def test_the_bridge_is_started_once(asked: Workbench) -> None:
    (command,) = asked.sim.processes.commands
    assert command.words == ["/opt/python", "-m"]
    assert command.timeout_ms == -2
    for number in range(20):
        asked.replier.beat(number)
        asked.sim.tick(32)
    assert len(asked.sim.processes.commands) == 1


def test_a_dead_bridge_is_started_again_and_then_complained_about(asked: Workbench) -> None:
    asked.sim.tick(2500)
    assert len(asked.sim.processes.commands) == 3
    assert not (job_of(asked) / "applied").exists(), "the job waits"
    asked.sim.run_action(actions.TRY_AGAIN)
    asked.sim.tick(490)
    assert len(asked.sim.processes.commands) >= 4


def test_a_bridge_of_another_version_is_named_as_such(asked: Workbench) -> None:
    for number in range(5):
        asked.replier.beat(number, protocol="2.0")
        asked.sim.tick(32)
    assert "The bridge is of another version" in asked.sim.tooltip
    assert "reapaint reaper install" in asked.sim.tooltip
    assert len(asked.sim.processes.commands) == 1
    asked.sim.tick(250)
    assert "another version" not in asked.sim.tooltip, "once"
    for number in range(5, 8):
        asked.replier.beat(number)
        asked.sim.tick(32)
    asked.finish()
    assert len(asked.painted()) == 1


def test_a_window_that_stops_scripts_for_minutes_is_no_crash(asked: Workbench) -> None:
    asked.replier.beat(1)
    asked.sim.tick(40)
    asked.replier.beat(2)
    asked.sim.tick(40)
    asked.sim.now += 600.0
    asked.replier.beat(3)
    asked.sim.tick(40)
    assert len(asked.sim.processes.commands) == 1


@pytest.mark.parametrize(
    ("state", "message", "said"),
    [("ready", "", "is ready"), ("unreachable", "No room for it.", "No room for it.")],
)
def test_how_starting_the_engine_went_is_said(
    bench: Workbench, state: str, message: str, said: str
) -> None:
    bench.replier.beat(0, engine={"state": "unreachable", "message": "long ago"})
    bench.sim.run_action(actions.START_ENGINE)
    for number in range(1, 9):
        engine = {"state": "starting" if number < 6 else state, "message": message}
        bench.replier.beat(number, engine=engine)
        bench.sim.tick(32)
        assert "long ago" not in bench.sim.tooltip
    assert said in bench.sim.tooltip


def test_a_bridge_that_cannot_start_the_engine_is_said(bench: Workbench) -> None:
    bench.sim.run_action(actions.START_ENGINE)
    bench.sim.tick(1450)
    assert "does not answer" in bench.sim.tooltip


def test_without_an_installation_that_is_said(bench: Workbench) -> None:
    (bench.sim.resource_path / "ReaPaint" / "launch.json").unlink()
    bench.select(2.0, 2.6)
    bench.sim.run_action(actions.FILL)
    bench.sim.tick(2)
    assert "reapaint reaper install" in bench.sim.tooltip


@pytest.mark.parametrize(
    "arguments",
    [["-m", "bridge", "bridge", "--spool", "s"], ["/r/ReaPaint/bridge.pyw", "bridge"]],
    ids=["module", "starter"],
)
def test_after_an_update_without_an_installation_that_is_said(
    bench: Workbench, arguments: list[str]
) -> None:
    path = bench.sim.resource_path / "ReaPaint" / "launch.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "arguments": arguments}))
    bench.select(2.0, 2.6)
    bench.sim.run_action(actions.FILL)
    bench.sim.tick(2)
    assert "Run `reapaint reaper install`" in bench.sim.tooltip
    assert not bench.sim.processes.commands


def test_a_program_that_cannot_be_started_is_said(bench: Workbench) -> None:
    bench.sim.processes.answer = None
    bench.select(2.0, 2.6)
    bench.sim.run_action(actions.FILL)
    bench.sim.tick(2)
    assert "could not start" in bench.sim.tooltip


# Life


@pytest.mark.parametrize("version", ["6.83", "7.78"])
def test_a_window_of_an_action_does_not_make_the_listener_deaf(
    version: str, tmp_path: Path
) -> None:
    with Workbench(tmp_path, version=version) as bench:
        bench.select(2.0, 2.6)
        bench.paint("first")
        bench.sim.tick(2)
        after_a_move(bench)
        bench.finish()
        bench.sim.run_action(actions.TRY_AGAIN)
        bench.sim.tick(2)
        running = job_of(bench)
        bench.sim.answer_box(6)
        bench.sim.answer_inputs({}, after_s=9.0, meanwhile=lambda: bench.replier.answer(running))
        bench.sim.run_action(actions.INPAINT)
        bench.sim.tick(6)
        assert (running / "applied").exists(), "a result that came meanwhile is spliced"
        assert len(bench.sim.running(actions.LISTENER)) == 1


def test_there_is_one_listener_however_often_it_is_started(asked: Workbench) -> None:
    asked.sim.run_action(actions.LISTENER)
    asked.sim.tick(2)
    asked.sim.run_action(actions.TRY_AGAIN)
    asked.sim.tick(2)
    assert len(asked.sim.running(actions.LISTENER)) == 1
    asked.finish()
    (middle,) = asked.painted()
    assert len(painted_takes(middle)) == 2


def test_a_terminated_listener_is_started_by_the_next_key(asked: Workbench) -> None:
    (listener,) = asked.sim.running(actions.LISTENER)
    asked.sim.terminate(listener)
    assert asked.sim.tooltip == ""
    asked.sim.run_action(actions.TRY_AGAIN)
    asked.finish(ticks=10)
    (middle,) = asked.painted()
    assert len(painted_takes(middle)) == 2


@pytest.mark.parametrize("crash", [False, True])
def test_a_result_that_came_after_reaper_closed_is_offered(asked: Workbench, crash: bool) -> None:
    asked.sim.restart(crash=crash)
    asked.replier.answer_all()
    before = asked.sim.chunk()
    asked.sim.run_action(actions.LISTENER)
    asked.sim.tick(GONE_TICKS if crash else 5)
    assert asked.sim.chunk() == before
    assert "1 result waits" in asked.sim.tooltip
    asked.sim.answer_box(6)
    asked.sim.answer_inputs(None)
    asked.sim.run_action(actions.INPAINT)
    asked.sim.tick(4)
    assert len(asked.painted()) == 1, "in its place, which is as it was"


def test_what_waits_is_said_beside_what_the_action_says(asked: Workbench) -> None:
    asked.sim.restart()
    asked.replier.answer_all()
    asked.sim.run_action(actions.NEXT_TAKE)
    asked.sim.tick(5)
    assert "There is no painted part here." in asked.sim.tooltip
    assert "1 result waits" in asked.sim.tooltip


def test_what_comes_when_reaper_is_back_is_offered(asked: Workbench) -> None:
    asked.sim.restart()
    asked.sim.run_action(actions.LISTENER)
    asked.sim.tick(3)
    before = asked.sim.chunk()
    asked.finish()
    assert asked.sim.chunk() == before
    assert "REAPER was closed before it came" in asked.sim.tooltip
    asked.sim.answer_box(6)
    asked.sim.answer_inputs(None)
    asked.sim.run_action(actions.INPAINT)
    asked.sim.tick(4)
    assert len(asked.painted()) == 1


def test_reading_begins_anew_after_a_crash(tmp_path: Path) -> None:
    with Workbench(tmp_path, item={"pitch": 1.0}, media=recording(60.0)) as bench:
        bench.item.length = 50.0
        bench.select(20.0, 22.0)
        bench.sim.run_action(actions.FILL)
        bench.sim.tick(2)
        bench.sim.restart(crash=True)
        bench.sim.run_action(actions.LISTENER)
        bench.sim.tick(GONE_TICKS)
        bench.finish()
        assert len(bench.painted()) == 1


def test_strangers_in_the_spool_are_left_alone(bench: Workbench) -> None:
    stranger = bench.replier.jobs_folder / ("ab" * 16)
    stranger.mkdir(parents=True)
    (stranger / "result.json").write_text("{}")
    bench.sim.run_action(actions.LISTENER)
    bench.sim.tick(3)
    assert [path.name for path in stranger.iterdir()] == ["result.json"]


@pytest.mark.parametrize("name", ["README.md", "nothing"])
def test_other_folders_in_the_spool_do_not_matter(tmp_path: Path, name: str) -> None:
    with Reaper(tmp_path) as sim:
        (sim.resource_path / "ReaPaint" / "spool" / "jobs" / name).mkdir(parents=True)
        sim.run_action(actions.LISTENER)
        sim.tick(2)
