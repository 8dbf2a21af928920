"""From noise to latents: the noise levels of a run, and the two ways down them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from enum import StrEnum
from itertools import pairwise
from typing import TYPE_CHECKING, Protocol

from reapaint_engine.backends.stable_audio_3.checkpoint.settings import Objective
from reapaint_engine.backends.stable_audio_3.inference.guidance import Guidance

if TYPE_CHECKING:
    from torch import Tensor

DEFAULT_STEPS = {Objective.DISTILLED: 8, Objective.BASE: 50}
"""What the makers sample each kind of checkpoint with."""

MIN_LOG_SNR = -6.2
MAX_LOG_SNR = 2.0
"""Between these two, steps are spread evenly, whatever the length; the makers' schedule."""

MIN_LOG_SNR_RANGE = 1.0
"""So far apart are a run's two ends at least, so that a faint start has a way to go."""

MIN_START_SIGMA = 1e-4
"""Noise 80 dB below the latents changes nothing, and there is nothing to remove."""

TOLERANCE_STRIDES = 1e-9
"""Far more than float64 errs by: a whole number of strides must not become one more."""


class Sampler(StrEnum):
    """How a step goes from one noise level to the next."""

    PING_PONG = "ping-pong"
    """To the clean estimate, and back up with fresh noise: for distilled checkpoints."""
    EULER = "euler"
    """Along the velocity: for base checkpoints."""


class Draws(Protocol):
    """Noise by the number of its draw, each of shape (takes, latent_dim, latents)."""

    def __getitem__(self, draw: int, /) -> Tensor:
        """Return one draw, float32, on the device of the latents."""


Velocity = Callable[["Tensor", int], "Tensor"]
"""(takes, dim, latents) and the step's number -> (branches, takes, dim, latents)."""


def sampler_for(objective: Objective) -> Sampler:
    """Return the sampler that a checkpoint was trained for."""
    return Sampler.PING_PONG if objective is Objective.DISTILLED else Sampler.EULER


def log_snr_sigmas(steps: int, start: float = 1.0) -> list[float]:
    """Return the noise levels of a run, evenly spread in log signal-to-noise ratio.

    Parameters
    ----------
    steps
        How many a full run takes, at least 1; one from further down takes its share.
    start
        The first level, 0 to 1: the share of noise in what the run begins with. Below
        ``MIN_START_SIGMA`` there is nothing to do.

    Returns
    -------
    list[float]
        Strictly falling values, one more than there are steps, each a float32; the first
        is ``start``, the last 0. With nothing to do, the lone 0.

    Raises
    ------
    ValueError
        ``steps`` or ``start`` is out of range.

    Notes
    -----
    ``sigma = sigmoid(-log_snr)``. From 1 this is the makers' ``LogSNRShift`` to the last
    bit. Below 1 theirs shifts an already shortened schedule, so that its second level lies
    above its first (0.83 after 0.5, with 8 steps) and what was kept of the original drowns
    in noise. Here a run begins at the log-SNR that its start stands for and goes on in
    strides as long as a full run's, those the model was trained for; shorter ones would
    let ping-pong draw anew so often that little is left of the original from 0.3 on.
    """
    import torch

    if steps < 1 or not 0 <= start <= 1:
        raise ValueError(f"{steps} steps from {start} are no schedule")
    if start < MIN_START_SIGMA:
        return [0.0]
    first = MIN_LOG_SNR
    if start < 1:
        first = max(first, math.log((1 - start) / start))
    last = max(MAX_LOG_SNR, first + MIN_LOG_SNR_RANGE)
    share = (last - first) / (MAX_LOG_SNR - MIN_LOG_SNR)
    strides = math.ceil(steps * share - TOLERANCE_STRIDES)
    log_snr = last - torch.linspace(1, 0, strides + 1) * (last - first)
    sigmas = torch.sigmoid(-log_snr)
    sigmas[0], sigmas[-1] = start, 0
    return sigmas.tolist()


def noise_draws(sampler: Sampler, sigmas: Sequence[float]) -> int:
    """Return how many draws of noise a run takes: the start, and each way back up."""
    return max(1, len(sigmas) - 1) if sampler is Sampler.PING_PONG else 1


def sample(
    velocity: Velocity,
    noise: Draws,
    sigmas: Sequence[float],
    *,
    sampler: Sampler,
    guidance: Guidance,
    initial: Tensor | None = None,
    on_step: Callable[[int], None] | None = None,
) -> Tensor:
    """Turn noise into latents.

    Nothing here waits for the device or depends on what a tensor holds, so the whole run
    can be captured as one CUDA graph, with a tensor of all draws for ``noise``.

    Parameters
    ----------
    velocity
        The model at a noise level: latents (takes, latent_dim, latents), float32, and the
        step's number give (branches, takes, latent_dim, latents), the conditional branch
        first and as many as ``guidance`` needs.
    noise
        ``noise_draws(sampler, sigmas)`` draws.
    sigmas
        Falling noise levels, the last 0; see ``log_snr_sigmas``.
    initial
        Latents to begin from where the first level is below 1, shape (takes or 1,
        latent_dim, latents), float32; ignored at 1.
    on_step
        Called before each step with the number of steps done. What it raises ends the run.

    Returns
    -------
    Tensor
        Clean latents (takes, latent_dim, latents), float32.

    Raises
    ------
    ValueError
        The first level is below 1 and there is nothing to begin from.
    """
    latents = _begin(noise[0], sigmas[0], initial)
    for step, (sigma, next_sigma) in enumerate(pairwise(sigmas)):
        if on_step is not None:
            on_step(step)
        clean = _clean_estimate(velocity(latents, step).float(), latents, sigma, guidance)
        if next_sigma == 0:
            latents = clean
        elif sampler is Sampler.PING_PONG:
            latents = (1 - next_sigma) * clean + next_sigma * noise[step + 1]
        else:
            latents = clean + (next_sigma / sigma) * (latents - clean)
    return latents


def _begin(noise: Tensor, sigma: float, initial: Tensor | None) -> Tensor:
    if sigma >= 1:
        return noise
    if initial is None:
        raise ValueError(f"a run from {sigma} needs latents to begin from")
    return (1 - sigma) * initial + sigma * noise


def _clean_estimate(
    velocities: Tensor, latents: Tensor, sigma: float, guidance: Guidance
) -> Tensor:
    clean = latents - sigma * velocities
    assert len(clean) == guidance.branches
    return clean[0] if guidance.branches == 1 else guidance.denoised(clean[0], clean[1])
