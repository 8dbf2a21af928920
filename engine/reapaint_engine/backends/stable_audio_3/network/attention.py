"""Attention over heads whose queries and keys are normalised and turned by position."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

ROTARY_BASE = 10000.0
"""Angles fall from one radian a position to nearly 1 / 10000 of it."""

ROWS_MULTIPLE = 16
"""A CPU's matrix units take so many rows at a time.

PyTorch's attention takes twice as long with 452 keys as with 464, and nearly twice as long
with 13 as with 16; a product of 452 rows takes up to an eighth longer than one of 464.
"""

HEAD_EPS = 1e-6
"""Added to the mean square of a head's queries and keys; as trained."""


@dataclass(frozen=True, slots=True)
class RotaryTables:
    """What turns queries and keys by their position, their norms' gains included.

    With ``x`` a normalised head and ``swapped`` its two turning quarters exchanged, the
    result is ``cos_table * x + sin_table * swapped``; beyond those quarters only
    ``cos_table`` counts. Both are float32: at 1420 positions bfloat16 would tell 322 of
    the first 387 apart.

    Attributes
    ----------
    cos_table
        (blocks, tokens, 2, 1, head_dim): for queries, then for keys.
    sin_table
        (blocks, tokens, 2, 1, head_dim / 2).
    """

    cos_table: Tensor
    sin_table: Tensor


def rotary_frequencies(head_dim: int) -> Tensor:
    """Return the angle a position adds to each pair.

    Half of a head's channels turn, in pairs, and the rest stay as they are.

    Returns
    -------
    Tensor
        In radians, shape (head_dim / 4,), float32.
    """
    turning = head_dim // 2
    return 1.0 / (ROTARY_BASE ** (torch.arange(0, turning, 2).float() / turning))


def rotary_tables(gains: Tensor, tokens: int) -> RotaryTables:
    """Return the tables for a sequence.

    Parameters
    ----------
    gains
        The norms' gains for queries and keys, shape (blocks, 2, head_dim); float32,
        bfloat16 or float16, as the weights.
    tokens
        The sequence's length.
    """
    gains = gains.float()[:, None, :, None, :]
    quarter = gains.shape[-1] // 4
    frequencies = rotary_frequencies(gains.shape[-1]).to(gains.device)
    angles = torch.outer(torch.arange(tokens, device=gains.device).float(), frequencies)
    cos, sin = (part[:, None, None] for part in (angles.cos(), angles.sin()))
    first, second = gains[..., :quarter], gains[..., quarter : 2 * quarter]
    rest = gains[..., 2 * quarter :]
    still = rest.expand(-1, tokens, -1, -1, -1)
    return RotaryTables(
        cos_table=torch.cat([first * cos, second * cos, still], dim=-1),
        sin_table=torch.cat([-second * sin, first * sin], dim=-1),
    )


def head_scales(heads: Tensor) -> Tensor:
    """Return what brings each head to a mean square of 1.

    Parameters
    ----------
    heads
        Shape (..., head_dim); float32, bfloat16 or float16.

    Returns
    -------
    Tensor
        Factors, shape (..., 1), float32.
    """
    return inverse_rms(heads, HEAD_EPS)


def inverse_rms(x: Tensor, eps: float) -> Tensor:
    """Return ``1 / sqrt(mean(x^2) + eps)`` over the last axis.

    Parameters
    ----------
    x
        Shape (..., width); float32, bfloat16 or float16.
    eps
        Keeps silence from being divided by.

    Returns
    -------
    Tensor
        Shape (..., 1), float32.
    """
    norms: Tensor = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=torch.float32)
    return norms.square_().mul_(1 / x.shape[-1]).add_(eps).rsqrt_()


def apply_rotary(heads: Tensor, cos_table: Tensor, sin_table: Tensor) -> Tensor:
    """Turn normalised heads by their positions, in place and in float32.

    Parameters
    ----------
    heads
        Shape (n, tokens, 2, heads, head_dim), float32: queries, then keys.
    cos_table
        One block's of ``RotaryTables``, shape (tokens, 2, 1, head_dim), float32.
    sin_table
        The same, shape (tokens, 2, 1, head_dim / 2), float32.

    Returns
    -------
    Tensor
        ``heads`` itself, (n, tokens, 2, heads, head_dim), float32.
    """
    quarter = sin_table.shape[-1] // 2
    first, second = heads[..., :quarter], heads[..., quarter : 2 * quarter]
    from_second, from_first = second * sin_table[..., :quarter], first * sin_table[..., quarter:]
    heads.mul_(cos_table)
    first += from_second
    second += from_first
    return heads


def rows_for(tokens: int, device: torch.device) -> int:
    """Return in how many rows to keep a sequence, so that matrices and attention are fast.

    On a CPU that is a multiple of ``ROWS_MULTIPLE``; a GPU's sequences stay as they are.
    """
    return tokens + (-tokens % ROWS_MULTIPLE if device.type == "cpu" else 0)


def padding_mask(tokens: int, like: Tensor) -> Tensor:
    """Return what keeps the rows behind ``tokens`` from being heard.

    Parameters
    ----------
    tokens
        How many rows are heard.
    like
        Any shape; float32, bfloat16 or float16. Its dtype and device are the mask's.

    Returns
    -------
    Tensor
        To be added to scores: shape (1, rows), 0 or minus infinity, of the same dtype; or
        (1, 0) where there are no such rows.
    """
    rows = rows_for(tokens, like.device)
    mask = like.new_zeros(1, rows if rows > tokens else 0)
    mask[:, tokens:] = float("-inf")
    return mask


def attend(queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor, heads: int) -> Tensor:
    """Attend, and with differential attention take the second half from the first.

    Both halves go through one call, side by side as heads.

    Parameters
    ----------
    queries
        Shape (n, tokens, halves * heads, head_dim) with 1 or 2 halves; float32, bfloat16
        or float16, as the weights.
    keys, values
        Each (n, keys, halves * heads, head_dim), the same dtype; both halves look at the
        same values.
    mask
        From ``padding_mask``, shape (1, keys) or (1, 0), the same dtype.
    heads
        How many to a half.

    Returns
    -------
    Tensor
        Shape (n, tokens, heads * head_dim), the same dtype.
    """
    out = functional.scaled_dot_product_attention(
        queries.transpose(1, 2),
        keys.transpose(1, 2),
        values.transpose(1, 2),
        attn_mask=mask if mask.numel() else None,
    ).transpose(1, 2)
    if out.shape[2] > heads:
        out = out[:, :, :heads] - out[:, :, heads:]
    return out.flatten(2)
