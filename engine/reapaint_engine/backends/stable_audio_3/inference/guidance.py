"""Steering a sample toward its prompt, and keeping a distilled model from being steered off."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from reapaint_engine.backends.stable_audio_3.checkpoint.settings import Objective

if TYPE_CHECKING:
    from torch import Tensor

DEFAULT_SCALE = {Objective.DISTILLED: 1.0, Objective.BASE: 7.0}
"""What the makers sample each kind of checkpoint with; a distilled one has it built in."""

MAX_STEP_RATIO = 0.5
"""How far the fence lets guidance move one latent, as a share of that latent's length.

A turn of at most 30 degrees: enough to hear, and too little to leave what a distilled
model knows as sound. A bound by reasoning, not tuned by ear.
"""

MIN_LENGTH = 1e-8
"""Keeps an all-zero latent from dividing by zero."""


@dataclass(frozen=True, slots=True)
class Guidance:
    """How strongly the conditional estimate is pushed away from the unconditional one.

    ``scale`` 1 follows the prompt as the model does by itself, more exaggerates it, less
    weakens it. ``projection`` is the share of adaptive projected guidance: 1 pushes only
    at right angles to the estimate, 0 is plain classifier-free guidance.
    """

    scale: float = 1.0
    projection: float = 1.0
    fenced: bool = False

    @classmethod
    def for_checkpoint(cls, objective: Objective, scale: float | None = None) -> Guidance:
        """Return the guidance of a kind of checkpoint, at the asked scale or its own."""
        asked = DEFAULT_SCALE[objective] if scale is None else scale
        return cls(scale=asked, fenced=objective is Objective.DISTILLED)

    @property
    def branches(self) -> int:
        """How many estimates it needs: 1, or 2 with the unconditional one.

        With one, a negative prompt has no effect.
        """
        return 1 if self.scale == 1 else 2

    def denoised(self, conditional: Tensor, unconditional: Tensor) -> Tensor:
        """Return the guided estimate of the clean latents.

        Parameters
        ----------
        conditional, unconditional
            Estimates of the clean latents, each (takes, latent_dim, latents), float32.

        Returns
        -------
        Tensor
            Shape (takes, latent_dim, latents), float32.
        """
        guided = guide(conditional, unconditional, self.scale, self.projection)
        return fence(guided, conditional) if self.fenced else guided


def guide(
    conditional: Tensor, unconditional: Tensor, scale: float, projection: float = 1.0
) -> Tensor:
    """Push a clean estimate away from the unconditional one.

    Parameters
    ----------
    conditional, unconditional
        Estimates of the clean latents, shape (takes, latent_dim, latents), float32.
    scale
        1 returns ``conditional`` to rounding.
    projection
        How much of the push along ``conditional`` is left out, 0 to 1.

    Returns
    -------
    Tensor
        Shape (takes, latent_dim, latents), float32.

    Notes
    -----
    With d the difference and c the conditional estimate of one take, flattened:
    ``c + (scale - 1) * (d - projection * c * <d, c> / <c, c>)``. The part along c only makes
    the sound louder and coarser. Sadat, Hilliges and Weber, "Eliminating Oversaturation and
    Artifacts of High Guidance Scales in Diffusion Models", 2024.
    """
    push = conditional - unconditional
    if projection:
        along = (push * conditional).sum(dim=(-1, -2), keepdim=True)
        length = (conditional * conditional).sum(dim=(-1, -2), keepdim=True)
        push = push - projection * along / length.clamp(min=MIN_LENGTH**2) * conditional
    return conditional + (scale - 1) * push


def fence(guided: Tensor, conditional: Tensor) -> Tensor:
    """Let guidance turn each latent a little, and leave its length alone.

    Parameters
    ----------
    guided, conditional
        Estimates of the clean latents, shape (takes, latent_dim, latents), float32.

    Returns
    -------
    Tensor
        Shape (takes, latent_dim, latents), float32; every latent as long as in
        ``conditional``, and within ``arcsin(MAX_STEP_RATIO)`` of its direction.

    Notes
    -----
    A distilled model's two estimates are both finished sounds, so their difference is as
    large as they are; seven times it is no sound any more, and the model answers what it
    does not know with silence. Limiting the step is the paper's norm threshold, keeping
    the length its rescaling (Lin et al., "Common Diffusion Noise Schedules and Sample Steps
    are Flawed", 2024), here for each latent alone, so that a loud passage lends a quiet one
    nothing.
    """
    length = conditional.norm(dim=-2, keepdim=True)
    step = guided - conditional
    step_length = step.norm(dim=-2, keepdim=True).clamp(min=MIN_LENGTH)
    near = conditional + step * (MAX_STEP_RATIO * length / step_length).clamp(max=1)
    near_length = near.norm(dim=-2, keepdim=True).clamp(min=MIN_LENGTH)
    fenced: Tensor = near * (length / near_length)
    return fenced
