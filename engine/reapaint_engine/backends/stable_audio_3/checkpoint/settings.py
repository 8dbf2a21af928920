"""What a checkpoint's configuration says: the shapes of its parts and what it was trained for."""

import math
from dataclasses import dataclass
from enum import StrEnum

MIN_TRAINED_LATENTS = 256
"""Shorter pieces the makers' own deployment calls below the trained minimum."""


class Objective(StrEnum):
    """How a checkpoint was trained, and so how it is sampled."""

    DISTILLED = "rf_denoiser"
    """Few steps, each ending in a clean estimate: sampled by ping-pong."""
    BASE = "rectified_flow"
    """A velocity field: integrated by Euler's method, and steered by guidance."""


class CodecKind(StrEnum):
    """Which of the two autoencoders turns audio into latents."""

    SAME_S = "same-s"
    SAME_L = "same-l"


@dataclass(frozen=True, slots=True)
class TransformerShape:
    """The diffusion transformer's dimensions, named as diffusers' ``StableAudio3DiTModel`` does."""

    io_channels: int = 256
    patch_size: int = 1
    embed_dim: int = 1024
    depth: int = 20
    num_heads: int = 16
    cond_token_dim: int = 768
    global_cond_dim: int = 768
    local_add_cond_dim: int = 257
    timestep_features_dim: int = 256
    ff_mult: float = 4.0
    num_memory_tokens: int = 64
    use_differential_attention: bool = False


@dataclass(frozen=True, slots=True)
class CodecShape:
    """The autoencoder's dimensions, named as diffusers' ``AutoencoderSAME`` does."""

    kind: CodecKind = CodecKind.SAME_S
    audio_channels: int = 2
    patch_size: int = 256
    encoder_channels: int = 128
    encoder_c_mults: tuple[int, ...] = (6,)
    encoder_strides: tuple[int, ...] = (16,)
    encoder_transformer_depths: tuple[int, ...] = (6,)
    latent_dim: int = 256
    use_differential_attention: bool = True
    dim_heads: int = 64
    ff_mult: int = 3
    sliding_window: int = 1
    encoder_sinusoidal_blocks: tuple[int, ...] = (0,)
    decoder_sinusoidal_blocks: tuple[int, ...] = (0,)
    sample_rate: int = 44100

    @property
    def hop(self) -> int:
        """Frames of audio for one latent."""
        return self.patch_size * math.prod(self.encoder_strides)


@dataclass(frozen=True, slots=True)
class DurationShape:
    """The duration embedder's dimensions; ``min_val`` and ``max_val`` in seconds."""

    output_dim: int = 768
    fourier_dim: int = 256
    min_val: float = 0.0
    max_val: float = 384.0


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """One checkpoint: its parts, its objective, and how much audio it was made for."""

    transformer: TransformerShape
    codec: CodecShape
    duration: DurationShape
    objective: Objective
    max_frames: int
    """The longest audio in frames, headroom included."""
    max_tokens: int = 256
    """The longest prompt, in tokens."""

    @property
    def trained_s(self) -> float:
        """The shortest piece, headroom included, that the model met often in training."""
        return MIN_TRAINED_LATENTS * self.codec.hop / self.sample_rate

    @property
    def sample_rate(self) -> int:
        """The only rate the model knows, in Hz."""
        return self.codec.sample_rate
