import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import butter, lfilter, sosfilt

from reapaint_engine.dsp.declick import WIDTHS_S, declick
from reapaint_engine.dsp.prediction import lpc
from reapaint_engine.dsp.seams import click_ratio
from tests.scale import SCALE

RATE = 48_000
HALF = RATE // 2


def room(seconds, channels=2, seed=0):
    white = np.random.default_rng(seed).standard_normal((channels, round(seconds * RATE)))
    return lfilter([0.01], [1.0, -1.8, 0.85], white).astype(np.float32)


def call(seconds):
    """Make a loud tone with overtones over a soft hiss."""
    time_s = np.arange(round(seconds * RATE)) / RATE
    tone = sum(np.sin(2 * np.pi * 2311 * k * time_s) / k for k in range(1, 4))
    hiss = 0.002 * np.random.default_rng(1).standard_normal(time_s.size)
    return (0.3 * tone + hiss)[np.newaxis].astype(np.float32)


def put(new_audio, head):
    return np.concatenate((head, new_audio[:, head.shape[1] :]), axis=1)


def worst_error(context, new_audio, seconds):
    """Return the largest prediction error up to so far behind the seam, over the usual one."""
    predictor = lpc(context[0], 32)
    usual = np.percentile(np.abs(np.convolve(context[0], predictor, "valid")), 99.9)
    near = np.concatenate((context[0, -80:], new_audio[0, : round(seconds * RATE)]))
    return np.max(np.abs(np.convolve(near, predictor, "valid"))) / usual


@pytest.mark.parametrize("gain", [-0.2, 0.5, 2.0])
def test_a_call_that_changes_is_led_over_without_a_click(gain):
    whole = call(1.0)
    before, after = whole[:, :HALF], whole[:, HALF:]
    new_audio = np.float32(gain) * after
    head = declick(before, new_audio, after, RATE)
    assert 0 < head.shape[1] <= max(WIDTHS_S) * RATE
    as_it_was, smooth = (
        worst_error(before, each, 0.02) for each in (new_audio, put(new_audio, head))
    )
    # Nowhere, that is: not at the other end of what was made anew either.
    assert smooth < 0.5 * as_it_was


@settings(max_examples=30 * SCALE)
@given(st.integers(0, 1000))
def test_what_goes_on_by_itself_is_left(seed):
    whole = 0.5 * room(0.4, seed=seed)
    middle = whole.shape[1] // 2
    head = declick(whole[:, :middle], whole[:, middle:-4000], whole[:, -4000:], RATE)
    changed = whole[:, middle : middle + head.shape[1]] - head
    assert np.max(np.abs(changed), initial=0.0) < 5 * np.std(whole)
    # Chance alone makes one seam in some hundreds look like a click.
    assert head.shape[1] == 0 or click_ratio(whole, middle, RATE) > 1.0


def test_a_click_of_the_kept_sound_stays_and_changes_nothing():
    whole = room(1.0)
    whole[:, HALF - 10] += 1.0
    head = declick(whole[:, :HALF], whole[:, HALF:], whole[:, -100:], RATE)
    assert head.shape[1] == 0


def test_a_click_in_one_channel_is_enough():
    whole = room(1.0, channels=3)
    new_audio = whole[:, HALF:].copy()
    new_audio[1] += 0.5
    smooth = put(new_audio, declick(whole[:, :HALF], new_audio, whole[:, HALF:], RATE))
    joined = np.concatenate((whole[:, :HALF], smooth), axis=1)
    assert click_ratio(np.concatenate((whole[:, :HALF], new_audio), axis=1), HALF, RATE) > 3.0
    assert click_ratio(joined, HALF, RATE) < 1.5


@pytest.mark.parametrize("rate", [16_000, 44_100, 96_000, 192_000])
def test_sound_of_few_frequencies_is_declicked_at_any_rate(rate):
    white = np.random.default_rng(0).standard_normal((1, rate))
    dull = sosfilt(butter(8, 3000, fs=rate, output="sos"), white).astype(np.float32)
    before, new_audio = dull[:, : rate // 2], dull[:, rate // 2 :] + np.float32(1.0)
    smooth = put(new_audio, declick(before, new_audio, dull[:, :0], rate))
    assert click_ratio(np.concatenate((before, new_audio), axis=1), rate // 2, rate) > 3.0
    assert click_ratio(np.concatenate((before, smooth), axis=1), rate // 2, rate) < 1.5


@given(st.integers(0, 200), st.integers(1, 200), st.integers(0, 200), st.sampled_from([0.0, 1.0]))
def test_any_little_audio_will_do(before, frames, after, gain):
    sound = np.float32(gain) * room(0.02)
    new_audio = sound[:, :frames] + np.float32(0.5)
    given_audio = new_audio.copy()
    head = declick(sound[:, :before], new_audio, sound[:, :after], RATE)
    assert head.shape[0] == 2
    assert head.shape[1] <= frames
    assert np.isfinite(head).all()
    assert np.array_equal(new_audio, given_audio)
