"""Whether a device computes a model as the CPU would, found out before a user hears it.

Some drivers and precisions give noise, silence or not-a-number without an error. Each
layer's output on the device is compared with the same layer's in float32 on the CPU, on
the input that it had on the device: an error shows in the layer that makes it, and only
one layer is in memory twice.
"""

import copy
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from reapaint_engine.backends.stable_audio_3.checkpoint.settings import ModelSettings
from reapaint_engine.backends.stable_audio_3.device.placement import DevicePlan
from reapaint_engine.backends.stable_audio_3.inference.codec import Codec
from reapaint_engine.backends.stable_audio_3.inference.loading import Parts
from reapaint_engine.backends.stable_audio_3.network.same_blocks import Layer
from reapaint_engine.errors import JobError
from reapaint_engine.protocol.errors import ErrorCode

MAX_RELATIVE_ERROR = {torch.float32: 1e-3, torch.float16: 3e-2, torch.bfloat16: 1.5e-1}
"""Largest relative error of one layer by its precision, several times what is measured
on devices that work: 2e-6, 3e-3 and 2e-2."""

CHECKED_LATENTS = 4


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
    with _recording_calls(layers) as calls:
        output = run()
    _check_sound(name, output)
    for number, layer in enumerate(layers, start=1):
        arguments, keywords, on_device = calls[layer]
        error = _relative_error(layer, arguments, keywords, on_device)
        if not error <= MAX_RELATIVE_ERROR[_precision(layer, on_device)]:
            raise _broken(f"layer {number} of its {name} is off by {error:.1%}")


def _precision(layer: nn.Module, output: Tensor) -> torch.dtype:
    """Return what a layer multiplies in; it may add up in more."""
    weight = next((each for each in layer.parameters() if each.ndim > 1), output)
    return weight.dtype


def _check_sound(name: str, output: Tensor) -> None:
    if not bool(torch.isfinite(output).all()):
        raise _broken(f"its {name} gives numbers that are not finite")
    if float(output.float().std()) == 0.0:
        raise _broken(f"its {name} gives silence")


SelfTestCall = tuple[tuple[Any, ...], dict[str, Any], Tensor]


@contextmanager
def _recording_calls(layers: Sequence[nn.Module]) -> Iterator[dict[nn.Module, SelfTestCall]]:
    """Keep each layer's last call: its input and what came of it."""
    calls: dict[nn.Module, SelfTestCall] = {}
    given: dict[nn.Module, tuple[tuple[Any, ...], dict[str, Any]]] = {}

    def before(layer: nn.Module, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> None:
        # Now, and as a copy: a layer may work in place.
        given[layer] = (_on_cpu(arguments), _on_cpu(keywords))

    def after(layer: nn.Module, _arguments: tuple[Any, ...], output: Tensor) -> None:
        calls[layer] = (*given[layer], output.clone())

    hooks = [layer.register_forward_pre_hook(before, with_kwargs=True) for layer in layers]
    hooks += [layer.register_forward_hook(after) for layer in layers]
    try:
        yield calls
    finally:
        for hook in hooks:
            hook.remove()


def _relative_error(
    layer: nn.Module, arguments: tuple[Any, ...], keywords: dict[str, Any], on_device: Tensor
) -> float:
    reference = copy.deepcopy(layer).to("cpu", torch.float32)
    expected = reference(*arguments, **keywords)
    difference = on_device.to("cpu", torch.float32) - expected
    return float(difference.norm() / expected.norm().clamp_min(1e-12))


def _on_cpu(value: Any) -> Any:
    """Return a copy with every tensor on the CPU, numbers in float32."""
    if isinstance(value, Tensor):
        dtype = torch.float32 if value.is_floating_point() else value.dtype
        return value.to("cpu", dtype, copy=True)
    if isinstance(value, tuple):
        return tuple(_on_cpu(each) for each in value)
    if isinstance(value, dict):
        return {name: _on_cpu(each) for name, each in value.items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = dataclasses.fields(value)
        copied = {field.name: _on_cpu(getattr(value, field.name)) for field in fields}
        return dataclasses.replace(value, **copied)
    return value


def _broken(what: str) -> JobError:
    return JobError(
        ErrorCode.DEVICE_FAILED,
        f"This device computes the model wrongly: {what}.",
        hint="Update its driver, or run on the CPU with `reapaint serve --device cpu`.",
    )


def check_parts(parts: Parts, plan: DevicePlan, settings: ModelSettings) -> None:
    """Check the networks of a model that was just loaded; the CPU in float32 is the measure.

    Raises
    ------
    JobError
        ``device_failed``: the device computes one of them wrongly.
    """
    generator = torch.Generator().manual_seed(0)

    def noise(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator).to(plan.device)

    if (plan.device, plan.model_dtype) != ("cpu", "float32"):
        blocks = list(parts.transformer.transformer_blocks)  # type: ignore[arg-type]
        check_layers("transformer", blocks, lambda: _run_transformer(parts, settings, noise))
    if (plan.device, plan.codec_dtype) != ("cpu", "float32"):
        codec = Codec(parts.codec_module, settings.codec)
        layers = [each for each in codec.module.modules() if isinstance(each, Layer)]
        audio = 0.1 * noise(1, codec.channels, CHECKED_LATENTS * codec.hop)
        check_layers("codec", layers, lambda: codec.decode(codec.encode(audio)))


def _run_transformer(parts: Parts, settings: ModelSettings, noise: Callable[..., Tensor]) -> Tensor:
    shape = settings.transformer
    transformer: Any = parts.transformer
    dtype = transformer.proj_in.weight.dtype
    output: Tensor = transformer(
        noise(1, shape.io_channels, CHECKED_LATENTS).to(dtype),
        timestep=torch.tensor([0.5], device=transformer.proj_in.weight.device),
        encoder_hidden_states=noise(1, 4, shape.cond_token_dim).to(dtype),
        global_hidden_states=noise(1, shape.global_cond_dim).to(dtype),
        local_add_cond=noise(1, shape.local_add_cond_dim, CHECKED_LATENTS).to(dtype),
        return_dict=False,
    )[0]
    return output
