"""Figures of all fills, as text and as JSON."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from tests.bench.quality.cases import Case
from tests.bench.quality.metrics import Quality

ALL_KINDS = "all"
COLUMNS = {
    "snr_db": "SNR dB",
    "lsd_db": "LSD dB",
    "level_db": "level dB",
    "texture": "texture",
    "flux": "flux",
    "click_ratio": "click",
    "kept_click_ratio": "kept",
    "copy": "copy",
    "onset": "onset",
    "chroma": "chroma",
    "coherence": "coher.",
    "image_db": "image dB",
    "seconds": "seconds",
}


@dataclass(frozen=True, slots=True)
class Row:
    """One fill: where, how, and how good."""

    recording: str
    kind: str
    gap_s: float
    start_s: float
    method: str
    figures: dict[str, float]

    @classmethod
    def of(cls, case: Case, method: str, seconds: float, quality: Quality) -> "Row":
        """Return the row of one fill."""
        recording = case.recording
        return cls(
            recording=recording.name,
            kind=recording.kind,
            gap_s=case.gap_s,
            start_s=case.span.start / recording.sample_rate,
            method=method,
            figures={**asdict(quality), "seconds": seconds},
        )


def as_text(rows: Sequence[Row]) -> str:
    """Return tables of medians, one for each gap length and kind of recording."""
    kinds = [ALL_KINDS, *sorted({row.kind for row in rows})]
    blocks = []
    for gap_s in sorted({row.gap_s for row in rows}):
        for kind in kinds:
            chosen = [r for r in rows if r.gap_s == gap_s and kind in (ALL_KINDS, r.kind)]
            if chosen:
                blocks.append(_table(f"{1000 * gap_s:g} ms, {kind}", chosen))
    return "\n\n".join(blocks) + "\n"


def _table(title: str, rows: Sequence[Row]) -> str:
    methods = list(dict.fromkeys(row.method for row in rows))
    widths = [max(8, len(heading)) for heading in COLUMNS.values()]
    name_width = max(len(title), *(len(method) for method in methods))
    headings = (h.rjust(w) for h, w in zip(COLUMNS.values(), widths, strict=True))
    lines = ["  ".join([title.ljust(name_width), *headings, "fills"])]
    for method in methods:
        own = [row for row in rows if row.method == method]
        cells = (_cell(middle(own, name)).rjust(w) for name, w in zip(COLUMNS, widths, strict=True))
        lines.append("  ".join([method.ljust(name_width), *cells, str(len(own)).rjust(5)]))
    return "\n".join(lines)


def middle(rows: Sequence[Row], name: str) -> float:
    """Return the median of a figure over the fills that have it."""
    values = [row.figures[name] for row in rows if not math.isnan(row.figures[name])]
    return float(np.median(values)) if values else math.nan


def _cell(value: float) -> str:
    if math.isnan(value):
        return "-"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.2f}"


def write_json(rows: Sequence[Row], path: Path) -> None:
    """Write every fill's figures; what was not measured is null."""
    fills = [
        asdict(row) | {"figures": {name: _rounded(x) for name, x in row.figures.items()}}
        for row in rows
    ]
    path.write_text(json.dumps({"fills": fills}, indent=1), encoding="utf-8")


def _rounded(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 5)
