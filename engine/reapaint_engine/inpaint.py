"""Carry out one job: window to backend, new audio back, spliced into every span."""

import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from reapaint_engine.backends.base import Backend, Fill, Generation, GenerationParams, Window
from reapaint_engine.dsp.channels import ChannelMap, map_channels
from reapaint_engine.dsp.masks import kept_stretches
from reapaint_engine.dsp.resampling import resample
from reapaint_engine.dsp.splicing import Levelling, Seam, Splice, splice
from reapaint_engine.dsp.windows import passage_at_rate, spans_at_rate
from reapaint_engine.errors import BackendUnavailable, JobError
from reapaint_engine.monitor import JobMonitor
from reapaint_engine.protocol.arrays import Audio
from reapaint_engine.protocol.errors import ErrorCode, unknown_choice
from reapaint_engine.protocol.messages import (
    BackendInfo,
    Done,
    InpaintRequest,
    SeamReport,
    Side,
    TakeReport,
    Timings,
)
from reapaint_engine.protocol.params import (
    DEFAULT_CROSSFADE_S,
    MAX_SEED,
    chosen_from,
    parameters,
)
from reapaint_engine.protocol.progress import Stage
from reapaint_engine.protocol.requests import crossfade_frames
from reapaint_engine.protocol.spans import Span
from reapaint_engine.protocol.version import __version__

MAX_UNCHANGED_POWER_SHARE = 1e-4
"""A change up to this share of the sound's power (40 dB below it) can't be heard."""

COMPARED_FRAMES = 1 << 15


def inpaint(
    request: InpaintRequest,
    audio: Audio,
    *,
    backends: Mapping[str, Backend],
    default_backend: str,
    monitor: JobMonitor,
    queued_s: float,
) -> tuple[Done, tuple[Audio, ...]]:
    """Carry out one checked request.

    Parameters
    ----------
    request
        The request.
    audio
        The window's audio, shape (channels, audio_frames), float32; it is not changed.
    backends, default_backend
        All backends by name, and the one for requests that name none.
    monitor
        Reports progress, ends the job when it was cancelled, and measures the times.
    queued_s
        How long the job waited, for the report.

    Returns
    -------
    tuple
        The report, and a patch for each span of each take, takes outermost, float32
        of shape (channels, span length).

    Raises
    ------
    JobError
        The job can't be done.
    """
    started_s = time.monotonic()
    backend = _choose_backend(request, backends, default_backend)
    window = Window(
        audio=_with_missing_end(audio, request.window_frames),
        sample_rate=request.sample_rate,
        spans=request.spans,
        audio_frames=request.audio_frames,
    )
    try:
        generated = _generate(request, window, backend, monitor)
    except BackendUnavailable as error:
        # The request named no backend, so new sound from any backend is better than an error.
        was_named = request.backend is not None or request.model is not None
        fallback = next(iter(backends.values()))
        if was_named or backend is fallback:
            raise
        generated = _generate(request, window, fallback, monitor)
        by = fallback.info.name
        generated = replace(
            generated, warnings=(f"Filled by the {by} backend instead: {error.for_stranger()}",)
        )
    resolved, generation, info = generated.resolved, generated.generation, generated.info
    monitor.enter(Stage.SPLICE)
    takes = [
        _splice_take(fill, window, resolved, info, generated.channel_map)
        for fill in generation.fills
    ]
    patches = tuple(each.patch for take in takes for each in take)
    reports = tuple(
        TakeReport(seed=seed, seams=_seam_reports(take))
        for seed, take in zip(generated.seeds, takes, strict=True)
    )
    monitor.stop()
    seconds = monitor.seconds
    return Done(
        job_id=resolved.job_id,
        request=_as_carried_out(resolved, generation),
        backend=info.name,
        model=generation.model,
        model_revision=generation.model_revision,
        mode=generation.mode,
        engine_version=__version__,
        takes=reports,
        timings_s=Timings(
            queued=queued_s,
            encode=seconds.get(Stage.ENCODE, 0.0),
            sample=seconds.get(Stage.SAMPLE, 0.0),
            decode=seconds.get(Stage.DECODE, 0.0),
            splice=seconds.get(Stage.SPLICE, 0.0),
            total=time.monotonic() - started_s + queued_s,
        ),
        warnings=(*generated.warnings, *_warnings(resolved, info, generation, window, takes)),
        notes=generation.notes,
    ), patches


