"""A whole run of the sampler, as few CUDA graphs as cancelling allows."""

from collections.abc import Callable, Sequence

from torch import Tensor

from reapaint_engine.backends.stable_audio_3.device.graphs import GraphRunner
from reapaint_engine.backends.stable_audio_3.inference.guidance import Guidance
from reapaint_engine.backends.stable_audio_3.inference.noise import TakeNoise
from reapaint_engine.backends.stable_audio_3.inference.sampling import Sampler, noise_draws, sample
from reapaint_engine.backends.stable_audio_3.network.denoiser import Denoiser, PreparedJob

MAX_STEPS_PER_GRAPH = 8
"""Up to so many steps are one graph: tens of milliseconds on the GPUs that have them.

A graph can't be left half way. A longer run is a graph per step, so that cancelling
still ends it within one.
"""


def sample_captured(
    runner: GraphRunner,
    denoiser: Denoiser,
    job: PreparedJob,
    noise: TakeNoise,
    sigmas: Sequence[float],
    *,
    sampler: Sampler,
    guidance: Guidance,
    initial: Tensor | None = None,
    on_step: Callable[[int], None] | None = None,
) -> Tensor:
    """Do what ``sampling.sample`` does with a denoiser, through graphs where there are any.

    Parameters
    ----------
    runner
        For this denoiser alone: its graphs hold the denoiser's weights.
    job
        Prepared for ``sigmas``, with as many branches as ``guidance`` needs.
    initial
        As there: shape (takes or 1, latent_dim, latents), float32.
    on_step
        As there, but called only before the first step of a run that is one graph.

    Returns
    -------
    Tensor
        Clean latents (takes, latent_dim, latents), float32.
    """
    if not runner.captures or not 0 < len(sigmas) - 1 <= MAX_STEPS_PER_GRAPH:
        return sample(
            lambda latents, step: _velocity(runner, denoiser, job, latents, step),
            noise,
            sigmas,
            sampler=sampler,
            guidance=guidance,
            initial=initial,
            on_step=on_step,
        )

    def whole_run(noise: Tensor, *tensors: Tensor) -> Tensor:
        start, job = (None, tensors) if initial is None else (tensors[0], tensors[1:])
        prepared = PreparedJob(*job)
        return sample(
            lambda latents, step: denoiser.velocity(prepared, latents, step),
            noise,
            sigmas,
            sampler=sampler,
            guidance=guidance,
            initial=start,
        )

    if on_step is not None:
        on_step(0)
    drawn = noise.stacked()[: noise_draws(sampler, sigmas)]
    inputs = [drawn] if initial is None else [drawn, initial]
    key = ("run", tuple(sigmas), sampler, guidance, initial is None)
    return runner.run(key, whole_run, inputs, constant=job.tensors)


def _velocity(
    runner: GraphRunner, denoiser: Denoiser, job: PreparedJob, latents: Tensor, step: int
) -> Tensor:
    if not runner.captures:
        return denoiser.velocity(job, latents, step)

    def one_step(latents: Tensor, modulation: Tensor, *rest: Tensor) -> Tensor:
        return denoiser.velocity(PreparedJob(modulation, *rest), latents, 0)

    modulation, *rest = job.tensors
    inputs = [latents, modulation[step : step + 1]]
    return runner.run("step", one_step, inputs, constant=rest)
