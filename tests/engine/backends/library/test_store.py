"""An index that several open, and make, at once."""

import contextlib
import sqlite3
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from reapaint_engine.backends.library import store
from reapaint_engine.backends.library.store import open_store
from reapaint_engine.errors import JobError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "index.sqlite"


def test_an_index_that_another_is_making_is_waited_for(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")

        def pause(seconds: float) -> None:
            pauses.append(seconds)
            if len(pauses) == 3:
                other.execute("COMMIT")

        monkeypatch.setattr(store, "time", SimpleNamespace(monotonic=time.monotonic, sleep=pause))
        with contextlib.closing(open_store(path)) as ours:
            assert ours.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert len(pauses) == 3


def test_an_index_that_another_never_lets_go_is_told(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "MAX_BUSY_S", 0.0)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(JobError, match="locked") as caught:
            open_store(path)
    assert caught.value.code == "backend_failed"
