"""A checkpoint's tensors in memory: the right ones, as a plan wants them, each once."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from reapaint_engine.backends.stable_audio_3.checkpoint.checkpoint import open_checkpoint
from reapaint_engine.backends.stable_audio_3.checkpoint.layouts import Layout
from reapaint_engine.backends.stable_audio_3.device.placement import DevicePlan
from reapaint_engine.backends.stable_audio_3.inference.loading import (
    MAX_CONVERTED_BYTES,
    Parts,
    load,
)
from reapaint_engine.errors import JobError
from reapaint_engine.protocol.errors import ErrorCode
from tests.tiny_checkpoints import (
    TEXT_FOLDER,
    make_parts,
    tiny_settings,
    write_diffusers,
    write_original,
    write_original_parts,
)

WRITERS = {Layout.ORIGINAL: write_original, Layout.DIFFUSERS: write_diffusers}
FLOAT32 = DevicePlan("cpu", "float32", "float32", "cpu", reason="")
HALF = DevicePlan("cpu", "bfloat16", "float32", "cpu", reason="")
EXPERT = "model.model.transformer.layers.0.experts.weight"


def _load(folder, plan=FLOAT32, on_progress=lambda _: None):
    return load(open_checkpoint(folder), plan, on_progress)


def _networks(parts: Parts):
    return {
        "transformer": parts.transformer,
        "text": parts.text_encoder,
        "duration": parts.duration_embedder,
    }


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    folder = tmp_path_factory.mktemp("original") / "model"
    write_original(folder, "same-l", hop=128)
    return folder


@pytest.fixture
def original(originals, tmp_path):
    return Path(shutil.copytree(originals, tmp_path / "model"))


@pytest.mark.parametrize("layout", Layout)
@pytest.mark.parametrize("codec", ["same-s", "same-l"])
@pytest.mark.parametrize("differential", [False, True], ids=["plain", "differential"])
def test_what_is_loaded_is_what_was_written(tmp_path, layout, codec, differential):
    settings = WRITERS[layout](tmp_path / "m", codec, differential=differential, hop=128)
    written, loaded = make_parts(settings), _load(tmp_path / "m")
    for name, network in _networks(written).items():
        state = _networks(loaded)[name].state_dict()
        assert state.keys() == network.state_dict().keys()
        for key, tensor in network.state_dict().items():
            torch.testing.assert_close(state[key], tensor, rtol=0, atol=0, msg=f"{name} {key}")
    latents = torch.randn(1, settings.codec.latent_dim, 6)
    with torch.inference_mode():
        expected = written.codec_module.decode(latents).sample
        made = loaded.codec_module.decode(latents).sample
    assert made.std() > 0.01
    torch.testing.assert_close(made, expected, rtol=0, atol=1e-6)


def test_parts_are_ready_to_use(originals):
    loaded = _load(originals)
    for network in (*_networks(loaded).values(), loaded.codec_module):
        assert not network.training
        assert not any(parameter.requires_grad for parameter in network.parameters())
        assert all(torch.isfinite(tensor).all() for tensor in network.state_dict().values())


def test_text_is_encoded_as_transformers_encodes_it(originals):
    written, loaded = make_parts(open_checkpoint(originals).settings), _load(originals)
    tokens = loaded.tokenizer("soft drums, 120 bpm", return_tensors="pt")
    assert tokens["input_ids"].shape[1] > 5
    with torch.inference_mode():
        expected = written.text_encoder(**tokens).last_hidden_state
        made = loaded.text_encoder(**tokens).last_hidden_state
    torch.testing.assert_close(made, expected, rtol=0, atol=0)


def test_a_tokenizer_needs_no_settings_of_its_own(original):
    tokens = _load(original).tokenizer("drums")["input_ids"]
    (original / TEXT_FOLDER / "tokenizer_config.json").unlink()
    assert _load(original).tokenizer("drums")["input_ids"] == tokens


# Precision


def test_each_part_has_its_type(originals):
    plan = DevicePlan("cpu", "bfloat16", "float16", "cpu", reason="")
    loaded = _load(originals, plan)
    assert loaded.transformer.proj_in.weight.dtype == torch.bfloat16
    assert {p.dtype for p in loaded.codec_module.parameters()} == {torch.float16}
    assert {p.dtype for p in loaded.text_encoder.parameters()} == {torch.bfloat16}
    assert {p.dtype for p in loaded.duration_embedder.parameters()} == {torch.float32}


def test_text_stays_out_of_float16(originals):
    loaded = _load(originals, DevicePlan("cpu", "float16", "float16", "cpu", reason=""))
    assert loaded.transformer.proj_in.weight.dtype == torch.float16
    assert {p.dtype for p in loaded.text_encoder.parameters()} == {torch.bfloat16}


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_frequencies_stay_exact_in_half_precision(originals, dtype):
    whole = _load(originals)
    half = _load(originals, DevicePlan("cpu", dtype, dtype, "cpu", reason=""))
    for name in ("transformer.rotary_pos_emb.inv_freq", "duration_embedder.freqs"):
        part, _, key = name.partition(".")
        made = getattr(half, part).get_buffer(key)
        assert made.dtype == torch.float32
        torch.testing.assert_close(made, getattr(whole, part).get_buffer(key), rtol=0, atol=0)
    rotary = half.text_encoder.encoder.rotary_emb.inv_freq
    assert rotary.dtype == torch.float32


def test_block_norms_have_the_epsilon_they_were_trained_with(originals):
    block = _load(originals).transformer.transformer_blocks[1]
    norms = (block.pre_norm, block.cross_attend_norm, block.ff_norm)
    assert [norm.eps for norm in norms] == [1e-5] * 3
    assert block.self_attn.q_norm.eps == 1e-6


def test_values_are_rounded_once(originals):
    half = _load(originals, HALF)
    whole = _load(originals)
    for key, tensor in whole.transformer.state_dict().items():
        if "inv_freq" not in key:
            assert torch.equal(half.transformer.state_dict()[key], tensor.bfloat16()), key


# Differential rows


def test_fused_rows_are_put_in_order(originals):
    """In the file: q, k, v and the second q, k; in the module: both q, both k, v."""
    loaded = _load(originals).transformer.transformer_blocks[0].self_attn.to_qkv.weight
    with safe_open(originals / "model.safetensors", "pt") as file:
        stored = file.get_tensor("model.model.transformer.layers.0.self_attn.to_qkv.weight")
    q, k, v, q2, k2 = stored.chunk(5)
    torch.testing.assert_close(loaded, torch.cat([q, q2, k, k2, v]), rtol=0, atol=0)


# Memory


def _file_behind(tensor):
    """The file whose pages a tensor's memory is."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        span, *_, name = line.split(maxsplit=5)
        first, last = (int(address, 16) for address in span.split("-"))
        if first <= tensor.data_ptr() < last:
            return Path(name).name
    return ""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_weights_are_the_file_where_they_can_be(originals):
    loaded, half = _load(originals), _load(originals, HALF)
    assert _file_behind(loaded.transformer.proj_in.weight) == "model.safetensors"
    fused = loaded.transformer.transformer_blocks[0].self_attn.to_qkv.weight
    assert _file_behind(fused) != "model.safetensors", "its rows are in another order"
    assert _file_behind(half.transformer.proj_in.weight) != "model.safetensors"


