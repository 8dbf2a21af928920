"""Finds the files of a library whose words fit a prompt best.

Notes
-----
BM25 (S. Robertson and H. Zaragoza, "The probabilistic relevance framework", 2009) over
weighted fields, as SQLite's FTS5 computes it.
"""

import sqlite3
from dataclasses import dataclass

from reapaint_engine.backends.library.store import FIELDS
from reapaint_engine.backends.library.words import meaningful, stem, words_of

WEIGHTS = {"name": 8.0, "category": 4.0, "description": 3.0, "folders": 1.0, "related": 0.5}
"""How much a word counts where: a file is named for what it is."""

MAX_PROMPT_WORDS = 12
"""More words find nothing that these don't."""

MAX_SCORED = 6_000
"""Words that more files have tell little, and are scored in this many of them only: each
takes 1.6 microseconds."""

LEAST_SHARE = 0.4
"""Files with some of the words follow, down to this much of the best such one's score."""

_WEIGHTS = ", ".join(str(WEIGHTS[field]) for field in FIELDS)
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
    """A file that fits: ``score`` is positive, and more is better."""

    number: int
    path: str
    score: float


@dataclass(frozen=True, slots=True)
class Query:
    """A prompt's words as the index knows them: stems, rarest first, and how many have each.

    ``unknown`` are the prompt's words that no file has, as they were written.
    """

    counts: tuple[tuple[str, int], ...]
    unwanted: tuple[str, ...]
    unknown: tuple[str, ...]


def parse(connection: sqlite3.Connection, prompt: str, negative_prompt: str) -> Query:
    """Look a prompt's words up in the index."""
    words = meaningful(words_of(prompt))[:MAX_PROMPT_WORDS]
    stems = {stem(word): word for word in reversed(words)}
    counts = {each: _count(connection, each) for each in stems}
    unwanted = (stem(word) for word in meaningful(words_of(negative_prompt)))
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

    Those that are named by all known words come first, then those that have them all
    anywhere, then those that have some.
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
        some = " OR ".join(map(_quoted, _affordable(query)))
        found = _matches(connection, some, query, limit)
        more = [match for match in found if match.number not in best]
        least = LEAST_SHARE * max((match.score for match in more), default=0.0)
        best |= {match.number: match for match in more if match.score >= least}
    return list(best.values())[:limit]


def _affordable(query: Query) -> list[str]:
    """Return the rarest words, as many as are scored quickly; one at least."""
    total = 0
    chosen: list[str] = []
    for each, count in query.counts:
        total += count
        if chosen and total > MAX_SCORED:
            break
        chosen.append(each)
    return chosen


def _matches(
    connection: sqlite3.Connection, expression: str, query: Query, limit: int
) -> list[Match]:
    if query.unwanted:
        expression = f"({expression}) NOT ({' OR '.join(map(_quoted, query.unwanted))})"
    rows = connection.execute(_FIND, (expression, MAX_SCORED, limit))
    return [Match(number, path, -score) for number, path, score in rows]


def _count(connection: sqlite3.Connection, word: str) -> int:
    row = connection.execute("SELECT doc FROM vocabulary WHERE term = ?", (word,)).fetchone()
    return int(row[0]) if row else 0


def _quoted(word: str) -> str:
    return f'"{word}"'
