"""The diffusion transformer as its sampler needs it: all that a job keeps is computed once."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from reapaint_engine.backends.stable_audio_3.network.attention import (
    RotaryTables,
    apply_rotary,
    attend,
    head_scales,
    inverse_rms,
    padding_mask,
    rotary_frequencies,
    rotary_tables,
    rows_for,
)
from reapaint_engine.backends.stable_audio_3.network.context_attention import ContextAttention
from reapaint_engine.backends.stable_audio_3.network.last_result import LastResult
from reapaint_engine.backends.stable_audio_3.network.projections import (
    GatedProjection,
    PackedGatedProjection,
    PackedProjection,
    Projection,
    can_pack,
)

BLOCK_EPS = 1e-5
"""What the blocks' norms were trained with; diffusers has 1e-6, which moves medium by 0.2 %."""

MAX_ROTARY_TABLES = 2
"""For so many sequence lengths are rotary tables kept: a job's, and the one before."""

_GAIN_ATTN, _SHIFT_ATTN, _GATE_ATTN, _GAIN_FF, _SHIFT_FF, _GATE_FF = range(6)


def repair(transformer: nn.Module) -> None:
    """Undo what diffusers 0.42 gets wrong, after weights and dtype are in place.

    Block norms get the epsilon they were trained with, and the rotary frequencies are
    computed anew in float32, where a cast of the model has rounded them.
    """
    model: Any = transformer
    for block in model.transformer_blocks:
        for norm in (block.pre_norm, block.cross_attend_norm, block.ff_norm):
            norm.eps = BLOCK_EPS
    rotary = model.rotary_pos_emb
    head_dim = 4 * rotary.inv_freq.numel()
    rotary.inv_freq = rotary_frequencies(head_dim).to(rotary.inv_freq.device)


@dataclass(frozen=True, slots=True, eq=False)
class PreparedJob:
    """What a job's steps share, on the model's device and, where none is told, in its dtype.

    Two of one model, length and number of steps have the same shapes, so that one's
    tensors can be copied over the other's.

    Attributes
    ----------
    modulation
        (steps, blocks, 6, 1 or branches, 1, 1, width): gain, shift and gate of the
        self-attention, then of the feed-forward.
    keys, values
        What ``ContextAttention`` prepared, with the blocks before its dimensions.
    context_mask
        Of the context's rows: see ``padding_mask``.
    local
        (blocks, 1 or branches, 1, latents, width).
    cos_table, sin_table
        ``RotaryTables`` for the rows of memory tokens and latents together, float32.
    own_mask
        Of those rows.
    """

    modulation: Tensor
    keys: Tensor
    values: Tensor
    context_mask: Tensor
    local: Tensor
    cos_table: Tensor
    sin_table: Tensor
    own_mask: Tensor

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """All of it, in the order in which it is made.

        Returns
        -------
        tuple of Tensor
            Any shape and dtype that ``Attributes`` tells: float32, or as the weights.
        """
        return tuple(getattr(self, field.name) for field in fields(self))

    @property
    def branches(self) -> int:
        """1, or 2 with guidance: the conditional, then the unconditional."""
        return int(self.keys.shape[1])


