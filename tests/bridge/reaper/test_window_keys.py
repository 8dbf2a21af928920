"""What windows are called towards the engine."""

import itertools

from reapaint.reaper.window_keys import WindowKey, window_keys


def test_a_jobs_only_window_has_the_jobs_id() -> None:
    assert [key.wire_id for key in window_keys("a", 1)] == ["a"]


def test_windows_and_attempts_have_ids_of_their_own() -> None:
    keys = [WindowKey("a"), *window_keys("a", 12), *window_keys("b", 2)]
    attempts = [
        list(itertools.accumulate(range(3), lambda each, _: each.next_attempt(), initial=key))
        for key in keys
    ]
    ids = [each.wire_id for row in attempts for each in row]
    assert len(set(ids)) == len(ids) == 4 * len(keys)
    assert all(row[0].is_first_attempt and not row[1].is_first_attempt for row in attempts)
