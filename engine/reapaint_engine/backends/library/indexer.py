"""Keep the index of a library up to date, in a thread of its own.

First every name is written to the index, which makes a file findable. Then the headers are
read, which adds descriptions and removes files that are no sound. A file whose size and time
are unchanged is not read again.
"""

import itertools
import logging
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from reapaint_engine.backends.library.audio import UnreadableClip, probe_clip
from reapaint_engine.backends.library.descriptions import read_description
from reapaint_engine.backends.library.listing import Walk
from reapaint_engine.backends.library.store import LISTED, READ, UNREADABLE, open_store, unusable
from reapaint_engine.backends.library.writer import Header, Writer
from reapaint_engine.protocol.errors import ReaPaintError

LISTING_BATCH_FILES = 1000
READING_BATCH_FILES = 200
"""Files written at once. If the engine dies, this many are lost and read again."""

_log = logging.getLogger(__name__)
_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True)
class IndexProgress:
    """How complete the index is: ``is_listed`` for every name, ``is_read`` for every header."""

    is_listed: bool = False
    is_read: bool = False
    listed: int = 0
    finished_s: float = -float("inf")
    failure: ReaPaintError | None = None


class Indexer:
    """Indexes one folder whenever it is asked to; made in one thread, ended by it."""

    def __init__(self, folder: Path, database: Path) -> None:
        self._folder = folder
        self._database = database
        self._condition = threading.Condition(threading.RLock())
        self._is_busy = False
        self._stopping = threading.Event()
        self._progress = IndexProgress()
        self._thread: threading.Thread | None = None

    @property
    def progress(self) -> IndexProgress:
        """Return how complete the index is now."""
        with self._condition:
            return self._progress

    def request(self) -> None:
        """Request a check of the folder; one that is already running counts as well."""
        with self._condition:
            if self._thread is None:
                self._stopping.clear()
                self._thread = threading.Thread(target=self._run, name="library", daemon=True)
                self._thread.start()
            if not self._is_busy:
                self._is_busy = True
                self._progress = IndexProgress()
                self._condition.notify_all()

    def wait_listed(self, timeout_s: float) -> bool:
        """Wait until every name is in the index, and return whether it is."""
        with self._condition:
            self._condition.wait_for(self._is_settled, timeout_s)
            return self._progress.is_listed

    def wait_read(self, timeout_s: float) -> bool:
        """Wait until every header is read too, and return whether it is."""
        with self._condition:
            self._condition.wait_for(
                lambda: self._progress.is_read or self._progress.failure is not None, timeout_s
            )
            return self._progress.is_read

    def stop(self, timeout_s: float = 5.0) -> None:
        """End the thread; the index keeps what is written."""
        thread = self._thread
        if thread is None:
            return
        self._stopping.set()
        with self._condition:
            self._condition.notify_all()
        thread.join(timeout_s)
        self._thread = None

    def _is_settled(self) -> bool:
        return self._progress.is_listed or self._progress.failure is not None

    # In the thread

    def _run(self) -> None:
        while self._wait_for_request():
            try:
                self._update()
            except ReaPaintError as error:
                self._fail(error)
            except (OSError, sqlite3.Error) as error:
                _log.warning("indexing %s ended: %s", self._folder, error)
                self._fail(unusable(self._database, error))

    def _wait_for_request(self) -> bool:
        with self._condition:
            self._condition.wait_for(lambda: self._is_busy or self._stopping.is_set())
            return not self._stopping.is_set()

    def _update(self) -> None:
        connection = open_store(self._database)
        writer = Writer(connection)
        try:
            if not self._folder.is_dir():
                # An unplugged disk will return with the same files, so its index is kept.
                _log.warning("the library %s is not there", self._folder)
            elif not (self._list(connection, writer) and self._read(connection, writer)):
                return
            self._finish()
        finally:
            connection.close()

    def _list(self, connection: sqlite3.Connection, writer: Writer) -> bool:
        started_s = time.monotonic()
        known = {
            path: (size, modified_ns)
            for path, size, modified_ns in connection.execute(
                "SELECT path, size, modified_ns FROM files"
            )
        }
        walk, listed = Walk(self._folder), 0
        for batch in _batches(walk.files(), LISTING_BATCH_FILES):
            if self._stopping.is_set():
                return False
            writer.write_listed(
                [file for file in batch if known.pop(file.path, None) != file.state]
            )
            listed += len(batch)
            self._report(listed=listed)
        writer.forget([path for path in known if not _is_under(path, walk.missed)])
        _log.info("listed %d files in %.1f s", listed, time.monotonic() - started_s)
        self._report(is_listed=True)
        return True

    def _read(self, connection: sqlite3.Connection, writer: Writer) -> bool:
        started_s, files = time.monotonic(), 0
        pending = connection.execute(
            "SELECT id, path FROM files WHERE state = ? ORDER BY path", (LISTED,)
        ).fetchall()
        for batch in _batches(pending, READING_BATCH_FILES):
            read = [Header(number, path, *self._header(path)) for number, path in batch]
            writer.write_read(read)
            files += len(read)
            if self._stopping.is_set():
                return False
        _log.info("read %d headers in %.1f s", files, time.monotonic() - started_s)
        return True

    def _header(self, path: str) -> tuple[int, str]:
        """Return a file's new state and its description."""
        if self._stopping.is_set():
            return LISTED, ""
        try:
            probe_clip(self._folder / path)
            return READ, read_description(self._folder / path)
        except UnreadableClip as error:
            _log.warning("%s in the library is skipped: %s", path, error)
            return UNREADABLE, ""
        except OSError as error:
            # The next check may reach it.
            _log.warning("%s in the library can't be read: %s", path, error)
            return LISTED, ""

    def _finish(self) -> None:
        with self._condition:
            self._is_busy = False
            self._report(is_listed=True, is_read=True, finished_s=time.monotonic())

    def _fail(self, error: ReaPaintError) -> None:
        with self._condition:
            self._is_busy = False
            self._report(failure=error)

    def _report(self, **changes: object) -> None:
        with self._condition:
            self._progress = replace(self._progress, **changes)  # type: ignore[arg-type]
            self._condition.notify_all()


def _batches(items: Iterable[_Item], size: int) -> Iterator[list[_Item]]:
    iterator = iter(items)
    while batch := list(itertools.islice(iterator, size)):
        yield batch


def _is_under(path: str, folders: list[str]) -> bool:
    return any(folder == "." or path.startswith(folder + "/") for folder in folders)
