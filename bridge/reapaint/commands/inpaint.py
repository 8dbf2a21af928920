"""``reapaint inpaint``: a sound file in, its repainted version out."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from reapaint.commands.terminal import Terminal
from reapaint.errors import BridgeCode, InputError
from reapaint.files.formats.targets import check_place
from reapaint.files.media import probe, read_frames
from reapaint.link.engine import Engine
from reapaint.link.in_process import InProcessEngine
from reapaint.link.launcher import connect
from reapaint.repaint import RepaintJob, Report, prepare, run_job
from reapaint_engine.protocol.arrays import Audio
from reapaint_engine.protocol.errors import THE_PATH, ErrorCode
from reapaint_engine.protocol.libraries import LIBRARY_BACKEND, library_name
from reapaint_engine.protocol.params import AUTO
from reapaint_engine.protocol.spans import Span


@dataclass(frozen=True, kw_only=True)
class Where:
    """Which engine does the work: a named one, this process, or whichever is found."""

    endpoint: str | None = None
    in_process: bool = False
    default_backend: str = AUTO
    library: Path | None = None
    """A folder of sounds for an engine of this machine."""


def run(
    job: RepaintJob,
    where: Where,
    terminal: Terminal,
    *,
    plot: Path | None = None,
    play: bool = False,
) -> Report:
    """Run a job and show what came of it.

    Raises
    ------
    BridgeError
        With a sentence for the user.
    """
    with terminal.progress() as on_progress:
        # Files first: a mistyped name should not cost the start of an engine.
        prepared = prepare(job)
        if plot is not None:
            _check_picture(plot, force=job.force)
        if job.settings.backend == LIBRARY_BACKEND:
            _check_folder(where)
        with open_engine(where) as engine:
            if job.settings.backend == LIBRARY_BACKEND:
                _check_library(engine, where)
            report = run_job(prepared, engine, on_progress)
    if plot is not None:
        draw(report, plot, force=job.force)
    if play:
        report = _played(report)
    show(report, plot, terminal)
    return report


@contextlib.contextmanager
def open_engine(where: Where) -> Iterator[Engine]:
    """Yield the engine that does the work, and end the session with it."""
    # One that is not there keeps no engine from what needs none.
    library = where.library if where.library is not None and where.library.is_dir() else None
    if where.in_process:
        with contextlib.closing(InProcessEngine(where.default_backend, library)) as engine:
            yield engine
        return
    options = () if library is None else (f"--library={library.resolve()}",)
    with connect(where.endpoint, options=options) as client:
        yield client


def _check_folder(where: Where) -> None:
    if where.endpoint is not None:
        return
    if where.library is None:
        raise InputError(
            ErrorCode.NO_LIBRARY,
            "There is no folder of sounds to fill from.",
            hint="Name one with --library or in REAPAINT_LIBRARY.",
        )
    if not where.library.is_dir():
        raise InputError(
            ErrorCode.NO_LIBRARY,
            f"There is no folder {THE_PATH}.",
            hint="Connect its disk, or name another folder with --library.",
            path=where.library,
        )


def _check_library(engine: Engine, where: Where) -> None:
    """Refuse an engine that runs without a library, or with another one."""
    models = [info.models for info in engine.welcome.backends if info.name == LIBRARY_BACKEND]
    if where.library is None and not models:
        raise InputError(
            ErrorCode.NO_LIBRARY,
            f"The engine at {where.endpoint} has no library.",
            hint="Start it with `reapaint serve --library DIR`.",
        )
    if where.library is not None and library_name(where.library) not in sum(models, ()):
        raise InputError(
            ErrorCode.NO_LIBRARY,
            f"The running engine was started {'with another' if models else 'without a'} library.",
            hint="End it with `reapaint stop` and try again: the next one gets this library.",
        )


def draw(report: Report, picture: Path, *, force: bool) -> None:
    """Draw the first output beside its input, with some of its surroundings."""
    from reapaint.commands.plot import plot_result

    output, info = report.outputs[0], report.info
    window = shown_around(report)
    plot_result(
        picture,
        before=read_frames(info, window.start, min(window.end, info.frames)),
        after=_read_output(output.path, window, info.sample_rate, at_rate=info.sample_rate)[0],
        sample_rate=info.sample_rate,
        spans=[span.shifted(-window.start) for span in report.selections],
        seams=[
            replace(seam.report, frame=round(seam.at_s * info.sample_rate) - window.start)
            for seam in output.seams
        ],
        title=f"{output.path.name}: {report.backend} ({report.mode}), seed {output.seed}",
        start_s=window.start / info.sample_rate,
        force=force,
    )


def _read_output(
    path: Path, window: Span, input_rate: int, *, at_rate: int | None = None
) -> tuple[Audio, int]:
    """Return an output's window and its rate, which its format may have changed."""
    info = probe(path)
    scale = info.sample_rate / input_rate
    end = min(round(window.end * scale), info.frames)
    audio = read_frames(info, round(window.start * scale), end)
    if at_rate is None or at_rate == info.sample_rate:
        return audio, info.sample_rate
    import soxr  # type: ignore[import-untyped]  # ships no type information

    return soxr.resample(audio.T, info.sample_rate, at_rate).T, at_rate


def _check_picture(path: Path, *, force: bool) -> None:
    if path.suffix.lower() != ".png":
        raise InputError(
            BridgeCode.UNSUPPORTED_FORMAT,
            f"{THE_PATH} would be no PNG picture.",
            hint="Give --plot a name that ends in .png.",
            path=path,
        )
    check_place(path, force=force)


def shown_around(report: Report) -> Span:
    """Return the selections and what is around them, in frames of the input."""
    first, last = report.selections[0], report.selections[-1]
    margin = max(last.end - first.start, report.info.sample_rate) // 2
    return Span(max(first.start - margin, 0), last.end + margin)


def show(report: Report, plot: Path | None, terminal: Terminal) -> None:
    """Tell a person what was written, and what to know about it."""
    for note in report.notes:
        terminal.say(note)
    for warning in report.warnings:
        terminal.warn(warning)
    for output in report.outputs:
        worst_step = max((abs(seam.report.level_step_db) for seam in output.seams), default=0.0)
        worst_click = max((seam.report.click_ratio for seam in output.seams), default=0.0)
        terminal.say(
            f"{output.path}: seed {output.seed}, {report.backend} ({report.mode}),"
            f" level step {worst_step:.1f} dB, click ratio {worst_click:.2f}"
        )
    if plot is not None:
        terminal.say(f"{plot}: before and after")
    terminal.result(report.as_json())


def _played(report: Report) -> Report:
    """Play every output; what can't be heard is a warning, since the files are there."""
    from reapaint.commands.preview import play

    try:
        for output in report.outputs:
            audio, rate = _read_output(output.path, shown_around(report), report.info.sample_rate)
            play(audio, rate)
    except InputError as error:
        return replace(report, warnings=(*report.warnings, str(error)))
    return report
