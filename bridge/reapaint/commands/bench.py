"""``reapaint bench``: how long the road to the engine and back takes, as a table."""

import contextlib
import math
import os
import statistics
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from reapaint.commands.terminal import Terminal
from reapaint.errors import InputError
from reapaint.link.client import EngineClient
from reapaint.link.launcher import connect
from reapaint_engine.protocol import folders
from reapaint_engine.protocol.arrays import Audio
from reapaint_engine.protocol.errors import ErrorCode
from reapaint_engine.protocol.messages import InpaintRequest
from reapaint_engine.protocol.spans import Span

SAMPLE_RATE = 48_000
CHANNELS = 2
WINDOW_S = 30
SPAN_S = 10
ALLOWED_COPIES = 5
ALLOWED_EXTRA_S = 0.010
WARM_UP_ROUNDS = 3


def run(terminal: Terminal, *, rounds: int) -> None:
    """Measure against an engine of our own, so that nobody's work disturbs or is disturbed.

    Raises
    ------
    InputError
        Fewer than one round was asked for.
    BridgeError
        The engine could not be started.
    """
    if rounds < 1:
        raise InputError(
            ErrorCode.INVALID_OPTION, "--rounds must be at least 1.", hint="Leave it out for 50."
        )
    audio = np.random.default_rng(0).standard_normal(
        (CHANNELS, WINDOW_S * SAMPLE_RATE), dtype=np.float32
    )
    with (
        tempfile.TemporaryDirectory() as folder,
        _own_folders(folder),
        connect(None, options=("--backend=echo",)) as client,
    ):
        try:
            figures = _measure(client, audio, rounds)
        finally:
            client.stop_engine()
    _show(figures, terminal, rounds)


def _measure(client: EngineClient, audio: Audio, rounds: int) -> dict[str, float]:
    def one_job() -> tuple[float, float]:
        started_s = time.perf_counter()
        done, _ = client.run(_request(), audio, lambda _stage, _fraction: None)
        return time.perf_counter() - started_s, done.timings_s.total - done.timings_s.queued

    idle_bytes = _memory_bytes(client.welcome.pid, "VmRSS")
    for _ in range(WARM_UP_ROUNDS):
        one_job()
    pairs = [one_job() for _ in range(rounds)]
    peak_bytes = _memory_bytes(client.welcome.pid, "VmHWM")
    copy_s = _median_time(audio.copy, rounds)
    road_s = statistics.median(whole for whole, _ in pairs)
    work_s = statistics.median(work for _, work in pairs)
    return {
        "copy_s": copy_s,
        "whole_s": road_s,
        "work_s": work_s,
        "transport_s": statistics.median(whole - work for whole, work in pairs),
        "allowed_s": ALLOWED_COPIES * copy_s + ALLOWED_EXTRA_S,
        "window_bytes": float(audio.nbytes),
        "memory_windows": (peak_bytes - idle_bytes) / audio.nbytes,
    }


def _request() -> InpaintRequest:
    frames = WINDOW_S * SAMPLE_RATE
    start = (frames - SPAN_S * SAMPLE_RATE) // 2
    return InpaintRequest(
        job_id=uuid.uuid4().hex,
        sample_rate=SAMPLE_RATE,
        channels=CHANNELS,
        audio_frames=frames,
        window_frames=frames,
        spans=(Span(start, start + SPAN_S * SAMPLE_RATE),),
    )


def _median_time(work: Callable[[], object], rounds: int) -> float:
    times = []
    for _ in range(rounds):
        started_s = time.perf_counter()
        work()
        times.append(time.perf_counter() - started_s)
    return statistics.median(times)


def _memory_bytes(pid: int, figure: str) -> float:
    """Return one figure of /proc/PID/status, or NaN where there is no such thing."""
    try:
        text = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    except OSError:
        return math.nan
    lines = [line.split() for line in text.splitlines() if line.startswith(f"{figure}:")]
    return float(lines[0][1]) * 1024 if lines else math.nan


@contextlib.contextmanager
def _own_folders(folder: str) -> Iterator[None]:
    names = (folders.RUNTIME.variable, folders.LOG.variable)
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, folder))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _show(figures: dict[str, float], terminal: Terminal, rounds: int) -> None:
    rows = [
        (what, f"{1000 * figures[name]:.1f} ms", f"{figures[name] / figures['copy_s']:.1f}")
        for what, name in (
            ("plain copy of the window in memory", "copy_s"),
            ("submit to result, as the client sees it", "whole_s"),
            ("  of that work in the engine", "work_s"),
            ("  of that transport", "transport_s"),
            (f"allowed: {ALLOWED_COPIES} copies and 10 ms", "allowed_s"),
        )
    ]
    terminal.table(
        f"A {SPAN_S} s selection in a {WINDOW_S} s stereo window at 48 kHz, to a backend that"
        f" returns its input; medians of {rounds}",
        ("", "time", "copies"),
        rows,
    )
    if not math.isnan(figures["memory_windows"]):
        terminal.say(
            f"The engine's memory rose by {figures['memory_windows']:.1f} times the window's"
            f" {figures['window_bytes'] / 2**20:.1f} MiB above idle."
        )
    terminal.result({"ok": True, "rounds": rounds, **figures})
