"""The length of the audio as a vector that the model is told it by."""

import math
from typing import Any

import torch
from torch import Tensor, nn


def embed_duration(embedder: nn.Module, seconds: float) -> Tensor:
    """Embed a duration, in float32 whatever the embedder's own dtype.

    Parameters
    ----------
    embedder
        diffusers' ``StableAudio3DurationEmbedder``.
    seconds
        Held within the range that the embedder knows.

    Returns
    -------
    Tensor
        Shape (1, output_dim), float32, on the embedder's device.

    Notes
    -----
    The module's own forward takes its frequencies, up to 10 kHz, from a buffer that a cast
    to half precision rounds: at 30 s the embedding is then wrong by 62 % in bfloat16 and by
    24 % in float16. Here they are computed anew.
    """
    config: Any = embedder.config
    linear: Any = embedder.linear
    low, high = math.log(config.min_freq), math.log(config.max_freq)
    device = linear.weight.device
    ramp = torch.linspace(0.0, 1.0, linear.in_features // 2, device=device)
    frequencies = torch.exp(ramp * (high - low) + low)
    held_s = min(max(seconds, config.min_val), config.max_val)
    share = torch.full((1, 1), held_s, device=device) - config.min_val
    angles = share / (config.max_val - config.min_val) * frequencies * 2.0 * math.pi
    features = torch.cat([angles.cos(), angles.sin()], dim=-1)
    return nn.functional.linear(features, linear.weight.float(), linear.bias.float())
