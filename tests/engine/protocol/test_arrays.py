"""What all look for in audio."""

import numpy as np

from reapaint_engine.protocol.arrays import is_finite


def test_huge_but_finite_audio_is_finite() -> None:
    assert is_finite(np.full((1, 10), 3e38, np.float32))
    assert not is_finite(np.array([[3e38, np.nan]], np.float32))
