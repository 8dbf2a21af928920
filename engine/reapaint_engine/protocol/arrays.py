"""The types of arrays for annotations, and a check of their values.

The docstring of each function says what the dimensions mean: ``(channels, frames)`` for audio.
"""

import numpy as np
import numpy.typing as npt

Audio = npt.NDArray[np.float32]
"""Samples of shape (channels, frames), or (frames,) for one channel, float32.

Full scale is 1.0; samples may exceed it.
"""

Samples = npt.NDArray[np.float32 | np.float64]
"""Audio, in float64 where float32 is not exact enough."""

Mask = npt.NDArray[np.bool_]
"""Shape (frames,), True where audio is replaced, or missing."""

Float32Array = npt.NDArray[np.float32]
"""Numbers other than samples, float32."""

Float64Array = npt.NDArray[np.float64]
"""Numbers, or samples for calculations, float64."""

BoolArray = npt.NDArray[np.bool_]
"""True or False for each of several items, other than a ``Mask``."""

IndexArray = npt.NDArray[np.intp]
"""Indices into another array."""


def is_finite(audio: Samples) -> bool:
    """Return whether audio has neither NaN nor infinity.

    A sum of squares is finite only if every sample is, and costs a third of a check of each
    sample. Only where the sum overflows (samples beyond 1e17) is each one checked.

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
