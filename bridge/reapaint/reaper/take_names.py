"""Names of result files: told apart by a person, and safe on every system."""

import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path

MAX_ITEM_CHARACTERS = 60
MAX_PROMPT_CHARACTERS = 60
MAX_NAME_BYTES = 200
"""UTF-8, of a name without its suffix: REAPER adds ``.reapeaks`` to the 255 there are."""
MAX_PATH_CHARACTERS = 245
"""Windows refuses longer paths than 260 in many programs, and the peak file's is longer."""
MIN_NAME_CHARACTERS = 16

_FORBIDDEN = re.compile(r'[<>:"/\\|?*]')
_RESERVED = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³])\s*(\.|$)", re.I)
_AUDIO_SUFFIX = re.compile(
    r"\.(wav|wave|bwf|flac|aiff?|aifc|ogg|oga|mp3|opus|m4a|aac|wv|w64|caf|rpp|mp4|mov)$", re.I
)


def take_path(folder: Path, *, item_name: str, prompt: str, seed: int, part: int | None) -> Path:
    """Return the first choice for a result's file.

    Parameters
    ----------
    item_name
        The take's name in REAPER, perhaps that of its file.
    part
        The number of the span, from 1, where a job has several.
    """
    words = [_clean(_AUDIO_SUFFIX.sub("", item_name), MAX_ITEM_CHARACTERS) or "item"]
    prompt = _clean(prompt, MAX_PROMPT_CHARACTERS)
    tail = f" - {seed}" + (f" - part {part}" if part is not None else "")
    room = min(MAX_NAME_BYTES, max(MAX_PATH_CHARACTERS - len(str(folder)), MIN_NAME_CHARACTERS))
    stem = _shorten(" - ".join([*words, prompt] if prompt else words), room - len(tail) - 4)
    if _RESERVED.match(stem):
        stem = f"_{stem}"
    return folder / f"{stem}{tail}.wav"


def alternatives(path: Path) -> Iterator[Path]:
    """Yield a name and then what to try when it is taken."""
    yield path
    number = 2
    while True:
        yield path.with_name(f"{path.stem} ({number}){path.suffix}")
        number += 1


def _clean(text: str, max_characters: int) -> str:
    """Return text as part of a name: one line, nothing forbidden, not too long."""
    text = unicodedata.normalize("NFC", text)
    text = "".join(" " if _is_unwritable(character) else character for character in text)
    text = _FORBIDDEN.sub("_", text)
    return _trim(_cut(" ".join(text.split()), max_characters))


def _is_unwritable(character: str) -> bool:
    # Controls, lone surrogates, and marks that turn the direction of what follows.
    return unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") or character in (
        "\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff"
    )


def _shorten(text: str, max_bytes: int) -> str:
    """Cut text to so many bytes of UTF-8, at a character."""
    while len(text.encode()) > max_bytes:
        text = _cut(text, len(text) - 1)
    return _trim(text)


def _cut(text: str, characters: int) -> str:
    """Cut text where no accent loses its letter."""
    while 0 < characters < len(text) and unicodedata.combining(text[characters]):
        characters -= 1
    return text[:characters]


def _trim(text: str) -> str:
    return text.strip(" .")
