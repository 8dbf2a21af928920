"""A model as a request names it: a checkpoint, and adapters with their strengths."""

import math
from dataclasses import dataclass
from pathlib import Path

from reapaint_engine.errors import JobError
from reapaint_engine.protocol.errors import ErrorCode
from reapaint_engine.protocol.params import AUTO

MAX_ADAPTERS = 8


@dataclass(frozen=True, slots=True)
class AdapterName:
    """One adapter: a name among those that are here, or a file; and how strongly it acts."""

    name: str
    strength: float = 1.0


@dataclass(frozen=True, slots=True)
class ModelName:
    """``NAME[+ADAPTER[=STRENGTH]]...``; the whole of it is stored with a result."""

    checkpoint: str
    adapters: tuple[AdapterName, ...] = ()

    @property
    def is_folder(self) -> bool:
        """Whether it is a place on disk, and no name."""
        return is_path(self.checkpoint)


def parse_model(text: str) -> ModelName:
    """Read a model's name.

    Raises
    ------
    JobError
        ``unknown_model``: it can't be understood.
    """
    if is_path(text) and Path(text).is_dir():
        return ModelName(text)  # a folder's own name may hold a plus sign
    checkpoint, *adapters = text.split("+")
    if len(adapters) > MAX_ADAPTERS:
        raise _misread(text, f"at most {MAX_ADAPTERS} adapters act at once")
    return ModelName(checkpoint.strip() or AUTO, tuple(_parse_adapter(text, a) for a in adapters))


def is_path(text: str) -> bool:
    """Return whether a name is a place on disk."""
    return "/" in text or "\\" in text or Path(text).is_absolute()


def _parse_adapter(text: str, piece: str) -> AdapterName:
    name, has_strength, strength_text = piece.partition("=")
    if not name.strip():
        raise _misread(text, "an adapter has no name")
    try:
        strength = float(strength_text) if has_strength else 1.0
    except ValueError:
        strength = math.nan
    if not abs(strength) <= 10:
        raise _misread(text, f"{strength_text!r} is no strength from -10 to 10")
    return AdapterName(name.strip(), strength)


def _misread(text: str, why: str) -> JobError:
    return JobError(
        ErrorCode.UNKNOWN_MODEL,
        f"The model {text!r} can't be understood: {why}.",
        hint="Write it as NAME, or as NAME+ADAPTER=0.7 with an adapter and its strength.",
    )
