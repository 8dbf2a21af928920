"""The SAME autoencoders: audio in patches, a transformer that resamples, latents.

One module for both kinds. diffusers' own ``AutoencoderSAME`` is SAME-L alone, with masks
that grow with the square of the length; parameters here have its names and its meaning.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F  # noqa: N812  # torch's own name for it
from torch import Tensor, nn

from reapaint_engine.backends.stable_audio_3.checkpoint.settings import CodecKind, CodecShape
from reapaint_engine.backends.stable_audio_3.network.banded import run_banded
from reapaint_engine.backends.stable_audio_3.network.same_blocks import Layer
from reapaint_engine.backends.stable_audio_3.network.same_s import FOLD_SEGMENTS, run_folded
from reapaint_engine.protocol.progress import OnFraction

CPU_ROWS = 1224
"""Tokens at a time on a CPU: enough for its matrix product, few enough for its cache."""

GPU_ROWS = 16320
"""Tokens at a time on a GPU: enough to fill it; SAME-L then needs about a gigabyte in half."""


def ignore(fraction: float) -> None:
    """Report progress to nobody."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """Latents of shape (batch, latent_dim, L), float32."""

    latents: Tensor


@dataclass(frozen=True, slots=True)
class Decoded:
    """Audio of shape (batch, channels, frames), float32, as loud as the decoder made it."""

    sample: Tensor


class Mapping(nn.Module):
    """A weight-normalised convolution over rows of shape (batch, rows, channels).

    ``weight_g`` and ``weight_v`` are what a checkpoint holds; ``fuse`` leaves their product.
    """

    def __init__(self, inside: int, outside: int, taps: int) -> None:
        super().__init__()
        scale = (inside * taps) ** -0.5
        self.bias = nn.Parameter(torch.zeros(outside))
        self.weight_g = nn.Parameter(torch.ones(outside, 1, 1))
        self.weight_v = nn.Parameter(scale * torch.randn(outside, inside, taps))

    def fuse(self) -> None:
        """Replace length and direction by the weight itself; harmless when done before."""
        if hasattr(self, "weight_g"):
            weight = self._weight().detach()
            del self.weight_g, self.weight_v
            self.weight = nn.Parameter(weight, requires_grad=False)

    def forward(self, rows: Tensor) -> Tensor:
        """Map the channels of each row, with its neighbours where there are three taps.

        Parameters
        ----------
        rows
            Shape (batch, rows, inside); float32, bfloat16 or float16.

        Returns
        -------
        Tensor
            Shape (batch, rows, outside); float32, bfloat16 or float16, as the weights.
        """
        weight = self.weight if hasattr(self, "weight") else self._weight()
        rows = rows.to(weight.dtype)
        if weight.shape[-1] == 1:
            return F.linear(rows, weight[..., 0], self.bias)
        mixed: Tensor = F.conv1d(rows.mT, weight, self.bias, padding="same")
        return mixed.mT

    def _weight(self) -> Tensor:
        direction = self.weight_v.float()
        length: Tensor = direction.norm(dim=(1, 2), keepdim=True)
        return (direction * (self.weight_g.float() / length)).to(self.weight_v.dtype)


class Resampler(nn.Module):
    """Turns ``stride`` rows into one latent, or back, among its neighbours.

    Each latent is a segment of ``stride + 1`` tokens: the rows and the latent, one of them
    given and the other asked of the transformer.
    """

    def __init__(self, shape: CodecShape, level: int, *, is_encoder: bool) -> None:
        super().__init__()
        channels = _channels(shape)
        fine, dim = channels[level], channels[level + 1]
        self.is_folded = shape.kind is CodecKind.SAME_S
        self.is_encoder = is_encoder
        self.stride = shape.encoder_strides[level]
        self.window = shape.sliding_window
        inside, outside = (fine, dim) if is_encoder else (dim, fine)
        # SAME-S smooths what it decoded over three rows; nothing else does.
        taps = 3 if self.is_folded and not is_encoder else 1
        self.mapping = nn.Identity() if fine == dim else Mapping(inside, outside, taps)
        self.new_tokens = nn.Parameter(torch.randn(1, 1, dim))
        self.transformers = nn.ModuleList(_layers(shape, level, dim, is_encoder=is_encoder))

    def forward(self, rows: Tensor, on_progress: OnFraction) -> Tensor:
        """Resample a whole number of segments.

        Parameters
        ----------
        rows
            In an encoder (batch, rows, channels), ``stride`` rows to a segment; in a decoder
            (batch, segments, dim). float32, bfloat16 or float16.
        on_progress
            Told the fraction done.

        Returns
        -------
        Tensor
            From an encoder (batch, segments, dim), float32; from a decoder
            (batch, rows, channels), as the weights, or float32 where it maps no channels.
        """
        if self.is_encoder:
            given = self.mapping(rows)
            given = given.reshape(len(rows), -1, self.stride, given.shape[-1])
            wanted = slice(self.stride, self.stride + 1)
            return self._ask(given, 1, wanted, on_progress)
        odd = -rows.shape[1] % FOLD_SEGMENTS if self.is_folded else 0
        given = F.pad(rows, (0, 0, 0, odd)).unsqueeze(2)
        made = self._ask(given, self.stride, slice(1, self.stride + 1), on_progress)
        mapped: Tensor = self.mapping(made)
        return mapped[:, : rows.shape[1] * self.stride]

    def _ask(self, given: Tensor, asked: int, wanted: slice, on_progress: OnFraction) -> Tensor:
        """Put ``asked`` new tokens behind what is given of each segment, and run the layers.

        ``given`` has shape (batch, segments, tokens, dim); the result (batch, rows, dim).
        """
        new = self.new_tokens[None].expand(*given.shape[:2], asked, -1)
        tokens = torch.cat((given.float(), new.float()), dim=2).flatten(1, 2)
        layers = cast("list[Layer]", list(self.transformers))
        rows = CPU_ROWS if tokens.device.type == "cpu" else GPU_ROWS
        if self.is_folded:
            made = run_folded(
                layers,
                tokens,
                segment=self.stride + 1,
                keep=wanted,
                rows=rows,
                on_progress=on_progress,
            )
        else:
            made = run_banded(
                layers,
                tokens,
                segment=self.stride + 1,
                window=self.window,
                keep=wanted,
                rows=rows,
                on_progress=on_progress,
            )
        return made.flatten(1, 2)


class Encoder(nn.Module):
    """From patches to latents before the bottleneck."""

    def __init__(self, shape: CodecShape) -> None:
        super().__init__()
        levels = range(len(shape.encoder_strides))
        self.blocks = nn.ModuleList(Resampler(shape, level, is_encoder=True) for level in levels)
        self.proj = nn.Linear(_channels(shape)[-1], shape.latent_dim)

    def forward(self, rows: Tensor, on_progress: OnFraction) -> Tensor:
        """Encode patches.

        Parameters
        ----------
        rows
            Shape (batch, patches, channels * patch_size), float32.
        on_progress
            Told the fraction done.

        Returns
        -------
        Tensor
            Shape (batch, L, latent_dim); float32, bfloat16 or float16, as the weights.
        """
        rows = _run_in_turn(self.blocks, rows, on_progress)
        return cast("Tensor", self.proj(rows.to(self.proj.weight.dtype)))


class Decoder(nn.Module):
    """From latents after the bottleneck to patches."""

    def __init__(self, shape: CodecShape) -> None:
        super().__init__()
        levels = reversed(range(len(shape.encoder_strides)))
        self.proj = nn.Linear(shape.latent_dim, _channels(shape)[-1])
        self.blocks = nn.ModuleList(Resampler(shape, level, is_encoder=False) for level in levels)

    def forward(self, latents: Tensor, on_progress: OnFraction) -> Tensor:
        """Decode latents to patches.

        Parameters
        ----------
        latents
            Shape (batch, L, latent_dim), float32.
        on_progress
            Told the fraction done.

        Returns
        -------
        Tensor
            Shape (batch, patches, channels * patch_size); as the weights, or float32 where
            the last block maps no channels.
        """
        rows = self.proj(latents.to(self.proj.weight.dtype))
        return _run_in_turn(self.blocks, rows, on_progress)


class Bottleneck(nn.Module):
    """Brings latents to the scale that the diffusion transformer was trained on."""

    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1, latent_dim, 1))
        self.bias = nn.Parameter(torch.zeros(1, latent_dim, 1))
        self.register_buffer("running_std", torch.ones(1))
        self.running_std: Tensor

    def encode(self, latents: Tensor) -> Tensor:
        """Scale latents to unit deviation.

        Parameters
        ----------
        latents
            Shape (batch, latent_dim, L); float32, bfloat16 or float16, as the weights.

        Returns
        -------
        Tensor
            Shape (batch, latent_dim, L), float32.
        """
        return (latents.float() * self.scale + self.bias) / self.running_std

    def decode(self, latents: Tensor) -> Tensor:
        """Scale latents back. The decoder was trained on what has its bias still.

        Parameters
        ----------
        latents
            Shape (batch, latent_dim, L), float32.

        Returns
        -------
        Tensor
            Shape (batch, latent_dim, L), float32.
        """
        return latents.float() * self.running_std


class Same(nn.Module):
    """A SAME autoencoder.

    ``encode`` and ``decode`` answer as diffusers' do. Both take memory in proportion to
    the length, add no noise, and work in the weights' type with sums in float32.
    """

    def __init__(self, shape: CodecShape) -> None:
        super().__init__()
        self.patch_size = shape.patch_size
        self.audio_channels = shape.audio_channels
        self.unit = shape.hop * (FOLD_SEGMENTS if shape.kind is CodecKind.SAME_S else 1)
        self.encoder = Encoder(shape)
        self.bottleneck = Bottleneck(shape.latent_dim)
        self.decoder = Decoder(shape)

    def encode(self, audio: Tensor, on_progress: OnFraction = ignore) -> Encoded:
        """Encode audio; silence fills the last ``unit``.

        Parameters
        ----------
        audio
            Shape (batch, channels, frames), float32, at the model's rate.
        on_progress
            Told the fraction done, often; what it raises ends the work.
        """
        audio = F.pad(audio, (0, -audio.shape[-1] % self.unit))
        patches = audio.reshape(*audio.shape[:2], -1, self.patch_size).transpose(1, 2).flatten(2)
        latents = self.encoder(patches, on_progress).mT
        return Encoded(self.bottleneck.encode(latents).contiguous())

    def decode(self, latents: Tensor, on_progress: OnFraction = ignore) -> Decoded:
        """Decode latents to a hop of frames each; peaks stay as they are.

        Parameters
        ----------
        latents
            Shape (batch, latent_dim, L), float32.
        on_progress
            Told the fraction done, often; what it raises ends the work.
        """
        rows = self.decoder(self.bottleneck.decode(latents).mT, on_progress)
        patches = rows.reshape(*rows.shape[:2], self.audio_channels, self.patch_size)
        return Decoded(patches.transpose(1, 2).flatten(2).float())


def fuse(module: nn.Module) -> nn.Module:
    """Multiply out the weight normalisation of a loaded autoencoder, in place.

    Call it once, after the checkpoint's ``weight_g`` and ``weight_v`` are in; ``weight``
    stands in their place from then on.
    """
    for part in module.modules():
        if isinstance(part, Mapping):
            part.fuse()
    return module


def _channels(shape: CodecShape) -> list[int]:
    """Return the width of a row at each level, patches first."""
    wide = [mult * shape.encoder_channels for mult in shape.encoder_c_mults]
    return [shape.audio_channels * shape.patch_size, *wide]


def _layers(shape: CodecShape, level: int, dim: int, *, is_encoder: bool) -> Iterator[Layer]:
    depth = shape.encoder_transformer_depths[level]
    counts = shape.encoder_sinusoidal_blocks if is_encoder else shape.decoder_sinusoidal_blocks
    count = counts[level] if len(counts) > 1 else counts[0]
    for number in range(depth):
        yield Layer(
            dim,
            min(shape.dim_heads, dim),
            differential=shape.use_differential_attention,
            ff_mult=shape.ff_mult,
            # One fewer than the count says, as the reference has it and was trained.
            sinusoidal=depth - number < count,
        )


def _run_in_turn(blocks: nn.ModuleList, rows: Tensor, on_progress: OnFraction) -> Tensor:
    for number, block in enumerate(blocks):

        def report(done: float, number: int = number) -> None:
            on_progress((number + done) / len(blocks))

        rows = block(rows, report)
    return rows
