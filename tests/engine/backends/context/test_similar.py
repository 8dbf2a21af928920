import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reapaint_engine.backends.base import Passage, Window
from reapaint_engine.backends.context.analysis import analyse
from reapaint_engine.backends.context.similar import fill_planned, fill_similar, plan_similar
from reapaint_engine.dsp.seams import measure_seam
from reapaint_engine.protocol.arrays import Audio
from reapaint_engine.protocol.spans import Span
from tests.scale import SCALE

RATE = 16_000


def ignore(_: float) -> None:
    pass


def windowed(audio: Audio, *spans: Span, rate: int = RATE) -> Window:
    """A window that holds NaN wherever nothing may be read."""
    heard = audio.copy()
    for each in spans:
        heard[:, each.start : each.end] = np.nan
    heard.setflags(write=False)
    return Window(heard, rate, spans, audio.shape[1])


def takes(window: Window, span: Span, seeds: range) -> list[Passage]:
    plan = plan_similar(window, span, analyse(window, span, ignore), ignore)
    return [fill_planned(plan, seed, np.random.default_rng([seed, 0]), ignore) for seed in seeds]


def inside(passage: Passage, span: Span) -> Audio:
    begin = span.start - passage.start
    return passage.audio[:, begin : begin + span.length]


def fill(window: Window, span: Span, seed: int = 0) -> Audio:
    return inside(takes(window, span, range(seed, seed + 1))[0], span)


def drums(bars: int, beat_s: float = 0.45, rate: int = RATE) -> Audio:
    """A bar of four different strokes again and again, never twice the same noise."""
    rng = np.random.default_rng(7)
    beat = round(beat_s * rate)
    audio = 1e-3 * rng.standard_normal(4 * bars * beat)
    time = np.arange(round(0.25 * rate)) / rate
    for number in range(4 * bars):
        low, noisy = ((60, 0.2), (0, 1.0), (90, 0.3), (0, 0.4))[number % 4]
        stroke = np.sin(2 * np.pi * low * time) + noisy * rng.standard_normal(time.size)
        at = number * beat
        part = (0.4 * stroke * np.exp(-time / 0.05))[: audio.size - at]
        audio[at : at + part.size] += part
    return audio[np.newaxis].astype(np.float32)


def chords(length_s: float, rate: int = RATE) -> Audio:
    """Three held chords in turn, a second and a half each, in stereo."""
    time = np.arange(round(length_s * rate)) / rate
    notes = np.array([[220.0, 277.2, 329.6], [246.9, 293.7, 370.0], [196.0, 246.9, 293.7]])
    which = (time / 1.5).astype(int) % 3
    since = time % 1.5
    audio = np.zeros((2, time.size))
    for voice in range(3):
        tone = np.sin(2 * np.pi * notes[which, voice] * time) * np.exp(-since) * 0.1
        audio += np.array([[0.5 + 0.2 * voice], [0.9 - 0.2 * voice]]) * tone
    return audio.astype(np.float32)


