"""How the simulation says no."""


class SimulationError(AssertionError):
    """A script did what REAPER forbids or what the double does not provide: the test fails."""


class ScriptError(AssertionError):
    """A script ended with an error: in REAPER a modal window with the text."""


class ApiError(Exception):
    """An error that REAPER raises in the script, with its text."""
