"""The transformer's matrices as plain calls, laid out for the processor where that is faster."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


class Projection:
    """A linear layer: ``x @ weight.T + bias``."""

    def __init__(self, layer: nn.Linear) -> None:
        self._weight = layer.weight.detach()
        self._bias = None if layer.bias is None else layer.bias.detach()

    def __call__(self, x: Tensor) -> Tensor:
        """Project the last axis of ``x``."""
        return functional.linear(x, self._weight, self._bias)

    def restore(self, layer: nn.Linear) -> None:
        """Give the layer back what was taken from it."""


class PackedProjection:
    """A linear layer whose weight lies in memory as oneDNN's matrix units want it.

    Unpacked, every call lays the weight out anew, which at a few hundred tokens costs
    10 to 50 % of the multiplication. The layer's own weight is given up, so that the
    model is held once; the layout loses nothing, and ``restore`` undoes it.
    """

    def __init__(self, layer: nn.Linear) -> None:
        self._shape = layer.weight.shape
        self._weight = _ops().mkldnn._reorder_linear_weight(layer.weight.detach(), None)
        self._bias = None if layer.bias is None else layer.bias.detach()
        layer.weight = _empty_parameter(layer.weight)

    def __call__(self, x: Tensor) -> Tensor:
        """Project the last axis of ``x``."""
        return _pointwise(x, self._weight, self._bias, "none")

    def restore(self, layer: nn.Linear) -> None:
        """Give the layer its weight back; this object is of no use afterwards."""
        layer.weight = nn.Parameter(self._weight.to_dense(), requires_grad=False)


class GatedProjection:
    """A linear layer's first half times the SiLU of its second half."""

    def __init__(self, layer: nn.Linear) -> None:
        self._projection = Projection(layer)

    def __call__(self, x: Tensor) -> Tensor:
        """Project the last axis of ``x`` and gate it."""
        values, gates = self._projection(x).chunk(2, dim=-1)
        return functional.silu(gates).mul_(values)

    def restore(self, layer: nn.Linear) -> None:
        """Give the layer back what was taken from it."""


class PackedGatedProjection:
    """The same from packed weights, with SiLU and product inside the multiplications."""

    def __init__(self, layer: nn.Linear) -> None:
        weights = layer.weight.detach().chunk(2)
        reorder = _ops().mkldnn._reorder_linear_weight
        self._values, self._gates = (reorder(half.contiguous(), None) for half in weights)
        bias = layer.bias.detach()
        self._values_bias, self._gates_bias = (half.contiguous() for half in bias.chunk(2))
        layer.weight = _empty_parameter(layer.weight)

    def __call__(self, x: Tensor) -> Tensor:
        """Project the last axis of ``x`` and gate it."""
        gates = _pointwise(x, self._gates, self._gates_bias, "swish")
        return _pointwise_with(x, gates, self._values, self._values_bias, "mul")

    def restore(self, layer: nn.Linear) -> None:
        """Give the layer its weight back; this object is of no use afterwards."""
        weight = torch.cat([self._values.to_dense(), self._gates.to_dense()])
        layer.weight = nn.Parameter(weight, requires_grad=False)


def can_pack(weight: Tensor) -> bool:
    """Whether packing weights like this one works here and pays: bfloat16 on a capable CPU.

    Parameters
    ----------
    weight
        Shape (outputs, inputs); float32, bfloat16 or float16.

    Notes
    -----
    The operations are those that ``torch.compile`` emits for a CPU. They are no public
    interface, so they are tried on a small matrix first. float32 gains nothing by them
    (measured within 3 %), and float16 has no matrix unit on the processors at hand.
    """
    if weight.device.type != "cpu" or weight.dtype != torch.bfloat16:
        return False
    try:
        if not _ops().mkldnn._is_mkldnn_bf16_supported():
            return False
        return _packing_agrees()
    except (AttributeError, NotImplementedError, RuntimeError, TypeError):
        return False


def _packing_agrees() -> bool:
    layer = nn.Linear(32, 64, device="cpu", dtype=torch.bfloat16)
    with torch.no_grad():
        layer.weight.copy_(torch.linspace(-1, 1, layer.weight.numel()).view_as(layer.weight))
    x = torch.linspace(-1, 1, 5 * 32).view(5, 32).to(torch.bfloat16)
    expected = (GatedProjection(layer)(x), Projection(layer)(x))
    kept = layer.weight.detach().clone()
    packed = PackedGatedProjection(layer)
    gated = packed(x)
    packed.restore(layer)
    plain = PackedProjection(layer)
    got = (gated, plain(x))
    plain.restore(layer)
    close = all(
        torch.allclose(a, b, atol=0.1, rtol=0.02) for a, b in zip(got, expected, strict=True)
    )
    return close and torch.equal(layer.weight, kept)


def _ops() -> Any:
    return torch.ops


def _pointwise(x: Tensor, weight: Tensor, bias: Tensor | None, after: str) -> Tensor:
    result: Tensor = _ops().mkldnn._linear_pointwise(x, weight, bias, after, [], "")
    return result


def _pointwise_with(
    x: Tensor, other: Tensor, weight: Tensor, bias: Tensor | None, after: str
) -> Tensor:
    result: Tensor = _ops().mkldnn._linear_pointwise.binary(x, other, weight, bias, after)
    return result


def _empty_parameter(weight: Tensor) -> nn.Parameter:
    return nn.Parameter(weight.new_empty(0), requires_grad=False)
