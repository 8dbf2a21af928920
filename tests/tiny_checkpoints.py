"""Whole Stable Audio 3 models of a few megabytes, in memory and in both published layouts.

Weights are random and none is left at zero: a fresh network's output layers are, and a
test on those would see no conditioning and no codec. Scales are set so that latents have
a standard deviation near 1 and decoded audio one near 0.2.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from diffusers import FlowMatchEulerDiscreteScheduler, StableAudio3DiTModel
from diffusers.pipelines.stable_audio_3.modeling_stable_audio_3 import StableAudio3DurationEmbedder
from safetensors.torch import save_file
from transformers import (
    GemmaTokenizerFast,
    T5GemmaConfig,
    T5GemmaEncoderModel,
    T5GemmaForConditionalGeneration,
    T5GemmaModuleConfig,
)

from reapaint_engine.backends.stable_audio_3.checkpoint.diffusers_config import MAX_FRAMES
from reapaint_engine.backends.stable_audio_3.checkpoint.settings import (
    CodecKind,
    CodecShape,
    DurationShape,
    ModelSettings,
    Objective,
    TransformerShape,
)
from reapaint_engine.backends.stable_audio_3.inference.codec import make_codec_module
from reapaint_engine.backends.stable_audio_3.inference.loading import Parts

State = dict[str, torch.Tensor]

HOP = 4096
"""Frames of audio for one latent in every published model."""
STRIDE = 16
LATENT_DIM = 8
TEXT_DIM = 32
TEXT_FOLDER = "t5gemma-b-b-ul2"

_AUDIO_STD = 0.2
_VELOCITY_STD = 0.7


def tiny_settings(
    codec: str = "same-s",
    *,
    differential: bool | None = None,
    objective: str = "rf_denoiser",
    hop: int = HOP,
) -> ModelSettings:
    """Shapes of a tiny model; attention is differential as published unless said otherwise."""
    kind = CodecKind(codec)
    if differential is None:
        differential = kind is CodecKind.SAME_L
    return ModelSettings(
        transformer=TransformerShape(
            io_channels=LATENT_DIM,
            embed_dim=128,
            depth=2,
            num_heads=2,
            cond_token_dim=TEXT_DIM,
            global_cond_dim=TEXT_DIM,
            local_add_cond_dim=1 + LATENT_DIM,
            timestep_features_dim=64,
            ff_mult=2.0,
            num_memory_tokens=4,
            use_differential_attention=differential,
        ),
        codec=CodecShape(
            kind=kind,
            patch_size=hop // STRIDE,
            encoder_channels=16,
            encoder_c_mults=(4,),
            encoder_strides=(STRIDE,),
            encoder_transformer_depths=(2,),
            latent_dim=LATENT_DIM,
            decoder_sinusoidal_blocks=(2,) if kind is CodecKind.SAME_L else (0,),
        ),
        duration=DurationShape(output_dim=TEXT_DIM),
        objective=Objective(objective),
        max_frames=512 * hop,
        max_tokens=32,
    )


def make_tiny_parts(
    codec: str = "same-s", *, differential: bool | None = None, seed: int = 0, hop: int = 128
) -> Parts:
    """A tiny model in memory, in float32; the same for the same arguments."""
    return make_parts(tiny_settings(codec, differential=differential, hop=hop), seed=seed)


def make_parts(settings: ModelSettings, *, seed: int = 0) -> Parts:
    """A model of any size but the text encoder's, with random weights."""
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(seed)
        tokenizer = make_tokenizer()
        return Parts(
            transformer=_make_transformer(settings.transformer),
            codec_module=_make_codec(settings.codec),
            text_encoder=_encoder_of(_make_text_model(len(tokenizer))),
            tokenizer=tokenizer,
            duration_embedder=_make_duration_embedder(settings.duration),
        )


