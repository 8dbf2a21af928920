from pathlib import Path

import av
import numpy as np
import pytest

from reapaint_engine.backends.base import Window
from reapaint_engine.backends.context.analysis import Character, analyse
from reapaint_engine.backends.context.features import (
    MAX_CONTEXT_S,
    MAX_HEARD_CHANNELS,
    MAX_STEPS,
    describe,
    kept_stretches,
    near_stretches,
)
from reapaint_engine.backends.context.pauses import pauses_only
from reapaint_engine.protocol.arrays import Audio
from reapaint_engine.protocol.spans import Span

RATE = 16_000
RECORDINGS = Path(__file__).parents[4] / "bridge" / "reapaint" / "recordings"


def ignore(_: float) -> None:
    pass


def read(name: str) -> tuple[Audio, int]:
    with av.open(str(RECORDINGS / name)) as container:
        stream = container.streams.audio[0]
        resampler = av.AudioResampler(format="fltp")
        frames = [each for frame in container.decode(stream) for each in resampler.resample(frame)]
        return np.concatenate([frame.to_ndarray() for frame in frames], axis=1), stream.rate


def beats(period_s: float, length_s: float, rate: int = RATE) -> Audio:
    """Strokes of noise that die away, on a bed of hiss, at a steady tempo."""
    rng = np.random.default_rng(3)
    frames = round(length_s * rate)
    audio = 1e-3 * rng.standard_normal(frames)
    stroke = np.exp(-np.arange(round(0.2 * rate)) / (0.03 * rate))
    stroke *= rng.standard_normal(stroke.size)
    for number in range(int(length_s / period_s)):
        at = round(number * period_s * rate)
        part = stroke[: frames - at]
        audio[at : at + part.size] += 0.5 * part
    return audio[np.newaxis].astype(np.float32)


def windowed(audio: Audio, span: Span, *others: Span, rate: int = RATE) -> Window:
    """A window that holds NaN wherever nothing may be read."""
    heard = audio.copy()
    spans = tuple(sorted((span, *others)))
    for each in spans:
        heard[:, each.start : each.end] = np.nan
    return Window(heard, rate, spans, audio.shape[1])


