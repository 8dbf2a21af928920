"""How much of a job's time is the bridge's own: ``python -m tests.bench.spool``.

A real bridge and a real engine with the echo backend, which takes next to no time, do
jobs with windows of 10 s of stereo at 48 kHz. The bridge's own shares - from a commit
seen to the window sent, from the engine's result to the reply - are those of its log;
what the scripts see is measured here.
"""

import argparse
import os
import re
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from reapaint.files.formats import wav
from reapaint.files.formats.samples import Encoding, SampleFormat
from tests.integration.script_side import ScriptSide, running_bridge

RATE = 48_000
_SHARES = re.compile(r"sent ([\d.]+) ms after it was seen, answered ([\d.]+) ms after its result")


def main() -> None:
    options = _read_options()
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        for kind in ("runtime", "config", "log"):
            os.environ[f"REAPAINT_{kind.upper()}_DIR"] = str(folder / kind)
        rows = [(route, *_measure(folder, route, options.rounds)) for route in ("file", "accessor")]
    sys.stdout.write("\n".join(_table(options.rounds, rows)) + "\n")


def _table(rounds: int, rows: Sequence[tuple[Any, ...]]) -> Iterator[str]:
    yield f"{rounds} jobs, windows of 10 s, 2 channels, {RATE} Hz; milliseconds"
    yield f"{'route':10}{'':8}{'to submit':>12}{'to reply':>12}{'all':>12}"
    for route, *columns in rows:
        for title, figure in (("median", statistics.median), ("90 %", _ninth_decile)):
            yield f"{route:10}{title:8}" + "".join(f"{figure(each):12.1f}" for each in columns)


def _read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--folder", help="where to put spool and media (default: the system's)")
    return parser.parse_args()


def _measure(folder: Path, route: str, rounds: int) -> tuple[list[float], ...]:
    media = folder / "media"
    media.mkdir(exist_ok=True)
    source = media / "noise.wav"
    audio = _write_noise(source)
    scripts = ScriptSide(folder / route, media)
    log = folder / "log" / "bridge.log"
    walls = []
    with running_bridge(scripts) as _:
        for number in range(rounds + 1):
            request = scripts.request(source, (4, 6), takes=1, seed=number)
            heard = None
            if route == "accessor":
                heard = audio
                request["source"] = {
                    "route": "accessor",
                    "audio": "audio.f32",
                    "sample_rate": RATE,
                    "channels": 2,
                    "frames": audio.shape[1],
                    "start_s": 0,
                }
            # A person does not send jobs in a row: let the bridge come to rest.
            threading.Event().wait(0.15)
            begun_s = time.perf_counter()
            answer = scripts.result(scripts.send(request, heard))
            assert answer["ok"], answer
            walls.append(1000 * (time.perf_counter() - begun_s))
    shares = _SHARES.findall(log.read_text())[-rounds:]
    # The first job also waits for the engine's start.
    return [float(sent) for sent, _ in shares], [float(done) for _, done in shares], walls[1:]


def _write_noise(path: Path) -> np.ndarray:
    audio = np.random.default_rng(0).standard_normal((2, 10 * RATE)).astype(np.float32) / 10
    encoding = Encoding(SampleFormat.INT24)
    plan = wav.plan_new(encoding, sample_rate=RATE, channels=2, frames=audio.shape[1], record=b"")
    path.write_bytes(b"".join(plan.before) + encoding.encode(audio) + b"".join(plan.after))
    return audio


def _ninth_decile(values: list[float]) -> float:
    return statistics.quantiles(values, n=10)[-1] if len(values) > 1 else values[0]


if __name__ == "__main__":
    main()
