"""What a crossfade starts from: how the kept sound goes on into the mask."""

import numpy as np
import numpy.typing as npt
from scipy.signal import lfilter, lfiltic

from engine.dsp.levels import level_db
from engine.dsp.prediction import lpc, residual

Audio = npt.NDArray[np.float32]

CONTEXT_S = 0.15
"""How much of the context the original is compared with and a continuation is made from."""

NATURAL_ORDER = 32
NATURAL_RESIDUAL = 2.0
"""The original follows on when no frame surprises more than this many times what the
99.9th percentile of the context's own frames do."""

NATURAL_STEP_DB = 12.0
"""... and its level is within this of the context's next to it."""

CONTINUATION_ORDER = 256
EXCITATION_BOUND = 3.0
"""In standard deviations: a hit in the context must not be heard again."""


def follows_on(context: Audio, head: Audio, sample_rate: int) -> bool:
    """Return whether the original audio goes on from its context without an event.

    A click, a knock, an onset, a dropout or silence is no natural continuation: in a
    crossfade that starts from it, what is to be removed would be heard again.

    Parameters
    ----------
    context
        Shape (channels, frames): what precedes the mask, in the direction towards it.
    head
        Shape (channels, frames): what the mask begins with.
    sample_rate
        In Hz.
    """
    near = context[:, -context_frames(sample_rate) :]
    span = max(head.shape[1], 1)
    step_db = level_db(head) - level_db(near[:, -span:])
    if abs(step_db) > NATURAL_STEP_DB:
        return False
    order = min(NATURAL_ORDER, near.shape[1] // 4)
    coefficients = np.stack([lpc(samples, order) for samples in near])
    joined = np.concatenate((near, head), axis=1)
    surprises = np.abs(residual(joined, coefficients))[:, order:]
    known = near.shape[1] - order
    usual = np.percentile(surprises[:, :known], 99.9, axis=1)
    largest = np.max(surprises[:, known:], axis=1, initial=0.0)
    return bool(np.all(largest <= NATURAL_RESIDUAL * np.maximum(usual, 2.0**-16)))


def context_frames(sample_rate: int) -> int:
    """Return how much context is looked at, in frames."""
    return max(round(CONTEXT_S * sample_rate), 1)


def continuation(context: Audio, frames: int, sample_rate: int) -> Audio:
    """Return how a sound might have gone on: tones ring on, noise stays noise.

    Parameters
    ----------
    context
        Shape (channels, context frames), in the direction towards what is wanted.
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
    time and without its extremes: as large as what the predictor could not know there.
    """
    near = context[:, -context_frames(sample_rate) :].astype(np.float64)
    order = min(CONTINUATION_ORDER, near.shape[1] // 4)
    continued = np.zeros((context.shape[0], frames), dtype=np.float32)
    for channel, samples in zip(continued, near, strict=True):
        coefficients = lpc(samples, order)
        unforeseen = residual(samples[None, :], coefficients[None, :])[0, order:]
        bound = EXCITATION_BOUND * 1.4826 * float(np.median(np.abs(unforeseen)))
        excitation = np.resize(np.clip(unforeseen, -bound, bound)[::-1], frames)
        state = lfiltic([1.0], coefficients, samples[: -order - 1 : -1])
        channel[:] = lfilter([1.0], coefficients, excitation, zi=state)[0]
    return continued
