"""How long services are waited for, and the clock by which that is measured."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Protocol

REACTION_S = 0.1
"""A wait looks this often whether its job was cancelled."""


class Clock(Protocol):
    """Time as waiting needs it; tests bring their own."""

    def monotonic_s(self) -> float:
        """Return the time since any moment."""

    def epoch_s(self) -> float:
        """Return the time since 1970, which outlives the process."""

    def pause(self, seconds: float) -> None:
        """Let time pass."""


class SystemClock:
    """The clock of this machine."""

    def monotonic_s(self) -> float:
        """Return ``time.monotonic``."""
        return time.monotonic()

    def epoch_s(self) -> float:
        """Return ``time.time``."""
        return time.time()

    def pause(self, seconds: float) -> None:
        """Sleep."""
        time.sleep(seconds)


@dataclass(frozen=True, slots=True)
class Pace:
    """Every limit of time, in seconds, and of repetition."""

    connect_s: float = 10.0
    silence_s: float = 60.0
    """How long nothing may come over an open connection."""
    exchange_s: float = 300.0
    """How long one exchange may take in all: an upload over a slow line, or a result."""
    answer_s: float = 900.0
    """How long a service may take for one request; it can be asked for again later."""
    cancel_s: float = 3.0
    """How long saying goodbye to a service may take: the user waits for it."""
    repeats: int = 6
    """How often what costs nothing is tried again in a row."""
    first_backoff_s: float = 1.0
    longest_backoff_s: float = 30.0
    longest_retry_after_s: float = 120.0
    jitter: Callable[[], float] = field(default=random.random)
    """From 0 to 1: keeps many clients from coming back in one moment."""

    def backoff_s(self, failures: int) -> float:
        """Return the wait after so many failures in a row: doubling, with half of it random."""
        longest_s = min(self.first_backoff_s * 2.0 ** (failures - 1), self.longest_backoff_s)
        return longest_s * (0.5 + 0.5 * self.jitter())


def retry_after_s(header: str, epoch_s: float) -> float | None:
    """Return what a ``Retry-After`` header asks for: seconds or a date; None if neither."""
    try:
        return max(float(header), 0.0)
    except ValueError:
        pass
    try:
        return max(parsedate_to_datetime(header).timestamp() - epoch_s, 0.0)
    except ValueError:
        return None


def wait(seconds: float, clock: Clock, watch: Callable[[], None]) -> None:
    """Wait, and let ``watch`` end the wait by raising; it is asked every ``REACTION_S``."""
    until_s = clock.monotonic_s() + seconds
    watch()
    while (left_s := until_s - clock.monotonic_s()) > 0:
        clock.pause(min(left_s, REACTION_S))
        watch()
