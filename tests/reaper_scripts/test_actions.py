"""What each action does, beyond the splice itself."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.reaper_scripts import workbench as actions
from tests.reaper_scripts.workbench import Workbench, painted_takes
from tests.reaper_sim.sources import EmptySource, MidiSource, SubprojectSource

ACTION_FILES = sorted(Path("reaper_scripts").glob("ReaPaint_*.lua"))


def paint(bench: Workbench, prompt: str = "birdsong") -> None:
    bench.select(2.0, 2.6)
    bench.paint(prompt)
    bench.finish()


def requests(bench: Workbench) -> list[dict]:
    return [bench.replier.request(job) for job in bench.replier.jobs()]


# What is asked and sent


def test_the_request_says_what_is_heard(bench: Workbench) -> None:
    take = bench.item.take
    assert take is not None
    take.values["D_STARTOFFS"] = 0.75
    bench.select(2.0, 2.6)
    bench.paint('a, b; "c"', **{"Leave out": "music", "Seed (empty = new)": "7"})
    (request,) = requests(bench)
    source = request["source"]
    assert source["route"] == "file"
    assert Path(source["path"]) == bench.path
    assert (source["start_s"], source["end_s"]) == (0.75, 4.25)
    assert request["spans"] == [{"start_s": 1.75, "end_s": pytest.approx(2.35)}]
    assert request["item"] == {"name": "voice.wav"}
    assert Path(request["project"]["media_folder"]) == bench.sim.project.media_folder
    chosen = request["settings"]
    assert chosen["prompt"] == 'a, b; "c"'
    assert (chosen["negative_prompt"], chosen["seed"], chosen["takes"]) == ("music", 7, 1)


def test_a_cancelled_dialog_asks_for_nothing(bench: Workbench) -> None:
    bench.select(2.0, 2.6)
    before = bench.sim.chunk()
    bench.sim.answer_inputs(None)
    bench.sim.run_action(actions.INPAINT)
    bench.sim.tick(5)
    assert not bench.replier.jobs()
    assert bench.sim.chunk() == before
    assert not bench.sim.undo_texts


def test_the_last_prompt_stands_in_the_next_dialog(bench: Workbench) -> None:
    paint(bench, "first")
    paint(bench, "second, with comma")
    bench.select(2.0, 2.6)
    bench.sim.answer_inputs(None)
    bench.sim.run_action(actions.INPAINT)
    assert "second, with comma" in bench.sim.dialogs.shown[-1].defaults


def test_wrong_numbers_are_said_and_asked_again(bench: Workbench) -> None:
    bench.select(2.0, 2.6)
    bench.sim.answer_inputs({"Takes (1-16)": "17"})
    bench.sim.answer_box(1)
    bench.sim.answer_inputs({"Takes (1-16)": "2"})
    bench.sim.run_action(actions.INPAINT)
    (request,) = requests(bench)
    assert request["settings"]["takes"] == 2
    boxes = [shown for shown in bench.sim.dialogs.shown if shown.kind == "box"]
    assert "Takes must be a whole number from 1 to 16" in boxes[0].text


def test_without_a_time_selection_the_whole_item_is_meant(bench: Workbench) -> None:
    bench.paint()
    (request,) = requests(bench)
    assert request["spans"] == [{"start_s": 0, "end_s": 3.5}]
    bench.finish()
    (item,) = bench.items()
    assert len(item.takes) == 2
    assert item.position == 1.0


def test_razor_areas_become_a_job_an_item(bench: Workbench) -> None:
    other = bench.sim.project.add_track("Other")
    other.add_item(bench.path, 0.0, 5.0)
    bench.track.razor((1.5, 2.0), (3.0, 3.5))
    other.razor((0.5, 1.0))
    before = bench.render()
    bench.paint()
    assert sorted(len(request["spans"]) for request in requests(bench)) == [1, 2]
    bench.finish()
    assert [round(item.position, 6) for item in bench.painted()] == [1.5, 3.0]
    assert len(bench.items()) == 5
    changed = np.flatnonzero((bench.render() != before).any(axis=0)) / 48000
    inside = [(0.5, 1.0), (1.5, 2.0), (3.0, 3.5)]
    assert all(any(start <= at <= end for start, end in inside) for at in changed[::97])
    assert len(bench.sim.undo_texts) == 2


@pytest.mark.parametrize("razor", [True, False])
def test_items_that_share_a_crossfade_are_both_painted(bench: Workbench, razor: bool) -> None:
    bench.item.length = 2.0
    bench.add_item(position_s=2.99, length_s=2.0, offset=2.0)
    bench.item.selected = False
    if razor:
        bench.track.razor((2.5, 4.0))
    else:
        bench.select(2.5, 4.0)
    bench.sim.run_action(actions.FILL)
    spans = [request["spans"] for request in requests(bench)]
    assert sorted(round(span["end_s"] - span["start_s"], 6) for (span,) in spans) == [0.5, 1.01]


def test_of_items_on_top_of_each_other_the_last_is_meant(bench: Workbench) -> None:
    bench.item.selected = False
    bench.add_item(position_s=1.5, length_s=2.0, offset=3.0)
    bench.select(2.0, 2.6)
    bench.sim.run_action(actions.FILL)
    (request,) = requests(bench)
    assert request["spans"][0]["start_s"] == pytest.approx(3.5)


def test_extending_goes_on_to_the_end_of_the_selection(bench: Workbench) -> None:
    bench.item.values |= {"D_FADEOUTLEN": 0.2}
    bench.select(3.0, 5.25)
    before = bench.sim.chunk()
    bench.sim.run_action(actions.EXTEND)
    (request,) = requests(bench)
    assert request["spans"] == [{"start_s": 3.5, "end_s": 4.25}]
    bench.finish()
    left, new = bench.items()
    assert (left.position, left.end, new.position, new.end) == (1.0, 4.5, 4.5, 5.25)
    assert left.values["D_FADEOUTLEN"] == 0
    assert new.values["D_FADEOUTLEN"] == 0.2
    assert np.abs(bench.sim.render(4.6, 5.0)).max() > 0.2
    bench.sim.run_action(actions.RESTORE)
    assert bench.sim.chunk() == before


def test_filling_and_varying_need_no_dialog(bench: Workbench) -> None:
    bench.select(2.0, 2.6)
    bench.sim.run_action(actions.FILL)
    bench.sim.tick(2)
    bench.sim.run_action(actions.VARY)
    first, second = (request["settings"] for request in requests(bench))
    assert (first["prompt"], first["strength"]) == ("", 1)
    assert second["strength"] == 0.5
    bench.finish()
    bench.sim.run_action(actions.VARY)
    source = requests(bench)[-1]["source"]
    (painted,) = bench.painted()
    assert Path(source["path"]) == painted.take.path, "what is heard is varied"


def test_trying_again_keeps_span_prompt_and_settings(bench: Workbench) -> None:
    bench.select(2.0, 2.6)
    bench.paint("birdsong", **{"Strength (0-1)": "0.75", "Seed (empty = new)": "5"})
    bench.finish()
    bench.sim.project.time_selection = (0.0, 0.0)
    bench.sim.run_action(actions.TRY_AGAIN)
    second = requests(bench)[-1]
    assert second["settings"]["prompt"] == "birdsong"
    assert second["settings"]["strength"] == 0.75
    assert second["settings"]["seed"] is None


def test_the_second_job_hears_what_the_first_heard(bench: Workbench) -> None:
    paint(bench)
    bench.sim.run_action(actions.TRY_AGAIN)
    first, second = requests(bench)
    assert second["source"] == first["source"]
    for one, other in zip(first["spans"], second["spans"], strict=True):
        assert other["start_s"] == pytest.approx(one["start_s"], abs=1e-9)
        assert other["end_s"] == pytest.approx(one["end_s"], abs=1e-9)


def test_holding_try_again_adds_takes_and_asks_nothing(bench: Workbench) -> None:
    bench.select(2.0, 2.6)
    for _ in range(5):
        bench.sim.run_action(actions.TRY_AGAIN)
    for _ in range(5):
        bench.sim.run_action(actions.TRY_AGAIN)
        bench.sim.tick()
    bench.finish(ticks=20)
    assert len(bench.items()) == 3
    (middle,) = bench.painted()
    assert len(painted_takes(middle)) == 10
    assert len({take.ext["REAPAINT"] for take in painted_takes(middle)}) == 10


@pytest.mark.parametrize("version", ["6.83", "7.78"])
def test_held_keys_leave_no_undo_point_in_any_version(version: str, tmp_path: Path) -> None:
    with Workbench(tmp_path, version=version) as bench:
        bench.select(2.0, 2.6)
        for _ in range(3):
            bench.sim.run_action(actions.TRY_AGAIN)
        bench.sim.tick(2)
        assert not bench.sim.undo_texts


# What is done with takes


def test_takes_are_stepped_through_and_kept(bench: Workbench) -> None:
    bench.select(2.0, 2.6)
    bench.sim.run_action(actions.FOUR_TAKES)
    bench.finish()
    sounds = []
    for _ in range(5):
        sounds.append(bench.sim.render(2.1, 2.5))
        bench.sim.run_action(actions.NEXT_TAKE)
    assert np.array_equal(bench.sim.render(2.1, 2.5), sounds[0]), "five takes, and round again"
    assert sum(not np.array_equal(sounds[0], other) for other in sounds[1:]) == 4
    bench.sim.run_action(actions.PREVIOUS_TAKE)
    heard = bench.sim.render(2.1, 2.5)
    before = bench.sim.chunk()
    bench.sim.run_action(actions.KEEP)
    (middle,) = [item for item in bench.items() if item.position == 2.0]
    assert len(middle.takes) == 1
    assert np.array_equal(bench.sim.render(2.1, 2.5), heard)
    assert bench.sim.undo() == "ReaPaint: keep this take"
    assert bench.sim.chunk() == before
    assert all(item.selected for item in bench.items())


def test_the_original_can_be_heard_in_its_place(bench: Workbench) -> None:
    before = bench.render()
    paint(bench)
    bench.sim.run_action(actions.PREVIOUS_TAKE)
    assert np.array_equal(bench.render(), before)


def test_settings_of_a_take_are_recalled_into_the_next_prompt(bench: Workbench) -> None:
    bench.select(2.0, 2.6)
    bench.paint("old words", **{"Seed (empty = new)": "99"})
    bench.finish()
    bench.select(3.0, 3.5)
    bench.paint("new words")
    bench.finish()
    bench.select(2.0, 2.6)
    bench.sim.run_action(actions.RECALL)
    bench.select(3.0, 3.5)
    bench.sim.answer_inputs(None)
    bench.sim.run_action(actions.INPAINT)
    defaults = bench.sim.dialogs.shown[-1].defaults
    assert "old words" in defaults
    assert "99" in defaults


def test_the_take_holds_the_whole_record(bench: Workbench) -> None:
    paint(bench)
    (middle,) = bench.painted()
    record = json.loads(middle.takes[1].ext["REAPAINT"])
    (request,) = requests(bench)
    assert record["settings"] == request["settings"]
    assert record["source"] == request["source"]
    assert record["seed"] == 1001
    assert record["engine_version"] == "0"


@pytest.mark.parametrize("action", [
    actions.NEXT_TAKE, actions.PREVIOUS_TAKE, actions.KEEP, actions.RESTORE, actions.RECALL,
])  # fmt: skip
def test_without_a_painted_part_that_is_said(bench: Workbench, action: str) -> None:
    before = bench.sim.chunk()
    bench.sim.run_action(action)
    assert "There is no painted part here." in bench.sim.tooltip
    bench.sim.tick(3)
    assert bench.sim.chunk() == before
    assert not bench.sim.undo_texts


# What is refused


def refuse(bench: Workbench, what: str, action: str = actions.TRY_AGAIN) -> None:
    before = bench.sim.chunk()
    bench.sim.run_action(action)
    assert what in bench.sim.tooltip
    bench.sim.tick(5)
    assert not bench.replier.jobs()
    assert bench.sim.chunk() == before
    assert not bench.sim.undo_texts


def set_source(bench: Workbench, source: object) -> None:
    take = bench.item.take
    assert take is not None
    take.source = source
    source.owner = take


def test_midi_is_refused(bench: Workbench) -> None:
    set_source(bench, MidiSource())
    refuse(bench, "holds MIDI", actions.INPAINT)


def test_an_empty_item_is_refused(bench: Workbench) -> None:
    bench.item.takes.clear()
    refuse(bench, "is empty")


def test_an_empty_source_is_refused(bench: Workbench) -> None:
    set_source(bench, EmptySource())
    refuse(bench, "is empty")


def test_an_empty_take_lane_is_refused(bench: Workbench) -> None:
    bench.item.takes.insert(0, None)
    bench.item.active = 0
    refuse(bench, "is empty")


def test_a_locked_item_is_refused(bench: Workbench) -> None:
    bench.item.values["C_LOCK"] = 1.0
    refuse(bench, "is locked")


def test_an_item_that_plays_all_takes_is_refused(bench: Workbench) -> None:
    bench.item.values["B_ALLTAKESPLAY"] = 1.0
    refuse(bench, "plays all its takes")


def test_more_items_than_jobs_are_taken_are_refused(bench: Workbench) -> None:
    for number in range(32):
        bench.add_item(position_s=5.0 + 4 * number).selected = True
    refuse(bench, "33 jobs")


@pytest.mark.parametrize("extensions", [(), ("SWS",)])
def test_offline_media_is_refused(tmp_path: Path, extensions: tuple[str, ...]) -> None:
    with Workbench(tmp_path, extensions=extensions) as bench:
        bench.item.take.source.is_offline = True
        refuse(bench, "is offline")


def test_recording_is_refused(bench: Workbench) -> None:
    bench.sim.project.play_state = 5
    refuse(bench, "REAPER is recording")


def test_a_subproject_without_sound_is_refused(bench: Workbench) -> None:
    path = bench.sim.folder / "sub.rpp"
    path.write_text("<REAPER_PROJECT\n>\n")
    set_source(bench, SubprojectSource(path))
    refuse(bench, "holds no sound")


def test_a_subproject_with_sound_is_read_through_reaper(bench: Workbench) -> None:
    path = bench.sim.folder / "sub.rpp"
    path.write_text("<REAPER_PROJECT\n>\n")
    set_source(bench, SubprojectSource(path, bench.path))
    paint(bench)
    (request,) = requests(bench)
    assert request["source"]["route"] == "accessor"
    assert bench.painted()


def test_nothing_selected_is_said(bench: Workbench) -> None:
    bench.item.selected = False
    refuse(bench, "Nothing is selected")


def test_a_selection_beside_the_item_is_said(bench: Workbench) -> None:
    bench.select(6.0, 7.0)
    refuse(bench, "does not touch")


def test_the_one_item_under_the_selection_is_meant(bench: Workbench) -> None:
    bench.item.selected = False
    bench.select(2.0, 2.6)
    bench.sim.run_action(actions.FILL)
    bench.finish()
    assert len(bench.painted()) == 1


# The rest


def test_settings_are_kept_and_sent(bench: Workbench) -> None:
    bench.sim.answer_inputs(
        {"Backend (empty = the engine's)": "context",
         "Steps (empty = the model's)": "20", "Match the level (y or n)": "n",
         "Crossfade in seconds (empty = 0.03)": "0,05"}
    )  # fmt: skip
    bench.sim.run_action(actions.SETTINGS)
    bench.select(2.0, 2.6)
    bench.sim.run_action(actions.FILL)
    (request,) = requests(bench)
    chosen = request["settings"]
    assert chosen["backend"] == "context"
    assert chosen["steps"] == 20
    assert chosen["match_level"] is False
    assert chosen["crossfade_s"] == 0.05


BACKEND, MODEL, MODE = (
    "Backend (empty = the engine's)",
    "Model (empty = the engine's)",
    "Mode (empty = auto)",
)


def boxes(bench: Workbench) -> list[str]:
    return [shown.text for shown in bench.sim.dialogs.shown if shown.kind == "box"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({BACKEND: "contxt"}, 'Backend can\'t be "contxt": choose context, echo.'),
        ({BACKEND: "echo", MODE: "similar"}, 'Mode can\'t be "similar": choose auto.'),
        ({BACKEND: "echo", MODEL: "context"}, 'Model can\'t be "context": choose echo.'),
        ({MODE: "loud"}, 'Mode can\'t be "loud": choose auto, repair, similar.'),
        ({"Progress (empty = auto)": "loud"},
         'Progress can\'t be "loud": choose auto, tooltip, window.'),
    ],
)  # fmt: skip
def test_settings_that_do_not_exist_are_refused(bench: Workbench, given: dict, said: str) -> None:
    bench.replier.beat(1)
    bench.sim.answer_inputs(given)
    bench.sim.answer_box(1)
    bench.sim.answer_inputs({BACKEND: "context", MODEL: "context", MODE: "similar",
                             "Progress (empty = auto)": "tooltip"})  # fmt: skip
    bench.sim.run_action(actions.SETTINGS)
    assert boxes(bench) == [said]
    bench.select(2.0, 2.6)
    bench.sim.run_action(actions.FILL)
    (request,) = requests(bench)
    assert request["settings"]["mode"] == "similar"
    assert request["settings"]["model"] == "context"


def test_a_question_mark_offers_what_the_engine_has(bench: Workbench) -> None:
    bench.replier.beat(1)
    bench.sim.answer_inputs({BACKEND: "?", MODE: "?"})
    bench.sim.window.menu_answers += [1, 2]
    bench.sim.answer_inputs({})
    bench.sim.run_action(actions.SETTINGS)
    assert bench.sim.window.menus == [" context| echo", " auto| repair| similar"]
    bench.select(2.0, 2.6)
    bench.sim.run_action(actions.FILL)
    (request,) = requests(bench)
    assert (request["settings"]["backend"], request["settings"]["mode"]) == ("context", "repair")


def test_without_an_engine_any_word_is_taken_and_a_question_says_why(bench: Workbench) -> None:
    bench.sim.answer_inputs({BACKEND: "?", MODE: "later"})
    bench.sim.answer_inputs({})
    bench.sim.run_action(actions.SETTINGS)
    assert "known once the engine runs" in boxes(bench)[0]
    bench.select(2.0, 2.6)
    bench.sim.run_action(actions.FILL)
    (request,) = requests(bench)
    assert (request["settings"]["backend"], request["settings"]["mode"]) == (None, "later")


@pytest.mark.parametrize(
    ("action", "word"),
    [(actions.START_ENGINE, "start_engine"), (actions.STOP_ENGINE, "stop_engine")],
)
def test_the_engine_is_started_and_stopped_by_a_word(
    bench: Workbench, action: str, word: str
) -> None:
    bench.sim.run_action(action)
    assert (bench.replier.spool / "control" / word).read_bytes() == b""
    bench.sim.tick(2)
    assert len(bench.sim.processes.commands) == 1


def test_setting_up_registers_every_action_and_says_how_to_bind_keys(bench: Workbench) -> None:
    bench.sim.answer_box(1)
    bench.sim.run_action(actions.SET_UP)
    files = {path.name for path in bench.sim.scripts.glob("ReaPaint_*.lua")}
    assert {path.name for path in bench.sim.commands.values()} == files
    assert len(files) == 19
    assert "Show action list" in bench.sim.dialogs.shown[-1].text


@pytest.mark.parametrize("lua", ["5.3", "5.4"])
def test_each_action_runs_on_an_empty_project(lua: str, tmp_path: Path) -> None:
    from tests.reaper_sim.simulator import Reaper

    with Reaper(tmp_path, lua=lua) as sim:
        for path in sorted(sim.scripts.glob("ReaPaint_*.lua")):
            if path.name in (actions.SETTINGS, actions.SELF_TEST):
                sim.answer_inputs(None) if path.name == actions.SETTINGS else None
                continue
            if path.name == actions.SET_UP:
                sim.answer_box(1)
            if path.name != actions.LISTENER:
                sim.run_action(path.name)
                sim.tick(2)
        sim.answer_inputs(None)
        sim.run_action(actions.SETTINGS)
        assert not sim.undo_texts
