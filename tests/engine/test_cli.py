"""The engine's command line before an engine runs."""

import subprocess
import sys

import pytest

ASK = """
import sys
from reapaint_engine.cli import main
try:
    main({words!r})
finally:
    print({heavy!r} & set(sys.modules))
"""
HEAVY = {"torch", "scipy", "numpy", "zmq"}


@pytest.mark.parametrize("word", ["--help", "--no-such-flag"])
def test_whoever_asks_for_help_waits_for_nothing_that_computes(word: str) -> None:
    command = [sys.executable, "-c", ASK.format(words=[word], heavy=HEAVY)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "set()"