def write_original(
    folder: Path,
    codec: str = "same-s",
    *,
    differential: bool | None = None,
    objective: str = "rf_denoiser",
    hop: int = HOP,
    seed: int = 0,
) -> ModelSettings:
    """Write a tiny checkpoint as Stability AI publishes it; what ``make_tiny_parts`` makes."""
    settings = tiny_settings(codec, differential=differential, objective=objective, hop=hop)
    write_original_parts(folder, make_parts(settings, seed=seed), settings)
    return settings


def write_original_parts(folder: Path, parts: Parts, settings: ModelSettings) -> None:
    """Write any model as Stability AI publishes it."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file(original_state(parts, settings), folder / "model.safetensors")
    config = json.dumps(original_config(settings), indent=4)
    (folder / "model_config.json").write_text(config, encoding="utf-8")
    text_folder = folder / TEXT_FOLDER
    _whole_text_model(parts).save_pretrained(text_folder)
    parts.tokenizer.save_pretrained(text_folder)


def write_diffusers(
    folder: Path,
    codec: str = "same-l",
    *,
    differential: bool | None = None,
    objective: str = "rf_denoiser",
    hop: int = HOP,
    seed: int = 0,
) -> ModelSettings:
    """Write a tiny checkpoint as diffusers' ``save_pretrained`` does."""
    settings = tiny_settings(codec, differential=differential, objective=objective, hop=hop)
    parts: Any = make_parts(settings, seed=seed)
    folder.mkdir(parents=True, exist_ok=True)
    parts.transformer.save_pretrained(folder / "transformer")
    parts.duration_embedder.save_pretrained(folder / "duration_embedder")
    parts.text_encoder.save_pretrained(folder / "text_encoder")
    parts.tokenizer.save_pretrained(folder / "tokenizer")
    _write_codec(folder / "vae", parts.codec_module, settings.codec)
    stochastic = settings.objective is Objective.DISTILLED
    FlowMatchEulerDiscreteScheduler(
        num_train_timesteps=1, shift=1.0, stochastic_sampling=stochastic
    ).save_pretrained(folder / "scheduler")
    index = json.dumps(_MODEL_INDEX, indent=2)
    (folder / "model_index.json").write_text(index, encoding="utf-8")
    # This layout doesn't tell how much audio a model was made for.
    return replace(settings, max_frames=MAX_FRAMES[settings.codec.kind], max_tokens=256)


_MODEL_INDEX = {
    "_class_name": "StableAudio3InpaintPipeline",
    "_diffusers_version": "0.42.1",
    "duration_embedder": ["stable_audio_3", "StableAudio3DurationEmbedder"],
    "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"],
    "text_encoder": ["transformers", "T5GemmaEncoderModel"],
    "tokenizer": ["transformers", "GemmaTokenizer"],
    "transformer": ["diffusers", "StableAudio3DiTModel"],
    "vae": ["diffusers", "AutoencoderSAME"],
}


# Networks


@torch.no_grad()
def randomise(module: torch.nn.Module, gain: float = 1.0) -> None:
    """Give every matrix variance-keeping random weights and every bias a small one."""
    for name, parameter in module.named_parameters():
        if parameter.ndim >= 2 and not name.endswith(("weight_g", "scale", "new_tokens")):
            fan_in = parameter[0].numel()
            parameter.copy_(gain * torch.randn_like(parameter) / fan_in**0.5)
        elif name.endswith(("bias", "beta", "prompt_padding_embedding")):
            parameter.copy_(0.1 * torch.randn_like(parameter))
        elif name.endswith("new_tokens"):
            parameter.copy_(0.5 * torch.randn_like(parameter))


def _make_transformer(shape: TransformerShape) -> torch.nn.Module:
    fields = {name: getattr(shape, name) for name in TransformerShape.__dataclass_fields__}
    transformer = StableAudio3DiTModel(**fields).eval()
    randomise(transformer)
    latents = torch.randn(1, shape.io_channels, 16)
    velocity = transformer(
        latents,
        timestep=torch.tensor([0.5]),
        encoder_hidden_states=torch.randn(1, 5, shape.cond_token_dim),
        global_hidden_states=torch.randn(1, shape.global_cond_dim),
        local_add_cond=torch.randn(1, shape.local_add_cond_dim, 16),
    ).sample
    transformer.proj_out.weight.mul_(_VELOCITY_STD / velocity.std())
    return transformer


