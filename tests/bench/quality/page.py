"""A page to listen to: every method's fill of a gap, one under the other."""

import html
import math
from dataclasses import dataclass, field
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from pedalboard.io import AudioFile

from reapaint_engine.protocol.arrays import Audio
from tests.bench.quality.cases import Case
from tests.bench.quality.metrics import Quality

AROUND_S = 1.5
"""Kept audio to be heard before and after a gap."""
SHOWN_S = 0.25
"""Shortest stretch beside a gap in a picture; long gaps show as much as is heard."""
RANGE_DB = 90.0
SHOWN_MEASURES = ("snr_db", "lsd_db", "texture", "flux", "click_ratio", "copy")

HEAD = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>ReaPaint: filled gaps</title>
<style>
body { font: 15px/1.4 system-ui, sans-serif; margin: 2em auto; max-width: 70em; padding: 0 1em }
h2 { margin-top: 2em } figure { margin: 0 } img { width: 100%; display: block }
.fills { display: grid; grid-template-columns: repeat(auto-fill, minmax(20em, 1fr)); gap: 1em }
audio { width: 100% } figcaption { font-size: 13px }
</style>
<h1>Filled gaps</h1>
<p>The gap lies between the two lines. Nothing outside of it was changed. Every method but
the true audio was given the recording with the gap empty.</p>
"""


@dataclass(slots=True)
class Page:
    """Collects fills, writes their sound and pictures, and at the end the page."""

    folder: Path
    sections: dict[str, list[str]] = field(default_factory=dict)

    def add(self, case: Case, method: str, audio: Audio, quality: Quality) -> None:
        """Write one fill's sound and picture."""
        recording = case.recording
        rate, span = recording.sample_rate, case.span
        around = round(AROUND_S * rate)
        start, end = max(0, span.start - around), min(audio.shape[1], span.end + around)
        stem = f"{recording.name}_{1000 * case.gap_s:g}ms_{method}".replace(" ", "-")
        stem = "".join(letter for letter in stem if letter.isalnum() or letter in "-_.")
        heard = audio[:, start:end]
        with AudioFile(str(self.folder / f"{stem}.wav"), "w", rate, heard.shape[0]) as file:
            file.write(heard)
        edges_s = ((span.start - start) / rate, (span.end - start) / rate)
        _draw(heard.mean(axis=0), rate, edges_s, self.folder / f"{stem}.png")
        title = f"{recording.name}, {1000 * case.gap_s:g} ms ({recording.kind})"
        self.sections.setdefault(title, []).append(_figure(stem, method, quality))

    def write(self) -> None:
        """Write the page."""
        parts = [HEAD]
        for title, figures in self.sections.items():
            parts += [f"<h2>{html.escape(title)}</h2>", '<div class="fills">', *figures, "</div>"]
        (self.folder / "index.html").write_text("\n".join(parts), encoding="utf-8")


def _figure(stem: str, method: str, quality: Quality) -> str:
    figures = {name: getattr(quality, name) for name in SHOWN_MEASURES}
    told = ", ".join(f"{n} {v:.2f}" for n, v in figures.items() if not math.isnan(v))
    return (
        f'<figure><img src="{stem}.png" alt="spectrogram">'
        f'<audio controls preload="none" src="{stem}.wav"></audio>'
        f"<figcaption><b>{html.escape(method)}</b><br>{html.escape(told)}</figcaption></figure>"
    )


def _draw(samples: Audio, sample_rate: int, edges_s: tuple[float, float], path: Path) -> None:
    """Draw the spectrogram around a gap."""
    beside_s = min(AROUND_S, max(SHOWN_S, edges_s[1] - edges_s[0]))
    first = max(0, round((edges_s[0] - beside_s) * sample_rate))
    shown = samples[first : round((edges_s[1] + beside_s) * sample_rate)]
    size = 1 << max(6, round(math.log2(0.02 * sample_rate)))
    shown = np.pad(shown, (0, max(0, size - shown.size)))
    hop = max(1, min(size // 4, shown.size // 400))
    frames = np.lib.stride_tricks.sliding_window_view(shown, size)[::hop]
    powers = np.abs(np.fft.rfft(frames * np.hanning(size), axis=1)) ** 2
    levels = 10 * np.log10(powers.T + 1e-12)
    with mpl.rc_context({"font.size": 7}):
        figure = Figure(figsize=(4.2, 2.0), dpi=100, layout="constrained")
        axes = figure.subplots()
        begin_s = first / sample_rate
        extent = (begin_s, begin_s + shown.size / sample_rate, 0, sample_rate / 2000)
        peak = float(levels.max())
        axes.imshow(
            levels, origin="lower", aspect="auto", extent=extent, vmin=peak - RANGE_DB, vmax=peak
        )
        for edge_s in edges_s:
            axes.axvline(edge_s, color="white", linewidth=0.7)
        axes.set_xlabel("s")
        axes.set_ylabel("kHz")
        figure.savefig(path)
