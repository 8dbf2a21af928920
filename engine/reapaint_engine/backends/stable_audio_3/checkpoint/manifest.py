"""What a checkpoint's folder must hold: each file with its size and checksum."""

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

MANIFEST_NAME = "manifest.json"
SHA256_DIGITS = 64
GIT_DIGITS = 40
MANIFEST_FORMAT = 1

_CHUNK_BYTES = 2**22
_HEX = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")

OnMoreBytes = Callable[[int], None]
"""Told how many bytes more are done."""


@dataclass(frozen=True, slots=True)
class File:
    """One file of a checkpoint; ``checksum`` is empty where none is known.

    A checksum of 64 digits is SHA-256 of the content; one of 40 is what git names the
    file by, and what the hub gives for small files: SHA-1 of a header and the content.
    """

    path: str
    size: int
    checksum: str = ""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What is installed, and where it came from."""

    name: str
    source: str
    revision: str
    files: tuple[File, ...]

    @property
    def size_bytes(self) -> int:
        """All files together."""
        return sum(file.size for file in self.files)


def checksum(path: Path, like: str = "", on_bytes: OnMoreBytes = lambda _count: None) -> str:
    """Return a file's checksum, of the same kind as another one; SHA-256 by default.

    Raises
    ------
    OSError
        It can't be read.
    """
    if len(like) == GIT_DIGITS:
        digest = hashlib.sha1(usedforsecurity=False)
        digest.update(f"blob {path.stat().st_size}\0".encode("ascii"))
    else:
        digest = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
            on_bytes(len(chunk))
    return digest.hexdigest()


def is_checksum(text: str) -> bool:
    """Tell whether a text can be a checksum of either kind."""
    return _HEX.fullmatch(text) is not None


def is_safe(path: str) -> bool:
    """Tell whether a path that came from elsewhere stays inside its folder."""
    pure = PurePosixPath(path)
    return (
        bool(path)
        and not pure.is_absolute()
        and ".." not in pure.parts
        and "\\" not in path
        and ":" not in path
    )


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write a folder's manifest.

    Raises
    ------
    OSError
        It can't be written.
    """
    content = {
        "format": MANIFEST_FORMAT,
        "name": manifest.name,
        "source": manifest.source,
        "revision": manifest.revision,
        "files": [
            {"path": file.path, "size": file.size, "sha256": file.checksum}
            for file in manifest.files
        ],
    }
    text = json.dumps(content, indent=1) + "\n"
    (folder / MANIFEST_NAME).write_text(text, encoding="utf-8")


def read_manifest(folder: Path) -> Manifest | None:
    """Return a folder's manifest, or None where there is none that can be understood."""
    try:
        content = json.loads((folder / MANIFEST_NAME).read_text(encoding="utf-8"))
        return _parse(content)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _parse(content: dict[str, Any]) -> Manifest | None:
    files = tuple(
        File(str(each["path"]), int(each["size"]), str(each["sha256"])) for each in content["files"]
    )
    is_sound = content["format"] == MANIFEST_FORMAT and all(
        is_safe(file.path) and is_checksum(file.checksum) for file in files
    )
    if not is_sound:
        return None
    return Manifest(str(content["name"]), str(content["source"]), str(content["revision"]), files)
