"""A job of the scripts: from seconds to the engine's windows, and from patches to files."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from reapaint.errors import BridgeCode, BridgeError, InputError
from reapaint.files.formats.broadcast import Origin
from reapaint.files.formats.conversion import clipping_warnings
from reapaint.link.backends import choose_backend
from reapaint.reaper.messages import (
    Request,
    Result,
    ResultFile,
    Seam,
    SpanS,
    Take,
    spool_protocol,
)
from reapaint.reaper.sources import JobAudio, KnownFiles, open_audio
from reapaint.reaper.take_files import TakeFile, make_folder, results_folder, write_take
from reapaint.reaper.take_names import take_path
from reapaint.reaper.window_keys import WindowKey, window_keys
from reapaint.request_settings import RequestSettings
from reapaint.windows import WindowPlan, merge_selections, plan_windows
from reapaint_engine.protocol.arrays import Audio
from reapaint_engine.protocol.errors import ErrorCode
from reapaint_engine.protocol.messages import BackendInfo, Done, InpaintRequest, Welcome
from reapaint_engine.protocol.requests import check_request
from reapaint_engine.protocol.spans import Span, seconds_to_frames
from reapaint_engine.protocol.version import __version__

EDGE_TOLERANCE_FRAMES = 2
"""A span at an item's very edge may miss it by what rounding two times does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedJob:
    """A job that is known to be possible: its audio, its windows, its engine's requests.

    ``spans`` are those that were asked for, in frames of the audio and in their order.
    """

    request: Request
    audio: JobAudio
    spans: tuple[Span, ...]
    plans: tuple[WindowPlan, ...]
    requests: tuple[InpaintRequest, ...]
    folder: Path

    def read_window(self, number: int) -> Audio:
        """Return what the engine is to hear of one window.

        Returns
        -------
        numpy.ndarray
            Shape (channels, audio_frames), float32, at the job's rate.
        """
        start = self.plans[number].start
        return self.audio.read(start, start + self.plans[number].audio_frames)


@dataclass(frozen=True, slots=True)
class WindowResult:
    """What the engine made of one window."""

    done: Done
    patches: tuple[Audio, ...]


def plan_job(
    request: Request, folder: Path, *, seed: int, welcome: Welcome, known: KnownFiles
) -> PlannedJob:
    """Look at a job's audio and spans, and say what the engine has to do.

    Parameters
    ----------
    folder
        The job's, where audio from the accessor lies.
    seed
        For all windows; takes count on from it.
    welcome
        What the engine can do.

    Raises
    ------
    ReaPaintError
        The job is not possible; the sentence says why.
    """
    target = results_folder(request.project.media_folder)
    audio = open_audio(request.source, folder, known)
    spans = tuple(_span(span, audio) for span in request.spans)
    settings, backend = choose_backend(request.settings, welcome)
    request = replace(request, settings=settings)
    plans = _plan(spans, audio, settings, backend)
    keys = window_keys(request.job_id, len(plans))
    requests = tuple(
        _engine_request(request, key, audio, plan, seed)
        for key, plan in zip(keys, plans, strict=True)
    )
    for each in requests:
        check_request(each, max_window_bytes=welcome.limits.max_window_bytes)
    return PlannedJob(
        request=request, audio=audio, spans=spans, plans=plans, requests=requests, folder=target
    )


def write_job(job: PlannedJob, results: Sequence[WindowResult], *, rescue_folder: Path) -> Result:
    """Write every take of every span, and say what came of the job.

    Parameters
    ----------
    results
        One for each of the job's windows.
    rescue_folder
        Where results go when the project's folder can't take them any more: work that
        is done is not thrown away.

    Raises
    ------
    BridgeError
        Neither folder can be written.
    """
    try:
        return _write_job(job, results, job.folder)
    except BridgeError as error:
        if error.code not in (ErrorCode.DISK_FULL, ErrorCode.OUTPUT_NOT_WRITABLE):
            raise
        first = error
    try:
        result = _write_job(job, results, rescue_folder)
    except BridgeError:
        raise first from None
    rescued = f"{first.message} The result is in {rescue_folder} instead: move it to keep it."
    return replace(result, warnings=(rescued, *result.warnings))


# Before the engine


def _span(span: SpanS, audio: JobAudio) -> Span:
    start = seconds_to_frames(span.start_s - audio.origin_s, audio.sample_rate)
    end = seconds_to_frames(span.end_s - audio.origin_s, audio.sample_rate)
    heard = audio.heard
    if 0 < heard.start - start <= EDGE_TOLERANCE_FRAMES:
        start = heard.start
    if end <= start:
        raise _invalid_time("A selection is shorter than one sample.", "Select more.")
    if start < heard.start:
        raise _invalid_time(
            "A selection starts before the item's sound does.",
            "Select what lies inside the item.",
        )
    if start > heard.end:
        raise _invalid_time(
            "A selection starts after the item's sound has ended.",
            "Start inside the sound, or at its end to extend it.",
        )
    return Span(start, end)


def _plan(
    spans: tuple[Span, ...], audio: JobAudio, settings: RequestSettings, backend: BackendInfo
) -> tuple[WindowPlan, ...]:
    """Plan windows in what is heard; their starts count frames of the whole audio."""
    origin = audio.heard.start
    plans = plan_windows(
        merge_selections([span.shifted(-origin) for span in spans]),
        file_frames=audio.heard.length,
        sample_rate=audio.sample_rate,
        context_s=settings.context_s,
        backend=backend,
    )
    return tuple(replace(plan, start=plan.start + origin) for plan in plans)