def character_of(audio: Audio, rate: int = RATE) -> Character:
    span = Span(audio.shape[1] * 2 // 5, audio.shape[1] // 2)
    return analyse(windowed(audio, span, rate=rate), span, ignore).character


@pytest.mark.parametrize(
    ("name", "character"),
    [
        ("guitar.flac", Character.TONAL),
        ("tabla.flac", Character.RHYTHMIC),
        ("river.flac", Character.NOISE),
        ("vinyl.flac", Character.NOISE),
        ("birds_96k.flac", Character.NOISE),
        ("speech.flac", Character.SPEECH),
    ],
)
def test_recordings_are_told_apart(name: str, character: Character) -> None:
    audio, rate = read(name)
    assert character_of(audio[:, : 8 * rate], rate) is character


def test_silence_and_a_constant_are_silent() -> None:
    assert character_of(np.zeros((2, 2 * RATE), np.float32)) is Character.SILENT
    assert character_of(np.full((1, 2 * RATE), 0.5, np.float32)) is Character.SILENT


@pytest.mark.parametrize("gain_db", [-50.0, 0.0, 20.0])
def test_level_does_not_change_what_a_sound_is(gain_db: float) -> None:
    gain = np.float32(10 ** (gain_db / 20))
    assert character_of(gain * beats(0.5, 8)) is Character.RHYTHMIC


@pytest.mark.parametrize("period_s", [0.31, 0.4, 0.5, 0.73])
def test_the_beat_is_found_across_the_span(period_s: float) -> None:
    audio = beats(period_s, 9)
    span = Span(4 * RATE, 5 * RATE + 123)
    found = analyse(windowed(audio, span), span, ignore)
    assert found.character is Character.RHYTHMIC
    assert found.beat_confidence > 0.7
    # Half or twice the period keeps to the same grid.
    multiple = max(found.beat_s / period_s, period_s / found.beat_s)
    assert multiple == pytest.approx(round(multiple), abs=0.02)


def test_strokes_without_a_tempo_have_no_beat() -> None:
    rng = np.random.default_rng(5)
    stroke = beats(0.2, 0.2)[0]
    audio = np.zeros((1, 8 * RATE), np.float32)
    for at in rng.integers(0, 7 * RATE, 18):
        audio[0, at : at + stroke.size] += stroke
    span = Span(4 * RATE, 5 * RATE)
    found = analyse(windowed(audio, span), span, ignore)
    assert found.beat_confidence == 0
    assert found.character is not Character.RHYTHMIC


def test_steps_end_and_begin_at_the_spans_edges() -> None:
    span = Span(10_007, 15_011)
    audio = beats(0.5, 2)
    found = describe(windowed(audio, span), span, ignore)
    assert span.start in found.starts + found.hop
    assert span.end in found.starts
    inside = (found.starts + found.hop > span.start) & (found.starts < span.end)
    assert not inside.any()


def test_only_kept_audio_is_described() -> None:
    audio = beats(0.5, 4)
    span, other = Span(20_000, 25_000), Span(40_000, 50_000)
    found = describe(windowed(audio, span, other), span, ignore)
    for values in (found.mel_db, found.chroma, found.onset, found.level_db, found.flatness):
        assert np.isfinite(values).all()
        assert len(values) == found.steps
    assert len(np.unique(found.stretch)) == 3


def test_the_description_of_a_long_context_stays_small() -> None:
    rate = 8_000
    audio = np.random.default_rng(0).standard_normal((1, 100 * rate)).astype(np.float32)
    span = Span(90 * rate, 91 * rate)
    window = windowed(audio, span, rate=rate)
    near = near_stretches(window, span, round(MAX_CONTEXT_S * rate))
    assert sum(stretch.length for stretch in near) == MAX_CONTEXT_S * rate
    # The right side has 9 s only; the left one makes up for it.
    assert near[0].start == round((90 - (MAX_CONTEXT_S - 9)) * rate)
    assert describe(window, span, ignore).steps <= MAX_STEPS


def test_kept_stretches_end_with_the_source() -> None:
    audio = np.zeros((1, 1000), np.float32)
    window = Window(audio, RATE, (Span(0, 10), Span(500, 1000)), 800)
    assert kept_stretches(window) == (Span(10, 500),)


def test_many_channels_are_heard_by_the_loudest() -> None:
    rng = np.random.default_rng(1)
    audio = 1e-4 * rng.standard_normal((2 * MAX_HEARD_CHANNELS, 2 * RATE)).astype(np.float32)
    audio[11] = beats(0.5, 2)[0]
    span = Span(RATE, RATE + 2000)
    found = describe(windowed(audio, span), span, ignore)
    alone = describe(windowed(audio[11:12], span), span, ignore)
    assert np.corrcoef(found.onset, alone.onset)[0, 1] > 0.9


def test_pauses_of_speech_hold_no_speech() -> None:
    audio, rate = read("speech.flac")
    span = Span(3 * rate, 4 * rate)
    window = windowed(audio, span, rate=rate)
    found = pauses_only(window, analyse(window, span, ignore).features)
    assert found is not None
    pauses = kept_stretches(found)
    assert all(p.end <= span.start or p.start >= span.end for p in pauses)
    quiet = np.concatenate([audio[:, p.start : p.end] for p in pauses], axis=1)
    whole_db, quiet_db = (10 * np.log10(np.mean(np.square(part))) for part in (audio, quiet))
    assert quiet_db < whole_db - 15


def test_sound_without_pauses_has_none() -> None:
    rng = np.random.default_rng(2)
    audio = rng.standard_normal((1, 3 * RATE)).astype(np.float32)
    span = Span(RATE, 2 * RATE)
    window = windowed(audio, span)
    assert pauses_only(window, analyse(window, span, ignore).features) is None
