"""``reapaint inpaint``: a sound file in, its repainted version out."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bridge.client import EngineClient
from bridge.launcher import find_or_start
from bridge.local_engine import Engine, InProcessEngine
from bridge.repaint import Order, Report, carry_out, prepare
from bridge.terminal import Terminal


@dataclass(frozen=True, kw_only=True)
class Where:
    """Which engine does the work: a named one, this process, or whichever is found."""

    endpoint: str | None = None
    in_process: bool = False
    default_backend: str = "context"


def run(
    order: Order, where: Where, terminal: Terminal, *, plot: Path | None = None, play: bool = False
) -> Report:
    """Carry out an order and show what came of it.

    Raises
    ------
    BridgeError
        With a sentence for the user.
    """
    with terminal.progress() as on_progress:
        # Files first: a mistyped name should not cost the start of an engine.
        prepared = prepare(order)
        if plot is not None:
            _check_picture(plot, force=order.force)
        with open_engine(where) as engine:
            report = carry_out(prepared, engine, on_progress)
    for warning in report.warnings:
        terminal.warn(warning)
    if plot is not None:
        draw(report, plot)
    show(report, plot, terminal)
    if play:
        play_results(report)
    return report


@contextlib.contextmanager
def open_engine(where: Where) -> Iterator[Engine]:
    """Yield the engine that does the work, and end the session with it."""
    if where.in_process:
        yield InProcessEngine(where.default_backend)
        return
    with EngineClient(find_or_start(where.endpoint)) as client:
        yield client


def draw(report: Report, picture: Path) -> None:
    """Draw the first output beside its input, with some of its surroundings."""
    from bridge.plot import plot_report

    plot_report(report, picture)


def show(report: Report, plot: Path | None, terminal: Terminal) -> None:
    """Tell a person what was written."""
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


def play_results(report: Report) -> None:
    """Play every selection of every output with a little of what surrounds it."""
    from bridge.media import probe, read_frames
    from bridge.preview import play

    lead = report.info.sample_rate
    for output in report.outputs:
        info = probe(output.path)
        start = max(report.selections[0].start - lead, 0)
        end = min(report.selections[-1].end + lead, info.frames)
        play(read_frames(info, start, end), info.sample_rate)
