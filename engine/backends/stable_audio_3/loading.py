"""Parts of a model, and how a checkpoint's tensors become them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class Parts:
    """The networks of one model, each in its own dtype and on its own device."""

    transformer: torch.nn.Module
    """diffusers' ``StableAudio3DiTModel``."""
    codec_module: torch.nn.Module
    """What ``make_codec_module`` builds: SAME-S or SAME-L."""
    text_encoder: torch.nn.Module
    """transformers' ``T5GemmaEncoderModel``."""
    tokenizer: Any
    """The text encoder's tokenizer, from transformers."""
    duration_embedder: torch.nn.Module
    """diffusers' ``StableAudio3DurationEmbedder``, always in float32."""