class Denoiser:
    """Computes what ``StableAudio3DiTModel`` computes, faster, from its weights.

    Equal to the repaired module's forward up to rounding. Per job rather than per step:
    the context's keys and values, every block's share of the local conditioning, and
    the modulation, which is computed in float32 from the noise level on. Per step: no
    copies but those that attention needs, both branches and all takes together.

    The weights are the transformer's own. On a CPU in bfloat16 the large ones are laid
    out anew and taken from it, until ``release`` gives them back; whoever changes the
    transformer's weights releases them before, and makes another ``Denoiser`` after.

    Parameters
    ----------
    transformer
        Of one dtype and on one device; ``repair`` is applied to it.

    Raises
    ------
    ValueError
        The transformer groups latents into patches, which no published one does.
    """

    def __init__(self, transformer: nn.Module) -> None:
        model: Any = transformer
        if model.config.patch_size != 1:
            raise ValueError("a transformer with patches has no place for local conditioning")
        repair(model)
        self._transformer = model
        self._proj_in, self._proj_out = _outer_projections(model)
        self._memory = _memory_tokens(model)
        packed = can_pack(self._proj_in)
        self._blocks = [_Block(block, packed=packed) for block in model.transformer_blocks]
        self._rotary: OrderedDict[int, RotaryTables] = OrderedDict()
        self._context = LastResult(self._make_context)
        self._added = LastResult(self._make_added)

    @property
    def dtype(self) -> torch.dtype:
        """What the matrices are multiplied in."""
        return self._proj_in.dtype

    def release(self) -> None:
        """Give the transformer all its weights back; this object is of no use afterwards."""
        for block in self._blocks:
            block.restore()
        self._blocks = []
        del self._context, self._added

    def prepare(
        self, context: Tensor, global_embed: Tensor, local: Tensor, sigmas: Sequence[float]
    ) -> PreparedJob:
        """Compute what all steps and takes of a job share, but for what the last job had too.

        Parameters
        ----------
        context
            What cross-attention looks at, (branches, tokens, condition width), float32.
        global_embed
            The embedded duration, (branches, condition width), float32.
        local
            What is kept, as 1 or 0, then the kept latents:
            (branches or 1, 1 + latent_dim, latents), float32.
        sigmas
            The noise level of each step.
        """
        keys, values, context_mask = self._context(context.to(self._memory))
        tokens = len(self._memory) + local.shape[-1]
        tables = self._tables(rows_for(tokens, self._memory.device))
        return PreparedJob(
            modulation=self._modulation(global_embed, sigmas),
            keys=keys,
            values=values,
            context_mask=context_mask,
            local=self._added(local.to(self._memory)),
            cos_table=tables.cos_table,
            sin_table=tables.sin_table,
            own_mask=padding_mask(tokens, self._memory),
        )

    def velocity(self, job: PreparedJob, latents: Tensor, step: int) -> Tensor:
        """Return the velocity at a step's noise level.

        Parameters
        ----------
        job
            From ``prepare``.
        latents
            (takes, latent_dim, latents), float32.
        step
            Which of the job's noise levels they are at.

        Returns
        -------
        Tensor
            (branches, takes, latent_dim, latents), float32.
        """
        memory = len(self._memory)
        tokens = functional.linear(latents.to(self.dtype).transpose(1, 2), self._proj_in)
        takes, length, width = tokens.shape
        rows = rows_for(memory + length, tokens.device)
        x = tokens.new_zeros(job.branches, takes, rows, width)
        x[:, :, :memory] = self._memory
        x[:, :, memory : memory + length] = tokens
        for index, block in enumerate(self._blocks):
            x = block.attend_to_itself(x, job, step, index)
            if index == len(self._blocks) - 1:
                x, memory = x[:, :, memory:].contiguous(), 0
            x = block.attend_to_context(x, job, index)
            x[:, :, memory : memory + length] += job.local[index]
            x = block.feed_forward(x, job, step, index)
        return functional.linear(x[:, :, :length], self._proj_out).transpose(2, 3).float()

    def _make_context(self, context: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return keys, values and mask; see ``PreparedJob``."""
        embedded = self._transformer.to_cond_embed(context)
        pairs = [block.context.prepare(embedded) for block in self._blocks]
        keys, values = (torch.stack(part) for part in zip(*pairs, strict=True))
        return keys, values, padding_mask(context.shape[1], keys)

    def _make_added(self, local: Tensor) -> Tensor:
        """Return what each block adds to the latents; see ``PreparedJob``."""
        sequence = local.transpose(1, 2)
        blocks = self._transformer.transformer_blocks
        return torch.stack([block.to_local_embed(sequence) for block in blocks]).unsqueeze(2)

    def _modulation(self, global_embed: Tensor, sigmas: Sequence[float]) -> Tensor:
        """Return gains, shifts and gates of every step and block; see ``PreparedJob``."""
        if len(global_embed) > 1 and torch.equal(*global_embed):
            global_embed = global_embed[:1]
        model, device = self._transformer, self._memory.device
        levels = torch.tensor(sigmas, dtype=torch.float32, device=device)
        timestep = _in_float32(model.to_timestep_embed, model.timestep_features(levels))
        duration = _in_float32(model.to_global_embed, global_embed.to(device).float())
        shared = _in_float32(model.global_cond_embedder, timestep[:, None] + duration)
        own = torch.stack([b.to_scale_shift_gate for b in model.transformer_blocks]).float()
        shared = shared.view(len(sigmas), 1, len(global_embed), 6, -1)
        parts = (shared + own.view(len(own), 1, 6, -1)).transpose(2, 3)
        for gain, gate, norm in (
            (_GAIN_ATTN, _GATE_ATTN, "pre_norm"),
            (_GAIN_FF, _GATE_FF, "ff_norm"),
        ):
            gains = torch.stack([getattr(b, norm).gamma for b in model.transformer_blocks]).float()
            parts[:, :, gain].add_(1).mul_(gains[:, None])
            parts[:, :, gate].neg_().add_(1).sigmoid_()
        return parts[..., None, None, :].to(self.dtype)

    def _tables(self, rows: int) -> RotaryTables:
        if rows not in self._rotary:
            gains = torch.stack([block.head_gains for block in self._blocks])
            self._rotary[rows] = rotary_tables(gains, rows)
        self._rotary.move_to_end(rows)
        while len(self._rotary) > MAX_ROTARY_TABLES:
            self._rotary.popitem(last=False)
        return self._rotary[rows]


class _Block:
    """One block of the transformer; ``x`` is (branches, takes, rows, width)."""

    def __init__(self, block: Any, *, packed: bool) -> None:
        self._own = block
        attention, cross = block.self_attn, block.cross_attn
        self._heads = (attention.heads, attention.dim_heads)
        self._halves = 2 if attention.use_differential else 1
        self.head_gains = torch.stack([attention.q_norm.gamma, attention.k_norm.gamma]).detach()
        self._context_gain = block.cross_attend_norm.gamma.detach()
        self.context = ContextAttention(cross, packed=packed)
        plain = PackedProjection if packed else Projection
        gated = PackedGatedProjection if packed else GatedProjection
        self._qkv, self._out = plain(attention.to_qkv), plain(attention.to_out)
        self._up, self._down = gated(block.ff.proj_in), plain(block.ff.proj_out)

    def attend_to_itself(self, x: Tensor, job: PreparedJob, step: int, index: int) -> Tensor:
        """Add gated self-attention to ``x``, in place."""
        modulation = job.modulation[step, index]
        normed = _normalise(x, modulation[_GAIN_ATTN], modulation[_SHIFT_ATTN])
        parts = self._by_part(self._qkv(normed).flatten(0, 1))
        heads = parts[:, :, :-1].float()
        heads = heads.view(*parts.shape[:2], 2, -1, parts.shape[-1])
        heads *= head_scales(heads)
        turned = apply_rotary(heads, job.cos_table[index], job.sin_table[index]).to(x.dtype)
        queries, keys = turned.unbind(2)
        values = self._for_halves(parts[:, :, -1:])
        out = attend(queries, keys, values, job.own_mask, self._heads[0]).view(x.shape)
        return x.addcmul_(self._out(out), modulation[_GATE_ATTN])

    def attend_to_context(self, x: Tensor, job: PreparedJob, index: int) -> Tensor:
        """Return ``x`` with what it takes from the context."""
        normed = _normalise(x, self._context_gain)
        return self.context.add_to(x, normed, job.keys[index], job.values[index], job.context_mask)

    def feed_forward(self, x: Tensor, job: PreparedJob, step: int, index: int) -> Tensor:
        """Add the gated feed-forward to ``x``, in place."""
        modulation = job.modulation[step, index]
        normed = _normalise(x, modulation[_GAIN_FF], modulation[_SHIFT_FF])
        return x.addcmul_(self._down(self._up(normed)), modulation[_GATE_FF])

    def _for_halves(self, values: Tensor) -> Tensor:
        """Repeat (n, tokens, 1, heads, head_dim) for each half, as more heads."""
        return values.expand(-1, -1, self._halves, -1, -1).flatten(2, 3)

    def _by_part(self, x: Tensor) -> Tensor:
        """View (n, tokens, parts * width) as (n, tokens, parts, heads, head_dim)."""
        return x.view(*x.shape[:2], -1, *self._heads)

    def restore(self) -> None:
        """Give the block its weights back."""
        own = self._own
        self._qkv.restore(own.self_attn.to_qkv)
        self._out.restore(own.self_attn.to_out)
        self.context.restore()
        self._up.restore(own.ff.proj_in)
        self._down.restore(own.ff.proj_out)


def _memory_tokens(model: Any) -> Tensor:
    """Return what stands before the latents, (tokens, width); a model may have none."""
    tokens: Tensor
    if model.config.num_memory_tokens:
        tokens = model.memory_tokens.detach()
    else:
        tokens = model.proj_in.weight.detach().new_empty(0, model.config.embed_dim)
    return tokens


def _outer_projections(model: Any) -> tuple[Tensor, Tensor]:
    """Return the way in and the way out, each with its residual 1x1 convolution."""
    before, after = (
        conv.weight[..., 0].float() for conv in (model.preprocess_conv, model.postprocess_conv)
    )
    way_in, way_out = model.proj_in.weight, model.proj_out.weight
    merged_in = way_in.float() + way_in.float() @ before
    merged_out = way_out.float() + after @ way_out.float()
    return merged_in.to(way_in).detach(), merged_out.to(way_out).detach()


def _in_float32(layers: Any, x: Tensor) -> Tensor:
    """Apply linear layers and what stands between them in float32, whatever they are in."""
    for layer in layers:
        if isinstance(layer, torch.nn.Linear):
            bias = None if layer.bias is None else layer.bias.float()
            x = functional.linear(x, layer.weight.float(), bias)
        else:
            x = layer(x)
    return x


def _normalise(x: Tensor, gain: Tensor, shift: Tensor | None = None) -> Tensor:
    """Bring the last axis to a mean square of 1, then scale and shift it.

    The mean square is summed in float32, and rounded only as a factor of its row.
    """
    if x.device.type == "cpu":
        # PyTorch's own is not fused here, and promotes all of x: three times slower.
        scaled = x * inverse_rms(x, BLOCK_EPS).to(x.dtype)
    else:
        scaled = functional.rms_norm(x, x.shape[-1:], eps=BLOCK_EPS)
    return scaled.mul_(gain) if shift is None else torch.addcmul(shift, scaled, gain)
