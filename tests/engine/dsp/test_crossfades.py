import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reapaint_engine.dsp.crossfades import (
    ADAPTIVE,
    COMPLEMENTARY,
    EQUAL_POWER,
    MAX_GAIN,
    crossfade,
    fade_in_gains,
)


def noise(channels, frames, seed=0):
    return np.random.default_rng(seed).standard_normal((channels, frames)).astype(np.float32)


def power_db(audio, reference):
    return 10 * np.log10(np.mean(audio.astype(float) ** 2) / np.mean(reference.astype(float) ** 2))


sizes = st.tuples(st.integers(1, 64), st.integers(1, 300))


@given(sizes, st.integers(0, 2**32 - 1))
def test_the_first_frame_is_the_old_sounds_to_the_bit(size, seed):
    old, new = noise(*size, seed), noise(*size, seed + 1)
    mix = crossfade(old, new).audio
    assert mix.shape == size
    assert mix.dtype == np.float32
    assert np.array_equal(mix[:, 0], old[:, 0])


@given(sizes, st.integers(0, 2**32 - 1))
def test_a_sound_faded_into_itself_is_itself(size, seed):
    sound = noise(*size, seed)
    result = crossfade(sound, sound.copy())
    np.testing.assert_allclose(result.audio, sound, rtol=1e-6)
    assert result.law == COMPLEMENTARY
    assert result.correlation == pytest.approx(1.0)


@given(st.integers(0, 1_000))
def test_unrelated_sounds_keep_their_power(seed):
    old, new = noise(2, 9_600, seed), noise(2, 9_600, seed + 5_000)
    result = crossfade(old, new)
    middle = slice(4_000, 5_600)
    assert abs(power_db(result.audio[:, middle], old)) < 0.5
    assert result.law in (EQUAL_POWER, ADAPTIVE)
    assert abs(result.correlation) < 0.06


@given(st.floats(-0.55, 0.99), st.integers(0, 1_000))
def test_power_is_kept_at_any_correlation(correlation, seed):
    # A linear fade of the same pair would sink to 10 lg((1 + r) / 2) in the middle.
    old, other = noise(1, 19_200, seed), noise(1, 19_200, seed + 5_000)
    new = (correlation * old + np.sqrt(1 - correlation**2) * other).astype(np.float32)
    result = crossfade(old, new)
    middle = slice(8_000, 11_200)
    assert abs(power_db(result.audio[:, middle], old)) < 0.6
    assert result.correlation == pytest.approx(correlation, abs=0.05)


def test_the_law_is_named_by_the_correlation():
    old, other = noise(1, 48_000, 1), noise(1, 48_000, 2)
    half_alike = (0.6 * old + 0.8 * other).astype(np.float32)
    assert crossfade(old, half_alike).law == ADAPTIVE
    assert crossfade(old, other).law == EQUAL_POWER
    assert crossfade(old, 2 * old).law == COMPLEMENTARY


def test_the_level_moves_from_one_sounds_to_the_others():
    old, new = noise(1, 48_000, 1), 4 * noise(1, 48_000, 2)
    mix = crossfade(old, new).audio
    levels_db = [power_db(part, old) for part in np.array_split(mix, 8, axis=1)]
    assert levels_db == sorted(levels_db)
    assert -0.5 < levels_db[0] < 2.0
    assert 11.0 < levels_db[-1] < 12.3


@pytest.mark.parametrize("old_gain", [0.0, 1.0, -1.0, 1e-20, 1e18])
@pytest.mark.parametrize("new_gain", [0.0, 1.0, 1e-20, 1e18])
def test_silence_opposites_and_extremes_stay_finite_and_bounded(old_gain, new_gain):
    sound = noise(2, 200)
    old, new = np.float32(old_gain) * sound, np.float32(new_gain) * sound
    mix = crossfade(old, new).audio
    assert np.isfinite(mix).all()
    assert np.max(np.abs(mix)) <= MAX_GAIN * max(np.max(np.abs(old)), np.max(np.abs(new)))


def test_gains_rise_from_nothing_and_stop_short_of_one():
    gains = fade_in_gains(100)
    assert gains[0] == 0.0
    assert np.all(np.diff(gains) > 0)
    assert 0.999 < gains[-1] < 1.0
    np.testing.assert_allclose(gains[1:] + gains[:0:-1], 1.0)
