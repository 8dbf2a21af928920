"""List the sound files under a folder, and the words of their names."""

import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from reapaint_engine.backends.library.audio import SUFFIXES
from reapaint_engine.backends.library.ucs import parse_cat_id, related_words
from reapaint_engine.backends.library.words import STOP_WORDS, stem, words_of

FX_NAME_PARTS = 1
"""In UCS names, this many parts after the CatID name the sound; maker and library follow."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Found:
    """A sound file: its path relative to the library's folder, with ``/``, its size and time."""

    path: str
    size: int
    modified_ns: int

    @property
    def state(self) -> tuple[int, int]:
        """Return the values that change with the file's content."""
        return self.size, self.modified_ns


@dataclass(frozen=True, slots=True)
class Texts:
    """The searched words of a file; the fields are those of the index."""

    name: tuple[str, ...]
    category: tuple[str, ...]
    description: tuple[str, ...]
    folders: tuple[str, ...]
    related: tuple[str, ...]

    def all_words(self) -> Iterator[str]:
        """Yield every word, as often as it occurs in a field."""
        for field in (self.name, self.category, self.description, self.folders, self.related):
            yield from field

    def as_row(self) -> tuple[str, ...]:
        """Return each field's stems as the index takes them."""
        fields = (self.name, self.category, self.description, self.folders, self.related)
        return tuple(
            " ".join(stem(word) for word in field if word not in STOP_WORDS) for field in fields
        )


class Walk:
    """One walk through a folder; ``missed`` tells afterwards which folders can't be read."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._links: set[str] = set()
        self.missed: list[str] = []

    def files(self) -> Iterator[Found]:
        """Yield every sound file, folder by folder in the order of names."""
        pending = [self._root]
        while pending:
            folder = pending.pop()
            try:
                with os.scandir(folder) as entries:
                    ordered = sorted(entries, key=lambda entry: entry.name)
            except OSError as error:
                _log.warning("a folder of the library can't be read: %s", error)
                self.missed.append(self._relative(folder))
                continue
            folders = [Path(entry.path) for entry in ordered if self._is_folder(entry)]
            pending += reversed(folders)
            yield from filter(None, map(self._found, ordered))

    def _is_folder(self, entry: "os.DirEntry[str]") -> bool:
        if entry.name.startswith((".", "__MACOSX")):
            return False
        try:
            if not entry.is_dir():
                return False
            return not entry.is_symlink() or self._is_new(entry.path)
        except OSError:
            return False

    def _is_new(self, link: str) -> bool:
        """Return whether a link's target is new; each is followed once, to end circles."""
        target = os.path.realpath(link)
        root = os.path.realpath(self._root)
        if target in self._links or os.path.commonpath([target, root]) in (target, root):
            return False
        self._links.add(target)
        return True

    def _found(self, entry: "os.DirEntry[str]") -> Found | None:
        suffix = os.path.splitext(entry.name)[1].lower()  # noqa: PTH122 - 100,000 names
        if suffix not in SUFFIXES or entry.name.startswith("."):
            return None
        try:
            if not entry.is_file():
                return None
            status = entry.stat()
            path = self._relative(Path(entry.path))
            # A name that is not Unicode can be neither stored nor shown.
            path.encode()
        except (OSError, UnicodeError) as error:
            _log.warning("%r in the library is skipped: %s", entry.path, error)
            return None
        return Found(path, status.st_size, status.st_mtime_ns)

    def _relative(self, path: Path) -> str:
        return path.relative_to(self._root).as_posix()


def texts_of(path: str, description: str) -> Texts:
    """Return the searched words of a file.

    Parameters
    ----------
    path
        Relative to the library's folder, with ``/``.
    description
        The file's own description.
    """
    pure = PurePosixPath(path)
    folders = [word for part in pure.parent.parts for word in words_of(part)]
    cat_id = parse_cat_id(pure.stem)
    if cat_id is None:
        name = words_of(pure.stem)
        related = related_words(name) or related_words(folders)
        return Texts(tuple(name), (), tuple(words_of(description)), tuple(folders), related)
    parts = [part for part in cat_id.rest.split("_") if part]
    name = [word for part in parts[:FX_NAME_PARTS] for word in words_of(part)]
    makers = [word for part in parts[FX_NAME_PARTS:] for word in words_of(part)]
    return Texts(
        name=tuple(name),
        category=cat_id.words,
        description=tuple(words_of(description)),
        folders=(*folders, *makers),
        related=cat_id.related,
    )
