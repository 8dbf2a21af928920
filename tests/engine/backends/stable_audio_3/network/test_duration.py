import math
from typing import Any

import pytest
import torch
from diffusers.pipelines.stable_audio_3.modeling_stable_audio_3 import StableAudio3DurationEmbedder
from torch import Tensor

from reapaint_engine.backends.stable_audio_3.network.duration import embed_duration

DURATIONS_S = (0.0, 0.5, 4.0, 10.0, 30.123, 190.0, 384.0)


@pytest.fixture
def embedder() -> Any:
    torch.manual_seed(0)
    return StableAudio3DurationEmbedder(output_dim=48, fourier_dim=64).requires_grad_(False)


def exact(embedder: Any, seconds: float) -> Tensor:
    """The formula in float64: Fourier features of seconds / 384 at 0.5 Hz to 10 kHz."""
    share = min(max(seconds, 0.0), 384.0) / 384.0
    frequencies = [0.5 * 20000.0 ** (k / 31) for k in range(32)]
    angles = torch.tensor([2 * math.pi * f * share for f in frequencies], dtype=torch.float64)
    features = torch.cat([angles.cos(), angles.sin()])
    return embedder.linear.weight.double() @ features + embedder.linear.bias.double()


@pytest.mark.parametrize("seconds", DURATIONS_S)
@torch.inference_mode()
def test_it_is_the_formula_and_diffusers_own(embedder: Any, seconds: float) -> None:
    found = embed_duration(embedder, seconds)
    assert found.shape == (1, 48)
    # Near 384 s an angle is up to 63 thousand radians, where a float32 is 4 thousandths wide.
    torch.testing.assert_close(found[0].double(), exact(embedder, seconds), atol=5e-3, rtol=0.0)
    assert torch.equal(found, embedder(torch.tensor([seconds])))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("seconds", [4.0, 10.0, 30.0, 190.0])
@torch.inference_mode()
def test_a_halved_module_costs_only_its_weights(
    embedder: Any, seconds: float, dtype: torch.dtype
) -> None:
    expected = embed_duration(embedder, seconds)
    halved = embedder.to(dtype)
    found = embed_duration(halved, seconds)
    assert found.dtype == torch.float32
    assert (found - expected).norm() < 0.005 * expected.norm()
    stock = halved(torch.tensor([seconds]))
    assert (stock - expected).norm() > 4 * (found - expected).norm()


@torch.inference_mode()
def test_beyond_its_range_is_its_end(embedder: Any) -> None:
    assert torch.equal(embed_duration(embedder, 400.0), embed_duration(embedder, 384.0))
    assert torch.equal(embed_duration(embedder, -1.0), embed_duration(embedder, 0.0))
