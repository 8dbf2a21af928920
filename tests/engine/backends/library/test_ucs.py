"""Categories of file names."""

import pytest

from reapaint_engine.backends.library.ucs import CATEGORIES, parse_cat_id, related_words


@pytest.mark.parametrize(
    ("name", "words", "rest"),
    [
        ("DOORWood_Slam Heavy_ABC", {"doors", "wood"}, "_Slam Heavy_ABC"),
        ("GLASBrk_Bottle", {"glass", "break"}, "_Bottle"),
        ("AMBForst-Night_Owls", {"ambience", "forest"}, "-Night_Owls"),
        ("UIClick_Soft", {"user", "interface", "click"}, "_Soft"),
        ("VEHCar_Pass", {"vehicles", "car"}, "_Pass"),
    ],
)
def test_a_cat_id_tells_its_category(name: str, words: set[str], rest: str) -> None:
    cat_id = parse_cat_id(name)
    assert cat_id is not None
    assert set(cat_id.words) == words
    assert cat_id.rest == rest
    assert cat_id.related


@pytest.mark.parametrize(
    "name",
    ["Door slam", "DOOR SLAM", "doorWood_x", "XYZZYThing_x", "DOORWoodx9Z", "", "NASARocket"],
)
def test_other_names_have_none(name: str) -> None:
    assert parse_cat_id(name) is None


def test_words_suggest_what_goes_with_them() -> None:
    assert "door" in related_words(["garden", "gate", "squeak"])
    assert "automobile" in related_words(["truck", "pass"])
    assert related_words(["xylograph"]) == ()


@pytest.mark.parametrize("short", CATEGORIES)
def test_every_category_is_found_by_its_short_form(short: str) -> None:
    cat_id = parse_cat_id(f"{short}Misc_Name")
    assert cat_id is not None
    assert cat_id.words[0] == CATEGORIES[short].partition(":")[0].split()[0]
