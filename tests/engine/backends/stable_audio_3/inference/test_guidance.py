import math

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from reapaint_engine.backends.stable_audio_3.checkpoint.settings import Objective
from reapaint_engine.backends.stable_audio_3.inference.guidance import (
    MAX_STEP_RATIO,
    Guidance,
    fence,
    guide,
)

SCALES = (0.0, 1.0, 3.0, 7.0)
DIM, LATENTS = 8, 21


def latents(seed: int, takes: int = 2) -> Tensor:
    return torch.randn(takes, DIM, LATENTS, generator=torch.Generator().manual_seed(seed))


def flat(values: Tensor) -> npt.NDArray[np.float64]:
    return values.reshape(len(values), -1).double().numpy()


def lengths(values: Tensor) -> Tensor:
    """Each latent's length, over the channels."""
    return values.square().sum(dim=1).sqrt()


@pytest.mark.parametrize("scale", SCALES)
def test_it_pushes_at_right_angles_to_each_takes_estimate(scale: float) -> None:
    conditional, unconditional = latents(1), latents(2)
    found = flat(guide(conditional, unconditional, scale))
    for take, (c, u) in enumerate(zip(flat(conditional), flat(unconditional), strict=True)):
        d = c - u
        push = d - (d @ c) / (c @ c) * c
        np.testing.assert_allclose(found[take], c + (scale - 1) * push, atol=1e-5)


@pytest.mark.parametrize("scale", SCALES)
def test_without_projection_it_is_plain_guidance(scale: float) -> None:
    c, u = latents(1), latents(2)
    expected = flat(u) + scale * (flat(c) - flat(u))
    np.testing.assert_allclose(flat(guide(c, u, scale, projection=0.0)), expected, atol=2e-6)


def test_half_a_projection_is_halfway() -> None:
    c, u = latents(1), latents(2)
    halfway = (guide(c, u, 7, projection=0.0) + guide(c, u, 7, projection=1.0)) / 2
    torch.testing.assert_close(guide(c, u, 7, projection=0.5), halfway)


def test_a_take_is_guided_as_if_alone() -> None:
    c, u = latents(1, takes=3), latents(2, takes=3)
    alone = guide(c[1:2], u[1:2], 7.0)
    torch.testing.assert_close(guide(c, u, 7.0)[1:2], alone)


def test_silence_stays_finite() -> None:
    nothing = torch.zeros(1, DIM, LATENTS)
    assert torch.equal(guide(nothing, nothing, 7.0), nothing)
    assert torch.equal(fence(guide(nothing, latents(1, 1), 7.0), nothing), nothing)


@pytest.mark.parametrize("scale", [0.0, 3.0, 7.0, 25.0])
def test_the_fence_keeps_each_latents_length(scale: float) -> None:
    conditional = latents(1) * torch.linspace(0.01, 3.0, LATENTS)
    fenced = fence(guide(conditional, latents(2), scale), conditional)
    torch.testing.assert_close(lengths(fenced), lengths(conditional))


@pytest.mark.parametrize("scale", [0.0, 3.0, 7.0, 25.0])
def test_the_fence_bounds_each_latents_turn(scale: float) -> None:
    conditional = latents(1)
    fenced = fence(guide(conditional, latents(2), scale), conditional)
    cosines = (fenced * conditional).sum(dim=1) / lengths(conditional).square()
    assert cosines.min() >= math.cos(math.asin(MAX_STEP_RATIO)) - 1e-5
    assert cosines.min() < 0.99


def test_the_fence_lets_a_small_step_through() -> None:
    conditional = latents(1)
    sideways = latents(2)
    sideways -= (
        (sideways * conditional).sum(1, keepdim=True)
        / (conditional * conditional).sum(1, keepdim=True)
        * conditional
    )
    step = 1e-3 * sideways
    moved = fence(conditional + step, conditional) - conditional
    torch.testing.assert_close(moved, step, atol=1e-5, rtol=0.0)


def test_kinds_of_checkpoints_have_their_own_guidance() -> None:
    assert Guidance.for_checkpoint(Objective.DISTILLED) == Guidance(1.0, fenced=True)
    assert Guidance.for_checkpoint(Objective.BASE) == Guidance(7.0, fenced=False)
    assert Guidance.for_checkpoint(Objective.DISTILLED, 7.0) == Guidance(7.0, fenced=True)


def test_only_guidance_of_one_does_without_the_unconditional_branch() -> None:
    assert [Guidance(scale).branches for scale in (0.0, 0.5, 1.0, 3.0)] == [2, 2, 1, 2]


def test_only_a_distilled_checkpoint_is_fenced() -> None:
    c, u = latents(1), latents(2)
    base = Guidance.for_checkpoint(Objective.BASE, 7.0).denoised(c, u)
    distilled = Guidance.for_checkpoint(Objective.DISTILLED, 7.0).denoised(c, u)
    assert lengths(base).mean() > 4 * lengths(c).mean()
    torch.testing.assert_close(lengths(distilled), lengths(c))
