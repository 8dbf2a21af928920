"""Adapter files: which layers of a model they change, told from their headers alone.

Two layouts are read: that of Stability AI's trainer, and that of PEFT and diffusers.
"""

import json
import math
import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from reapaint_engine.backends.stable_audio_3.checkpoint.tensor_files import (
    StoredTensor,
    TensorIndex,
    fingerprint,
    read_file,
    read_json,
    refuse_pickle,
)
from reapaint_engine.errors import JobError
from reapaint_engine.protocol.errors import ErrorCode

PEFT_FILE = "adapter_model.safetensors"
PEFT_CONFIG = "adapter_config.json"


class AdapterKind(StrEnum):
    """How an adapter changes a weight ``W``, given its low-rank update ``D``."""

    LORA = "lora"
    """``W + D``."""
    DORA_ROWS = "dora-rows"
    """``W + D`` with rows of given lengths."""
    DORA_COLUMNS = "dora-cols"
    """``W + D`` with columns of given lengths."""
    BORA = "bora"
    """First the rows', then the columns' lengths."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdapterLayer:
    """What is done to one layer; ``scale`` multiplies ``up @ down``."""

    module: str
    """As the file calls it."""
    scale: float
    down: StoredTensor
    """Shape (rank, inputs), or (rank, inputs, 1)."""
    up: StoredTensor
    """Shape (outputs, rank), or (outputs, rank, 1)."""
    row_lengths: StoredTensor | None = None
    column_lengths: StoredTensor | None = None


@dataclass(frozen=True, slots=True)
class Adapter:
    """A LoRA or one of its relatives, looked at but not loaded."""

    path: Path
    kind: AdapterKind
    layers: tuple[AdapterLayer, ...] = field(repr=False)
    revision: str = ""
    """The file's ``fingerprint``."""

    @property
    def name(self) -> str:
        """What to call it: the file's name, or the folder's where PEFT named the file."""
        return self.path.parent.name if self.path.name == PEFT_FILE else self.path.stem


def open_adapter(path: Path) -> Adapter:
    """Look at an adapter: a safetensors file, or a folder that PEFT saved.

    Raises
    ------
    JobError
        ``model_broken``: missing, damaged, pickled, or of a kind that is not supported.
    """
    if path.is_dir():
        path = path / PEFT_FILE
    refuse_pickle(path)
    index = read_file(path)
    if any(".parametrizations." in key for key in index.tensors):
        kind, layers = _read_trainer_layout(index)
    else:
        kind, layers = _read_peft_layout(index)
    return Adapter(path, kind, layers, fingerprint([path]))


def refused(message: str, hint: str = "Use an adapter that was trained on this model.") -> JobError:
    """Return the error for an adapter that can't be used."""
    return JobError(ErrorCode.MODEL_BROKEN, message, hint=hint)


# Stability AI's trainer

_TRAINER_KEY = re.compile(r"(?P<module>.+)\.parametrizations\.weight\.\d+\.(?P<role>\w+)")


def _read_trainer_layout(index: TensorIndex) -> tuple[AdapterKind, tuple[AdapterLayer, ...]]:
    config = _metadata(index, "lora_config")
    kind = _trainer_kind(index, config)
    found: dict[str, dict[str, StoredTensor]] = defaultdict(dict)
    for key, stored in index.tensors.items():
        match = _TRAINER_KEY.fullmatch(key)
        if match is None:
            raise _unknown_tensor(stored)
        found[match["module"]][match["role"]] = stored
    rank, alpha = (_number(index, config, name) for name in ("rank", "alpha"))
    layers = []
    for module, tensors in sorted(found.items()):
        down, up = _pair(index, module, tensors, down="lora_A", up="lora_B")
        layer_rank = rank or down.shape[0]
        scale = (alpha or layer_rank) / layer_rank
        rows = tensors.pop("magnitude_r", None)
        columns = tensors.pop("magnitude_c", None)
        if "magnitude" in tensors and kind is AdapterKind.DORA_COLUMNS:
            columns = tensors.pop("magnitude")
        else:
            rows = tensors.pop("magnitude", rows)
        if tensors:
            raise _unknown_tensor(next(iter(tensors.values())))
        layer = AdapterLayer(
            module=module,
            scale=scale,
            down=down,
            up=up,
            row_lengths=rows,
            column_lengths=columns,
        )
        layers.append(_check(kind, layer))
    return kind, tuple(layers)


def _trainer_kind(index: TensorIndex, config: Mapping[str, Any]) -> AdapterKind:
    """Return the kind of adapter; a plain ``dora`` tells rows from columns by its shapes."""
    magnitudes = [stored for key, stored in index.tensors.items() if key.endswith(".magnitude")]
    stated = config.get("adapter_type", "dora" if magnitudes else "lora")
    if stated == "dora":
        is_row = any(len(m.shape) == 2 and m.shape[0] == 1 for m in magnitudes[:1])
        return AdapterKind.DORA_COLUMNS if is_row else AdapterKind.DORA_ROWS
    if str(stated).endswith("-xs"):
        raise refused(
            f"{index.files[0].name} is of the kind {stated}, which holds only a core for the "
            "base model's singular vectors, and not those vectors.",
            hint="Train it as lora or dora-rows.",
        )
    try:
        return AdapterKind(stated)
    except ValueError:
        raise refused(f"{index.files[0].name} is of the unknown kind {stated!r}.") from None


