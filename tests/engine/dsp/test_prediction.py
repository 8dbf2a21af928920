import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import lfilter

from reapaint_engine.dsp.prediction import (
    MAX_CONTINUATION_PEAK_RATIO,
    autocorrelation,
    burg,
    continue_audio,
    lpc,
    residual,
)
from tests.scale import SCALE


def noise(frames: int, channels: int = 1, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((channels, frames)).astype(np.float32)


def tones(frames: int, rate: int = 48000) -> np.ndarray:
    time_s = np.arange(frames) / rate
    partials = (0.3 * np.sin(2 * np.pi * 220 * k * time_s + k) / k for k in range(1, 6))
    return np.sum(list(partials), axis=0)[np.newaxis].astype(np.float32)


def test_autocorrelation_is_the_sum_of_products() -> None:
    samples = noise(40)[0].astype(float)
    direct = [np.dot(samples[lag:], samples[: 40 - lag]) for lag in range(8)]
    assert autocorrelation(samples, 7) == pytest.approx(direct)


def test_lpc_finds_the_coefficients_of_an_autoregressive_process() -> None:
    process = lfilter([1.0], [1.0, -1.6, 0.81], noise(200_000)[0])
    assert lpc(process, 2) == pytest.approx([1.0, -1.6, 0.81], abs=0.01)


@pytest.mark.parametrize("order", [1, 8, 32, 64])
@pytest.mark.parametrize(
    "signal",
    [
        noise(2000)[0],
        tones(2000)[0],
        np.full(500, 0.7),
        np.arange(300.0),
        np.eye(1, 400, 200)[0],
        noise(3)[0],
        1e-20 * noise(2000)[0].astype(float),
    ],
    ids=["noise", "tones", "constant", "ramp", "click", "three frames", "very quiet"],
)
def test_the_predictor_is_stable(signal: np.ndarray, order: int) -> None:
    coefficients = lpc(signal, order)
    assert coefficients[0] == 1.0
    assert coefficients.shape == (order + 1,)
    assert np.abs(np.roots(coefficients)).max() < 1.0


def test_silence_predicts_nothing() -> None:
    assert lpc(np.zeros(100), 4).tolist() == [1, 0, 0, 0, 0]
    assert lpc(np.zeros(0), 2).tolist() == [1, 0, 0]


def test_the_residual_of_tones_is_far_below_them_and_that_of_noise_is_not() -> None:
    for audio, most in ((tones(8000), 1e-3), (noise(8000), 1.1)):
        errors = residual(audio, lpc(audio[0], 64)[np.newaxis])
        assert errors.shape == audio.shape
        share = np.std(errors[:, 64:]) / np.std(audio)
        assert share < most
    assert share > 0.9


def test_each_channel_has_its_own_residual() -> None:
    audio = np.concatenate([noise(500), tones(500)])
    both = np.stack([lpc(channel, 16) for channel in audio])
    errors = residual(audio, both)
    for channel in range(2):
        alone = residual(audio[channel : channel + 1], both[channel : channel + 1])
        assert errors[channel] == pytest.approx(alone[0], abs=1e-12)


def test_a_click_stands_out_in_the_residual() -> None:
    audio = tones(8000)
    coefficients = lpc(audio[0], 32)[np.newaxis]
    audio[0, 5000] += 0.02
    errors = np.abs(residual(audio, coefficients)[0, 32:])
    assert np.flatnonzero(errors > 100 * np.median(errors))[0] + 32 == 5000


def test_tones_ring_on() -> None:
    whole = tones(6000)
    continued = continue_audio(whole[:, :4800], 1200, order=512)
    assert continued.dtype == np.float32
    error = continued[:, :480] - whole[:, 4800:5280]
    assert 10 * np.log10(np.mean(whole**2) / np.mean(error**2)) > 20


def test_flipped_it_continues_backwards() -> None:
    whole = tones(6000)
    backwards = continue_audio(whole[:, :1199:-1], 240, order=512)[:, ::-1]
    error = backwards - whole[:, 960:1200]
    assert 10 * np.log10(np.mean(whole**2) / np.mean(error**2)) > 20


def test_a_constant_goes_on() -> None:
    continued = continue_audio(np.full((2, 2000), 0.5, dtype=np.float32), 100, order=32)
    assert continued == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("frames", [0, 1, 2, 3])
def test_tiny_contexts_are_continued_by_something_bounded(frames: int) -> None:
    context = np.ones((3, frames), dtype=np.float32)
    continued = continue_audio(context, 50)
    assert continued.shape == (3, 50)
    assert np.abs(continued).max() <= MAX_CONTINUATION_PEAK_RATIO


def test_silence_goes_on_as_silence_beside_a_sounding_channel() -> None:
    context = np.concatenate([np.zeros((1, 3000), np.float32), tones(3000)])
    continued = continue_audio(context, 500)
    assert not continued[0].any()
    assert np.abs(continued[1]).max() > 0.1


@settings(max_examples=40 * SCALE)
@given(
    seed=st.integers(0, 2**32 - 1),
    frames=st.integers(1, 2000),
    order=st.integers(1, 300),
    shape=st.sampled_from(["noise", "swell", "click", "steps", "tone"]),
)
def test_a_continuation_stays_bounded(seed: int, frames: int, order: int, shape: str) -> None:
    rng = np.random.default_rng(seed)
    ramp = np.linspace(0, 1, frames)
    signal = {
        "noise": rng.standard_normal(frames),
        "swell": ramp**4 * rng.standard_normal(frames),
        "click": np.eye(1, frames, int(rng.integers(frames)))[0],
        "steps": np.sign(np.sin(ramp * rng.uniform(1, 200))),
        "tone": ramp * np.sin(ramp * rng.uniform(1, 3000)),
    }[shape]
    continued = continue_audio(signal[np.newaxis], 3000, order=order)
    assert np.isfinite(continued).all()
    assert np.abs(continued).max() <= MAX_CONTINUATION_PEAK_RATIO * np.abs(signal).max() * (
        1 + 1e-6
    )


def test_burg_finds_the_coefficients_of_an_autoregressive_process() -> None:
    process = lfilter([1.0], [1.0, -1.6, 0.81], noise(60_000)[0])
    stretches = [process[:20_000], process[25_000:], process[20_100:20_101]]
    assert burg(stretches, 2) == pytest.approx([1.0, -1.6, 0.81], abs=0.01)


def test_burg_foresees_tones_from_less_than_lpc_needs() -> None:
    whole = tones(1200)
    errors = [
        np.abs(residual(whole, coefficients[np.newaxis])[0, 32:]).max()
        for coefficients in (burg([whole[0, :200]], 32), lpc(whole[0, :200], 32))
    ]
    assert errors[0] < 0.2 * errors[1]


@pytest.mark.parametrize(
    "stretches",
    [
        [],
        [np.zeros(50)],
        [np.ones(1)],
        [np.full(200, 0.7)],
        [np.eye(1, 90, 40)[0]],
        [noise(40)[0], tones(300)[0], np.zeros(0)],
        [np.zeros(100), noise(100)[0]],
    ],
    ids=["nothing", "silence", "a frame", "constant", "click", "mixed", "half silent"],
)
def test_burgs_predictor_is_stable_whatever_it_is_given(stretches: list[np.ndarray]) -> None:
    coefficients = burg(stretches, 60)
    assert 1 <= coefficients.size <= 61
    assert np.abs(np.roots(coefficients)).max(initial=0.0) < 1.0


def test_burg_spends_no_coefficients_on_chance() -> None:
    process = lfilter([1.0], [1.0, -1.6, 0.81], noise(6000)[0])
    chosen = burg([process], 300, penalty=5.0)
    assert chosen.size == pytest.approx(3, abs=2)
    assert burg([process], 300).size == 301
    assert burg([tones(1200)[0]], 300, penalty=5.0).size > 7
