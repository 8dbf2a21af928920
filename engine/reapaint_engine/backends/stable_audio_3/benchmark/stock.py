"""diffusers' stock pipeline on weights that are at hand."""

import warnings
from typing import Any

import torch
from diffusers import (
    AutoencoderSAME,
    FlowMatchEulerDiscreteScheduler,
    StableAudio3InpaintPipeline,
)
from torch import Tensor, nn

from reapaint_engine.backends.stable_audio_3.checkpoint.settings import (
    CodecKind,
    CodecShape,
    ModelSettings,
    Objective,
)
from reapaint_engine.backends.stable_audio_3.inference.loading import Parts
from reapaint_engine.backends.stable_audio_3.network.attention import rotary_frequencies


def make_stock(parts: Parts, settings: ModelSettings) -> Any:
    """Put the stock pipeline together from networks that it may share with another side.

    Parameters
    ----------
    parts
        With a codec of SAME-L's kind, the only one that diffusers has. The transformer is
        the repaired one, and the duration is embedded in float32: neither costs time, and
        without both the two sides would compute different numbers.
    """
    assert settings.codec.kind is CodecKind.SAME_L
    dtype = next(parts.transformer.parameters()).dtype
    for module in (parts.text_encoder, parts.duration_embedder):
        # The pipeline hands these to the transformer as they come, and wants its type.
        module.register_forward_hook(lambda _module, _inputs, output: _cast(output, dtype))
    # The pipeline reads here how many places a text has.
    parts.tokenizer.model_max_length = settings.max_tokens
    make_scheduler: Any = FlowMatchEulerDiscreteScheduler
    make: Any = StableAudio3InpaintPipeline
    pipe = make(
        vae=make_stock_codec(parts.codec_module, settings.codec),
        text_encoder=parts.text_encoder,
        tokenizer=parts.tokenizer,
        duration_embedder=parts.duration_embedder,
        transformer=parts.transformer,
        scheduler=make_scheduler(
            num_train_timesteps=1,
            shift=1.0,
            stochastic_sampling=settings.objective is Objective.DISTILLED,
        ),
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe


def make_stock_codec(module: nn.Module, shape: CodecShape) -> nn.Module:
    """Return diffusers' ``AutoencoderSAME`` with the weights of one of ours, shared."""
    make: Any = AutoencoderSAME
    with warnings.catch_warnings(), torch.device("meta"):
        # diffusers still uses what torch would like it to replace.
        warnings.filterwarnings("ignore", "`torch.nn.utils.weight_norm`", FutureWarning)
        stock: nn.Module = make(
            audio_channels=shape.audio_channels,
            patch_size=shape.patch_size,
            encoder_channels=shape.encoder_channels,
            encoder_c_mults=shape.encoder_c_mults,
            encoder_strides=shape.encoder_strides,
            encoder_transformer_depths=shape.encoder_transformer_depths,
            latent_dim=shape.latent_dim,
            use_differential_attention=shape.use_differential_attention,
            dim_heads=shape.dim_heads,
            ff_mult=shape.ff_mult,
            sliding_window=shape.sliding_window,
            encoder_sinusoidal_blocks=shape.encoder_sinusoidal_blocks,
            decoder_sinusoidal_blocks=shape.decoder_sinusoidal_blocks,
            sampling_rate=shape.sample_rate,
        )
    stock.load_state_dict(_unfuse(module.state_dict()), assign=True)
    device = next(stock.parameters()).device
    for part in stock.modules():
        if isinstance(frequencies := getattr(part, "inv_freq", None), Tensor):
            # In no file, and float32 as ``from_pretrained`` leaves it.
            width = 2 * frequencies.numel()
            part.inv_freq = rotary_frequencies(2 * width).to(device)
    decode: Any = stock.decode
    dtype = next(stock.parameters()).dtype
    # It takes latents of its own type alone, and the pipeline has them in the transformer's.
    vars(stock)["decode"] = lambda latents, **more: decode(latents.to(dtype), **more)
    return stock.eval().requires_grad_(requires_grad=False)


def _unfuse(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Take a mapping's weight apart again: its length, and itself as its direction."""
    apart: dict[str, Tensor] = {}
    for key, tensor in state.items():
        if not key.endswith("mapping.weight"):
            apart[key] = tensor
            continue
        apart[f"{key}_v"] = tensor
        length = tensor.float().norm(dim=(1, 2), keepdim=True)
        apart[f"{key}_g"] = length.to(tensor.dtype)
    return apart


def _cast(output: Any, dtype: torch.dtype) -> Any:
    if isinstance(output, Tensor):
        return output.to(dtype)
    output.last_hidden_state = output.last_hidden_state.to(dtype)
    return output