@dataclass(frozen=True)
class _Generated:
    """A backend's result, and the request it was given."""

    resolved: InpaintRequest
    info: BackendInfo
    seeds: list[int]
    channel_map: ChannelMap | None
    generation: Generation
    warnings: tuple[str, ...] = ()


def _generate(
    request: InpaintRequest, window: Window, backend: Backend, monitor: JobMonitor
) -> _Generated:
    info = backend.info
    resolved = _resolve(request, info)
    seeds = [(_seed_of(resolved) + take) % (MAX_SEED + 1) for take in range(resolved.takes)]
    channel_map = _channel_map(info, window)
    heard = _heard_by(info, window, channel_map)
    generation = backend.generate(heard, GenerationParams(**chosen_from(resolved)), seeds, monitor)
    return _Generated(resolved, info, seeds, channel_map, generation)


# Before the backend


def _choose_backend(
    request: InpaintRequest, backends: Mapping[str, Backend], default: str
) -> Backend:
    name = request.backend or default
    backend = backends.get(name)
    if backend is None:
        raise JobError.of(unknown_choice(ErrorCode.UNKNOWN_BACKEND, "backend", name, backends))
    if not backend.info.open_models:
        _check_choice("model", request.model, backend.info.models, ErrorCode.UNKNOWN_MODEL)
    _check_choice("mode", request.mode, backend.info.modes, ErrorCode.UNKNOWN_MODE)
    return backend


def _check_choice(kind: str, name: str | None, choices: tuple[str, ...], code: ErrorCode) -> None:
    if name is not None and name not in choices:
        raise JobError.of(unknown_choice(code, kind, name, choices))


def _resolve(request: InpaintRequest, info: BackendInfo) -> InpaintRequest:
    """Fill in every default, so that the report alone is enough to repeat the job."""
    return replace(
        request,
        backend=info.name,
        model=request.model or info.default_model,
        seed=_first_seed(request, info) if request.seed is None else request.seed,
        crossfade_s=DEFAULT_CROSSFADE_S if request.crossfade_s is None else request.crossfade_s,
    )


def _as_carried_out(resolved: InpaintRequest, generation: Generation) -> InpaintRequest:
    return replace(
        resolved,
        model=generation.model,
        steps=resolved.steps if generation.steps is None else generation.steps,
        guidance=resolved.guidance if generation.guidance is None else generation.guidance,
    )


def _first_seed(request: InpaintRequest, info: BackendInfo) -> int:
    """Return a seed: the same for a job that is sent again, which must not be paid twice."""
    if info.first_seed is not None:
        return info.first_seed
    digest = hashlib.blake2b(request.job_id.encode(), digest_size=8).digest()
    return int.from_bytes(digest) % (MAX_SEED + 1)


def _seed_of(resolved: InpaintRequest) -> int:
    assert resolved.seed is not None, "a resolved request has a seed"
    return resolved.seed


def _with_missing_end(audio: Audio, frames: int) -> Audio:
    missing = frames - audio.shape[1]
    return np.pad(audio, ((0, 0), (0, missing))) if missing else audio


def _channel_map(info: BackendInfo, window: Window) -> ChannelMap | None:
    if info.channels is None:
        return None
    kept = kept_stretches(window.spans, window.audio_frames)
    context = [window.audio[:, stretch.start : stretch.end] for stretch in kept]
    return map_channels(np.concatenate([window.audio[:, :0], *context], axis=1), info.channels)


