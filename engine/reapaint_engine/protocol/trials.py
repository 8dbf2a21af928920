"""Test whether one of our programs works, as it would be started."""

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from reapaint_engine.protocol.interpreter import TRY_FLAG

TRIAL_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Trial:
    """The result of a program: its output, such as ``reapaint 0.2.0``, or why it doesn't work."""

    said: str = ""
    complaint: str = ""


def run_trial(command: Sequence[str]) -> Trial:
    """Run a program with ``TRY_FLAG``, from another folder and without a shell's settings."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("PYTHON")
    }
    try:
        answer = subprocess.run(  # noqa: S603 - our own interpreter and module
            (*command, TRY_FLAG),
            cwd=Path.home() if Path.home().is_dir() else None,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=TRIAL_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Trial(complaint=str(error))
    if answer.returncode == 0:
        return Trial(said=answer.stdout.strip())
    lines = answer.stderr.strip().splitlines() or [f"it ends with code {answer.returncode}"]
    return Trial(complaint=lines[-1 if lines[0].startswith("Traceback") else 0])
