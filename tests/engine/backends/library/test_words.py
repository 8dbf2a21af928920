"""Words as they are compared."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reapaint_engine.backends.library.words import remove_stop_words, stem, words_of


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("DoorSlam_02", ["door", "slam"]),
        ("UIClick-Soft.old", ["ui", "click", "soft", "old"]),
        ("747 take 3", ["747", "take"]),
        ("Café Ambiance", ["cafe", "ambiance"]),
        ("Türknall", ["turknall"]),
        ("ドア", ["トア"]),
        ("9mm M16", ["9mm", "m16"]),
        ("", []),
    ],
)
def test_words_of(text: str, words: list[str]) -> None:
    assert words_of(text) == [word.replace("ト", "ト") for word in words]


@pytest.mark.parametrize(
    "forms",
    [
        ("slam", "slams", "slammed", "slamming"),
        ("glass", "glasses"),
        ("city", "cities"),
        ("crash", "crashes", "crashing", "crashed"),
        ("close", "closes", "closed", "closing"),
        ("rainy", "rain"),
        ("hiss", "hisses", "hissing"),
        ("footstep", "footsteps"),
        ("box", "boxes"),
    ],
)
def test_forms_of_a_word_are_one(forms: tuple[str, ...]) -> None:
    assert len({stem(form) for form in forms}) == 1


@pytest.mark.parametrize(
    "pair", [("ring", "r"), ("wing", "w"), ("spring", "spr"), ("bus", "bu"), ("door", "doom")]
)
def test_other_words_stay_others(pair: tuple[str, str]) -> None:
    assert stem(pair[0]) != stem(pair[1])


@given(st.text(max_size=60))
def test_any_text_has_words_that_are_found_again(text: str) -> None:
    words = words_of(text)
    assert words == words_of(" ".join(words))
    assert all(stem(word) for word in words)


def test_what_tells_nothing_is_left_out_unless_nothing_else_is_said() -> None:
    assert remove_stop_words(["the", "sound", "of", "rain", "rain"]) == ["rain"]
    assert remove_stop_words(["the", "sound"]) == ["the", "sound"]