def _heard_by(info: BackendInfo, window: Window, channel_map: ChannelMap | None) -> Window:
    """Return the window at the backend's own rate and channel count."""
    rate = info.sample_rate or window.sample_rate
    audio = window.audio if channel_map is None else channel_map.to_backend(window.audio)
    if rate == window.sample_rate:
        return replace(window, audio=audio)
    audio = resample(audio, window.sample_rate, rate)
    return Window(
        audio=audio,
        sample_rate=rate,
        spans=spans_at_rate(window.spans, window.sample_rate, rate, window.frames),
        audio_frames=min(-(-window.audio_frames * rate // window.sample_rate), audio.shape[1]),
    )


# After the backend


def _splice_take(
    fill: Fill,
    window: Window,
    resolved: InpaintRequest,
    info: BackendInfo,
    channel_map: ChannelMap | None,
) -> list[Splice]:
    rate = window.sample_rate
    spliced = []
    for index, (span, passage) in enumerate(zip(window.spans, fill.passages, strict=True)):
        try:
            new_audio = passage_at_rate(
                passage.audio,
                start=passage.start,
                from_rate=info.sample_rate or rate,
                to_rate=rate,
                wanted=span,
            )
            if channel_map is not None:
                new_audio = channel_map.from_backend(new_audio)
            patch = splice(
                window.audio,
                window.audio_frames,
                span,
                new_audio,
                sample_rate=rate,
                crossfade_frames=crossfade_frames(resolved.crossfade_s, span.length, rate),
                levelling=passage.levelling if resolved.match_level else Levelling.LEAVE,
                continuous=passage.continuous,
                within=_surroundings(index, window),
            )
        except ValueError as error:
            raise JobError(
                ErrorCode.BACKEND_FAILED,
                f"The backend {info.name} returned a fill that can't be used: {error}.",
                hint="Try another seed or backend, and report it.",
            ) from error
        spliced.append(patch)
    return spliced


def _surroundings(index: int, window: Window) -> Span:
    """Return the frames around a span that no other span replaces."""
    spans = window.spans
    start = spans[index - 1].end if index else 0
    end = spans[index + 1].start if index + 1 < len(spans) else window.frames
    return Span(start, end)


def _seam_reports(take: list[Splice]) -> tuple[SeamReport, ...]:
    return tuple(
        _seam_report(index, side, seam)
        for index, spliced in enumerate(take)
        for side, seam in ((Side.LEFT, spliced.left), (Side.RIGHT, spliced.right))
        if seam is not None
    )


def _seam_report(index: int, side: Side, seam: Seam) -> SeamReport:
    return SeamReport(
        span=index,
        side=side,
        frame=seam.frame,
        level_step_db=round(seam.level_step_db, 2),
        click_ratio=round(seam.click_ratio, 3),
        crossfade_law=seam.law,
        crossfade_frames=seam.crossfade_frames,
        correlation=round(seam.correlation, 3),
    )


# Warnings


def _warnings(
    resolved: InpaintRequest,
    info: BackendInfo,
    generation: Generation,
    window: Window,
    takes: list[list[Splice]],
) -> tuple[str, ...]:
    ignored = tuple(
        f"The {info.name} backend can't honour the {name.replace('_', ' ')}: it had no effect."
        for name, parameter in parameters().items()
        if parameter.needs_backend
        and getattr(resolved, name) != parameter.default
        and name not in info.honours
    )
    unchanged = (
        f"Nothing audible changed in take {number}."
        for number, take in enumerate(takes, start=1)
        if all(
            _is_unchanged(spliced.patch, window.audio[:, span.start : span.end])
            for span, spliced in zip(window.spans, take, strict=True)
        )
    )
    return (*ignored, *generation.warnings, *unchanged)


def _is_unchanged(patch: Audio, original: Audio) -> bool:
    """Return whether a patch equals the original; blocks fit the cache, so this is quick."""
    limit = MAX_UNCHANGED_POWER_SHARE * sum(
        float(np.vdot(channel, channel)) for channel in original
    )
    change = 0.0
    for new, old in zip(patch, original, strict=True):
        for start in range(0, new.size, COMPARED_FRAMES):
            block = new[start : start + COMPARED_FRAMES] - old[start : start + COMPARED_FRAMES]
            change += float(np.vdot(block, block))
            if change > limit:
                return False
    return True
