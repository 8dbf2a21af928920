"""``reapaint demo``: the main job on a recording that comes along."""

from datetime import UTC, datetime
from pathlib import Path

from reapaint.commands import inpaint
from reapaint.commands.terminal import Terminal
from reapaint.errors import InputError
from reapaint.files.media import probe, read_frames, write_spliced
from reapaint.link.launcher import connect
from reapaint.repaint import RepaintJob, Report, prepare, run_job
from reapaint.request_settings import RequestSettings
from reapaint_engine.protocol.discovery import find_engine
from reapaint_engine.protocol.errors import THE_PATH, ErrorCode, reason_of
from reapaint_engine.protocol.version import __version__

RECORDING = Path(__file__).parent.parent / "recordings" / "river.flac"
SELECTION_S = (6.0, 8.0)
SEED = 1


def run(folder: Path, terminal: Terminal) -> None:
    """Write before.wav, after.wav, a picture and a report into a folder.

    Raises
    ------
    BridgeError
        With a sentence for the user.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            ErrorCode.OUTPUT_NOT_WRITABLE,
            f"The folder {THE_PATH} can't be made: {reason_of(error)}.",
            hint="Name another one with --out.",
            path=folder,
        ) from error
    before, after, picture = (folder / name for name in ("before.wav", "after.wav", "picture.png"))
    write_spliced(probe(RECORDING), before, [], force=True, record={})
    # Whoever tries the demo did not ask for a process that stays.
    stop_afterwards = find_engine() is None
    with terminal.progress() as on_progress, connect(None) as client:
        job = RepaintJob(
            source=before,
            target=after,
            selections_s=(SELECTION_S,),
            settings=RequestSettings(seed=SEED, backend="context"),
            force=True,
        )
        report = run_job(prepare(job), client, on_progress)
        if stop_afterwards:
            client.stop_engine()
    inpaint.draw(report, picture, force=True)
    text = folder / "report.md"
    text.write_text(_report_text(report), encoding="utf-8")
    inpaint.show(report, picture, terminal)
    terminal.say(f"{text}: the figures. Listen to {before} and {after}.")


def _report_text(report: Report) -> str:
    """Return the report as Markdown; the count of changed frames is taken from the files."""
    output = report.outputs[0]
    start_s, end_s = SELECTION_S
    lines = [
        "# A repainted river",
        "",
        f"ReaPaint {__version__}, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC.",
        (
            f"`{RECORDING.name}` from {start_s:g} to {end_s:g} s, filled by the backend"
            f" `{report.backend}` in mode `{report.mode}` with seed {output.seed}."
        ),
        "",
        "![before and after](picture.png)",
        "",
        f"- Frames outside the selection that differ: {_count_changes_outside(report)}",
        f"- Time in the engine: {report.timings_s.total:.2f} s",
        "",
        "| seam | level step | click ratio | crossfade |",
        "|---|---|---|---|",
        *(
            f"| {seam.at_s:.2f} s | {seam.report.level_step_db:+.1f} dB"
            f" | {seam.report.click_ratio:.2f} | {seam.report.crossfade_law} |"
            for seam in output.seams
        ),
        "",
        (
            "The level step compares the 50 ms after a seam with the 50 ms before it. A click"
            " ratio up to about 1 means that nothing at the seam stands out of the sound itself."
        ),
        "",
        *(f"- {warning}" for warning in report.warnings),
    ]
    return "\n".join(lines).rstrip() + "\n"


def _count_changes_outside(report: Report) -> int:
    before, after = report.info, probe(report.outputs[0].path)
    span = report.selections[0]
    changed = 0
    for start, end in ((0, span.start), (span.end, before.frames)):
        changes = read_frames(before, start, end) != read_frames(after, start, end)
        changed += int(changes.any(axis=0).sum())
    return changed
