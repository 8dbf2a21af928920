"""Names of result files: a person knows them, and every system takes them."""

import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reapaint.reaper.take_names import MAX_NAME_BYTES, alternatives, take_path

FOLDER = Path("/media/ReaPaint")
RESERVED = {"con", "prn", "aux", "nul", "conin$", "conout$"} | {
    f"{port}{digit}" for port in ("com", "lpt") for digit in "0123456789¹²³"
}


def _name(item: str, prompt: str = "", seed: int = 7, part: int | None = None) -> str:
    return take_path(FOLDER, item_name=item, prompt=prompt, seed=seed, part=part).name


@pytest.mark.parametrize(
    ("item", "prompt", "expected"),
    [
        ("Möwen 03.wav", "Regen auf Blech", "Möwen 03 - Regen auf Blech - 7.wav"),
        ("door.WAV", "", "door - 7.wav"),
        ("", "wind", "item - wind - 7.wav"),
        ("a/b\\c:d", 'what? "no" <|*>', "a_b_c_d - what_ _no_ ____ - 7.wav"),
        ("tape...", "end. ", "tape - end - 7.wav"),
        ("two\nlines\ttabs", "x\r\ny", "two lines tabs - x y - 7.wav"),
        ("波の音", "静かな雨 🌧", "波の音 - 静かな雨 🌧 - 7.wav"),
        ("CON", "", "_CON - 7.wav"),
        ("nul.txt", "", "_nul.txt - 7.wav"),
        (".hidden", "", "hidden - 7.wav"),
        ("evil\u202egpj", "", "evil gpj - 7.wav"),
    ],
)
def test_names_tell_item_prompt_and_seed(item: str, prompt: str, expected: str) -> None:
    assert _name(item, prompt) == expected


def test_a_part_is_named_where_there_are_several() -> None:
    assert _name("a", "b", 9, part=2) == "a - b - 9 - part 2.wav"


def test_a_decomposed_name_becomes_one_that_others_find() -> None:
    assert _name(unicodedata.normalize("NFD", "Möwe")) == "Möwe - 7.wav"


def test_the_seed_survives_any_length() -> None:
    for character in ("x", "é", "波", "🌧"):
        name = _name(character * 500, character * 5000, seed=4294967295, part=1000)
        assert name.endswith(" - 4294967295 - part 1000.wav")
        assert len(name.encode()) <= MAX_NAME_BYTES


def test_a_deep_folder_leaves_room_for_windows() -> None:
    deep = Path("/" + "/".join(["folder"] * 27))
    path = take_path(deep, item_name="item" * 30, prompt="prompt" * 30, seed=4294967295, part=None)
    assert len(str(path)) < 250


def test_taken_names_have_alternatives() -> None:
    names = alternatives(FOLDER / "a - 7.wav")
    assert [next(names).name for _ in range(3)] == ["a - 7.wav", "a - 7 (2).wav", "a - 7 (3).wav"]


@given(st.text(max_size=300), st.text(max_size=300), st.integers(0, 2**32 - 1))
def test_no_text_makes_a_name_that_a_system_refuses(item: str, prompt: str, seed: int) -> None:
    name = take_path(FOLDER, item_name=item, prompt=prompt, seed=seed, part=None).name
    assert name.endswith(f"{seed}.wav")
    assert not set(name) & set('<>:"/\\|?*')
    assert all(unicodedata.category(character) not in ("Cc", "Cs") for character in name)
    assert name == name.strip(" .")
    assert len(name.encode()) <= MAX_NAME_BYTES
    assert name.split(".")[0].strip().lower() not in RESERVED
    assert "  " not in name
