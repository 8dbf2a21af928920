"""The self-test's checks run, each says what it found, and the user's project is left alone."""

import re
from pathlib import Path

import pytest

from tests.reaper_scripts import workbench as actions
from tests.reaper_scripts.workbench import Workbench
from tests.reaper_sim.switches import Switches, each_answer


@pytest.mark.parametrize(
    ("name", "switches"),
    [each for each in each_answer() if each[0].split("=")[0] in
     ("default", "accessor_fades", "accessor_loop", "accessor_extra_channels",
      "split_copies_take_ext", "split_crossfade", "source_length", "integer_arguments")],
)  # fmt: skip
def test_the_report_tells_what_this_reaper_does(
    name: str, switches: Switches, tmp_path: Path
) -> None:
    # The double has no FX and no track accessors: those two checks fail, and stop no other.
    with Workbench(tmp_path, switches=switches, strict=False) as bench:
        first = bench.sim.project
        before = bench.sim.chunk(first)
        bench.sim.answer_box(1)
        bench.sim.run_action(actions.SELF_TEST)
        bench.sim.tick(70)
        report = (bench.sim.resource_path / "ReaPaint" / "self-test.txt").read_text("utf-8")
        failed = [line for line in report.splitlines() if "FAILED" in line]
        assert len(failed) == 2
        assert failed[0].startswith("Accessor: take FX")
        assert failed[1].startswith("Manual fades where items overlap")
        assert all("double does not provide" in violation for violation in bench.sim.violations)
        assert not bench.sim.script_errors
        assert bench.sim.chunk(first) == before
        assert re.search(r"Defer cycles a second: 3\d", report)
        assert ("no item fades" in report) is not switches.accessor_fades
        assert ('take data on the right: "kept"' in report) is switches.split_copies_take_ext
        assert "self-test.txt" in bench.sim.dialogs.shown[-1].text
