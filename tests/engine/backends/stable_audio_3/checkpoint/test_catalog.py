"""What is known of the published checkpoints."""

import pytest

from reapaint_engine.backends.stable_audio_3.checkpoint.catalog import (
    MODELS,
    find_model,
    needed_files,
)
from reapaint_engine.errors import JobError


def test_names_and_pages() -> None:
    names = ["small-music", "small-sfx", "medium"]
    assert [model.name for model in MODELS] == [f"{n}{b}" for n in names for b in ("", "-base")]
    assert [model.is_base for model in MODELS] == [False, True] * 3
    assert find_model("medium").page == ("https://huggingface.co/stabilityai/stable-audio-3-medium")


@pytest.mark.parametrize(
    "name", ["medium", " Medium", "stable-audio-3-medium", "stabilityai/stable-audio-3-medium"]
)
def test_the_name_on_the_hub_is_understood(name: str) -> None:
    assert find_model(name).name == "medium"


@pytest.mark.parametrize("name", ["", "large", "small", "../medium", "medium/.."])
def test_another_name_is_refused_with_those_there_are(name: str) -> None:
    with pytest.raises(JobError) as failure:
        find_model(name)
    assert failure.value.code == "unknown_model"
    assert "small-sfx-base" in failure.value.hint


ORIGINAL = [
    "LICENSE.md",
    "model.safetensors",
    "model_config.json",
    "t5gemma-b-b-ul2/config.json",
    "t5gemma-b-b-ul2/model.safetensors",
]
DIFFUSERS = [
    "model_index.json",
    "tokenizer/tokenizer.json",
    "transformer/diffusion_pytorch_model.safetensors",
    "vae/config.json",
]


def test_only_what_makes_a_checkpoint_is_needed() -> None:
    others = [
        "README.md",
        ".gitattributes",
        "demo/song.wav",
        "model.ckpt",
        "t5gemma-b-b-ul2/pytorch_model.bin",
        "t5gemma-b-b-ul2/onnx/model.safetensors",
        "other/model.safetensors",
    ]
    assert needed_files([*others, *ORIGINAL]) == ORIGINAL
    assert needed_files([*DIFFUSERS, "vae/diffusion_pytorch_model.bin"]) == DIFFUSERS
    assert needed_files([*ORIGINAL, *DIFFUSERS]) == ORIGINAL
    assert needed_files(others) == []
