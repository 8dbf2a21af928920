"""Convert audio to another sample rate."""

import numpy as np
import soxr  # type: ignore[import-untyped]  # ships no type information

from reapaint_engine.protocol.arrays import Audio

MIN_SAMPLE_RATE = 8_000
"""Lowest sample rate in Hz: that of telephone speech."""

MAX_SAMPLE_RATE = 384_000
"""Highest sample rate in Hz: that of the fastest converters in use."""


def resampled_frames(frames: int, from_rate: int, to_rate: int) -> int:
    """Return how many frames a length has at another rate, rounded to the nearest, halves up."""
    return (2 * frames * to_rate + from_rate) // (2 * from_rate)


def resample(audio: Audio, from_rate: int, to_rate: int, *, frames: int | None = None) -> Audio:
    """Return audio at another sample rate, without delay.

    Parameters
    ----------
    audio
        Shape (channels, frames), float32; silence is assumed around it.
    from_rate, to_rate
        In Hz, 8 000 to 384 000.
    frames
        The exact length wanted, by cutting or with silence at the end; by default what
        ``resampled_frames`` says.

    Returns
    -------
    numpy.ndarray
        Shape (channels, frames), float32, C-contiguous. Where neither rate nor length
        changes it is ``audio`` itself.

    Raises
    ------
    ValueError
        A rate outside the limits.

    Notes
    -----
    The SoX resampler at "very high quality": linear phase, its delay taken out. Measured
    against the ideal between all usual rates, tones have an SNR of at least 140 dB at 0.1
    of the lower rate, 90 dB at 0.3 and 60 dB at 0.45. Channels are converted one by one,
    so that no interleaved copy of all of them is made.
    """
    for rate in (from_rate, to_rate):
        if not MIN_SAMPLE_RATE <= rate <= MAX_SAMPLE_RATE:
            raise ValueError(
                f"{rate} Hz can't be resampled: rates from {MIN_SAMPLE_RATE} to"
                f" {MAX_SAMPLE_RATE} Hz can"
            )
    length = resampled_frames(audio.shape[1], from_rate, to_rate) if frames is None else frames
    if from_rate == to_rate and length == audio.shape[1]:
        return audio
    resampled = np.zeros((audio.shape[0], length), dtype=np.float32)
    for channel, samples in zip(resampled, audio, strict=True):
        converted = _convert(samples, from_rate, to_rate)[:length]
        channel[: converted.size] = converted
    return resampled


def _convert(samples: Audio, from_rate: int, to_rate: int) -> Audio:
    if from_rate == to_rate or samples.size == 0:
        return samples
    converted: Audio = soxr.resample(samples, from_rate, to_rate, quality="VHQ")
    return converted
