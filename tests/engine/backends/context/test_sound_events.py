import numpy as np

from reapaint_engine.backends.base import Window
from reapaint_engine.backends.context.ambience import fill_ambience
from reapaint_engine.backends.context.sound_events import runs_of
from reapaint_engine.protocol.arrays import Audio
from reapaint_engine.protocol.spans import Span

RATE = 16_000
CALL_S = 0.25
LOUD = 0.1
"""Between a background of noise at 0.01 and calls that peak at 0.5."""


def place_with_calls(times_s: list[float], seconds: float, channels: int = 1) -> Audio:
    """Return noise in which a whistle is heard at some times, each at its own pitch."""
    rng = np.random.default_rng(0)
    audio = 0.01 * rng.standard_normal((channels, round(seconds * RATE)))
    at_s = np.arange(round(CALL_S * RATE)) / RATE
    for number, time_s in enumerate(times_s):
        pitch_hz = 1_500 + 150 * number
        call = 0.5 * np.hanning(at_s.size) * np.sin(2 * np.pi * pitch_hz * at_s)
        audio[:, round(time_s * RATE) :][:, : at_s.size] += call
    return audio.astype(np.float32)


def fill(audio: Audio, span: Span, seed: int = 1) -> Audio:
    window = audio.copy()
    window[:, span.start : span.end] = 0
    rng = np.random.default_rng(seed)
    return fill_ambience(Window(window, RATE, (span,), audio.shape[1]), span, rng, lambda _: None)


def calls_heard(sound: Audio) -> list[tuple[int, int]]:
    frame = RATE // 100
    frames = sound[0, : sound.shape[1] // frame * frame].reshape(-1, frame)
    return runs_of(np.sqrt(np.square(frames).mean(axis=1)) > LOUD, 10)


LEFT, RIGHT = [0.7, 1.6, 3.1, 3.9], [15.4, 16.9, 17.6, 18.8]
AROUND, SPAN = place_with_calls([*LEFT, *RIGHT], 20), Span(5 * RATE, 15 * RATE)


def test_calls_that_come_again_go_on_as_often_and_as_loud() -> None:
    counts = [len(calls_heard(fill(AROUND, SPAN, seed))) for seed in range(6)]
    # 8 calls in the 10 s around, and as many s to fill.
    assert 5 <= np.mean(counts) <= 11
    assert 0.4 < np.abs(fill(AROUND, SPAN)).max() < 0.6


def test_no_call_is_a_copy() -> None:
    made = fill(AROUND, SPAN)
    context = np.concatenate([AROUND[:, : SPAN.start], AROUND[:, SPAN.end :]], axis=1)[0]
    frames = round(CALL_S * RATE)
    energies = np.convolve(context**2, np.ones(frames), "valid")
    for begin, _ in calls_heard(made):
        call = made[0, begin * RATE // 100 :][:frames]
        products = np.correlate(context, call, "valid")[: energies.size]
        likeness = np.abs(products) / np.sqrt(energies[: products.size] * np.sum(call**2))
        assert likeness.max() < 0.7


def test_neither_few_events_nor_those_of_one_side_are_put_in() -> None:
    for times_s in ([0.7, 3.1, 16.9], [0.7, 1.3, 1.9, 2.5, 3.1, 3.9]):
        assert not calls_heard(fill(place_with_calls(times_s, 20), SPAN))


def test_calls_leave_a_constant_offset_as_it_is() -> None:
    shifted = fill(AROUND + np.float32(0.2), SPAN) - np.float32(0.2)
    quiet = np.convolve(shifted[0], np.ones(800) / 800, "valid")
    assert np.abs(quiet).max() < 0.02


def test_calls_are_the_same_in_all_channels() -> None:
    audio = place_with_calls([*LEFT, *RIGHT], 20, channels=2)
    made = fill(audio, SPAN)
    loud = np.abs(made).max(axis=0) > 0.2
    assert loud.any()
    assert np.abs(made[0] - made[1])[loud].max() < 0.15


def test_events_close_to_each_other_are_one() -> None:
    flags = np.array([0, 1, 1, 0, 1, 0, 0, 0, 1], dtype=bool)
    assert runs_of(flags, 1) == [(1, 5), (8, 9)]
    assert runs_of(flags, 3) == [(1, 9)]
    assert runs_of(np.zeros(3, dtype=bool), 1) == []
