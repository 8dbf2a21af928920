"""The index of a library on disk: one SQLite file, full-text search included.

Each thread opens a connection of its own. Readers see whole transactions, also while
another thread or process writes.
"""

import contextlib
import logging
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

from reapaint_engine.errors import JobError
from reapaint_engine.protocol.errors import THE_PATH, ErrorCode, reason_of

SCHEMA_VERSION = 1
"""Part of the file's name: an index of another version is left alone and a new one is made."""

MAX_BUSY_S = 10.0
"""How long to wait for another process that writes."""

RETRY_INTERVAL_S = 0.01
"""How long to wait before a retry, where SQLite itself doesn't wait."""

LISTED, READ, UNREADABLE = 0, 1, 2
"""States of a file: known by name, its header read, and not to be used."""

FIELDS = ("name", "category", "description", "folders", "related")

_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS files (
    id INTEGER PRIMARY KEY,
    path TEXT NOT NULL UNIQUE,
    size INTEGER NOT NULL,
    modified_ns INTEGER NOT NULL,
    state INTEGER NOT NULL,
    description TEXT NOT NULL DEFAULT '',
    vector BLOB
);
CREATE INDEX IF NOT EXISTS files_by_state ON files (state);
CREATE VIRTUAL TABLE IF NOT EXISTS texts USING fts5({", ".join(FIELDS)}, tokenize='unicode61');
CREATE VIRTUAL TABLE IF NOT EXISTS vocabulary USING fts5vocab(texts, 'row');
CREATE TABLE IF NOT EXISTS words (stem TEXT PRIMARY KEY, word TEXT NOT NULL, vector BLOB);
"""

_log = logging.getLogger(__name__)


def open_store(path: Path) -> sqlite3.Connection:
    """Open an index, and create it where there is none or a damaged one.

    Raises
    ------
    JobError
        ``backend_failed``: it can't be made, or this Python's SQLite has no full-text
        search.
    """
    try:
        return _open(path)
    except sqlite3.DatabaseError as error:
        if "no such module" in str(error):
            raise _no_search() from error
        if isinstance(error, sqlite3.OperationalError):
            raise unusable(path, error) from error
        _log.warning("the library's index %s is damaged (%s); a new one is made", path, error)
    try:
        _remove(path)
        return _open(path)
    except (OSError, sqlite3.Error) as error:
        raise unusable(path, error) from error


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Write everything in the block, or nothing."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def unusable(path: Path, error: Exception) -> JobError:
    """Return the error for an index that can't be read or written."""
    return JobError(
        ErrorCode.BACKEND_FAILED,
        f"The library's index {THE_PATH} can't be used: {reason_of(error)}.",
        hint="Make room there or change its permissions, or name another folder in"
        " REAPAINT_CACHE_DIR.",
        path=path,
    )


def _open(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=MAX_BUSY_S, isolation_level=None)
    try:
        _write_ahead(connection)
        # A crash of the machine may lose the last files; they will be found again.
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.executescript(_SCHEMA)
    except BaseException:
        connection.close()
        raise
    return connection


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Switch the file to write-ahead logging: readers then see whole transactions."""
    until_s = time.monotonic() + MAX_BUSY_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            # Of two processes that create one index at once, SQLite refuses one immediately.
            is_busy = error.sqlite_errorcode == sqlite3.SQLITE_BUSY
            if not is_busy or time.monotonic() > until_s:
                raise
        time.sleep(RETRY_INTERVAL_S)


def _remove(path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _no_search() -> JobError:
    return JobError(
        ErrorCode.BACKEND_FAILED,
        "This Python's SQLite has no full-text search (FTS5), which the library needs.",
        hint="Install Python from python.org or your system's packages.",
    )
