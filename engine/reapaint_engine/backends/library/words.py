"""Split names, descriptions and prompts into words, in a form that can be compared."""

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

_TELLS_NOTHING = (
    "a an and any are as at be by for from has in into is it its like of on or some sound"
    " sounds sfx fx effect effects audio recording that the then there this to very was while with"
)
STOP_WORDS = frozenset(_TELLS_NOTHING.split())
"""Words of a prompt that don't tell sounds apart."""

MIN_NUMBER_DIGITS = 3
"""Shorter numbers count takes; a 747 is an aeroplane."""

_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_TOKEN = re.compile(r"[^\W_]+")
_TAKE_NUMBER = re.compile(r"(?<=[^\W\d_]{3})\d+$")
_VOWEL = re.compile(r"[aeiouy]")


def words_of(text: str) -> list[str]:
    """Return the words of a text in order: lower case, without accents and take numbers.

    ``DoorSlam_02`` is ``door`` and ``slam``.
    """
    words = []
    for token in _TOKEN.findall(_HUMP.sub(" ", _plain(text))):
        word = _TAKE_NUMBER.sub("", token).lower()
        if not word.isdigit() or len(word) >= MIN_NUMBER_DIGITS:
            words.append(word)
    return words


def remove_stop_words(words: Iterable[str]) -> list[str]:
    """Return each word once, without stop words; all words if there are only stop words."""
    unique = list(dict.fromkeys(words))
    return [word for word in unique if word not in STOP_WORDS] or unique


@lru_cache(maxsize=1 << 16)
def stem(word: str) -> str:
    """Return the form that a word shares with its plural and its other forms.

    ``slams``, ``slammed`` and ``slamming`` are ``slam``. It need not be a word: both sides of a
    comparison are treated alike.
    """
    word = _singular(word)
    for ending in ("ing", "ed"):
        base = word.removesuffix(ending)
        if base != word and len(base) >= 3 and _VOWEL.search(base):
            doubled = base[-1] == base[-2] and base[-1] not in "lsz"
            word = base[:-1] if doubled else base
            break
    for ending in ("e", "y"):
        if len(word) > 4:
            word = word.removesuffix(ending)
    return word


def _plain(text: str) -> str:
    if text.isascii():
        return text
    letters = unicodedata.normalize("NFKD", text)
    return "".join(letter for letter in letters if not unicodedata.combining(letter))


def _singular(word: str) -> str:
    if len(word) <= 3 or word.endswith(("ss", "us", "is")):
        return word
    if word.endswith("ies"):
        return word[:-3] + "y"
    if word.endswith(("sses", "shes", "ches", "xes", "zes")):
        return word[:-2]
    return word.removesuffix("s")
