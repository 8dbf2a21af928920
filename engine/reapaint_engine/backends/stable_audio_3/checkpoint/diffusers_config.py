"""Settings of a checkpoint as diffusers saves it: a ``config.json`` beside each network."""

from dataclasses import asdict
from pathlib import Path

from reapaint_engine.backends.stable_audio_3.checkpoint.config_fields import Config
from reapaint_engine.backends.stable_audio_3.checkpoint.layouts import (
    Layout,
    Part,
    TensorSource,
    network_sources,
)
from reapaint_engine.backends.stable_audio_3.checkpoint.measuring import (
    CodecNotes,
    check_parts_fit,
    check_stated,
    measure_codec,
    measure_duration,
    measure_transformer,
)
from reapaint_engine.backends.stable_audio_3.checkpoint.settings import (
    CodecKind,
    CodecShape,
    DurationShape,
    ModelSettings,
    Objective,
)
from reapaint_engine.backends.stable_audio_3.checkpoint.tensor_files import broken, read_json

MAX_FRAMES = {CodecKind.SAME_S: 5_292_032, CodecKind.SAME_L: 16_777_216}
"""What Stability AI's own files give as the longest audio; this layout doesn't tell."""

_CLASSES = {
    Part.TRANSFORMER: "StableAudio3DiTModel",
    Part.CODEC: "AutoencoderSAME",
    Part.DURATION: "StableAudio3DurationEmbedder",
}


def read_diffusers_settings(folder: Path) -> ModelSettings:
    """Read the settings and check them against the weights' shapes.

    Raises
    ------
    JobError
        ``model_broken``: another model, or configurations that aren't of these weights.
    """
    _check_pipeline(folder)
    configs = {part: _read_config(folder, part) for part in _CLASSES}
    sources = network_sources(folder, Layout.DIFFUSERS, codec_levels=1)
    transformer = measure_transformer(sources[Part.TRANSFORMER])
    stated = configs[Part.TRANSFORMER]
    check_stated(stated.content, asdict(transformer), stated.name)
    codec = _read_codec(configs[Part.CODEC], sources[Part.CODEC])
    duration = _read_duration(configs[Part.DURATION], sources[Part.DURATION])
    check_parts_fit(transformer, codec, duration)
    return ModelSettings(
        transformer,
        codec,
        duration,
        _objective(folder),
        max_frames=MAX_FRAMES[codec.kind],
    )


def _check_pipeline(folder: Path) -> None:
    pipeline = str(read_json(folder / "model_index.json").get("_class_name"))
    if not pipeline.startswith("StableAudio3"):
        raise broken(
            f"This is no Stable Audio 3 checkpoint: model_index.json is of a {pipeline}.",
            hint="Choose one of the Stable Audio 3 checkpoints.",
        )


def _read_config(folder: Path, part: Part) -> Config:
    config = Config.read(folder / part / "config.json", f"{part}/config.json")
    if config.get("_class_name") != _CLASSES[part]:
        raise broken(f"{config.name} is of a {config.get('_class_name')}.")
    return config


def _read_codec(config: Config, source: TensorSource) -> CodecShape:
    notes = CodecNotes(
        audio_channels=config.count("audio_channels"),
        channels=config.count("encoder_channels"),
        c_mults=config.counts("encoder_c_mults"),
        strides=config.counts("encoder_strides"),
        sample_rate=config.count("sampling_rate"),
        sliding_window=config.count("sliding_window"),
        encoder_sinusoidal_blocks=config.counts("encoder_sinusoidal_blocks", least=0),
        decoder_sinusoidal_blocks=config.counts("decoder_sinusoidal_blocks", least=0),
    )
    shape = measure_codec(source, notes)
    measured = {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(shape).items()}
    check_stated(config.content, measured, config.name)
    return shape


def _read_duration(config: Config, source: TensorSource) -> DurationShape:
    shape = measure_duration(
        source, min_val=config.real("min_val", 0.0), max_val=config.real("max_val", 384.0)
    )
    check_stated(config.content, asdict(shape), config.name)
    return shape


def _objective(folder: Path) -> Objective:
    """Tell distilled from base by how its scheduler steps: ping-pong is its stochastic sampling."""
    scheduler = read_json(folder / "scheduler" / "scheduler_config.json")
    is_stochastic = scheduler.get("stochastic_sampling", False)
    return Objective.DISTILLED if is_stochastic else Objective.BASE
