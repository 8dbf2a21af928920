import numpy as np
import pytest

from engine.backends.base import Window
from engine.backends.context.ambience import fill_ambience
from engine.protocol.spans import Span


def noise(channels: int, frames: int, seed: int = 0) -> np.ndarray:
    return 0.1 * np.random.default_rng(seed).standard_normal((channels, frames)).astype(np.float32)


def fill(audio: np.ndarray, span: Span, *, rate: int = 48_000, seed: int = 1) -> np.ndarray:
    """Fill a span whose audio must not be read."""
    heard = audio.copy()
    heard[:, span.start : span.end] = np.nan
    window = Window(heard, rate, (span,), audio.shape[1])
    return fill_ambience(window, span, np.random.default_rng(seed), lambda share: None)


@pytest.mark.parametrize("channels", [1, 2, 64])
def test_length_and_type(channels):
    made = fill(noise(channels, 48_000), Span(20_000, 30_001))
    assert made.shape == (channels, 10_001)
    assert made.dtype == np.float32
    assert made.flags.c_contiguous
    assert np.isfinite(made).all()


def test_a_seed_gives_the_same_samples_and_another_gives_others():
    audio, span = noise(2, 96_000), Span(40_000, 60_000)
    assert np.array_equal(fill(audio, span), fill(audio, span))
    first, second = fill(audio, span), fill(audio, span, seed=2)
    assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < 0.1
