"""How Stability AI's checkpoints name what diffusers' modules are made of.

Names go one way, from a module's parameter to the key in the original file, so that a
missing tensor can be called by the name it should have had.
"""

from collections.abc import Iterator

TRANSFORMER_PREFIX = "model.model."
CODEC_PREFIX = "pretransform.model."
CONDITIONER_PREFIX = "conditioner."

PADDING_EMBEDDING = "conditioner.conditioners.prompt.padding_embedding"
DURATION_PREFIX = "conditioner.conditioners.seconds_total.embedder.embedding.1."

FUSED_ORDER = (0, 3, 1, 4, 2)
"""Fused differential projections hold q, k, v, q2, k2 row by row there, q, q2, k, k2, v here."""

_WITHIN_TRANSFORMER = (
    "transformer_blocks.", "proj_in.", "proj_out.", "memory_tokens", "rotary_pos_emb.",
    "global_cond_embedder.",
)  # fmt: skip

_BLOCK_WORDS = (
    (".ff.proj_in.", ".ff.ff.0.proj."),
    (".ff.proj_out.", ".ff.ff.2."),
)

_CODEC_WORDS = (
    (".norm_attn.", ".pre_norm."),
    (".norm_ff.", ".ff_norm."),
    (".attn.", ".self_attn."),
    ("bottleneck.scale", "bottleneck.scaling_factor"),
    *_BLOCK_WORDS,
)


def transformer_key(name: str) -> str:
    """Return the original key of one of the diffusion transformer's parameters."""
    if name == "prompt_padding_embedding":
        return PADDING_EMBEDDING
    if not name.startswith(_WITHIN_TRANSFORMER):
        return TRANSFORMER_PREFIX + name
    if name.startswith("proj_"):
        name = name.replace("proj_", "project_", 1)
    name = _replace_words(name.replace("transformer_blocks.", "layers.", 1), _BLOCK_WORDS)
    return f"{TRANSFORMER_PREFIX}transformer.{name}"


def codec_key(name: str, levels: int) -> str:
    """Return the original key of one of the autoencoder's parameters; it resamples in levels.

    Notes
    -----
    Each half is one list of layers there: the encoder's resamplers, then a transpose, its
    projection and another; in the decoder the three stand before the resamplers.
    """
    side, _, rest = name.partition(".")
    place, _, within = rest.partition(".")
    before = 0 if side == "encoder" else 3
    if place == "proj":
        place = str(levels + 1 if side == "encoder" else 1)
        name = f"{side}.layers.{place}.{within}"
    elif place == "blocks":
        level, _, within = within.partition(".")
        name = f"{side}.layers.{before + int(level)}.{within}"
    return CODEC_PREFIX + _replace_words(name, _CODEC_WORDS)


def duration_key(name: str) -> str:
    """Return the original key of one of the duration embedder's parameters."""
    return DURATION_PREFIX + name.removeprefix("linear.")


def aliases(key: str) -> Iterator[str]:
    """Yield a key and what a newer torch would have called it."""
    yield key
    for old, new in (("weight_g", "original0"), ("weight_v", "original1")):
        if key.endswith(f".{old}"):
            yield f"{key.removesuffix(old)}parametrizations.weight.{new}"


def is_computed(key: str) -> bool:
    """Return whether a tensor of a file is of no use: it follows from the settings.

    Rotary and Fourier frequencies are computed in float32 where they are needed; the scale
    of the noise that training adds to latents has no elements.
    """
    return key.endswith(("inv_freq", "bottleneck.noise_scaling_factor")) or key == "freqs"


def is_fused(name: str) -> bool:
    """Return whether a parameter is a self-attention's fused projection."""
    return name.endswith("attn.to_qkv.weight")


def _replace_words(name: str, words: tuple[tuple[str, str], ...]) -> str:
    for ours, theirs in words:
        name = name.replace(ours, theirs)
    return name
