"""A checkpoint's tensors, each read once and straight to where it will be used.

Modules are built without memory of their own and get their tensors one by one. On a CPU,
where a tensor is used as it is stored, the file's own pages are its memory: nothing is
copied, and a system short of memory can drop them and read them again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from diffusers import StableAudio3DiTModel
from diffusers.pipelines.stable_audio_3.modeling_stable_audio_3 import StableAudio3DurationEmbedder
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from reapaint_engine.backends.stable_audio_3.checkpoint.keys import is_computed
from reapaint_engine.backends.stable_audio_3.checkpoint.layouts import (
    Part,
    TensorSource,
    network_sources,
    text_folder,
    text_source,
    tokenizer_folder,
)
from reapaint_engine.backends.stable_audio_3.checkpoint.tensor_files import StoredTensor, broken
from reapaint_engine.backends.stable_audio_3.inference.codec import fuse, make_codec_module
from reapaint_engine.backends.stable_audio_3.network.denoiser import repair
from reapaint_engine.backends.stable_audio_3.network.text_model import (
    build_text_encoder,
    load_tokenizer,
)
from reapaint_engine.errors import JobError
from reapaint_engine.protocol.errors import ErrorCode, reason_of
from reapaint_engine.protocol.progress import OnFraction

if TYPE_CHECKING:
    from reapaint_engine.backends.stable_audio_3.checkpoint.checkpoint import Checkpoint
    from reapaint_engine.backends.stable_audio_3.device.placement import DevicePlan

MAX_CONVERTED_BYTES = 64 * 2**20
"""After so much was read only to be converted, its pages are let go."""

PAGE_BYTES = 4096

_DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
}


@dataclass(frozen=True, slots=True)
class Parts:
    """The networks of one model, each in its own dtype and on its own device."""

    transformer: nn.Module
    """diffusers' ``StableAudio3DiTModel``, repaired."""
    codec_module: nn.Module
    """What ``make_codec_module`` builds, its weight normalisation multiplied out."""
    text_encoder: nn.Module
    """transformers' ``T5GemmaEncoderModel``."""
    tokenizer: Any
    """The text encoder's tokenizer, from transformers."""
    duration_embedder: nn.Module
    """diffusers' ``StableAudio3DurationEmbedder``, always in float32."""


@dataclass(frozen=True, slots=True)
class _Assignment:
    """A module without memory, and where its tensors are and go."""

    module: nn.Module
    source: TensorSource
    dtype: torch.dtype
    device: str

    def names(self) -> list[str]:
        """Return the parameters that come from the file."""
        return [name for name in self.module.state_dict() if not is_computed(name)]


def load(checkpoint: Checkpoint, plan: DevicePlan, on_progress: OnFraction) -> Parts:
    """Load a checkpoint as a plan wants it.

    Parameters
    ----------
    on_progress
        Told the fraction of bytes that were read, after each tensor; what it raises ends
        the loading and lets go of all that was loaded.

    Returns
    -------
    Parts
        In evaluation mode, without gradients.

    Raises
    ------
    JobError
        ``model_broken``: the weights and the settings don't agree, the message names the
        tensor and its shape; nothing was read then. ``out_of_memory``: they don't fit.

    Notes
    -----
    The text encoder is in bfloat16 where the model is in half precision, also float16:
    that is how it is published, and Gemma's activations go beyond float16's range.
    """
    assignments = _assignments(checkpoint, plan)
    for assignment in assignments.values():
        _check(assignment)
    total = sum(_stored(a, name).size for a in assignments.values() for name in a.names())
    progress = _Progress(total, on_progress)
    tokenizer = load_tokenizer(tokenizer_folder(checkpoint.folder, checkpoint.layout))
    with _reporting_errors(checkpoint.folder, plan):
        for assignment in assignments.values():
            _fill(assignment, progress)
    networks = {part: assignment.module for part, assignment in assignments.items()}
    repair(networks[Part.TRANSFORMER])
    fuse(networks[Part.CODEC])
    for part, network in networks.items():
        network.eval().requires_grad_(requires_grad=False)
        tensors = (*network.parameters(), *network.buffers())
        assert not any(tensor.is_meta for tensor in tensors), f"{part} lacks a tensor"
    return Parts(
        transformer=networks[Part.TRANSFORMER],
        codec_module=networks[Part.CODEC],
        text_encoder=networks[Part.TEXT],
        tokenizer=tokenizer,
        duration_embedder=networks[Part.DURATION],
    )


def _assignments(checkpoint: Checkpoint, plan: DevicePlan) -> Mapping[Part, _Assignment]:
    settings = checkpoint.settings
    levels = len(settings.codec.encoder_strides)
    sources = network_sources(checkpoint.folder, checkpoint.layout, levels)
    model_dtype: torch.dtype = getattr(torch, plan.model_dtype)
    text_dtype = torch.bfloat16 if model_dtype == torch.float16 else model_dtype
    folder = text_folder(checkpoint.folder, checkpoint.layout)
    make_transformer: Any = StableAudio3DiTModel
    make_duration: Any = StableAudio3DurationEmbedder
    with torch.device("meta"):
        transformer = make_transformer(**asdict(settings.transformer))
        codec = make_codec_module(settings.codec)
        duration = make_duration(**asdict(settings.duration))
    text = build_text_encoder(folder, plan.text_device)
    return {
        Part.TRANSFORMER: _Assignment(
            transformer, sources[Part.TRANSFORMER], model_dtype, plan.device
        ),
        Part.CODEC: _Assignment(
            codec, sources[Part.CODEC], getattr(torch, plan.codec_dtype), plan.device
        ),
        Part.DURATION: _Assignment(duration, sources[Part.DURATION], torch.float32, plan.device),
        Part.TEXT: _Assignment(text, text_source(folder), text_dtype, plan.text_device),
    }


