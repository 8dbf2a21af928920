"""The names of arrays in annotations, and what all look for in them.

What a dimension means is in the docstring of the function: ``(channels, frames)`` for audio.
"""

import numpy as np
import numpy.typing as npt

Audio = npt.NDArray[np.float32]
"""Samples of shape (channels, frames), or (frames,) for one channel, float32.

Full scale is 1.0; samples may exceed it.
"""

Samples = npt.NDArray[np.float32 | np.float64]
"""Audio that is float64 where float32 would not be exact."""

Mask = npt.NDArray[np.bool_]
"""Shape (frames,), True where audio is replaced, or missing."""

Float32Array = npt.NDArray[np.float32]
"""Figures other than samples, float32."""

Float64Array = npt.NDArray[np.float64]
"""Figures, or samples that are calculated with, float64."""

BoolArray = npt.NDArray[np.bool_]
"""Yes or no for each of something other than a frame to replace."""

IndexArray = npt.NDArray[np.intp]
"""Places in another array."""


def is_finite(audio: Samples) -> bool:
    """Tell whether audio holds neither NaN nor infinity.

    A sum of squares is finite only if every sample is, and costs a third of looking
    at each; only where it overflows (samples beyond 1e17) is each looked at.

    Parameters
    ----------
    audio
        Any shape, float32 or float64.
    """
    flat = audio.reshape(-1)
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(np.dot(flat, flat)):
            return True
    return bool(np.isfinite(flat).all())
