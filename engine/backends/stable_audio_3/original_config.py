"""Settings of a checkpoint as Stability AI publishes it: ``model_config.json`` and its weights."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from engine.backends.stable_audio_3.layouts import Layout, Part, Source, network_sources
from engine.backends.stable_audio_3.measuring import (
    CodecNotes,
    check_parts_fit,
    check_stated,
    measure_codec,
    measure_duration,
    measure_transformer,
)
from engine.backends.stable_audio_3.settings import (
    CodecKind,
    CodecShape,
    DurationShape,
    ModelSettings,
    Objective,
)
from engine.backends.stable_audio_3.tensor_files import broken, read_json
from engine.errors import JobError

CONFIG = "model_config.json"

_Fields = Mapping[str, Any]

_REQUIRED: tuple[tuple[str, tuple[object, ...], object], ...] = (
    # What has no tensors of its own, and so would go wrong in silence: where it is told,
    # what we can do, and what leaving it out means.
    ("model.diffusion.type", ("dit",), "dit"),
    ("model.diffusion.config.transformer_type", ("continuous_transformer",),
     "continuous_transformer"),
    ("model.diffusion.config.global_cond_type", ("adaLN",), "prepend"),
    ("model.diffusion.config.timestep_cond_type", ("global",), "global"),
    ("model.diffusion.config.timestep_features_type", ("expo",), "learned"),
    ("model.diffusion.config.timestep_features_logsnr", (False,), False),
    ("model.diffusion.config.norm_type", ("rms_norm",), "layer_norm"),
    ("model.diffusion.config.attn_kwargs.qk_norm", ("rms",), "none"),
    ("model.diffusion.cross_attention_cond_ids", (["prompt", "seconds_total"],), []),
    ("model.diffusion.global_cond_ids", (["seconds_total"],), []),
    ("model.diffusion.local_add_cond_ids", (["inpaint_mask", "inpaint_masked_input"],), []),
    ("model.diffusion.input_concat_ids", ([],), []),
    ("model.diffusion.prepend_cond_ids", ([],), []),
    ("model.pretransform.config.bottleneck.type", ("softnorm",), "softnorm"),
)  # fmt: skip


def read_original_settings(folder: Path) -> ModelSettings:
    """Read the settings and check them against the weights' shapes.

    Raises
    ------
    JobError
        ``model_broken``: another model, or a configuration that isn't of these weights.
    """
    config = read_json(folder / CONFIG)
    objective = _objective(config)
    prompt, seconds = _conditioners(config)
    for path, allowed, default in _REQUIRED:
        if _at(config, path, default) not in allowed:
            raise _unknown(path, _at(config, path, default))
    sources = network_sources(folder, Layout.ORIGINAL, len(_codec_notes(config).strides))
    transformer = measure_transformer(sources[Part.TRANSFORMER])
    _check_transformer(config, asdict(transformer))
    codec = _read_codec(config, sources[Part.CODEC])
    duration = _read_duration(seconds, sources[Part.DURATION])
    check_parts_fit(transformer, codec, duration)
    return ModelSettings(
        transformer,
        codec,
        duration,
        objective,
        max_frames=_number(config, "sample_size"),
        max_tokens=_number(prompt, "max_length", 128),
    )


def _objective(config: _Fields) -> Objective:
    objective = _at(config, "model.diffusion.diffusion_objective", "v")
    try:
        return Objective(objective)
    except ValueError:
        raise _unknown("model.diffusion.diffusion_objective", objective) from None


def _conditioners(config: _Fields) -> tuple[_Fields, _Fields]:
    """Return the settings of the prompt's and the duration's conditioner."""
    listed = _at(config, "model.conditioning.configs", [])
    found = {entry.get("id"): entry for entry in listed if isinstance(entry, dict)}
    fields = []
    for name, kind in (("prompt", "t5gemma"), ("seconds_total", "number")):
        entry = found.pop(name, {})
        if entry.get("type") != kind:
            raise _unknown(f"the conditioner {name}", entry.get("type"))
        fields.append(entry.get("config", {}))
    if found:
        raise _unknown("a conditioner", next(iter(found)))
    prompt, seconds = fields
    for settings, field, wanted in (
        (prompt, "padding_mode", "learned"),
        (seconds, "fourier_features_type", "expo"),
    ):
        if settings.get(field) != wanted:
            raise _unknown(field, settings.get(field))
    return prompt, seconds


def _check_transformer(config: _Fields, measured: dict[str, Any]) -> None:
    stated = _at(config, "model.diffusion.config", {})
    measured["differential"] = measured["use_differential_attention"]
    measured["mult"] = measured["ff_mult"]
    for part in (stated, stated.get("attn_kwargs", {}), stated.get("ff_kwargs", {})):
        check_stated(part, measured, CONFIG)


def _read_codec(config: _Fields, source: Source) -> CodecShape:
    shape = measure_codec(source, _codec_notes(config))
    path = "model.pretransform.config"
    is_banded = _at(config, f"{path}.encoder.config.sliding_window", None) is not None
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
    stated = {"kind": (CodecKind.SAME_L if is_banded else CodecKind.SAME_S).value}
    for place in ("", ".encoder.config", ".decoder.config", ".pretransform.config"):
        check_stated(_at(config, path + place, {}), measured, CONFIG)
    check_stated(stated, measured, CONFIG)
    return shape


def _codec_notes(config: _Fields) -> CodecNotes:
    path = "model.pretransform.config"
    encoder = f"{path}.encoder.config"
    window = _at(config, f"{encoder}.sliding_window", None) or [1]
    return CodecNotes(
        audio_channels=_number(config, f"{path}.pretransform.config.channels"),
        channels=_number(config, f"{encoder}.channels", 128),
        c_mults=_numbers(config, f"{encoder}.c_mults"),
        strides=_numbers(config, f"{encoder}.strides"),
        sample_rate=_number(config, "sample_rate"),
        sliding_window=int(window[0]),
        decoder_sinusoidal_blocks=_numbers(
            config, f"{path}.decoder.config.sinusoidal_blocks", (0,)
        ),
    )


def _read_duration(seconds: _Fields, source: Source) -> DurationShape:
    return measure_duration(
        source,
        min_val=float(seconds.get("min_val", 0.0)),
        max_val=float(seconds.get("max_val", 1.0)),
    )


def _at(config: Any, path: str, default: Any) -> Any:
    """Return what stands at a dotted path."""
    for name in path.split("."):
        if not isinstance(config, Mapping) or name not in config:
            return default
        config = config[name]
    return config


def _number(config: _Fields, path: str, default: int | None = None) -> int:
    value = _at(config, path, default)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise broken(f"{CONFIG} has no usable {path}: {value!r}.")
    return value


def _numbers(config: _Fields, path: str, default: tuple[int, ...] = ()) -> tuple[int, ...]:
    value = _at(config, path, default)
    is_usable = isinstance(value, list | tuple) and all(isinstance(item, int) for item in value)
    if not (is_usable and value):
        raise broken(f"{CONFIG} has no usable {path}: {value!r}.")
    return tuple(value)


def _unknown(what: str, value: object) -> JobError:
    return broken(
        f"This is no Stable Audio 3 checkpoint: {CONFIG} has {value!r} for {what}.",
        hint="Choose one of the Stable Audio 3 checkpoints.",
    )
