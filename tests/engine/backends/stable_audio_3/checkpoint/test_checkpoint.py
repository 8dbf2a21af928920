"""Looking at checkpoints in both layouts, good and bad."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from reapaint_engine.backends.stable_audio_3.checkpoint import checkpoint
from reapaint_engine.backends.stable_audio_3.checkpoint.checkpoint import open_checkpoint
from reapaint_engine.backends.stable_audio_3.checkpoint.layouts import Layout
from reapaint_engine.backends.stable_audio_3.checkpoint.settings import Objective
from reapaint_engine.errors import JobError
from reapaint_engine.protocol.errors import ErrorCode
from tests.tiny_checkpoints import TEXT_FOLDER, write_diffusers, write_original

WRITERS = {Layout.ORIGINAL: write_original, Layout.DIFFUSERS: write_diffusers}
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    folder = tmp_path_factory.mktemp("original")
    write_original(folder / "model", "same-s")
    return folder / "model"


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("diffusers")
    write_diffusers(folder / "model", "same-l")
    return folder / "model"


@pytest.fixture
def original(originals, tmp_path):
    return Path(shutil.copytree(originals, tmp_path / "model"))


@pytest.fixture
def diffusers(saved, tmp_path):
    return Path(shutil.copytree(saved, tmp_path / "model"))


def _refusal(folder, *words, code=ErrorCode.MODEL_BROKEN):
    with pytest.raises(JobError) as caught:
        open_checkpoint(folder)
    assert caught.value.code == code
    for word in words:
        assert word in caught.value.message
    assert caught.value.hint


def _edit(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def _edit_weights(path, change):
    state = load_file(path)
    change(state)
    save_file(state, path)


@pytest.mark.parametrize("layout", Layout)
@pytest.mark.parametrize("codec", ["same-s", "same-l"])
@pytest.mark.parametrize("differential", [False, True], ids=["plain", "differential"])
@pytest.mark.parametrize("objective", Objective)
def test_settings_are_what_was_written(tmp_path, layout, codec, differential, objective):
    written = WRITERS[layout](
        tmp_path / "model", codec, differential=differential, objective=objective
    )
    opened = open_checkpoint(tmp_path / "model")
    assert opened.settings == written
    assert opened.layout is layout
    assert opened.settings.codec.hop == 4096


def test_looking_needs_no_torch(originals):
    code = (
        "import sys; from pathlib import Path;"
        "from reapaint_engine.backends.stable_audio_3.checkpoint.checkpoint import open_checkpoint;"
        f"open_checkpoint(Path({str(originals)!r}));"
        "sys.exit(any(name in sys.modules for name in ('torch', 'diffusers', 'transformers')))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# Revisions


def test_a_revision_is_a_short_hash_of_what_the_files_hold(originals, tmp_path):
    first = open_checkpoint(originals).revision
    assert len(first) == 16
    assert open_checkpoint(originals).revision == first
    write_original(tmp_path / "other", "same-s", seed=1)
    write_original(tmp_path / "base", "same-s", objective="rectified_flow")
    others = {open_checkpoint(tmp_path / name).revision for name in ("other", "base")}
    assert len(others | {first}) == 3


def test_a_snapshot_of_the_hub_is_known_by_its_commit(originals, tmp_path):
    folder = tmp_path / "models--stabilityai--x" / "snapshots" / COMMIT
    shutil.copytree(originals, folder)
    assert open_checkpoint(folder).revision == COMMIT


def _note_downloads(folder):
    for path in folder.rglob("*.safetensors"):
        note = folder / ".cache/huggingface/download" / f"{path.relative_to(folder)}.metadata"
        note.parent.mkdir(parents=True, exist_ok=True)
        note.write_text(f"{COMMIT}\netag\n{path.stat().st_mtime}\n")


def test_a_downloaded_folder_is_known_by_its_commit(original):
    _note_downloads(original)
    assert open_checkpoint(original).revision == COMMIT


def test_a_file_changed_since_its_download_is_not(original):
    _note_downloads(original)
    path = original / "model.safetensors"
    later = path.stat().st_mtime + 100
    os.utime(path, (later, later))
    assert open_checkpoint(original).revision != COMMIT


# Folders


def test_no_folder(tmp_path):
    _refusal(tmp_path / "nowhere", "nowhere", code=ErrorCode.NO_MODEL)


def test_an_empty_folder(tmp_path):
    _refusal(tmp_path, "model_config.json", "model_index.json")


def test_pickled_weights(original):
    (original / "model.safetensors").rename(original / "model.ckpt")
    _refusal(original, "model.ckpt", "never opened")


def test_a_download_that_was_cut_short(original):
    path = original / "model.safetensors"
    path.write_bytes(path.read_bytes()[:100_000])
    _refusal(original, "model.safetensors", "cut short", "100000")


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
def test_a_text_encoder_that_lacks_a_file(original, name):
    (original / TEXT_FOLDER / name).unlink()
    _refusal(original, TEXT_FOLDER, name)


@pytest.mark.parametrize(
    "name", ["transformer/config.json", "vae/diffusion_pytorch_model.safetensors"]
)
def test_a_saved_pipeline_that_lacks_a_file(diffusers, name):
    (diffusers / name).unlink()
    _refusal(diffusers, *name.split("/"))


# Configurations


def test_stable_audio_open_is_another_model(original):
    def change(config):
        config["model"]["diffusion"]["diffusion_objective"] = "v"
        config["model"]["conditioning"]["configs"][0] = {"id": "prompt", "type": "t5"}

    _edit(original / "model_config.json", change)
    _refusal(original, "no Stable Audio 3 checkpoint", "'v'")


def test_another_text_encoder_is_another_model(original):
    def change(config):
        config["model"]["conditioning"]["configs"][0]["type"] = "t5"

    _edit(original / "model_config.json", change)
    _refusal(original, "no Stable Audio 3 checkpoint", "prompt", "'t5'")


@pytest.mark.parametrize(
    ("place", "field", "value"),
    [
        ("config", "timestep_features_type", "learned"),
        ("config", "global_cond_type", "prepend"),
        ("", "local_add_cond_ids", ["inpaint_masked_input", "inpaint_mask"]),
        ("", "input_concat_ids", ["inpaint_mask"]),
    ],
)
def test_what_the_weights_would_not_tell_is_checked(original, place, field, value):
    def change(config):
        diffusion = config["model"]["diffusion"]
        (diffusion[place] if place else diffusion)[field] = value

    _edit(original / "model_config.json", change)
    _refusal(original, field, str(value))


@pytest.mark.parametrize(
    ("place", "field", "value", "found"),
    [
        ("diffusion", "embed_dim", 1536, "128"),
        ("diffusion", "depth", 24, "2"),
        ("diffusion", "num_heads", 24, "2"),
        ("diffusion", "attn_kwargs", {"qk_norm": "rms", "differential": True}, "False"),
        ("diffusion", "ff_kwargs", {"mult": 4}, "2.0"),
        ("pretransform", "latent_dim", 256, "8"),
        ("pretransform", "downsampling_ratio", 2048, "4096"),
    ],
)
def test_settings_of_other_weights_are_refused(original, place, field, value, found):
    def change(config):
        config["model"][place]["config"][field] = value

    _edit(original / "model_config.json", change)
    _refusal(original, "model_config.json", found, "different models")


def test_weights_of_another_codec_are_refused(original):
    def change(config):
        codec = config["model"]["pretransform"]["config"]
        codec["encoder"]["config"]["sliding_window"] = [1, 1]

    _edit(original / "model_config.json", change)
    _refusal(original, "same-l", "same-s")


@pytest.mark.parametrize("field", ["sample_rate", "sample_size"])
@pytest.mark.parametrize("value", [None, "44100", -1])
def test_numbers_are_numbers(original, field, value):
    _edit(original / "model_config.json", lambda config: config.update({field: value}))
    _refusal(original, field, repr(value))


def test_a_configuration_of_nothing(original):
    (original / "model_config.json").write_text("{}")
    _refusal(original, "no Stable Audio 3 checkpoint")


def _places(config, path=()):
    """Every place in a nested configuration."""
    items = config.items() if isinstance(config, dict) else enumerate(config)
    for name, value in items:
        yield (*path, name)
        if isinstance(value, dict | list):
            yield from _places(value, (*path, name))


def _spoil(path, place, junk):
    def change(config):
        for name in place[:-1]:
            config = config[name]
        config[place[-1]] = junk

    whole = path.read_bytes()
    _edit(path, change)
    return whole


JUNK = [None, "junk", -1, [None], {"junk": 1}]


@pytest.mark.parametrize("junk", JUNK, ids=repr)
@pytest.mark.parametrize(
    ("layout", "name"),
    [
        (Layout.ORIGINAL, "model_config.json"),
        (Layout.ORIGINAL, f"{TEXT_FOLDER}/config.json"),
        (Layout.DIFFUSERS, "model_index.json"),
        (Layout.DIFFUSERS, "transformer/config.json"),
        (Layout.DIFFUSERS, "vae/config.json"),
        (Layout.DIFFUSERS, "duration_embedder/config.json"),
        (Layout.DIFFUSERS, "scheduler/scheduler_config.json"),
    ],
)
def test_junk_is_refused_or_of_no_consequence(
    originals, saved, tmp_path, monkeypatch, layout, name, junk
):
    """Whatever stands anywhere in a configuration, the answer is a sentence."""
    monkeypatch.setattr(checkpoint, "read_revision", lambda folder, layout: "")
    source = originals if layout is Layout.ORIGINAL else saved
    folder = Path(shutil.copytree(source, tmp_path / "model"))
    expected = open_checkpoint(folder).settings
    path = folder / name
    for place in list(_places(json.loads(path.read_text()))):
        whole = _spoil(path, place, junk)
        settings = _settings_or_refusal(folder)
        if isinstance(settings, JobError):
            assert settings.code == ErrorCode.MODEL_BROKEN, place
        else:
            assert settings.transformer == expected.transformer, place
        path.write_bytes(whole)


def _settings_or_refusal(folder):
    try:
        return open_checkpoint(folder).settings
    except JobError as error:
        return error


def test_a_saved_pipeline_of_another_kind(diffusers):
    _edit(
        diffusers / "model_index.json",
        lambda index: index.update(_class_name="StableAudioPipeline"),
    )
    _refusal(diffusers, "no Stable Audio 3 checkpoint", "StableAudioPipeline")


def test_a_saved_network_of_another_kind(diffusers):
    path = diffusers / "vae" / "config.json"
    _edit(path, lambda config: config.update(_class_name="AutoencoderOobleck"))
    _refusal(diffusers, "AutoencoderOobleck")


def test_saved_settings_of_other_weights(diffusers):
    path = diffusers / "transformer" / "config.json"
    _edit(path, lambda config: config.update(embed_dim=1024))
    _refusal(diffusers, "transformer/config.json", "embed_dim", "1024", "128")


def test_parts_of_different_models(diffusers, tmp_path):
    def halve(state):
        state["linear.weight"] = state["linear.weight"][:16].clone()
        state["linear.bias"] = state["linear.bias"][:16].clone()

    folder = diffusers / "duration_embedder"
    _edit_weights(folder / "diffusion_pytorch_model.safetensors", halve)
    _edit(folder / "config.json", lambda config: config.update(output_dim=16))
    _refusal(diffusers, "different models", "32", "16")


# The text encoder


def test_a_text_encoder_of_another_size(original):
    def narrow(state):
        key = "model.encoder.embed_tokens.weight"
        state[key] = state[key][:, :16].clone()

    _edit_weights(original / TEXT_FOLDER / "model.safetensors", narrow)
    _refusal(original, TEXT_FOLDER, "16", "32")


def test_a_text_encoder_that_speaks_to_another_transformer(original):
    def narrow(state):
        key = "model.encoder.embed_tokens.weight"
        state[key] = state[key][:, :16].clone()

    _edit_weights(original / TEXT_FOLDER / "model.safetensors", narrow)
    path = original / TEXT_FOLDER / "config.json"
    _edit(path, lambda config: config["encoder"].update(hidden_size=16))
    _refusal(original, "16 dimensions", "hears 32")


def test_a_text_model_of_another_kind(original):
    path = original / TEXT_FOLDER / "config.json"
    _edit(path, lambda config: config.update(model_type="t5"))
    _refusal(original, "holds a t5")


def test_a_tensor_that_tells_a_size_is_missing(original):
    key = "model.model.transformer.project_in.weight"
    _edit_weights(original / "model.safetensors", lambda state: state.pop(key))
    _refusal(original, key)
