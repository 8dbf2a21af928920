"""Mode ``repair``: short gaps, from the sound on both sides."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.linalg import solve_toeplitz
from scipy.signal.windows import hann

from engine.backends.base import Audio, Fill, Passage, Window
from engine.dsp.interpolation import interpolate, runs
from engine.dsp.prediction import NOISE_FLOOR, autocorrelation, residual
from engine.protocol.spans import Span

Real = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

MOST_ORDER = 1000
"""Past frames in a prediction: enough for the partials of a chord."""

CONTEXT_S = 0.06
"""Sound heard on each side: short enough to be of one kind (SNR falls with more)."""

PLAIN_S = 0.005
FULL_NOISE_S = 0.02
"""Up to the one a fill is the likeliest sound alone; from the other on it has the
unpredictable part's full power. Between them the share grows evenly."""


@dataclass(frozen=True, slots=True)
class Repair:
    """A fill for each seed, and what the user should know about them."""

    fills: tuple[Fill, ...]
    warnings: tuple[str, ...] = ()


def repair(window: Window, seeds: Sequence[int], step: Callable[[float], None]) -> Repair:
    """Fill every span of a window from the sound right beside it.

    Parameters
    ----------
    window
        Audio at any rate, of any number of channels. What its spans hold is not read.
    seeds
        One for each take: what can't be predicted is drawn by it.
    step
        Called between two pieces of work with the share that is done, 0 to 1.

    Returns
    -------
    Repair
        Fills whose passages cover their spans exactly and continue their context.
    """
    missing = _missing(window)
    passages: list[list[Passage]] = [[] for _ in seeds]
    clusters = _clusters(window.spans, MOST_ORDER)
    for index, spans in enumerate(clusters):
        step(index / len(clusters))
        for take, new in enumerate(_fill(window, missing, spans, seeds)):
            passages[take] += new
    step(1.0)
    return Repair(tuple(Fill(tuple(take), continuous=True) for take in passages))


def _missing(window: Window) -> Mask:
    missing = np.zeros(window.frames, dtype=bool)
    for span in window.spans:
        missing[span.start : span.end] = True
    missing[window.audio_frames :] = True
    return missing


def _clusters(spans: Sequence[Span], reach: int) -> list[list[Span]]:
    """Gather spans that lie within a prediction's reach of each other."""
    clusters: list[list[Span]] = []
    for span in spans:
        if clusters and span.start - clusters[-1][-1].end <= reach:
            clusters[-1].append(span)
        else:
            clusters.append([span])
    return clusters


def _fill(
    window: Window, missing: Mask, spans: Sequence[Span], seeds: Sequence[int]
) -> list[list[Passage]]:
    """Return the passages of neighbouring spans for each seed."""
    rate = window.sample_rate
    context = max(1, round(CONTEXT_S * rate))
    start = max(0, spans[0].start - context)
    end = min(window.audio_frames, spans[-1].end + context)
    # Frames after the source's end are no context, but they may have to be filled.
    end = max(end, spans[-1].end)
    hole = missing[start:end]
    audio = np.where(hole, 0.0, window.audio[:, start:end])
    order = min(MOST_ORDER, max(spans[0].start - start, end - spans[-1].end))
    coefficients = _predictor(audio, hole, order)
    longest_s = max(span.length for span in spans) / rate
    share = np.clip((longest_s - PLAIN_S) / (FULL_NOISE_S - PLAIN_S), 0.0, 1.0)
    takes = []
    for seed in seeds:
        rng = np.random.default_rng([seed, spans[0].start])
        wanted = share * _innovation(audio, hole, coefficients, rng)
        filled = interpolate(audio, hole, coefficients, wanted).astype(np.float32)
        takes.append([_passage(filled, span, start) for span in spans])
    return takes


def _passage(filled: Audio, span: Span, start: int) -> Passage:
    inside = filled[:, span.start - start : span.end - start]
    return Passage(span.start, np.ascontiguousarray(inside))


def _predictor(audio: Real, hole: Mask, order: int) -> Real:
    """Fit one predictor to all known stretches of all channels."""
    products = np.zeros(order + 1)
    for start, end in runs(~hole):
        window = hann(end - start + 2)[1:-1]
        for channel in audio[:, start:end]:
            products += autocorrelation(channel * window, order)
    coefficients = np.eye(1, order + 1)[0]
    if products[0] > 0.0:
        products[0] *= 1.0 + NOISE_FLOOR
        coefficients[1:] = solve_toeplitz(products[:-1], -products[1:])
    return coefficients


def _innovation(audio: Real, hole: Mask, coefficients: Real, rng: np.random.Generator) -> Real:
    """Draw prediction errors like those of the context, alike in all channels at once."""
    order = coefficients.size - 1
    errors = np.concatenate(
        [
            residual(audio[:, start:end], coefficients[np.newaxis])[:, order:]
            for start, end in runs(~hole)
        ],
        axis=1,
    )
    drawn = np.zeros_like(audio)
    if errors.shape[1] < 2:
        return drawn
    # Turning all channels' phases by the same draw keeps what they have in common.
    spectrum = np.fft.rfft(errors, axis=1)
    turns = np.exp(2j * np.pi * rng.random(spectrum.shape[1]))
    turned = np.fft.irfft(spectrum * turns, errors.shape[1], axis=1)
    return np.take(turned, np.arange(audio.shape[1]), axis=1, mode="wrap")
