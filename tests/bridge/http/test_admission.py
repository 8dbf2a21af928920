"""Jobs side by side, in the order in which they came."""

import threading
from collections.abc import Callable

import pytest

from reapaint.http.admission import AdmissionQueue

PATIENCE_S = 10.0


class Ended(Exception):
    pass


def _nothing() -> None:
    pass


def _in_thread(work: Callable[[], None]) -> tuple[threading.Thread, threading.Event]:
    done = threading.Event()

    def run() -> None:
        work()
        done.set()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread, done


def test_nobody_enters_before_who_joined_before() -> None:
    queue = AdmissionQueue(100)
    numbers = [queue.join() for _ in range(5)]
    for number in numbers:
        queue.admit(number, 1, _nothing)
    entered: list[int] = []
    threads = [
        _in_thread(
            lambda number=number: queue.enter(number, _nothing, lambda: entered.append(number))
        )
        for number in reversed(numbers)
    ]
    for _, done in threads:
        assert done.wait(PATIENCE_S)
    assert entered == numbers


def test_who_leaves_lets_the_next_one_in() -> None:
    queue = AdmissionQueue(100)
    first, second = queue.join(), queue.join()
    entered: list[int] = []

    def work() -> None:
        queue.admit(second, 1, _nothing)
        queue.enter(second, _nothing, lambda: entered.append(second))

    _, done = _in_thread(work)
    assert not entered
    queue.leave(first)
    queue.leave(first)
    assert done.wait(PATIENCE_S)


def test_memory_is_handed_out_in_order_and_given_back() -> None:
    queue = AdmissionQueue(100)
    first, large, small = queue.join(), queue.join(), queue.join()
    queue.admit(first, 60, _nothing)
    admitted: list[int] = []

    def admit(number: int, size_bytes: int) -> None:
        queue.admit(number, size_bytes, _nothing)
        admitted.append(number)

    _, small_done = _in_thread(lambda: admit(small, 10))
    _, large_done = _in_thread(lambda: admit(large, 60))
    assert not admitted, "the small one would fit, but it came later"
    queue.leave(first)
    assert large_done.wait(PATIENCE_S)
    assert small_done.wait(PATIENCE_S)
    assert admitted == [large, small]


def test_one_that_needs_more_than_there_is_works_alone() -> None:
    queue = AdmissionQueue(100)
    queue.admit(queue.join(), 1000, _nothing)
    second = queue.join()
    _, done = _in_thread(lambda: queue.admit(second, 1, _nothing))
    assert not done.is_set()
    queue.leave(1)
    assert done.wait(PATIENCE_S)


def test_who_is_cancelled_waits_no_longer() -> None:
    queue = AdmissionQueue(100)
    queue.join()
    second = queue.join()

    def check() -> None:
        raise Ended

    with pytest.raises(Ended):
        queue.admit(second, 1, check)
