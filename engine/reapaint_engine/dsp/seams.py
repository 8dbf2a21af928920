"""Measure what can be heard at a seam."""

from dataclasses import dataclass

import numpy as np

from reapaint_engine.dsp.levels import level_step_db
from reapaint_engine.dsp.prediction import lpc
from reapaint_engine.protocol.arrays import Audio, Float64Array

NEIGHBOURHOOD_S = 0.1
"""A seam's click is compared with the residuals this far around it."""

CLICK_REACH_S = 0.001
"""A click this near to the seam belongs to it."""

PREDICTOR_ORDER = 32
"""High enough for the spectrum's shape, low enough that a click stays in the residual."""

USUAL_PERCENTILE = 99.9
"""This percentile of the residuals counts as the sound's usual largest one."""

INAUDIBLE_AMPLITUDE = 2.0**-16
"""A residual or jump below half a step of 16 bits is no click, whatever surrounds it."""


@dataclass(frozen=True, slots=True)
class SeamFigures:
    """The figures of a seam.

    ``level_step_db`` is the level of the 50 ms after it over that of the 50 ms before.
    ``click_ratio`` is the largest prediction residual at the seam over the usual largest one
    around it: above 1.5 a click may be heard.
    """

    level_step_db: float
    click_ratio: float


def measure_seam(audio: Audio, frame: int, sample_rate: int) -> SeamFigures:
    """Return the figures of a seam.

    Parameters
    ----------
    audio
        Shape (channels, frames), float32; only ``neighbourhood_frames`` around the seam
        matter.
    frame
        The first frame after the seam.
    sample_rate
        In Hz.

    Returns
    -------
    SeamFigures
        Zeros where nothing precedes or follows: there is no seam.
    """
    return SeamFigures(
        level_step_db=level_step_db(audio, frame, sample_rate),
        click_ratio=click_ratio(audio, frame, sample_rate),
    )


def neighbourhood_frames(sample_rate: int) -> int:
    """Return how many frames on each side of a seam are measured."""
    return max(round(NEIGHBOURHOOD_S * sample_rate), 2 * PREDICTOR_ORDER)


def click_ratio(audio: Audio, frame: int, sample_rate: int) -> float:
    """Return how far a seam stands out as a click, in the channel where this is largest.

    It is the largest linear-prediction residual within 1 ms of the seam over the 99.9th
    percentile of the residual around it. Of both directions in time, the larger ratio counts.

    Parameters
    ----------
    audio
        Shape (channels, frames), float32; it may be shorter than the neighbourhood.
    frame
        The first frame after the seam.
    sample_rate
        In Hz.

    Returns
    -------
    float
        At least 0; 0 at the very start or end, where there is no seam.

    Notes
    -----
    Both directions are needed: a sound that breaks off into silence can be predicted
    forwards, and one that sets in from silence backwards.
    """
    if not 0 < frame < audio.shape[1]:
        return 0.0
    reach = neighbourhood_frames(sample_rate)
    first = max(frame - reach, 0)
    around = audio[:, first : frame + reach].astype(np.float64)
    click_reach = max(round(CLICK_REACH_S * sample_rate), 1)
    return max(_channel_click_ratio(samples, frame - first, click_reach) for samples in around)


def jump_ratio(audio: Audio, frame: int, usual_jumps: Float64Array) -> float:
    """Return a seam's jump from one frame to the next over the sound's own largest jumps.

    Parameters
    ----------
    audio
        Shape (channels, frames), float32.
    frame
        The first frame after the seam.
    usual_jumps
        Shape (channels,), float64, as ``usual_jumps`` gives them for the whole recording.

    Returns
    -------
    float
        That of the channel where it is largest; 0 at the very start or end.
    """
    if not 0 < frame < audio.shape[1]:
        return 0.0
    jumps = np.abs(audio[:, frame].astype(np.float64) - audio[:, frame - 1])
    return float(np.max(jumps / np.maximum(usual_jumps, INAUDIBLE_AMPLITUDE)))


def usual_jumps(audio: Audio) -> Float64Array:
    """Return the 99.9th percentile of |x[n] - x[n - 1]| of each channel.

    Parameters
    ----------
    audio
        Shape (channels, frames), float32.

    Returns
    -------
    numpy.ndarray
        Shape (channels,), float64; zeros where there are fewer than two frames.
    """
    if audio.shape[1] < 2:
        return np.zeros(audio.shape[0])
    jumps = np.abs(np.diff(audio, axis=1))
    return np.asarray(np.percentile(jumps, USUAL_PERCENTILE, axis=1), dtype=np.float64)


def _channel_click_ratio(samples: Float64Array, seam: int, reach: int) -> float:
    order = min(PREDICTOR_ORDER, samples.size // 4)
    coefficients = lpc(samples, order)
    residuals = _two_way_residuals(samples, coefficients)
    at_seam = residuals[:, max(seam - reach, 0) : seam + reach]
    # The filter's response to a click belongs to the click, not to its surroundings.
    skirt = reach + order
    around = np.concatenate(
        (residuals[:, : max(seam - skirt, 0)], residuals[:, seam + skirt :]), axis=1
    )
    usual = _usual_largest(around if around.size else residuals)
    return float(np.max(at_seam)) / max(usual, INAUDIBLE_AMPLITUDE)


def _two_way_residuals(samples: Float64Array, coefficients: Float64Array) -> Float64Array:
    """Return |residual| forwards and backwards, 0 where a frame lacks its past."""
    order = coefficients.size - 1
    residuals = np.zeros((2, samples.size))
    residuals[0, order:] = np.convolve(samples, coefficients, mode="valid")
    residuals[1, : samples.size - order] = np.convolve(samples, coefficients[::-1], mode="valid")
    return np.abs(residuals, out=residuals)


def _usual_largest(residuals: Float64Array) -> float:
    """Return the 99.9th percentile; a partition is several times quicker than a sort."""
    rank = round((residuals.size - 1) * USUAL_PERCENTILE / 100.0)
    return float(np.partition(residuals, rank, axis=None)[rank])
