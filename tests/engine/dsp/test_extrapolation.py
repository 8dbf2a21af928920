import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import butter, lfilter, sosfilt

from reapaint_engine.dsp.extrapolation import MAX_PEAK_RATIO, continuation, follows_on
from reapaint_engine.dsp.levels import level_db
from reapaint_engine.dsp.prediction import lpc
from reapaint_engine.dsp.seams import click_ratio
from tests.scale import SCALE

RATE = 48_000
FADE = 1_440


def room(seconds, channels=2, seed=0):
    white = np.random.default_rng(seed).standard_normal((channels, round(seconds * RATE)))
    return lfilter([0.01], [1.0, -1.8, 0.85], white).astype(np.float32)


def tones(seconds):
    time_s = np.arange(round(seconds * RATE)) / RATE
    return np.sum([np.sin(2 * np.pi * 311 * k * time_s) / (4 * k) for k in range(1, 5)], axis=0)[
        None
    ].astype(np.float32)


def halves(audio):
    return audio[:, : RATE // 2], audio[:, RATE // 2 : RATE // 2 + FADE].copy()


@given(st.integers(0, 100))
def test_sound_that_goes_on_follows_on(seed):
    assert follows_on(*halves(room(0.6, seed=seed)), RATE)
    assert follows_on(*halves(tones(0.6)), RATE)


@pytest.mark.parametrize("make", [room, tones])
@pytest.mark.parametrize(
    "event",
    [
        lambda head: head * 0,
        lambda head: head * 8,
        lambda head: head + np.float32(0.5) * (np.arange(FADE) == 700),
        lambda head: head * (np.arange(FADE) < 900),
        lambda head: np.random.default_rng(1).standard_normal(head.shape) * 0.3,
    ],
    ids=["silence", "knock", "click", "dropout", "noise"],
)
def test_an_event_does_not_follow_on(make, event):
    context, head = halves(make(0.6))
    assert not follows_on(context, event(head).astype(np.float32), RATE)


def test_tones_from_another_place_do_not_follow_on():
    context, head = halves(tones(0.6))
    assert not follows_on(context, head[:, ::-1], RATE)


def test_an_event_in_one_channel_is_enough():
    context, head = halves(room(0.6, channels=3))
    head[2, 500] += 1.0
    assert not follows_on(context, head, RATE)


@given(st.integers(0, 30))
def test_a_continuation_of_noise_is_as_loud_and_free_of_clicks(seed):
    context = room(0.5, seed=seed)
    continued = continuation(context, FADE, RATE)
    assert continued.shape == (2, FADE)
    assert continued.dtype == np.float32
    assert level_db(continued) == pytest.approx(level_db(context), abs=4.0)
    whole = np.concatenate((context, continued), axis=1)
    assert click_ratio(whole, context.shape[1], RATE) < 1.5


def test_a_continuation_of_tones_is_the_tones():
    context, head = halves(tones(0.6))
    continued = continuation(context, FADE, RATE)
    assert level_db(continued - head) < level_db(head) - 15.0


@settings(max_examples=50 * SCALE)
@given(st.integers(1, 400), st.integers(1, 400), st.integers(1, 3), st.sampled_from([0.0, 1.0]))
def test_any_context_gives_a_bounded_continuation(frames, wanted, channels, gain):
    context = (gain * room(0.01, channels)[:, :frames]).astype(np.float32)
    continued = continuation(context, wanted, RATE)
    assert continued.shape == (channels, wanted)
    assert np.isfinite(continued).all()
    limit = MAX_PEAK_RATIO * np.max(np.abs(context), axis=1, initial=0.0)
    assert np.all(np.max(np.abs(continued), axis=1) <= np.maximum(limit, gain))
    assert follows_on(context, context[:, :1], RATE) in (True, False)


@pytest.mark.parametrize("seed", range(5))
def test_a_continuation_after_a_stroke_has_none_of_its_own(seed):
    """Sound without treble that was louder 25 ms ago: its echo must not be chopped off."""
    white = np.random.default_rng(seed).standard_normal((1, RATE // 2))
    context = sosfilt(butter(8, 5000, fs=RATE, output="sos"), white)
    louder_ago = np.interp(np.arange(RATE // 2) - RATE // 2, [-1300, -1000], [1.0, 0.02])
    context = (0.3 * context * louder_ago).astype(np.float32)
    whole = np.concatenate((context, continuation(context, FADE, RATE)), axis=1)
    predictor = lpc(context[0], 32)
    errors = np.abs(np.convolve(whole[0], predictor, mode="valid"))
    own, further = errors[:-FADE], errors[-FADE:]
    assert further.max() < 1.5 * np.percentile(own, 99.9)
