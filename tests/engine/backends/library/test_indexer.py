"""The index as files come, change and go."""

import contextlib
import os
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from reapaint_engine.backends.library.indexer import Indexer
from reapaint_engine.backends.library.search import find, parse
from reapaint_engine.backends.library.store import READ, UNREADABLE, open_store
from reapaint_engine.protocol.errors import ErrorCode

PATIENCE_S = 30


def _update(indexer: Indexer) -> None:
    indexer.request()
    assert indexer.wait_read(PATIENCE_S), indexer.progress


def _rows(path: Path) -> dict[str, tuple[int, int]]:
    with contextlib.closing(open_store(path)) as connection:
        rows = connection.execute("SELECT path, id, state FROM files")
        return {path: (number, state) for path, number, state in rows}


def _found(path: Path, prompt: str, negative: str = "") -> list[str]:
    with contextlib.closing(open_store(path)) as connection:
        return [m.path for m in find(connection, parse(connection, prompt, negative), 64)]


def test_sounds_are_listed_and_others_are_not(indexer: Indexer, tmp_path: Path) -> None:
    _update(indexer)
    rows = _rows(tmp_path / "index.sqlite")
    assert {path for path, (_, state) in rows.items() if state == READ} == {
        "Doors/DOORWood_Wooden Door Slam Heavy_ABC_Lib.wav",
        "Doors/DOORMetl_Metal Gate Slam_ABC_Lib.wav",
        "garden gate squeak 01.wav",
        "FEETHmn_Footsteps Gravel_ABC.wav",
        "Weather/RAIN_Steady_ABC.wav",
    }
    assert rows["broken.wav"][1] == UNREADABLE
    assert _found(tmp_path / "index.sqlite", "broken") == []
    assert indexer.progress.listed == 6


def test_what_is_unchanged_is_not_read_again(
    indexer: Indexer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _update(indexer)
    before = _rows(tmp_path / "index.sqlite")
    looked_at: list[Path] = []
    monkeypatch.setattr("reapaint_engine.backends.library.indexer.probe_clip", looked_at.append)
    _update(indexer)
    assert looked_at == []
    assert _rows(tmp_path / "index.sqlite") == before


def test_new_changed_renamed_and_removed_files(
    indexer: Indexer, folder: Path, tmp_path: Path, write_wav: Callable[..., Path]
) -> None:
    _update(indexer)
    database = tmp_path / "index.sqlite"
    audio = np.ones((1, 100), np.float32)
    write_wav(folder / "New" / "owl at night.wav", audio)
    (folder / "garden gate squeak 01.wav").rename(folder / "barn hinge 01.wav")
    rain = folder / "Weather" / "RAIN_Steady_ABC.wav"
    write_wav(rain, audio, chunks=((b"bext", b"on a tin roof".ljust(602, b"\0")),))
    (folder / "FEETHmn_Footsteps Gravel_ABC.wav").unlink()
    _update(indexer)
    assert _found(database, "owl") == ["New/owl at night.wav"]
    assert _found(database, "garden") == []
    assert "barn hinge 01.wav" in _found(database, "hinge")
    assert _found(database, "tin roof") == ["Weather/RAIN_Steady_ABC.wav"]
    assert _found(database, "gravel") == []


def test_a_file_of_the_same_size_that_was_touched_is_read_again(
    indexer: Indexer, folder: Path, tmp_path: Path, write_wav: Callable[..., Path]
) -> None:
    path = folder / "texted.wav"
    audio = np.ones((1, 100), np.float32)
    write_wav(path, audio, chunks=((b"bext", b"owl".ljust(602, b"\0")),))
    _update(indexer)
    status = path.stat()
    write_wav(path, audio, chunks=((b"bext", b"cow".ljust(602, b"\0")),))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1_000_000_000))
    _update(indexer)
    assert _found(tmp_path / "index.sqlite", "cow") == ["texted.wav"]
    assert _found(tmp_path / "index.sqlite", "owl") == []


def test_names_are_found_before_headers_are_read(
    indexer: Indexer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[str]] = []

    def look(_path: Path) -> None:
        if not seen:
            seen.append(_found(tmp_path / "index.sqlite", "wooden slam"))

    monkeypatch.setattr("reapaint_engine.backends.library.indexer.probe_clip", look)
    _update(indexer)
    assert seen[0][0] == "Doors/DOORWood_Wooden Door Slam Heavy_ABC_Lib.wav"


