"""Waiting: how long, and how quickly it ends."""

import pytest

from reapaint_engine.backends.hosted.pace import CANCEL_CHECK_INTERVAL_S, Pace, retry_after_s, wait
from tests.engine.backends.hosted.conftest import FakeClock


def test_backing_off_doubles_up_to_its_limit_with_half_of_it_random() -> None:
    longest = Pace(jitter=lambda: 1.0)
    assert [longest.backoff_s(n) for n in (1, 2, 3, 9)] == [1, 2, 4, 30]
    assert Pace(jitter=lambda: 0.0).backoff_s(3) == 2


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0),
        ("0.5", 0.5),
        ("-3", 0.0),
        ("Thu, 01 Jan 1970 00:02:00 GMT", 20.0),
        ("Thu, 01 Jan 1970 00:00:10 GMT", 0.0),
        ("soon", None),
        ("", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(header: str, seconds: float | None) -> None:
    assert retry_after_s(header, 100.0) == seconds


def test_a_wait_takes_its_time_and_looks_around() -> None:
    clock, looks = FakeClock(now_s=0.0), []
    wait(1.0, clock, lambda: looks.append(clock.now_s))
    assert clock.now_s == pytest.approx(1.0)
    assert max(clock.pauses) <= CANCEL_CHECK_INTERVAL_S
    assert len(looks) >= 10


def test_a_wait_ends_when_it_is_told_to() -> None:
    clock = FakeClock(now_s=0.0)

    def watch() -> None:
        if clock.now_s > 0.5:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        wait(60.0, clock, watch)
    assert clock.now_s < 0.7
