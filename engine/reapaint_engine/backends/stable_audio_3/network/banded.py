"""SAME-L: attention in a band around each token, in memory that grows with the length alone."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F  # noqa: N812  # torch's own name for it
from torch import Tensor

from reapaint_engine.backends.stable_audio_3.network.same_blocks import Layer, View, share
from reapaint_engine.protocol.progress import OnFraction

BLOCK_SEGMENTS = 6
"""Segments that ask together: with one more on each side to hear, 8 of 17 tokens are 136, and
a GPU's attention wants a multiple of 8; twice as many scores as the band, a hundredth of the work.
"""


def run_banded(
    layers: Sequence[Layer],
    tokens: Tensor,
    *,
    segment: int,
    window: int,
    keep: slice,
    rows: int,
    on_progress: OnFraction,
) -> Tensor:
    """Run layers in which a token hears ``window`` segments' worth of tokens on either side.

    Parameters
    ----------
    layers
        At least one.
    tokens
        Shape (batch, tokens, dim), float32; whole segments.
    segment
        Tokens to one latent.
    window
        The band's half-width in segments.
    keep
        The tokens of each segment that are wanted.
    rows
        About how many tokens to take through a layer at a time; the result is the same up
        to rounding.
    on_progress
        Told the fraction done, often; what it raises ends the run.

    Returns
    -------
    Tensor
        Shape (batch, segments, kept tokens, dim), float32.
    """
    batch, length, dim = tokens.shape
    block, reach = BLOCK_SEGMENTS * segment, window * segment
    blocks = -(-length // block)
    # The margins are never written: they are what the first and the last rows find beside
    # them, and the mask keeps anyone from hearing it.
    x = F.pad(tokens, (0, 0, reach, blocks * block - length + reach))
    spare = torch.zeros_like(x)
    group = min(batch, max(1, rows // (blocks * block)))
    stretches = list(
        _stretches(
            layers[0],
            length=length,
            block=block,
            reach=reach,
            segment=segment,
            rows=rows // group,
            device=tokens.device,
        )
    )
    work = [(first, at) for first in range(0, batch, group) for at in range(len(stretches))]
    kept = len(range(segment)[keep])
    wanted = x.new_empty(batch, blocks * BLOCK_SEGMENTS * kept, dim)
    for number, layer in enumerate(layers):
        is_last = number == len(layers) - 1
        for piece, (first, at) in enumerate(work):
            start, stop, view = stretches[at]
            heard = x[first : first + group, start : stop + 2 * reach]
            if is_last:
                edge = slice(start // segment * kept, stop // segment * kept)
                wanted[first : first + group, edge] = layer(heard, view.only(keep))
            else:
                made = layer(heard, view)
                spare[first : first + group, start + reach : stop + reach] = made
            on_progress((number * len(work) + piece + 1) / (len(layers) * len(work)))
        x, spare = spare, x
    return wanted.view(batch, -1, kept, dim)[:, : length // segment]


def _stretches(
    layer: Layer,
    *,
    length: int,
    block: int,
    reach: int,
    segment: int,
    rows: int,
    device: torch.device,
) -> Iterator[tuple[int, int, View]]:
    """Cut ``length`` tokens into stretches of whole blocks, each with its view."""
    blocks = -(-length // block)
    stretch, total = share(blocks, rows // block) * block, blocks * block
    dtype = layer.attn.to_qkv.weight.dtype
    for start in range(0, total, stretch):
        stop = min(start + stretch, total)
        view = View.of(
            stop - start,
            block=block,
            reach=reach,
            segment=segment,
            dim_heads=layer.attn.dim_heads,
            device=device,
        )
        mask = _band_mask(start, stop, length=length, block=block, reach=reach, device=device)
        yield start, stop, replace(view, mask=mask.to(dtype))


def _band_mask(
    start: int, stop: int, *, length: int, block: int, reach: int, device: torch.device
) -> Tensor:
    """Return what each asking row adds to its scores: (blocks, 1, block, block + 2 * reach)."""
    firsts = torch.arange(start, stop, block, device=device)[:, None, None]
    asking = torch.arange(block, device=device)[:, None]
    answering = torch.arange(-reach, block + reach, device=device)
    place = firsts + answering
    is_near = (answering - asking).abs() <= reach
    is_real = (place >= 0) & (place < length)
    # Rows past the end ask as well, and a row that hears nothing becomes a NaN.
    is_heard = is_near & (is_real | (firsts + asking >= length))
    return torch.where(is_heard, 0.0, float("-inf")).unsqueeze(1)
