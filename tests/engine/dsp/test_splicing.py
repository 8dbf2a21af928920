import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import lfilter

from reapaint_engine.dsp.crossfades import ADAPTIVE, COMPLEMENTARY, EQUAL_POWER
from reapaint_engine.dsp.seams import click_ratio
from reapaint_engine.dsp.splicing import CONTINUOUS, HARD, Levelling, splice
from reapaint_engine.protocol.spans import Span

RATE = 48_000
FADE = 1_440
CROSSFADED = {ADAPTIVE, COMPLEMENTARY, EQUAL_POWER}


def room(seconds, channels=1, seed=0):
    white = np.random.default_rng(seed).standard_normal((channels, round(seconds * RATE)))
    return lfilter([0.01], [1.0, -1.8, 0.85], white).astype(np.float32)


def tones(seconds):
    time_s = np.arange(round(seconds * RATE)) / RATE
    return np.sum([np.sin(2 * np.pi * 311 * k * time_s) / (4 * k) for k in range(1, 5)], axis=0)[
        None
    ].astype(np.float32)


def put(window, span, patch):
    whole = window.copy()
    whole[:, span.start : span.end] = patch
    return whole


@st.composite
def jobs(draw):
    frames = draw(st.integers(1, 6_000))
    start = draw(st.integers(0, frames - 1) | st.just(0))
    end = draw(st.integers(start + 1, frames) | st.just(frames))
    audio_frames = draw(st.sampled_from([frames, frames, start, (start + end) // 2]))
    channels = draw(st.integers(1, 4) | st.sampled_from([6, 16, 64]))
    return channels, frames, audio_frames, Span(start, end)


@given(jobs(), st.integers(0, 5_000), st.booleans(), st.booleans(), st.integers(0, 2**32 - 1))
def test_any_span_of_any_window_is_filled_exactly(job, fade, level, continuous, seed):
    channels, frames, audio_frames, span = job
    window = room(0.125, channels, seed)[:, :frames].copy()
    # Only a span may reach past the source's end.
    window[:, audio_frames:] = 0.0
    audio_frames = audio_frames if span.end == frames else frames
    new_audio = room(0.125, channels, seed + 1)[:, : span.length].copy()
    given_window, given_audio = window.copy(), new_audio.copy()
    window.flags.writeable = new_audio.flags.writeable = False
    result = splice(
        window,
        audio_frames,
        span,
        new_audio,
        sample_rate=RATE,
        crossfade_frames=fade,
        levelling=Levelling.MATCH if level else Levelling.LEAVE,
        continuous=continuous,
    )
    assert result.patch.shape == (channels, span.length)
    assert result.patch.dtype == np.float32
    assert result.patch.flags.c_contiguous
    assert np.isfinite(result.patch).all()
    assert np.array_equal(window, given_window)
    assert np.array_equal(new_audio, given_audio)
    assert (result.left is None) == (span.start == 0)
    assert (result.right is None) == (span.end >= audio_frames)
    for seam, frame in ((result.left, span.start), (result.right, span.end)):
        if seam is not None:
            assert seam.frame == frame
            assert 0 <= seam.crossfade_frames <= min(fade, span.length // 4)
            assert (seam.law in CROSSFADED) == (seam.crossfade_frames > 0)
            assert np.isfinite([seam.level_step_db, seam.click_ratio, seam.correlation]).all()


@pytest.mark.parametrize("make", [lambda: room(3.0, 2), tones])
def test_edge_frames_are_the_originals_where_it_goes_on(make):
    window = make() if make is not tones else tones(3.0)
    span = Span(RATE, 2 * RATE)
    new_audio = room(1.0, window.shape[0], seed=5)
    result = splice(
        window, window.shape[1], span, new_audio, sample_rate=RATE, crossfade_frames=FADE
    )
    assert np.array_equal(result.patch[:, 0], window[:, span.start])
    assert np.array_equal(result.patch[:, -1], window[:, span.end - 1])


def test_a_span_filled_with_what_it_held_stays_as_it_was():
    window = room(3.0, 2)
    span = Span(RATE, 2 * RATE)
    held = window[:, span.start : span.end].copy()
    result = splice(
        window,
        window.shape[1],
        span,
        held,
        sample_rate=RATE,
        crossfade_frames=FADE,
        levelling=Levelling.LEAVE,
    )
    np.testing.assert_allclose(result.patch, held, rtol=1e-6)
    assert {result.left.law, result.right.law} == {COMPLEMENTARY}


def test_beyond_its_crossfades_the_new_audio_is_untouched():
    window, span = room(3.0, 2), Span(RATE, 2 * RATE)
    new_audio = room(1.0, 2, seed=3)
    for continuous in (False, True):
        result = splice(
            window,
            window.shape[1],
            span,
            new_audio,
            sample_rate=RATE,
            crossfade_frames=FADE,
            levelling=Levelling.MATCH if continuous else Levelling.LEAVE,
            continuous=continuous,
        )
        inner = slice(FADE, -FADE)
        assert np.array_equal(result.patch[:, inner], new_audio[:, inner])
        assert not np.array_equal(result.patch, new_audio)


@pytest.mark.parametrize("make", [room, tones])
@pytest.mark.parametrize("held", ["the original", "zeros", "loud noise", "a click"])
def test_seams_are_free_of_clicks_whatever_the_mask_holds(make, held):
    window = make(3.0)
    span = Span(RATE + 17, 2 * RATE + 111)
    inside = window[:, span.start : span.end]
    if held == "zeros":
        inside[:] = 0.0
    elif held == "loud noise":
        inside[:] = np.random.default_rng(1).standard_normal(inside.shape)
    elif held == "a click":
        inside[:, [20, -20]] = 0.9
    new_audio = make(3.0)[:, 100 : 100 + span.length].copy()
    result = splice(
        window, window.shape[1], span, new_audio, sample_rate=RATE, crossfade_frames=FADE
    )
    whole = put(window, span, result.patch)
    for seam in (result.left, result.right):
        assert seam.law in CROSSFADED
        assert seam.click_ratio < 1.5
        assert seam.click_ratio == pytest.approx(click_ratio(whole, seam.frame, RATE), rel=1e-6)
        assert abs(seam.level_step_db) < 2.0


@pytest.mark.parametrize("at", [20, 700, 1_400])
def test_what_is_to_be_removed_does_not_come_back_through_the_crossfade(at):
    window = 0.01 * room(3.0)
    span = Span(RATE, 2 * RATE)
    window[:, span.start + at : span.start + at + 3] = 0.9
    window[:, span.end - at - 3 : span.end - at] = 0.9
    result = splice(
        window,
        window.shape[1],
        span,
        0.01 * room(1.0, seed=1),
        sample_rate=RATE,
        crossfade_frames=FADE,
    )
    assert np.max(np.abs(result.patch)) < 0.01


def test_a_hard_cut_is_the_new_audio_itself():
    window, span = room(3.0), Span(RATE, 2 * RATE)
    new_audio = room(1.0, seed=1)
    result = splice(
        window,
        window.shape[1],
        span,
        new_audio,
        sample_rate=RATE,
        crossfade_frames=0,
        levelling=Levelling.LEAVE,
    )
    assert np.array_equal(result.patch, new_audio)
    assert result.left.law == result.right.law == HARD


def test_a_continuous_fill_is_left_alone_where_the_original_is_an_event():
    window, span = tones(3.0), Span(RATE, RATE + 480)
    fill = window[:, span.start : span.end].copy()
    window[:, span.start : span.end] = 0.0
    result = splice(
        window,
        window.shape[1],
        span,
        fill,
        sample_rate=RATE,
        crossfade_frames=FADE,
        continuous=True,
    )
    assert np.array_equal(result.patch, fill)
    assert result.left.law == result.right.law == CONTINUOUS
    assert max(result.left.click_ratio, result.right.click_ratio) < 1.5


def test_past_the_sources_end_there_is_one_seam_and_it_is_smooth():
    window = np.concatenate((tones(1.0), np.zeros((1, RATE), dtype=np.float32)), axis=1)
    span = Span(RATE, 2 * RATE)
    result = splice(
        window, RATE, span, tones(1.3)[:, -RATE:], sample_rate=RATE, crossfade_frames=FADE
    )
    assert result.right is None
    assert result.left.crossfade_frames == FADE
    assert result.left.click_ratio < 1.5


def test_only_the_given_surroundings_count():
    window = room(3.0)
    span, beyond = Span(RATE, 2 * RATE), Span(2 * RATE + 4_800, 3 * RATE)
    window[:, beyond.start :] = 0.9
    new_audio = room(1.0, seed=1)
    results = [
        splice(
            audio,
            window.shape[1],
            span,
            new_audio,
            sample_rate=RATE,
            crossfade_frames=FADE,
            within=Span(0, beyond.start),
        )
        for audio in (window, room(3.0))
    ]
    assert np.array_equal(results[0].patch, results[1].patch)
    assert results[0].right == results[1].right


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_samples_that_are_not_numbers_are_refused(wrong):
    new_audio = room(1.0)
    new_audio[0, 30_000] = wrong
    with pytest.raises(ValueError, match="not finite"):
        splice(room(3.0), 3 * RATE, Span(0, RATE), new_audio, sample_rate=RATE, crossfade_frames=0)


@pytest.mark.parametrize("shape", [(1, RATE - 1), (2, RATE), (1, RATE + 1)])
def test_new_audio_of_another_shape_is_refused(shape):
    new_audio = np.zeros(shape, dtype=np.float32)
    with pytest.raises(ValueError, match="can't fill a span"):
        splice(room(3.0), 3 * RATE, Span(0, RATE), new_audio, sample_rate=RATE, crossfade_frames=0)


def test_what_clicks_is_declicked_but_for_a_hard_join():
    window, span = room(3.0, 2), Span(RATE, 2 * RATE)
    new_audio = window[:, span.start : span.end] + np.float32(0.5)
    emptied = put(window, span, 0.0)

    def clicks(crossfade_frames):
        result = splice(
            emptied,
            window.shape[1],
            span,
            new_audio,
            sample_rate=RATE,
            crossfade_frames=crossfade_frames,
            continuous=True,
        )
        return result.left.click_ratio, result.right.click_ratio

    assert max(clicks(FADE)) < 1.5
    assert min(clicks(0)) > 3.0
