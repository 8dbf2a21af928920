"""What a crossfade starts from: how the kept sound goes on into the mask."""

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
"""Order of that comparison's predictor: the spectrum's shape, and no more."""

USUAL_PERCENTILE = 99.9
SURPRISE_BOUND = 2.0
"""The original follows on while no residual exceeds this many times the context's own
99.9th percentile."""

STEP_BOUND_DB = 12.0
"""The original follows on while its level stays this near to the context's beside it."""

DROP_BOUND_DB = 20.0
PIECES = 4
PIECE_FRAMES = 64
"""... and it doesn't drop by more than this in any quarter, short ones of 64 frames apart."""

INAUDIBLE = 2.0**-16
"""Residuals below half a step of 16 bits are no event."""

CONTINUED_S = 0.2
"""How much of the context a continuation is made from."""

CONTINUATION_ORDERS = (256, 32)
"""A high order carries tones on; but in sound with empty bands, as lossy formats leave
them, or after a sudden change, a low one errs less."""

LAST_RESORT_ORDER = 1
"""Can only die away."""

EXCITATION_SHARES = (1.0, 0.5, 0.25, 0.0)
"""Tried in turn: what makes a continuation swell is its excitation more often than its tones."""

TRUSTED_S = 0.02
"""The orders are judged by this much of the context's end."""

EXCITATION_BOUND = 3.0
"""In standard deviations: a hit in the context must not be heard again."""

PEAK_BOUND = 2.0
"""A continuation that rises above this many times the peak of what it goes on from is not
trusted."""

SWELL_BOUND_DB = 3.0
"""How far a continuation may end above the level it goes on from."""


def follows_on(context: Audio, head: Audio, sample_rate: int) -> bool:
    """Return whether the original audio goes on from its context without an event.

    A click, a knock, an onset, a dropout or silence is no natural continuation: in a
    crossfade that starts from it, what is to be removed would be heard again.

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
    if abs(level_db(head) - beside_db) > STEP_BOUND_DB:
        return False
    pieces = np.array_split(head, min(head.shape[1] // PIECE_FRAMES + 1, PIECES), axis=1)
    if min(level_db(piece) for piece in pieces) < beside_db - DROP_BOUND_DB:
        return False
    joined = np.concatenate((near, head), axis=1)
    return not any(_has_event(samples, near.shape[1]) for samples in joined)


def continuation(context: Audio, frames: int, sample_rate: int) -> Audio:
    """Return how a sound might have gone on: tones ring on, noise stays noise.

    Parameters
    ----------
    context
        Shape (channels, context frames), float32, at least one frame, in the direction
        towards what is wanted.
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
    time and without its extremes: as large as what it could not have known.
    """
    near = context[:, -max(round(CONTINUED_S * sample_rate), 1) :].astype(np.float64)
    trusted = max(round(TRUSTED_S * sample_rate), 1)
    continued = np.stack([_continue_channel(samples, frames, trusted) for samples in near])
    return _tamed(continued, near).astype(np.float32)


def _has_event(samples: Float64Array, known: int) -> bool:
    """Say whether anything from ``known`` on surprises more than what is before it."""
    order = min(COMPARED_ORDER, known // 4)
    errors = np.abs(_residual(samples, lpc(samples[:known], order)))
    usual = float(np.percentile(errors[: known - order], USUAL_PERCENTILE))
    return bool(np.max(errors[known - order :]) > SURPRISE_BOUND * max(usual, INAUDIBLE))


def _continue_channel(samples: Float64Array, frames: int, trusted: int) -> Float64Array:
    limit = PEAK_BOUND * float(np.max(np.abs(samples[-trusted:])))
    candidates = [_predictor(samples, order, frames, trusted) for order in CONTINUATION_ORDERS]
    candidates.sort(key=lambda candidate: candidate.error)
    for candidate in candidates:
        ringing = _ringing(candidate.coefficients, samples, frames)
        noise = _noise(candidate, frames)
        for share in EXCITATION_SHARES:
            going_on = ringing + share * noise
            if np.max(np.abs(going_on), initial=0.0) <= limit:
                return going_on
    last_resort = _predictor(samples, LAST_RESORT_ORDER, frames, trusted)
    return _ringing(last_resort.coefficients, samples, frames)


@dataclass(frozen=True, slots=True)
class _Predictor:
    """Coefficients, what they didn't foresee of the context's end, and how much that is."""

    coefficients: Float64Array
    unforeseen: Float64Array
    error: float


def _predictor(samples: Float64Array, order: int, frames: int, trusted: int) -> _Predictor:
    coefficients = lpc(samples, min(order, samples.size // 4))
    end = samples[-(max(frames, trusted) + coefficients.size - 1) :]
    unforeseen = _residual(end, coefficients)
    return _Predictor(coefficients, unforeseen, float(np.mean(unforeseen[-trusted:] ** 2)))


def _ringing(coefficients: Float64Array, samples: Float64Array, frames: int) -> Float64Array:
    """Return what a predictor foresees when nothing new comes."""
    order = coefficients.size - 1
    if order == 0:
        return np.zeros(frames)
    # The filter's memory: what the last frames contribute to each of the next ones.
    memory = -np.convolve(coefficients[1:], samples[samples.size - order :])[order - 1 :]
    ringing, _ = scipy.signal.lfilter([1.0], coefficients, np.zeros(frames), zi=memory)
    return np.asarray(ringing, dtype=np.float64)


def _noise(predictor: _Predictor, frames: int) -> Float64Array:
    """Return what comes new: what was not foreseen, once more and backwards."""
    bound = EXCITATION_BOUND * _robust_deviation(predictor.unforeseen)
    excitation = np.resize(np.clip(predictor.unforeseen, -bound, bound)[::-1], frames)
    continued = scipy.signal.lfilter([1.0], predictor.coefficients, excitation)
    return np.asarray(continued, dtype=np.float64)


def _residual(samples: Float64Array, predictor: Float64Array) -> Float64Array:
    """Return the residual from the first frame on that has a whole past."""
    return np.asarray(np.convolve(samples, predictor, mode="valid"), dtype=np.float64)


def _robust_deviation(samples: Float64Array) -> float:
    """Estimate the standard deviation of what is mostly Gaussian from its median."""
    return 1.4826 * float(np.median(np.abs(samples)))


def _tamed(continued: Float64Array, context: Float64Array) -> Float64Array:
    """Turn down towards its end what swells above the context's end."""
    beside = context[:, -max(continued.shape[1], 1) :]
    swell_db = level_db(continued) - level_db(beside) - SWELL_BOUND_DB
    if swell_db <= 0.0:
        return continued
    turned_down = 10.0 ** (-swell_db / 20.0)
    gains = 1.0 + (turned_down - 1.0) * fade_in_gains(continued.shape[1])
    return np.asarray(continued * gains, dtype=np.float64)
