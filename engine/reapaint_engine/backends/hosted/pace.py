"""Timeouts and waits for services, and the clock that measures them."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Protocol

CANCEL_CHECK_INTERVAL_S = 0.1
"""A wait checks this often whether its job was cancelled."""


class Clock(Protocol):
    """A clock for waiting; tests have their own."""

    def monotonic_s(self) -> float:
        """Return the time since an arbitrary moment."""

    def epoch_s(self) -> float:
        """Return the time since 1970, which is comparable between processes."""

    def pause(self, seconds: float) -> None:
        """Wait."""


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
    """Timeouts and intervals in seconds, and the number of retries."""

    connect_s: float = 10.0
    silence_s: float = 60.0
    """How long an open connection may be silent."""
    exchange_s: float = 300.0
    """How long one exchange may take in all, such as an upload over a slow line."""
    answer_s: float = 900.0
    """How long a service may take for one request; it can be asked for again later."""
    cancel_s: float = 3.0
    """How long the last request to a service may take: the user waits for it."""
    repeats: int = 6
    """How often a free request is retried in a row."""
    first_backoff_s: float = 1.0
    longest_backoff_s: float = 30.0
    longest_retry_after_s: float = 120.0
    jitter: Callable[[], float] = field(default=random.random)
    """From 0 to 1: keeps many clients from returning at the same moment."""

    def backoff_s(self, failures: int) -> float:
        """Return the wait after so many failures in a row: doubling, and half of it random."""
        longest_s = min(self.first_backoff_s * 2.0 ** (failures - 1), self.longest_backoff_s)
        return longest_s * (0.5 + 0.5 * self.jitter())


def retry_after_s(header: str, epoch_s: float) -> float | None:
    """Return the wait that a ``Retry-After`` header states as seconds or a date, or None."""
    try:
        return max(float(header), 0.0)
    except ValueError:
        pass
    try:
        return max(parsedate_to_datetime(header).timestamp() - epoch_s, 0.0)
    except ValueError:
        return None


def wait(seconds: float, clock: Clock, watch: Callable[[], None]) -> None:
    """Wait, and call ``watch`` every ``CANCEL_CHECK_INTERVAL_S``; it may raise to end this."""
    until_s = clock.monotonic_s() + seconds
    watch()
    while (left_s := until_s - clock.monotonic_s()) > 0:
        clock.pause(min(left_s, CANCEL_CHECK_INTERVAL_S))
        watch()
