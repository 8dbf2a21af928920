"""Attention over heads whose queries and keys are normalised and turned by position."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

ROTARY_BASE = 10000.0
"""Angles fall from one radian a position to nearly 1 / 10000 of it."""

HEAD_EPS = 1e-6
"""Added to the mean square of a head's queries and keys; as trained."""


@dataclass(frozen=True, slots=True)
class RotaryTables:
    """What turns queries and keys by their position, their norms' gains included.

    With ``x`` a normalised head and ``swapped`` its two turning quarters exchanged, the
    result is ``straight * x + crossed * swapped``; beyond those quarters only
    ``straight`` counts. Both are float32: at 1420 positions bfloat16 would tell 322 of
    the first 387 apart.

    Attributes
    ----------
    straight
        (blocks, 2, 1, 1, 1, tokens, head_dim): for queries, then for keys.
    crossed
        (blocks, 2, 1, 1, 1, tokens, head_dim / 2).
    """

    straight: Tensor
    crossed: Tensor


def rotary_frequencies(head_dim: int) -> Tensor:
    """Return the angle a position adds to each pair, shape (head_dim / 4,), in radians.

    Half of a head's channels turn, in pairs, and the rest stay as they are.
    """
    turning = head_dim // 2
    return 1.0 / (ROTARY_BASE ** (torch.arange(0, turning, 2).float() / turning))


def rotary_tables(gains: Tensor, tokens: int) -> RotaryTables:
    """Return the tables for a sequence.

    Parameters
    ----------
    gains
        The norms' gains for queries and keys, shape (blocks, 2, head_dim).
    tokens
        The sequence's length.
    """
    gains = gains.float()[:, :, None, None, None, None, :]
    quarter = gains.shape[-1] // 4
    frequencies = rotary_frequencies(gains.shape[-1]).to(gains.device)
    angles = torch.outer(torch.arange(tokens, device=gains.device).float(), frequencies)
    cos, sin = angles.cos(), angles.sin()
    first, second = gains[..., :quarter], gains[..., quarter : 2 * quarter]
    rest = gains[..., 2 * quarter :]
    still = rest.expand(*rest.shape[:-2], tokens, -1)
    return RotaryTables(
        straight=torch.cat([first * cos, second * cos, still], dim=-1),
        crossed=torch.cat([-second * sin, first * sin], dim=-1),
    )


def head_scales(heads: Tensor) -> Tensor:
    """Return what brings each head to a mean square of 1, float32, shape (..., 1)."""
    return inverse_rms(heads, HEAD_EPS)


def inverse_rms(x: Tensor, eps: float) -> Tensor:
    """Return ``1 / sqrt(mean(x^2) + eps)`` over the last axis, in float32, shape (..., 1)."""
    norms: Tensor = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=torch.float32)
    return norms.square_().mul_(1 / x.shape[-1]).add_(eps).rsqrt_()


def turn(heads: Tensor, straight: Tensor, crossed: Tensor) -> Tensor:
    """Turn normalised heads by their positions, in float32.

    Parameters
    ----------
    heads
        (2, halves, n, heads, tokens, head_dim): queries and keys, contiguous.
    straight, crossed
        One block's share of ``RotaryTables``.
    """
    quarter = crossed.shape[-1] // 2
    turned = heads * straight
    for to, of in ((0, quarter), (quarter, 0)):
        target = turned[..., to : to + quarter]
        target.addcmul_(heads[..., of : of + quarter], crossed[..., to : to + quarter])
    return turned


def attend(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Attend, and with differential attention take the second half from the first.

    Both halves go through one call, side by side along the batch.

    Parameters
    ----------
    queries, keys
        (halves, n, heads, tokens, head_dim) with 1 or 2 halves.
    values
        (n, heads, tokens, head_dim); both halves look at the same.

    Returns
    -------
    Tensor
        (n, tokens, heads * head_dim).
    """
    halves, n = queries.shape[:2]
    shared = values.expand(halves, *values.shape).flatten(0, 1)
    out = functional.scaled_dot_product_attention(queries.flatten(0, 1), keys.flatten(0, 1), shared)
    out = out.transpose(1, 2).reshape(halves, n, queries.shape[3], -1)
    return out[0] if halves == 1 else out[0] - out[1]
