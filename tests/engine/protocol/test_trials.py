"""A program that lacks something is found out before it is needed."""

import sys

from reapaint_engine.protocol.interpreter import module_command
from reapaint_engine.protocol.trials import run_trial
from reapaint_engine.protocol.version import __version__


def test_a_trial_loads_what_the_program_needs() -> None:
    """A package that is missing is found out, and named."""
    for program in (("reapaint_engine", "serve"), ("reapaint", "bridge")):
        module, command = program
        missing = "import sys; sys.modules['zmq'] = None\n"
        run = f"import runpy; runpy.run_module({module!r}, run_name='__main__', alter_sys=True)"
        trial = run_trial((sys.executable, "-P", "-c", missing + run, command))
        assert trial.said == ""
        assert "zmq" in trial.complaint
        assert run_trial(module_command(*program)).said == f"reapaint {__version__}"
