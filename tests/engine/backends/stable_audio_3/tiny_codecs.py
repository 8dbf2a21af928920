"""Small autoencoders in which every weight takes part."""

from dataclasses import replace

import torch

from reapaint_engine.backends.stable_audio_3.checkpoint.settings import CodecKind, CodecShape
from reapaint_engine.backends.stable_audio_3.inference.codec import make_codec_module
from reapaint_engine.backends.stable_audio_3.network.same import Same

SAME_S = CodecShape(
    kind=CodecKind.SAME_S,
    patch_size=4,
    encoder_channels=8,
    encoder_c_mults=(4,),
    encoder_strides=(4,),
    encoder_transformer_depths=(4,),
    latent_dim=6,
    dim_heads=8,
    ff_mult=2,
)
SAME_L = replace(SAME_S, kind=CodecKind.SAME_L, decoder_sinusoidal_blocks=(3,))
SHAPES = {"same-s": SAME_S, "same-l": SAME_L}


def make_codec(shape: CodecShape, seed: int = 0) -> Same:
    """Build an autoencoder with random weights; none is zero or one."""
    torch.manual_seed(seed)
    module = make_codec_module(shape)
    for name, parameter in module.named_parameters():
        if name.endswith(("alpha", "gamma", "weight_g", "bottleneck.scale")):
            parameter.copy_(0.5 + torch.rand_like(parameter))
        elif parameter.ndim >= 2 and not name.endswith("new_tokens"):
            parameter.copy_(torch.randn_like(parameter) / parameter[0].numel() ** 0.5)
        else:
            parameter.copy_(0.3 * torch.randn_like(parameter))
    module.bottleneck.running_std.fill_(1.3)
    return module


def noise(*shape: int, seed: int = 1) -> torch.Tensor:
    """Return normal noise, the same for the same seed."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))
