"""A device's memory: when it is short, how to give it back, and the way out of it."""

import gc

import torch
from torch import Tensor

from reapaint_engine.errors import JobError
from reapaint_engine.protocol.errors import ErrorCode

LESS_OR_SMALLER = "Select less, ask for less --context, or choose a smaller --model."


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether a device or the machine had too little memory; torch has no one error for it."""
    said = str(error).lower()
    return (
        isinstance(error, torch.OutOfMemoryError | MemoryError)
        or "out of memory" in said
        or "can't allocate memory" in said
        or "not enough memory" in said
    )


def to_host(audio: Tensor) -> Tensor:
    """Bring audio back; into pinned memory, which a card fills by itself and at full speed.

    Parameters
    ----------
    audio
        Shape (takes, channels, frames), float32, on any device.

    Returns
    -------
    Tensor
        Shape (takes, channels, frames), float32, on the CPU.
    """
    if not audio.is_cuda:
        return audio.cpu()
    held = torch.empty_like(audio, device="cpu", pin_memory=True)
    held.copy_(audio, non_blocking=True)
    torch.cuda.current_stream(audio.device).synchronize()
    return held


def free(device: torch.device) -> None:
    """Give back what nothing refers to any more."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()


def out_of_memory(for_what: str, *, hint: str = LESS_OR_SMALLER) -> JobError:
    """Return the error for a device that is too small."""
    message = f"The device has too little memory {for_what}."
    return JobError(ErrorCode.OUT_OF_MEMORY, message, hint=hint)
