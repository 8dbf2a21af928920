"""Networks of any size with random weights, where the published ones are not at hand.

Speed and memory do not depend on what weights hold. What counts is that none is zero, as
a fresh network's output layers are, so that a comparison sees every layer; and that
numbers stay of the size they have in a trained network.
"""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any, cast

import torch
from diffusers import StableAudio3DiTModel
from diffusers.pipelines.stable_audio_3.modeling_stable_audio_3 import StableAudio3DurationEmbedder
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import Tensor, nn
from transformers import (
    PreTrainedTokenizerFast,
    T5GemmaConfig,
    T5GemmaEncoderModel,
    T5GemmaModuleConfig,
)

from reapaint_engine.backends.stable_audio_3.benchmark.options import TextShape
from reapaint_engine.backends.stable_audio_3.checkpoint.settings import (
    CodecShape,
    ModelSettings,
    TransformerShape,
)
from reapaint_engine.backends.stable_audio_3.device.placement import DevicePlan
from reapaint_engine.backends.stable_audio_3.inference.codec import fuse, make_codec_module
from reapaint_engine.backends.stable_audio_3.inference.loading import Parts
from reapaint_engine.backends.stable_audio_3.network.denoiser import repair
from reapaint_engine.backends.stable_audio_3.network.same import Same

VELOCITY_STD = 0.7
AUDIO_STD = 0.2
"""How large a trained model's velocities and sounds are, about."""

CALIBRATED_LATENTS = 16

SPECIAL_TOKENS = {
    "pad_token": "<pad>",
    "eos_token": "<eos>",
    "bos_token": "<bos>",
    "unk_token": "<unk>",
}


def make_random_parts(settings: ModelSettings, text: TextShape, plan: DevicePlan) -> Parts:
    """Build a whole model with random weights, the same each time on one device.

    Raises
    ------
    RuntimeError
        There is too little memory.
    """
    with torch.random.fork_rng(_cards(plan.device)), torch.no_grad():
        torch.manual_seed(0)
        model_dtype: torch.dtype = getattr(torch, plan.model_dtype)
        text_dtype = torch.bfloat16 if model_dtype == torch.float16 else model_dtype
        return Parts(
            transformer=_make_transformer(settings.transformer, plan.device, model_dtype),
            codec_module=make_random_codec(settings.codec, plan),
            text_encoder=_make_text_encoder(text, plan.device, text_dtype),
            tokenizer=_make_tokenizer(),
            duration_embedder=_make_duration_embedder(settings, plan.device),
        )


def make_random_codec(shape: CodecShape, plan: DevicePlan) -> Same:
    """Build an autoencoder whose latents and sounds are as large as a trained one's."""
    with torch.random.fork_rng(_cards(plan.device)), torch.no_grad():
        torch.manual_seed(1)
        codec = _build_filled(lambda: make_codec_module(shape), plan.device, plan.codec_dtype)
        frames = CALIBRATED_LATENTS * shape.hop
        audio = AUDIO_STD * torch.randn(1, shape.audio_channels, frames)
        codec.bottleneck.running_std.copy_(codec.encode(audio.to(plan.device)).latents.std())
        latents = torch.randn(1, shape.latent_dim, CALIBRATED_LATENTS, device=plan.device)
        mapping: Any = codec.decoder.blocks[-1]
        scale = AUDIO_STD / codec.decode(latents).sample.std()
        mapping.mapping.weight_g.mul_(scale)
        mapping.mapping.bias.mul_(scale)
        return cast("Same", fuse(codec))


def _make_transformer(shape: TransformerShape, device: str, dtype: torch.dtype) -> nn.Module:
    make: Any = StableAudio3DiTModel
    transformer: Any = _build_filled(lambda: make(**asdict(shape)), device, dtype)
    repair(transformer)

    def noise(*sizes: int) -> Tensor:
        return torch.randn(*sizes, device=device, dtype=dtype)

    velocity = transformer(
        noise(1, shape.io_channels, CALIBRATED_LATENTS),
        timestep=torch.tensor([0.5], device=device),
        encoder_hidden_states=noise(1, 4, shape.cond_token_dim),
        global_hidden_states=noise(1, shape.global_cond_dim),
        local_add_cond=noise(1, shape.local_add_cond_dim, CALIBRATED_LATENTS),
        return_dict=False,
    )[0]
    transformer.proj_out.weight.mul_(VELOCITY_STD / velocity.float().std())
    return cast("nn.Module", transformer)


def _make_duration_embedder(settings: ModelSettings, device: str) -> nn.Module:
    make: Any = StableAudio3DurationEmbedder
    embedder: nn.Module = make(**asdict(settings.duration))
    return embedder.eval().requires_grad_(requires_grad=False).to(device)


def _make_text_encoder(shape: TextShape, device: str, dtype: torch.dtype) -> nn.Module:
    stack = T5GemmaModuleConfig(
        vocab_size=shape.vocabulary,
        hidden_size=shape.width,
        intermediate_size=shape.inner,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.heads,
        head_dim=shape.head_dim,
        query_pre_attn_scalar=shape.head_dim,
    ).to_dict()
    config = T5GemmaConfig(
        encoder=stack, decoder=stack, is_encoder_decoder=False, vocab_size=shape.vocabulary
    )
    make: Any = T5GemmaEncoderModel
    model: Any = _build_filled(lambda: make(config), device, dtype)
    rotary = model.encoder.rotary_emb
    # Its frequencies are in no file, and memory that was merely reserved holds anything.
    model.encoder.rotary_emb = type(rotary)(config=model.config.encoder).to(device)
    return cast("nn.Module", model)


def _make_tokenizer() -> Any:
    """Return a tokenizer for which every word is one token, as common words are to Gemma."""
    vocabulary = {token: index for index, token in enumerate(SPECIAL_TOKENS.values())}
    words = Tokenizer(models.WordLevel(vocabulary, SPECIAL_TOKENS["unk_token"]))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    make: Any = PreTrainedTokenizerFast
    return make(tokenizer_object=words, **SPECIAL_TOKENS)


# Filling


def _build_filled(make: Callable[[], Any], device: str, dtype: torch.dtype | str) -> Any:
    """Build a network in its own type and place at once, and fill it."""
    if isinstance(dtype, str):
        dtype = getattr(torch, dtype)
    with torch.device("meta"):
        # diffusers' own would warn of what to do for weights that are loaded.
        module: Any = nn.Module.to(make(), dtype)
    module.to_empty(device=device).eval().requires_grad_(requires_grad=False)
    for name, parameter in module.named_parameters():
        _fill(name, parameter)
    for name, buffer in module.named_buffers():
        if name.endswith("running_std"):
            buffer.fill_(1.0)
    return module


def _fill(name: str, parameter: Tensor) -> None:
    leaf = name.rsplit(".", 1)[-1]
    if leaf in ("gamma", "scale", "weight_g"):
        parameter.fill_(1.0)
    elif leaf == "alpha":
        parameter.fill_(4.0)  # what the normalisation begins its training with
    elif leaf in ("bias", "beta"):
        parameter.normal_(std=0.1)
    elif leaf == "weight" and parameter.ndim == 1:
        parameter.zero_()  # Gemma's norms add one to their weight
    else:
        # Of a matrix so large that what goes through keeps its size.
        inputs = parameter[0].numel() if parameter.ndim > 1 else parameter.numel()
        parameter.normal_(std=inputs**-0.5)


def _cards(device: str) -> list[int]:
    where = torch.device(device)
    return [where.index or 0] if where.type == "cuda" else []
