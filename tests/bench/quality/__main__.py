"""``python -m tests.bench.quality``: every way to fill a gap, over recordings, as figures.

Writes ``quality.txt``, ``quality.json`` and ``index.html`` with players into a folder.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from tests.bench.quality.cases import (
    SHIPPED,
    available_modes,
    fill,
    load_recordings,
    make_cases,
    methods_for,
)
from tests.bench.quality.metrics import measure
from tests.bench.quality.page import Page
from tests.bench.quality.report import Row, as_text, write_json

GAPS_S = (0.005, 0.02, 0.05, 0.1, 0.25, 1.0, 3.0, 8.0)


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.quality", description=__doc__)
    parser.add_argument("--recordings", type=Path, default=SHIPPED, metavar="DIR")
    parser.add_argument("--out", type=Path, metavar="DIR", help="default: a new temporary folder")
    parser.add_argument("--gaps", type=float, nargs="+", default=GAPS_S, metavar="SECONDS")
    parser.add_argument("--positions", type=int, default=2, help="gaps of each length, each file")
    parser.add_argument("--methods", nargs="+", metavar="NAME", help="only these")
    parser.add_argument("--no-page", action="store_true", help="no audio, no pictures")
    return parser.parse_args()


def main() -> int:
    """Fill, measure, write."""
    arguments = parse_arguments()
    out = arguments.out or Path(tempfile.mkdtemp(prefix="reapaint-quality-"))
    out.mkdir(parents=True, exist_ok=True)
    page = None if arguments.no_page else Page(out)
    modes = available_modes()
    rows: list[Row] = []
    for recording in load_recordings(arguments.recordings):
        for gap_s in arguments.gaps:
            for case in make_cases(recording, gap_s, arguments.positions):
                for method in methods_for(gap_s, modes):
                    if arguments.methods and method not in arguments.methods:
                        continue
                    filled = fill(case, method)
                    true, rate = recording.audio, recording.sample_rate
                    quality = measure(true, filled.audio, case.span, rate)
                    rows.append(Row.of(case, method, filled.seconds, quality))
                    if page and case.position == 0:
                        page.add(case, method, filled.audio, quality)
            sys.stderr.write(f"{recording.name}: {gap_s:g} s\n")
    text = as_text(rows)
    (out / "quality.txt").write_text(text, encoding="utf-8")
    write_json(rows, out / "quality.json")
    if page:
        page.write()
    sys.stdout.write(f"{text}\nWritten to {out}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
