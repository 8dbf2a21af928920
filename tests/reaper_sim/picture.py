"""Draws a simulated timeline before and after: ``python -m tests.reaper_sim.picture OUT.png``.

The scripts, the bridge and the engine are the real ones; REAPER is the double of this folder,
so the picture shows where items, takes and samples are, not how REAPER looks.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from reapaint.files.media import probe, read_frames
from tests.integration.test_reaper_end_to_end import Installed

RECORDING = Path(__file__).parents[2] / "bridge" / "reapaint" / "recordings" / "river.flac"
LENGTH_S = 12.0
SELECTION_S = (5.0, 7.0)
COLUMNS = 1500


def main(picture: Path) -> None:
    """Paint the same part twice, and draw the timeline at both ends."""
    info = probe(RECORDING)
    media = read_frames(info, 0, round(LENGTH_S * info.sample_rate))
    figure = Figure(figsize=(11, 4.2), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    before, after = figure.subplots(2, 1, sharex=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        Installed(
            Path(folder),
            media=np.repeat(media, 2, axis=0),
            name="river.wav",
            item={"position_s": 0.0, "length_s": LENGTH_S},
        ) as reaper,
    ):
        reaper.select(*SELECTION_S)
        _draw(before, reaper, "before")
        reaper.paint("")
        reaper.wait_for_takes(1)
        reaper.sim.run_action("ReaPaint_Try again with a new seed.lua")
        reaper.wait_for_takes(2)
        _draw(after, reaper, "after two presses")
    after.set_xlabel("project time (s)")
    figure.suptitle("Simulated timeline: one item, its selection painted twice", fontsize=12)
    figure.savefig(picture)


def _draw(axes: Axes, reaper: Installed, label: str) -> None:
    sound = reaper.sim.render(0.0, LENGTH_S)
    columns = np.array_split(sound.mean(axis=0), COLUMNS)
    low, high = (np.array([edge(column) for column in columns]) for edge in (np.min, np.max))
    scale = 0.8 / max(np.abs(low).max(), np.abs(high).max())
    times_s = np.linspace(0, LENGTH_S, COLUMNS)
    axes.fill_between(times_s, low * scale, high * scale, color="#2f4858", linewidth=0, zorder=3)
    axes.axvspan(*SELECTION_S, ymin=0.0, ymax=1.0, color="#2a9d8f", alpha=0.15)
    for item in reaper.items():
        is_painted = len(item.takes) > 1
        colour = "#d1495b" if is_painted else "#8a8f98"
        axes.add_patch(
            Rectangle(
                (item.position, -1.0),
                item.end - item.position,
                2.0,
                facecolor=colour,
                alpha=0.25,
                edgecolor=colour,
                linewidth=1.5,
            )
        )
        name = f"{len(item.takes)} takes" if is_painted else "original"
        axes.text(item.position + 0.06, 1.08, name, fontsize=9, color=colour)
    axes.set_ylim(-1.1, 1.45)
    axes.set_xlim(0, LENGTH_S)
    axes.set_yticks([])
    axes.set_ylabel(label)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