def _make_codec(shape: CodecShape) -> torch.nn.Module:
    codec: Any = make_codec_module(shape).eval()
    randomise(codec)
    bottleneck = codec.bottleneck
    bottleneck.scale.copy_(1.0 + 0.1 * torch.randn_like(bottleneck.scale))
    audio = _AUDIO_STD * torch.randn(1, shape.audio_channels, 8 * shape.hop)
    bottleneck.running_std.copy_(codec.encode(audio).latents.std()[None])
    made = codec.decode(torch.randn(1, shape.latent_dim, 8)).sample
    mapping = codec.decoder.blocks[-1].mapping
    mapping.weight_g.mul_(_AUDIO_STD / made.std())
    mapping.bias.mul_(_AUDIO_STD / made.std())
    return codec


def codec_fields(shape: CodecShape) -> dict[str, Any]:
    """The shape as ``AutoencoderSAME``'s configuration."""
    names = set(CodecShape.__dataclass_fields__) - {"kind", "sample_rate"}
    return {name: getattr(shape, name) for name in names} | {"sampling_rate": shape.sample_rate}


def _make_duration_embedder(shape: DurationShape) -> torch.nn.Module:
    embedder = StableAudio3DurationEmbedder(
        output_dim=shape.output_dim,
        fourier_dim=shape.fourier_dim,
        min_val=shape.min_val,
        max_val=shape.max_val,
    ).eval()
    randomise(embedder)
    return embedder


def make_tokenizer() -> GemmaTokenizerFast:
    """A tokenizer of letters, digits and bytes with Gemma's special tokens."""
    tokens = ["<pad>", "<eos>", "<bos>", "<unk>"] + [f"<0x{i:02X}>" for i in range(256)]
    tokens += list("\u2581abcdefghijklmnopqrstuvwxyz0123456789.,")
    return GemmaTokenizerFast(
        vocab={token: index for index, token in enumerate(tokens)},
        merges=[],
        unk_token="<unk>",
        bos_token="<bos>",
        eos_token="<eos>",
        pad_token="<pad>",
    )


def _make_text_model(tokens: int) -> T5GemmaForConditionalGeneration:
    stack = T5GemmaModuleConfig(
        vocab_size=tokens,
        hidden_size=TEXT_DIM,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        head_dim=16,
        max_position_embeddings=256,
        sliding_window=64,
        layer_types=["sliding_attention", "full_attention"],
    ).to_dict()
    config = T5GemmaConfig(encoder=stack, decoder=stack, is_encoder_decoder=True, vocab_size=tokens)
    model = T5GemmaForConditionalGeneration(config).eval()
    randomise(model)
    return model


def _encoder_of(model: T5GemmaForConditionalGeneration) -> T5GemmaEncoderModel:
    config = T5GemmaConfig.from_dict(model.config.to_dict() | {"is_encoder_decoder": False})
    encoder = T5GemmaEncoderModel(config).eval()
    encoder.encoder.load_state_dict(model.model.encoder.state_dict())
    return encoder


def _whole_text_model(parts: Parts) -> T5GemmaForConditionalGeneration:
    """The published folder holds the decoder too, which nobody needs."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model = _make_text_model(len(parts.tokenizer))
    encoder: Any = parts.text_encoder
    model.model.encoder.load_state_dict(encoder.encoder.state_dict())
    return model


# The layouts


def original_state(parts: Parts, settings: ModelSettings) -> State:
    """Every tensor of ``model.safetensors``, under Stability AI's names."""
    state = _original_transformer(parts.transformer.state_dict(), settings.transformer)
    state |= _original_codec(parts.codec_module.state_dict(), settings.codec)
    duration: Any = parts.duration_embedder
    embedder = "conditioner.conditioners.seconds_total.embedder.embedding.1"
    state[f"{embedder}.weight"] = duration.linear.weight
    state[f"{embedder}.bias"] = duration.linear.bias
    return {key: tensor.detach().clone().contiguous() for key, tensor in state.items()}