def test_an_unplugged_disk_keeps_its_index(indexer: Indexer, folder: Path, tmp_path: Path) -> None:
    _update(indexer)
    before = _rows(tmp_path / "index.sqlite")
    folder.rename(tmp_path / "elsewhere")
    _update(indexer)
    assert _rows(tmp_path / "index.sqlite") == before


def test_a_folder_that_cannot_be_read_now_keeps_its_files(
    indexer: Indexer, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _update(indexer)
    before = _rows(tmp_path / "index.sqlite")
    scandir = os.scandir

    def failing(path: Path) -> object:
        if Path(path).name == "Doors":
            raise PermissionError("not now")
        return scandir(path)

    (folder / "broken.wav").unlink()
    with monkeypatch.context() as patch:
        patch.setattr("reapaint_engine.backends.library.listing.os.scandir", failing)
        _update(indexer)
    assert set(before) - set(_rows(tmp_path / "index.sqlite")) == {"broken.wav"}


@pytest.mark.skipif(os.name != "posix", reason="links need rights elsewhere")
def test_links_are_followed_once_and_circles_end(
    indexer: Indexer, folder: Path, tmp_path: Path, write_wav: Callable[..., Path]
) -> None:
    write_wav(tmp_path / "other" / "linked owl.wav", np.ones((1, 100), np.float32))
    (folder / "link").symlink_to(tmp_path / "other")
    (folder / "link2").symlink_to(tmp_path / "other")
    (tmp_path / "other" / "back").symlink_to(folder)
    (folder / "Doors" / "up").symlink_to(folder)
    _update(indexer)
    assert _found(tmp_path / "index.sqlite", "linked owl") == ["link/linked owl.wav"]
    assert len(_rows(tmp_path / "index.sqlite")) == 7


def test_a_damaged_index_is_made_anew(indexer: Indexer, tmp_path: Path) -> None:
    (tmp_path / "index.sqlite").write_bytes(b"this is no database" * 500)
    _update(indexer)
    assert len(_rows(tmp_path / "index.sqlite")) == 6


def test_an_index_that_cannot_be_written_is_a_failure_with_advice(
    folder: Path, tmp_path: Path
) -> None:
    indexer = Indexer(folder, tmp_path / "missing" / "index.sqlite")
    indexer.request()
    assert not indexer.wait_listed(PATIENCE_S)
    failure = indexer.progress.failure
    assert failure is not None
    assert failure.code == ErrorCode.BACKEND_FAILED
    assert "REAPAINT_CACHE_DIR" in failure.hint
    (tmp_path / "missing").mkdir()
    _update(indexer)
    indexer.stop()


def test_stopping_in_the_middle_loses_nothing_that_was_written(
    indexer: Indexer, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_reading, may_go_on = threading.Event(), threading.Event()

    def look(_path: Path) -> None:
        is_reading.set()
        assert may_go_on.wait(PATIENCE_S)

    with monkeypatch.context() as patch:
        patch.setattr("reapaint_engine.backends.library.indexer.probe_clip", look)
        indexer.request()
        assert is_reading.wait(PATIENCE_S)
        indexer.stop(timeout_s=0.0)
        may_go_on.set()
        for thread in threading.enumerate():
            if thread.name == "library":
                thread.join(PATIENCE_S)
    assert not indexer.progress.is_read
    assert len(_rows(tmp_path / "index.sqlite")) == 6
    again = Indexer(folder, tmp_path / "index.sqlite")
    _update(again)
    again.stop()
    assert _rows(tmp_path / "index.sqlite")["broken.wav"][1] == UNREADABLE


def test_two_processes_may_index_at_once(folder: Path, tmp_path: Path) -> None:
    pair = [Indexer(folder, tmp_path / "index.sqlite") for _ in range(2)]
    for each in pair:
        each.request()
    assert all(each.wait_read(PATIENCE_S) for each in pair)
    for each in pair:
        each.stop()
    assert len(_found(tmp_path / "index.sqlite", "slam")) == len(
        set(_found(tmp_path / "index.sqlite", "slam"))
    )
    assert len(_rows(tmp_path / "index.sqlite")) == 6


def test_a_python_without_full_text_search_is_told_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without(*_: object, **__: object) -> object:
        raise sqlite3.OperationalError("no such module: fts5")

    monkeypatch.setattr("reapaint_engine.backends.library.store.sqlite3.connect", without)
    with pytest.raises(Exception, match="FTS5"):
        open_store(tmp_path / "index.sqlite")
