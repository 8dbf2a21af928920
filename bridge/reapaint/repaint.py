"""The main job: a sound file in, its repainted version out."""

import contextlib
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from reapaint.errors import BridgeCode, InputError
from reapaint.files.media import (
    AudioInfo,
    Patch,
    check_output,
    new_output,
    probe,
    read_frames,
    splice_into,
)
from reapaint.files.new_file import commit_all
from reapaint.link.backends import choose_backend
from reapaint.link.engine import Engine
from reapaint.request_settings import MAX_TIME_S, RequestSettings
from reapaint.windows import WindowPlan, merge_selections, plan_windows
from reapaint_engine.protocol.arrays import Audio, is_finite
from reapaint_engine.protocol.errors import REPAIR_SAMPLES, ErrorCode
from reapaint_engine.protocol.messages import Done, InpaintRequest, SeamReport, Timings
from reapaint_engine.protocol.params import check_params
from reapaint_engine.protocol.progress import OnFraction, OnProgress, Stage
from reapaint_engine.protocol.requests import check_request
from reapaint_engine.protocol.spans import Span, span_from_seconds

WRITE_SHARE = 0.1
"""How much of the whole job's progress is writing files."""


@dataclass(frozen=True, kw_only=True)
class RepaintJob:
    """What a person asks for: files, times in seconds, and how to repaint."""

    source: Path
    target: Path
    selections_s: tuple[tuple[float, float], ...]
    settings: RequestSettings
    force: bool = False


@dataclass(frozen=True)
class Prepared:
    """A job whose files and times are known to be good; nothing was begun yet."""

    job: RepaintJob
    info: AudioInfo
    selections: tuple[Span, ...]
    targets: tuple[Path, ...]


@dataclass(frozen=True)
class SeamAt:
    """One seam in the file; its time is rounded to a millionth of a second."""

    at_s: float
    report: SeamReport


@dataclass(frozen=True)
class Output:
    """One file that was written."""

    path: Path
    seed: int
    seams: tuple[SeamAt, ...]


@dataclass(frozen=True)
class Report:
    """What came of a job."""

    info: AudioInfo
    selections: tuple[Span, ...]
    backend: str
    model: str
    model_revision: str
    mode: str
    outputs: tuple[Output, ...]
    timings_s: Timings
    warnings: tuple[str, ...]
    notes: tuple[str, ...]
    requests: tuple[InpaintRequest, ...]

    def as_json(self) -> dict[str, object]:
        """Return the object that ``--json`` prints."""
        return {
            "ok": True,
            "backend": self.backend,
            "model": self.model,
            "model_revision": self.model_revision,
            "mode": self.mode,
            "outputs": [
                {
                    "path": str(output.path),
                    "seed": output.seed,
                    "seams": [_seam_as_json(seam) for seam in output.seams],
                }
                for output in self.outputs
            ],
            "timings_s": {name: round(s, 4) for name, s in asdict(self.timings_s).items()},
            "warnings": list(self.warnings),
            "notes": list(self.notes),
        }


def prepare(job: RepaintJob, known: AudioInfo | None = None) -> Prepared:
    """Look at the settings, files and times of a job before anything is begun.

    Parameters
    ----------
    known
        What is in the source, where that was looked at already.

    Raises
    ------
    ProtocolError
        A setting is out of its limits.
    InputError
        Something about the files or times is wrong.
    """
    check_params(job.settings)
    info = probe(job.source) if known is None else known
    selections = merge_selections(
        [_selection(start_s, end_s, info) for start_s, end_s in job.selections_s]
    )
    targets = take_paths(job.target, job.settings.takes)
    for target in targets:
        check_output(target, info, force=job.force)
    return Prepared(job, info, selections, targets)


