"""Where a checkpoint runs and in what precision: a rule that says its reason.

CUDA takes the model and the codec in float16. A CPU with AMX or AVX-512 BF16 takes the
model in bfloat16 and the codec in float32; every other device takes float32. Where a
card's memory is short, the text encoder, needed once a prompt, stays on the CPU.
"""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from reapaint_engine.backends.stable_audio_3.checkpoint.catalog import GIB, INSTALL_COMMAND, Sizes
from reapaint_engine.backends.stable_audio_3.device.machine_memory import available_memory
from reapaint_engine.errors import JobError
from reapaint_engine.protocol.errors import THE_PATH, ErrorCode
from reapaint_engine.protocol.params import AUTO

_PARAMETER_BYTES = {"float16": 2, "bfloat16": 2, "float32": 4}

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Card:
    """One CUDA device and the memory that is free on it."""

    index: int
    name: str
    free_bytes: int


@dataclass(frozen=True, slots=True)
class Machine:
    """What a machine has; ``mps_free_bytes`` is None where there is no Apple GPU.

    ``fast_bfloat16`` names what makes bfloat16 faster than float32 on this CPU, or is
    empty.
    """

    cards: tuple[Card, ...]
    mps_free_bytes: int | None
    fast_bfloat16: str
    free_bytes: int


@dataclass(frozen=True, slots=True)
class DevicePlan:
    """Where each part of one checkpoint goes, and why.

    ``fits`` is False where the memory that is free won't do; the plan is then the least
    that could be tried.
    """

    device: str
    model_dtype: str
    codec_dtype: str
    text_device: str
    reason: str
    needed_bytes: int = 0
    fits: bool = True

    @property
    def is_gpu(self) -> bool:
        """Whether the model runs on something faster than the CPU."""
        return self.device != "cpu"


def plan_device(
    sizes: Sizes, requested: str = AUTO, probe: Callable[[], Machine] | None = None
) -> DevicePlan:
    """Look at this machine and decide where a checkpoint runs.

    Raises
    ------
    JobError
        ``no_model`` where torch is not installed, ``device_failed`` for a device that is
        not here.
    """
    return decide(sizes, (probe or probe_machine)(), requested)


def decide(sizes: Sizes, machine: Machine, requested: str = AUTO) -> DevicePlan:
    """Decide where a checkpoint runs on a machine.

    Parameters
    ----------
    requested
        ``auto``, ``cpu``, ``mps``, ``cuda`` or ``cuda:N``.

    Returns
    -------
    DevicePlan
        The first that fits of: the cards, the freest first; the Apple GPU; the CPU. A
        device that was named is kept to, also where the model doesn't fit.

    Raises
    ------
    JobError
        ``device_failed``: the device is not here, or there is no such name.
    """
    if requested == AUTO:
        plans = [*_on_cards(sizes, machine.cards), *_on_mps(sizes, machine)]
        plans.append(_on_cpu(sizes, machine))
    elif requested == "cpu":
        plans = [_on_cpu(sizes, machine)]
    elif requested == "mps":
        plans = list(_on_mps(sizes, machine))
    else:
        plans = list(_on_cards(sizes, _find_cards(machine.cards, requested)))
    if not plans:
        raise _no_such_device(machine, requested)
    chosen = next((plan for plan in plans if plan.fits), plans[-1])
    return _with_reason(chosen, plans)


def probe_machine() -> Machine:
    """Ask torch and the system what this machine has.

    Raises
    ------
    JobError
        ``no_model``: torch is not installed, or can't be loaded.
    """
    try:
        import torch  # type: ignore[import-not-found,unused-ignore]
    except (ImportError, OSError) as error:
        path = getattr(error, "path", None)
        said = str(error).replace(path, THE_PATH) if path else str(error)
        raise JobError(
            ErrorCode.NO_MODEL,
            f"The model's packages can't be loaded: {said}.",
            hint=f"Install them with `{INSTALL_COMMAND}`.",
            path=path,
        ) from error
    return Machine(
        cards=tuple(usable_cards(torch)),
        mps_free_bytes=_mps_free_bytes(torch),
        fast_bfloat16=fast_bfloat16_of(torch),
        free_bytes=available_memory(),
    )


# The rule


def _on_cards(sizes: Sizes, cards: tuple[Card, ...]) -> Iterator[DevicePlan]:
    for card in sorted(cards, key=lambda card: -card.free_bytes):
        device = f"cuda:{card.index}"
        for text_device in (device, "cpu"):
            needed = _needed(sizes, "float16", "float16", has_text=text_device == device)
            where = "" if text_device == device else ", the text encoder on the CPU to save memory"
            yield DevicePlan(
                device,
                model_dtype="float16",
                codec_dtype="float16",
                text_device=text_device,
                reason=f"{card.name}: model and codec in float16{where}.",
                needed_bytes=needed,
                fits=needed <= card.free_bytes,
            )