def _engine_request(
    request: Request, key: WindowKey, audio: JobAudio, plan: WindowPlan, seed: int
) -> InpaintRequest:
    return replace(request.settings, seed=seed).for_window(
        key.wire_id,
        sample_rate=audio.sample_rate,
        channels=audio.channels,
        audio_frames=plan.audio_frames,
        window_frames=plan.frames,
        spans=plan.spans,
    )


# After the engine


def _write_job(job: PlannedJob, results: Sequence[WindowResult], folder: Path) -> Result:
    make_folder(folder)
    first = results[0].done
    record = _record(job, results)
    takes, written = [], []
    try:
        for number, report in enumerate(first.takes):
            files = [
                _write_file(job, results, record, folder, take=number, number=span, span=where)
                for span, where in enumerate(job.spans)
            ]
            written += files
            result_files = tuple(_result_file(job, span, file) for span, file in enumerate(files))
            takes.append(Take(report.seed, result_files, _seams(job, results, number)))
    except BaseException:
        # They were made a moment ago, and nobody knows of them: half a result is none.
        for file in written:
            file.path.unlink(missing_ok=True)
        raise
    said = [warning for result in results for warning in result.done.warnings]
    clipped = clipping_warnings(sum(file.clipped_frames for file in written))
    return Result(
        job_id=job.request.job_id,
        backend=first.backend,
        model=first.model,
        model_revision=first.model_revision,
        mode=", ".join(dict.fromkeys(result.done.mode for result in results)),
        takes=tuple(takes),
        record=record,
        warnings=tuple(dict.fromkeys([*job.audio.warnings, *said, *clipped])),
        instance=job.request.instance,
    )


def _write_file(
    job: PlannedJob,
    results: Sequence[WindowResult],
    record: dict[str, Any],
    folder: Path,
    *,
    take: int,
    number: int,
    span: Span,
) -> TakeFile:
    request, done = job.request, results[0].done
    seed = done.takes[take].seed
    origin = Origin(
        program=f"ReaPaint {__version__}",
        model=" ".join(dict.fromkeys((done.backend, done.model, done.model_revision))).strip(),
        job_id=request.job_id,
        prompt=request.settings.prompt,
        project=request.project.name,
        record=_text({**record, "take": take + 1, "seed": seed, "span": number}),
        made_at=datetime.now().astimezone(),
    )
    part = number + 1 if len(job.spans) > 1 else None
    wanted = take_path(
        folder, item_name=request.item.name, prompt=request.settings.prompt, seed=seed, part=part
    )
    patch = _patch(job, results, take, span)
    return write_take(job.audio, span, patch, wanted, handles_s=request.handles_s, origin=origin)


def _patch(job: PlannedJob, results: Sequence[WindowResult], take: int, span: Span) -> Audio:
    """Return one span's new audio: its window's patch, or the part of a merged one."""
    for plan, result in zip(job.plans, results, strict=True):
        for index, merged in enumerate(plan.spans):
            start = span.start - plan.start - merged.start
            if 0 <= start < merged.length:
                patch = result.patches[take * len(plan.spans) + index]
                return patch[:, start : start + span.length]
    raise AssertionError("every span lies in a window")


def _result_file(job: PlannedJob, span: int, file: TakeFile) -> ResultFile:
    audio = job.audio
    return ResultFile(
        span=span,
        path=str(file.path),
        file_start_s=audio.origin_s + file.start / audio.sample_rate,
        sample_rate=audio.sample_rate,
        channels=audio.channels,
        frames=file.frames,
    )


def _seams(job: PlannedJob, results: Sequence[WindowResult], take: int) -> tuple[Seam, ...]:
    audio = job.audio
    return tuple(
        Seam(
            at_s=audio.origin_s + (plan.start + seam.frame) / audio.sample_rate,
            side=seam.side.value,
            level_step_db=seam.level_step_db,
            click_ratio=seam.click_ratio,
        )
        for plan, result in zip(job.plans, results, strict=True)
        for seam in result.done.takes[take].seams
    )


def _record(job: PlannedJob, results: Sequence[WindowResult]) -> dict[str, Any]:
    """Return all that the result depends on: enough to make it again."""
    request, done = job.request, results[0].done
    resolved = done.request
    settings = replace(
        request.settings,
        steps=resolved.steps,
        guidance=resolved.guidance,
        seed=resolved.seed,
        crossfade_s=resolved.crossfade_s,
        backend=done.backend,
        model=done.model,
    )
    return {
        "protocol": spool_protocol(),
        "job_id": request.job_id,
        "bridge_version": __version__,
        "engine_version": done.engine_version,
        "backend": done.backend,
        "model": done.model,
        "model_revision": done.model_revision,
        "mode": ", ".join(dict.fromkeys(result.done.mode for result in results)),
        "item": request.item.name,
        "source": msgspec.to_builtins(request.source),
        "spans": [asdict(span) for span in request.spans],
        "settings": asdict(settings),
        "handles_s": request.handles_s,
        "windows": [
            {
                "start_frame": plan.start,
                "frames": plan.frames,
                "audio_frames": plan.audio_frames,
                "spans": [asdict(span) for span in plan.spans],
            }
            for plan in job.plans
        ],
    }


def _text(record: dict[str, Any]) -> str:
    return msgspec.json.encode(record).decode()


def _invalid_time(message: str, hint: str) -> InputError:
    return InputError(BridgeCode.INVALID_TIME, message, hint=hint)
