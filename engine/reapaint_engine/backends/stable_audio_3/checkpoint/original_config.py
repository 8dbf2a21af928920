"""Settings of a checkpoint as Stability AI publishes it: ``model_config.json`` and its weights."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

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
    ModelSettings,
    Objective,
)
from reapaint_engine.backends.stable_audio_3.checkpoint.tensor_files import broken
from reapaint_engine.errors import JobError

CONFIG = "model_config.json"

_CODEC = "model.pretransform.config"

_REQUIRED: tuple[tuple[str, object, object], ...] = (
    # What no tensor tells, and so would go wrong in silence: where it stands, what we can
    # do, and what leaving it out means.
    ("model.diffusion.type", "dit", "dit"),
    (
        "model.diffusion.config.transformer_type",
        "continuous_transformer",
        "continuous_transformer",
    ),
    ("model.diffusion.config.global_cond_type", "adaLN", "prepend"),
    ("model.diffusion.config.timestep_cond_type", "global", "global"),
    ("model.diffusion.config.timestep_features_type", "expo", "learned"),
    ("model.diffusion.config.timestep_features_logsnr", False, False),
    ("model.diffusion.config.norm_type", "rms_norm", "layer_norm"),
    ("model.diffusion.config.attn_kwargs.qk_norm", "rms", "none"),
    ("model.diffusion.cross_attention_cond_ids", ["prompt", "seconds_total"], []),
    ("model.diffusion.global_cond_ids", ["seconds_total"], []),
    ("model.diffusion.local_add_cond_ids", ["inpaint_mask", "inpaint_masked_input"], []),
    ("model.diffusion.input_concat_ids", [], []),
    ("model.diffusion.prepend_cond_ids", [], []),
    (f"{_CODEC}.bottleneck.type", "softnorm", "softnorm"),
)


def read_original_settings(folder: Path) -> ModelSettings:
    """Read the settings and check them against the weights' shapes.

    Raises
    ------
    JobError
        ``model_broken``: another model, or a configuration that isn't of these weights.
    """
    config = Config.read(folder / CONFIG, CONFIG)
    objective = _objective(config)
    prompt, seconds = _conditioners(config)
    for path, wanted, default in _REQUIRED:
        if config.get(path, default) != wanted:
            raise _unknown(path, config.get(path, default))
    notes = _codec_notes(config)
    sources = network_sources(folder, Layout.ORIGINAL, len(notes.strides))
    transformer = measure_transformer(sources[Part.TRANSFORMER])
    _check_transformer(config, asdict(transformer))
    codec = _read_codec(config, sources[Part.CODEC], notes)
    duration = measure_duration(
        sources[Part.DURATION],
        min_val=seconds.real("min_val", 0.0),
        max_val=seconds.real("max_val", 1.0),
    )
    check_parts_fit(transformer, codec, duration)
    return ModelSettings(
        transformer,
        codec,
        duration,
        objective,
        max_frames=config.count("sample_size"),
        max_tokens=prompt.count("max_length", 128),
    )


def _objective(config: Config) -> Objective:
    path = "model.diffusion.diffusion_objective"
    try:
        return Objective(config.get(path, "v"))
    except ValueError:
        raise _unknown(path, config.get(path)) from None


def _conditioners(config: Config) -> tuple[Config, Config]:
    """Return the settings of the prompt's and the duration's conditioner."""
    listed = config.get("model.conditioning.configs")
    entries = [entry for entry in _as_list(listed) if isinstance(entry, dict)]
    found = {str(entry.get("id")): Config(entry, CONFIG) for entry in entries}
    if set(found) != {"prompt", "seconds_total"}:
        raise _unknown("the conditioners", sorted(found))
    for name, field, wanted in (
        ("prompt", "type", "t5gemma"),
        ("prompt", "config.padding_mode", "learned"),
        ("seconds_total", "type", "number"),
        ("seconds_total", "config.fourier_features_type", "expo"),
    ):
        if found[name].get(field) != wanted:
            raise _unknown(f"{name}'s {field}", found[name].get(field))
    return found["prompt"].section("config"), found["seconds_total"].section("config")


def _check_transformer(config: Config, measured: dict[str, Any]) -> None:
    measured["differential"] = measured["use_differential_attention"]
    measured["mult"] = measured["ff_mult"]
    path = "model.diffusion.config"
    for place in (path, f"{path}.attn_kwargs", f"{path}.ff_kwargs"):
        check_stated(config.section(place).content, measured, CONFIG)


def _read_codec(config: Config, source: TensorSource, notes: CodecNotes) -> CodecShape:
    shape = measure_codec(source, notes)
    measured = {
        "latent_dim": shape.latent_dim,
        "downsampling_ratio": shape.hop,
        "patch_size": shape.patch_size,
        "transformer_depths": list(shape.encoder_transformer_depths),
        "differential": shape.use_differential_attention,
        "dim_heads": shape.dim_heads,
        "ff_mult": shape.ff_mult,
        "kind": shape.kind.value,
    }
    for place in ("", ".encoder.config", ".decoder.config", ".pretransform.config"):
        check_stated(config.section(_CODEC + place).content, measured, CONFIG)
    is_banded = config.get(f"{_CODEC}.encoder.config.sliding_window") is not None
    kind = CodecKind.SAME_L if is_banded else CodecKind.SAME_S
    check_stated({"kind": kind.value}, measured, CONFIG)
    return shape


def _codec_notes(config: Config) -> CodecNotes:
    encoder, decoder = (
        config.section(f"{_CODEC}.{side}.config") for side in ("encoder", "decoder")
    )
    is_banded = encoder.get("sliding_window") is not None
    return CodecNotes(
        audio_channels=config.count(f"{_CODEC}.pretransform.config.channels"),
        channels=encoder.count("channels", 128),
        c_mults=encoder.counts("c_mults"),
        strides=encoder.counts("strides"),
        sample_rate=config.count("sample_rate"),
        sliding_window=encoder.counts("sliding_window")[0] if is_banded else 1,
        decoder_sinusoidal_blocks=decoder.counts("sinusoidal_blocks", (0,), least=0),
    )


def _as_list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _unknown(what: str, value: object) -> JobError:
    return broken(
        f"This is no Stable Audio 3 checkpoint: {CONFIG} has {value!r} for {what}.",
        hint="Choose one of the Stable Audio 3 checkpoints.",
    )
