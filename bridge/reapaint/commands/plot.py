"""A picture of a result: spectrograms before and after, and its seams from close by."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

import numpy as np

from reapaint.errors import InputError
from reapaint.files.new_file import NewFile
from reapaint_engine.protocol.arrays import Audio, Float64Array
from reapaint_engine.protocol.errors import package_missing
from reapaint_engine.protocol.messages import SeamReport, Side
from reapaint_engine.protocol.spans import Span

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage


WIDTH_IN, HEIGHT_IN, DOTS_PER_INCH = 12.0, 8.0, 100
COMPRESS_LEVEL = 2
"""A picture is packed in half the time that zlib's usual level 6 takes, and is 5 % larger."""

MAX_SEAM_PANELS = 4
COLUMNS = 1400
"""Columns of a spectrogram: about one for each pixel."""

ROWS = 320
RANGE_DB = 75.0
LOWEST_HZ = 40.0
FLOOR = 1e-7
"""Magnitude of what counts as silence: -140 dB."""

SEAM_S = 0.006
"""Shown at least on each side of a seam."""

MAX_SEAM_S = 0.06

_BEFORE, _AFTER, _MASK = "#8a8f98", "#d1495b", "#2a9d8f"
_TICKS_HZ = (50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000)


def plot_result(
    out_png: Path,
    *,
    before: Audio,
    after: Audio,
    sample_rate: int,
    spans: Sequence[Span],
    seams: Sequence[SeamReport],
    title: str,
    start_s: float = 0.0,
    force: bool = True,
) -> None:
    """Draw what became of a window.

    Parameters
    ----------
    before, after
        Each of shape (channels, frames), float32. ``after`` may be longer. Channels are
        mixed for display.
    sample_rate
        Hz.
    spans, seams
        In frames of the window. Without seams the edges of the spans are shown.
    start_s
        Where the window lies in the recording, for the axis of time.
    force
        Whether a picture of that name is replaced.

    Raises
    ------
    BridgeError
        ``package_missing`` without Matplotlib; ``output_exists``, ``disk_full`` or
        ``output_not_writable`` when the picture can't be written.
    """
    figure = _new_figure()
    old, new = _mono(before), _mono(after)
    edges = _edges(spans, seams)[:MAX_SEAM_PANELS]
    grid = figure.add_gridspec(3, max(len(edges), 1), height_ratios=(1, 1, 0.85))
    top = figure.add_subplot(grid[0, :])
    bottom = figure.add_subplot(grid[1, :], sharex=top)
    levels = [_magnitudes_db(audio, sample_rate) for audio in (old, new)]
    loudest = max(float(level.max()) for level in levels)
    length_s = max(len(old), len(new)) / sample_rate
    image: AxesImage | None = None
    for axes, audio, level, label in zip(
        (top, bottom), (old, new), levels, ("before", "after"), strict=True
    ):
        until_s = start_s + len(audio) / sample_rate
        image = _draw_spectrogram(axes, level, sample_rate, (start_s, until_s), loudest)
        _mark_spans(axes, spans, sample_rate, start_s)
        axes.set_ylabel(f"{label}\nHz")
        axes.set_xlim(start_s, start_s + length_s)
    top.tick_params(labelbottom=False)
    bottom.set_xlabel("time (s)")
    assert image is not None
    figure.colorbar(image, ax=[top, bottom], pad=0.01, aspect=40, label="dB")
    for column, edge in enumerate(edges):
        axes = figure.add_subplot(grid[2, column])
        _draw_seam(axes, old=old, new=new, sample_rate=sample_rate, seam=edge)
        lines = _seam_lines(edge, sample_rate, start_s)
        # Two panels are wide enough for the figures on one line; four are not
        narrow = len(edges) > 2
        axes.set_title("\n".join(lines if narrow else [lines[0], ", ".join(lines[1:])]), fontsize=9)
        if column == 0:
            axes.legend(loc="upper left", ncols=2, fontsize=8, frameon=False)
    figure.suptitle(_plain(title), fontsize=13, fontweight="bold")
    with NewFile(out_png, force=force) as file:
        figure.savefig(
            cast("BinaryIO", file), format="png", pil_kwargs={"compress_level": COMPRESS_LEVEL}
        )
        file.commit()


