"""Audio to latents and back: whole, or only the stretch that is needed."""

import torch
from torch import Tensor, nn

from reapaint_engine.backends.stable_audio_3.checkpoint.settings import CodecKind, CodecShape
from reapaint_engine.backends.stable_audio_3.network.same import Same, fuse, ignore
from reapaint_engine.backends.stable_audio_3.network.same_s import FOLD_SEGMENTS
from reapaint_engine.protocol.progress import OnFraction

__all__ = ["Codec", "fuse", "make_codec_module"]


def make_codec_module(shape: CodecShape) -> Same:
    """Build an autoencoder with untrained weights; under ``torch.device("meta")``, without any.

    Its state dict has the names of diffusers' ``AutoencoderSAME``, and nothing that is not
    in a checkpoint. Once that is loaded, call ``fuse``.
    """
    return Same(shape).eval().requires_grad_(False)


class Codec:
    """An autoencoder that touches no more of a recording than it must.

    Audio has shape (batch, channels, frames), latents (batch, latent_dim, L), both float32
    whatever the module computes in; they may come from any device and go back on the
    module's. Every method is deterministic and leaves peaks as they are.

    Parameters
    ----------
    module
        From ``make_codec_module``, or diffusers' ``AutoencoderSAME``, whose weights are
        then shared.
    shape
        The module's dimensions.
    """

    def __init__(self, module: nn.Module, shape: CodecShape) -> None:
        self.module = module if isinstance(module, Same) else _adopt(module, shape)
        self.hop = shape.hop
        self.latent_dim = shape.latent_dim
        self.channels = shape.audio_channels
        folded = shape.kind is CodecKind.SAME_S
        self.alignment = FOLD_SEGMENTS if folded else 1
        self.receptive_field = _receptive_field(shape)

    def latents_of(self, frames: int) -> int:
        """Return how many latents that many frames of audio have."""
        unit = self.hop * self.alignment
        return -(-frames // unit) * self.alignment

    def encode(self, audio: Tensor, on_progress: OnFraction = ignore) -> Tensor:
        """Encode all of the audio; silence fills its last latents.

        Parameters
        ----------
        audio
            Shape (batch, channels, frames), float32, at the model's rate.
        on_progress
            Told the fraction done, often; what it raises ends the work.

        Returns
        -------
        Tensor
            Shape (batch, latent_dim, latents), float32: ``latents_of(frames)`` latents.
        """
        return self.encode_range(audio, 0, self.latents_of(audio.shape[-1]), on_progress)

    def encode_range(
        self, audio: Tensor, first: int, last: int, on_progress: OnFraction = ignore
    ) -> Tensor:
        """Return ``encode(audio)[..., first:last]`` without encoding the rest.

        Parameters
        ----------
        audio
            Shape (batch, channels, frames), float32, at the model's rate: all of it, so
            that the latents at the edges of the range hear their neighbours.
        first, last
            Half-open, in latents.
        on_progress
            Told the fraction done, often; what it raises ends the work.

        Returns
        -------
        Tensor
            Shape (batch, latent_dim, last - first), float32.

        Raises
        ------
        ValueError
            The range is not within the audio's latents.

        Notes
        -----
        Equal to the whole for SAME-S, up to rounding for SAME-L.
        """
        low, high = self._window(first, last, self.latents_of(audio.shape[-1]))
        if first == last:
            return audio.new_empty(audio.shape[0], self.latent_dim, 0, device=self._device)
        heard = audio[..., low * self.hop : high * self.hop].to(self._device)
        latents = self.module.encode(heard, on_progress).latents
        return latents[..., first - low : last - low].contiguous()

    def decode(self, latents: Tensor, on_progress: OnFraction = ignore) -> Tensor:
        """Decode all of the latents, to ``hop`` frames each.

        Parameters
        ----------
        latents
            Shape (batch, latent_dim, latents), float32.
        on_progress
            Told the fraction done, often; what it raises ends the work.

        Returns
        -------
        Tensor
            Shape (batch, channels, latents * hop), float32, at the model's rate.
        """
        return self.decode_range(latents, 0, latents.shape[-1], on_progress)

    def decode_range(
        self, latents: Tensor, first: int, last: int, on_progress: OnFraction = ignore
    ) -> Tensor:
        """Return the frames of latents ``first`` to ``last``, as decoding all would make them.

        Range, errors and exactness are those of ``encode_range``.

        Parameters
        ----------
        latents
            Shape (batch, latent_dim, latents), float32: all of them.
        first, last
            Half-open, in latents.
        on_progress
            Told the fraction done, often; what it raises ends the work.

        Returns
        -------
        Tensor
            Audio of ``(last - first) * hop`` frames, shape (batch, channels, frames),
            float32, at the model's rate.
        """
        low, high = self._window(first, last, latents.shape[-1])
        if first == last:
            return latents.new_empty(latents.shape[0], self.channels, 0, device=self._device)
        heard = latents[..., low:high].to(self._device)
        audio = self.module.decode(heard, on_progress).sample
        start, stop = (first - low) * self.hop, (last - low) * self.hop
        return audio[..., start:stop].contiguous()

    @property
    def _device(self) -> torch.device:
        return self.module.bottleneck.running_std.device

    def _window(self, first: int, last: int, total: int) -> tuple[int, int]:
        """Return the latents to work on, so that ``first`` to ``last`` come out as in the whole."""
        if not 0 <= first <= last <= total:
            raise ValueError(f"latents {first} to {last} are not within 0 to {total}")
        low = max(0, first - self.receptive_field)
        high = last + self.receptive_field
        return low - low % self.alignment, min(total, high + -high % self.alignment)


def _receptive_field(shape: CodecShape) -> int:
    """Return how many latents on either side can be heard in one, in whole alignments.

    SAME-L hears a window further with each layer. Measured by moving single latents: 12
    for its twelve layers, and 2 for SAME-S, where nothing beyond is touched at all.
    """
    if shape.kind is CodecKind.SAME_S:
        return FOLD_SEGMENTS * len(shape.encoder_strides)
    return sum(shape.encoder_transformer_depths) * shape.sliding_window


def _adopt(module: nn.Module, shape: CodecShape) -> Same:
    """Put another module's weights under the same names into one of ours, shared."""
    with torch.device("meta"):
        own = make_codec_module(shape)
    state = {k: v for k, v in module.state_dict().items() if not k.endswith(".inv_freq")}
    if not any(key.endswith(".weight_g") for key in state):
        fuse(own)
    own.load_state_dict(state, assign=True)
    return own
