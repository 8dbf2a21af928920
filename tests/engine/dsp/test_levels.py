import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reapaint_engine.dsp.levels import (
    FLOOR_DB,
    KNOT_FRAMES,
    MAX_GAIN_DB,
    MAX_SETTLE_DB,
    RELAX_S,
    SEAM_S,
    UNHEARD_STEP_DB,
    level_db,
    level_step_db,
    match_level,
    settle_level,
)
from tests.scale import SCALE

RATE = 16_000
SEAM = round(SEAM_S * RATE)


def noise(seconds, level_db_wanted=-20.0, channels=1, seed=0):
    samples = np.random.default_rng(seed).standard_normal((channels, round(seconds * RATE)))
    return (samples * 10 ** (level_db_wanted / 20)).astype(np.float32)


def gains_db(matched, new_audio):
    return 20 * np.log10(np.abs(matched / new_audio))[0]


def test_levels_of_known_signals():
    assert level_db(np.ones((2, 10), dtype=np.float32)) == pytest.approx(0.0)
    tone = np.sin(2 * np.pi * np.arange(RATE) / 100)[None].astype(np.float32)
    assert level_db(tone) == pytest.approx(-3.01, abs=0.01)
    assert level_db(np.zeros((1, 10), dtype=np.float32)) == FLOOR_DB
    assert level_db(np.zeros((1, 0), dtype=np.float32)) == FLOOR_DB


def test_a_step_is_measured_over_50_ms_on_each_side():
    audio = np.concatenate((noise(1, 0), noise(SEAM_S, -20), noise(SEAM_S, -26), noise(1, 0)), 1)
    assert level_step_db(audio, RATE + SEAM, RATE) == pytest.approx(-6.0, abs=0.5)


@pytest.mark.parametrize("frame", [0, 100])
def test_there_is_no_step_where_a_side_is_missing(frame):
    assert level_step_db(noise(1)[:, :100], frame, RATE) == 0.0


@given(st.floats(-45, -10), st.floats(-10, 10), st.floats(-10, 10), st.floats(0.2, 2.0))
def test_both_seams_get_the_level_beside_them(new_db, left_db, right_db, seconds):
    new_audio = noise(seconds, new_db, channels=2)
    before = noise(0.5, new_db + left_db, channels=2, seed=1)
    after = noise(0.5, new_db + right_db, channels=2, seed=2)
    matched = match_level(new_audio, before, after, RATE)
    whole = np.concatenate((before, matched, after), axis=1)
    seams = (before.shape[1], before.shape[1] + matched.shape[1])
    # On the way to the other end's level a short span moves while it is measured.
    moved_db = abs(right_db - left_db) * SEAM_S / 2 / seconds
    bound_db = max(1.0, moved_db + 0.25) if seconds > 0.4 else 1.0 + moved_db
    for seam in seams:
        assert abs(level_step_db(whole, seam, RATE)) < bound_db


def test_a_loud_instant_at_the_edge_passes_within_a_quarter_second():
    before = np.concatenate((noise(1.0, -30), noise(SEAM_S, -20)), axis=1)
    new_audio = noise(3.0, -30, seed=1)
    gains = gains_db(match_level(new_audio, before, noise(1.0, -30), RATE), new_audio)
    at_rest = gains[round((SEAM_S + RELAX_S) * RATE) :]
    assert gains[0] == pytest.approx(10.0, abs=1.0)
    assert np.max(np.abs(at_rest)) < 4.0
    assert np.abs(gains[-1]) < 1.0


@settings(max_examples=60 * SCALE)
@given(
    st.integers(1, 2 * RATE),
    st.floats(-80, 10),
    st.floats(-120, 10),
    st.floats(-120, 10),
    st.integers(0, RATE),
    st.integers(0, RATE),
)
def test_gains_are_bounded_and_never_jump(frames, new_db, left_db, right_db, left, right):
    new_audio = noise(2, new_db)[:, :frames]
    before, after = noise(1, left_db, seed=1)[:, :left], noise(1, right_db, seed=2)[:, :right]
    matched = match_level(new_audio, before, after, RATE)
    assert matched.shape == new_audio.shape
    assert matched.dtype == np.float32
    gains = gains_db(matched, new_audio)
    assert np.max(np.abs(gains)) <= MAX_GAIN_DB + 1e-3
    # Over half of a short span at the least, hence in proportion to its length. Between two knots
    # the gain is a straight line, whose steepest step in dB is at its lower end.
    between_knots_db = min(2 * MAX_GAIN_DB, 8 * MAX_GAIN_DB / frames * KNOT_FRAMES)
    steepest_db = 20 * np.log10(1 + (10 ** (between_knots_db / 20) - 1) / KNOT_FRAMES)
    assert np.max(np.abs(np.diff(gains)), initial=0.0) < 0.02 + steepest_db


