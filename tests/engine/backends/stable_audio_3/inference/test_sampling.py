import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from diffusers.schedulers import scheduling_flow_match_euler_discrete as scheduling
from hypothesis import example, given
from hypothesis import strategies as st
from torch import Tensor

from reapaint_engine.backends.stable_audio_3.checkpoint.settings import Objective
from reapaint_engine.backends.stable_audio_3.inference.guidance import Guidance
from reapaint_engine.backends.stable_audio_3.inference.noise import TakeNoise
from reapaint_engine.backends.stable_audio_3.inference.sampling import (
    DEFAULT_STEPS,
    MIN_START_SIGMA,
    Sampler,
    Velocity,
    log_snr_sigmas,
    noise_draws,
    sample,
    sampler_for,
)
from reapaint_engine.protocol.arrays import Float64Array

DIM, LATENTS, TAKES = 8, 13, 2
RUNS = [(Sampler.PING_PONG, 8), (Sampler.EULER, 20)]


def noise_for(sampler: Sampler, steps: int, seeds: Sequence[int] = (3, 4)) -> TakeNoise:
    draws = noise_draws(sampler, log_snr_sigmas(steps))
    return TakeNoise(seeds, (DIM, LATENTS), draws)


def old_sound() -> Tensor:
    return torch.randn(1, DIM, LATENTS, generator=torch.Generator().manual_seed(9))


def toy_velocity(sigmas: Sequence[float], branches: int) -> Velocity:
    """Any smooth function of the latents and the noise level, another in each branch."""

    def velocity(latents: Tensor, step: int) -> Tensor:
        conditional = torch.tanh(1.3 * latents) + 0.2 * sigmas[step]
        unconditional = torch.sin(latents) - 0.1
        return torch.stack([conditional, unconditional][:branches])

    return velocity


def toy_velocity_exact(x: Float64Array, sigma: float) -> tuple[Float64Array, Float64Array]:
    return np.tanh(1.3 * x) + 0.2 * sigma, np.sin(x) - 0.1


def guided_exact(c: Float64Array, u: Float64Array, scale: float) -> Float64Array:
    """Adaptive projected guidance of one take."""
    d = c - u
    return c + (scale - 1) * (d - np.sum(d * c) / np.sum(c * c) * c)


def sampled_exact(
    sampler: Sampler, sigmas: Sequence[float], draws: Float64Array, scale: float
) -> Float64Array:
    """One take in float64, as the papers write it down."""
    x = draws[0]
    for step, (sigma, below) in enumerate(pairwise(sigmas)):
        v, v_unconditional = toy_velocity_exact(x, sigma)
        x0 = x - sigma * v
        if scale != 1:
            x0 = guided_exact(x0, x - sigma * v_unconditional, scale)
        if sampler is Sampler.EULER:
            x = x + (below - sigma) * (x - x0) / sigma
        elif below > 0:
            x = (1 - below) * x0 + below * draws[step + 1]
        else:
            x = x0
    return x


@pytest.mark.parametrize("scale", [0.0, 1.0, 3.0, 7.0])
@pytest.mark.parametrize(("sampler", "steps"), RUNS)
def test_it_follows_the_formulas(sampler: Sampler, steps: int, scale: float) -> None:
    guidance = Guidance(scale)
    sigmas = log_snr_sigmas(steps)
    noise = noise_for(sampler, steps)
    velocity = toy_velocity(sigmas, guidance.branches)
    found = sample(velocity, noise, sigmas, sampler=sampler, guidance=guidance)
    draws = noise.stacked().double().numpy()
    for take in range(TAKES):
        expected = sampled_exact(sampler, sigmas, draws[:, take], scale)
        np.testing.assert_allclose(found[take].double().numpy(), expected, atol=2e-4, rtol=2e-4)
        assert np.abs(expected).max() < 1e3


