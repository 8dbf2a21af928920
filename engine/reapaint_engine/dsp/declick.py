"""Taking a click out of a seam: the new audio's first moments, made anew to fit both sides."""

from dataclasses import dataclass

import numpy as np

from reapaint_engine.dsp.interpolation import interpolate
from reapaint_engine.dsp.prediction import lpc
from reapaint_engine.dsp.seams import (
    CLICK_REACH_S,
    INAUDIBLE,
    ORDER,
    USUAL_PERCENTILE,
    neighbourhood_frames,
)
from reapaint_engine.protocol.arrays import Audio, Float64Array

CALM = 1.25
"""A seam is left as it is while no prediction error exceeds this many times the kept sound's
own largest ones. Noise does so by chance at one seam in a hundred; what may be heard as a
click begins at 1.5."""

WIDTHS_S = (0.001, 0.002, 0.004, 0.008)
"""How much is made anew: more of it bends further, and is the duller for it."""

GAIN = 0.8
"""It must bring the largest error down to this share, or it isn't worth its dullness."""


def declick(before: Audio, new_audio: Audio, after: Audio, sample_rate: int) -> Audio:
    """Return the beginning of new audio without the click that it makes with what precedes.

    Parameters
    ----------
    before, after
        The kept audio on both sides, each of shape (channels, any frames), float32: what
        it can't foresee of itself is the measure of a click.
    new_audio
        Shape (channels, frames), float32.
    sample_rate
        In Hz.

    Returns
    -------
    numpy.ndarray
        What is changed of the beginning, shape (channels, changed frames), float32, 8 ms
        at most. It has no frame where nothing clicks, or where new audio doesn't help: a
        click that the kept audio has beside the seam stays.

    Notes
    -----
    Least squares under linear prediction from both sides, as for the clicks of old
    records (Godsill and Rayner, Digital Audio Restoration, 1998).
    """
    best = new_audio[:, :0]
    if before.shape[1] < 2 * ORDER:
        return best
    sound = _habits(before, after, sample_rate)
    least = sound.surprise(before, new_audio, 0)
    for width in (max(round(width_s * sample_rate), 1) for width_s in WIDTHS_S):
        if least <= CALM or new_audio.shape[1] < width + ORDER:
            break
        bridge = sound.bridge(before, new_audio, width)
        tried = np.concatenate((bridge, new_audio[:, width:]), axis=1)
        surprise = sound.surprise(before, tried, width)
        if surprise < GAIN * least:
            best, least = bridge, surprise
    return best


@dataclass(frozen=True, slots=True, eq=False)
class _Habits:
    """How kept sound goes on, and how far it departs from that.

    ``predictors`` has shape (channels, ORDER + 1); ``largest`` is each channel's usual
    largest error, shape (channels,); ``reach`` is how near to a seam a click belongs to it.
    """

    predictors: Float64Array
    largest: Float64Array
    reach: int

    def surprise(self, before: Audio, new_audio: Audio, width: int) -> float:
        """Return the largest error at a seam, in either direction, over the usual one.

        A bridge of some width has a second end, where it must not click either.
        """
        near, judged = self.reach + ORDER, self.reach + width
        joined = np.concatenate((before[:, -near:], new_audio[:, : judged + ORDER]), axis=1)
        seam = min(near, before.shape[1])
        surprises = []
        for samples, predictor in zip(joined, self.predictors, strict=True):
            ahead = _errors(samples, predictor)[: seam - ORDER + judged]
            back = _errors(samples, predictor[::-1])[max(seam - self.reach, 0) :]
            surprises.append(max(ahead.max(initial=0.0), back.max(initial=0.0)))
        return float(np.max(surprises / self.largest))

    def bridge(self, before: Audio, new_audio: Audio, width: int) -> Audio:
        """Return what prediction from both sides puts in the place of the first frames."""
        around = np.concatenate((before[:, -ORDER:], new_audio[:, : width + ORDER]), axis=1)
        missing = np.zeros(around.shape[1], dtype=np.bool_)
        missing[ORDER : ORDER + width] = True
        bridges = [
            interpolate(samples[np.newaxis].astype(np.float64), missing, predictor)[:, missing]
            for samples, predictor in zip(around, self.predictors, strict=True)
        ]
        return np.concatenate(bridges).astype(np.float32)


def _habits(before: Audio, after: Audio, sample_rate: int) -> _Habits:
    """Measure the kept sound near a seam."""
    near = neighbourhood_frames(sample_rate)
    sides = [side for side in (before[:, -near:], after[:, :near]) if side.shape[1] >= 2 * ORDER]
    predictors = np.stack([lpc(samples, ORDER) for samples in np.concatenate(sides, axis=1)])
    errors = [
        np.concatenate([_errors(side[channel], predictor) for side in sides])
        for channel, predictor in enumerate(predictors)
    ]
    largest = np.percentile(errors, USUAL_PERCENTILE, axis=1)
    reach = max(round(CLICK_REACH_S * sample_rate), 1)
    return _Habits(predictors, np.maximum(largest, INAUDIBLE), reach)


def _errors(samples: Audio, predictor: Float64Array) -> Float64Array:
    """Return how far each frame with a whole past is from what was foreseen."""
    return np.asarray(np.abs(np.convolve(samples, predictor, mode="valid")), dtype=np.float64)
