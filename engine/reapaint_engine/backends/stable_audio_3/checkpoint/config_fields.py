"""Fields of a checkpoint's JSON settings, each checked for what it must be."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reapaint_engine.backends.stable_audio_3.checkpoint.tensor_files import broken, read_json
from reapaint_engine.errors import JobError


@dataclass(frozen=True, slots=True)
class Config:
    """Settings of one file, or of a section of it; ``name`` is what to call them."""

    content: Mapping[str, Any]
    name: str

    @classmethod
    def read(cls, path: Path, name: str) -> "Config":
        """Read a JSON file.

        Raises
        ------
        JobError
            ``model_broken``: missing or not readable.
        """
        return cls(read_json(path), name)

    def get(self, path: str, default: Any = None) -> Any:
        """Return what stands at a dotted path, if anything does."""
        found: Any = self.content
        for field in path.split("."):
            if not isinstance(found, Mapping) or field not in found:
                return default
            found = found[field]
        return found

    def section(self, path: str) -> "Config":
        """Return the settings below a path; none where there is nothing.

        Raises
        ------
        JobError
            ``model_broken``: something else stands there; as in all methods below.
        """
        found = self.get(path, {})
        if not isinstance(found, Mapping):
            raise self._unusable(path)
        return Config(found, self.name)

    def count(self, path: str, default: int | None = None) -> int:
        """Return a whole number from 1 on."""
        return self._whole(path, self.get(path, default), least=1)

    def counts(
        self, path: str, default: tuple[int, ...] = (), *, least: int = 1
    ) -> tuple[int, ...]:
        """Return a list of whole numbers, not empty."""
        found = self.get(path, default)
        if not isinstance(found, list | tuple) or not found:
            raise self._unusable(path)
        return tuple(self._whole(path, value, least) for value in found)

    def real(self, path: str, default: float) -> float:
        """Return a finite number."""
        found = self.get(path, default)
        if isinstance(found, bool) or not isinstance(found, int | float):
            raise self._unusable(path)
        if not math.isfinite(found):
            raise self._unusable(path)
        return float(found)

    def _whole(self, path: str, value: Any, least: int) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise self._unusable(path)
        return value

    def _unusable(self, path: str) -> JobError:
        return broken(f"{self.name} has no usable {path}: {self.get(path)!r}.")
