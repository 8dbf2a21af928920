"""Which files fit a prompt, and in which order."""

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reapaint_engine.backends.library.listing import Found
from reapaint_engine.backends.library.search import find, parse
from reapaint_engine.backends.library.store import READ, open_store
from reapaint_engine.backends.library.writer import Header, Writer
from tests.scale import SCALE

Fill = Callable[..., sqlite3.Connection]


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Fill]:
    """Return a maker of an index from paths, some with descriptions."""
    with contextlib.ExitStack() as stack:

        def fill(*paths: str, **descriptions: str) -> sqlite3.Connection:
            connection = stack.enter_context(
                contextlib.closing(open_store(tmp_path / "index.sqlite"))
            )
            writer = Writer(connection)
            writer.write_listed([Found(path, 1, 1) for path in paths])
            for number, path in connection.execute("SELECT id, path FROM files").fetchall():
                text = descriptions.get(Path(path).stem.replace(" ", "_"), "")
                writer.write_read([Header(number, path, READ, text)])
            return connection

        yield fill


def _paths(connection: sqlite3.Connection, prompt: str, negative: str = "") -> list[str]:
    return [match.path for match in find(connection, parse(connection, prompt, negative), 64)]


def test_files_with_all_words_come_before_files_with_some(library: Fill) -> None:
    index = library("door creak.wav", "door slam.wav", "slam.wav", "dog.wav", "rain.wav")
    assert _paths(index, "slamming doors")[0] == "door slam.wav"
    assert set(_paths(index, "slamming doors")) == {"door slam.wav", "door creak.wav", "slam.wav"}


def test_a_name_counts_more_than_a_description_and_that_more_than_a_folder(library: Fill) -> None:
    index = library("a/owl.wav", "a/tree.wav", "owl/branch.wav", "b/x.wav", tree="with an owl")
    assert _paths(index, "owl") == ["a/owl.wav", "a/tree.wav", "owl/branch.wav"]


def test_categories_are_found_by_words_that_no_name_has(library: Fill) -> None:
    index = library("DOORWood_Barn_ABC.wav", "RAIN_Roof_ABC.wav", "old gate.wav", "dog.wav")
    assert set(_paths(index, "hinge")) == {"DOORWood_Barn_ABC.wav", "old gate.wav"}
    assert _paths(index, "drizzle") == ["RAIN_Roof_ABC.wav"]
    assert "old gate.wav" in _paths(index, "door")


def test_the_maker_of_a_sound_is_no_sound(library: Fill) -> None:
    index = library("DOORWood_Barn_Glass Audio_Lib.wav", "GLASBrk_Bottle_ABC.wav")
    assert _paths(index, "glass")[0] == "GLASBrk_Bottle_ABC.wav"


def test_unwanted_words_exclude(library: Fill) -> None:
    index = library("door slam.wav", "door slam reverb.wav", "door creak.wav")
    assert "door slam reverb.wav" not in _paths(index, "door slam", "reverb, echoes")
    # What is wanted as well is not unwanted.
    assert _paths(index, "door slam", "door")[0] == "door slam.wav"


def test_words_that_no_file_has_are_told_and_left_out(library: Fill) -> None:
    index = library("door slam.wav", "rain.wav")
    query = parse(index, "a purple door slams", "")
    assert query.unknown == ("purple",)
    assert find(index, query, 64)[0].path == "door slam.wav"
    assert find(index, parse(index, "purple", ""), 64) == []
    assert find(index, parse(index, "", ""), 64) == []


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    max_examples=150 * SCALE,
)
@given(st.text(max_size=80), st.text(max_size=40))
def test_any_prompt_is_no_more_than_words(library: Fill, prompt: str, negative: str) -> None:
    index = library("door NOT slam OR.wav", 'a"b*.wav')
    find(index, parse(index, prompt, negative), 64)


def test_the_order_is_always_the_same(library: Fill) -> None:
    index = library(*(f"slam {number:03}.wav" for number in range(200)))
    first = _paths(index, "slam")
    assert len(first) == 64
    assert first == _paths(index, "slam")
