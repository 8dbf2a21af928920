"""The checkpoints that exist: where they come from, under what licence, and how large they are."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase

from reapaint_engine.errors import JobError
from reapaint_engine.protocol.errors import ErrorCode

INSTALL_COMMAND = "pip install 'reapaint[stable-audio]'"
"""What brings the packages that a checkpoint runs on."""

LICENCE = "Stability AI Community License; Gemma Terms of Use for its text encoder"

GIB = 2**30

_ORIGINAL_FILES = ("model.safetensors", "model_config.json", "t5gemma-b-b-ul2/*")
_DIFFUSERS_FILES = (
    "model_index.json",
    *(
        f"{part}/*"
        for part in (
            "duration_embedder",
            "scheduler",
            "text_encoder",
            "tokenizer",
            "transformer",
            "vae",
        )
    ),
)
_LICENCE_FILES = ("LICENSE*", "NOTICE*")
_SUFFIXES = (".json", ".safetensors", ".model", ".txt", ".md", ".jinja")
"""Weights and settings that hold no code; pickled ones are left where they are."""


class ModelKind(StrEnum):
    """What a checkpoint was trained to make."""

    MUSIC = "music"
    SOUND_EFFECTS = "sound effects"
    BOTH = "music and sound effects"


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much memory a checkpoint takes: parameters of each part, and what work adds.

    ``working_bytes`` is kept free for the runtime itself (0.7 GiB measured on a CPU) and
    for what a job computes.
    """

    transformer: int
    codec: int
    text_encoder: int
    working_bytes: int


@dataclass(frozen=True, slots=True)
class Model:
    """One published checkpoint; ``download_bytes`` and ``longest_s`` are rounded."""

    name: str
    kind: ModelKind
    sizes: Sizes
    download_bytes: int
    longest_s: float
    is_base: bool = False
    """Not distilled: slower, steered by guidance, and never picked unless named."""

    @property
    def repo_id(self) -> str:
        """Its name on the Hugging Face hub."""
        return f"stabilityai/stable-audio-3-{self.name}"

    @property
    def page(self) -> str:
        """Where a person reads about it and accepts its licence."""
        return f"https://huggingface.co/{self.repo_id}"


_SMALL = Sizes(459_100_000, 108_200_000, 281_600_000, int(1.5 * GIB))
_MEDIUM = Sizes(1_453_200_000, 852_100_000, 281_600_000, int(2.5 * GIB))


def _variants(
    name: str, kind: ModelKind, sizes: Sizes, download_bytes: int, longest_s: float
) -> tuple[Model, Model]:
    return (
        Model(name, kind, sizes, download_bytes, longest_s),
        Model(f"{name}-base", kind, sizes, download_bytes, longest_s, is_base=True),
    )


MODELS: tuple[Model, ...] = (
    *_variants("small-music", ModelKind.MUSIC, _SMALL, 3_450_000_000, 120.0),
    *_variants("small-sfx", ModelKind.SOUND_EFFECTS, _SMALL, 3_450_000_000, 120.0),
    *_variants("medium", ModelKind.BOTH, _MEDIUM, 10_400_000_000, 380.0),
)


def find_model(name: str) -> Model:
    """Return the checkpoint of a name; its name on the hub is understood as well.

    Raises
    ------
    JobError
        ``unknown_model``: there is none of this name.
    """
    wanted = name.strip().lower().removeprefix("stabilityai/").removeprefix("stable-audio-3-")
    for model in MODELS:
        if model.name == wanted:
            return model
    names = ", ".join(model.name for model in MODELS)
    raise JobError(
        ErrorCode.UNKNOWN_MODEL, f"There is no model {name!r}.", hint=f"There are: {names}."
    )


def needed_files(paths: Iterable[str]) -> list[str]:
    """Return those of a folder's files that make the checkpoint, and its licences.

    Parameters
    ----------
    paths
        Every file's path in the folder, with forward slashes.

    Returns
    -------
    list of str
        Sorted; empty where the folder holds neither the original layout nor that of
        diffusers. Of both, the original one is taken.
    """
    files = set(paths)
    patterns: tuple[str, ...]
    if {"model.safetensors", "model_config.json"} <= files:
        patterns = _ORIGINAL_FILES
    elif "model_index.json" in files:
        patterns = _DIFFUSERS_FILES
    else:
        return []
    return sorted(
        path
        for path in files
        if _is_any(path, _LICENCE_FILES) or (path.endswith(_SUFFIXES) and _is_any(path, patterns))
    )


def _is_any(path: str, patterns: Iterable[str]) -> bool:
    return any(
        fnmatchcase(path, pattern) and path.count("/") == pattern.count("/") for pattern in patterns
    )