def _on_mps(sizes: Sizes, machine: Machine) -> Iterator[DevicePlan]:
    if machine.mps_free_bytes is None:
        return
    needed = _needed(sizes, "float32", "float32", has_text=True)
    yield DevicePlan(
        "mps",
        model_dtype="float32",
        codec_dtype="float32",
        text_device="mps",
        reason="Apple GPU: float32, for in half precision it makes noise.",
        needed_bytes=needed,
        fits=needed <= machine.mps_free_bytes,
    )


def _on_cpu(sizes: Sizes, machine: Machine) -> DevicePlan:
    dtype = "bfloat16" if machine.fast_bfloat16 else "float32"
    needed = _needed(sizes, dtype, "float32", has_text=True)
    reason = (
        f"CPU with {machine.fast_bfloat16}: model in bfloat16, codec in float32."
        if machine.fast_bfloat16
        else "CPU without fast bfloat16: float32."
    )
    return DevicePlan(
        "cpu",
        model_dtype=dtype,
        codec_dtype="float32",
        text_device="cpu",
        reason=reason,
        needed_bytes=needed,
        fits=needed <= machine.free_bytes,
    )


def _needed(sizes: Sizes, model_dtype: str, codec_dtype: str, *, has_text: bool) -> int:
    text = sizes.text_encoder * _PARAMETER_BYTES[model_dtype] if has_text else 0
    model = sizes.transformer * _PARAMETER_BYTES[model_dtype]
    return model + text + sizes.codec * _PARAMETER_BYTES[codec_dtype] + sizes.working_bytes


def _with_reason(chosen: DevicePlan, plans: list[DevicePlan]) -> DevicePlan:
    """Add what stood in the way of a better device, and that even this one is too small."""
    reason = chosen.reason
    if not chosen.fits:
        reason += f" It needs {chosen.needed_bytes / GIB:.1f} GiB, and less is free."
    elif any(plan.is_gpu for plan in plans) and not chosen.is_gpu:
        least = min(plan.needed_bytes for plan in plans if plan.is_gpu)
        reason += f" The GPU has less than the {least / GIB:.1f} GiB free that it would need."
    return replace(chosen, reason=reason)


def _find_cards(cards: tuple[Card, ...], requested: str) -> tuple[Card, ...]:
    return tuple(card for card in cards if requested in ("cuda", f"cuda:{card.index}"))


def _no_such_device(machine: Machine, requested: str) -> JobError:
    here = ["cpu", *(f"cuda:{card.index}" for card in machine.cards)]
    if machine.mps_free_bytes is not None:
        here.append("mps")
    return JobError(
        ErrorCode.DEVICE_FAILED,
        f"There is no device {requested!r} that torch can use here.",
        hint=f"There are: {', '.join(here)}; `auto` takes the best one.",
    )


# What torch says


def usable_cards(torch: Any) -> Iterator[Card]:
    """Yield the CUDA cards that answer, with the memory that is free."""
    if not torch.cuda.is_available():
        return
    for index in range(torch.cuda.device_count()):
        try:
            free, _total = torch.cuda.mem_get_info(index)
            name = torch.cuda.get_device_name(index)
        except RuntimeError as error:
            # A card in exclusive use or with a broken driver is no reason to use no other.
            _log.warning("cuda:%d can't be used: %s", index, error)
            continue
        yield Card(index, name, free)


def _mps_free_bytes(torch: Any) -> int | None:
    if not torch.backends.mps.is_available():
        return None
    # It shares the machine's memory, of which the system grants the GPU a part.
    granted = torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory()
    return min(int(granted), available_memory())


def fast_bfloat16_of(torch: Any) -> str:
    """Return the CPU's instructions for bfloat16 that torch uses, or "" where it uses none."""
    if not torch.backends.mkldnn.is_available():
        return ""  # the kernels that use these instructions are oneDNN's
    features = cpu_features(torch)
    if {"amx_bf16", "amx_tile"} <= features:
        return "AMX"
    return "AVX-512 BF16" if "avx512_bf16" in features else ""


def cpu_features(torch: Any, cpuinfo: Path = Path("/proc/cpuinfo")) -> set[str]:
    """Return what the CPU can do, by names that torch and Linux have in common."""
    if hasattr(torch.cpu, "get_capabilities"):
        return {name for name, has in torch.cpu.get_capabilities().items() if has is True}
    try:
        lines = cpuinfo.read_text(encoding="utf-8").splitlines()
    except OSError:
        return set()
    return set(next((line for line in lines if line.startswith("flags")), "").split())
