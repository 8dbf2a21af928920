"""SAME-L's band against dense attention, and its memory against its length."""

import warnings
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from reapaint_engine.backends.stable_audio_3.checkpoint.settings import CodecShape
from reapaint_engine.backends.stable_audio_3.inference.codec import fuse
from reapaint_engine.backends.stable_audio_3.network.banded import BLOCK_SEGMENTS, run_banded
from reapaint_engine.backends.stable_audio_3.network.same import Same
from reapaint_engine.backends.stable_audio_3.network.same_blocks import Layer, Rotation
from tests.engine.backends.stable_audio_3.tiny_codecs import SAME_L, make_codec, noise

ROUNDING = 2e-5
"""Of audio with a standard deviation of about one, after a sine of many turns."""


def dense(module: Same, shape: CodecShape) -> Any:
    """Return diffusers' autoencoder with the same weights: one mask for all of the length."""
    from diffusers import AutoencoderSAME  # slow to import

    names = set(CodecShape.__dataclass_fields__) - {"kind", "sample_rate"}
    with warnings.catch_warnings():
        # diffusers still builds its convolutions with torch's older weight norm.
        warnings.filterwarnings("ignore", ".*weight_norm.*", FutureWarning)
        stock: nn.Module = AutoencoderSAME(**{name: getattr(shape, name) for name in names})
    # Its rotary frequencies are no part of a state dict; all else must match.
    stock.load_state_dict(module.state_dict())
    return stock.eval()


SHAPES = {
    "tiny": SAME_L,
    "one map": replace(SAME_L, use_differential_attention=False),
    "wide window": replace(SAME_L, sliding_window=2),
    "two levels": replace(
        SAME_L,
        encoder_c_mults=(4, 8),
        encoder_strides=(2, 3),
        encoder_transformer_depths=(2, 3),
    ),
}


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("latents", [1, BLOCK_SEGMENTS, 45])
def test_band_equals_dense(name: str, latents: int) -> None:
    shape = SHAPES[name]
    module = make_codec(shape)
    stock = dense(module, shape)
    given = noise(2, shape.latent_dim, latents)
    audio = noise(2, shape.audio_channels, latents * shape.hop - 1)
    with torch.inference_mode():
        expected = stock.decode(given).sample
        assert expected.std() > 0.1
        made = module.decode(given).sample
        torch.testing.assert_close(made, expected, atol=ROUNDING, rtol=0)
        expected = stock.encode(audio).latents
        assert expected.std() > 0.1
        torch.testing.assert_close(module.encode(audio).latents, expected, atol=ROUNDING, rtol=0)


@pytest.mark.parametrize("rows", [1, 60, 300, 10_000])
@pytest.mark.parametrize("batch", [1, 3])
def test_where_the_stretches_end_changes_nothing(rows: int, batch: int) -> None:
    layers = [each for each in make_codec(SAME_L).decoder.modules() if isinstance(each, Layer)]
    segment = SAME_L.encoder_strides[0] + 1
    tokens = noise(batch, 19 * segment, 32)
    reports: list[float] = []

    def run(rows: int) -> Tensor:
        return run_banded(
            layers,
            tokens,
            segment=segment,
            window=1,
            keep=slice(1, segment),
            rows=rows,
            on_progress=reports.append,
        )

    made = run(rows)
    assert made.shape == (batch, 19, segment - 1, 32)
    assert reports == sorted(reports)
    assert reports[-1] == 1.0
    torch.testing.assert_close(made, run(1000), atol=ROUNDING, rtol=0)


class _Allocations(TorchDispatchMode):
    """Notes the largest tensor that any operation returns."""

    def __init__(self) -> None:
        super().__init__()
        self.largest_bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        for each in tree_leaves(made):
            if isinstance(each, Tensor):
                self.largest_bytes = max(self.largest_bytes, each.untyped_storage().nbytes())
        return made


THIN = replace(
    SAME_L,
    patch_size=1,
    encoder_channels=2,
    encoder_strides=(16,),
    encoder_transformer_depths=(2,),
    dim_heads=4,
)
"""As many tokens to a latent as the real one, hardly any channels."""


def _largest_bytes(latents: int) -> tuple[int, int]:
    module = make_codec(THIN)
    with torch.inference_mode(), _Allocations() as decoding:
        audio = module.decode(noise(1, THIN.latent_dim, latents)).sample
    with torch.inference_mode(), _Allocations() as encoding:
        module.encode(audio)
    return decoding.largest_bytes, encoding.largest_bytes


def test_two_minutes_need_memory_in_proportion() -> None:
    minute, two = _largest_bytes(646), _largest_bytes(1292)
    tokens = 1292 * 17
    dense_mask_bytes = 4 * tokens**2
    carried_bytes = 4 * tokens * 8
    for once, twice in zip(minute, two, strict=True):
        assert twice <= 2 * once + 4096
        assert twice <= 3 * carried_bytes
        assert twice < dense_mask_bytes / 500


def test_the_dense_one_would_be_caught() -> None:
    stock = dense(make_codec(THIN), THIN)
    with torch.inference_mode(), _Allocations() as decoding:
        stock.decode(noise(1, THIN.latent_dim, 40))
    assert decoding.largest_bytes >= 4 * (40 * 17) ** 2


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_positions_stay_distinct_after_a_cast(dtype: torch.dtype) -> None:
    shape = replace(SAME_L, decoder_sinusoidal_blocks=(0,))
    rounded = make_codec(shape).to(dtype)
    exact = make_codec(shape)
    for ours, theirs in zip(exact.parameters(), rounded.parameters(), strict=True):
        ours.copy_(theirs)
    exact.bottleneck.running_std.copy_(rounded.bottleneck.running_std)
    given = noise(1, shape.latent_dim, 400)
    expected = exact.decode(given).sample
    made = rounded.decode(given).sample
    assert made.dtype == torch.float32
    error = (made - expected).unflatten(-1, (20, -1)).std(dim=(0, 1, 3)) / expected.std()
    # Rounding of the weights' type alone, the same all along; with positions in that type
    # it is ten times as much wherever positions fall together.
    assert error.max() < 8 * torch.finfo(dtype).eps
    assert error.max() < 2 * error.min()


def test_rotations_are_float32_under_any_default() -> None:
    torch.set_default_dtype(torch.bfloat16)
    try:
        rotation = Rotation.of(2000, 64, torch.device("cpu"))
    finally:
        torch.set_default_dtype(torch.float32)
    assert rotation.cos.dtype == rotation.sin.dtype == torch.float32
    # The fastest pair turns by one radian a position.
    expected = torch.arange(2000, dtype=torch.float64)
    torch.testing.assert_close(rotation.sin[:, 0, 0].double(), expected.sin(), atol=1e-7, rtol=0)


def test_a_fused_module_is_the_same_one() -> None:
    module = make_codec(SAME_L)
    given = noise(1, SAME_L.latent_dim, 9)
    before = module.decode(given).sample
    fuse(fuse(module))
    assert not [name for name in module.state_dict() if name.endswith(("weight_g", "weight_v"))]
    torch.testing.assert_close(module.decode(given).sample, before, atol=ROUNDING, rtol=0)