def _original_transformer(state: State, shape: TransformerShape) -> State:
    named: State = {}
    for key, tensor in state.items():
        if key == "prompt_padding_embedding":
            named["conditioner.conditioners.prompt.padding_embedding"] = tensor
            continue
        if key.endswith("self_attn.to_qkv.weight") and shape.use_differential_attention:
            q1, q2, k1, k2, v = tensor.chunk(5)
            tensor = torch.cat([q1, k1, v, q2, k2])
        inside = (
            "transformer_blocks.",
            "proj_",
            "memory_tokens",
            "rotary_pos_emb.",
            "global_cond_embedder.",
        )
        name = f"transformer.{key}" if key.startswith(inside) else key
        name = name.replace("transformer_blocks.", "layers.")
        name = name.replace(".ff.proj_in.", ".ff.ff.0.proj.").replace(".ff.proj_out.", ".ff.ff.2.")
        name = name.replace("transformer.proj_", "transformer.project_")
        named[f"model.model.{name}"] = tensor
    return named


def _original_codec(state: State, shape: CodecShape) -> State:
    named: State = {}
    for key, tensor in state.items():
        if key.endswith("inv_freq"):
            continue
        if key.endswith("to_qkv.weight") and shape.use_differential_attention:
            q1, q2, k1, k2, v = tensor.chunk(5)
            tensor = torch.cat([q1, k1, v, q2, k2])
        named[f"pretransform.model.{_original_codec_name(key)}"] = tensor
    named["pretransform.model.bottleneck.noise_scaling_factor"] = torch.ones(1, 0, 1)
    frequencies = _rotary_frequencies(shape.dim_heads // 2)
    for side in ("encoder.layers.0", "decoder.layers.3"):
        for block in range(shape.encoder_transformer_depths[0]):
            key = f"pretransform.model.{side}.transformers.{block}.rope.inv_freq"
            named[key] = frequencies
    return named


def _original_codec_name(key: str) -> str:
    for ours, theirs in (
        ("encoder.blocks.0.", "encoder.layers.0."),
        ("encoder.proj.", "encoder.layers.2."),
        ("decoder.proj.", "decoder.layers.1."),
        ("decoder.blocks.0.", "decoder.layers.3."),
        (".norm_attn.", ".pre_norm."),
        (".norm_ff.", ".ff_norm."),
        (".attn.", ".self_attn."),
        (".ff.proj_in.", ".ff.ff.0.proj."),
        (".ff.proj_out.", ".ff.ff.2."),
        ("bottleneck.scale", "bottleneck.scaling_factor"),
    ):
        key = key.replace(ours, theirs)
    return key


def _rotary_frequencies(dim: int) -> torch.Tensor:
    return 1.0 / (10000 ** (torch.arange(0, dim, 2).float() / dim))


def _write_codec(folder: Path, codec: torch.nn.Module, shape: CodecShape) -> None:
    folder.mkdir()
    config = {"_class_name": "AutoencoderSAME", "_diffusers_version": "0.42.1"}
    config |= codec_fields(shape)
    (folder / "config.json").write_text(json.dumps(config, indent=2), encoding="utf-8")
    state = {k: v.contiguous() for k, v in codec.state_dict().items() if "inv_freq" not in k}
    save_file(state, folder / "diffusion_pytorch_model.safetensors", metadata={"format": "pt"})


def original_config(settings: ModelSettings) -> dict[str, Any]:
    """What ``model_config.json`` says, in Stability AI's words."""
    return {
        "model_type": "diffusion_cond_inpaint",
        "sample_size": settings.max_frames,
        "sample_rate": settings.sample_rate,
        "audio_channels": settings.codec.audio_channels,
        "model": {
            "pretransform": {
                "type": "autoencoder",
                "iterate_batch": True,
                "chunked": True,
                "config": _codec_config(settings.codec),
            },
            "conditioning": _conditioning_config(settings),
            "diffusion": _diffusion_config(settings),
            "io_channels": settings.transformer.io_channels,
        },
    }


def _codec_config(shape: CodecShape) -> dict[str, Any]:
    patched = shape.audio_channels * shape.patch_size
    common: dict[str, Any] = {
        "channels": shape.encoder_channels,
        "c_mults": list(shape.encoder_c_mults),
        "strides": list(shape.encoder_strides),
        "latent_dim": shape.latent_dim,
        "transformer_depths": list(shape.encoder_transformer_depths),
        "differential": shape.use_differential_attention,
        "dim_heads": shape.dim_heads,
        "ff_mult": shape.ff_mult,
        "variable_stride": True,
        "dyt": True,
    }
    is_chunked = shape.kind is CodecKind.SAME_S
    if is_chunked:
        common |= {"chunk_size": 2 * shape.encoder_strides[0], "chunk_midpoint_shift": True}
    else:
        common |= {"sliding_window": [shape.sliding_window, shape.sliding_window]}
    decoder: dict[str, Any] = {"sinusoidal_blocks": list(shape.decoder_sinusoidal_blocks)}
    decoder |= {"conv_mapping": True, "mask_noise": 0.01} if is_chunked else {}
    return {
        "encoder": {"type": "same", "config": {"in_channels": patched} | common},
        "decoder": {"type": "same", "config": {"out_channels": patched} | common | decoder},
        "bottleneck": {
            "type": "softnorm",
            "config": {"dim": shape.latent_dim, "noise_regularize": True, "auto_scale": True},
        },
        "pretransform": {
            "type": "patched",
            "config": {"channels": shape.audio_channels, "patch_size": shape.patch_size},
        },
        "latent_dim": shape.latent_dim,
        "downsampling_ratio": shape.hop,
        "io_channels": shape.audio_channels,
    }


def _conditioning_config(settings: ModelSettings) -> dict[str, Any]:
    prompt = {
        "max_length": settings.max_tokens,
        "padding_mode": "learned",
        "repo_id": "stabilityai/stable-audio-3-small-music",
        "subfolder": TEXT_FOLDER,
    }
    seconds = {
        "min_val": settings.duration.min_val,
        "max_val": settings.duration.max_val,
        "fourier_features_type": "expo",
    }
    return {
        "configs": [
            {"id": "prompt", "type": "t5gemma", "config": prompt},
            {"id": "seconds_total", "type": "number", "config": seconds},
        ],
        "cond_dim": settings.transformer.cond_token_dim,
    }


def _diffusion_config(settings: ModelSettings) -> dict[str, Any]:
    shape = settings.transformer
    return {
        "type": "dit",
        "diffusion_objective": settings.objective.value,
        "cross_attention_cond_ids": ["prompt", "seconds_total"],
        "global_cond_ids": ["seconds_total"],
        "local_add_cond_ids": ["inpaint_mask", "inpaint_masked_input"],
        "mask_padding_attention": True,
        "use_effective_length_for_schedule": True,
        "config": {
            "io_channels": shape.io_channels,
            "patch_size": shape.patch_size,
            "embed_dim": shape.embed_dim,
            "depth": shape.depth,
            "num_heads": shape.num_heads,
            "cond_token_dim": shape.cond_token_dim,
            "project_cond_tokens": True,
            "global_cond_dim": shape.global_cond_dim,
            "local_add_cond_dim": shape.local_add_cond_dim,
            "transformer_type": "continuous_transformer",
            "global_cond_type": "adaLN",
            "timestep_features_type": "expo",
            "timestep_features_dim": shape.timestep_features_dim,
            "num_memory_tokens": shape.num_memory_tokens,
            "norm_type": "rms_norm",
            "norm_kwargs": {"force_fp32": True},
            "attn_kwargs": {
                "qk_norm": "rms",
                "differential": shape.use_differential_attention,
            },
            "ff_kwargs": {"mult": shape.ff_mult},
        },
    }
