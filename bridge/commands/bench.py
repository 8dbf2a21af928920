"""``reapaint bench``: how long the road to the engine and back takes, as a table."""

import os
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import numpy as np

from bridge.client import EngineClient
from bridge.errors import BridgeCode, InputError
from bridge.launcher import find_or_start
from bridge.terminal import Terminal
from engine.protocol.messages import InpaintRequest
from engine.protocol.spans import Span

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
            BridgeCode.INVALID_OPTION, "--rounds must be at least 1.", hint="Leave it out for 50."
        )
    audio = np.random.default_rng(0).standard_normal(
        (CHANNELS, WINDOW_S * SAMPLE_RATE), dtype=np.float32
    )
    with tempfile.TemporaryDirectory() as folder, _own_folders(Path(folder)):
        with EngineClient(find_or_start(None, options=("--backend=echo",))) as client:
            figures = _measure(client, audio, rounds)
            client.stop_engine()
    _show(figures, terminal, rounds)


def _measure(client: EngineClient, audio: np.ndarray, rounds: int) -> dict[str, float]:
    def one_job() -> tuple[float, float]:
        started_s = time.perf_counter()
        done, _ = client.run(_request(), audio, lambda _stage, _fraction: None)
        return time.perf_counter() - started_s, done.timings_s.total - done.timings_s.queued

    for _ in range(WARM_UP_ROUNDS):
        one_job()
    idle_bytes = _resident_bytes(client.welcome.pid)
    pairs = [one_job() for _ in range(rounds)]
    peak_bytes = _resident_bytes(client.welcome.pid, peak=True)
    copy_s = _median_time(lambda: audio.copy(), rounds)
    road_s = statistics.median(whole for whole, _ in pairs)
    work_s = statistics.median(work for _, work in pairs)
    return {
        "copy_s": copy_s,
        "whole_s": road_s,
        "work_s": work_s,
        "transport_s": statistics.median(whole - work for whole, work in pairs),
        "allowed_s": ALLOWED_COPIES * copy_s + ALLOWED_EXTRA_S,
        "window_bytes": float(audio.nbytes),
        "memory_windows": max(peak_bytes - idle_bytes, 0.0) / audio.nbytes,
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