def test_all_channels_get_the_same_gain():
    new_audio = noise(1, channels=3)
    matched = match_level(new_audio, noise(1, -10, 3, 1), noise(1, -30, 3, 2), RATE)
    ratios = matched / new_audio
    np.testing.assert_allclose(ratios, np.repeat(ratios[:1], 3, axis=0), rtol=1e-5)


@pytest.mark.parametrize("silent", ["before", "after"])
def test_a_silent_side_takes_the_other_sides_gain(silent):
    nothing, context = noise(1, -200), noise(1, -26, seed=1)
    new_audio = noise(2, -20, seed=2)
    before, after = (nothing, context) if silent == "before" else (context, nothing)
    matched = match_level(new_audio, before, after, RATE)
    assert level_db(matched) == pytest.approx(-26, abs=0.5)


def test_silence_stays_silence_and_without_context_nothing_changes():
    silence = np.zeros((1, RATE), dtype=np.float32)
    assert not match_level(silence, noise(1), noise(1), RATE).any()
    new_audio = noise(1)
    unchanged = match_level(new_audio, new_audio[:, :0], new_audio[:, :0], RATE)
    assert np.array_equal(unchanged, new_audio)
    assert unchanged is not new_audio


def test_a_constant_offset_is_no_level():
    before = noise(1, -40) + np.float32(0.5)
    new_audio = noise(1, -40, seed=1)
    matched = match_level(new_audio, before, before, RATE)
    assert level_db(matched) == pytest.approx(-40, abs=0.5)


def settled(before, joined):
    head = settle_level(joined, before, RATE)
    return np.concatenate((before, head, joined[:, head.shape[1] :]), axis=1)


@given(st.floats(-5, 5), st.floats(0.25, 2.0))
def test_a_step_left_by_joining_settles(step_db, seconds):
    before, joined = noise(0.2, -30, 2), noise(seconds, -30 + step_db, 2, seed=1)
    after = settled(before, joined)
    step_db = level_step_db(after, before.shape[1], RATE)
    assert abs(step_db) < UNHEARD_STEP_DB + 0.4
    gains = gains_db(after[:, before.shape[1] :], joined)
    assert gains[0] == 0.0
    assert gains[-1] == pytest.approx(0.0, abs=1e-3)
    assert np.max(np.abs(gains)) < 1.1 * MAX_SETTLE_DB + 0.01
    assert np.max(np.abs(np.diff(gains))) < 0.1


@given(st.integers(1, 2_000), st.floats(-120, 0), st.floats(-120, 0))
def test_settling_never_takes_more_than_half(frames, before_db, joined_db):
    joined = noise(1, joined_db)[:, :frames]
    head = settle_level(joined, noise(0.1, before_db, seed=1), RATE)
    assert head.shape[1] <= frames / 2
    assert np.array_equal(head[:, :1], joined[:, : head.shape[1]][:, :1])


def test_silence_is_not_settled():
    joined = noise(1)
    assert np.array_equal(settled(joined[:, :0], joined), joined)
    silence = np.zeros_like(joined)
    assert np.array_equal(settled(silence, joined)[:, RATE:], joined)


def rumbling(audio, amplitude):
    """A warped record's rumble at 13 Hz under a sound."""
    rumble = amplitude * np.sin(2 * np.pi * 13 * np.arange(audio.shape[1]) / RATE)
    return (audio + rumble).astype(np.float32)


def test_rumble_is_no_level():
    before, new_audio, after = noise(1, -30), noise(1, -30, seed=1), noise(1, -30, seed=2)
    matched = match_level(new_audio, rumbling(before, 0.2), rumbling(after, 0.1), RATE)
    assert np.abs(gains_db(matched, new_audio)).max() < 1.0
    settled = settle_level(new_audio, rumbling(before, 0.2), RATE)
    assert np.abs(gains_db(settled, new_audio[:, : settled.shape[1]])).max() < 1.0
    whole = np.concatenate((rumbling(before, 0.2), new_audio), axis=1)
    assert level_step_db(whole, RATE, RATE) == pytest.approx(0.0, abs=1.0)
