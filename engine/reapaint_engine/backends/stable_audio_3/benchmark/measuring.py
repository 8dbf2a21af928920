"""One whole measurement, and what came of it as plain data."""

import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import diffusers
import torch

from reapaint_engine.backends.stable_audio_3.benchmark import footprint, gpu, roofline
from reapaint_engine.backends.stable_audio_3.benchmark.agreement import check, compare
from reapaint_engine.backends.stable_audio_3.benchmark.options import BenchOptions
from reapaint_engine.backends.stable_audio_3.benchmark.rounds import (
    FIRST,
    JOB_NUMBERS_PER_SIDE,
    OURS,
    figures,
    ratios,
    run_rounds,
)
from reapaint_engine.backends.stable_audio_3.benchmark.setting_up import (
    Contest,
    Subject,
    make_contest,
    open_subject,
)
from reapaint_engine.backends.stable_audio_3.benchmark.sides import STAGES, BenchJob, make_job
from reapaint_engine.backends.stable_audio_3.device.memory import (
    is_out_of_memory,
    out_of_memory,
)
from reapaint_engine.protocol.progress import OnProgress


def measure(options: BenchOptions, on_progress: OnProgress) -> dict[str, Any]:
    """Measure both sides in one run.

    Returns
    -------
    dict
        Times in seconds by side, kind of job and stage; ratios; memory in bytes; what the
        device could do at most; and, in sentences, what is compared with what.

    Raises
    ------
    JobError
        The model or the device is not here or does not do, or the sides disagree.
    """
    with _reporting_out_of_memory():
        subject = open_subject(options)
        job = make_job(options, subject.settings, subject.device, JOB_NUMBERS_PER_SIDE * 4)
        memory = _memory(subject, on_progress) if options.memory else None
        on_progress("build", 0.0)
        contest = make_contest(subject)
        on_progress("agreement", 0.0)
        agreement = compare(contest.stock, contest.ours, job, subject.device)
        check(agreement)
        before = _limits(subject)
        runs = run_rounds(contest, options.rounds, on_progress)
        # Twice, for whatever else the machine does may slow one of them down.
        most = {name: max(value, before[name]) for name, value in _limits(subject).items()}
        times = figures(runs)
        return {
            "model": _model(subject),
            "machine": _machine(subject),
            "job": _job(options, job),
            "compared": _compared(subject, job),
            "agreement": asdict(agreement),
            "rounds": options.rounds,
            "stages": list(STAGES),
            "times": times,
            "ratios": ratios(runs),
            "memory": memory,
            "roofline": _roofline(contest, job, most, times[OURS][FIRST]),
            "gpu": gpu.measure_gpu(contest) if subject.device.type == "cuda" else None,
        }


@contextmanager
def _reporting_out_of_memory() -> Iterator[None]:
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        hint = "Choose --size small, a shorter --window, or another --device."
        raise out_of_memory("for both sides at once", hint=hint) from error


def _memory(subject: Subject, on_progress: OnProgress) -> dict[str, Any]:
    options = subject.options
    sides = (footprint.STOCK, footprint.OURS)
    answer: dict[str, Any] = {}
    for number, what in enumerate((footprint.JOB, footprint.CODEC)):
        answer[what] = {}
        for place, side in enumerate(sides):
            on_progress(f"memory of {side}", (2 * number + place) / 4)
            answer[what][side] = footprint.measure_alone(what, side, options)
    answer["stock_codec_mask_bytes"] = {
        f"{seconds:g}": footprint.stock_mask_bytes(seconds, subject)
        for seconds in footprint.CODEC_LENGTHS_S
    }
    return answer


def _model(subject: Subject) -> dict[str, Any]:
    options = subject.options
    return {
        "name": options.model or ("tiny" if options.tiny else options.size),
        "weights": "random" if subject.is_random else subject.checkpoint.revision,
        "codec": subject.own_codec.kind.value,
    }


def _machine(subject: Subject) -> dict[str, Any]:
    return {
        "device": subject.plan.device,
        "dtype": subject.plan.model_dtype,
        "codec_dtype": subject.plan.codec_dtype,
        "threads": torch.get_num_threads(),
        "processor": platform.processor() or platform.machine(),
        "torch": torch.__version__,
        "diffusers": diffusers.__version__,
    }


def _job(options: BenchOptions, job: BenchJob) -> dict[str, Any]:
    return {
        "window_s": job.duration_s,
        "mask_s": options.mask_s,
        "steps": job.steps,
        "takes": len(job.seeds),
        "guidance": job.guidance,
        "latents": job.plan.latents,
        "heard_latents": job.plan.heard_latents,
    }


def _compared(subject: Subject, job: BenchJob) -> list[str]:
    """Say what both sides have in common and where they differ."""
    plan = job.plan
    said = [
        (
            f"Both sides make {plan.latents} latents, six seconds of silence after the window"
            " included, as the model was trained; the stock pipeline is given them by"
            f" silence_padding_duration, and without them, as it comes, makes {plan.heard_latents}."
        ),
        (
            "Both have the same weights, each network in the same type. The stock side's block"
            " norms, rotary frequencies and duration are repaired as ours are, which costs no time."
        ),
    ]
    if subject.is_random:
        said.insert(0, "The weights are random, of real size: speed and memory don't depend on it.")
    if subject.options.tiny:
        said[0] = "The model is a tiny one with random weights: its figures mean nothing."
    if subject.has_other_codec:
        said.append(
            "The stock pipeline has no SAME-S. Both sides have SAME-L's attention in SAME-S's"
            " size, with random weights; ours is shown with its true SAME-S as well."
        )
    if job.guidance != 1:
        said.append("The stock inpainting pipeline has no guidance: it does half our work here.")
    return said


def _limits(subject: Subject) -> dict[str, float]:
    plan = subject.plan
    with torch.inference_mode():
        return roofline.limits(
            subject.device, *(getattr(torch, name) for name in (plan.model_dtype, plan.codec_dtype))
        )


def _roofline(
    contest: Contest, job: BenchJob, most: dict[str, float], times: Mapping[str, Any]
) -> dict[str, Any]:
    subject = contest.subject
    settings, dtype = subject.settings, getattr(torch, subject.plan.model_dtype)
    codec = contest.ours.codec
    work = roofline.job_flops(settings.transformer, codec, settings.codec, job.plan, job.steps)
    branches = 1 if job.guidance == 1 else 2
    work["sample"] *= len(job.seeds) * branches
    work["decode"] *= len(job.seeds)
    size = torch.finfo(dtype).bits // 8
    weights = {"sample": job.steps * size * roofline.step_weights(settings.transformer)}
    least = roofline.least_times(work, most, weights)
    return {
        **most,
        "stages": {
            stage: {
                "flops": work[stage],
                "least_s": least[stage],
                "share": least[stage] / times[stage]["best_wall_s"],
            }
            for stage in work
        },
    }