def run_job(prepared: Prepared, engine: Engine, on_progress: OnProgress) -> Report:
    """Have an engine repaint every selection, and write the results.

    Raises
    ------
    BridgeError
        The engine, the job or the disk failed; no file was written.
    """
    info = prepared.info
    settings, backend = choose_backend(prepared.job.settings, engine.welcome)
    plans = plan_windows(
        prepared.selections,
        file_frames=info.frames,
        sample_rate=info.sample_rate,
        context_s=settings.context_s,
        backend=backend,
    )
    requests = [_request(settings, info, plan) for plan in plans]
    for request in requests:
        limit = engine.welcome.limits.max_window_bytes
        check_request(request, max_window_bytes=limit)
    seed = settings.seed
    results: list[tuple[WindowPlan, Done, tuple[Audio, ...]]] = []
    for number, (plan, request) in enumerate(zip(plans, requests, strict=True)):
        share = _share_of(on_progress, number / len(plans), 1 / len(plans))
        audio = _read_window(info, plan)
        done, patches = engine.run(replace(request, seed=seed), audio, share)
        # All windows of a take share its seed, also when the engine drew it.
        seed = done.request.seed
        results.append((plan, done, patches))
    outputs, warnings = _write_takes(prepared, results, on_progress)
    return _report(prepared, results, outputs, warnings)


def take_paths(target: Path, takes: int) -> tuple[Path, ...]:
    """Return where every take goes: with ``-1`` to ``-N`` before the suffix if several."""
    if takes <= 1:
        return (target,)
    return tuple(
        target.with_name(f"{target.stem}-{take}{target.suffix}") for take in range(1, takes + 1)
    )


# Before the engine


def _selection(start_s: float, end_s: float, info: AudioInfo) -> Span:
    if not (0 <= start_s <= MAX_TIME_S and -MAX_TIME_S <= end_s <= MAX_TIME_S):
        raise _invalid_time(
            f"A selection from {start_s:g} to {end_s:g} s is not possible.",
            "Give times in seconds from the start of the file.",
        )
    if end_s <= start_s:
        raise _invalid_time(
            f"The end of the selection, {end_s:g} s, is not after its start, {start_s:g} s.",
            "Give an --end that is later than the --start.",
        )
    span = span_from_seconds(start_s, end_s, info.sample_rate)
    if span.length < 1:
        raise _invalid_time(
            f"The selection from {start_s:g} to {end_s:g} s is shorter than one sample.",
            "Select more.",
        )
    if span.start > info.frames:
        raise _invalid_time(
            f"The selection starts at {start_s:g} s, after the file's end at"
            f" {info.frames / info.sample_rate:g} s.",
            "Start inside the file, or at its end to extend it.",
        )
    return span


def _read_window(info: AudioInfo, plan: WindowPlan) -> Audio:
    audio = read_frames(info, plan.start, plan.start + plan.audio_frames)
    if not is_finite(audio):
        raise InputError(
            ErrorCode.NOT_FINITE,
            "The recording holds samples near the selection that are not numbers.",
            hint=REPAIR_SAMPLES,
        )
    return audio


def _request(settings: RequestSettings, info: AudioInfo, plan: WindowPlan) -> InpaintRequest:
    return settings.for_window(
        uuid.uuid4().hex,
        sample_rate=info.sample_rate,
        channels=info.channels,
        audio_frames=plan.audio_frames,
        window_frames=plan.frames,
        spans=plan.spans,
    )


# After the engine

_Result = tuple[WindowPlan, Done, tuple[Audio, ...]]


def _write_takes(
    prepared: Prepared, results: list[_Result], on_progress: OnProgress
) -> tuple[list[Output], list[str]]:
    """Write every take, or none: half of what was asked for is hard to tell from all."""
    info, targets = prepared.info, prepared.targets
    warnings = []
    with contextlib.ExitStack() as stack:
        files = []
        for take, target in enumerate(targets):
            file = stack.enter_context(new_output(info, target, force=prepared.job.force))
            warnings += splice_into(
                file,
                info,
                target,
                _patches_of(take, results),
                record=_record(take, results),
                on_progress=_writing(on_progress, take, len(targets)),
            )
            file.finish()
            files.append(file)
        commit_all(files)
    outputs = [_output(each, take, results, info.sample_rate) for take, each in enumerate(targets)]
    return outputs, warnings


