"""REAPER's fade curves, from cohler's formulas (Cockos forum thread 262260), grade C."""

import numpy as np

from reapaint_engine.protocol.arrays import Float64Array


def _linear(x: Float64Array, c: float) -> Float64Array:
    if c >= 0:
        return (1 - c) * x + c * x**4
    return (1 + c) * x - c * (1 - (1 - x) ** 4)


def _round(x: Float64Array, c: float) -> Float64Array:
    if c >= 0:
        return (1 - c) * x * (2 - x) + c * x**4
    return (1 + c) * x * (2 - x) - c * np.sqrt(1 - (1 - x) ** 8)


def _square(x: Float64Array, c: float) -> Float64Array:
    if c >= 0:
        return (1 - c) * x + c * x**2
    return (1 + c) * x - c * (1 - (1 - x) ** 2)


def _smooth(x: Float64Array, c: float) -> Float64Array:
    return 3 * x**2 - 2 * x**3


def _steep(x: Float64Array, c: float) -> Float64Array:
    return np.where(x < 0.5, 8 * x**4, 1 - 8 * (1 - x) ** 4)


def fade_in(x: Float64Array, shape: int, curvature: float) -> Float64Array:
    """Return the gain at x = 0..1 of a fade-in.

    Notes
    -----
    Shapes 2, 3 and 4 share a family with others: 3 is shape 0 bent fully one way, 4 fully
    the other. Shapes 5 and 6 are known without curvature only.
    """
    x = np.clip(x, 0.0, 1.0)
    match shape:
        case 0:
            return _linear(x, curvature)
        case 1 | 7:
            return _round(x, curvature)
        case 2:
            return _square(x, curvature)
        case 3:
            return _linear(x, max(-1.0, curvature - 1.0))
        case 4:
            return _linear(x, min(1.0, curvature + 1.0))
        case 5:
            return _smooth(x, curvature)
        case 6:
            return _steep(x, curvature)
    raise ValueError(f"there is no fade shape {shape}")


def fade_out(x: Float64Array, shape: int, curvature: float) -> Float64Array:
    """Return the gain at x = 0..1 of a fade-out: the fade-in backwards."""
    return fade_in(1.0 - np.clip(x, 0.0, 1.0), shape, -curvature)