MEASURE = """
import gc
import sys
from pathlib import Path
from reapaint_engine.backends.stable_audio_3.checkpoint.checkpoint import open_checkpoint
from reapaint_engine.backends.stable_audio_3.device.placement import DevicePlan
from reapaint_engine.backends.stable_audio_3.inference.loading import load

def held(figure):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(figure)) * 1024

checkpoint = open_checkpoint(Path(sys.argv[1]))
for dtype in sys.argv[2:]:
    before = held("VmRSS")
    parts = load(checkpoint, DevicePlan("cpu", dtype, "float32", "cpu", reason=""), str)
    print(held("VmHWM") - before, held("VmRSS") - before)
    del parts
    gc.collect()
"""


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """Two hundred megabytes: enough to be seen among what Python takes."""
    tiny = tiny_settings("same-s", hop=128)
    shape = replace(tiny.transformer, embed_dim=1024, depth=3, num_heads=16, ff_mult=4.0)
    settings = replace(tiny, transformer=shape)
    folder = tmp_path_factory.mktemp("large")
    write_original_parts(folder, make_parts(settings), settings)
    return folder


@pytest.fixture(scope="module")
def grown(large):
    """By type, how much a process that does nothing else grew by, at most and in the end."""
    dtypes = ("bfloat16", "float32")  # the smaller one first: a peak is not forgotten
    command = [sys.executable, "-c", MEASURE, str(large), *dtypes]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    lines = done.stdout.splitlines()
    return {
        dtype: [int(figure) for figure in line.split()]
        for dtype, line in zip(dtypes, lines, strict=True)
    }


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_loading_needs_little_more_than_the_model(large, grown, dtype):
    stored = (large / "model.safetensors").stat().st_size
    assert stored > 200e6
    at_most, in_the_end = grown[dtype]
    is_converted = dtype == "bfloat16"
    loaded = stored / 2 if is_converted else stored
    passing = MAX_CONVERTED_BYTES + 20e6 if is_converted else 0
    assert at_most < 1.3 * loaded + passing
    assert in_the_end > 0.9 * loaded, "it was not read in"


