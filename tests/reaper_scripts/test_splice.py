"""What is heard after a splice: the new sound in the selection, and nothing else changed."""

import numpy as np

from tests.reaper_scripts.workbench import INPAINT, RATE, Workbench, frames_that_differ


def test_outside_the_selection_not_one_sample_differs(bench: Workbench) -> None:
    before = bench.render()
    bench.select(4.0, 5.5)
    bench.paint("birdsong")
    assert len(bench.replier.open_jobs()) == 1, "the request leaves in the tick of the key"
    bench.finish(ticks=2)
    after = bench.render()
    changed = frames_that_differ(before, after)
    assert changed.size > RATE, "the new sound is heard"
    assert changed[0] >= 4 * RATE
    assert changed[-1] < 5.5 * RATE
    assert bench.sim.undo_texts == ["ReaPaint: birdsong"]
