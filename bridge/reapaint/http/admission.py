"""Keeps jobs that are worked on side by side in the order in which they came."""

import threading
from collections import OrderedDict
from collections.abc import Callable

WAKE_S = 0.5
"""How often who waits looks whether it was cancelled."""


class AdmissionQueue:
    """Lets jobs read their audio while there is memory, and enter the queue one by one.

    A job joins, is admitted with the bytes it will hold, enters the queue, and leaves.
    Each step waits for the jobs that joined before to have taken the same one, so that
    nobody overtakes, and no one that holds memory waits for one that still needs some.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._held_bytes: OrderedDict[int, int | None] = OrderedDict()
        self._entered: set[int] = set()
        self._next = 0
        self._changed = threading.Condition()

    def join(self) -> int:
        """Return the number of a new job, after all that joined before."""
        with self._changed:
            self._next += 1
            self._held_bytes[self._next] = None
            return self._next

    def admit(self, number: int, size_bytes: int, check: Callable[[], None]) -> None:
        """Wait until a job may read its audio; one that is too large waits to be alone.

        Parameters
        ----------
        check
            Called now and then; what it raises ends the wait.
        """

        def is_next() -> bool:
            earlier = [held for other, held in self._held_bytes.items() if other < number]
            if any(held is None for held in earlier):
                return False
            held_bytes = sum(held or 0 for held in self._held_bytes.values())
            return not held_bytes or held_bytes + size_bytes <= self._limit_bytes

        with self._changed:
            self._wait(is_next, check)
            self._held_bytes[number] = size_bytes
            self._changed.notify_all()

    def enter(self, number: int, check: Callable[[], None], put: Callable[[], None]) -> None:
        """Put a job into the queue when all that joined before it are in or gone."""

        def is_next() -> bool:
            return all(other in self._entered for other in self._held_bytes if other < number)

        with self._changed:
            self._wait(is_next, check)
            put()
            self._entered.add(number)
            self._changed.notify_all()

    def leave(self, number: int) -> None:
        """Let go of a job; harmless when repeated."""
        with self._changed:
            self._held_bytes.pop(number, None)
            self._entered.discard(number)
            self._changed.notify_all()

    def _wait(self, is_ready: Callable[[], bool], check: Callable[[], None]) -> None:
        check()
        while not self._changed.wait_for(is_ready, WAKE_S):
            check()
