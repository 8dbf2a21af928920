import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import lfilter

from reapaint_engine.dsp.seams import click_ratio, jump_ratio, measure_seam, usual_jumps

RATE = 48_000


def room(seconds, channels=1, seed=0):
    """Make noise as dull as a room's: its frames predict each other."""
    white = np.random.default_rng(seed).standard_normal((channels, round(seconds * RATE)))
    return lfilter([0.01], [1.0, -1.8, 0.85], white).astype(np.float32)


def tones(seconds):
    time_s = np.arange(round(seconds * RATE)) / RATE
    return np.sum([np.sin(2 * np.pi * 311 * k * time_s) / k for k in range(1, 5)], axis=0)[
        None
    ].astype(np.float32)


@given(st.integers(0, 200))
def test_sound_without_a_seam_shows_no_click(seed):
    assert click_ratio(room(0.5, 2, seed), RATE // 4, RATE) < 1.5


@pytest.mark.parametrize("make", [room, tones])
@pytest.mark.parametrize("channel", [0, 1])
def test_a_click_in_one_channel_stands_out(make, channel):
    audio = np.repeat(make(1.0), 2, axis=0)
    audio[channel, RATE // 2 + 10] += 0.5
    assert click_ratio(audio, RATE // 2, RATE) > 4.0
    # Further off than 1 ms it is not the seam's.
    assert click_ratio(audio, RATE // 2 + 200, RATE) < 1.5


def test_a_hard_join_of_tones_stands_out():
    tone = tones(1.0)
    joined = np.concatenate((tone[:, : RATE // 2], tone[:, RATE // 2 + 40 :]), axis=1)
    assert click_ratio(tone, RATE // 2, RATE) < 1.5
    assert click_ratio(joined, RATE // 2, RATE) > 4.0


def test_breaking_off_and_setting_in_are_found_alike():
    audio = tones(1.0)
    breaks_off = np.where(np.arange(RATE) < RATE // 2 + 13, audio, 0).astype(np.float32)
    forwards = click_ratio(breaks_off, RATE // 2 + 13, RATE)
    backwards = click_ratio(breaks_off[:, ::-1], RATE - (RATE // 2 + 13), RATE)
    assert forwards > 4.0
    assert backwards == pytest.approx(forwards, rel=0.01)


def test_silence_has_neither_step_nor_click():
    figures = measure_seam(np.zeros((2, RATE), dtype=np.float32), RATE // 2, RATE)
    assert figures.level_step_db == 0.0
    assert figures.click_ratio == 0.0


def test_a_step_below_16_bits_in_silence_is_no_click():
    audio = np.zeros((1, RATE), dtype=np.float32)
    audio[:, RATE // 2 :] = 2.0**-17
    assert click_ratio(audio, RATE // 2, RATE) < 1.5


@given(st.integers(0, 3_000), st.integers(0, 3_000), st.integers(1, 3))
def test_any_place_in_any_length_gives_finite_figures(frame, rest, channels):
    audio = room(0.5, channels)[:, : frame + rest]
    figures = measure_seam(audio, frame, RATE)
    assert np.isfinite(figures.level_step_db)
    assert np.isfinite(figures.click_ratio)
    assert figures.click_ratio >= 0.0
    if frame == 0 or rest == 0:
        assert (figures.level_step_db, figures.click_ratio) == (0.0, 0.0)


@pytest.mark.parametrize("frame", [3, 20, 500])
def test_a_click_near_the_very_start_or_end_is_found(frame):
    audio = room(0.2)
    audio[0, frame] += 2.0
    assert click_ratio(audio, frame, RATE) > 4.0
    assert click_ratio(audio[:, ::-1], audio.shape[1] - frame, RATE) > 4.0


def test_level_and_position_do_not_change_the_ratio():
    audio = np.concatenate((tones(0.3), tones(0.3)[:, 40:]), axis=1)
    seam = round(0.3 * RATE)
    ratio = click_ratio(audio, seam, RATE)
    assert click_ratio(audio * np.float32(0.1), seam, RATE) == pytest.approx(ratio, rel=0.01)
    longer = np.concatenate((audio, tones(1.0)), axis=1)
    assert click_ratio(longer, seam, RATE) == pytest.approx(ratio, rel=0.01)


def test_jumps_are_compared_with_the_recordings_own():
    audio = np.concatenate((room(1.0, seed=1), 0.1 * room(1.0, seed=2))).astype(np.float32)
    usual = usual_jumps(audio)
    assert usual[0] == pytest.approx(10 * usual[1], rel=0.3)
    cut = audio.copy()
    cut[1, 24_000:] += 5 * np.float32(usual[1])
    assert jump_ratio(audio, 24_000, usual) < 1.5
    assert jump_ratio(cut, 24_000, usual) == pytest.approx(5.0, abs=1.5)
    assert jump_ratio(cut, 0, usual) == jump_ratio(cut, RATE, usual) == 0.0


def test_a_recording_too_short_to_jump_has_no_usual_jumps():
    assert usual_jumps(np.ones((3, 1), dtype=np.float32)).tolist() == [0.0, 0.0, 0.0]
