"""Continue kept sound into the mask: a crossfade starts from this."""

from dataclasses import dataclass

import numpy as np
import scipy

from reapaint_engine.dsp.crossfades import fade_in_gains
from reapaint_engine.dsp.levels import level_db
from reapaint_engine.dsp.prediction import lpc
from reapaint_engine.protocol.arrays import Audio, Float64Array

COMPARED_S = 0.1
"""How much of the context the original is compared with."""

COMPARED_ORDER = 32
"""Order of the predictor for that comparison: enough for the spectrum's shape, and no more."""

USUAL_PERCENTILE = 99.9
MAX_RESIDUAL_RATIO = 2.0
"""The original follows on while no residual exceeds this many times the context's own 99.9th
percentile."""

MAX_STEP_DB = 12.0
"""The original follows on while its level is this near to the level of the context beside it."""

MAX_DROP_DB = 20.0
"""The original follows on while none of its pieces is quieter than the context by more than
this."""

MAX_PIECES = 4
PIECE_FRAMES = 64
"""The original is measured in up to ``MAX_PIECES`` pieces, about one for each so many frames."""

INAUDIBLE_RESIDUAL = 2.0**-16
"""A residual below half a step of 16 bits is no event."""

CONTINUED_S = 0.2
"""How much of the context a continuation is made from."""

CONTINUATION_ORDERS = (256, 32)
"""Orders of the predictors that are tried. A high order carries tones on. A low order errs less
in sound with empty bands, as lossy formats leave them, or after a sudden change."""

LAST_RESORT_ORDER = 1
"""A predictor of this order can only die away."""

EXCITATION_SHARES = (1.0, 0.5, 0.25, 0.0)
"""Shares of the excitation, tried in turn: it makes a continuation swell more often than the
tones do."""

JUDGED_S = 0.02
"""The orders are judged by their residual over this much of the context's end."""

MAX_EXCITATION_DEVIATIONS = 3.0
"""The excitation is clipped at this many standard deviations, so that a hit in the context
isn't heard again."""

MAX_PEAK_RATIO = 2.0
"""A continuation that rises above this many times the peak of the context's end is not used."""

MAX_SWELL_DB = 3.0
"""How far a continuation may end above the level of the context beside it."""


