"""Names of the published files, and what diffusers calls the same tensors."""

from dataclasses import asdict

import pytest
import torch
from diffusers import AutoencoderSAME, StableAudio3DiTModel

from reapaint_engine.backends.stable_audio_3.checkpoint.keys import (
    aliases,
    codec_key,
    duration_key,
    is_computed,
    is_fused,
    transformer_key,
)
from reapaint_engine.backends.stable_audio_3.checkpoint.settings import (
    CodecKind,
    CodecShape,
    TransformerShape,
)
from reapaint_engine.backends.stable_audio_3.inference.codec import make_codec_module
from tests.tiny_checkpoints import codec_fields

SMALL = (TransformerShape(), CodecShape())
MEDIUM = (
    TransformerShape(embed_dim=1536, depth=24, num_heads=24, use_differential_attention=True),
    CodecShape(
        kind=CodecKind.SAME_L,
        encoder_channels=256,
        encoder_transformer_depths=(12,),
        decoder_sinusoidal_blocks=(8,),
    ),
)


def _names(transformer: TransformerShape, codec: CodecShape) -> tuple[list[str], list[str]]:
    with torch.device("meta"):
        ours = [*StableAudio3DiTModel(**asdict(transformer)).state_dict()]
        return ours, [*make_codec_module(codec).state_dict()]


@pytest.mark.parametrize(
    ("shapes", "published"), [(SMALL, 685), (MEDIUM, 997)], ids=["small", "medium"]
)
def test_there_are_as_many_keys_as_tensors_in_the_published_files(shapes, published):
    transformer, codec = _names(*shapes)
    keys = {transformer_key(name) for name in transformer}
    keys |= {codec_key(name, levels=1) for name in codec}
    keys |= {duration_key("linear.weight"), duration_key("linear.bias")}
    blocks = 2 * shapes[1].encoder_transformer_depths[0]
    not_ours = blocks + 1  # rotary frequencies of each codec block, the noise's scale
    assert len(keys) + not_ours == published


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("prompt_padding_embedding", "conditioner.conditioners.prompt.padding_embedding"),
        ("proj_in.weight", "model.model.transformer.project_in.weight"),
        ("proj_out.weight", "model.model.transformer.project_out.weight"),
        ("memory_tokens", "model.model.transformer.memory_tokens"),
        ("rotary_pos_emb.inv_freq", "model.model.transformer.rotary_pos_emb.inv_freq"),
        ("global_cond_embedder.2.bias", "model.model.transformer.global_cond_embedder.2.bias"),
        ("to_cond_embed.0.weight", "model.model.to_cond_embed.0.weight"),
        ("preprocess_conv.weight", "model.model.preprocess_conv.weight"),
        (
            "transformer_blocks.11.ff.proj_in.bias",
            "model.model.transformer.layers.11.ff.ff.0.proj.bias",
        ),
        (
            "transformer_blocks.0.ff.proj_out.weight",
            "model.model.transformer.layers.0.ff.ff.2.weight",
        ),
        (
            "transformer_blocks.3.cross_attn.q_norm.gamma",
            "model.model.transformer.layers.3.cross_attn.q_norm.gamma",
        ),
        (
            "transformer_blocks.3.to_scale_shift_gate",
            "model.model.transformer.layers.3.to_scale_shift_gate",
        ),
    ],
)
def test_names_of_the_transformer(name, key):
    assert transformer_key(name) == key


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("bottleneck.scale", "bottleneck.scaling_factor"),
        ("bottleneck.bias", "bottleneck.bias"),
        ("bottleneck.running_std", "bottleneck.running_std"),
        ("encoder.proj.weight", "encoder.layers.2.weight"),
        ("decoder.proj.bias", "decoder.layers.1.bias"),
        ("encoder.blocks.0.new_tokens", "encoder.layers.0.new_tokens"),
        ("decoder.blocks.0.mapping.weight_g", "decoder.layers.3.mapping.weight_g"),
        (
            "encoder.blocks.0.transformers.5.norm_attn.alpha",
            "encoder.layers.0.transformers.5.pre_norm.alpha",
        ),
        (
            "decoder.blocks.0.transformers.1.attn.to_qkv.weight",
            "decoder.layers.3.transformers.1.self_attn.to_qkv.weight",
        ),
        (
            "decoder.blocks.0.transformers.1.norm_ff.beta",
            "decoder.layers.3.transformers.1.ff_norm.beta",
        ),
        (
            "decoder.blocks.0.transformers.1.ff.proj_in.weight",
            "decoder.layers.3.transformers.1.ff.ff.0.proj.weight",
        ),
    ],
)
def test_names_of_the_codec(name, key):
    assert codec_key(name, levels=1) == f"pretransform.model.{key}"


def test_two_levels_move_the_projections_aside():
    assert codec_key("encoder.blocks.1.new_tokens", levels=2).endswith(
        "encoder.layers.1.new_tokens"
    )
    assert codec_key("encoder.proj.weight", levels=2).endswith("encoder.layers.3.weight")
    assert codec_key("decoder.blocks.1.new_tokens", levels=2).endswith(
        "decoder.layers.4.new_tokens"
    )


@pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning")
@pytest.mark.parametrize("shape", [SMALL[1], MEDIUM[1]], ids=["same-s", "same-l"])
def test_the_codec_is_named_as_diffusers_names_it(shape):
    with torch.device("meta"):
        theirs = AutoencoderSAME(**codec_fields(shape)).state_dict()
    _, ours = _names(SMALL[0], shape)
    assert set(ours) == {name for name in theirs if not is_computed(name)}


def test_what_follows_from_the_settings_is_not_read():
    assert is_computed("encoder.layers.0.transformers.0.rope.inv_freq")
    assert is_computed("pretransform.model.bottleneck.noise_scaling_factor")
    assert is_computed("freqs")
    assert not is_computed("pretransform.model.bottleneck.scaling_factor")


def test_newer_weight_norms_are_found():
    assert [*aliases("mapping.weight_g")][1] == "mapping.parametrizations.weight.original0"
    assert [*aliases("mapping.weight_v")][1] == "mapping.parametrizations.weight.original1"
    assert [*aliases("mapping.bias")] == ["mapping.bias"]


def test_only_self_attention_is_fused():
    assert is_fused("transformer_blocks.0.self_attn.to_qkv.weight")
    assert is_fused("encoder.blocks.0.transformers.0.attn.to_qkv.weight")
    assert not is_fused("transformer_blocks.0.cross_attn.to_kv.weight")
