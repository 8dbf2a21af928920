"""What the model is told beside the noise: the prompt, the duration, the kept sound."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Conditioning:
    """The conditional branch, and after it the unconditional one where there is one."""

    context: Tensor
    """Shape (branches, max_tokens + 1, dim): text, padding, and the duration as a token."""
    global_embed: Tensor
    """Shape (branches, dim): the duration."""


def make_conditioning(
    prompt: Tensor,
    duration: Tensor,
    padding: Tensor,
    *,
    max_tokens: int,
    branches: int,
    negative: Tensor | None = None,
) -> Conditioning:
    """Put the prompts and the duration together as the model was trained to hear them.

    Parameters
    ----------
    prompt
        The prompt's tokens, shape (tokens, dim), float32.
    duration
        The duration's embedding, shape (1, dim), float32.
    padding
        The learned embedding of an absent token, shape (dim,); float32, bfloat16 or
        float16, as the weights.
    max_tokens
        The places for text.
    branches
        1, or 2 with the unconditional branch.
    negative
        The negative prompt's tokens, shape (tokens, dim), float32, or none.

    Returns
    -------
    Conditioning
        In float32, on the duration's device.

    Notes
    -----
    The branches fill up differently, as in the makers' training and sampling code: beside a
    prompt stands the learned padding, beside a negative prompt zeros; without a negative
    prompt the whole unconditional context is zeros, its duration too. The global embedding
    tells every branch the duration. Text has no positions here, so its order against the
    padding means nothing.
    """
    duration = duration.float()
    places = padding.to(duration).expand(max_tokens, -1)
    contexts = [_context(prompt, places, duration)]
    if branches == 2:
        nothing = torch.zeros_like(contexts[0])
        contexts.append(
            nothing if negative is None else _context(negative, nothing[:max_tokens], duration)
        )
    return Conditioning(torch.stack(contexts), duration.expand(branches, -1))


def _context(text: Tensor, places: Tensor, duration: Tensor) -> Tensor:
    return torch.cat([text.to(duration), places[len(text) :], duration])


def local_conditioning(latents: Tensor, mask: Tensor) -> Tensor:
    """Show the model the sound that is kept, and where it is.

    Parameters
    ----------
    latents
        The window's latents, shape (1, latent_dim, latents); float32, bfloat16 or float16.
    mask
        Shape (latents,), bool, True where a latent is to be made anew.

    Returns
    -------
    Tensor
        Shape (1, 1 + latent_dim, latents), the same dtype as ``latents``: a channel that is
        1 where the sound is kept, for the model's sense is the opposite of ours, and then
        the latents with zeros in place of what is not.
    """
    kept = torch.where(mask, 0.0, latents)
    sense = (~mask).to(latents).expand(len(latents), 1, -1)
    return torch.cat([sense, kept], dim=1)
