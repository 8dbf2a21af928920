"""What only a GPU has: graphs that are replayed, and time in which it waits for work."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from reapaint_engine.backends.stable_audio_3.benchmark.setting_up import Contest
from reapaint_engine.backends.stable_audio_3.benchmark.sides import (
    DECODE,
    ENCODE,
    SAMPLE,
    BenchJob,
    Contestant,
    Ours,
    Stock,
    make_job,
)
from reapaint_engine.backends.stable_audio_3.benchmark.watch import PROFILE_PREFIX, Place, Watch
from reapaint_engine.backends.stable_audio_3.device.graphs import CudaGraph
from reapaint_engine.backends.stable_audio_3.inference import pipeline

PROFILED_JOB_NUMBER = 5000
"""A job that nothing else did."""

Interval = tuple[float, float]


def measure_gpu(contest: Contest) -> dict[str, Any]:
    """Return the replay time of each graph, and how busy either side keeps the GPU."""
    subject = contest.subject
    job = make_job(subject.options, subject.settings, subject.device, PROFILED_JOB_NUMBER)
    with torch.inference_mode():
        contest.ours.do(job, Watch(subject.device))
        again = job.rerolled()
        return {
            "device_name": torch.cuda.get_device_name(subject.device),
            "replays_ms": _replays(contest.ours, again, subject.device),
            "sampling": {
                "ours": _profile(contest.ours, job, subject.device),
                "stock": _profile(contest.stock, job, subject.device),
            },
        }


def _replays(ours: Ours, job: BenchJob, device: torch.device) -> list[float]:
    """Return the milliseconds of each graph's replay in a job, on the GPU's own clock."""
    pairs: list[tuple[Any, Any]] = []
    with _replay_events(pairs):
        ours.do(job, Watch(device), [])
    torch.cuda.synchronize(device)
    return [begin.elapsed_time(end) for begin, end in pairs]


@contextmanager
def _replay_events(pairs: list[tuple[Any, Any]]) -> Iterator[None]:
    graphs: Any = CudaGraph
    original, make_event = graphs.replay, vars(torch.cuda)["Event"]

    def replay(graph: CudaGraph) -> None:
        begin, end = make_event(enable_timing=True), make_event(enable_timing=True)
        begin.record()
        original(graph)
        end.record()
        pairs.append((begin, end))

    graphs.replay = replay
    try:
        yield
    finally:
        graphs.replay = original


def _profile(side: Contestant, job: BenchJob, device: torch.device) -> dict[str, float]:
    """Return how the GPU spent the time of sampling.

    Ours is sampled in one call; the stock pipeline between encoding and decoding, and
    nothing inside is waited for, or the waiting would make the gaps that are looked for.
    """
    activities = [torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA]
    places: Sequence[Place]
    if isinstance(side, Stock):
        places = side.outer_places()
    else:
        places = (Place(pipeline, "sample_captured", SAMPLE),)
    with torch.profiler.profile(activities=activities) as profile:
        side.do(job, Watch(device), places)
    events: Any = profile.events()
    marks = {
        each.name.removeprefix(PROFILE_PREFIX): (each.time_range.start, each.time_range.end)
        for each in events
        if each.device_type.name == "CPU" and each.name.startswith(PROFILE_PREFIX)
    }
    span = (marks[ENCODE][1], marks[DECODE][0]) if isinstance(side, Stock) else marks[SAMPLE]
    work = [
        (each.time_range.start, each.time_range.end)
        for each in events
        if each.device_type.name == "CUDA" and not each.name.startswith(PROFILE_PREFIX)
    ]
    return use_of(span, work)


def use_of(span: Interval, work: Sequence[Interval]) -> dict[str, float]:
    """Return what of a span of time was filled by work, in milliseconds.

    Parameters
    ----------
    span
        In microseconds.
    work
        What the GPU did and when, in any order; pieces may overlap.

    Returns
    -------
    dict
        ``kernels`` counts them, ``span_ms`` and ``busy_ms`` are times, ``idle`` is the
        share of the span in which nothing ran, ``idle_between`` the share of the time
        from the first piece of work to the end of the last.
    """
    inside = sorted(each for each in work if span[0] <= each[0] < span[1])
    busy, reached = 0.0, span[0]
    for start, end in inside:
        busy += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    length = max(span[1], reached) - span[0]
    working = reached - inside[0][0] if inside else 0.0
    return {
        "kernels": float(len(inside)),
        "span_ms": length / 1000,
        "busy_ms": busy / 1000,
        "idle": 1 - busy / length if length else 0.0,
        "idle_between": 1 - busy / working if working else 0.0,
    }
