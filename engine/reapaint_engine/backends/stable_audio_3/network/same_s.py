"""SAME-S: attention in folds of two latents, moved by one latent half-way through the layers."""

from collections.abc import Sequence

import torch
from torch import Tensor

from reapaint_engine.backends.stable_audio_3.network.same_blocks import Layer, View, share
from reapaint_engine.protocol.progress import OnFraction

FOLD_SEGMENTS = 2
"""Latents to a fold: the reference cuts 32 patches of 16 to a latent, 34 tokens with the added."""

RECEPTIVE_LATENTS = 2
"""How far a latent reaches: its moved fold holds a neighbour, and that one's fold another."""


def run_folded(
    layers: Sequence[Layer],
    tokens: Tensor,
    *,
    segment: int,
    keep: slice,
    rows: int,
    on_progress: OnFraction,
) -> Tensor:
    """Run layers whose attention never leaves a fold.

    Parameters
    ----------
    layers
        The first half hears folds from the start on, the rest folds moved by a segment.
    tokens
        Shape (batch, tokens, dim), float32; an even number of segments.
    segment
        Tokens to one latent.
    keep
        The tokens of each segment that are wanted.
    rows
        About how many tokens to take through the layers at a time; the result is the same.
    on_progress
        Told the fraction done, often; what it raises ends the run.

    Returns
    -------
    Tensor
        Shape (batch, segments, kept tokens, dim), float32.

    Notes
    -----
    Moving by half a fold leaves half a fold over at each end; the reference fills it by
    repeating the outermost segment, and positions count from each fold's start.
    """
    batch, half = tokens.shape[0], len(layers) // 2
    first, second = layers[:half], layers[half:]
    x = _run_layers(
        first,
        tokens,
        segment=segment,
        keep=None,
        rows=rows,
        on_progress=lambda done: on_progress(done / 2),
    )
    x = torch.cat((x[:, :segment], x, x[:, -segment:]), dim=1)
    x = _run_layers(
        second,
        x,
        segment=segment,
        keep=keep,
        rows=rows,
        on_progress=lambda done: on_progress((1 + done) / 2),
    )
    kept = len(range(segment)[keep])
    return x.view(batch, -1, kept, x.shape[-1])[:, 1:-1]


def _run_layers(
    layers: Sequence[Layer],
    tokens: Tensor,
    *,
    segment: int,
    keep: slice | None,
    rows: int,
    on_progress: OnFraction,
) -> Tensor:
    if not layers:
        return tokens
    batch, _, dim = tokens.shape
    fold = FOLD_SEGMENTS * segment
    folds = tokens.reshape(-1, fold, dim)
    view = View.of(
        fold,
        block=fold,
        reach=0,
        segment=segment,
        dim_heads=layers[0].attn.dim_heads,
        device=tokens.device,
    )
    last = view if keep is None else view.only(keep)
    parts, done = torch.split(folds, share(len(folds), rows // fold)), []
    # Folds know nothing of each other, so a few at a time go through all layers while
    # they are in the processor's cache.
    for part in parts:
        states = part
        for layer in layers[:-1]:
            states = layer(states, view)
        done.append(layers[-1](states, last))
        on_progress(len(done) / len(parts))
    return torch.cat(done).reshape(batch, -1, dim)
