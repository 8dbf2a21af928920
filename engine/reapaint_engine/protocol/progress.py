"""Progress of a job: its stages, and the callbacks that report it."""

from collections.abc import Callable
from enum import StrEnum


class Stage(StrEnum):
    """The stages of a job, in order.

    Messages contain them as text, since a newer engine may have other stages.
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
    """The gateway's last report on a job."""


def known_stage(text: str) -> Stage:
    """Return the stage that a message names; an unknown one counts as starting."""
    try:
        return Stage(text)
    except ValueError:
        return Stage.STARTING


OnProgress = Callable[[str, float], None]
"""Called with the current work (for a job, its stage) and the share that is done, 0 to 1."""

OnFraction = Callable[[float], None]
"""Called with the share of one piece of work that is done, 0 to 1; an exception ends the work."""

OnBytes = Callable[[str, int, int], None]
"""Called with the current work, how many bytes of it are done, and how many there are."""
