"""Delay and level, told by the context."""

import numpy as np
import pytest

from reapaint_engine.backends.hosted.alignment import advance, measure_alignment
from reapaint_engine.protocol.spans import Span

RATE = 44_100
FRAMES = 6 * RATE
KEPT = (Span(0, 2 * RATE), Span(3 * RATE, FRAMES))


def _delayed(audio: np.ndarray, frames: float) -> np.ndarray:
    padded = np.pad(audio, ((0, 0), (0, 9000 - FRAMES % 9000)))
    turns = np.fft.rfftfreq(padded.shape[1]) * frames
    spectrum = np.fft.rfft(padded) * np.exp(-2j * np.pi * turns)
    return np.fft.irfft(spectrum, padded.shape[1])[:, :FRAMES].astype(np.float32)


def _sound(kind: str) -> np.ndarray:
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((2, FRAMES))
    if kind == "rumble":
        noise = np.cumsum(noise, axis=1)
        noise -= np.linspace(0, 1, FRAMES) * noise[:, -1:]
    return (0.1 * noise / noise.std()).astype(np.float32)


@pytest.mark.parametrize("kind", ["noise", "rumble"])
@pytest.mark.parametrize("delay", [0.0, 1105.0, 2257.5, -37.25, 0.4])
def test_delays_are_found_within_a_tenth_of_a_frame(kind: str, delay: float) -> None:
    sent = _sound(kind)
    answer = 0.5 * _delayed(sent, delay)
    answer[:, 2 * RATE + 3000 : 3 * RATE - 100] = 0.3
    hiss = np.random.default_rng(1).standard_normal(answer.shape)
    coded = answer + (0.01 if kind == "noise" else 0.0001) * hiss
    found = measure_alignment(sent, coded.astype(np.float32), KEPT, RATE)
    assert found is not None
    assert abs(found.delay_frames - delay) < 0.1
    assert found.gain == pytest.approx(2.0, rel=0.05)


def test_unrelated_sound_tells_nothing() -> None:
    other = np.random.default_rng(5).standard_normal((2, FRAMES)).astype(np.float32)
    assert measure_alignment(_sound("noise"), other, KEPT, RATE) is None


def test_silence_and_no_context_tell_nothing() -> None:
    sent = _sound("noise")
    assert measure_alignment(sent, sent, (), RATE) is None
    assert measure_alignment(sent * 0, sent, KEPT, RATE) is None
    assert measure_alignment(sent, sent[:, :0], KEPT, RATE) is None


def test_what_repeats_is_not_moved_by_a_whole_period() -> None:
    time_s = np.arange(FRAMES) / RATE
    tone = np.stack([0.3 * np.sin(2 * np.pi * 441 * time_s)] * 2).astype(np.float32)
    found = measure_alignment(tone, tone, KEPT, RATE)
    assert found is not None
    assert abs(found.delay_frames) < 0.1


@pytest.mark.parametrize("delay", [3.0, -4.0, 0.5, -0.25, 1000.3])
def test_advancing_undoes_a_delay(delay: float) -> None:
    sent = _sound("rumble")
    back = advance(_delayed(sent, delay), delay)
    middle = slice(2000, FRAMES - 3000)
    assert np.abs(back[:, middle] - sent[:, middle]).max() < 1e-3 * np.abs(sent).max()
