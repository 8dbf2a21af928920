"""Both sides in turn, round after round, and what came of it."""

import statistics
from collections.abc import Iterator, Sequence
from typing import Any

import torch

from reapaint_engine.backends.stable_audio_3.benchmark.setting_up import Contest
from reapaint_engine.backends.stable_audio_3.benchmark.sides import (
    BenchJob,
    Contestant,
    Ours,
    make_job,
)
from reapaint_engine.backends.stable_audio_3.benchmark.watch import TOTAL, Times, Watch
from reapaint_engine.protocol.progress import OnProgress

STOCK, BARE_STOCK, OURS, OWN = "stock", "stock_without_headroom", "ours", "ours_own_codec"
ONLY, FIRST, REROLL, NEW_PROMPT = "job", "first", "reroll", "new_prompt"
KINDS = (FIRST, REROLL, NEW_PROMPT)

JOB_NUMBERS_PER_SIDE = 1000
"""Between the jobs of two sides that share a memory for what they encoded."""

Stages = dict[str, Times]
Runs = dict[str, dict[str, list[Stages]]]
"""By side and by kind of job, one for each round."""


def run_rounds(contest: Contest, rounds: int, on_progress: OnProgress) -> Runs:
    """Time every side once a round, each round beginning with another.

    What slows the machine down for a while then slows all of them down alike, and ratios
    are taken within a round.
    """
    runs: Runs = {}
    sides = _sides(contest)
    with torch.inference_mode():
        if contest.own is not None:
            _one_side(contest, contest.own, JOB_NUMBERS_PER_SIDE - 1)  # the others were warmed up
        for number in range(rounds):
            for place in range(len(sides)):
                name, side, first = sides[(number + place) % len(sides)]
                on_progress(name.replace("_", " "), (number + place / len(sides)) / rounds)
                for kind, stages in _one_side(contest, side, first + number):
                    runs.setdefault(name, {}).setdefault(kind, []).append(stages)
    return runs


def _sides(contest: Contest) -> Sequence[tuple[str, Contestant, int]]:
    sides: list[tuple[str, Contestant, int]] = [
        (STOCK, contest.stock, 0),
        (OURS, contest.ours, 0),
        (BARE_STOCK, contest.bare_stock, 0),
    ]
    if contest.own is not None:
        sides.append((OWN, contest.own, JOB_NUMBERS_PER_SIDE))
    return sides


def _one_side(contest: Contest, side: Contestant, number: int) -> list[tuple[str, Stages]]:
    """Time a side's jobs of a round.

    Where work goes on beside the processor, waiting for each stage costs time that no
    user's job takes: there the total is that of other jobs, which nobody interrupts.
    """
    device = contest.subject.device
    timed = [(kind, _time(side, job, device)) for kind, job in _jobs(contest, side, number)]
    if device.type == "cpu":
        return timed
    others = _jobs(contest, side, number + JOB_NUMBERS_PER_SIDE // 2)
    for (_, stages), (_, job) in zip(timed, others, strict=True):
        stages[TOTAL] = _time(side, job, device, stages_too=False)[TOTAL]
    return timed


def _jobs(contest: Contest, side: Contestant, number: int) -> Iterator[tuple[str, BenchJob]]:
    subject = contest.subject
    job = make_job(subject.options, subject.settings, subject.device, number)
    if not isinstance(side, Ours):
        yield ONLY, job  # to the stock pipeline each job is its first
        return
    yield FIRST, job
    yield REROLL, job.rerolled()
    yield NEW_PROMPT, job.reworded()


def _time(
    side: Contestant, job: BenchJob, device: torch.device, *, stages_too: bool = True
) -> Stages:
    watch = Watch(device)
    side.do(job, watch, None if stages_too else [])
    return watch.stages


# What came of it


def figures(runs: Runs) -> dict[str, Any]:
    """Return medians and the best of all rounds: by side, kind of job and stage."""
    return {
        name: {kind: _stages(rounds) for kind, rounds in kinds.items()}
        for name, kinds in runs.items()
    }


def ratios(runs: Runs) -> dict[str, Any]:
    """Return how many times as long each stock side took as each of ours, by kind of job.

    ``wall`` and ``cpu`` are medians of what each round gives, ``best`` is of the fastest.
    """
    return {
        name: {
            kind: {stock: _ratios(runs[stock][ONLY], rounds) for stock in (STOCK, BARE_STOCK)}
            for kind, rounds in kinds.items()
        }
        for name, kinds in runs.items()
        if name in (OURS, OWN)
    }


def _stages(rounds: Sequence[Stages]) -> dict[str, Any]:
    return {
        stage: {
            "wall_s": statistics.median(each[stage].wall_s for each in rounds),
            "cpu_s": statistics.median(each[stage].cpu_s for each in rounds),
            "best_wall_s": min(each[stage].wall_s for each in rounds),
        }
        for stage in rounds[0]
    }


def _ratios(stock: Sequence[Stages], ours: Sequence[Stages]) -> dict[str, float]:
    pairs = [(one[TOTAL], other[TOTAL]) for one, other in zip(stock, ours, strict=True)]
    return {
        "wall": statistics.median(one.wall_s / other.wall_s for one, other in pairs),
        "cpu": statistics.median(one.cpu_s / other.cpu_s for one, other in pairs),
        "best": min(one.wall_s for one, _ in pairs) / min(other.wall_s for _, other in pairs),
    }