@pytest.mark.parametrize(("sampler", "steps"), RUNS)
def test_it_does_what_diffusers_scheduler_does(
    sampler: Sampler, steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    sigmas = log_snr_sigmas(steps)
    noise = noise_for(sampler, steps)
    velocity = toy_velocity(sigmas, 1)
    scheduler = FlowMatchEulerDiscreteScheduler(
        num_train_timesteps=1, shift=1.0, stochastic_sampling=sampler is Sampler.PING_PONG
    )
    scheduler.set_timesteps(sigmas=sigmas[:-1])
    # The scheduler draws once more for its last step and gives that draw no weight.
    fresh = iter([noise[draw] for draw in range(1, len(noise))] + [noise[0]])
    monkeypatch.setattr(scheduling, "randn_tensor", lambda *_, **__: next(fresh))
    expected = noise[0]
    for step, timestep in enumerate(scheduler.timesteps):
        expected = scheduler.step(velocity(expected, step)[0], timestep, expected).prev_sample
    found = sample(velocity, noise, sigmas, sampler=sampler, guidance=Guidance())
    torch.testing.assert_close(found, expected, atol=2e-6, rtol=0.0)


@pytest.mark.parametrize("steps", [1, 2, 8, 50, 100])
def test_sigmas_are_even_in_log_snr(steps: int) -> None:
    expected = [1 / (1 + math.exp(2.0 - 8.2 * (1 - k / steps))) for k in range(1, steps)]
    sigmas = log_snr_sigmas(steps)
    assert sigmas[0] == 1.0
    assert sigmas[-1] == 0.0
    assert sigmas[1:-1] == pytest.approx(expected, rel=1e-5)


@given(steps=st.integers(1, 100), start=st.floats(MIN_START_SIGMA, 1))
def test_sigmas_fall_strictly_from_the_start_to_zero(steps: int, start: float) -> None:
    sigmas = log_snr_sigmas(steps, start)
    assert 2 <= len(sigmas) <= steps + 1
    assert sigmas[0] == pytest.approx(start, rel=1e-6)
    assert sigmas[-1] == 0.0
    assert all(above > below for above, below in pairwise(sigmas))


@given(steps=st.integers(1, 100), start=st.floats(MIN_START_SIGMA, 0.99))
def test_a_partial_run_goes_on_in_a_full_runs_strides(steps: int, start: float) -> None:
    sigmas = np.array(log_snr_sigmas(steps, start)[:-1])
    strides = np.diff(np.log((1 - sigmas) / sigmas))
    stride = 8.2 / steps
    np.testing.assert_allclose(strides, strides.mean() if len(strides) else 0, atol=2e-4)
    assert (strides < stride + 2e-4).all()
    needed = max(2.0 - math.log((1 - start) / start), 1.0) / stride
    assert len(sigmas) == math.ceil(needed) or needed == pytest.approx(round(needed))


@given(steps=st.integers(1, 100), start=st.floats(0.01, 0.99))
@example(steps=41, start=0.125)  # a whole number of strides, but for rounding
def test_more_start_takes_no_fewer_steps(steps: int, start: float) -> None:
    assert len(log_snr_sigmas(steps, start)) <= len(log_snr_sigmas(steps, start * 1.01))


def test_a_partial_run_never_gets_louder_than_its_start() -> None:
    """The makers' own schedule goes from 0.5 up to 0.83, and the original is lost."""
    assert log_snr_sigmas(8, 0.5)[:-1] == pytest.approx([0.5, 1 / (1 + math.e)], rel=1e-5)


def test_a_start_too_faint_to_hear_has_nothing_to_do() -> None:
    assert log_snr_sigmas(8, 0.0) == log_snr_sigmas(8, MIN_START_SIGMA / 2) == [0.0]


@pytest.mark.parametrize(("steps", "start"), [(0, 1.0), (8, -0.1), (8, 1.1), (8, math.nan)])
def test_an_impossible_schedule_is_refused(steps: int, start: float) -> None:
    with pytest.raises(ValueError, match="no schedule"):
        log_snr_sigmas(steps, start)


@pytest.mark.parametrize(("sampler", "steps"), RUNS)
def test_full_strength_is_the_same_as_none(sampler: Sampler, steps: int) -> None:
    sigmas = log_snr_sigmas(steps, 1.0)
    assert sigmas == log_snr_sigmas(steps)
    noise = noise_for(sampler, steps)
    velocity = toy_velocity(sigmas, 1)
    runs = [
        sample(velocity, noise, sigmas, sampler=sampler, guidance=Guidance(), initial=initial)
        for initial in (None, old_sound())
    ]
    assert torch.equal(*runs)


def towards(target: Tensor, sigmas: Sequence[float]) -> Velocity:
    """The velocity of a perfect model of sounds normally distributed around a target.

    With latents x = (1 - s) x0 + s n, the mean of x0 given x is
    target + (1 - s) d^2 / ((1 - s)^2 d^2 + s^2) * (x - (1 - s) target); d is 0.5.
    """

    def velocity(latents: Tensor, step: int) -> Tensor:
        s = sigmas[step]
        gain = (1 - s) * 0.25 / ((1 - s) ** 2 * 0.25 + s**2)
        clean = target + gain * (latents - (1 - s) * target)
        return ((latents - clean) / s)[None]

    return velocity


@pytest.mark.parametrize(("sampler", "steps"), RUNS)
def test_less_strength_keeps_more_of_what_was_there(sampler: Sampler, steps: int) -> None:
    old = old_sound()
    target = old + 2.0
    distances = []
    for strength in (0.0, 0.001, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 1.0):
        sigmas = log_snr_sigmas(steps, strength)
        noise = TakeNoise(range(16), (DIM, LATENTS), noise_draws(sampler, sigmas))
        made = sample(
            towards(target, sigmas),
            noise,
            sigmas,
            sampler=sampler,
            guidance=Guidance(),
            initial=old,
        )
        distances.append(float((made - old).square().mean().sqrt()))
    assert distances[0] == 0
    assert distances[1] < 0.01
    assert distances[4] < 0.6
    assert distances[-1] > 1.9
    assert all(less < more for less, more in pairwise(distances))


@pytest.mark.parametrize(("sampler", "steps"), RUNS)
def test_a_partial_run_begins_between_the_old_sound_and_noise(sampler: Sampler, steps: int) -> None:
    seen: list[Tensor] = []
    sigmas = log_snr_sigmas(steps, 0.25)

    def velocity(latents: Tensor, step: int) -> Tensor:
        seen.append(latents)
        return latents[None]

    noise = noise_for(sampler, steps)
    sample(velocity, noise, sigmas, sampler=sampler, guidance=Guidance(), initial=old_sound())
    torch.testing.assert_close(seen[0], 0.75 * old_sound() + 0.25 * noise[0])


def test_partial_strength_needs_something_to_begin_from() -> None:
    sigmas = log_snr_sigmas(8, 0.5)
    with pytest.raises(ValueError, match="begin from"):
        sample(
            toy_velocity(sigmas, 1),
            noise_for(Sampler.EULER, 8),
            sigmas,
            sampler=Sampler.EULER,
            guidance=Guidance(),
        )


@pytest.mark.parametrize("scale", [1.0, 7.0])
@pytest.mark.parametrize(("sampler", "steps"), RUNS)
def test_a_take_is_the_same_alone_and_among_others(
    sampler: Sampler, steps: int, scale: float
) -> None:
    guidance = Guidance(scale, fenced=sampler is Sampler.PING_PONG)
    sigmas = log_snr_sigmas(steps)

    def run(seeds: Sequence[int]) -> Tensor:
        noise = noise_for(sampler, steps, seeds)
        velocity = toy_velocity(sigmas, guidance.branches)
        return sample(velocity, noise, sigmas, sampler=sampler, guidance=guidance)

    torch.testing.assert_close(run([7, 8, 9])[1:2], run([8]), atol=1e-5, rtol=1e-5)


def test_each_step_is_told_before_it_is_taken() -> None:
    told: list[str] = []
    sigmas = log_snr_sigmas(3)

    def velocity(latents: Tensor, step: int) -> Tensor:
        told.append(f"velocity {step}")
        return latents[None]

    sample(
        velocity,
        noise_for(Sampler.PING_PONG, 3),
        sigmas,
        sampler=Sampler.PING_PONG,
        guidance=Guidance(),
        on_step=lambda step: told.append(f"step {step}"),
    )
    assert told == [f"{what} {step}" for step in range(3) for what in ("step", "velocity")]


def test_a_cancelled_run_ends_before_its_next_step() -> None:
    steps_taken: list[int] = []
    sigmas = log_snr_sigmas(8)

    def velocity(latents: Tensor, step: int) -> Tensor:
        steps_taken.append(step)
        return latents[None]

    def cancel(step: int) -> None:
        if step == 3:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        sample(
            velocity,
            noise_for(Sampler.EULER, 8),
            sigmas,
            sampler=Sampler.EULER,
            guidance=Guidance(),
            on_step=cancel,
        )
    assert steps_taken == [0, 1, 2]


def shy_velocity(conditional: Tensor, unconditional: Tensor, sigmas: Sequence[float]) -> Velocity:
    """A distilled model as met: sure of its sounds, and silent at what it does not know."""

    def velocity(latents: Tensor, step: int) -> Tensor:
        s = sigmas[step]
        expected = ((1 - s) ** 2 + s**2) ** 0.5
        level = latents.square().mean(dim=(-1, -2), keepdim=True).sqrt()
        knows = torch.sigmoid(20 * (1.6 - level / expected))
        clean = torch.stack([conditional * knows, unconditional * knows])
        return (latents - clean) / s

    return velocity


@pytest.mark.parametrize("projection", [0.0, 1.0])
def test_the_fence_keeps_a_distilled_model_from_falling_silent(projection: float) -> None:
    conditional, unconditional = (
        torch.randn(DIM, LATENTS, generator=torch.Generator().manual_seed(seed)) for seed in (1, 2)
    )
    sigmas = log_snr_sigmas(8)
    levels = []
    for fenced in (False, True):
        guidance = Guidance(7.0, projection=projection, fenced=fenced)
        made = sample(
            shy_velocity(conditional, unconditional, sigmas),
            noise_for(Sampler.PING_PONG, 8),
            sigmas,
            sampler=Sampler.PING_PONG,
            guidance=guidance,
        )
        levels.append(float(made.square().mean().sqrt() / conditional.square().mean().sqrt()))
    assert levels[0] < 0.1 or levels[0] > 3
    assert levels[1] == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize("start", [0.5, 1.0])
@pytest.mark.parametrize(("sampler", "steps"), RUNS)
def test_it_asks_nothing_of_the_device(sampler: Sampler, steps: int, start: float) -> None:
    """A meta tensor has no values: whoever looks at one raises."""
    sigmas = log_snr_sigmas(steps, start)
    shape = (TAKES, DIM, LATENTS)
    with torch.inference_mode(), torch.device("meta"):
        made = sample(
            toy_velocity(sigmas, 2),
            torch.empty(noise_draws(sampler, sigmas), *shape),
            sigmas,
            sampler=sampler,
            guidance=Guidance(7.0, fenced=True),
            initial=torch.empty(shape),
        )
    assert made.device.type == "meta"
    assert made.shape == shape


def test_half_precision_stays_inside_the_model() -> None:
    sigmas = log_snr_sigmas(8)
    noise = noise_for(Sampler.PING_PONG, 8)
    made = sample(
        lambda latents, step: toy_velocity(sigmas, 1)(latents.bfloat16(), step),
        noise,
        sigmas,
        sampler=Sampler.PING_PONG,
        guidance=Guidance(),
    )
    assert made.dtype == torch.float32


def test_each_kind_of_checkpoint_has_its_sampler() -> None:
    assert sampler_for(Objective.DISTILLED) is Sampler.PING_PONG
    assert sampler_for(Objective.BASE) is Sampler.EULER
    assert DEFAULT_STEPS == {Objective.DISTILLED: 8, Objective.BASE: 50}


def test_only_ping_pong_draws_again() -> None:
    assert noise_draws(Sampler.PING_PONG, log_snr_sigmas(8)) == 8
    assert noise_draws(Sampler.EULER, log_snr_sigmas(20)) == 1
    assert noise_draws(Sampler.PING_PONG, log_snr_sigmas(8, 0.0)) == 1


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize(("sampler", "steps"), RUNS)
def test_a_run_can_be_captured_as_one_graph(sampler: Sampler, steps: int) -> None:
    sigmas = log_snr_sigmas(steps)
    guidance = Guidance(7.0, fenced=True)
    draws = noise_draws(sampler, sigmas)
    noise = TakeNoise([1, 2], (DIM, LATENTS), draws, device="cuda").stacked()
    velocity = toy_velocity(sigmas, 2)

    def run() -> Tensor:
        return sample(velocity, noise, sigmas, sampler=sampler, guidance=guidance)

    with torch.inference_mode():
        run()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            captured = run()
        noise.copy_(TakeNoise([3, 4], (DIM, LATENTS), draws, device="cuda").stacked())
        graph.replay()
        torch.testing.assert_close(captured, run())