# Progress


def test_progress_counts_bytes(originals):
    told = []
    _load(originals, on_progress=told.append)
    assert told == sorted(told)
    assert told[0] > 0
    assert told[-1] == 1.0


def test_what_progress_raises_ends_the_loading(originals):
    class Enough(Exception):
        pass

    def stop(fraction):
        if fraction > 0.5:
            raise Enough

    with pytest.raises(Enough):
        _load(originals, on_progress=stop)


# What can be wrong


def _refusal(folder, *words):
    told = []
    with pytest.raises(JobError) as caught:
        _load(folder, on_progress=told.append)
    assert caught.value.code == ErrorCode.MODEL_BROKEN
    for word in words:
        assert word in caught.value.message
    assert caught.value.hint
    assert not told, "nothing is read of a checkpoint that can't be used"


def _edit_weights(path, change):
    state = load_file(path)
    change(state)
    save_file(state, path)


@pytest.mark.parametrize(
    "key",
    [
        "model.model.transformer.layers.1.ff.ff.2.bias",
        "pretransform.model.decoder.layers.3.mapping.weight_g",
        "pretransform.model.encoder.layers.0.transformers.1.self_attn.k_norm.beta",
        "conditioner.conditioners.prompt.padding_embedding",
        "conditioner.conditioners.seconds_total.embedder.embedding.1.bias",
    ],
)
def test_a_missing_tensor_is_named(original, key):
    shapes = []
    _edit_weights(
        original / "model.safetensors", lambda state: shapes.append(list(state.pop(key).shape))
    )
    _refusal(original, "model.safetensors", key, str(shapes[0]))


def test_a_missing_tensor_of_the_text_encoder_is_named(original):
    key = "model.encoder.layers.1.mlp.up_proj.weight"
    _edit_weights(original / TEXT_FOLDER / "model.safetensors", lambda state: state.pop(key))
    _refusal(original, key, "[64, 32]")


@pytest.mark.parametrize(
    "key", [EXPERT, "pretransform.model.encoder.layers.0.lambda", "conditioner.bpm.weight", "extra"]
)
def test_a_tensor_without_a_place_is_named(original, key):
    _edit_weights(
        original / "model.safetensors", lambda state: state.update({key: torch.zeros(2, 3)})
    )
    _refusal(original, key, "[2, 3]", "another model")


def test_a_tensor_of_another_shape_is_named(original):
    key = "model.model.transformer.layers.1.cross_attn.to_kv.weight"

    def narrow(state):
        state[key] = state[key][:100].clone()

    _edit_weights(original / "model.safetensors", narrow)
    _refusal(original, key, "[100, 128]", "[384, 128]")


def test_a_quantised_tensor_is_named(original):
    key = "model.model.transformer.layers.1.cross_attn.to_kv.weight"

    def quantise(state):
        state[key] = state[key].to(torch.float8_e4m3fn)

    _edit_weights(original / "model.safetensors", quantise)
    _refusal(original, key, "F8_E4M3")


def test_a_text_configuration_that_describes_nothing(original):
    path = original / TEXT_FOLDER / "config.json"
    config = json.loads(path.read_text())
    config["encoder"]["num_hidden_layers"] = "two"
    path.write_text(json.dumps(config))
    _refusal(original, TEXT_FOLDER, "config.json")


def test_a_tokenizer_that_is_none(original):
    (original / TEXT_FOLDER / "tokenizer.json").write_text("{}")
    _refusal(original, "tokenizer.json")


@pytest.mark.gpu
def test_a_plan_for_a_card_puts_everything_there(originals):
    plan = DevicePlan("cuda:0", "float16", "float16", "cuda:0", reason="")
    loaded, whole = _load(originals, plan), _load(originals)
    for network in (*_networks(loaded).values(), loaded.codec_module):
        tensors = [*network.parameters(), *network.buffers()]
        assert {str(tensor.device) for tensor in tensors} == {"cuda:0"}
    weight = whole.transformer.transformer_blocks[0].self_attn.to_qkv.weight
    made = loaded.transformer.transformer_blocks[0].self_attn.to_qkv.weight
    assert torch.equal(made.cpu(), weight.half())
