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
    turns = AdmissionQueue(100)
    numbers = [turns.join() for _ in range(5)]
    for number in numbers:
        turns.admit(number, 1, _nothing)
    entered: list[int] = []
    threads = [
        _in_thread(
            lambda number=number: turns.enter(number, _nothing, lambda: entered.append(number))
        )
        for number in reversed(numbers)
    ]
    for _, done in threads:
        assert done.wait(PATIENCE_S)
    assert entered == numbers


def test_who_leaves_lets_the_next_one_in() -> None:
    turns = AdmissionQueue(100)
    first, second = turns.join(), turns.join()
    entered: list[int] = []

    def work() -> None:
        turns.admit(second, 1, _nothing)
        turns.enter(second, _nothing, lambda: entered.append(second))

    _, done = _in_thread(work)
    assert not entered
    turns.leave(first)
    turns.leave(first)
    assert done.wait(PATIENCE_S)


def test_memory_is_handed_out_in_order_and_given_back() -> None:
    turns = AdmissionQueue(100)
    first, large, small = turns.join(), turns.join(), turns.join()
    turns.admit(first, 60, _nothing)
    admitted: list[int] = []

    def admit(number: int, size_bytes: int) -> None:
        turns.admit(number, size_bytes, _nothing)
        admitted.append(number)

    _, small_done = _in_thread(lambda: admit(small, 10))
    _, large_done = _in_thread(lambda: admit(large, 60))
    assert not admitted, "the small one would fit, but it came later"
    turns.leave(first)
    assert large_done.wait(PATIENCE_S)
    assert small_done.wait(PATIENCE_S)
    assert admitted == [large, small]


def test_one_that_needs_more_than_there_is_works_alone() -> None:
    turns = AdmissionQueue(100)
    turns.admit(turns.join(), 1000, _nothing)
    second = turns.join()
    _, done = _in_thread(lambda: turns.admit(second, 1, _nothing))
    assert not done.is_set()
    turns.leave(1)
    assert done.wait(PATIENCE_S)


def test_who_is_cancelled_waits_no_longer() -> None:
    turns = AdmissionQueue(100)
    turns.join()
    second = turns.join()

    def check() -> None:
        raise Ended

    with pytest.raises(Ended):
        turns.admit(second, 1, check)
