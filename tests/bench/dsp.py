"""Times of the signal processing that every result waits for: ``python -m tests.bench.dsp``."""

import statistics
import time
from collections.abc import Callable

import numpy as np

from reapaint_engine.dsp.interpolation import interpolate
from reapaint_engine.dsp.prediction import lpc
from reapaint_engine.dsp.seams import measure_seam
from reapaint_engine.dsp.splicing import splice
from reapaint_engine.protocol.spans import Span

RATE = 48_000
ROUNDS = 21


def _median_ms(work: Callable[[], object]) -> float:
    work()
    times = []
    for _ in range(ROUNDS):
        started_s = time.perf_counter()
        work()
        times.append(time.perf_counter() - started_s)
    return 1000 * statistics.median(times)


def main() -> None:
    """Print the median of several rounds of each, in ms."""
    window = np.random.default_rng(0).standard_normal((2, 30 * RATE), dtype=np.float32) / 10
    span = Span(10 * RATE, 20 * RATE)
    new_audio = window[:, : span.length].copy()
    missing = np.zeros(RATE, dtype=bool)
    missing[RATE // 2 : RATE // 2 + RATE // 20] = True
    coefficients = lpc(window[0, :RATE], 1000)
    measured = {
        "splice a 10 s span into a 30 s stereo window": lambda: splice(
            window, window.shape[1], span, new_audio, sample_rate=RATE, crossfade_frames=1440
        ),
        "measure one seam of it": lambda: measure_seam(window, span.start, RATE),
        "a predictor of order 32 from 0.1 s": lambda: lpc(window[0, : RATE // 10], 32),
        "a predictor of order 1000 from 1 s": lambda: lpc(window[0, :RATE], 1000),
        "interpolate 50 ms with order 1000": lambda: interpolate(
            window[:1, :RATE].astype(np.float64), missing, coefficients
        ),
    }
    for name, work in measured.items():
        print(f"{_median_ms(work):8.2f} ms  {name}")


if __name__ == "__main__":
    main()
