"""What memory each side takes, seen in a process of its own that holds nothing else.

Run as a program it measures one thing and prints it as JSON.
"""

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reapaint_engine.backends.stable_audio_3.benchmark.options import BenchOptions
from reapaint_engine.backends.stable_audio_3.checkpoint.settings import CodecShape
from reapaint_engine.errors import JobError
from reapaint_engine.protocol.errors import ErrorCode
from reapaint_engine.protocol.interpreter import module_command

if TYPE_CHECKING:
    from reapaint_engine.backends.stable_audio_3.benchmark.setting_up import Subject

JOB, CODEC = "job", "codec"
OURS, STOCK = "ours", "stock"

CODEC_LENGTHS_S = (15.0, 30.0, 120.0)
"""Of which the last is too long for the stock codec on most machines."""

MAX_STOCK_ON_CPU_S = 30.0
"""A minute's work; four times the length takes sixteen."""

MASK_BYTES_PER_PAIR = 16
"""While the stock codec makes its mask it holds distances in int64, three truths, and two masks."""


def measure_alone(what: str, side: str, options: BenchOptions) -> dict[str, Any]:
    """Measure in a new process.

    Raises
    ------
    JobError
        ``out_of_memory``: it ended without an answer.
    """
    command = module_command(__name__, what, side, json.dumps(asdict(options)))
    done = subprocess.run(  # noqa: S603 - our own interpreter and module
        command,
        capture_output=True,
        text=True,
        check=False,
    )
    lines = done.stdout.splitlines()
    if done.returncode or not lines:
        said = done.stderr.strip().splitlines()[-1:] or ["it was killed"]
        raise JobError(
            ErrorCode.OUT_OF_MEMORY,
            f"The {side} side could not be measured alone: {said[0]}.",
            hint="Close what else uses memory, or leave these figures out with --no-memory.",
        )
    answer: dict[str, Any] = json.loads(lines[-1])
    return answer


def _measure_job(side: str, options: BenchOptions) -> dict[str, Any]:
    import torch

    from reapaint_engine.backends.stable_audio_3.benchmark.setting_up import (
        make_model,
        make_parts,
        open_subject,
    )
    from reapaint_engine.backends.stable_audio_3.benchmark.sides import (
        Contestant,
        Ours,
        Stock,
        make_job,
    )
    from reapaint_engine.backends.stable_audio_3.benchmark.stock import make_stock
    from reapaint_engine.backends.stable_audio_3.benchmark.watch import Watch

    subject = open_subject(options)
    gauge = Gauge(subject.plan.device)
    runtime = gauge.held()
    sides: dict[str, Contestant] = {}
    with torch.inference_mode():
        parts, own = make_parts(subject)
        del own
        if side == STOCK:
            pipe = make_stock(parts, subject.settings)
            sides = {"without_headroom": Stock(pipe, has_headroom=False), "job": Stock(pipe)}
        else:
            model = make_model(subject, parts)
            sides = {"job": Ours(model)}
        loaded, peaks = gauge.held(), {}
        for name, each in sides.items():
            gauge.begin()
            each.do(make_job(options, subject.settings, subject.device, 0), Watch(subject.device))
            peaks[f"{name}_peak_bytes"] = gauge.peak()
    return {"runtime_bytes": runtime, "loaded_bytes": loaded, **peaks}


def _measure_codec(side: str, options: BenchOptions) -> dict[str, Any]:
    """Decode some lengths and return what each took beyond the weights."""
    import torch

    from reapaint_engine.backends.stable_audio_3.benchmark.random_parts import make_random_codec
    from reapaint_engine.backends.stable_audio_3.benchmark.setting_up import open_subject
    from reapaint_engine.backends.stable_audio_3.benchmark.stock import make_stock_codec

    subject = open_subject(options)
    shape = subject.settings.codec
    gauge = Gauge(subject.plan.device)
    taken: dict[str, Any] = {}
    with torch.inference_mode():
        codec: Any = make_random_codec(shape, subject.plan)
        if side == STOCK:
            codec = make_stock_codec(codec, shape)
        for seconds in CODEC_LENGTHS_S:
            length = _latents(seconds, subject)
            if side == STOCK and not _can_decode(subject, seconds, length):
                taken[f"{seconds:g}"] = None
                continue
            latents = torch.randn(1, shape.latent_dim, length, device=subject.device)
            latents = latents.to(next(codec.parameters()).dtype)
            before = gauge.held()
            gauge.begin()
            codec.decode(latents)
            peak = gauge.peak()
            taken[f"{seconds:g}"] = None if peak is None or before is None else peak - before
    return taken


def stock_mask_bytes(seconds: float, subject: "Subject") -> int:
    """Return how large the stock codec's mask is: a number for each pair of tokens."""
    shape = subject.settings.codec
    size = 4 if subject.plan.codec_dtype == "float32" else 2
    return size * _tokens(_latents(seconds, subject), shape) ** 2


def _latents(seconds: float, subject: "Subject") -> int:
    shape = subject.settings.codec
    return round(seconds * shape.sample_rate / shape.hop)


def _tokens(latents: int, shape: CodecShape) -> int:
    return latents * (shape.encoder_strides[0] + 1)


def _can_decode(subject: "Subject", seconds: float, latents: int) -> bool:
    import torch

    from reapaint_engine.backends.stable_audio_3.device.machine_memory import available_memory

    needed = MASK_BYTES_PER_PAIR * _tokens(latents, subject.settings.codec) ** 2
    if subject.device.type == "cuda":
        return bool(needed < torch.cuda.mem_get_info(subject.device)[0])
    return seconds <= MAX_STOCK_ON_CPU_S and needed < available_memory()


class Gauge:
    """How much memory this process holds, and the most it held since ``begin``.

    On a GPU what torch gave out there; else what is resident. None where the system
    doesn't tell, or can't forget an earlier peak.
    """

    def __init__(self, device: str) -> None:
        import torch

        self._cuda: Any = torch.cuda
        self._device = torch.device(device)
        self._is_cuda = self._device.type == "cuda"

    def begin(self) -> None:
        """Forget what was held before."""
        if self._is_cuda:
            self._cuda.reset_peak_memory_stats(self._device)
            return
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")

    def held(self) -> int | None:
        """Return the bytes that are held now."""
        return int(self._cuda.memory_allocated(self._device)) if self._is_cuda else _status("VmRSS")

    def peak(self) -> int | None:
        """Return the most bytes that were held."""
        if self._is_cuda:
            return int(self._cuda.max_memory_allocated(self._device))
        return _status("VmHWM")


def _status(figure: str) -> int | None:
    """Return a figure of this process from Linux, in bytes."""
    try:
        text = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        return None
    found: Iterator[str] = (line for line in text.splitlines() if line.startswith(f"{figure}:"))
    line = next(found, None)
    return None if line is None else int(line.split()[1]) * 1024


def _main(words: list[str]) -> None:
    what, side, text = words
    options = BenchOptions(**json.loads(text))
    measure = {JOB: _measure_job, CODEC: _measure_codec}[what]
    sys.stdout.write(json.dumps(measure(side, options)) + "\n")


if __name__ == "__main__":
    _main(sys.argv[1:])