def envelope(audio: Audio, rate: int = RATE) -> npt.NDArray[np.float64]:
    """Level in steps of 5 ms."""
    return levels(audio, rate // 200)


def levels(audio: Audio, step: int) -> npt.NDArray[np.float64]:
    power = np.square(audio[0, : audio.shape[1] // step * step]).reshape(-1, step).mean(axis=1)
    return np.asarray(np.sqrt(power), dtype=np.float64)


@pytest.mark.parametrize("gap_s", [0.4, 1.0, 3.0])
def test_the_beat_goes_on_through_the_gap(gap_s: float) -> None:
    audio = drums(10)
    span = Span(7 * RATE + 91, 7 * RATE + 91 + round(gap_s * RATE))
    new = fill(windowed(audio, span), span)
    true = envelope(audio[:, span.start : span.end])
    made = envelope(new)
    lags = range(-6, 7)
    room = slice(6, len(true) - 6)
    likeness = [np.corrcoef(true[room], np.roll(made, lag)[room])[0, 1] for lag in lags]
    assert max(likeness) > 0.8
    # Within 10 ms of where the strokes were.
    assert abs(lags[int(np.argmax(likeness))]) <= 2


def test_a_steady_tone_goes_on_in_phase() -> None:
    tone = 0.5 * np.sin(2 * np.pi * 441.3 * np.arange(6 * RATE) / RATE)[np.newaxis]
    # Without a hiss the least of differences would stand out.
    hiss = 3e-4 * np.random.default_rng(0).standard_normal(tone.shape)
    audio = (tone + hiss).astype(np.float32)
    span = Span(2 * RATE + 5, 4 * RATE + 17)
    new = fill(windowed(audio, span), span)
    patched = audio.copy()
    patched[:, span.start : span.end] = new
    for edge in (span.start, span.end):
        near = patched[:, edge - RATE // 5 : edge + RATE // 5]
        assert measure_seam(near, RATE // 5, RATE).click_ratio < 1.5
    level = levels(patched[:, span.start - RATE // 2 : span.end + RATE // 2], RATE // 50)
    assert np.ptp(20 * np.log10(level)) < 0.5


def test_harmony_goes_on() -> None:
    audio = chords(14)
    span = Span(6 * RATE, 8 * RATE)
    new = fill(windowed(audio, span), span)
    spectra = [
        np.abs(np.fft.rfft(part.sum(axis=0))) for part in (new, audio[:, 6 * RATE : 8 * RATE])
    ]
    tones = [spectrum[300:800].reshape(-1, 4).max(axis=1) for spectrum in spectra]
    assert np.corrcoef(*tones)[0, 1] > 0.8


def test_all_channels_come_from_the_same_place() -> None:
    left = drums(8)
    audio = np.concatenate([left, 0.25 * left, np.zeros_like(left), -left])
    span = Span(5 * RATE, 7 * RATE)
    new = fill(windowed(audio, span), span)
    np.testing.assert_allclose(new[1], 0.25 * new[0], atol=2e-3)
    np.testing.assert_allclose(new[3], -new[0], atol=2e-3)
    assert not new[2].any()


def test_a_seed_gives_the_same_samples_alone_or_among_others() -> None:
    window = windowed(drums(8), Span(5 * RATE, 7 * RATE))
    span = window.spans[0]
    among = takes(window, span, range(4))
    for seed in range(4):
        alone = takes(window, span, range(seed, seed + 1))[0]
        np.testing.assert_array_equal(alone.audio, among[seed].audio)


def test_neighbouring_seeds_give_other_takes() -> None:
    span = Span(6 * RATE, 9 * RATE)
    made = [inside(passage, span) for passage in takes(windowed(chords(20), span), span, range(4))]
    for first in range(4):
        for second in range(first):
            change = np.mean(np.square(made[first] - made[second]))
            assert change > 0.1 * np.mean(np.square(made[first]))


def test_a_gap_longer_than_its_context_is_filled_without_treading_in_circles() -> None:
    rng = np.random.default_rng(11)
    audio = np.zeros((1, 28 * RATE), np.float32)
    # Knocks of ever other pitch, at no tempo: each can be told from all others.
    for at in np.sort(rng.uniform(0, 28, 90)):
        time = np.arange(RATE // 5) / RATE
        knock = 0.4 * np.sin(2 * np.pi * rng.uniform(200, 4000) * time) * np.exp(-time / 0.04)
        begin = round(at * RATE)
        part = knock[: audio.shape[1] - begin]
        audio[0, begin : begin + part.size] += part.astype(np.float32)
    audio += 1e-3 * rng.standard_normal(audio.shape).astype(np.float32)
    span = Span(5 * RATE, 23 * RATE)
    new = fill(windowed(audio, span), span)
    assert new.shape == (1, span.length)
    level = envelope(new)
    level = level - level.mean()
    likeness = np.correlate(level, level, "full")[len(level) :]
    # Ten seconds of context make eighteen: something must come again, but not at once.
    assert likeness[40:600].max() < 0.5 * float(level @ level)
    assert envelope(new).min() > 1e-4


@pytest.mark.parametrize("side", ["left", "right"])
def test_one_side_is_enough(side: str) -> None:
    audio = drums(6)
    span = Span(6 * RATE, audio.shape[1]) if side == "left" else Span(0, 3 * RATE)
    new = fill(windowed(audio, span), span)
    assert np.isfinite(new).all()
    kept = np.delete(audio, np.s_[span.start : span.end], axis=1)
    assert np.std(new) == pytest.approx(np.std(kept), rel=0.4)


def test_past_the_end_of_the_source_nothing_is_read() -> None:
    audio = drums(6)
    end = 6 * RATE
    heard = audio[:, : 8 * RATE].copy()
    heard[:, 5 * RATE :] = np.nan
    heard[:, end:] = 0
    window = Window(heard, RATE, (Span(5 * RATE, 8 * RATE),), end)
    new = fill(window, window.spans[0])
    assert np.isfinite(new).all()
    assert np.std(new[:, -RATE:]) > 0.01


def test_silence_stays_silent_and_an_offset_stays() -> None:
    span = Span(RATE, 2 * RATE)
    assert not fill(windowed(np.zeros((2, 3 * RATE), np.float32), span), span).any()
    offset = np.full((1, 3 * RATE), 0.25, np.float32)
    offset[:, span.end :] = 0.75
    line = fill(windowed(offset, span), span)
    assert line[0, 0] == pytest.approx(0.25, abs=1e-3)
    assert line[0, -1] == pytest.approx(0.75, abs=1e-3)


@settings(max_examples=25 * SCALE)
@given(
    rate=st.sampled_from([8_000, 44_100, 96_000, 384_000]),
    channels=st.sampled_from([1, 2, 5]),
    left_s=st.sampled_from([0.0, 0.002, 0.03, 0.4]),
    right_s=st.sampled_from([0.01, 0.2]),
    gap=st.sampled_from([1, 2, 777, 30_001]),
)
def test_any_shape_is_filled_at_its_exact_length(
    rate: int, channels: int, left_s: float, right_s: float, gap: int
) -> None:
    start = round(left_s * rate)
    span = Span(start, start + gap)
    rng = np.random.default_rng(0)
    audio = rng.standard_normal((channels, span.end + round(right_s * rate)))
    made = fill_similar(windowed(audio.astype(np.float32), span, rate=rate), span, rng, ignore)
    assert made.shape == (channels, gap)
    assert made.dtype == np.float32
    assert made.flags.c_contiguous
    assert np.isfinite(made).all()
    assert np.abs(made).max() < 12


def test_a_context_of_many_pieces_is_used() -> None:
    audio = drums(12)
    spans = tuple(Span(at, at + 4000) for at in range(6000, audio.shape[1] - 12_000, 12_001))
    window = windowed(audio, *spans)
    for span in spans[:3]:
        new = fill(window, span)
        assert np.isfinite(new).all()
        assert new.std() > 0.003


def test_progress_is_told_often_and_never_beyond_the_whole() -> None:
    told: list[float] = []
    span = Span(5 * RATE, 7 * RATE)
    fill_similar(windowed(drums(8), span), span, np.random.default_rng(0), told.append)
    assert len(told) > 20
    assert min(told) >= 0
    assert max(told) <= 1
