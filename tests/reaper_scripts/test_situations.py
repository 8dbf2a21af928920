"""Every action over every kind of item: nothing breaks, and outside stays what it was."""

from pathlib import Path

import numpy as np
import pytest

from tests.reaper_scripts import workbench as actions
from tests.reaper_scripts.situations import ALL, Build
from tests.reaper_scripts.workbench import RATE, Workbench, painted_takes

QUIET = 10 ** (-90 / 20)
PAINTING = [actions.FILL, actions.FOUR_TAKES, actions.VARY, actions.TRY_AGAIN]


def press(bench: Workbench, action: str) -> None:
    bench.sim.run_action(action)
    bench.finish()


def takes_of(bench: Workbench) -> int:
    return sum(len(painted_takes(item)) for item in bench.items())


@pytest.mark.parametrize("build", ALL.values(), ids=ALL)
def test_every_action_stands_every_item(build: Build, tmp_path: Path) -> None:
    with build(tmp_path) as bench:
        start_s, end_s = bench.sim.project.time_selection
        near = (max(0.0, start_s - 0.3), end_s + 0.3)
        before = bench.sim.render(*near)
        count = 0
        for action in PAINTING:
            press(bench, action)
            assert takes_of(bench) > count, f"{action} adds a take"
            count = takes_of(bench)
        difference = np.abs(bench.sim.render(*near) - before).max(axis=0)
        changed = np.flatnonzero(difference > QUIET) / RATE + near[0]
        assert changed[0] >= start_s - 1 / RATE
        assert changed[-1] <= end_s + 1 / RATE

        points = len(bench.sim.undo_texts)
        bench.sim.run_action(actions.NEXT_TAKE)
        bench.sim.run_action(actions.PREVIOUS_TAKE)
        assert len(bench.sim.undo_texts) == points + 2
        bench.sim.run_action(actions.RECALL)
        bench.sim.run_action(actions.CANCEL)
        bench.sim.run_action(actions.CANCEL_ALL)
        bench.sim.tick(2)
        bench.sim.run_action(actions.KEEP)
        assert takes_of(bench) == len(bench.painted())
        while bench.sim.undo_texts:
            bench.sim.undo()
        assert not bench.painted()
        assert np.array_equal(bench.sim.render(*near), before)


@pytest.mark.parametrize("build", ALL.values(), ids=ALL)
def test_every_item_can_be_extended(build: Build, tmp_path: Path) -> None:
    with build(tmp_path) as bench:
        item = max((item for item in bench.items() if item.selected), key=lambda each: each.end)
        end_s = item.end + 0.4
        bench.select(item.end - 0.1, end_s)
        before = bench.sim.chunk()
        press(bench, actions.EXTEND)
        assert bench.painted()
        assert max(each.end for each in bench.painted()) == pytest.approx(end_s, abs=1e-9)
        while bench.sim.undo_texts:
            bench.sim.undo()
        assert bench.sim.chunk() == before
