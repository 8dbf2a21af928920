"""How a block of the transformer hears its context: the prompt's tokens and the duration."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from reapaint_engine.backends.stable_audio_3.network.attention import attend, head_scales, rows_for
from reapaint_engine.backends.stable_audio_3.network.projections import PackedProjection, Projection


class ContextAttention:
    """One block's cross-attention; what does not change within a job is computed by ``prepare``.

    There are two ways. Where a CPU hears few tokens, each head's values go through the
    output's matrix once a job, so that a step sums ready contributions to ``x``: with 16
    tokens that takes half as long, and scores stay in float32. Else values are summed, and
    the sums go through the matrix.

    Parameters
    ----------
    cross
        The block's module. Where its queries' weight is ``packed``, ``restore`` gives it back.
    """

    def __init__(self, cross: Any, *, packed: bool) -> None:
        self._own = cross
        self._heads = (cross.heads, cross.dim_heads)
        self._halves = 2 if cross.use_differential else 1
        self._query = (PackedProjection if packed else Projection)(cross.to_q)
        self._out = cross.to_out.weight.detach()

    def prepare(self, context: Tensor) -> tuple[Tensor, Tensor]:
        """Return what a job keeps of its context.

        Parameters
        ----------
        context
            Shape (branches, tokens, width); float32, bfloat16 or float16, as the weights.

        Returns
        -------
        keys
            Normalised, with the gains of keys and queries and the scale of their products.
            (branches, halves * heads, head_dim, rows), float32, or where values are summed
            (branches, rows, halves * heads, head_dim), as the weights.
        values
            What each row adds to ``x`` by each head, (branches, heads * rows, width), or
            where values are summed (branches, rows, halves * heads, head_dim); as the
            weights.
        """
        cross, tokens = self._own, context.shape[1]
        parts: Tensor = cross.to_kv(context)
        parts = parts.view(*context.shape[:2], -1, *self._heads)
        rows = rows_for(tokens, context.device)
        parts = functional.pad(parts, (0, 0, 0, 0, 0, 0, 0, rows - tokens))
        gains = cross.k_norm.gamma.float() * cross.q_norm.gamma.float()
        keys = parts[:, :, :-1].float().flatten(2, 3)
        keys = keys * head_scales(keys) * gains
        values = parts[:, :, -1]
        if self._contributes(rows, context.device):
            scaled = keys * self._heads[1] ** -0.5
            return scaled.permute(0, 2, 3, 1).contiguous(), self._contributions(values)
        values = values.repeat(1, 1, self._halves, 1)
        return keys.to(context.dtype), values

    def add_to(
        self, x: Tensor, normed: Tensor, keys: Tensor, values: Tensor, mask: Tensor
    ) -> Tensor:
        """Return ``x`` with what it takes from the context; it may be changed in place.

        Parameters
        ----------
        x, normed
            Each (branches, takes, tokens, width); float32, bfloat16 or float16, as the
            weights. All takes of a branch ask as one sequence.
        keys
            From ``prepare``: (branches, halves * heads, head_dim, rows), float32, or
            (branches, rows, halves * heads, head_dim), as the weights.
        values
            From ``prepare``: (branches, heads * rows, width) or
            (branches, rows, halves * heads, head_dim), as the weights.
        mask
            From ``padding_mask``, of the context's tokens and like ``keys``: (1, rows) or
            (1, 0), the same dtype.

        Returns
        -------
        Tensor
            Shape (branches, takes, tokens, width), as the weights.
        """
        queries = self._query(normed)
        queries = queries.view(len(x), -1, self._halves * self._heads[0], self._heads[1]).float()
        scales = head_scales(queries)
        if values.ndim == 4:
            heard = attend((queries * scales).to(x.dtype), keys, values, mask, self._heads[0])
            return x.add_(functional.linear(heard, self._out).view(x.shape))
        scores = torch.matmul(queries.transpose(1, 2), keys).transpose(1, 2) * scales
        if mask.numel():
            scores += mask
        shares = scores.softmax(dim=-1)
        if self._halves == 2:
            first, second = shares.chunk(2, dim=2)
            shares = first - second
        shares = shares.to(x.dtype).flatten(2)
        return torch.baddbmm(x.flatten(1, 2), shares, values).view(x.shape)

    def restore(self) -> None:
        """Give the module back what was taken from it."""
        self._query.restore(self._own.to_q)

    def _contributes(self, rows: int, device: torch.device) -> bool:
        """Whether a step is quicker with ready contributions: a smaller matrix, on a CPU."""
        _, head_dim = self._heads
        return device.type == "cpu" and rows < head_dim

    def _contributions(self, values: Tensor) -> Tensor:
        """Send (branches, rows, heads, head_dim) through the output's matrix, head by head."""
        branches, rows = values.shape[:2]
        by_head = values.permute(2, 0, 1, 3).flatten(1, 2)
        matrices = self._out.view(-1, *self._heads).transpose(0, 1).contiguous().mT
        sent = torch.bmm(by_head, matrices).view(len(by_head), branches, rows, -1)
        return sent.transpose(0, 1).flatten(1, 2)
