"""Find the files of a library whose words fit a prompt best.

Notes
-----
BM25 (S. Robertson and H. Zaragoza, "The probabilistic relevance framework", 2009) over
weighted fields, as SQLite's FTS5 computes it.
"""

import sqlite3
from dataclasses import dataclass

from reapaint_engine.backends.library.store import FIELDS
from reapaint_engine.backends.library.words import remove_stop_words, stem, words_of

FIELD_WEIGHTS = {"name": 8.0, "category": 4.0, "description": 3.0, "folders": 1.0, "related": 0.5}
"""How much a word counts in each field: the name says most about a file."""

MAX_PROMPT_WORDS = 12
"""More words hardly find anything else."""

MAX_SCORED_FILES = 6_000
"""Words that occur in more files say little, and are scored in this many files only: each file
takes 1.6 microseconds."""

MIN_SCORE_SHARE = 0.4
"""Files with only some of the words are returned down to this share of the best such score."""

_WEIGHTS = ", ".join(str(FIELD_WEIGHTS[field]) for field in FIELDS)
_FIND = f"""
SELECT best.id, path, score FROM (
    SELECT * FROM (
        SELECT rowid AS id, bm25(texts, {_WEIGHTS}) AS score
        FROM texts WHERE texts MATCH ? LIMIT ?
    ) ORDER BY score, id LIMIT ?
) AS best JOIN files USING (id) ORDER BY score, path
"""  # noqa: S608 - only the weights above are put in


@dataclass(frozen=True, slots=True)
class Match:
    """A file that fits; a higher ``score`` is better, and all are positive."""

    number: int
    path: str
    score: float


@dataclass(frozen=True, slots=True)
class Query:
    """A prompt's stems as in the index, rarest first, and how many files have each.

    ``unknown`` are the prompt's words that no file has, as the user wrote them.
    """

    counts: tuple[tuple[str, int], ...]
    unwanted: tuple[str, ...]
    unknown: tuple[str, ...]


def parse(connection: sqlite3.Connection, prompt: str, negative_prompt: str) -> Query:
    """Look a prompt's words up in the index."""
    words = remove_stop_words(words_of(prompt))[:MAX_PROMPT_WORDS]
    stems = {stem(word): word for word in reversed(words)}
    counts = {each: _count(connection, each) for each in stems}
    unwanted = (stem(word) for word in remove_stop_words(words_of(negative_prompt)))
    return Query(
        counts=tuple(
            sorted(
                ((each, count) for each, count in counts.items() if count), key=lambda c: c[::-1]
            )
        ),
        unwanted=tuple(dict.fromkeys(each for each in unwanted if each not in stems)),
        unknown=tuple(word for each, word in reversed(stems.items()) if not counts[each]),
    )


def find(connection: sqlite3.Connection, query: Query, limit: int) -> list[Match]:
    """Return the files that fit best.

    First come files with all known words in the name, then files with all of them anywhere,
    then files with some of them.
    """
    stems = [each for each, _ in query.counts]
    if not stems:
        return []
    every = " AND ".join(map(_quoted, stems))
    best: dict[int, Match] = {}
    for expression in (f"{{name category}} : ({every})", every):
        for match in _matches(connection, expression, query, limit):
            best.setdefault(match.number, match)
        if len(best) >= limit:
            return list(best.values())[:limit]
    if len(stems) > 1:
        some = " OR ".join(map(_quoted, _quick_words(query)))
        found = _matches(connection, some, query, limit)
        more = [match for match in found if match.number not in best]
        least = MIN_SCORE_SHARE * max((match.score for match in more), default=0.0)
        best |= {match.number: match for match in more if match.score >= least}
    return list(best.values())[:limit]


def _quick_words(query: Query) -> list[str]:
    """Return the rarest words, as many as are scored quickly, at least one."""
    total = 0
    chosen: list[str] = []
    for each, count in query.counts:
        total += count
        if chosen and total > MAX_SCORED_FILES:
            break
        chosen.append(each)
    return chosen


def _matches(
    connection: sqlite3.Connection, expression: str, query: Query, limit: int
) -> list[Match]:
    if query.unwanted:
        expression = f"({expression}) NOT ({' OR '.join(map(_quoted, query.unwanted))})"
    rows = connection.execute(_FIND, (expression, MAX_SCORED_FILES, limit))
    return [Match(number, path, -score) for number, path, score in rows]


def _count(connection: sqlite3.Connection, word: str) -> int:
    row = connection.execute("SELECT doc FROM vocabulary WHERE term = ?", (word,)).fetchone()
    return int(row[0]) if row else 0


def _quoted(word: str) -> str:
    return f'"{word}"'
