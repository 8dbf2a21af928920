"""A device that computes wrongly is found out by the layer that does."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from reapaint_engine.backends.stable_audio_3.checkpoint.checkpoint import open_checkpoint
from reapaint_engine.backends.stable_audio_3.device.placement import DevicePlan
from reapaint_engine.backends.stable_audio_3.inference.loading import load
from reapaint_engine.backends.stable_audio_3.inference.self_test import check_layers, check_parts
from reapaint_engine.errors import JobError
from tests.tiny_checkpoints import write_original


class WrongLinear(nn.Linear):
    """Stands for a broken device: wrong in half precision, right on the CPU in float32."""

    def forward(self, x: Tensor) -> Tensor:
        y = super().forward(x)
        return y + 0.5 * y.roll(1, -1) if x.dtype == torch.bfloat16 else y


def _network(second: type[nn.Linear]) -> tuple[nn.Sequential, list[nn.Module]]:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(8, 8), second(8, 8), nn.Linear(8, 8)).to(torch.bfloat16)
    return network, list(network)


@torch.inference_mode()
def test_a_sound_network_passes() -> None:
    network, layers = _network(nn.Linear)
    check_layers("network", layers, lambda: network(torch.randn(4, 8, dtype=torch.bfloat16)))


@torch.inference_mode()
def test_the_wrong_layer_is_named() -> None:
    network, layers = _network(WrongLinear)
    with pytest.raises(JobError) as caught:
        check_layers("network", layers, lambda: network(torch.randn(4, 8, dtype=torch.bfloat16)))
    assert caught.value.code == "device_failed"
    assert "layer 2 of its network" in caught.value.message
    assert "--device cpu" in caught.value.hint


@pytest.mark.parametrize(
    ("value", "said"),
    [(float("nan"), "not finite"), (float("inf"), "not finite"), (0.0, "silence")],
)
@torch.inference_mode()
def test_noughts_and_not_a_number_are_named(value: float, said: str) -> None:
    layer = nn.Linear(4, 4)
    with pytest.raises(JobError, match=said):
        check_layers("codec", [layer], lambda: layer(torch.ones(2, 4)) * 0 + value)


def test_a_layer_that_works_in_place_is_compared_on_its_true_input() -> None:
    class InPlace(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.add_(1).mul_(2)

    layer = InPlace()
    check_layers("network", [layer], lambda: layer(torch.linspace(0, 1, 5)))


@pytest.mark.parametrize("codec", ["same-s", "same-l"])
def test_every_network_of_a_model_is_checked(codec: str, tmp_path: Path) -> None:
    settings = write_original(tmp_path / "tiny", codec)
    plan = DevicePlan("cpu", "bfloat16", "float16", "cpu", "For tests.")
    with torch.inference_mode():
        parts = load(open_checkpoint(tmp_path / "tiny"), plan, lambda fraction: None)
        check_parts(parts, plan, settings)
        parts.transformer.transformer_blocks[1].ff = _Noisy(parts.transformer, 1)
        with pytest.raises(JobError, match="layer 2 of its transformer"):
            check_parts(parts, plan, settings)


class _Noisy(nn.Module):
    """Stands for a kernel that goes wrong in half precision."""

    def __init__(self, transformer: nn.Module, block: int) -> None:
        super().__init__()
        self.right = transformer.transformer_blocks[block].ff

    def forward(self, x: Tensor) -> Tensor:
        y = self.right(x)
        return y if x.dtype == torch.float32 else torch.randn_like(y)
