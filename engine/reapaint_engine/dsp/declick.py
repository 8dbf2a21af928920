"""Remove a click from a seam: replace the first moments of the new audio to fit both sides."""

from dataclasses import dataclass

import numpy as np

from reapaint_engine.dsp.interpolation import interpolate
from reapaint_engine.dsp.prediction import lpc
from reapaint_engine.dsp.seams import (
    CLICK_REACH_S,
    INAUDIBLE_AMPLITUDE,
    PREDICTOR_ORDER,
    USUAL_PERCENTILE,
    neighbourhood_frames,
)
from reapaint_engine.protocol.arrays import Audio, Float64Array

MAX_CLEAN_RATIO = 1.25
"""A seam is left alone while no prediction residual exceeds this many times the kept sound's
usual largest one. Noise exceeds it by chance at one seam in a hundred; a click may be heard
from 1.5."""

WIDTHS_S = (0.001, 0.002, 0.004, 0.008)
"""How much audio is replaced, tried in turn. A longer stretch bends further but sounds duller."""

MAX_REMAINING_SHARE = 0.8
"""A repair must bring the largest residual down to this share, or it isn't worth its dullness."""


def declick(before: Audio, new_audio: Audio, after: Audio, sample_rate: int) -> Audio:
    """Return the beginning of new audio without the click at its seam.

    Parameters
    ----------
    before, after
        The kept audio on both sides, each of shape (channels, any frames), float32. A
        click is measured against the prediction residual of this audio.
    new_audio
        Shape (channels, frames), float32.
    sample_rate
        In Hz.

    Returns
    -------
    numpy.ndarray
        The changed beginning, shape (channels, changed frames), float32, 8 ms at most. It
        has no frame where nothing clicks, or where a change doesn't help: a click in the
        kept audio beside the seam stays.

    Notes
    -----
    Least squares under linear prediction from both sides, as for the clicks of old
    records (Godsill and Rayner, Digital Audio Restoration, 1998).
    """
    best = new_audio[:, :0]
    if before.shape[1] < 2 * PREDICTOR_ORDER:
        return best
    sound = _measure_kept_sound(before, after, sample_rate)
    lowest = sound.residual_ratio(before, new_audio, 0)
    for width in (max(round(width_s * sample_rate), 1) for width_s in WIDTHS_S):
        if lowest <= MAX_CLEAN_RATIO or new_audio.shape[1] < width + PREDICTOR_ORDER:
            break
        bridge = sound.bridge(before, new_audio, width)
        tried = np.concatenate((bridge, new_audio[:, width:]), axis=1)
        ratio = sound.residual_ratio(before, tried, width)
        if ratio < MAX_REMAINING_SHARE * lowest:
            best, lowest = bridge, ratio
    return best


@dataclass(frozen=True, slots=True, eq=False)
class _KeptSound:
    """The linear predictors of kept sound, and their usual largest residuals.

    ``predictors`` has shape (channels, PREDICTOR_ORDER + 1); ``largest`` is each channel's usual
    largest residual, shape (channels,). A click within ``reach`` frames of a seam belongs to it.
    """

    predictors: Float64Array
    largest: Float64Array
    reach: int

    def residual_ratio(self, before: Audio, new_audio: Audio, width: int) -> float:
        """Return the largest residual at a seam, in either direction, over the usual one.

        A bridge ``width`` frames wide has a second end, where it must not click either.
        """
        near, judged = self.reach + PREDICTOR_ORDER, self.reach + width
        joined = np.concatenate(
            (before[:, -near:], new_audio[:, : judged + PREDICTOR_ORDER]), axis=1
        )
        seam = min(near, before.shape[1])
        largest = []
        for samples, predictor in zip(joined, self.predictors, strict=True):
            ahead = _residuals(samples, predictor)[: seam - PREDICTOR_ORDER + judged]
            back = _residuals(samples, predictor[::-1])[max(seam - self.reach, 0) :]
            largest.append(max(ahead.max(initial=0.0), back.max(initial=0.0)))
        return float(np.max(largest / self.largest))

    def bridge(self, before: Audio, new_audio: Audio, width: int) -> Audio:
        """Return the first frames as predicted from both sides."""
        around = np.concatenate(
            (before[:, -PREDICTOR_ORDER:], new_audio[:, : width + PREDICTOR_ORDER]), axis=1
        )
        missing = np.zeros(around.shape[1], dtype=np.bool_)
        missing[PREDICTOR_ORDER : PREDICTOR_ORDER + width] = True
        bridges = [
            interpolate(samples[np.newaxis].astype(np.float64), missing, predictor)[:, missing]
            for samples, predictor in zip(around, self.predictors, strict=True)
        ]
        return np.concatenate(bridges).astype(np.float32)


def _measure_kept_sound(before: Audio, after: Audio, sample_rate: int) -> _KeptSound:
    """Measure the kept sound near a seam."""
    near = neighbourhood_frames(sample_rate)
    sides = [
        side
        for side in (before[:, -near:], after[:, :near])
        if side.shape[1] >= 2 * PREDICTOR_ORDER
    ]
    predictors = np.stack(
        [lpc(samples, PREDICTOR_ORDER) for samples in np.concatenate(sides, axis=1)]
    )
    residuals = [
        np.concatenate([_residuals(side[channel], predictor) for side in sides])
        for channel, predictor in enumerate(predictors)
    ]
    largest = np.percentile(residuals, USUAL_PERCENTILE, axis=1)
    reach = max(round(CLICK_REACH_S * sample_rate), 1)
    return _KeptSound(predictors, np.maximum(largest, INAUDIBLE_AMPLITUDE), reach)


def _residuals(samples: Audio, predictor: Float64Array) -> Float64Array:
    """Return |residual| of each frame whose whole past is known."""
    return np.asarray(np.abs(np.convolve(samples, predictor, mode="valid")), dtype=np.float64)
