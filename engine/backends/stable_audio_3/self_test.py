"""Whether a device computes a model as the CPU would, found out before a user hears it.

Some drivers and precisions give noise, silence or not-a-number without an error. Each
layer's output on the device is compared with the same layer's in float32 on the CPU, on
the input that it had on the device: an error shows in the layer that makes it, and only
one layer is in memory twice.
"""

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from engine.errors import JobError
from engine.protocol.errors import ErrorCode

TOLERANCES = {torch.float32: 1e-3, torch.float16: 3e-2, torch.bfloat16: 1.5e-1}
"""Largest relative error of one layer by its precision, several times what is measured
on devices that work: 2e-6, 3e-3 and 2e-2."""


def check_layers(name: str, layers: Sequence[nn.Module], run: Callable[[], Tensor]) -> None:
    """Run a network on its device, and compare its layers with the CPU's.

    Parameters
    ----------
    name
        What the network is called, for the sentence.
    layers
        Those that are compared; each is called at least once in a run, and its output is
        one tensor.
    run
        Computes the network's output from some fixed input.

    Raises
    ------
    JobError
        ``device_failed``: something is not finite, silent, or wrong.
    """
    with _recorded(layers) as calls:
        output = run()
    _check_sound(name, output)
    for number, layer in enumerate(layers, start=1):
        arguments, keywords, on_device = calls[layer]
        error = _relative_error(layer, arguments, keywords, on_device)
        if not error <= TOLERANCES[on_device.dtype]:
            raise _broken(f"layer {number} of its {name} is off by {error:.0%}")


def _check_sound(name: str, output: Tensor) -> None:
    if not bool(torch.isfinite(output).all()):
        raise _broken(f"its {name} gives numbers that are not finite")
    if float(output.float().std()) == 0.0:
        raise _broken(f"its {name} gives silence")


Call = tuple[tuple[Any, ...], dict[str, Any], Tensor]


@contextmanager
def _recorded(layers: Sequence[nn.Module]) -> Iterator[dict[nn.Module, Call]]:
    """Keep each layer's last call: its input and what came of it."""
    calls: dict[nn.Module, Call] = {}

    def record(
        layer: nn.Module, arguments: tuple[Any, ...], keywords: dict[str, Any], output: Tensor
    ) -> None:
        calls[layer] = (arguments, keywords, output)

    hooks = [layer.register_forward_hook(record, with_kwargs=True) for layer in layers]
    try:
        yield calls
    finally:
        for hook in hooks:
            hook.remove()


def _relative_error(
    layer: nn.Module, arguments: tuple[Any, ...], keywords: dict[str, Any], on_device: Tensor
) -> float:
    reference = copy.deepcopy(layer).to("cpu", torch.float32)
    expected = reference(
        *(_on_cpu(each) for each in arguments),
        **{name: _on_cpu(each) for name, each in keywords.items()},
    )
    difference = on_device.to("cpu", torch.float32) - expected
    return float(difference.norm() / expected.norm().clamp_min(1e-12))


def _on_cpu(value: Any) -> Any:
    if not isinstance(value, Tensor):
        return value
    return value.to("cpu", torch.float32 if value.is_floating_point() else value.dtype)


def _broken(what: str) -> JobError:
    return JobError(
        ErrorCode.DEVICE_FAILED,
        f"This device computes the model wrongly: {what}.",
        hint="Update its driver, or run on the CPU with `reapaint serve --device cpu`.",
    )
