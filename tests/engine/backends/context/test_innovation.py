import numpy as np
import pytest
from scipy.signal import lfilter

from engine.backends.context.innovation import SHARE, innovation

RATE = 16000
COEFFICIENTS = np.array([1.0, -1.2, 0.5])
HOLE = np.zeros(4000, dtype=bool)
HOLE[1600:2400] = True


def sound(seed: int = 0, channels: int = 2) -> np.ndarray:
    errors = np.random.default_rng(seed).standard_normal((channels, HOLE.size))
    return lfilter([1.0], COEFFICIENTS, errors, axis=1)


def kept(audio: np.ndarray) -> np.ndarray:
    return np.where(HOLE, 0.0, audio)


def test_errors_are_drawn_at_the_level_beside_the_gap() -> None:
    audio = kept(sound() * np.where(np.arange(HOLE.size) < 2000, 1.0, 0.1))
    measured = innovation(audio, HOLE, COEFFICIENTS, RATE, None)
    assert measured is not None
    drawn = np.mean([measured.drawn(np.random.default_rng(k)) ** 2 for k in range(20)], axis=0)
    assert np.sqrt(drawn[:, 1600:1640].mean()) == pytest.approx(SHARE, rel=0.35)
    assert np.sqrt(drawn[:, 2360:2400].mean()) == pytest.approx(SHARE / 10, rel=0.35)


def test_a_passage_that_fits_leaves_nothing_to_chance() -> None:
    whole = sound()
    measured = innovation(kept(whole), HOLE, COEFFICIENTS, RATE, 0.5 * whole)
    assert measured is not None
    true = lfilter(COEFFICIENTS, [1.0], whole, axis=1)
    drawn = measured.drawn(np.random.default_rng(0))
    assert np.abs(drawn - true)[:, 1650:2350].max() < 1e-3


def test_no_error_beside_a_seam_is_larger_than_the_usual() -> None:
    whole = sound()
    whole[:, 1602:1606] += 100
    whole[:, 2000:2004] += 100
    measured = innovation(kept(whole), HOLE, COEFFICIENTS, RATE, whole)
    assert measured is not None
    drawn = np.abs(measured.drawn(np.random.default_rng(0)))
    assert drawn[:, 1600:1620].max() < 3
    assert drawn[:, 2000:2004].max() > 50


def test_an_unlike_passage_is_not_heard() -> None:
    measured = innovation(kept(sound(0)), HOLE, COEFFICIENTS, RATE, sound(1))
    assert measured is not None
    assert np.abs(measured.heard).max() < 0.3
    assert measured.unknown.min() > 0.99


def test_too_little_sound_tells_nothing() -> None:
    hole = np.ones(50, dtype=bool)
    hole[:8] = False
    assert innovation(np.zeros((1, 50)), hole, COEFFICIENTS, RATE, None) is None