def _new_figure() -> "Figure":
    """Return an empty figure that belongs to nobody: no pyplot, no global state."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise InputError.of(
            package_missing("Drawing a picture", "matplotlib", "matplotlib")
        ) from error
    figure = Figure(figsize=(WIDTH_IN, HEIGHT_IN), dpi=DOTS_PER_INCH, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _plain(text: str) -> str:
    """Return text that Matplotlib takes as it is: no formulas, one short line."""
    one_line = " ".join(text.split())
    printable = "".join(c for c in one_line if ord(c) < 0x2E80)
    shortened = printable if len(printable) <= 100 else printable[:99] + "…"
    return shortened.replace("$", r"\$")


def _mono(audio: Audio) -> Float64Array:
    mixed: Float64Array = np.nan_to_num(np.mean(audio, axis=0, dtype=np.float64))
    return mixed


def _edges(spans: Sequence[Span], seams: Sequence[SeamReport]) -> list[SeamReport]:
    """Return the seams, or the bare edges of spans where none are reported."""
    if seams:
        return list(seams)
    return [
        SeamReport(
            span=index,
            side=side,
            frame=frame,
            level_step_db=0.0,
            click_ratio=0.0,
            crossfade_law="",
            crossfade_frames=0,
            correlation=0.0,
        )
        for index, span in enumerate(spans)
        for side, frame in ((Side.LEFT, span.start), (Side.RIGHT, span.end))
    ]


def _magnitudes_db(audio: Float64Array, sample_rate: int) -> Float64Array:
    """Return a spectrogram of shape (bins, columns) in dB, in columns no finer than pixels."""
    size = _window_frames(len(audio), sample_rate)
    step = max(size // 8, -(-len(audio) // COLUMNS))
    padded = np.pad(audio, size // 2 + 1)
    window = np.hanning(size)
    starts = np.arange(0, len(audio), step)
    columns = np.empty((size // 2 + 1, len(starts)), np.float64)
    for column, start in enumerate(starts):
        spectrum = np.fft.rfft(padded[start : start + size] * window)
        columns[:, column] = np.abs(spectrum) / (size / 4)
    np.log10(np.maximum(columns, FLOOR), out=columns)
    columns *= 20
    return columns


def _window_frames(frames: int, sample_rate: int) -> int:
    """Return a power of two near 40 ms, shorter where there is little to see."""
    wanted = min(0.04 * sample_rate, max(frames / 16, 32))
    return int(2 ** round(np.log2(wanted)))


def _draw_spectrogram(
    axes: "Axes",
    levels: Float64Array,
    sample_rate: int,
    extent_s: tuple[float, float],
    loudest: float,
) -> "AxesImage":
    """Draw on a logarithmic axis of frequency, by looking rows up in the linear one."""
    nyquist = sample_rate / 2
    lowest = min(LOWEST_HZ, nyquist / 16)
    wanted = np.geomspace(lowest, nyquist, ROWS)
    position = wanted / nyquist * (levels.shape[0] - 1)
    below = np.minimum(position.astype(int), levels.shape[0] - 2)
    share = (position - below)[:, np.newaxis]
    rows = levels[below] * (1 - share) + levels[below + 1] * share
    image = axes.imshow(
        rows,
        origin="lower",
        aspect="auto",
        extent=(*extent_s, 0.0, 1.0),
        cmap="magma",
        vmin=loudest - RANGE_DB,
        vmax=loudest,
        interpolation="bilinear",
    )
    ticks = [hz for hz in _TICKS_HZ if lowest <= hz <= nyquist]
    scale = np.log(nyquist / lowest)
    axes.set_yticks(
        [float(np.log(hz / lowest) / scale) for hz in ticks],
        [f"{hz // 1000}k" if hz >= 1000 else str(hz) for hz in ticks],
    )
    return image


def _mark_spans(axes: "Axes", spans: Sequence[Span], sample_rate: int, start_s: float) -> None:
    for span in spans:
        left, right = (start_s + frame / sample_rate for frame in (span.start, span.end))
        for edge in (left, right):
            axes.axvline(edge, color="white", linewidth=1.2, linestyle=(0, (4, 3)))
        axes.plot(
            [left, right],
            [1.025, 1.025],
            color=_MASK,
            linewidth=5,
            solid_capstyle="butt",
            transform=axes.get_xaxis_transform(),
            clip_on=False,
        )


def _draw_seam(
    axes: "Axes", *, old: Float64Array, new: Float64Array, sample_rate: int, seam: SeamReport
) -> None:
    """Draw the waveforms around one seam, in milliseconds from it."""
    half_s = min(max(1.4 * seam.crossfade_frames / sample_rate, SEAM_S), MAX_SEAM_S)
    half = max(int(half_s * sample_rate), 8)
    milliseconds = 1000 / sample_rate
    peak = 1e-4
    for audio, colour, label, width in (
        (old, _BEFORE, "before", 2.4),
        (new, _AFTER, "after", 1.1),
    ):
        first, last = max(seam.frame - half, 0), min(seam.frame + half, len(audio))
        shown = audio[first:last]
        time_ms = (np.arange(first, first + len(shown)) - seam.frame) * milliseconds
        axes.plot(time_ms, shown, color=colour, linewidth=width, label=label)
        peak = max(peak, float(np.abs(shown).max(initial=0.0)))
    inwards = half if seam.side is Side.LEFT else -half
    axes.axvspan(*sorted((0.0, inwards * milliseconds)), color=_MASK, alpha=0.10, linewidth=0)
    fade_ms = seam.crossfade_frames * milliseconds * (1 if inwards > 0 else -1)
    if fade_ms:
        axes.axvspan(*sorted((0.0, fade_ms)), color=_MASK, alpha=0.18, linewidth=0)
    axes.axvline(0.0, color=_MASK, linewidth=1.2, linestyle=(0, (4, 3)))
    axes.set_xlim(-half * milliseconds, half * milliseconds)
    axes.set_ylim(-1.15 * peak, 1.5 * peak)
    axes.set_xlabel("ms from the seam", fontsize=9)
    axes.tick_params(labelsize=8)
    axes.grid(visible=True, alpha=0.25)


def _seam_lines(seam: SeamReport, sample_rate: int, start_s: float) -> list[str]:
    place = f"{seam.side.value} seam at {start_s + seam.frame / sample_rate:.3f} s"
    if not seam.crossfade_law:
        return [place]
    fade_ms = 1000 * seam.crossfade_frames / sample_rate
    law = seam.crossfade_law.replace("_", " ")
    return [
        place,
        f"level step {seam.level_step_db:+.1f} dB, click {seam.click_ratio:.2f}",
        f"{fade_ms:.0f} ms {law}" if seam.crossfade_frames else law,
    ]
