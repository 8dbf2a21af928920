"""The whole road: real Lua, a real spool, a real bridge, a real engine; the timeline is heard.

Only REAPER itself is a double. The bridge is started by the scripts, from what
``reapaint reaper install`` wrote.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from reapaint.files.formats.recording import probe
from reapaint.reaper.setup import installation
from tests.reaper_scripts import workbench as actions
from tests.reaper_scripts.workbench import (
    RATE,
    Workbench,
    frames_that_differ,
    painted_takes,
    recording,
)
from tests.tiny_checkpoints import write_original

ROOT = Path(__file__).parents[2]
PATIENCE_S = 90.0
QUIET = 10 ** (-90 / 20)

pytestmark = pytest.mark.usefixtures("engine")


class Installed(Workbench):
    """A REAPER into which the scripts were installed, and whose programs really run."""

    def install(self) -> None:
        installation.install(self.sim.resource_path)
        self.sim.scripts = self.sim.resource_path / installation.SCRIPTS_FOLDER
        self.sim.processes.really = True
        self.sim.processes.folder = ROOT

    def wait_for_takes(self, count: int) -> None:
        self.sim.tick_until(
            lambda: sum(len(painted_takes(item)) for item in self.items()) >= count,
            timeout_s=PATIENCE_S,
            pace_s=0.031,
        )


@pytest.fixture
def reaper(tmp_path: Path) -> Iterator[Installed]:
    with Installed(tmp_path / "Réaper's «home»", media=recording(12.0), name="Möwe 1.wav",
                   item={"length_s": 9.0}) as bench:  # fmt: skip
        yield bench


def test_a_painted_part_is_all_that_changes(reaper: Installed) -> None:
    untouched = reaper.sim.chunk()
    reaper.select(4.0, 4.75)
    selected = reaper.sim.chunk()
    before = reaper.render(11.0)
    reaper.paint("")
    reaper.wait_for_takes(1)
    after = reaper.render(11.0)
    changed = frames_that_differ(before, after)
    assert changed.size > 0.5 * RATE
    assert changed[0] >= 4.0 * RATE
    assert changed[-1] < 4.75 * RATE
    assert reaper.sim.undo_texts == ["ReaPaint: fill from surroundings"]

    (middle,) = reaper.painted()
    record = json.loads(middle.takes[1].ext["REAPAINT"])
    assert record["settings"]["prompt"] == ""
    assert record["backend"] == "context"
    path = middle.takes[1].path
    assert path.parent.is_relative_to(reaper.sim.project.media_folder)
    info = probe(path)
    assert (info.sample_rate, info.channels) == (RATE, 2)

    spliced = reaper.sim.chunk()
    reaper.sim.undo()
    assert reaper.sim.chunk() == selected
    assert selected != untouched
    reaper.sim.redo()
    assert reaper.sim.chunk() == spliced
    assert len(reaper.sim.processes.commands) == 1


def test_takes_are_added_to_the_same_part(reaper: Installed) -> None:
    reaper.select(4.0, 4.5)
    reaper.sim.run_action(actions.FILL)
    reaper.wait_for_takes(1)
    first = reaper.sim.render(4.0, 4.5)
    reaper.sim.run_action(actions.TRY_AGAIN)
    reaper.wait_for_takes(2)
    assert len(reaper.items()) == 3
    assert not np.array_equal(reaper.sim.render(4.0, 4.5), first)


def test_sound_that_only_reaper_can_read_is_painted(reaper: Installed) -> None:
    take = reaper.item.take
    assert take is not None
    take.values |= {"D_PLAYRATE": 0.8, "D_VOL": -0.7}
    reaper.select(4.0, 4.5)
    before = reaper.sim.render(3.5, 5.0)
    reaper.sim.run_action(actions.FILL)
    reaper.wait_for_takes(1)
    difference = np.abs(reaper.sim.render(3.5, 5.0) - before).max(axis=0)
    changed = np.flatnonzero(difference > QUIET) / RATE + 3.5
    assert changed.size > 0.2 * RATE
    assert changed[0] >= 4.0 - 1 / RATE
    assert changed[-1] <= 4.5 + 1 / RATE


def test_an_item_goes_on_past_its_end(reaper: Installed) -> None:
    reaper.select(9.0, 10.8)
    reaper.sim.run_action(actions.EXTEND)
    reaper.wait_for_takes(1)
    assert reaper.items()[-1].end == 10.8
    assert np.abs(reaper.sim.render(10.1, 10.7)).max() > 0.01


def test_a_cancelled_job_leaves_the_project_as_it_was(reaper: Installed) -> None:
    reaper.select(3.0, 8.0)
    before = reaper.sim.chunk()
    reaper.sim.run_action(actions.FOUR_TAKES)
    reaper.sim.run_action(actions.CANCEL)
    job = reaper.replier.jobs()[-1]
    reaper.sim.tick_until(
        lambda: not job.exists() or (job / "applied").exists(), timeout_s=PATIENCE_S, pace_s=0.031
    )
    reaper.sim.tick(5)
    assert reaper.sim.chunk() == before
    assert not reaper.sim.undo_texts


def test_a_model_paints(reaper: Installed, tmp_path: Path) -> None:
    write_original(tmp_path / "tiny model")
    reaper.select(4.0, 4.75)
    before = reaper.render(11.0)
    reaper.sim.answer_inputs({"Model (empty = the engine's)": str(tmp_path / "tiny model")})
    reaper.sim.run_action(actions.SETTINGS)
    reaper.paint("rain on a tin roof")
    reaper.wait_for_takes(1)
    changed = frames_that_differ(before, reaper.render(11.0))
    assert changed.size > 0.5 * RATE
    assert changed[0] >= 4.0 * RATE
    assert changed[-1] < 4.75 * RATE
    (middle,) = reaper.painted()
    record = json.loads(middle.takes[1].ext["REAPAINT"])
    assert record["backend"] == "stable-audio-3"
    assert record["settings"]["prompt"] == "rain on a tin roof"
    reaper.sim.run_action(actions.TRY_AGAIN)
    reaper.wait_for_takes(2)


def test_what_the_engine_refuses_is_said(reaper: Installed) -> None:
    reaper.select(4.0, 4.5)
    before = reaper.sim.chunk()
    reaper.sim.answer_inputs({"Backend (empty = the engine's)": "nobody"})
    reaper.sim.run_action(actions.SETTINGS)
    reaper.sim.run_action(actions.FILL)
    reaper.sim.tick_until(
        lambda: "nobody" in reaper.sim.tooltip, timeout_s=PATIENCE_S, pace_s=0.031
    )
    assert reaper.sim.chunk() == before
    assert not reaper.sim.undo_texts
