"""Progress and messages: seen, and without taking the focus."""

from pathlib import Path

import pytest

from tests.reaper_scripts import workbench as actions
from tests.reaper_scripts.workbench import Workbench

SHOWN = "Progress (empty = auto)"


def choose(bench: Workbench, display: str) -> None:
    bench.sim.answer_inputs({SHOWN: display})
    bench.sim.run_action(actions.SETTINGS)
    bench.sim.tick(2)


def test_a_plain_window_opens_only_where_it_is_asked_for(bench: Workbench) -> None:
    bench.select(2.0, 2.6)
    bench.sim.run_action(actions.FILL)
    bench.sim.tick(3)
    assert not bench.sim.window.is_open
    choose(bench, "window")
    assert bench.sim.window.is_open
    bench.finish()
    bench.sim.tick(2)
    assert not bench.sim.window.is_open


def test_the_window_cancels(bench: Workbench) -> None:
    choose(bench, "window")
    bench.select(2.0, 2.6)
    bench.sim.run_action(actions.FILL)
    bench.sim.tick(3)
    bench.sim.window.keys.append(27)
    bench.sim.tick(3)
    assert (bench.replier.jobs()[0] / "cancel").exists()


def test_many_jobs_are_told_in_few_lines(bench: Workbench) -> None:
    bench.select(2.0, 2.6)
    for _ in range(7):
        bench.sim.run_action(actions.TRY_AGAIN)
    bench.sim.tick(2)
    assert "(and 3 more)" in bench.sim.tooltip
    assert len(bench.sim.tooltip.splitlines()) == 5


def test_a_prompt_with_a_per_cent_sign_is_no_format(bench: Workbench) -> None:
    bench.select(2.0, 2.6)
    bench.paint("50 %s louder")
    bench.sim.tick(2)
    assert "50 \uff05s louder: waiting, 0 of 100" in bench.sim.tooltip
    bench.finish()
    bench.sim.run_action(actions.RECALL)
    assert "50 \uff05s louder" in bench.sim.tooltip
    assert bench.sim.undo_texts == ["ReaPaint: 50 %s louder"]


def test_reaimgui_shows_progress_and_cancels_where_it_is_installed(tmp_path: Path) -> None:
    with Workbench(tmp_path, extensions=("ReaImGui",)) as bench:
        bench.select(2.0, 2.6)
        bench.sim.run_action(actions.FILL)
        bench.replier.progress(bench.replier.jobs()[0], "sample", 0.5)
        bench.sim.tick(8)
        assert "fill from surroundings: painting" in bench.sim.imgui.shown
        assert bench.sim.tooltip == ""
        bench.sim.imgui.press("Cancel")
        bench.sim.tick(2)
        assert (bench.replier.jobs()[0] / "cancel").exists()
        assert not bench.sim.imgui.shown


def test_a_tooltip_can_be_preferred_to_reaimgui(tmp_path: Path) -> None:
    with Workbench(tmp_path, extensions=("ReaImGui",)) as bench:
        choose(bench, "tooltip")
        bench.select(2.0, 2.6)
        bench.sim.run_action(actions.FILL)
        bench.sim.tick(2)
        assert "fill from surroundings" in bench.sim.tooltip
        assert not bench.sim.imgui.shown


@pytest.mark.parametrize("display", ["tooltip", "auto", ""])
def test_no_window_opens_unless_it_is_asked_for(bench: Workbench, display: str) -> None:
    choose(bench, display)
    bench.select(2.0, 2.6)
    bench.sim.run_action(actions.FILL)
    bench.sim.tick(2)
    assert "fill from surroundings" in bench.sim.tooltip


def test_progress_does_not_cover_what_an_action_says(bench: Workbench) -> None:
    bench.select(2.0, 2.6)
    bench.sim.run_action(actions.FILL)
    bench.sim.tick(3)
    bench.item.values["C_LOCK"] = 1.0
    bench.sim.run_action(actions.TRY_AGAIN)
    bench.sim.tick(20)
    assert "is locked" in bench.sim.tooltip
    bench.sim.tick(220)
    assert "fill from surroundings" in bench.sim.tooltip


@pytest.mark.parametrize("action", [actions.NEXT_TAKE, actions.RECALL, actions.RESTORE])
def test_what_an_action_says_goes_away(bench: Workbench, action: str) -> None:
    bench.select(2.0, 2.6)
    bench.paint()
    bench.finish()
    (listener,) = bench.sim.running(actions.LISTENER)
    bench.sim.terminate(listener)
    bench.sim.run_action(action)
    assert bench.sim.tooltip
    bench.sim.tick(250)
    assert bench.sim.tooltip == ""


def test_a_question_mark_offers_earlier_prompts(bench: Workbench) -> None:
    for prompt in ("first | one", "second"):
        bench.select(2.0, 2.6)
        bench.paint(prompt)
        bench.finish()
    bench.sim.answer_inputs({"Prompt (? = earlier ones)": "?"})
    bench.sim.window.menu_answers.append(2)
    bench.sim.answer_inputs({})
    bench.sim.run_action(actions.INPAINT)
    assert bench.sim.window.menus == [" second| first / one"]
    request = bench.replier.request(bench.replier.jobs()[-1])
    assert request["settings"]["prompt"] == "first | one"
