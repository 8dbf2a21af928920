"""How a job goes on: its stages, and what is called to tell of them."""

from collections.abc import Callable
from enum import StrEnum


class Stage(StrEnum):
    """What is being done for a job, in the order of a job's life.

    An engine's messages carry it as text, for one that is newer may know others.
    """

    QUEUED = "queued"
    FETCH = "fetch"
    """The gateway fetches the recording."""
    STARTING = "starting"
    LOAD = "load"
    """The backend loads its model."""
    ENCODE = "encode"
    SAMPLE = "sample"
    DECODE = "decode"
    SPLICE = "splice"
    WRITE = "write"
    """The bridge writes the files."""
    DONE = "done"
    """The gateway's last word of a job."""


def known_stage(text: str) -> Stage:
    """Return the stage that a message names; one that is unknown counts as starting."""
    try:
        return Stage(text)
    except ValueError:
        return Stage.STARTING


OnProgress = Callable[[str, float], None]
"""Told what is being done, of a job its stage, and the share that is done, 0 to 1."""

OnFraction = Callable[[float], None]
"""Told the share of one piece of work that is done, 0 to 1; what it raises ends the work."""

OnBytes = Callable[[str, int, int], None]
"""Told what is being done, how many bytes of it are done, and how many there are."""
