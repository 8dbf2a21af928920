"""What a check of this machine found: the rows of ``reapaint doctor``."""

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """How a check came out; only WRONG stops ReaPaint from working."""

    GOOD = "good"
    NOTE = "note"
    WRONG = "wrong"


@dataclass(frozen=True)
class Finding:
    """What one check found, and what to do about it."""

    name: str
    verdict: Verdict
    text: str
    advice: str = ""
