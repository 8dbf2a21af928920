"""How much memory any checkpoint takes, published or not, told from its headers."""

import math

from reapaint_engine.backends.stable_audio_3.checkpoint.catalog import MODELS, Sizes
from reapaint_engine.backends.stable_audio_3.checkpoint.checkpoint import Checkpoint
from reapaint_engine.backends.stable_audio_3.checkpoint.layouts import (
    Part,
    TensorSource,
    network_sources,
    text_folder,
    text_source,
)


def sizes_of(checkpoint: Checkpoint) -> Sizes:
    """Return the parameters of each part, and what work adds as for the published model like it.

    Raises
    ------
    JobError
        ``model_broken``: a file is missing or damaged.
    """
    levels = len(checkpoint.settings.codec.encoder_strides)
    sources = network_sources(checkpoint.folder, checkpoint.layout, levels)
    transformer = _parameters(sources[Part.TRANSFORMER])
    return Sizes(
        transformer=transformer,
        codec=_parameters(sources[Part.CODEC]),
        text_encoder=_parameters(text_source(text_folder(checkpoint.folder, checkpoint.layout))),
        working_bytes=_working_bytes(transformer),
    )


def _parameters(source: TensorSource) -> int:
    tensors = source.index.tensors.items()
    return sum(math.prod(stored.shape) for key, stored in tensors if source.owns(key))


def _working_bytes(transformer: int) -> int:
    by_size = sorted(MODELS, key=lambda model: model.sizes.transformer)
    like = next((m for m in by_size if m.sizes.transformer >= transformer), by_size[-1])
    return like.sizes.working_bytes
