"""The arrays that functions take and return, by the names that their annotations use.

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
