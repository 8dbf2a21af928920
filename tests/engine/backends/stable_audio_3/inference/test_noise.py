import numpy as np
import pytest
import torch

from reapaint_engine.backends.stable_audio_3.inference.noise import TakeNoise

SHAPE = (8, 33)
GOLDEN = (0.3577308654785156, -0.3406979441642761, 1.2472065687179565)
"""Seed 42, draw 1: the first channel's first three latents."""


def test_a_take_has_the_same_noise_alone_and_among_others() -> None:
    batch = TakeNoise([7, 8, 9], SHAPE, draws=3)
    for take, seed in enumerate([7, 8, 9]):
        alone = TakeNoise([seed], SHAPE, draws=3)
        for draw in range(3):
            assert torch.equal(batch[draw][take], alone[draw][0])


def test_takes_and_draws_differ() -> None:
    noise = TakeNoise([7, 8], SHAPE, draws=3).stacked().reshape(6, -1)
    likeness = torch.corrcoef(noise) - torch.eye(6)
    # 264 numbers each: chance correlation has a standard deviation of 0.06.
    assert likeness.abs().max() < 0.3


@pytest.mark.parametrize("latents", [1, 5, 32, 34, 100])
def test_a_longer_window_begins_with_the_same_noise(latents: int) -> None:
    short = TakeNoise([3], (8, latents), draws=2)
    long = TakeNoise([3], (8, 301), draws=2)
    for draw in range(2):
        assert torch.equal(short[draw], long[draw][..., :latents])


def test_it_begins_the_same_for_every_number_of_steps() -> None:
    assert torch.equal(TakeNoise([3], SHAPE, draws=1)[0], TakeNoise([3], SHAPE, draws=100)[0])


def test_all_at_once_is_one_by_one() -> None:
    noise = TakeNoise([3, 4], SHAPE, draws=4)
    assert torch.equal(noise.stacked(), torch.stack([noise[draw] for draw in range(4)]))


def test_it_is_standard_normal() -> None:
    values = TakeNoise([0, 2**32 - 1], (256, 400), draws=1)[0].double().flatten()
    count = len(values)
    assert abs(values.mean()) < 4 / count**0.5
    assert abs(values.var() - 1) < 4 * (2 / count) ** 0.5
    assert abs((values**4).mean() - 3) < 4 * (96 / count) ** 0.5


def test_its_form_suits_the_model() -> None:
    drawn = TakeNoise([1, 2], SHAPE, draws=1)[0]
    assert drawn.shape == (2, *SHAPE)
    assert drawn.dtype == torch.float32
    assert drawn.is_contiguous()


def test_torchs_own_seed_neither_matters_nor_moves() -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = TakeNoise([5], SHAPE, draws=1)[0]
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert torch.equal(TakeNoise([5], SHAPE, draws=1)[0], first)


def test_the_numbers_are_those_of_the_first_release() -> None:
    """A result can only be made again while a seed means the same noise."""
    generator = np.random.Generator(np.random.SFC64(np.random.SeedSequence(42, spawn_key=(1,))))
    expected = generator.standard_normal((33, 8), dtype=np.float32).T
    found = TakeNoise([42], SHAPE, draws=2)[1][0]
    np.testing.assert_array_equal(found.numpy(), expected)
    np.testing.assert_allclose(found[:3, 0].numpy(), GOLDEN, rtol=1e-6)


@pytest.mark.parametrize("draw", [-1, 2])
def test_there_is_no_draw_beyond_the_last(draw: int) -> None:
    with pytest.raises(IndexError, match="of 2"):
        TakeNoise([1], SHAPE, draws=2)[draw]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_device_changes_nothing() -> None:
    here = TakeNoise([1, 2], SHAPE, draws=3)
    there = TakeNoise([1, 2], SHAPE, draws=3, device="cuda")
    assert torch.equal(there.stacked().cpu(), here.stacked())
    assert torch.equal(there[2].cpu(), here[2])
