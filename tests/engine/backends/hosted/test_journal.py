"""The journal keeps what was paid for, for as long as it is of use."""

from pathlib import Path

import pytest

from reapaint_engine.backends.hosted.journal import Journal, Record, RequestStage
from tests.engine.backends.hosted.conftest import FakeClock

DAY_S = 86_400


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def journal(tmp_path: Path, clock: FakeClock) -> Journal:
    return Journal(tmp_path / "journal", clock)


def _record(clock: FakeClock, stage: RequestStage, content: str = "c") -> Record:
    return Record("fal", content, stage, clock.now_s, "id-1", {"status": "https://x/y"}, 0.5)


def _put(journal: Journal, key: str, record: Record, answer: bytes = b"") -> None:
    with journal.claim(key, record.content, any_seed=False) as claim:
        assert claim is not None
        claim.keep_answer(answer, record) if answer else claim.save(record)


def test_what_is_written_is_read_by_the_next_engine(
    journal: Journal, clock: FakeClock, tmp_path: Path
) -> None:
    record = _record(clock, RequestStage.TAKEN)
    _put(journal, "a", record, b"sound")
    with Journal(tmp_path / "journal", clock).claim("a", "c", any_seed=False) as claim:
        assert claim is not None
        assert claim.record == record
        assert claim.answer() == b"sound"
    modes = {path.stat().st_mode & 0o777 for path in (tmp_path / "journal").iterdir()}
    assert modes == {0o600}


def test_two_engines_do_not_work_on_one_call(journal: Journal) -> None:
    with journal.claim("a", "c", any_seed=False), journal.claim("a", "c", any_seed=False) as other:
        assert other is None


@pytest.mark.parametrize("stage", list(RequestStage))
def test_only_what_nobody_got_is_picked_up(
    journal: Journal, clock: FakeClock, stage: RequestStage
) -> None:
    _put(journal, "a", _record(clock, stage), b"sound")
    is_free = stage in (RequestStage.TAKEN, RequestStage.FETCHED)
    assert journal.left_behind("c") == is_free
    with journal.claim("b", "c", any_seed=True) as claim:
        assert claim is not None
        assert (claim.record is not None) == is_free
        assert claim.answer() == (b"sound" if is_free else None)
    assert journal.knows("a") != is_free
    with journal.claim("d", "other", any_seed=True) as claim:
        assert claim is not None
        assert claim.record is None


def test_what_is_being_worked_on_is_not_picked_up(journal: Journal, clock: FakeClock) -> None:
    _put(journal, "a", _record(clock, RequestStage.TAKEN))
    with journal.claim("a", "c", any_seed=True), journal.claim("b", "c", any_seed=True) as claim:
        assert claim is not None
        assert claim.record is None


def test_old_records_go(journal: Journal, clock: FakeClock) -> None:
    _put(journal, "taken", _record(clock, RequestStage.TAKEN))
    _put(journal, "delivered", _record(clock, RequestStage.DELIVERED), b"sound")
    clock.now_s += 2 * DAY_S
    journal.sweep()
    assert (journal.knows("taken"), journal.knows("delivered")) == (True, False)
    clock.now_s += 7 * DAY_S
    journal.sweep()
    assert not journal.knows("taken")


def test_delivered_answers_do_not_fill_the_disk(
    journal: Journal, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reapaint_engine.backends.hosted.journal.MAX_DELIVERED_BYTES", 250)
    for name in ("a", "b", "c"):
        clock.now_s += 1
        _put(journal, name, _record(clock, RequestStage.DELIVERED), bytes(100))
    journal.sweep()
    assert [journal.knows(name) for name in ("a", "b", "c")] == [False, True, True]


def test_a_damaged_record_is_no_record(journal: Journal, tmp_path: Path) -> None:
    (tmp_path / "journal" / "a.json").write_text("{")
    with journal.claim("a", "c", any_seed=False) as claim:
        assert claim is not None
        assert claim.record is None
    journal.sweep()
    assert not journal.knows("a")
