import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reapaint_engine.dsp.channels import map_channels


def noise(channels, frames=4_800, seed=0):
    return np.random.default_rng(seed).standard_normal((channels, frames)).astype(np.float32)


counts = st.integers(1, 64)


@given(counts, counts)
def test_shapes_are_exact_and_finite(channels, backend_channels):
    context = noise(channels, 500)
    channel_map = map_channels(context, backend_channels)
    sent = channel_map.to_backend(context)
    back = channel_map.from_backend(sent)
    assert sent.shape == (backend_channels, 500)
    assert back.shape == (channels, 500)
    assert sent.dtype == back.dtype == np.float32
    assert sent.flags.c_contiguous
    assert back.flags.c_contiguous
    assert np.isfinite(sent).all()
    assert np.isfinite(back).all()


@given(counts)
def test_equal_counts_pass_the_same_array(channels):
    audio = noise(channels, 10)
    channel_map = map_channels(audio, channels)
    assert channel_map.to_backend(audio) is audio
    assert channel_map.from_backend(audio) is audio


@given(counts, counts)
def test_more_backend_channels_lose_nothing(channels, extra):
    audio = noise(channels, 50)
    channel_map = map_channels(audio, channels + extra)
    back = channel_map.from_backend(channel_map.to_backend(audio))
    np.testing.assert_allclose(back, audio, atol=1e-5)


def test_mono_is_heard_in_the_middle_and_comes_back_as_the_mean():
    channel_map = map_channels(noise(1), 2)
    assert channel_map.down.tolist() == [[1.0], [1.0]]
    assert channel_map.up.tolist() == [[0.5, 0.5]]


@given(st.integers(2, 64), st.integers(1, 2), st.integers(0, 1_000))
def test_an_image_that_fits_comes_back_exactly(channels, sources, seed):
    panning = np.random.default_rng(seed).standard_normal((channels, sources))
    image = (panning @ noise(sources, seed=seed)).astype(np.float32)
    channel_map = map_channels(image, 2) if channels > 2 else map_channels(image, 1)
    if channel_map.down.shape[0] < sources:
        return
    back = channel_map.from_backend(channel_map.to_backend(image))
    scale = np.max(np.abs(image))
    np.testing.assert_allclose(back, image, atol=2e-3 * scale)


@pytest.mark.parametrize("channels", [2, 4, 6, 16])
def test_a_diffuse_recording_stays_as_wide_and_loud(channels):
    levels = np.linspace(1.0, 0.3, channels)[:, None]
    context = (levels * noise(channels, 48_000)).astype(np.float32)
    channel_map = map_channels(context, min(2, channels - 1))
    back = channel_map.from_backend(channel_map.to_backend(context))
    wanted, got = np.cov(context), np.cov(back)
    np.testing.assert_allclose(
        10 * np.log10(np.diag(got)), 10 * np.log10(np.diag(wanted)), atol=0.5
    )
    likeness = np.corrcoef(back) - np.eye(channels)
    assert np.max(np.abs(likeness)) < 0.1


@pytest.mark.parametrize("channels", [3, 6, 64])
def test_a_model_hears_a_usual_level(channels):
    identical = np.repeat(noise(1), channels, axis=0)
    sent = map_channels(identical, 2).to_backend(identical)
    np.testing.assert_allclose(np.std(sent, axis=1), np.std(identical[0]), rtol=0.01)


def test_a_front_pair_stays_left_and_right():
    bed = np.zeros((6, 4_800), dtype=np.float32)
    bed[:2] = noise(2)
    channel_map = map_channels(bed, 2)
    np.testing.assert_allclose(channel_map.to_backend(bed), bed[:2], atol=1e-3)


@pytest.mark.parametrize("frames", [0, 100])
def test_without_a_sound_to_judge_by_the_first_channels_are_taken(frames):
    channel_map = map_channels(np.zeros((5, frames), dtype=np.float32), 2)
    np.testing.assert_allclose(channel_map.down, np.eye(2, 5), atol=1e-9)
    assert channel_map.rest.shape == (5, 0)


def test_the_same_audio_is_mapped_the_same_way_twice():
    context = noise(8)
    first, second = (map_channels(context, 2).from_backend(noise(2, seed=3)) for _ in range(2))
    assert np.array_equal(first, second)
