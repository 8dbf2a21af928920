"""``reapaint bench model``: Stable Audio 3 here, beside diffusers' stock pipeline."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from reapaint.commands.terminal import Terminal
from reapaint.errors import InputError, JobFailed
from reapaint.files.new_file import no_folder_error, write_error
from reapaint.link.in_process import engine_api
from reapaint_engine.protocol.errors import ErrorCode, ReaPaintError

_BAD_INPUT = (ErrorCode.INVALID_FIELD, ErrorCode.NO_MODEL, ErrorCode.UNKNOWN_MODEL)

_SIDES = (
    ("ours", "Beside the stock pipeline, with one and the same codec"),
    ("ours_own_codec", "With the model's own codec, which the stock pipeline has not"),
)
_KINDS = (("first", "first job"), ("reroll", "re-roll"), ("new_prompt", "new prompt"))
_MIB = 2**20

Row = tuple[str, ...]


def run(options: Mapping[str, object], terminal: Terminal, *, out: Path | None) -> None:
    """Measure, show tables, and write the JSON object to ``out`` where that is asked for.

    Raises
    ------
    InputError
        The flags, the model or the packages can't be used.
    JobFailed
        The device does not do, or both sides disagree.
    BridgeError
        ``out`` can't be written.
    """
    if out is not None and not out.absolute().parent.is_dir():
        raise no_folder_error(out.absolute().parent)
    try:
        with terminal.progress() as on_progress:
            figures = engine_api.measure_model(options, on_progress)
    except ReaPaintError as error:
        kind = InputError if error.code in _BAD_INPUT else JobFailed
        raise kind.of(error) from error
    answer = {"ok": True, **figures}
    if out is not None:
        _write(answer, out)
    _show(figures, terminal)
    terminal.result(answer)


def _write(answer: object, out: Path) -> None:
    try:
        out.write_text(json.dumps(answer, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise write_error(out, error) from error


# Tables


def _show(figures: Mapping[str, Any], terminal: Terminal) -> None:
    machine, job, model = figures["machine"], figures["job"], figures["model"]
    terminal.say(
        f"{model['name']} ({model['weights']} weights) in {machine['dtype']}, its codec in"
        f" {machine['codec_dtype']}, on {machine['device']}, {machine['threads']} threads, torch"
        f" {machine['torch']}, diffusers {machine['diffusers']}."
    )
    terminal.say(
        f"{job['mask_s']:g} s made anew in {job['window_s']:.2f} s, {job['steps']} steps, takes:"
        f" {job['takes']}, guidance {job['guidance']:g}; medians of {figures['rounds']}"
        " interleaved rounds."
    )
    for sentence in figures["compared"]:
        terminal.say(sentence)
    agreement = figures["agreement"]
    terminal.say(
        f"From the same noise they make the same, up to {agreement['encoded']:.1e} in what is"
        f" encoded, {agreement['sampled']:.1e} sampled and {agreement['decoded']:.1e} decoded."
    )
    for side, title in _SIDES:
        if side in figures["times"]:
            headings = ("", "stock", *(name for _, name in _KINDS))
            terminal.table(title, headings, list(_time_rows(figures, side)))
    _show_memory(figures, terminal)
    _show_limits(figures["roofline"], terminal)
    if figures["gpu"]:
        _show_gpu(figures["gpu"], terminal)


def _time_rows(figures: Mapping[str, Any], side: str) -> Iterator[Row]:
    columns = [figures["times"]["stock"]["job"]]
    columns += [figures["times"][side][kind] for kind, _ in _KINDS]
    for stage in (*figures["stages"], "other", "total"):
        yield stage, *(_seconds(column.get(stage), "wall_s") for column in columns)
        if stage == "sample":
            steps = figures["job"]["steps"]
            each = [_seconds(column.get(stage), "wall_s", steps) for column in columns]
            yield "  per step", *each
    yield "total, processor", *(_seconds(column["total"], "cpu_s") for column in columns)
    ratios = figures["ratios"][side]
    for name, stock in (
        ("times as fast", "stock"),
        ("  than without headroom", "stock_without_headroom"),
    ):
        yield name, "1.00", *(f"{ratios[kind][stock]['wall']:.2f}" for kind, _ in _KINDS)
        by_cpu = (f"{ratios[kind][stock]['cpu']:.2f}" for kind, _ in _KINDS)
        yield "  by processor time", "1.00", *by_cpu


def _seconds(times: Mapping[str, float] | None, figure: str, share: int = 1) -> str:
    if times is None:
        return "-"
    value = times[figure] / share
    return f"{value:.2f} s" if value >= 1 else f"{1000 * value:.1f} ms"


def _show_memory(figures: Mapping[str, Any], terminal: Terminal) -> None:
    memory = figures["memory"]
    if memory is None:
        return
    rows = [
        (what, *(_mebibytes(memory["job"][side].get(name)) for side in ("stock", "ours")))
        for what, name in (
            ("before a model is there", "runtime_bytes"),
            ("with the model", "loaded_bytes"),
            ("at most, in a job", "job_peak_bytes"),
            ("  without headroom", "without_headroom_peak_bytes"),
        )
    ]
    terminal.table("Memory, each side alone in a process", ("", "stock", "ours"), rows)
    masks = memory["stock_codec_mask_bytes"]
    codec = memory["codec"]
    terminal.table(
        "What decoding takes beyond the weights",
        ("", "stock", "ours", "the stock codec's mask alone, computed"),
        [
            (
                f"{seconds} s",
                _mebibytes(codec["stock"][seconds]),
                _mebibytes(codec["ours"][seconds]),
                _mebibytes(mask),
            )
            for seconds, mask in masks.items()
        ],
    )


def _mebibytes(count: float | None) -> str:
    return "not measured" if count is None else f"{count / _MIB:.0f} MiB"


def _show_limits(limits: Mapping[str, Any], terminal: Terminal) -> None:
    rows = [
        (
            stage,
            f"{each['flops'] / 1e12:.2f} T",
            f"{1000 * each['least_s']:.1f} ms",
            f"{each['share']:.0%}",
        )
        for stage, each in limits["stages"].items()
    ]
    terminal.table(
        f"A first job beside the device's limits, measured: {limits['flops_a_second'] / 1e12:.2f}"
        f" T operations in a second, {limits['codec_flops_a_second'] / 1e12:.2f} T in the codec's"
        f" type, and {limits['bytes_a_second'] / 1e9:.0f} GB moved",
        ("", "operations", "takes at least", "of the best measured"),
        rows,
    )


def _show_gpu(gpu: Mapping[str, Any], terminal: Terminal) -> None:
    replays = ", ".join(f"{each:.2f} ms" for each in gpu["replays_ms"])
    terminal.say(f"{gpu['device_name']}: replays of a job's graphs take {replays or 'none'}.")
    rows = [
        (
            side,
            f"{use['kernels']:.0f}",
            f"{use['span_ms']:.2f} ms",
            f"{use['idle']:.1%}",
            f"{use['idle_between']:.1%}",
        )
        for side, use in gpu["sampling"].items()
    ]
    terminal.table(
        "The GPU while sampling, profiled",
        ("", "kernels", "time", "idle", "idle between kernels"),
        rows,
    )
