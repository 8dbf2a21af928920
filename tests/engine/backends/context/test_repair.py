import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.signal import lfilter

from reapaint_engine.backends.base import Window
from reapaint_engine.backends.context.repair import Repair, repair
from reapaint_engine.dsp.seams import click_ratio
from reapaint_engine.protocol.spans import Span
from tests.scale import SCALE

RATE = 16000


def noise(frames: int, *, seed: int = 0, channels: int = 1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    shared, own = rng.standard_normal((1, frames)), rng.standard_normal((channels, frames))
    coloured = lfilter([1.0], [1.0, -1.2, 0.5], shared + 0.4 * own, axis=1)
    return (0.1 * coloured).astype(np.float32)


def chord(frames: int, rate: int = RATE, channels: int = 1) -> np.ndarray:
    time_s = np.arange(frames) / rate
    notes = [np.sin(2 * np.pi * hz * time_s + hz) for hz in (220.0, 277.2, 329.6, 440.0, 880.0)]
    return np.repeat(0.1 * np.sum(notes, axis=0)[np.newaxis], channels, axis=0).astype(np.float32)


def window(audio: np.ndarray, *spans: tuple[int, int], rate: int = RATE) -> Window:
    """A window that holds poison where its spans are."""
    poisoned = audio.copy()
    for start, end in spans:
        poisoned[:, start:end] = np.nan
    poisoned.setflags(write=False)
    return Window(poisoned, rate, tuple(Span(*span) for span in spans), audio.shape[1])


def repaired(heard: Window, *seeds: int) -> Repair:
    return repair(heard, seeds or (1,), lambda share: None)


def spliced(audio: np.ndarray, result: Repair, take: int = 0) -> np.ndarray:
    filled = audio.copy()
    for passage in result.fills[take].passages:
        filled[:, passage.start : passage.start + passage.audio.shape[1]] = passage.audio
    return filled


def snr_db(true: np.ndarray, other: np.ndarray) -> float:
    return float(10 * np.log10(np.sum(true**2) / np.sum((true - other) ** 2)))


def check_form(heard: Window, result: Repair, takes: int = 1) -> None:
    assert len(result.fills) == takes
    for fill in result.fills:
        assert all(passage.continuous for passage in fill.passages)
        for span, passage in zip(heard.spans, fill.passages, strict=True):
            assert passage.start == span.start
            assert passage.audio.shape == (heard.audio.shape[0], span.length)
            assert passage.audio.dtype == np.float32
            assert passage.audio.flags.c_contiguous
            assert np.isfinite(passage.audio).all()


def test_a_chord_comes_back_over_50_ms() -> None:
    audio = chord(RATE)
    heard = window(audio, (8000, 8800))
    result = repaired(heard)
    check_form(heard, result)
    assert snr_db(audio[:, 8000:8800], spliced(audio, result)[:, 8000:8800]) > 20


def test_clicks_in_a_chord_come_back() -> None:
    audio = chord(RATE)
    spans = [(7000 + 90 * k, 7000 + 90 * k + 1 + 4 * k) for k in range(12)]
    result = repaired(window(audio, *spans))
    assert snr_db(audio[:, 7000:8200], spliced(audio, result)[:, 7000:8200]) > 40


@pytest.mark.parametrize("length_s", [0.02, 0.05, 0.1, 0.3])
def test_noise_goes_on_at_its_level(length_s: float) -> None:
    audio = noise(2 * RATE)
    span = (RATE, RATE + round(length_s * RATE))
    levels = []
    for seed in range(6):
        passage = repaired(window(audio, span), seed).fills[0].passages[0].audio
        middle = passage[:, passage.shape[1] // 4 : -passage.shape[1] // 4]
        levels.append(np.mean(middle**2))
    assert 10 * np.log10(np.mean(levels) / np.mean(audio**2)) == pytest.approx(-1.4, abs=2)


def test_seams_do_not_click() -> None:
    ratios = []
    for seed in range(12):
        audio = noise(RATE, seed=seed, channels=2)
        span = (8000, 8000 + 37 * (seed + 1))
        filled = spliced(audio, repaired(window(audio, span), seed))
        ratios += [click_ratio(filled, edge, RATE) for edge in span]
    assert max(ratios) < 1.5


def test_a_seed_gives_the_same_samples_alone_or_among_others() -> None:
    heard = window(noise(RATE, channels=2), (8000, 8800), (12000, 12300))
    among = repaired(heard, 3, 4, 5)
    check_form(heard, among, takes=3)
    alone = repaired(heard, 4)
    for first, second in zip(among.fills[1].passages, alone.fills[0].passages, strict=True):
        assert np.array_equal(first.audio, second.audio)


def test_another_seed_is_audibly_another_take() -> None:
    result = repaired(window(noise(RATE), (8000, 8800)), 1, 2)
    one, other = (fill.passages[0].audio for fill in result.fills)
    assert snr_db(one, other) < 3
    assert result.warnings == ()


@pytest.mark.parametrize(("audio", "end"), [(noise(RATE), 8016), (chord(RATE), 8160)])
def test_takes_that_cannot_differ_are_said_to(audio: np.ndarray, end: int) -> None:
    heard = window(audio, (8000, end))
    assert "takes sound alike" in repaired(heard, 1, 2).warnings[0]
    assert repaired(heard, 1).warnings == ()


def test_channels_keep_what_they_have_in_common() -> None:
    audio = noise(RATE, channels=2)
    audio[1] *= 0.25
    fills = [
        repaired(window(audio, (8000, 8800)), seed).fills[0].passages[0].audio for seed in range(6)
    ]
    wanted, got = np.corrcoef(audio)[0, 1], np.corrcoef(np.concatenate(fills, axis=1))[0, 1]
    assert got == pytest.approx(wanted, abs=0.08)
    levels = np.mean(np.square(np.concatenate(fills, axis=1)), axis=1)
    assert levels[1] / levels[0] == pytest.approx(1 / 16, rel=0.3)


def test_a_quiet_chord_beside_loud_noise_is_still_a_chord() -> None:
    audio = np.concatenate([noise(RATE), 0.01 * chord(RATE)])
    filled = spliced(audio, repaired(window(audio, (8000, 8160))))
    assert snr_db(audio[1:, 8000:8160], filled[1:, 8000:8160]) > 15


def test_a_silent_channel_stays_silent() -> None:
    audio = np.concatenate([noise(RATE), np.zeros((1, RATE), np.float32)])
    filled = spliced(audio, repaired(window(audio, (8000, 8800))))
    assert not filled[1].any()
    assert filled[0, 8000:8800].any()


def test_the_source_can_be_extended_past_its_end() -> None:
    audio = chord(RATE)
    poisoned = np.pad(audio[:, :12000], ((0, 0), (0, 500)))
    poisoned[:, 11800:] = np.nan
    heard = Window(poisoned, RATE, (Span(11800, 12500),), 12000)
    result = repaired(heard)
    check_form(heard, result)
    assert snr_db(audio[:, 11800:12100], result.fills[0].passages[0].audio[:, :300]) > 15


@pytest.mark.parametrize("span", [(0, 400), (1, 400), (15600, 16000), (15600, 15999)])
def test_gaps_at_the_edges_are_extrapolated(span: tuple[int, int]) -> None:
    audio = noise(RATE)
    heard = window(audio, span)
    result = repaired(heard)
    check_form(heard, result)
    level = np.std(result.fills[0].passages[0].audio) / np.std(audio)
    assert 0.4 < level < 1.5


def test_no_span_is_filled_from_anothers_old_content() -> None:
    spans = [(8000, 8100), (8103, 8400), (8500, 8501), (9500, 10000)]
    audio = noise(RATE)
    clean = repaired(window(audio, *spans))
    dirty = audio.copy()
    for start, end in spans:
        dirty[:, start:end] = 1e6
    read = repaired(Window(dirty, RATE, tuple(Span(*span) for span in spans), RATE))
    for first, second in zip(clean.fills[0].passages, read.fills[0].passages, strict=True):
        assert np.array_equal(first.audio, second.audio)
        assert np.abs(first.audio).max() < 2


@settings(max_examples=25 * SCALE)
@given(
    rate=st.sampled_from([8000, 11025, 44100, 192000]),
    channels=st.sampled_from([1, 2, 7]),
    kept=st.integers(0, 900),
    lengths=st.lists(st.integers(1, 700), min_size=1, max_size=4),
    between=st.integers(1, 300),
    kind=st.sampled_from(["noise", "chord", "silence", "constant", "click"]),
)
@example(rate=11025, channels=1, kept=0, lengths=[111, 32], between=300, kind="click")
def test_whatever_it_is_given_the_fill_fits_and_is_bounded(
    rate: int, channels: int, kept: int, lengths: list[int], between: int, kind: str
) -> None:
    spans, at = [], kept
    for length in lengths:
        spans.append((at, at + length))
        at += length + between
    frames = max(at, 50)
    audio = {
        "noise": lambda: noise(frames, channels=channels),
        "chord": lambda: chord(frames, rate, channels),
        "silence": lambda: np.zeros((channels, frames), np.float32),
        "constant": lambda: np.full((channels, frames), 0.5, np.float32),
        "click": lambda: np.eye(channels, frames, frames - 2, dtype=np.float32),
    }[kind]()
    heard = window(audio, *spans, rate=rate)
    result = repaired(heard, 1, 2)
    check_form(heard, result, takes=2)
    kept_peak = np.nanmax(np.abs(heard.audio))
    for passage in result.fills[0].passages:
        assert np.abs(passage.audio).max() <= 4.001 * kept_peak


def test_64_channels_share_the_work() -> None:
    audio = np.repeat(noise(RATE), 64, axis=0) * np.linspace(0.1, 1, 64, dtype=np.float32)[:, None]
    heard = window(audio, (8000, 8800))
    result = repaired(heard)
    check_form(heard, result)
    sizes = np.std(result.fills[0].passages[0].audio, axis=1)
    assert sizes / sizes[-1] == pytest.approx(np.linspace(0.1, 1, 64), rel=0.01)


def test_progress_rises_to_the_end() -> None:
    told: list[float] = []
    heard = window(noise(RATE), (4000, 4100), (8000, 8800), (14000, 14010))
    repair(heard, (1,), told.append)
    assert told == sorted(told)
    assert told[-1] == 1.0
    assert told[0] >= 0.0


@pytest.mark.parametrize("length_s", [0.02, 0.05, 0.1])
def test_what_a_loop_has_lost_comes_back_from_its_other_rounds(length_s: float) -> None:
    rng = np.random.default_rng(5)
    beat = noise(RATE // 2, channels=2)
    beat[:, 3000:3300] += 8 * beat[:, :300] * np.exp(-np.arange(300) / 60)
    audio = np.tile(beat, 5) + 1e-4 * rng.standard_normal((2, 5 * (RATE // 2)))
    audio = audio.astype(np.float32)
    span = (RATE + 3000 - round(length_s * RATE / 2), RATE + 3000 + round(length_s * RATE / 2))
    filled = spliced(audio, repaired(window(audio, span)))
    inside = slice(*span)
    assert snr_db(audio[:, inside], filled[:, inside]) > 20


def test_a_stroke_that_has_died_away_does_not_make_the_fill_loud() -> None:
    audio = 0.01 * noise(RATE)
    audio[:, 7700:7760] *= 100
    passage = repaired(window(audio, (8000, 8400))).fills[0].passages[0].audio
    assert np.std(passage) < 3 * np.std(audio[:, :7000])


def test_a_click_is_filled_from_more_than_is_right_beside_it() -> None:
    """In 60 ms on each side, 200 partials in 4 kHz can hardly be told apart."""
    rng = np.random.default_rng(0)
    time_s = np.arange(48_000) / 48_000
    tones = sum(np.sin(2 * np.pi * hz * time_s + hz) for hz in rng.uniform(100, 4000, 200))
    hiss = 0.2 * rng.standard_normal(time_s.size)
    audio = (0.01 * (tones + hiss))[np.newaxis].astype(np.float32)
    ratios_db = []
    for start in range(14_000, 34_000, 2_000):
        filled = spliced(audio, repaired(window(audio, (start, start + 240), rate=48_000)))
        inside = slice(start, start + 240)
        ratios_db.append(snr_db(audio[:, inside], filled[:, inside]))
    assert np.mean(ratios_db) > 5.5
