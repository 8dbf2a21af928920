import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reapaint_engine.dsp import interpolation
from reapaint_engine.dsp.interpolation import interpolate, runs
from reapaint_engine.dsp.prediction import lpc, residual
from tests.scale import SCALE

ORDER = 40


def sound(frames: int, seed: int = 0, signals: int = 1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    tones = np.sin(np.outer([0.05, 0.11, 0.3], np.arange(frames))).sum(axis=0)
    return tones + 0.3 * rng.standard_normal((signals, frames))


def holes(frames: int, *gaps: tuple[int, int]) -> np.ndarray:
    missing = np.zeros(frames, dtype=bool)
    for start, end in gaps:
        missing[start:end] = True
    return missing


def by_brute_force(
    audio: np.ndarray, missing: np.ndarray, coefficients: np.ndarray, excitation: np.ndarray
) -> np.ndarray:
    """The least-squares problem written out, every equation from the first gap on."""
    frames, first = missing.size, int(np.argmax(missing))
    equations = sum(
        np.diag(np.full(frames - delay, value), -delay)
        for delay, value in enumerate(coefficients[:frames])
    )[first:]
    filled = np.where(missing, 0.0, audio)
    known = equations @ filled.T - excitation.T[first:]
    filled[:, missing] = np.linalg.lstsq(equations[:, missing], -known, rcond=None)[0].T
    return filled


CASES = {
    "one gap": [(150, 190)],
    "longer than the order": [(150, 290)],
    "short right context": [(150, 385)],
    "extrapolation": [(150, 400)],
    "crackle": [(150, 152), (155, 160), (161, 175), (200, 240)],
    "the longer side right": [(100, 180)],
    "nothing on the left": [(0, 80)],
}


@pytest.mark.parametrize("most_at_once", [1000, 30, 1])
@pytest.mark.parametrize("gaps", CASES.values(), ids=CASES)
def test_every_way_of_solving_finds_the_least_squares_solution(
    gaps: list[tuple[int, int]], most_at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interpolation, "MAX_DIRECT_FRAMES", most_at_once)
    audio, missing = sound(400, signals=2), holes(400, *gaps)
    coefficients = lpc(audio[0], ORDER, noise_floor=1e-4)
    excitation = 0.1 * sound(400, seed=1, signals=2)
    filled = interpolate(np.where(missing, np.nan, audio), missing, coefficients, excitation)
    if gaps[0][0] >= 400 - gaps[-1][1]:
        expected = by_brute_force(audio, missing, coefficients, excitation)
    else:
        turned = audio[:, ::-1], missing[::-1], coefficients, excitation[:, ::-1]
        expected = by_brute_force(*turned)[:, ::-1]
    assert filled == pytest.approx(expected, abs=1e-3)


@settings(max_examples=30 * SCALE)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 12))
def test_what_is_known_stays_and_what_is_missing_is_not_read(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    audio, missing = sound(300), np.zeros(300, dtype=bool)
    for start in rng.integers(0, 300, count):
        missing[start : start + int(rng.integers(1, 30))] = True
    coefficients = lpc(audio[0], 20)
    filled = interpolate(np.where(missing, np.inf, audio), missing, coefficients)
    assert np.array_equal(filled[:, ~missing], audio[:, ~missing])
    assert np.isfinite(filled).all()


def test_a_predictable_sound_comes_back() -> None:
    audio = np.sin(np.outer([1.0], np.arange(2000) * 0.07))
    missing = holes(2000, (900, 1100))
    filled = interpolate(audio, missing, lpc(audio[0], 64))
    assert filled == pytest.approx(audio, abs=0.01)


def test_excitation_keeps_the_power_of_noise() -> None:
    rng = np.random.default_rng(0)
    audio = rng.standard_normal((1, 4000))
    missing = holes(4000, (1500, 2500))
    coefficients = lpc(audio[0], 16)
    plain = interpolate(audio, missing, coefficients)
    drawn = interpolate(audio, missing, coefficients, rng.standard_normal(audio.shape))
    assert np.std(plain[:, 1600:2400]) < 0.1
    assert np.std(drawn[:, 1600:2400]) == pytest.approx(1.0, abs=0.1)
    errors = residual(drawn, coefficients[np.newaxis])
    assert np.std(errors[:, 1500:2516]) == pytest.approx(1.0, abs=0.1)


def test_empty_bands_do_not_break_the_solution() -> None:
    spectrum = np.zeros(2001, dtype=complex)
    spectrum[100:900] = np.random.default_rng(0).standard_normal(800)
    audio = np.fft.irfft(spectrum)[np.newaxis]
    audio /= np.std(audio)
    missing = holes(4000, (1400, 2600))
    filled = interpolate(audio, missing, lpc(audio[0], 600))
    assert np.abs(filled).max() < 2 * np.abs(audio).max()


def test_runs_are_the_stretches_that_are_true() -> None:
    assert runs(np.array([1, 1, 0, 1, 0, 0, 1], dtype=bool)) == [(0, 2), (3, 4), (6, 7)]
    assert runs(np.zeros(3, dtype=bool)) == []
