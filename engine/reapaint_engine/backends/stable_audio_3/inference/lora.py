"""Adapters on a model in memory: put on, changed and taken off without loading it again.

An adapter is added into the weights, so that it costs nothing while audio is made. The
weights that were there are kept, and given back as they were to the last bit.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from reapaint_engine.backends.stable_audio_3.checkpoint.adapters import (
    Adapter,
    AdapterKind,
    AdapterLayer,
    refused,
)
from reapaint_engine.backends.stable_audio_3.checkpoint.keys import (
    CONDITIONER_PREFIX,
    DURATION_PREFIX,
    FUSED_ORDER,
    TRANSFORMER_PREFIX,
    is_fused,
    transformer_key,
)
from reapaint_engine.backends.stable_audio_3.checkpoint.tensor_files import StoredTensor
from reapaint_engine.backends.stable_audio_3.inference.loading import Parts
from reapaint_engine.protocol.errors import reason_of

_WRAPPERS = ("base_model", "diffusion_model", "model", "transformer")
"""What trainers put before a layer's name."""

_LENGTH_EPS = 1e-12
"""Added to lengths before dividing, as in training."""


@dataclass(frozen=True, slots=True)
class _Target:
    """One layer that can be adapted."""

    layer: nn.Module
    name: str

    @property
    def weight(self) -> Tensor:
        weight = self.layer.weight
        assert isinstance(weight, Tensor)
        return weight


@dataclass(frozen=True, slots=True)
class _Change:
    """What one adapter does to one target."""

    kind: AdapterKind
    layer: AdapterLayer
    strength: float
    row_order: tuple[int, ...] | None


class AdapterStack:
    """The adapters of one loaded model.

    ``use`` replaces the weights of the layers that change. Whatever was built from them has
    to be built again: release a ``Denoiser`` before and make another one after.

    Notes
    -----
    The replaced weights stay in the computer's memory, wherever the model is. A graphics
    card's memory so stays the same, and so does that of a CPU whose weights lie in the
    checkpoint's own pages; a CPU in bfloat16 needs room for the adapted layers twice.
    Adding low-rank products at each step instead would be slower, and can't be done to
    what DoRA does, which scales whole rows.
    """

    def __init__(self, parts: Parts) -> None:
        self._targets = _targets(parts)
        self._originals: dict[str, Tensor] = {}
        self._active: tuple[tuple[str, float], ...] = ()

    def is_using(self, adapters: Sequence[tuple[Adapter, float]]) -> bool:
        """Return whether ``use`` would change nothing."""
        return _identity(adapters) == self._active

    @torch.no_grad()
    def use(self, adapters: Sequence[tuple[Adapter, float]]) -> None:
        """Have these adapters act, each with its strength, and no others.

        Parameters
        ----------
        adapters
            Adapter and strength: 0 = not at all, 1 = as trained. Where several change one
            layer they do so in this order.

        Raises
        ------
        JobError
            ``model_broken``: an adapter is of another model; the message names its tensor
            and shape, and nothing has changed. Or it can't be read any more; the model is
            then without any.
        """
        if self.is_using(adapters):
            return
        changes = self._resolve(adapters)
        try:
            for name in [name for name in self._originals if name not in changes]:
                self._restore(name)
            for name, wanted in changes.items():
                self._adapt(name, wanted)
        except BaseException:
            self.clear()
            raise
        self._active = _identity(adapters)

    def clear(self) -> None:
        """Give every layer its own weights back, bit for bit."""
        for name in list(self._originals):
            self._restore(name)
        self._active = ()

    def _resolve(
        self, adapters: Sequence[tuple[Adapter, float]]
    ) -> Mapping[str, Sequence[_Change]]:
        changes: dict[str, list[_Change]] = {}
        for adapter, strength in adapters:
            for layer in adapter.layers if strength else ():
                target, row_order = self._find(layer)
                _check(layer, target.weight)
                change = _Change(adapter.kind, layer, strength, row_order)
                changes.setdefault(target.name, []).append(change)
        return changes

    def _find(self, layer: AdapterLayer) -> tuple[_Target, tuple[int, ...] | None]:
        for candidate in _candidates(layer.module):
            if candidate in self._targets:
                return self._targets[candidate]
        raise refused(
            f"{layer.up.path.name} is for another model: it changes {layer.up.key} "
            f"{list(layer.up.shape)}, and there is no such layer here."
        )

    def _adapt(self, name: str, changes: Sequence[_Change]) -> None:
        target, _ = self._targets[name]
        weight = target.weight
        original = self._originals.setdefault(name, weight.to("cpu"))
        adapted = original.to(weight.device, torch.float32).flatten(1)
        for change in changes:
            adapted = _apply(adapted, change)
        _set_weight(target, adapted.view(original.shape).to(weight.device, weight.dtype))

    def _restore(self, name: str) -> None:
        target, _ = self._targets[name]
        _set_weight(target, self._originals.pop(name).to(target.weight.device))


