"""What a command costs before it does anything."""

import os
import subprocess
import sys

import pytest

ALLOWED_CPU_S = 0.3
TRIES = 5


def _cpu_of_children_s() -> float:
    times = os.times()
    return times.children_user + times.children_system


@pytest.mark.skipif(sys.platform == "win32", reason="Windows doesn't count what children take")
@pytest.mark.parametrize(
    "words",
    [("-c", "import reapaint.commands.cli"), ("-m", "reapaint", "--help")],
    ids=["import", "help"],
)
def test_starting_takes_less_than_a_blink(words: tuple[str, ...]) -> None:
    """The best of several tries, in time of the processor: the rest of the machine is not ours."""
    times_s = []
    for _ in range(TRIES):
        before_s = _cpu_of_children_s()
        subprocess.run([sys.executable, *words], check=True, capture_output=True)
        times_s.append(_cpu_of_children_s() - before_s)
    assert min(times_s) < ALLOWED_CPU_S