def follows_on(context: Audio, head: Audio, sample_rate: int) -> bool:
    """Return whether the original audio goes on from its context without an event.

    A click, a knock, an onset, a dropout or silence is no natural continuation: a
    crossfade that started from it would let the unwanted sound be heard again.

    Parameters
    ----------
    context
        Shape (channels, frames), float32, at least one frame, in the direction towards
        the mask.
    head
        Shape (channels, frames), float32, at least one frame: what the mask begins with.
    sample_rate
        In Hz.
    """
    near = context[:, -max(round(COMPARED_S * sample_rate), 1) :].astype(np.float64)
    beside_db = level_db(near[:, -head.shape[1] :])
    if abs(level_db(head) - beside_db) > MAX_STEP_DB:
        return False
    pieces = np.array_split(head, min(head.shape[1] // PIECE_FRAMES + 1, MAX_PIECES), axis=1)
    if min(level_db(piece) for piece in pieces) < beside_db - MAX_DROP_DB:
        return False
    joined = np.concatenate((near, head), axis=1)
    return not any(_has_event(samples, near.shape[1]) for samples in joined)


def continuation(context: Audio, frames: int, sample_rate: int) -> Audio:
    """Return how a sound might have gone on: tones ring on, noise stays noise.

    Parameters
    ----------
    context
        Shape (channels, context frames), float32, at least one frame, in the direction
        towards the mask.
    frames
        How many frames to add.
    sample_rate
        In Hz.

    Returns
    -------
    numpy.ndarray
        Shape (channels, frames), float32, C-contiguous.

    Notes
    -----
    Linear prediction dies away in noise-like sound, which would leave a hole in the
    crossfade. So the predictor is excited by the context's own residual, backwards in
    time and with its peaks clipped: the excitation has the usual size of the residual.
    """
    near = context[:, -max(round(CONTINUED_S * sample_rate), 1) :].astype(np.float64)
    judged = max(round(JUDGED_S * sample_rate), 1)
    continued = np.stack([_continue_channel(samples, frames, judged) for samples in near])
    return _limit_swell(continued, near).astype(np.float32)


def _has_event(samples: Float64Array, known: int) -> bool:
    """Return whether a residual from frame ``known`` on is far larger than those before it."""
    order = min(COMPARED_ORDER, known // 4)
    errors = np.abs(_residual(samples, lpc(samples[:known], order)))
    usual = float(np.percentile(errors[: known - order], USUAL_PERCENTILE))
    return bool(
        np.max(errors[known - order :]) > MAX_RESIDUAL_RATIO * max(usual, INAUDIBLE_RESIDUAL)
    )


def _continue_channel(samples: Float64Array, frames: int, judged: int) -> Float64Array:
    limit = MAX_PEAK_RATIO * float(np.max(np.abs(samples[-judged:])))
    candidates = [_predictor(samples, order, frames, judged) for order in CONTINUATION_ORDERS]
    candidates.sort(key=lambda candidate: candidate.error)
    for candidate in candidates:
        ringing = _ringing(candidate.coefficients, samples, frames)
        noise = _noise(candidate, frames)
        for share in EXCITATION_SHARES:
            going_on = ringing + share * noise
            if np.max(np.abs(going_on), initial=0.0) <= limit:
                return going_on
    last_resort = _predictor(samples, LAST_RESORT_ORDER, frames, judged)
    return _ringing(last_resort.coefficients, samples, frames)


@dataclass(frozen=True, slots=True)
class _Predictor:
    """A predictor, its residual at the context's end, and the mean square of that."""

    coefficients: Float64Array
    residual: Float64Array
    error: float


def _predictor(samples: Float64Array, order: int, frames: int, judged: int) -> _Predictor:
    coefficients = lpc(samples, min(order, samples.size // 4))
    end = samples[-(max(frames, judged) + coefficients.size - 1) :]
    residual = _residual(end, coefficients)
    return _Predictor(coefficients, residual, float(np.mean(residual[-judged:] ** 2)))


def _ringing(coefficients: Float64Array, samples: Float64Array, frames: int) -> Float64Array:
    """Return what a predictor predicts without an excitation."""
    order = coefficients.size - 1
    if order == 0:
        return np.zeros(frames)
    # The filter's memory: what the last frames contribute to each of the next ones.
    memory = -np.convolve(coefficients[1:], samples[samples.size - order :])[order - 1 :]
    ringing, _ = scipy.signal.lfilter([1.0], coefficients, np.zeros(frames), zi=memory)
    return np.asarray(ringing, dtype=np.float64)


def _noise(predictor: _Predictor, frames: int) -> Float64Array:
    """Return the predictor's response to its own residual, clipped and backwards in time."""
    bound = MAX_EXCITATION_DEVIATIONS * _robust_deviation(predictor.residual)
    excitation = np.resize(np.clip(predictor.residual, -bound, bound)[::-1], frames)
    continued = scipy.signal.lfilter([1.0], predictor.coefficients, excitation)
    return np.asarray(continued, dtype=np.float64)


def _residual(samples: Float64Array, predictor: Float64Array) -> Float64Array:
    """Return the residual of each frame whose whole past is known."""
    return np.asarray(np.convolve(samples, predictor, mode="valid"), dtype=np.float64)


def _robust_deviation(samples: Float64Array) -> float:
    """Estimate the standard deviation of mostly Gaussian samples from their median."""
    return 1.4826 * float(np.median(np.abs(samples)))


def _limit_swell(continued: Float64Array, context: Float64Array) -> Float64Array:
    """Turn a continuation down towards its end where it swells above the context's end."""
    beside = context[:, -max(continued.shape[1], 1) :]
    swell_db = level_db(continued) - level_db(beside) - MAX_SWELL_DB
    if swell_db <= 0.0:
        return continued
    turned_down = 10.0 ** (-swell_db / 20.0)
    gains = 1.0 + (turned_down - 1.0) * fade_in_gains(continued.shape[1])
    return np.asarray(continued * gains, dtype=np.float64)