# PEFT and diffusers

_PEFT_KEY = re.compile(
    r"(?P<module>.+)\.(?P<role>lora_A|lora_B|lora_down|lora_up|lora_magnitude_vector|alpha)"
    r"(\.default(_\d+)?)?(\.weight)?"
)
_PEFT_ROLES = {"lora_down": "lora_A", "lora_up": "lora_B"}


def _read_peft_layout(index: TensorIndex) -> tuple[AdapterKind, tuple[AdapterLayer, ...]]:
    config = _peft_config(index)
    found: dict[str, dict[str, StoredTensor]] = defaultdict(dict)
    for key, stored in index.tensors.items():
        match = _PEFT_KEY.fullmatch(key)
        if match is None:
            raise _unknown_tensor(stored)
        found[match["module"]][_PEFT_ROLES.get(match["role"], match["role"])] = stored
    has_lengths = any("lora_magnitude_vector" in tensors for tensors in found.values())
    kind = AdapterKind.DORA_ROWS if has_lengths else AdapterKind.LORA
    layers = []
    for module, tensors in sorted(found.items()):
        down, up = _pair(index, module, tensors, down="lora_A", up="lora_B")
        if "alpha" in tensors:
            alpha: float | None = _read_scalar(tensors.pop("alpha"))
        else:
            alpha = _find_alpha(index, config, module)
        rows = tensors.pop("lora_magnitude_vector", None)
        scale = _peft_scale(alpha, down.shape[0], is_rank_stable=bool(config.get("use_rslora")))
        layer = AdapterLayer(module=module, scale=scale, down=down, up=up, row_lengths=rows)
        layers.append(_check(kind, layer))
    return kind, tuple(layers)


def _peft_config(index: TensorIndex) -> Mapping[str, Any]:
    """Return PEFT's settings: diffusers keeps them in the file, PEFT in another beside it."""
    path = index.files[0].parent / PEFT_CONFIG
    if index.files[0].name == PEFT_FILE and path.is_file():
        return read_json(path)
    config = _metadata(index, "lora_adapter_metadata")
    return {key.removeprefix("transformer."): value for key, value in config.items()}


def _find_alpha(index: TensorIndex, config: Mapping[str, Any], module: str) -> float | None:
    """Return the layer's own alpha where a pattern names it, else the common one."""
    patterns = config.get("alpha_pattern")
    if isinstance(patterns, dict):
        for pattern in patterns:
            if re.fullmatch(rf"(.*\.)?({re.escape(pattern)})", module):
                return _number(index, patterns, pattern)
    return _number(index, config, "lora_alpha")


def _peft_scale(alpha: float | None, rank: int, *, is_rank_stable: bool) -> float:
    if alpha is None:
        return 1.0
    return alpha / (math.sqrt(rank) if is_rank_stable else rank)


def _read_scalar(stored: StoredTensor) -> float:
    """Read one number; alphas are too few and small to load torch for."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(stored.path, "numpy") as file:
            return float(file.get_tensor(stored.key).item())
    except (SafetensorError, OSError, TypeError, ValueError) as error:
        raise _unknown_tensor(stored) from error


# Both


def _metadata(index: TensorIndex, name: str) -> dict[str, Any]:
    try:
        config = json.loads(index.metadata.get(name) or "{}")
    except ValueError:
        config = None
    if not isinstance(config, dict):
        raise refused(f"{index.files[0].name} has no readable {name} in its header.")
    return config


def _number(index: TensorIndex, config: Mapping[str, Any], name: str) -> float | None:
    """Return a positive number from a header's settings, or None where there is none."""
    value = config.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise refused(f"{index.files[0].name} has no usable {name}: {value!r}.")
    return float(value)


def _pair(
    index: TensorIndex, module: str, tensors: dict[str, StoredTensor], *, down: str, up: str
) -> tuple[StoredTensor, StoredTensor]:
    for role in (down, up):
        if role not in tensors:
            raise refused(f"{index.files[0].name} has no {role} for {module}.")
    return tensors.pop(down), tensors.pop(up)


def _check(kind: AdapterKind, layer: AdapterLayer) -> AdapterLayer:
    """Check that a layer's tensors go together."""
    for stored, axis in ((layer.down, 0), (layer.up, 1)):
        if len(stored.shape) < 2 or math.prod(stored.shape[2:]) != 1:
            raise _unknown_tensor(stored)
        if stored.shape[axis] != layer.down.shape[0]:
            raise refused(
                f"{stored.path.name}: {stored.key} is {list(stored.shape)}, but the other half's "
                f"rank is {layer.down.shape[0]}."
            )
    needs_rows = kind in (AdapterKind.DORA_ROWS, AdapterKind.BORA)
    needs_columns = kind in (AdapterKind.DORA_COLUMNS, AdapterKind.BORA)
    if needs_rows != (layer.row_lengths is not None) or needs_columns != (
        layer.column_lengths is not None
    ):
        raise refused(
            f"{layer.down.path.name} is of the kind {kind}, but {layer.module} has not its tensors."
        )
    return layer


def _unknown_tensor(stored: StoredTensor) -> JobError:
    return refused(
        f"{stored.path.name} is no adapter that can be used: what {stored.key} "
        f"{list(stored.shape)} is for is not known.",
        hint="Use a LoRA or DoRA from Stability AI's trainer, PEFT or diffusers.",
    )
