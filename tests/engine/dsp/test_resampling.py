import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reapaint_engine.dsp.resampling import (
    MAX_SAMPLE_RATE,
    MIN_SAMPLE_RATE,
    resample,
    resampled_frames,
)

USUAL_RATES = (8_000, 11_025, 16_000, 22_050, 44_100, 48_000, 88_200, 96_000, 192_000, 384_000)
rates = st.one_of(st.sampled_from(USUAL_RATES), st.integers(MIN_SAMPLE_RATE, MAX_SAMPLE_RATE))


def tone(frequency_hz, sample_rate, frames):
    return np.sin(2 * np.pi * frequency_hz * np.arange(frames) / sample_rate)[None]


def snr_db(wanted, got):
    return 10 * np.log10(np.mean(wanted**2) / np.mean((got - wanted) ** 2))


@given(rates, rates, st.integers(0, 2_000), st.integers(1, 4))
def test_lengths_are_exact(from_rate, to_rate, frames, channels):
    audio = np.ones((channels, frames), dtype=np.float32)
    resampled = resample(audio, from_rate, to_rate)
    assert resampled.shape == (channels, round_half_up(frames * to_rate, from_rate))
    assert resampled.dtype == np.float32
    assert resampled.flags.c_contiguous


def round_half_up(numerator, denominator):
    whole, rest = divmod(numerator, denominator)
    return whole + (2 * rest >= denominator)


@given(rates, rates, st.integers(0, 500), st.integers(0, 4_000))
def test_a_length_that_is_asked_for_is_given(from_rate, to_rate, frames, wanted):
    audio = np.ones((2, frames), dtype=np.float32)
    assert resample(audio, from_rate, to_rate, frames=wanted).shape == (2, wanted)


@pytest.mark.parametrize(("share", "least_snr_db"), [(0.1, 140.0), (0.3, 90.0), (0.45, 60.0)])
@pytest.mark.parametrize("from_rate", USUAL_RATES)
@pytest.mark.parametrize("to_rate", USUAL_RATES)
def test_a_tone_stays_the_same_tone_at_the_same_time(from_rate, to_rate, share, least_snr_db):
    frequency_hz = share * min(from_rate, to_rate)
    audio = tone(frequency_hz, from_rate, from_rate // 10).astype(np.float32)
    resampled = resample(audio, from_rate, to_rate)
    wanted = tone(frequency_hz, to_rate, resampled.shape[1])
    # Away from the edges, where silence rings in.
    middle = slice(resampled.shape[1] // 4, 3 * resampled.shape[1] // 4)
    assert snr_db(wanted[:, middle], resampled[:, middle]) > least_snr_db


@pytest.mark.parametrize(("low", "high"), [(44_100, 48_000), (44_100, 96_000), (8_000, 384_000)])
def test_up_and_down_again_gives_the_sound_back(low, high):
    rng = np.random.default_rng(1)
    frequencies_hz = rng.uniform(0.01, 0.3, 20) * low
    chord = sum(tone(frequency, low, low // 5) for frequency in frequencies_hz)
    audio = np.concatenate((chord, -chord)).astype(np.float32)
    back = resample(resample(audio, low, high), high, low, frames=audio.shape[1])
    middle = slice(audio.shape[1] // 4, 3 * audio.shape[1] // 4)
    assert snr_db(audio[:, middle], back[:, middle]) > 115.0


def test_what_lies_above_the_new_rate_is_removed():
    audio = tone(20_000, 96_000, 9_600).astype(np.float32)
    assert np.max(np.abs(resample(audio, 96_000, 22_050)[:, 100:-100])) < 1e-5


def test_equal_rates_return_the_same_array():
    audio = np.ones((2, 10), dtype=np.float32)
    assert resample(audio, 44_100, 44_100) is audio


def test_lengths_round_halves_up():
    assert resampled_frames(1, 16_000, 8_000) == 1
    assert resampled_frames(3, 16_000, 8_000) == 2


@pytest.mark.parametrize(("from_rate", "to_rate"), [(7_999, 44_100), (44_100, 384_001), (0, 1)])
def test_other_rates_are_refused_with_the_limits(from_rate, to_rate):
    with pytest.raises(ValueError, match="8000 to 384000 Hz"):
        resample(np.zeros((1, 10), dtype=np.float32), from_rate, to_rate)
