"""The transformer layer that both SAME autoencoders are made of, as their runs need it.

Parameters are named as in diffusers' ``AutoencoderSAME``, so that one map of keys serves
both. The arithmetic is the same; what differs is how little is computed twice.
"""

import math
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F  # noqa: N812  # torch's own name for it
from torch import Tensor, nn

ROTARY_BASE = 10000.0
"""The base of the rotary frequencies, as the weights were trained."""


def share(count: int, most: int) -> int:
    """Return the size of the fewest equal shares of ``count`` that are no larger than ``most``.

    Equal, because a small rest is slow, and a matrix product of few rows adds in another
    order: a window and the whole would then differ in their last bits.
    """
    return -(-count // -(-count // max(1, most)))


@dataclass(frozen=True, slots=True)
class Rotation:
    """Cosines and sines for rows of tokens, float32, shape (rows, 1, rotary dimensions / 2)."""

    cos: Tensor
    sin: Tensor

    @classmethod
    def of(cls, rows: int, dim_heads: int, device: torch.device) -> "Rotation":
        """Return the rotations of positions 0 to ``rows``.

        Notes
        -----
        Built in float32 from the positions each time it is asked for, so that no cast of
        the module can reach it: in bfloat16 neighbouring positions fall together.
        """
        dims = dim_heads // 2
        steps = torch.arange(0, dims, 2, dtype=torch.float32, device=device)
        positions = torch.arange(rows, dtype=torch.float32, device=device)
        angles = torch.outer(positions, ROTARY_BASE ** (-steps / dims)).unsqueeze(1)
        return cls(angles.cos(), angles.sin())

    def apply_rotary(self, heads: Tensor) -> Tensor:
        """Rotate the leading dimensions of every head in place.

        Parameters
        ----------
        heads
            Shape (..., rows, heads, dim), float32.

        Returns
        -------
        Tensor
            ``heads`` itself, (..., rows, heads, dim), float32.
        """
        half = self.cos.shape[-1]
        left, right = heads[..., :half], heads[..., half : 2 * half]
        turned = (right * self.cos).addcmul_(left, self.sin)
        left.mul_(self.cos).addcmul_(right, self.sin, value=-1)
        right.copy_(turned)
        return heads


@dataclass(frozen=True, slots=True)
class View:
    """Which rows of a stretch ask, and which answer them.

    A stretch has shape (batch, rows, dim). Its outer ``reach`` rows on both sides only
    answer. The others ask in blocks of ``block`` rows, and a block hears itself and
    ``reach`` rows on either side. ``mask`` is added to the scores, shape
    (blocks, 1, asking rows of a block, block + 2 * reach); without one all that is heard
    answers. ``keep`` says which tokens of each segment ask; only those come back.
    """

    block: int
    reach: int
    segment: int
    asking: Rotation
    answering: Rotation
    mask: Tensor | None = None
    keep: slice | None = None

    @classmethod
    def of(
        cls,
        rows: int,
        *,
        block: int,
        reach: int,
        segment: int,
        dim_heads: int,
        device: torch.device,
    ) -> "View":
        """Return the view of a stretch with ``rows`` asking rows; positions count from its start.

        Attention depends on differences of positions alone, so where counting starts is
        free, and small angles keep the most of float32.
        """
        answering = Rotation.of(rows + 2 * reach, dim_heads, device)
        asking = Rotation(answering.cos[reach : reach + rows], answering.sin[reach : reach + rows])
        return cls(block, reach, segment, asking, answering)

    def asked(self, rows: Tensor) -> Tensor:
        """Take the asking rows of a stretch.

        Parameters
        ----------
        rows
            Shape (batch, rows, ...), any dtype.

        Returns
        -------
        Tensor
            Shape (batch, asking rows, ...), the same dtype.
        """
        return self._keep_tokens(rows[:, self.reach : rows.shape[1] - self.reach], 1)

    def only(self, keep: slice) -> "View":
        """Return the same view with fewer tokens asking."""
        narrowed = replace(self, keep=keep)
        kept = narrowed._keep_tokens  # noqa: SLF001 - another view
        asking = Rotation(kept(self.asking.cos, 0), kept(self.asking.sin, 0))
        mask = None if self.mask is None else kept(self.mask, 2)
        return replace(narrowed, asking=asking, mask=mask)

    def windows(self, rows: Tensor) -> Tensor:
        """Give each block the rows that it hears.

        Parameters
        ----------
        rows
            Shape (batch, rows, ...), any dtype.

        Returns
        -------
        Tensor
            Shape (batch * blocks, block + 2 * reach, ...), the same dtype.
        """
        span = self.block + 2 * self.reach
        if rows.shape[1] == span:
            return rows
        windows: Tensor = rows.unfold(1, span, self.block).movedim(-1, 2)
        return windows.flatten(0, 1)

    def blocks(self, asking: Tensor) -> Tensor:
        """Split asking rows into their blocks.

        Parameters
        ----------
        asking
            Shape (batch, asking rows, ...), any dtype.

        Returns
        -------
        Tensor
            Shape (batch * blocks, asking rows of a block, ...), the same dtype.
        """
        kept = self.asking.cos.shape[0] * self.block // self._rows
        return asking.reshape(-1, kept, *asking.shape[2:])

    def mask_for(self, batch: int) -> Tensor | None:
        """Return the mask for the blocks of all of a batch, one stretch after another.

        Returns
        -------
        Tensor or None
            Shape (batch * blocks, 1, asking rows of a block, block + 2 * reach), as the
            weights; None where there is no mask.
        """
        if self.mask is None or batch == 1:
            return self.mask
        return self.mask.repeat(batch, 1, 1, 1)

    def _keep_tokens(self, rows: Tensor, dim: int) -> Tensor:
        if self.keep is None:
            return rows
        tokens = range(self.segment)[self.keep]
        before, after = rows.shape[:dim], rows.shape[dim + 1 :]
        segments = rows.reshape(*before, -1, self.segment, *after)
        return segments.narrow(dim + 1, tokens.start, len(tokens)).flatten(dim, dim + 1)

    @property
    def _rows(self) -> int:
        return self.answering.cos.shape[0] - 2 * self.reach


class DynamicTanh(nn.Module):
    """``gamma * tanh(alpha * x) + beta``, computed in float32."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.full((1,), 4.0))
        self.gamma = nn.Parameter(torch.ones(dim))
        self.beta = nn.Parameter(torch.zeros(dim))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise the last axis.

        Parameters
        ----------
        x
            Shape (..., dim); float32, bfloat16 or float16.

        Returns
        -------
        Tensor
            Shape (..., dim), float32, new.
        """
        squashed = (x.float() * self.alpha).tanh_()
        return squashed.mul_(self.gamma).add_(self.beta)


class Attention(nn.Module):
    """Attention with normalised queries and keys; differential: one map minus another.

    The rows of ``to_qkv`` are both queries, both keys, then the values.
    """

    def __init__(self, dim: int, dim_heads: int, *, differential: bool) -> None:
        super().__init__()
        self.maps = 2 if differential else 1
        self.dim_heads = dim_heads
        self.heads = dim // dim_heads
        self.to_qkv = nn.Linear(dim, dim * (2 * self.maps + 1), bias=False)
        self.to_out = nn.Linear(dim, dim, bias=False)
        self.q_norm = DynamicTanh(dim_heads)
        self.k_norm = DynamicTanh(dim_heads)

    def forward(self, x: Tensor, view: View) -> Tensor:
        """Let the asking rows hear their neighbourhoods.

        Parameters
        ----------
        x
            Shape (batch, rows, dim); float32, bfloat16 or float16.
        view
            Who asks and who answers.

        Returns
        -------
        Tensor
            Shape (batch, asking rows, dim); float32, bfloat16 or float16, as the weights.
        """
        weight = self.to_qkv.weight
        maps = self.maps * self.heads
        x = x.to(weight.dtype)
        asking, answering = weight.tensor_split([maps * self.dim_heads])
        # In two dimensions: with three, torch may take its slower batched product.
        asked = view.asked(x)
        queries = self._heads(F.linear(asked.reshape(-1, x.shape[-1]), asking))
        queries = queries.view(*asked.shape[:2], maps, self.dim_heads)
        keys, values = self._heads(F.linear(x, answering)).tensor_split([maps], dim=-2)
        queries = view.asking.apply_rotary(self.q_norm(queries)).to(weight.dtype)
        keys = view.answering.apply_rotary(self.k_norm(keys)).to(weight.dtype)
        if self.maps == 2:
            # Both maps in one call: they differ in queries and keys and share the values.
            values = torch.cat((values, values), dim=-2)
        heard = F.scaled_dot_product_attention(
            view.blocks(queries).transpose(1, 2),
            view.windows(keys).transpose(1, 2),
            view.windows(values).transpose(1, 2),
            attn_mask=view.mask_for(x.shape[0]),
        ).transpose(1, 2)
        if self.maps == 2:
            heard = heard[:, :, : self.heads] - heard[:, :, self.heads :]
        out: Tensor = self.to_out(heard.flatten(2))
        return out.view(x.shape[0], -1, out.shape[-1])

    def _heads(self, rows: Tensor) -> Tensor:
        return rows.view(*rows.shape[:-1], -1, self.dim_heads)


class FeedForward(nn.Module):
    """Two projections with a gate between: SiLU, or a sine in some layers of SAME-L."""

    def __init__(self, dim: int, mult: int, *, sinusoidal: bool) -> None:
        super().__init__()
        self.sinusoidal = sinusoidal
        self.proj_in = nn.Linear(dim, 2 * dim * mult)
        self.proj_out = nn.Linear(dim * mult, dim)

    def forward(self, x: Tensor) -> Tensor:
        """Transform each row by itself.

        Parameters
        ----------
        x
            Shape (..., dim); float32, bfloat16 or float16.

        Returns
        -------
        Tensor
            Shape (..., dim); float32, bfloat16 or float16, as the weights.
        """
        inner: Tensor = self.proj_in(x.to(self.proj_in.weight.dtype))
        signal, gate = inner.chunk(2, dim=-1)
        # The sine takes float32: a gate of ten is thirty radians, too many for a half.
        gate = torch.sin(gate.float() * math.pi) if self.sinusoidal else F.silu(gate)
        out: Tensor = self.proj_out(gate.to(signal.dtype).mul_(signal))
        return out


class Layer(nn.Module):
    """Attention, then feed-forward, each added to what came in.

    What is carried from layer to layer is float32 whatever the weights' type is: next to
    the products that costs nothing, and a sum in it neither overflows nor loses small terms.
    """

    def __init__(
        self, dim: int, dim_heads: int, *, differential: bool, ff_mult: int, sinusoidal: bool
    ) -> None:
        super().__init__()
        self.norm_attn = DynamicTanh(dim)
        self.attn = Attention(dim, dim_heads, differential=differential)
        self.norm_ff = DynamicTanh(dim)
        self.ff = FeedForward(dim, ff_mult, sinusoidal=sinusoidal)

    def forward(self, x: Tensor, view: View) -> Tensor:
        """Return the asking rows, transformed.

        Parameters
        ----------
        x
            Shape (batch, rows, dim), float32.
        view
            Who asks and who answers.

        Returns
        -------
        Tensor
            Shape (batch, asking rows, dim), float32.
        """
        carried: Tensor = view.asked(x) + self.attn(self.norm_attn(x), view)
        carried += self.ff(self.norm_ff(carried))
        return carried
