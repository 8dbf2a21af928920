"""What is measured: which model, where, and on what job. Nothing here loads torch."""

from dataclasses import dataclass

from reapaint_engine.backends.stable_audio_3.checkpoint.settings import (
    CodecKind,
    CodecShape,
    DurationShape,
    ModelSettings,
    Objective,
    TransformerShape,
)
from reapaint_engine.errors import JobError
from reapaint_engine.protocol.errors import ErrorCode
from reapaint_engine.protocol.params import AUTO, parameters
from reapaint_engine.protocol.spans import Span

SMALL, MEDIUM = "small", "medium"
SIZES = (SMALL, MEDIUM)
MAX_WINDOW_S = 374.0
"""What medium takes at most, less the headroom after it; a smaller model hears less of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchOptions:
    """One measurement; lengths in seconds."""

    size: str = SMALL
    """Which published size to build with random weights; not asked of a named model."""
    model: str | None = None
    """An installed model's name, or a folder."""
    device: str = AUTO
    dtype: str | None = None
    """Of all networks, on both sides; by default what each of them is loaded in here."""
    codec_dtype: str | None = None
    """Of the codec, where it is another one."""
    window_s: float = 30.0
    mask_s: float = 5.0
    steps: int | None = None
    takes: int = 1
    guidance: float = 1.0
    rounds: int = 3
    tiny: bool = False
    """A model of a few megabytes, whose figures mean nothing: to try the measurement out."""
    memory: bool = True
    """Also run each side alone in a process of its own, to see what memory it takes."""

    def check(self) -> None:
        """See that this can be measured.

        Raises
        ------
        JobError
            ``invalid_field``: it can't; the message says why.
        """
        problems = (
            (not 0 < self.mask_s < self.window_s, "--mask has to be shorter than --window"),
            (not self.window_s <= MAX_WINDOW_S, f"--window is at most {MAX_WINDOW_S:g}"),
            (self.rounds < 1, "--rounds is at least 1"),
            *(
                (value is not None and not limits.allows(value), f"--{name} is {limits.range_text}")
                for name, limits in parameters().items()
                if name in ("takes", "guidance", "steps")
                for value in (getattr(self, name),)
            ),
        )
        for is_wrong, why in problems:
            if is_wrong:
                raise JobError(
                    ErrorCode.INVALID_FIELD,
                    f"This can't be measured: {why}.",
                    hint="See `reapaint bench model --help`.",
                )

    def mask(self, sample_rate: int) -> Span:
        """Return the mask, in the middle of the window, in frames."""
        frames = round(self.window_s * sample_rate)
        length = round(self.mask_s * sample_rate)
        start = (frames - length) // 2
        return Span(start, start + length)


@dataclass(frozen=True, slots=True)
class TextShape:
    """The dimensions of the text encoder, T5Gemma's."""

    vocabulary: int = 256_000
    width: int = 768
    inner: int = 2048
    layers: int = 12
    heads: int = 12
    head_dim: int = 64


TINY_TEXT = TextShape(vocabulary=64, width=32, inner=64, layers=2, heads=2, head_dim=16)

_SMALL = ModelSettings(
    transformer=TransformerShape(),
    codec=CodecShape(),
    duration=DurationShape(),
    objective=Objective.DISTILLED,
    max_frames=5_292_032,
)
_MEDIUM = ModelSettings(
    transformer=TransformerShape(
        embed_dim=1536, depth=24, num_heads=24, use_differential_attention=True
    ),
    codec=CodecShape(
        kind=CodecKind.SAME_L,
        encoder_channels=256,
        encoder_transformer_depths=(12,),
        decoder_sinusoidal_blocks=(8,),
    ),
    duration=DurationShape(),
    objective=Objective.DISTILLED,
    max_frames=16_777_216,
)
_TINY = ModelSettings(
    transformer=TransformerShape(
        io_channels=8,
        embed_dim=128,
        depth=2,
        num_heads=2,
        cond_token_dim=32,
        global_cond_dim=32,
        local_add_cond_dim=9,
        timestep_features_dim=64,
        ff_mult=2.0,
        num_memory_tokens=4,
    ),
    codec=CodecShape(
        encoder_channels=16, encoder_c_mults=(4,), encoder_transformer_depths=(2,), latent_dim=8
    ),
    duration=DurationShape(output_dim=32),
    objective=Objective.DISTILLED,
    max_frames=512 * CodecShape().hop,
)


def settings_of(options: BenchOptions) -> ModelSettings:
    """Return the shapes of a published size, or of the tiny model."""
    if options.tiny:
        return _TINY
    return {SMALL: _SMALL, MEDIUM: _MEDIUM}[options.size]
