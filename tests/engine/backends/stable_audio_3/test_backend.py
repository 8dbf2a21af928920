"""Which model a job gets, and what it says of it."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from reapaint_engine.backends.base import Generation, GenerationParams, Window
from reapaint_engine.backends.stable_audio_3 import backend as backend_module
from reapaint_engine.backends.stable_audio_3.backend import StableAudio3Backend
from reapaint_engine.backends.stable_audio_3.checkpoint.catalog import Sizes, find_model
from reapaint_engine.backends.stable_audio_3.checkpoint.checkpoint import open_checkpoint
from reapaint_engine.backends.stable_audio_3.checkpoint.installing import FolderSource, install
from reapaint_engine.backends.stable_audio_3.checkpoint.sizing import sizes_of
from reapaint_engine.backends.stable_audio_3.inference import pipeline
from reapaint_engine.backends.stable_audio_3.options import StableAudioOptions
from reapaint_engine.errors import BackendUnavailable, JobError
from reapaint_engine.protocol.spans import Span
from tests.tiny_checkpoints import HOP, make_tiny_parts, write_diffusers, write_original

SPAN = Span(6 * HOP, 8 * HOP)
WINDOW = Window(
    0.1 * np.random.default_rng(0).standard_normal((2, 12 * HOP)).astype(np.float32),
    44100,
    (SPAN,),
    12 * HOP,
)
PARAMS = GenerationParams(prompt="rain", steps=2)


class Free:
    """The control of a job that nobody ends."""

    def step(self, stage: str, fraction: float) -> None:
        pass


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "tiny"
    write_original(folder)
    return folder


def _backend(*, opens_folders: bool = True, **options: object) -> StableAudio3Backend:
    options = StableAudioOptions(device="cpu", **options)
    return StableAudio3Backend(options, opens_folders=opens_folders)


def _generate(backend: StableAudio3Backend, model: object = "", **params: object) -> Generation:
    return backend.generate(WINDOW, replace(PARAMS, model=str(model), **params), [1], Free())


def _audio(generation: Generation) -> np.ndarray:
    return generation.fills[0].passages[0].audio


@pytest.mark.parametrize(("own", "expected"), [(None, "passive"), ("active", "active")])
def test_threads_wait_asleep_unless_told_otherwise(
    monkeypatch: pytest.MonkeyPatch, own: str | None, expected: str
) -> None:
    monkeypatch.setenv("OMP_WAIT_POLICY", own or "")
    if own is None:
        monkeypatch.delenv("OMP_WAIT_POLICY")
    _backend()
    assert os.environ["OMP_WAIT_POLICY"] == expected


def test_that_is_said_before_torch_is_there() -> None:
    """Torch reads it once, so whoever makes the backends must not have loaded it."""
    code = (
        "import sys\n"
        "from reapaint_engine.backends.registry import make_backends\n"
        "make_backends()\n"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0


def test_a_default_model_may_be_a_folder(folder: Path) -> None:
    backend = _backend(model=str(folder))
    assert backend.is_preferred()
    assert backend.info.default_model == str(folder)
    generation = _generate(backend)
    assert generation.model == str(folder)
    assert generation.notes == ()


def test_nothing_is_here(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = _backend()
    assert not backend.is_preferred()
    with pytest.raises(BackendUnavailable, match="reapaint models get"):
        _generate(backend)
    with pytest.raises(BackendUnavailable, match="reapaint models get medium"):
        _generate(backend, "medium")
    monkeypatch.setattr(backend_module, "PACKAGES", ("no_such_package",))
    with pytest.raises(BackendUnavailable, match="stable-audio") as caught:
        _generate(backend)
    assert "no_such_package" in caught.value.message


def test_an_open_engine_opens_no_folder_of_a_request(folder: Path) -> None:
    backend = _backend(opens_folders=False)
    with pytest.raises(JobError) as caught:
        _generate(backend, folder)
    assert caught.value.code == "unknown_model"
    mine = _backend(opens_folders=False, model=str(folder))
    with pytest.raises(JobError, match="opens no file"):
        _generate(mine, f"auto+{folder}/adapter.safetensors")


def test_the_choice_among_installed_models_is_told(folder: Path) -> None:
    for name in ("small-sfx", "small-music"):
        install(find_model(name), FolderSource(folder, find_model(name)))
    backend = _backend()
    assert backend.is_preferred()
    assert backend.info.models == ("auto", "small-music", "small-sfx")
    generation = _generate(backend, prompt="thunder")
    assert generation.model == "small-sfx"
    assert "thunder" in generation.notes[0]
    assert "CPU" in generation.notes[1]
    named = _generate(backend, "small-music", prompt="thunder")
    assert (named.model, named.notes) == ("small-music", ())


def _write_adapter(path: Path) -> Path:
    """Write a LoRA as PEFT does, for one layer of the tiny transformer."""
    weight = make_tiny_parts("same-s").transformer.proj_out.weight
    generator = torch.Generator().manual_seed(0)
    name = "base_model.model.proj_out"
    tensors = {
        f"{name}.lora_A.weight": torch.randn(2, weight.shape[1], generator=generator),
        f"{name}.lora_B.weight": torch.randn(weight.shape[0], 2, generator=generator),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, path)
    return path


def test_adapters_act_by_name_and_by_path_and_are_taken_off(folder: Path, tmp_path: Path) -> None:
    path = _write_adapter(tmp_path / "rain.safetensors")
    _write_adapter(backend_module.adapters_folder() / "tin.safetensors")
    backend = _backend()
    plain = _generate(backend, folder)
    by_path = _generate(backend, f"{folder}+{path}=0.8")
    by_name = _generate(backend, f"{folder}+tin=0.8")
    assert np.abs(_audio(by_path) - _audio(plain)).max() > 1e-3
    assert np.array_equal(_audio(by_path), _audio(by_name))
    assert by_name.model == f"{folder}+tin=0.8"
    assert by_name.model_revision.startswith(f"{plain.model_revision}+")
    weaker = _generate(backend, f"{folder}+tin=0.1")
    assert (
        np.abs(_audio(weaker) - _audio(plain)).max() < np.abs(_audio(by_name) - _audio(plain)).max()
    )
    again = _generate(backend, folder)
    assert np.array_equal(_audio(again), _audio(plain))
    assert again.model_revision == plain.model_revision


def test_an_adapter_that_is_not_here_or_not_for_this_model(folder: Path, tmp_path: Path) -> None:
    backend = _backend()
    with pytest.raises(JobError, match="no adapter tin") as caught:
        _generate(backend, f"{folder}+tin")
    assert str(backend_module.adapters_folder()) in caught.value.hint
    other = tmp_path / "other.safetensors"
    name = "base_model.model.transformer_blocks.99.ff.proj_in"
    pair = {f"{name}.lora_A.weight": torch.ones(2, 8), f"{name}.lora_B.weight": torch.ones(8, 2)}
    save_file(pair, other)
    with pytest.raises(JobError, match="another model"):
        _generate(backend, f"{folder}+{other}")
    assert _generate(backend, folder).model_revision == open_checkpoint(folder).revision


def test_too_little_memory_for_an_adapter_is_said(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _write_adapter(tmp_path / "rain.safetensors")
    backend = _backend()
    plain = _generate(backend, folder)

    def no_memory(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    with monkeypatch.context() as patch:
        patch.setattr(pipeline.AdapterStack, "use", no_memory)
        with pytest.raises(JobError) as caught:
            _generate(backend, f"{folder}+{path}")
    assert caught.value.code == "out_of_memory"
    assert np.array_equal(_audio(_generate(backend, folder)), _audio(plain))


@pytest.mark.parametrize("write", [write_original, write_diffusers])
def test_sizes_are_those_of_the_networks(write, tmp_path: Path) -> None:
    write(tmp_path / "tiny", "same-l")
    sizes = sizes_of(open_checkpoint(tmp_path / "tiny"))
    parts = make_tiny_parts("same-l", hop=HOP)
    expected = Sizes(
        *(
            sum(each.numel() for each in network.parameters())
            for network in (parts.transformer, parts.codec_module, parts.text_encoder)
        ),
        sizes.working_bytes,
    )
    for name in ("transformer", "codec", "text_encoder"):
        # Headers count what a network doesn't call a parameter: a buffer, two halves of a norm.
        assert getattr(sizes, name) == pytest.approx(getattr(expected, name), rel=0.05)
    assert sizes.working_bytes > 0