# Checking, before anything is read


def _check(assignment: _Assignment) -> None:
    """Check that the file holds this module's tensors, all of them and no others."""
    source = assignment.source
    wanted = assignment.module.state_dict()
    used = set()
    for name in assignment.names():
        stored = _stored(assignment, name)
        used.add(stored.key)
        if stored.shape != tuple(wanted[name].shape):
            raise broken(
                f"{stored.path.name}: {stored.key} is {list(stored.shape)}, but the model's "
                f"settings ask for {list(wanted[name].shape)}: they belong to different models."
            )
        if stored.dtype not in _DTYPES:
            raise broken(
                f"{stored.path.name}: {stored.key} is of type {stored.dtype}, which is not "
                f"read; only {', '.join(_DTYPES)} are.",
                hint="Use the model's original weights.",
            )
    extra = sorted(key for key in source.index.tensors if source.owns(key) and key not in used)
    if extra:
        stored = source.index.tensors[extra[0]]
        raise broken(
            f"{stored.path.name} holds {stored.key} {list(stored.shape)}, which this model "
            f"has no place for, nor for {len(extra) - 1} more: it is another model."
        )


def _stored(assignment: _Assignment, name: str) -> StoredTensor:
    source = assignment.source
    stored = source.find(name)
    if stored is None:
        shape = list(assignment.module.state_dict()[name].shape)
        raise broken(
            f"{source.index.files[0].name} lacks {source.key_of(name)}, which should be {shape}."
        )
    return stored


# Reading


class _Progress:
    """Tells how much of all bytes was read."""

    def __init__(self, total: int, on_progress: OnFraction) -> None:
        self._total = max(1, total)
        self._done = 0
        self._on_progress = on_progress

    def add(self, size: int) -> None:
        self._done += size
        self._on_progress(self._done / self._total)


class _Reader:
    """Reads tensors through memory maps: one to keep, others to let go again."""

    def __init__(self, device: str) -> None:
        self._device = device
        self._kept: dict[Path, Any] = {}
        self._passing: dict[Path, Any] = {}
        self._passed = 0

    def keep(self, stored: StoredTensor) -> Tensor:
        """Return a tensor whose memory is the file, all of it read in."""
        if stored.path not in self._kept:
            self._kept[stored.path] = safe_open(stored.path, "pt", device=self._device)
        tensor: Tensor = self._kept[stored.path].get_tensor(stored.key)
        # Touching each page reads it now, and not while the first job waits.
        tensor.view(-1).view(torch.uint8)[::PAGE_BYTES].sum()
        return tensor

    def take(self, stored: StoredTensor) -> Tensor:
        """Return a tensor that is soon converted to another."""
        if self._passed > MAX_CONVERTED_BYTES:
            self._passing.clear()
            self._passed = 0
        if stored.path not in self._passing:
            self._passing[stored.path] = safe_open(stored.path, "pt", device=self._device)
        self._passed += stored.size
        tensor: Tensor = self._passing[stored.path].get_tensor(stored.key)
        return tensor


def _fill(assignment: _Assignment, progress: _Progress) -> None:
    reader = _Reader(assignment.device)
    state: dict[str, Tensor] = {}
    for name in assignment.names():
        stored = _stored(assignment, name)
        state[name] = _read(reader, assignment, name, stored)
        progress.add(stored.size)
    for name, buffer in assignment.module.state_dict().items():
        if is_computed(name):
            state[name] = _compute(assignment.module, name, buffer).to(assignment.device)
    assignment.module.load_state_dict(state, strict=True, assign=True)


def _read(reader: _Reader, assignment: _Assignment, name: str, stored: StoredTensor) -> Tensor:
    order = assignment.source.row_order(name)
    is_as_stored = _DTYPES[stored.dtype] == assignment.dtype and order is None
    if is_as_stored:
        # What comes to another device is a copy there already.
        return reader.keep(stored) if assignment.device == "cpu" else reader.take(stored)
    tensor = reader.take(stored)
    if order is None:
        return tensor.to(assignment.dtype)
    groups = tensor.chunk(len(order))
    made = torch.empty_like(tensor, dtype=assignment.dtype)
    for target, group in zip(made.chunk(len(order)), order, strict=True):
        target.copy_(groups[group])
    return made


def _compute(module: Any, name: str, buffer: Tensor) -> Tensor:
    """Return what follows from the settings; ``repair`` fills in the rotary frequencies."""
    if name == "freqs":
        fresh: Any = type(module)(**module.config)
        return cast("Tensor", fresh.freqs)
    return torch.empty_like(buffer, device="cpu")


@contextmanager
def _reporting_errors(folder: Path, plan: DevicePlan) -> Iterator[None]:
    """Say in a sentence what can go wrong while weights are read."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise JobError(
            ErrorCode.OUT_OF_MEMORY,
            f"{folder.name} doesn't fit on {plan.device}.",
            hint="Close what else uses its memory, or choose a smaller model or another device.",
        ) from error
    except (SafetensorError, OSError) as error:
        raise broken(f"{folder.name} can't be read: {reason_of(error)}.") from error