def _patches_of(take: int, results: list[_Result]) -> list[Patch]:
    return [
        Patch(plan.start + span.start, patch)
        for plan, _, patches in results
        for span, patch in zip(
            plan.spans, patches[take * len(plan.spans) : (take + 1) * len(plan.spans)], strict=True
        )
    ]


def _record(take: int, results: list[_Result]) -> Mapping[str, object]:
    """Return what the file itself says of its making: enough to make it again."""
    return {
        "engine_version": results[0][1].engine_version,
        "take": take + 1,
        "seed": results[0][1].takes[take].seed,
        "windows": [
            {
                "start_frame": plan.start,
                "backend": done.backend,
                "model": done.model,
                "model_revision": done.model_revision,
                "mode": done.mode,
                "request": asdict(done.request),
            }
            for plan, done, _ in results
        ],
    }


def _output(target: Path, take: int, results: list[_Result], sample_rate: int) -> Output:
    seams = tuple(
        SeamAt(round((plan.start + seam.frame) / sample_rate, 6), seam)
        for plan, done, _ in results
        for seam in done.takes[take].seams
    )
    return Output(target, results[0][1].takes[take].seed, seams)


def _report(
    prepared: Prepared, results: list[_Result], outputs: Iterable[Output], warnings: list[str]
) -> Report:
    first = results[0][1]
    said = [warning for _, done, _ in results for warning in done.warnings]
    return Report(
        info=prepared.info,
        selections=prepared.selections,
        backend=first.backend,
        model=first.model,
        model_revision=first.model_revision,
        mode=", ".join(dict.fromkeys(done.mode for _, done, _ in results)),
        outputs=tuple(outputs),
        timings_s=_sum_timings([done.timings_s for _, done, _ in results]),
        warnings=tuple(
            dict.fromkeys(
                [*prepared.info.warnings, *_extension_warning(prepared), *said, *warnings]
            )
        ),
        notes=tuple(dict.fromkeys(note for _, done, _ in results for note in done.notes)),
        requests=tuple(done.request for _, done, _ in results),
    )


def _extension_warning(prepared: Prepared) -> list[str]:
    missing = prepared.selections[-1].end - prepared.info.frames
    if missing <= 0:
        return []
    return [
        (
            f"The selection reaches past the end: the result is"
            f" {missing / prepared.info.sample_rate:.3f} s longer than the input."
        )
    ]


def _sum_timings(timings: list[Timings]) -> Timings:
    names = asdict(timings[0])
    return Timings(**{name: sum(getattr(each, name) for each in timings) for name in names})


def _seam_as_json(seam: SeamAt) -> dict[str, object]:
    return {
        "at_s": seam.at_s,
        "side": seam.report.side.value,
        "level_step_db": seam.report.level_step_db,
        "click_ratio": seam.report.click_ratio,
        "crossfade_law": seam.report.crossfade_law,
        "crossfade_frames": seam.report.crossfade_frames,
        "correlation": seam.report.correlation,
    }


def _share_of(on_progress: OnProgress, offset: float, share: float) -> OnProgress:
    scale = 1 - WRITE_SHARE

    def report(stage: str, fraction: float) -> None:
        on_progress(stage, scale * (offset + share * fraction))

    return report


def _writing(on_progress: OnProgress, take: int, takes: int) -> OnFraction:
    def report(fraction: float) -> None:
        on_progress(Stage.WRITE, 1 - WRITE_SHARE * (1 - (take + fraction) / takes))

    return report


def _invalid_time(message: str, hint: str) -> InputError:
    return InputError(BridgeCode.INVALID_TIME, message, hint=hint)
