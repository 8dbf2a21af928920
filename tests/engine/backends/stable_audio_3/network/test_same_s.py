"""SAME-S against the recipe spelled out in loops, in double precision."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from reapaint_engine.backends.stable_audio_3.checkpoint.settings import CodecShape
from reapaint_engine.backends.stable_audio_3.network.same import Same
from reapaint_engine.backends.stable_audio_3.network.same_blocks import Layer
from reapaint_engine.backends.stable_audio_3.network.same_s import run_folded
from tests.engine.backends.stable_audio_3.tiny_codecs import SAME_S, make_codec, noise

STRIDE = SAME_S.encoder_strides[0]
SEGMENT = STRIDE + 1

State = dict[str, Tensor]


def _squash(state: State, name: str, x: Tensor) -> Tensor:
    squashed = torch.tanh(state[f"{name}.alpha"] * x)
    return state[f"{name}.gamma"] * squashed + state[f"{name}.beta"]


def _rotate(x: Tensor, position: int) -> Tensor:
    """Turn pairs (j, j + half) of the first half of a head by their own speed."""
    turned, dims = x.clone(), len(x) // 2
    half = dims // 2
    for j in range(half):
        angle = torch.tensor(position / 10000 ** (2 * j / dims), dtype=torch.float64)
        turned[j] = x[j] * angle.cos() - x[j + half] * angle.sin()
        turned[j + half] = x[j + half] * angle.cos() + x[j] * angle.sin()
    return turned


def _map(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    return torch.softmax(queries @ keys.T / queries.shape[1] ** 0.5, dim=-1) @ values


def _layer(state: State, name: str, fold: Tensor, dim_heads: int) -> Tensor:
    """Run one layer on one fold of shape (tokens, dim)."""
    projected = _squash(state, f"{name}.norm_attn", fold) @ state[f"{name}.attn.to_qkv.weight"].T
    q1, q2, k1, k2, v = projected.chunk(5, dim=-1)
    heads = []
    for start in range(0, fold.shape[1], dim_heads):
        part = slice(start, start + dim_heads)
        turned = [
            torch.stack(
                [
                    _rotate(_squash(state, f"{name}.attn.{kind}_norm", row[part]), place)
                    for place, row in enumerate(rows)
                ]
            )
            for kind, rows in (("q", q1), ("q", q2), ("k", k1), ("k", k2))
        ]
        first = _map(turned[0], turned[2], v[:, part])
        heads.append(first - _map(turned[1], turned[3], v[:, part]))
    fold = fold + torch.cat(heads, dim=-1) @ state[f"{name}.attn.to_out.weight"].T
    inner = _squash(state, f"{name}.norm_ff", fold) @ state[f"{name}.ff.proj_in.weight"].T
    signal, gate = (inner + state[f"{name}.ff.proj_in.bias"]).chunk(2, dim=-1)
    gated = signal * gate / (1 + torch.exp(-gate))
    return fold + gated @ state[f"{name}.ff.proj_out.weight"].T + state[f"{name}.ff.proj_out.bias"]


def _transformer(state: State, side: str, tokens: Tensor, shape: CodecShape) -> Tensor:
    """Run all layers on tokens of shape (tokens, dim)."""
    depth = shape.encoder_transformer_depths[0]
    for number in range(depth):
        if number == depth // 2:
            tokens = torch.cat((tokens[:SEGMENT], tokens, tokens[-SEGMENT:]))
        name = f"{side}.blocks.0.transformers.{number}"
        folds = [
            _layer(state, name, tokens[start : start + 2 * SEGMENT], shape.dim_heads)
            for start in range(0, len(tokens), 2 * SEGMENT)
        ]
        tokens = torch.cat(folds)
    return tokens[SEGMENT:-SEGMENT]


def _kernel(state: State, name: str) -> Tensor:
    direction = state[f"{name}.weight_v"]
    lengths = direction.square().sum(dim=(1, 2), keepdim=True).sqrt()
    return state[f"{name}.weight_g"] * direction / lengths


def _encode(module: Same, shape: CodecShape, audio: Tensor) -> Tensor:
    """Encode (channels, frames) to (latent_dim, L)."""
    state = {name: value.double() for name, value in module.state_dict().items()}
    unit = 2 * shape.hop
    frames = -(-audio.shape[1] // unit) * unit
    padded = torch.zeros(len(audio), frames, dtype=torch.float64)
    padded[:, : audio.shape[1]] = audio
    name = "encoder.blocks.0"
    rows = []
    for start in range(0, frames, shape.patch_size):
        patch = padded[:, start : start + shape.patch_size].flatten()
        mapped = _kernel(state, f"{name}.mapping")[..., 0] @ patch
        rows.append(mapped + state[f"{name}.mapping.bias"])
        if len(rows) % SEGMENT == STRIDE:
            rows.append(state[f"{name}.new_tokens"][0, 0])
    tokens = _transformer(state, "encoder", torch.stack(rows), shape)
    latents = tokens[STRIDE::SEGMENT] @ state["encoder.proj.weight"].T + state["encoder.proj.bias"]
    scaled = latents * state["bottleneck.scale"][0, :, 0] + state["bottleneck.bias"][0, :, 0]
    return (scaled / state["bottleneck.running_std"]).T


def _decode(module: Same, shape: CodecShape, latents: Tensor) -> Tensor:
    """Decode (latent_dim, L) to (channels, frames)."""
    state = {name: value.double() for name, value in module.state_dict().items()}
    name = "decoder.blocks.0"
    given = (latents.double() * state["bottleneck.running_std"]).T
    given = given @ state["decoder.proj.weight"].T + state["decoder.proj.bias"]
    rows = []
    for number in range(len(given) + len(given) % 2):
        rows.append(given[number] if number < len(given) else torch.zeros_like(given[0]))
        rows += STRIDE * [state[f"{name}.new_tokens"][0, 0]]
    tokens = _transformer(state, "decoder", torch.stack(rows), shape)
    made = torch.stack([row for place, row in enumerate(tokens) if place % SEGMENT])
    silent = torch.zeros_like(made[:1])
    framed = torch.cat((silent, made, silent))
    kernel = _kernel(state, f"{name}.mapping")
    patches = []
    for place in range(STRIDE * len(given)):
        taps = [kernel[..., tap] @ framed[place + tap] for tap in range(3)]
        patch = sum(taps) + state[f"{name}.mapping.bias"]
        patches.append(patch.view(shape.audio_channels, shape.patch_size))
    return torch.cat(patches, dim=1)


@pytest.mark.parametrize("latents", [1, 2, 5])
def test_decodes_as_the_recipe_says(latents: int) -> None:
    module = make_codec(SAME_S)
    given = noise(1, SAME_S.latent_dim, latents)
    made = module.decode(given).sample
    expected = _decode(module, SAME_S, given[0])
    assert expected.std() > 0.1
    torch.testing.assert_close(made[0].double(), expected, atol=5e-6, rtol=0)


@pytest.mark.parametrize("frames", [1, 32, 90])
def test_encodes_as_the_recipe_says(frames: int) -> None:
    module = make_codec(SAME_S)
    audio = noise(1, SAME_S.audio_channels, frames)
    made = module.encode(audio).latents
    expected = _encode(module, SAME_S, audio[0])
    assert expected.std() > 0.1
    torch.testing.assert_close(made[0].double(), expected, atol=5e-6, rtol=0)


def test_a_mono_model_of_another_depth_and_width() -> None:
    shape = replace(
        SAME_S, audio_channels=1, encoder_transformer_depths=(3,), dim_heads=16, latent_dim=5
    )
    module = make_codec(shape)
    given = noise(1, 5, 5)
    made = module.decode(given).sample[0].double()
    torch.testing.assert_close(made, _decode(module, shape, given[0]), atol=5e-6, rtol=0)


@pytest.mark.parametrize("rows", [1, 11, 30, 1000])
def test_how_many_folds_go_at_once_changes_nothing(rows: int) -> None:
    layers = [each for each in make_codec(SAME_S).decoder.modules() if isinstance(each, Layer)]
    tokens = noise(3, 8 * SEGMENT, 32)
    reports: list[float] = []

    def run(rows: int) -> Tensor:
        return run_folded(
            layers,
            tokens,
            segment=SEGMENT,
            keep=slice(1, SEGMENT),
            rows=rows,
            on_progress=reports.append,
        )

    made = run(rows)
    assert made.shape == (3, 8, STRIDE, 32)
    assert reports == sorted(reports)
    assert reports[-1] == 1.0
    torch.testing.assert_close(made, run(2 * SEGMENT), atol=5e-6, rtol=0)


def test_a_batch_is_its_members() -> None:
    module = make_codec(SAME_S)
    given = noise(3, SAME_S.latent_dim, 7)
    together = module.decode(given).sample
    for number in range(3):
        alone = module.decode(given[number : number + 1]).sample
        torch.testing.assert_close(together[number : number + 1], alone, atol=5e-6, rtol=0)
