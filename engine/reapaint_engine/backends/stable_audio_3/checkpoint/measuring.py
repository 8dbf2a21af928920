"""What the tensors themselves say about a model, and whether its configuration agrees.

Sizes are read off the weights, for those can't be wrong; a configuration that says
something else belongs to another model.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from reapaint_engine.backends.stable_audio_3.checkpoint.layouts import TensorSource
from reapaint_engine.backends.stable_audio_3.checkpoint.settings import (
    CodecKind,
    CodecShape,
    DurationShape,
    TransformerShape,
)
from reapaint_engine.backends.stable_audio_3.checkpoint.tensor_files import broken

DIFFERENTIAL_PROJECTIONS = 5
"""Two queries, two keys and the values; plain attention fuses three projections."""


@dataclass(frozen=True, slots=True)
class CodecNotes:
    """What of a codec no tensor tells."""

    audio_channels: int
    channels: int
    c_mults: tuple[int, ...]
    strides: tuple[int, ...]
    sample_rate: int
    sliding_window: int = 1
    encoder_sinusoidal_blocks: tuple[int, ...] = (0,)
    decoder_sinusoidal_blocks: tuple[int, ...] = (0,)


def measure_transformer(source: TensorSource) -> TransformerShape:
    """Read the diffusion transformer's dimensions off its tensors.

    Raises
    ------
    JobError
        ``model_broken``: a tensor that tells them is missing.
    """
    embed_dim, patched = _matrix(source, "proj_in.weight")
    io_channels = source.shape("preprocess_conv.weight")[0]
    block = "transformer_blocks.0"
    fused = source.shape(f"{block}.self_attn.to_qkv.weight")[0] // embed_dim
    memory = source.find("memory_tokens")
    return TransformerShape(
        io_channels=io_channels,
        patch_size=patched // io_channels,
        embed_dim=embed_dim,
        depth=_count(source, "transformer_blocks.{}.pre_norm.gamma"),
        num_heads=embed_dim // source.shape(f"{block}.self_attn.q_norm.gamma")[0],
        cond_token_dim=_matrix(source, "to_cond_embed.0.weight")[1],
        global_cond_dim=_matrix(source, "to_global_embed.0.weight")[1],
        local_add_cond_dim=_matrix(source, f"{block}.to_local_embed.0.weight")[1],
        timestep_features_dim=_matrix(source, "to_timestep_embed.0.weight")[1],
        ff_mult=_matrix(source, f"{block}.ff.proj_out.weight")[1] / embed_dim,
        num_memory_tokens=memory.shape[0] if memory else 0,
        use_differential_attention=fused == DIFFERENTIAL_PROJECTIONS,
    )


def measure_codec(source: TensorSource, notes: CodecNotes) -> CodecShape:
    """Read the autoencoder's dimensions off its tensors.

    Raises
    ------
    JobError
        ``model_broken``: a tensor that tells them is missing.
    """
    levels = range(len(notes.strides))
    widths = [source.shape(f"encoder.blocks.{level}.new_tokens")[-1] for level in levels]
    check_stated(
        {"the codec's width": [notes.channels * mult for mult in notes.c_mults]},
        {"the codec's width": widths},
        "The configuration",
    )
    patched = source.shape("encoder.blocks.0.mapping.weight_v")[1]
    block = "encoder.blocks.0.transformers.0"
    fused = source.shape(f"{block}.attn.to_qkv.weight")[0] // widths[0]
    last = f"decoder.blocks.{levels[-1]}.mapping.weight_v"
    return CodecShape(
        # Only SAME-S smooths its output over three rows.
        kind=CodecKind.SAME_S if source.shape(last)[2] == 3 else CodecKind.SAME_L,
        audio_channels=notes.audio_channels,
        patch_size=patched // notes.audio_channels,
        encoder_channels=notes.channels,
        encoder_c_mults=notes.c_mults,
        encoder_strides=notes.strides,
        encoder_transformer_depths=tuple(
            _count(source, f"encoder.blocks.{level}.transformers.{{}}.norm_ff.gamma")
            for level in levels
        ),
        latent_dim=source.shape("encoder.proj.weight")[0],
        use_differential_attention=fused == DIFFERENTIAL_PROJECTIONS,
        dim_heads=source.shape(f"{block}.attn.q_norm.gamma")[0],
        ff_mult=_matrix(source, f"{block}.ff.proj_out.weight")[1] // widths[0],
        sliding_window=notes.sliding_window,
        encoder_sinusoidal_blocks=notes.encoder_sinusoidal_blocks,
        decoder_sinusoidal_blocks=notes.decoder_sinusoidal_blocks,
        sample_rate=notes.sample_rate,
    )


def measure_duration(source: TensorSource, *, min_val: float, max_val: float) -> DurationShape:
    """Read the duration embedder's dimensions off its tensors.

    Raises
    ------
    JobError
        ``model_broken``: its projection is missing, or the range is none.
    """
    if not min_val < max_val:
        raise broken(f"The durations' range goes from {min_val} to {max_val}.")
    output_dim, fourier_dim = _matrix(source, "linear.weight")
    return DurationShape(output_dim, fourier_dim, min_val, max_val)


def check_stated(stated: Mapping[str, Any], measured: Mapping[str, Any], where: str) -> None:
    """Compare what a configuration says with what the tensors are; what it leaves out passes.

    Raises
    ------
    JobError
        ``model_broken``: they disagree.
    """
    for field, value in stated.items():
        if field in measured and value != measured[field]:
            raise broken(
                f"{where} says {field} is {value}, but in the weights it is {measured[field]}: "
                "they belong to different models.",
                hint="Download the model again, both files from the same place.",
            )


def check_parts_fit(
    transformer: TransformerShape, codec: CodecShape, duration: DurationShape
) -> None:
    """Check that the parts speak of the same latents and conditions.

    Raises
    ------
    JobError
        ``model_broken``: they belong to different models.
    """
    for what, one, other_what, other in (
        ("transformer's channels", transformer.io_channels, "codec's latents", codec.latent_dim),
        (
            "local conditions",
            transformer.local_add_cond_dim,
            "mask and latents",
            1 + codec.latent_dim,
        ),
        ("global condition", transformer.global_cond_dim, "embedded duration", duration.output_dim),
        ("context tokens", transformer.cond_token_dim, "embedded duration", duration.output_dim),
    ):
        if one != other:
            raise broken(
                f"The parts belong to different models: the {what} have {one} dimensions, "
                f"the {other_what} {other}."
            )


def _matrix(source: TensorSource, name: str) -> tuple[int, int]:
    rows, columns = source.shape(name)
    return rows, columns


def _count(source: TensorSource, name: str) -> int:
    count = 0
    while source.find(name.format(count)):
        count += 1
    return count
