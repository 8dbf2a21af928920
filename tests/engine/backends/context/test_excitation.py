import numpy as np
import pytest
from scipy.signal import lfilter, stft

from reapaint_engine.backends.context.excitation import EXCITATION_SHARE, estimate_excitation

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
    measured = estimate_excitation(audio, HOLE, COEFFICIENTS, RATE, None)
    assert measured is not None
    drawn = np.mean([measured.draw(np.random.default_rng(k)) ** 2 for k in range(20)], axis=0)
    assert np.sqrt(drawn[:, 1600:1640].mean()) == pytest.approx(EXCITATION_SHARE, rel=0.35)
    assert np.sqrt(drawn[:, 2360:2400].mean()) == pytest.approx(EXCITATION_SHARE / 10, rel=0.35)


def test_a_passage_that_fits_leaves_nothing_to_chance() -> None:
    whole = sound()
    measured = estimate_excitation(kept(whole), HOLE, COEFFICIENTS, RATE, 0.5 * whole)
    assert measured is not None
    true = lfilter(COEFFICIENTS, [1.0], whole, axis=1)
    drawn = measured.draw(np.random.default_rng(0))
    assert np.abs(drawn - true)[:, 1650:2350].max() < 1e-3


def test_no_error_beside_a_seam_is_larger_than_the_usual() -> None:
    whole = sound()
    whole[:, 1602:1606] += 100
    whole[:, 2000:2004] += 100
    measured = estimate_excitation(kept(whole), HOLE, COEFFICIENTS, RATE, whole)
    assert measured is not None
    drawn = np.abs(measured.draw(np.random.default_rng(0)))
    assert drawn[:, 1600:1620].max() < 3
    assert drawn[:, 2000:2004].max() > 50


def test_errors_sound_first_like_those_before_and_then_like_those_after() -> None:
    white = np.random.default_rng(0).standard_normal((2, HOLE.size))
    dark, bright = (lfilter([1.0, sign * 0.9], [1.0], white, axis=1) for sign in (1, -1))
    errors = np.where(np.arange(HOLE.size) < 2000, dark, bright)
    audio = kept(lfilter([1.0], COEFFICIENTS, errors, axis=1))
    measured = estimate_excitation(audio, HOLE, COEFFICIENTS, RATE, None)
    assert measured is not None
    drawn = [measured.draw(np.random.default_rng(k)) for k in range(5)]

    def brightness(part: slice) -> float:
        power = np.mean([np.abs(np.fft.rfft(each[:, part])) ** 2 for each in drawn], axis=(0, 1))
        low, high = np.array_split(power, 2)
        return float(10 * np.log10(high.mean() / low.mean()))

    assert brightness(slice(1600, 1800)) < -3
    assert brightness(slice(2200, 2400)) > 3


def test_each_channel_is_even_however_unlike_they_are() -> None:
    both, each = sound(channels=2)
    audio = kept(np.stack([1.3 * both + each, 1.3 * both - each]))
    measured = estimate_excitation(audio, HOLE, COEFFICIENTS, RATE, None)
    assert measured is not None
    takes = [measured.draw(np.random.default_rng(seed))[:, 1600:2400] for seed in range(10)]
    _, _, spectra = stft(takes, nperseg=368, noverlap=276)
    # Those of noise deviate by 5.6 dB.
    assert np.std(20 * np.log10(np.abs(spectra[:, :, 2:-2, 4:-4]))) < 4.7


def test_an_unlike_passage_is_not_heard() -> None:
    measured = estimate_excitation(kept(sound(0)), HOLE, COEFFICIENTS, RATE, sound(1))
    assert measured is not None
    assert np.abs(measured.heard).max() < 0.3
    assert measured.unknown.min() > 0.99


def test_too_little_sound_tells_nothing() -> None:
    hole = np.ones(50, dtype=bool)
    hole[:8] = False
    assert estimate_excitation(np.zeros((1, 50)), hole, COEFFICIENTS, RATE, None) is None