def _apply(weight: Tensor, change: _Change) -> Tensor:
    """Return a weight of shape (outputs, inputs), float32, as an adapter changes it.

    Notes
    -----
    Formulas of LoRA (arXiv 2106.09685), DoRA (arXiv 2402.09353) and BoRA (arXiv 2412.06441)
    as Stability AI's trainer has them: the strength scales the update, the lengths are the
    trained ones at any strength.
    """
    layer, device = change.layer, weight.device
    up = _reorder(_load(layer.up, device).flatten(1), change.row_order)
    down = _load(layer.down, device).flatten(1)
    adapted = torch.addmm(weight, up, down, alpha=layer.scale * change.strength)
    if layer.row_lengths is not None:
        lengths = _reorder(_load(layer.row_lengths, device).view(-1, 1), change.row_order)
        adapted *= lengths / (adapted.norm(dim=1, keepdim=True) + _LENGTH_EPS)
    if layer.column_lengths is not None:
        lengths = _load(layer.column_lengths, device).view(1, -1)
        adapted *= lengths / (adapted.norm(dim=0, keepdim=True) + _LENGTH_EPS)
    return adapted


def _load(stored: StoredTensor, device: torch.device) -> Tensor:
    try:
        with safe_open(stored.path, "pt", device=str(device)) as file:
            tensor: Tensor = file.get_tensor(stored.key)
    except (SafetensorError, OSError) as error:
        raise refused(
            f"{stored.path.name} can no longer be read: {reason_of(error)}.",
            hint="Put the adapter back, or do without it.",
        ) from error
    return tensor.float()


def _reorder(rows: Tensor, order: tuple[int, ...] | None) -> Tensor:
    if order is None:
        return rows
    groups = rows.chunk(len(order))
    return torch.cat([groups[group] for group in order])


def _set_weight(target: _Target, weight: Tensor) -> None:
    target.layer.weight = nn.Parameter(weight, requires_grad=False)


def _check(layer: AdapterLayer, weight: Tensor) -> None:
    rows, columns = weight.shape[0], weight[0].numel()
    for stored, found, wanted, what in (
        (layer.down, layer.down.shape[1], columns, "inputs"),
        (layer.up, layer.up.shape[0], rows, "outputs"),
        (layer.row_lengths, _elements(layer.row_lengths), rows, "outputs"),
        (layer.column_lengths, _elements(layer.column_lengths), columns, "inputs"),
    ):
        if stored is not None and found != wanted:
            raise refused(
                f"{stored.path.name} is for another model: {stored.key} is "
                f"{list(stored.shape)}, but the layer has {wanted} {what} here."
            )


def _elements(stored: StoredTensor | None) -> int:
    return 0 if stored is None else torch.Size(stored.shape).numel()


# Names


def _targets(parts: Parts) -> Mapping[str, tuple[_Target, tuple[int, ...] | None]]:
    """Return every layer that can be adapted, by each name that trainers know it by.

    With it comes the order to take an adapter's rows in, where the trainer's differs.
    """
    transformer: Any = parts.transformer
    is_differential = transformer.config.use_differential_attention
    targets: dict[str, tuple[_Target, tuple[int, ...] | None]] = {}
    for name, layer in _layers(parts.transformer):
        targets[name] = (_Target(layer, name), None)
    for name, layer in _layers(parts.transformer):
        key = f"{name}.weight"
        original = transformer_key(key).removeprefix(TRANSFORMER_PREFIX).removesuffix(".weight")
        order = FUSED_ORDER if is_differential and is_fused(key) else None
        targets.setdefault(original, (_Target(layer, name), order))
    duration: Any = parts.duration_embedder
    name = DURATION_PREFIX.removeprefix(CONDITIONER_PREFIX).removesuffix(".")
    targets[name] = (_Target(duration.linear, name), None)
    return targets


def _layers(network: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    for name, layer in network.named_modules():
        if isinstance(layer, nn.Linear | nn.Conv1d):
            yield name, layer


def _candidates(module: str) -> Iterator[str]:
    """Yield a layer's name, and what is left of it without the wrappers around the model."""
    yield module
    head, _, rest = module.partition(".")
    while head in _WRAPPERS and rest:
        yield rest
        head, _, rest = rest.partition(".")


def _identity(adapters: Sequence[tuple[Adapter, float]]) -> tuple[tuple[str, float], ...]:
    return tuple((adapter.revision, float(s)) for adapter, s in adapters if s)
