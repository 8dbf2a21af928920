"""Write names and headers of files to a library's index."""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from reapaint_engine.backends.library.listing import Found, texts_of
from reapaint_engine.backends.library.store import LISTED, UNREADABLE, transaction
from reapaint_engine.backends.library.words import stem


@dataclass(frozen=True, slots=True)
class Header:
    """The result of reading a file's header: the file's new state, and its description."""

    number: int
    path: str
    state: int
    description: str


class Writer:
    """Writes to an index in the thread that made it. Each call is written whole or not at all.

    Another process may index the same folder: existing entries are replaced.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._known = {row[0] for row in connection.execute("SELECT stem FROM words")}

    def write_listed(self, files: Sequence[Found]) -> None:
        """Add new files, and those that have changed."""
        if not files:
            return
        with transaction(self._connection):
            for file in files:
                (number,) = self._connection.execute(
                    "INSERT INTO files (path, size, modified_ns, state) VALUES (?, ?, ?, ?)"
                    " ON CONFLICT (path) DO UPDATE SET size = excluded.size,"
                    " modified_ns = excluded.modified_ns, state = excluded.state,"
                    " description = '', vector = NULL RETURNING id",
                    (file.path, *file.state, LISTED),
                ).fetchone()
                self._write_texts(number, file.path, "")

    def write_read(self, headers: Sequence[Header]) -> None:
        """Add descriptions from headers; files that can't be used are no longer found."""
        with transaction(self._connection):
            for header in headers:
                self._connection.execute(
                    "UPDATE files SET state = ?, description = ? WHERE id = ?",
                    (header.state, header.description, header.number),
                )
                if header.state == UNREADABLE:
                    self._connection.execute("DELETE FROM texts WHERE rowid = ?", (header.number,))
                elif header.description:
                    self._write_texts(header.number, header.path, header.description)

    def forget(self, paths: Sequence[str]) -> None:
        """Remove files that are gone."""
        if not paths:
            return
        with transaction(self._connection):
            for path in paths:
                self._connection.execute(
                    "DELETE FROM texts WHERE rowid = (SELECT id FROM files WHERE path = ?)", (path,)
                )
                self._connection.execute("DELETE FROM files WHERE path = ?", (path,))

    def _write_texts(self, number: int, path: str, description: str) -> None:
        texts = texts_of(path, description)
        self._connection.execute(
            "INSERT OR REPLACE INTO texts (rowid, name, category, description, folders, related)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (number, *texts.as_row()),
        )
        words = {stem(word): word for word in texts.all_words() if not word.isdigit()}
        new = {each: word for each, word in words.items() if each not in self._known}
        if new:
            self._connection.executemany(
                "INSERT OR IGNORE INTO words (stem, word) VALUES (?, ?)", new.items()
            )
            self._known.update(new)
