"""Networks on their device, and the two sides made of them."""

import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from reapaint_engine.backends.stable_audio_3.benchmark.options import (
    SMALL,
    TINY_TEXT,
    BenchOptions,
    TextShape,
    settings_of,
)
from reapaint_engine.backends.stable_audio_3.benchmark.random_parts import (
    make_random_codec,
    make_random_parts,
)
from reapaint_engine.backends.stable_audio_3.benchmark.sides import Ours, Stock
from reapaint_engine.backends.stable_audio_3.benchmark.stock import make_stock
from reapaint_engine.backends.stable_audio_3.checkpoint.catalog import Sizes, find_model
from reapaint_engine.backends.stable_audio_3.checkpoint.checkpoint import (
    Checkpoint,
    open_checkpoint,
)
from reapaint_engine.backends.stable_audio_3.checkpoint.errors import not_installed
from reapaint_engine.backends.stable_audio_3.checkpoint.layouts import Layout
from reapaint_engine.backends.stable_audio_3.checkpoint.settings import (
    CodecKind,
    CodecShape,
    ModelSettings,
)
from reapaint_engine.backends.stable_audio_3.checkpoint.sizing import sizes_of
from reapaint_engine.backends.stable_audio_3.checkpoint.store import find_one
from reapaint_engine.backends.stable_audio_3.device.placement import DevicePlan, plan_device
from reapaint_engine.backends.stable_audio_3.inference.codec import Codec
from reapaint_engine.backends.stable_audio_3.inference.context_encoder import ContextEncoder
from reapaint_engine.backends.stable_audio_3.inference.loading import Parts, load
from reapaint_engine.backends.stable_audio_3.inference.pipeline import LoadedModel
from reapaint_engine.backends.stable_audio_3.network.projections import can_pack
from reapaint_engine.errors import JobError

RANDOM_WEIGHTS = "random weights"

_TINY_SIZES = Sizes(1_000_000, 1_000_000, 1_000_000, 2**26)


@dataclass(frozen=True, slots=True)
class Subject:
    """What is measured, before any of its weights are there."""

    options: BenchOptions
    checkpoint: Checkpoint
    """Its settings have the codec that is compared; with random weights it is in no folder."""
    own_codec: CodecShape
    plan: DevicePlan

    @property
    def settings(self) -> ModelSettings:
        """Of what is compared: the codec is one that the stock pipeline has too."""
        return self.checkpoint.settings

    @property
    def device(self) -> torch.device:
        """Where both sides run."""
        return torch.device(self.plan.device)

    @property
    def is_random(self) -> bool:
        """Whether there are no published weights in it."""
        return self.checkpoint.revision == RANDOM_WEIGHTS

    @property
    def has_other_codec(self) -> bool:
        """Whether the model's own codec is one that the stock pipeline can't run."""
        return self.own_codec != self.settings.codec


def open_subject(options: BenchOptions) -> Subject:
    """Look at what is to be measured, and decide where it runs.

    Raises
    ------
    JobError
        ``no_model``, ``unknown_model`` or ``model_broken``: the named one is not here, not
        known, or damaged. ``device_failed``: the device is not here.
    """
    if options.model:
        checkpoint = open_checkpoint(_folder(options.model))
        sizes = sizes_of(checkpoint)
    else:
        settings = settings_of(options)
        checkpoint = Checkpoint(Path(RANDOM_WEIGHTS), Layout.ORIGINAL, settings, RANDOM_WEIGHTS)
        name = "small-music" if options.size == SMALL else options.size
        sizes = _TINY_SIZES if options.tiny else find_model(name).sizes
    plan = plan_device(sizes, options.device)
    plan = replace(
        plan,
        model_dtype=options.dtype or plan.model_dtype,
        codec_dtype=options.codec_dtype or options.dtype or plan.codec_dtype,
        text_device=plan.device,
    )
    own = checkpoint.settings.codec
    # The stock pipeline has SAME-L's attention alone; with it, sizes are SAME-S's still.
    settings = replace(checkpoint.settings, codec=replace(own, kind=CodecKind.SAME_L))
    return Subject(options, replace(checkpoint, settings=settings), own, plan)


def _folder(model: str) -> Path:
    if Path(model).is_dir():
        return Path(model)
    installed = find_one(model)
    if installed is None:
        missing = not_installed(model)
        hint = missing.hint.rstrip(".") + ", or leave --model out: random weights are as fast."
        raise JobError.of(missing, hint=hint)
    return installed.folder


def make_parts(subject: Subject) -> tuple[Parts, Codec]:
    """Return the networks that are compared, and the model's own codec.

    Raises
    ------
    JobError
        ``model_broken`` or ``out_of_memory``.
    """
    plan = subject.plan
    if subject.is_random:
        text = TINY_TEXT if subject.options.tiny else TextShape()
        parts = make_random_parts(subject.settings, text, plan)
        if not subject.has_other_codec:
            return parts, Codec(parts.codec_module, subject.own_codec)
        return parts, Codec(make_random_codec(subject.own_codec, plan), subject.own_codec)
    checkpoint = replace(
        subject.checkpoint, settings=replace(subject.settings, codec=subject.own_codec)
    )
    parts = load(checkpoint, plan, lambda _fraction: None)
    own = Codec(parts.codec_module, subject.own_codec)
    if subject.has_other_codec:
        codec = make_random_codec(subject.settings.codec, plan)
        parts = replace(parts, codec_module=codec)
    return parts, own


def make_model(subject: Subject, parts: Parts) -> LoadedModel:
    """Return our model of these networks."""
    return LoadedModel(subject.checkpoint.folder.name, subject.checkpoint, parts, subject.plan)


@dataclass(frozen=True, slots=True)
class Contest:
    """Everything that is compared, on one device."""

    subject: Subject
    model: LoadedModel
    ours: Ours
    own: Ours | None
    """Ours with the model's own codec, where the stock pipeline can't run that."""
    stock: Stock
    bare_stock: Stock
    """Without the silence after a piece that the model was trained with."""


def make_contest(subject: Subject) -> Contest:
    """Build both sides; they share what weights they can.

    Raises
    ------
    JobError
        ``model_broken`` or ``out_of_memory``.
    """
    parts, own_codec = make_parts(subject)
    shared = parts
    first: Any = next(parts.transformer.parameters())
    if can_pack(first):
        # Our side then takes the transformer's weights, and lays them out anew.
        shared = replace(parts, transformer=copy.deepcopy(parts.transformer))
    pipe = make_stock(shared, subject.settings)
    model = make_model(subject, parts)
    return Contest(
        subject=subject,
        model=model,
        ours=Ours(model),
        own=Ours(_with_codec(model, own_codec)) if subject.has_other_codec else None,
        stock=Stock(pipe),
        bare_stock=Stock(pipe, has_headroom=False),
    )


def _with_codec(model: LoadedModel, codec: Codec) -> LoadedModel:
    """Return a model that shares everything with another but its codec and what it encoded."""
    other = copy.copy(model)
    other.codec = codec
    device = torch.device(model.plan.device)
    encoder = ContextEncoder(codec, device, hide_replaced=False)
    other._context = encoder  # noqa: SLF001 - a model in the making
    return other
