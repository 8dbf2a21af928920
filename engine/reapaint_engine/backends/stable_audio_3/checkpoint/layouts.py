"""The two ways in which a checkpoint lies on disk, and where each part's tensors are."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from reapaint_engine.backends.stable_audio_3.checkpoint.keys import (
    CODEC_PREFIX,
    CONDITIONER_PREFIX,
    FUSED_ORDER,
    TRANSFORMER_PREFIX,
    aliases,
    codec_key,
    duration_key,
    is_computed,
    is_fused,
    transformer_key,
)
from reapaint_engine.backends.stable_audio_3.checkpoint.tensor_files import (
    StoredTensor,
    TensorIndex,
    broken,
    read_index,
)

TEXT_FOLDER = "t5gemma-b-b-ul2"


class Layout(StrEnum):
    """Who wrote a checkpoint."""

    ORIGINAL = "original"
    """Stability AI: all networks in ``model.safetensors``, described by ``model_config.json``."""
    DIFFUSERS = "diffusers"
    """``save_pretrained``: a folder for each network, named in ``model_index.json``."""


class Part(StrEnum):
    """What a checkpoint is made of, by diffusers' folder names."""

    TRANSFORMER = "transformer"
    CODEC = "vae"
    DURATION = "duration_embedder"
    TEXT = "text_encoder"


@dataclass(frozen=True, slots=True)
class TensorSource:
    """Where the tensors of one part are.

    ``key_of`` turns a parameter's name into the key it should have. Of the file's other
    keys those that ``owns`` claims must not be left over.
    """

    index: TensorIndex
    key_of: Callable[[str], str]
    owns: Callable[[str], bool]
    has_original_rows: bool = False

    def find(self, name: str) -> StoredTensor | None:
        """Return where a parameter is stored, if it is."""
        for key in aliases(self.key_of(name)):
            if key in self.index.tensors:
                return self.index.tensors[key]
        return None

    def shape(self, name: str) -> tuple[int, ...]:
        """Return a parameter's stored shape.

        Raises
        ------
        JobError
            ``model_broken``: it is not there.
        """
        stored = self.find(name)
        return self.index.shape(self.key_of(name)) if stored is None else stored.shape

    def row_order(self, name: str) -> tuple[int, ...] | None:
        """Return the order in which to take equal groups of rows, where it differs."""
        if not (self.has_original_rows and is_fused(name)):
            return None
        rows, columns = self.shape(name)
        return FUSED_ORDER if rows == len(FUSED_ORDER) * columns else None


def detect_layout(folder: Path) -> Layout:
    """Tell who wrote a checkpoint.

    Raises
    ------
    JobError
        ``model_broken``: nobody we know.
    """
    if (folder / "model_config.json").is_file():
        return Layout.ORIGINAL
    if (folder / "model_index.json").is_file():
        return Layout.DIFFUSERS
    raise broken(
        f"{folder.name} is no checkpoint: it has neither model_config.json nor model_index.json.",
        hint="Name the folder that holds the model's files, or download the model again.",
    )


def text_folder(folder: Path, layout: Layout) -> Path:
    """Return the folder of the text encoder's configuration and weights."""
    return folder / (TEXT_FOLDER if layout is Layout.ORIGINAL else Part.TEXT)


def tokenizer_folder(folder: Path, layout: Layout) -> Path:
    """Return the tokenizer's folder."""
    return folder / (TEXT_FOLDER if layout is Layout.ORIGINAL else "tokenizer")


def network_sources(folder: Path, layout: Layout, codec_levels: int) -> Mapping[Part, TensorSource]:
    """Return where all parts but the text encoder are; the codec resamples in levels.

    Raises
    ------
    JobError
        ``model_broken``: a file is missing or damaged.
    """
    if layout is Layout.DIFFUSERS:
        return {
            part: TensorSource(
                read_index(folder / part, "diffusion_pytorch_model"),
                key_of=_keep_name,
                owns=lambda key: not is_computed(key),
            )
            for part in (Part.TRANSFORMER, Part.CODEC, Part.DURATION)
        }
    index = read_index(folder, "model")
    return {
        Part.TRANSFORMER: TensorSource(
            index, transformer_key, _owner_of(TRANSFORMER_PREFIX), has_original_rows=True
        ),
        Part.CODEC: TensorSource(
            index,
            lambda name: codec_key(name, codec_levels),
            _owner_of(CODEC_PREFIX),
            has_original_rows=True,
        ),
        # What no part claims is told of with the conditioners.
        Part.DURATION: TensorSource(index, duration_key, _is_other),
    }


def text_source(folder: Path) -> TensorSource:
    """Return where the text encoder is; the file may hold the decoder as well.

    Raises
    ------
    JobError
        ``model_broken``: its file is missing or damaged.
    """
    index = read_index(folder, "model")
    prefix = "model." if any(key.startswith("model.encoder.") for key in index.tensors) else ""
    return TensorSource(
        index,
        key_of=lambda name: prefix + name,
        owns=lambda key: key.startswith(f"{prefix}encoder.") and not is_computed(key),
    )


def _keep_name(name: str) -> str:
    return name


def _owner_of(prefix: str) -> Callable[[str], bool]:
    return lambda key: key.startswith(prefix) and not is_computed(key)


def _is_other(key: str) -> bool:
    known = (TRANSFORMER_PREFIX, CODEC_PREFIX, f"{CONDITIONER_PREFIX}conditioners.prompt.padding")
    return not key.startswith(known)
