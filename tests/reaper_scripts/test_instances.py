"""Two REAPERs on one resource folder: neither takes the other's results nor ends its jobs."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.reaper_scripts import workbench as actions
from tests.reaper_scripts.workbench import Workbench

GONE_TICKS = 360
"""Until a REAPER that crashed is given up."""


@pytest.fixture
def other(bench: Workbench, tmp_path: Path) -> Iterator[Workbench]:
    """Another REAPER beside the first one."""
    shared = bench.sim.resource_path
    with Workbench(tmp_path / "other", resource_path=shared, seed=2) as second:
        yield second


def ask(bench: Workbench, prompt: str) -> Path:
    """Have a job under way; returns its folder."""
    bench.select(2.0, 2.6)
    known = set(bench.replier.jobs())
    bench.paint(prompt)
    bench.sim.tick(2)
    (job,) = set(bench.replier.jobs()) - known
    return job


def tick(*benches: Workbench, count: int) -> None:
    for _ in range(count):
        for bench in benches:
            bench.sim.tick()


def lives(bench: Workbench) -> list[Path]:
    return sorted(bench.replier.spool.glob("reaper-*.json"))


def test_requests_say_who_asks(bench: Workbench, other: Workbench) -> None:
    jobs = [ask(bench, "one"), ask(bench, "two"), ask(other, "three")]
    first, second, third = (bench.replier.request(job)["instance"] for job in jobs)
    assert first == second != third
    assert {path.stem for path in lives(bench)} == {f"reaper-{first}", f"reaper-{third}"}


def test_each_takes_its_own_results(bench: Workbench, other: Workbench) -> None:
    job = ask(bench, "one")
    ask(other, "two")
    before = other.sim.chunk()
    bench.replier.answer(job)
    tick(other, bench, count=GONE_TICKS)
    assert len(bench.painted()) == 1
    assert other.sim.chunk() == before
    assert "kept" not in other.sim.tooltip
    assert "wait" not in other.sim.tooltip.replace("waiting", "")
    bench.replier.answer_all()
    tick(bench, other, count=3)
    assert len(other.painted()) == 1
    assert bench.sim.undo_texts == ["ReaPaint: one"]


def test_a_result_of_a_busy_reaper_is_left_alone(bench: Workbench, other: Workbench) -> None:
    job = ask(bench, "one")
    bench.sim.project.play_state = 5
    bench.replier.answer(job)
    other.sim.run_action(actions.LISTENER)
    tick(bench, other, count=GONE_TICKS)
    assert other.sim.tooltip == ""
    bench.sim.project.play_state = 0
    tick(bench, other, count=3)
    assert len(bench.painted()) == 1


def test_cancel_all_ends_ones_own_jobs_only(bench: Workbench, other: Workbench) -> None:
    mine, theirs = ask(bench, "one"), ask(other, "two")
    bench.sim.run_action(actions.CANCEL_ALL)
    tick(bench, other, count=3)
    assert (mine / "cancel").exists()
    assert not (theirs / "cancel").exists()
    assert "Cancelled 1." in bench.sim.tooltip
    other.replier.answer(theirs)
    tick(bench, other, count=3)
    assert len(other.painted()) == 1


@pytest.mark.parametrize("crash", [False, True])
def test_results_of_one_that_is_gone_are_offered(
    bench: Workbench, other: Workbench, crash: bool
) -> None:
    job = ask(bench, "one")
    other.sim.run_action(actions.LISTENER)
    tick(bench, other, count=40)
    bench.replier.answer(job)
    bench.sim.restart(crash=crash)
    before = other.sim.chunk()
    tick(other, count=GONE_TICKS if crash else 40)
    assert other.sim.chunk() == before
    assert "1 result waits" in other.sim.tooltip
    assert len(lives(other)) <= 1
    other.sim.answer_box(6)
    other.sim.answer_inputs(None)
    other.sim.run_action(actions.INPAINT)
    tick(other, count=4)
    assert (job / "applied").exists()
    assert len(other.sim.project.tracks) == 2


def test_a_result_that_its_owner_took_meanwhile_is_not_placed_twice(
    bench: Workbench, other: Workbench
) -> None:
    job = ask(bench, "one")
    other.sim.run_action(actions.LISTENER)
    tick(other, count=GONE_TICKS)  # a window holds the first one up for so long
    assert other.sim.tooltip == "", "it has no answer yet"
    other.sim.run_action(actions.CANCEL_ALL)
    tick(other, count=GONE_TICKS)
    assert not (job / "cancel").exists()
    bench.replier.answer(job)
    tick(other, count=2)
    assert "is kept" in other.sim.tooltip
    tick(bench, count=3)
    assert len(bench.painted()) == 1
    before = other.sim.chunk()
    other.sim.answer_box(6)
    other.sim.answer_inputs(None)
    other.sim.run_action(actions.INPAINT)
    tick(other, count=4)
    assert other.sim.chunk() == before


def test_nothing_stays_of_one_that_has_no_jobs(bench: Workbench) -> None:
    ask(bench, "one")
    assert len(lives(bench)) == 1
    bench.finish()
    bench.sim.tick(40)
    assert not lives(bench)
    ask(bench, "two")
    (listener,) = bench.sim.running(actions.LISTENER)
    bench.sim.terminate(listener)
    assert not lives(bench)


def test_a_listener_that_starts_anew_splices_what_its_reaper_asked_for(bench: Workbench) -> None:
    job = ask(bench, "one")
    (listener,) = bench.sim.running(actions.LISTENER)
    bench.sim.terminate(listener)
    bench.replier.answer(job)
    bench.sim.run_action(actions.LISTENER)
    bench.sim.tick(3)
    assert len(bench.painted()) == 1
