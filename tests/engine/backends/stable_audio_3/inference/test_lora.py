"""Adapters: on, changed, off; in both layouts; and those of other models."""

import copy
import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

from reapaint_engine.backends.stable_audio_3.checkpoint.adapters import AdapterKind, open_adapter
from reapaint_engine.backends.stable_audio_3.inference.lora import AdapterStack
from reapaint_engine.errors import JobError
from reapaint_engine.protocol.errors import ErrorCode
from tests.tiny_checkpoints import make_tiny_parts

RANK = 3
ALPHA = 6.0
FUSED = "transformer_blocks.0.self_attn.to_qkv"
FUSED_ORIGINAL = "model.transformer.layers.0.self_attn.to_qkv"
NAMES = {
    # diffusers' name: the trainer's
    FUSED: FUSED_ORIGINAL,
    "transformer_blocks.1.cross_attn.to_kv": "model.transformer.layers.1.cross_attn.to_kv",
    "transformer_blocks.1.ff.proj_in": "model.transformer.layers.1.ff.ff.0.proj",
    "proj_out": "model.transformer.project_out",
    "preprocess_conv": "model.preprocess_conv",
    "to_timestep_embed.2": "model.to_timestep_embed.2",
}
DURATION = "conditioners.seconds_total.embedder.embedding.1"
KINDS = ["lora", "dora-rows", "dora-cols", "bora"]


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "differential"])
def untouched(request):
    return make_tiny_parts("same-l", differential=request.param)


@pytest.fixture
def parts(untouched):
    # What adapters change; a copy of the tokenizer would take most of the time.
    return replace(
        untouched,
        transformer=copy.deepcopy(untouched.transformer),
        duration_embedder=copy.deepcopy(untouched.duration_embedder),
    )


def _state(parts):
    networks = (parts.transformer, parts.duration_embedder)
    return {
        f"{number}.{key}": tensor.clone()
        for number, network in enumerate(networks)
        for key, tensor in network.state_dict().items()
    }


def _same(first, second):
    return [key for key in first if not torch.equal(first[key], second[key])] == []


def _update(weight, seed, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    columns = weight[0].numel()
    down = torch.randn(RANK, columns, generator=generator).to(dtype)
    up = torch.randn(weight.shape[0], RANK, generator=generator).to(dtype)
    return down, up


def _to_original_rows(rows, parts, name):
    """From both queries, both keys, values to how the trainer has them."""
    if name == FUSED and parts.transformer.config.use_differential_attention:
        q1, q2, k1, k2, v = rows.chunk(5)
        return torch.cat([q1, k1, v, q2, k2])
    return rows


def _write_trained(path, parts, kind="lora", seed=0, stated=None, **config):
    """Write what the trainer writes, in halves as it does; return it as it was meant."""
    tensors, meant = {}, {}
    layers = {name: parts.transformer.get_submodule(name) for name in NAMES}
    layers[DURATION] = parts.duration_embedder.linear
    for number, (name, layer) in enumerate(layers.items()):
        down, up = _update(layer.weight, 100 * seed + number, torch.float16)
        rows = 1 + torch.rand(len(up)).half()
        columns = 1 + torch.rand(down.shape[1]).half()
        meant[name] = (down.float(), up.float(), rows.float(), columns.float())
        key = f"{NAMES.get(name, DURATION)}.parametrizations.weight.0"
        tensors[f"{key}.lora_A"] = down
        tensors[f"{key}.lora_B"] = _to_original_rows(up, parts, name).contiguous()
        rows = _to_original_rows(rows, parts, name).contiguous()
        if kind == "dora-rows":
            tensors[f"{key}.magnitude"] = rows
        elif kind == "dora-cols":
            tensors[f"{key}.magnitude"] = columns
        elif kind == "bora":
            tensors |= {f"{key}.magnitude_r": rows, f"{key}.magnitude_c": columns}
    config = {"rank": RANK, "alpha": ALPHA, "adapter_type": stated or kind} | config
    save_file(tensors, path, metadata={"lora_config": json.dumps(config)})
    return meant


def _expected(weight, meant, kind, strength):
    """The formulas, written out from what the trainer documents."""
    down, up, rows, columns = (tensor.double() for tensor in meant)
    changed = weight.double().flatten(1) + (ALPHA / RANK) * strength * (up @ down)
    if kind in ("dora-rows", "bora"):
        changed = rows[:, None] * changed / changed.norm(dim=1, keepdim=True)
    if kind in ("dora-cols", "bora"):
        changed = columns[None] * changed / changed.norm(dim=0, keepdim=True)
    return changed.view(weight.shape)


def _weight(parts, name):
    if name == DURATION:
        return parts.duration_embedder.linear.weight
    return parts.transformer.get_submodule(name).weight


# The trainer's layout


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("strength", [1.0, 0.4, -1.0])
def test_a_trained_adapter_changes_what_its_formula_says(parts, tmp_path, kind, strength):
    path = tmp_path / "style.safetensors"
    meant = _write_trained(path, parts, kind)
    before = {name: _weight(parts, name).clone() for name in meant}
    untouched = parts.transformer.proj_in.weight
    adapter = open_adapter(path)
    assert adapter.kind == kind
    AdapterStack(parts).use([(adapter, strength)])
    for name, tensors in meant.items():
        expected = _expected(before[name], tensors, kind, strength).float()
        torch.testing.assert_close(_weight(parts, name).detach(), expected, rtol=1e-5, atol=1e-5)
    assert parts.transformer.proj_in.weight is untouched


@pytest.mark.parametrize("kind", KINDS)
def test_taking_an_adapter_off_gives_back_every_bit(parts, tmp_path, kind):
    path = tmp_path / "style.safetensors"
    _write_trained(path, parts, kind)
    before = _state(parts)
    stack = AdapterStack(parts)
    stack.use([(open_adapter(path), 0.7)])
    assert not _same(before, _state(parts))
    stack.clear()
    assert _same(before, _state(parts))


def test_half_precision_is_given_back_too(parts, tmp_path):
    parts.transformer.to(torch.bfloat16)
    path = tmp_path / "style.safetensors"
    _write_trained(path, parts)
    before = _state(parts)
    stack = AdapterStack(parts)
    stack.use([(open_adapter(path), 1.0)])
    assert parts.transformer.get_submodule(FUSED).weight.dtype == torch.bfloat16
    assert not _same(before, _state(parts))
    stack.clear()
    assert _same(before, _state(parts))


def test_the_model_sounds_different_while_one_acts(parts, tmp_path):
    path = tmp_path / "style.safetensors"
    _write_trained(path, parts)
    arguments = {
        "hidden_states": torch.randn(1, 8, 12),
        "timestep": torch.tensor([0.5]),
        "encoder_hidden_states": torch.randn(1, 4, 32),
        "global_hidden_states": torch.randn(1, 32),
        "local_add_cond": torch.randn(1, 9, 12),
    }
    stack = AdapterStack(parts)
    with torch.inference_mode():
        plain = parts.transformer(**arguments).sample
        stack.use([(open_adapter(path), 1.0)])
        adapted = parts.transformer(**arguments).sample
        stack.clear()
        again = parts.transformer(**arguments).sample
    assert (adapted - plain).std() > 0.1 * plain.std()
    assert torch.equal(again, plain)


def test_strengths_change_from_the_original(parts, tmp_path):
    """Neither order nor history matters: 0.3 is the same after 1 as at once."""
    path = tmp_path / "style.safetensors"
    _write_trained(path, parts, "dora-rows")
    adapter = open_adapter(path)
    stack = AdapterStack(parts)
    stack.use([(adapter, 0.3)])
    once = _state(parts)
    stack.use([(adapter, 1.0)])
    assert not _same(once, _state(parts))
    stack.use([(adapter, 0.3)])
    assert _same(once, _state(parts))


def test_several_adapters_act_in_turn(parts, tmp_path):
    paths = [tmp_path / f"{name}.safetensors" for name in "ab"]
    meant = [_write_trained(path, parts, "dora-rows", seed) for seed, path in enumerate(paths)]
    before = _weight(parts, FUSED).clone()
    original = _state(parts)
    stack = AdapterStack(parts)
    adapters = [open_adapter(path) for path in paths]
    stack.use([(adapters[0], 0.5), (adapters[1], 0.25)])
    first = _expected(before, meant[0][FUSED], "dora-rows", 0.5)
    both = _expected(first, meant[1][FUSED], "dora-rows", 0.25).float()
    torch.testing.assert_close(_weight(parts, FUSED).detach(), both, rtol=1e-5, atol=1e-5)
    stack.use([(adapters[1], 0.25)])
    alone = _expected(before, meant[1][FUSED], "dora-rows", 0.25).float()
    torch.testing.assert_close(_weight(parts, FUSED).detach(), alone, rtol=1e-5, atol=1e-5)
    stack.use([])
    assert _same(original, _state(parts))


def test_an_adapter_of_no_strength_does_nothing(parts, tmp_path):
    path = tmp_path / "style.safetensors"
    _write_trained(path, parts, "dora-rows")
    before = _state(parts)
    stack = AdapterStack(parts)
    stack.use([(open_adapter(path), 0.0)])
    assert stack.is_using([])
    assert _same(before, _state(parts))


def test_the_same_again_changes_nothing(parts, tmp_path):
    path = tmp_path / "style.safetensors"
    _write_trained(path, parts)
    adapters = [(open_adapter(path), 0.5)]
    stack = AdapterStack(parts)
    assert not stack.is_using(adapters)
    stack.use(adapters)
    assert stack.is_using(adapters)
    weight = _weight(parts, FUSED)
    stack.use([(open_adapter(path), 0.5)])
    assert _weight(parts, FUSED) is weight


def test_an_adapter_that_was_trained_again_is_another(parts, tmp_path):
    path = tmp_path / "style.safetensors"
    _write_trained(path, parts)
    stack = AdapterStack(parts)
    stack.use([(open_adapter(path), 0.5)])
    _write_trained(path, parts, seed=1)
    assert not stack.is_using([(open_adapter(path), 0.5)])


@pytest.mark.parametrize(("shape", "kind"), [((-1, 1), "dora-rows"), ((1, -1), "dora-cols")])
def test_an_old_dora_tells_its_kind_by_its_shape(parts, tmp_path, shape, kind):
    path = tmp_path / "style.safetensors"
    weight = _weight(parts, "proj_out")
    down, up = _update(weight, 0)
    length = weight.shape[0] if kind == "dora-rows" else weight.shape[1]
    key = "model.transformer.project_out.parametrizations.weight.0"
    tensors = {f"{key}.lora_A": down, f"{key}.lora_B": up}
    tensors[f"{key}.magnitude"] = torch.ones(length).view(shape)
    save_file(tensors, path, metadata={"lora_config": '{"adapter_type": "dora"}'})
    adapter = open_adapter(path)
    assert adapter.kind == kind
    AdapterStack(parts).use([(adapter, 1.0)])
    axis = 1 if kind == "dora-rows" else 0
    lengths = _weight(parts, "proj_out").detach().norm(dim=axis)
    torch.testing.assert_close(lengths, torch.ones_like(lengths))


def test_a_file_without_settings_has_its_rank_as_alpha(parts, tmp_path):
    path = tmp_path / "style.safetensors"
    key = "model.transformer.project_out.parametrizations.weight.0"
    down, up = _update(_weight(parts, "proj_out"), 0)
    save_file({f"{key}.lora_A": down, f"{key}.lora_B": up}, path)
    adapter = open_adapter(path)
    assert adapter.kind is AdapterKind.LORA
    assert adapter.layers[0].scale == 1.0


# PEFT's and diffusers' layout


def _write_peft(path, parts, prefix, suffix="", metadata=None, **extra):
    tensors, meant = {}, {}
    for number, name in enumerate(NAMES):
        down, up = _update(_weight(parts, name), number)
        meant[name] = (down, up)
        if name == "preprocess_conv":
            down, up = down[..., None], up[..., None]
        tensors[f"{prefix}{name}.lora_A{suffix}.weight"] = down
        tensors[f"{prefix}{name}.lora_B{suffix}.weight"] = up
    save_file(tensors | extra, path, metadata=metadata)
    return meant


def _check_peft(parts, path, meant, scale):
    before = {name: _weight(parts, name).clone() for name in meant}
    AdapterStack(parts).use([(open_adapter(path), 1.0)])
    for name, (down, up) in meant.items():
        expected = before[name] + scale * (up @ down).view(before[name].shape)
        torch.testing.assert_close(_weight(parts, name).detach(), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("prefix", ["", "transformer.", "base_model.model."])
@pytest.mark.parametrize("suffix", ["", ".default"])
def test_peft_adapters_act(parts, tmp_path, prefix, suffix):
    path = tmp_path / "style.safetensors"
    meant = _write_peft(path, parts, prefix, suffix)
    _check_peft(parts, path, meant, scale=1.0)


def test_peft_adapters_of_the_original_names_have_its_rows(parts, tmp_path):
    path = tmp_path / "style.safetensors"
    down, up = _update(_weight(parts, FUSED), 0)
    stored = _to_original_rows(up, parts, FUSED).contiguous()
    key = f"base_model.model.{FUSED_ORIGINAL}"
    save_file({f"{key}.lora_A.weight": down, f"{key}.lora_B.weight": stored}, path)
    _check_peft(parts, path, {FUSED: (down, up)}, scale=1.0)


def test_diffusers_keeps_its_settings_in_the_file(parts, tmp_path):
    path = tmp_path / "style.safetensors"
    config = {"transformer.lora_alpha": ALPHA, "transformer.r": RANK}
    metadata = {"lora_adapter_metadata": json.dumps(config)}
    meant = _write_peft(path, parts, "transformer.", metadata=metadata)
    _check_peft(parts, path, meant, scale=ALPHA / RANK)


@pytest.mark.parametrize(
    ("config", "scale"),
    [
        ({"lora_alpha": ALPHA}, ALPHA / RANK),
        ({"lora_alpha": ALPHA, "use_rslora": True}, ALPHA / RANK**0.5),
        ({"lora_alpha": 1, "alpha_pattern": {"proj_out": ALPHA}}, ALPHA / RANK),
    ],
)
def test_peft_keeps_its_settings_beside_the_file(parts, tmp_path, config, scale):
    folder = tmp_path / "style"
    folder.mkdir()
    (folder / "adapter_config.json").write_text(json.dumps(config))
    meant = _write_peft(folder / "adapter_model.safetensors", parts, "base_model.model.")
    assert open_adapter(folder).name == "style"
    _check_peft(parts, folder, {"proj_out": meant["proj_out"]}, scale)


def test_an_alpha_may_be_a_tensor(parts, tmp_path):
    path = tmp_path / "style.safetensors"
    down, up = _update(_weight(parts, "proj_out"), 0)
    key = "diffusion_model.transformer.project_out"
    tensors = {f"{key}.lora_down.weight": down, f"{key}.lora_up.weight": up}
    save_file(tensors | {f"{key}.alpha": torch.tensor(ALPHA)}, path)
    _check_peft(parts, path, {"proj_out": (down, up)}, ALPHA / RANK)


def test_a_dora_of_peft_sets_row_lengths(parts, tmp_path):
    path = tmp_path / "style.safetensors"
    weight = _weight(parts, "proj_out")
    down, up = _update(weight, 0)
    lengths = 1 + torch.rand(weight.shape[0])
    key = "base_model.model.proj_out"
    tensors = {f"{key}.lora_A.weight": down, f"{key}.lora_B.weight": up}
    save_file(tensors | {f"{key}.lora_magnitude_vector": lengths}, path)
    AdapterStack(parts).use([(open_adapter(path), 1.0)])
    made = _weight(parts, "proj_out").detach().norm(dim=1)
    torch.testing.assert_close(made, lengths, rtol=1e-5, atol=0)


# Those that can't be used


def _refusal(action, *words):
    with pytest.raises(JobError) as caught:
        action()
    assert caught.value.code == ErrorCode.MODEL_BROKEN
    for word in words:
        assert word in caught.value.message
    assert caught.value.hint


def _save_pair(path, key, down, up):
    save_file({f"{key}.lora_A.weight": down, f"{key}.lora_B.weight": up}, path)


def test_an_adapter_of_a_larger_model_is_refused(parts, tmp_path):
    path = tmp_path / "style.safetensors"
    _save_pair(path, "proj_out", torch.zeros(2, 1536), torch.zeros(8, 2))
    before = _state(parts)
    stack = AdapterStack(parts)
    _refusal(
        lambda: stack.use([(open_adapter(path), 1.0)]), "proj_out.lora_A", "[2, 1536]", "128 inputs"
    )
    assert _same(before, _state(parts))


def test_an_adapter_of_more_outputs_is_refused(parts, tmp_path):
    path = tmp_path / "style.safetensors"
    _save_pair(path, "proj_out", torch.zeros(2, 128), torch.zeros(256, 2))
    stack = AdapterStack(parts)
    _refusal(
        lambda: stack.use([(open_adapter(path), 1.0)]), "proj_out.lora_B", "[256, 2]", "8 outputs"
    )


def test_an_adapter_of_deeper_models_is_refused(parts, tmp_path):
    path = tmp_path / "style.safetensors"
    key = "transformer_blocks.23.ff.proj_in"
    _save_pair(path, key, torch.zeros(2, 128), torch.zeros(512, 2))
    stack = AdapterStack(parts)
    _refusal(lambda: stack.use([(open_adapter(path), 1.0)]), key, "[512, 2]", "no such layer")


def test_a_refused_adapter_leaves_those_that_act(parts, tmp_path):
    good, bad = tmp_path / "good.safetensors", tmp_path / "bad.safetensors"
    _write_trained(good, parts)
    _save_pair(bad, "nothing", torch.zeros(2, 128), torch.zeros(512, 2))
    stack = AdapterStack(parts)
    adapters = [(open_adapter(good), 1.0)]
    stack.use(adapters)
    acting = _state(parts)
    _refusal(lambda: stack.use([(open_adapter(bad), 1.0)]), "nothing")
    assert stack.is_using(adapters)
    assert _same(acting, _state(parts))


def test_a_failure_half_way_leaves_the_model_itself(parts, tmp_path):
    path = tmp_path / "style.safetensors"
    _write_trained(path, parts)
    before = _state(parts)
    stack = AdapterStack(parts)
    adapter = open_adapter(path)
    path.unlink()
    _refusal(lambda: stack.use([(adapter, 1.0)]), "style.safetensors", "can no longer be read")
    assert stack.is_using([])
    assert _same(before, _state(parts))


@pytest.mark.parametrize("kind", ["lora-xs", "dora-rows-xs"])
def test_an_adapter_without_its_bases_is_refused(tmp_path, kind):
    path = tmp_path / "style.safetensors"
    tensors = {"model.to_timestep_embed.0.parametrizations.weight.0.M_xs": torch.zeros(3, 3)}
    save_file(tensors, path, metadata={"lora_config": json.dumps({"adapter_type": kind})})
    _refusal(lambda: open_adapter(path), kind, "singular vectors")


@pytest.mark.parametrize("name", ["style.ckpt", "style.pt", "style.bin"])
def test_a_pickle_is_never_opened(tmp_path, name):
    (tmp_path / name).write_bytes(b"")
    _refusal(lambda: open_adapter(tmp_path / name), name, "pickled")


def test_a_folder_with_a_pickle_is_refused(tmp_path):
    (tmp_path / "adapter_model.bin").write_bytes(b"")
    _refusal(lambda: open_adapter(tmp_path), "adapter_model.bin", "never opened")


def test_a_whole_model_is_no_adapter(tmp_path):
    path = tmp_path / "model.safetensors"
    save_file({"proj_out.weight": torch.zeros(3, 4)}, path)
    _refusal(lambda: open_adapter(path), "proj_out.weight", "[3, 4]")


def test_half_a_pair_is_refused(tmp_path):
    path = tmp_path / "style.safetensors"
    save_file({"proj_out.lora_A.weight": torch.zeros(3, 4)}, path)
    _refusal(lambda: open_adapter(path), "lora_B", "proj_out")


def test_halves_of_different_ranks_are_refused(tmp_path):
    path = tmp_path / "style.safetensors"
    _save_pair(path, "proj_out", torch.zeros(3, 4), torch.zeros(5, 2))
    _refusal(lambda: open_adapter(path), "lora_B", "[5, 2]", "3")


def test_a_dora_without_lengths_is_refused(tmp_path):
    path = tmp_path / "style.safetensors"
    key = "model.to_timestep_embed.0.parametrizations.weight.0"
    tensors = {f"{key}.lora_A": torch.zeros(3, 4), f"{key}.lora_B": torch.zeros(5, 3)}
    save_file(tensors, path, metadata={"lora_config": '{"adapter_type": "bora"}'})
    _refusal(lambda: open_adapter(path), "bora", "to_timestep_embed")


def test_settings_that_are_none(tmp_path):
    path = tmp_path / "style.safetensors"
    tensors = {"model.x.parametrizations.weight.0.lora_A": torch.zeros(3, 4)}
    save_file(tensors, path, metadata={"lora_config": "[1]"})
    _refusal(lambda: open_adapter(path), "lora_config")


@pytest.mark.parametrize("name", ["rank", "alpha"])
@pytest.mark.parametrize("value", [0, -1, "4", [4], True])
def test_numbers_that_are_none(parts, tmp_path, name, value):
    path = tmp_path / "style.safetensors"
    _write_trained(path, parts, **{name: value})
    _refusal(lambda: open_adapter(path), name, repr(value))


@pytest.mark.gpu
def test_on_a_card_the_originals_wait_beside_it(tmp_path):
    parts = make_tiny_parts("same-l", differential=True)
    path = tmp_path / "style.safetensors"
    _write_trained(path, parts)
    parts.transformer.to("cuda", torch.float16)
    before = _state(parts)
    stack = AdapterStack(parts)
    stack.use([(open_adapter(path), 1.0)])
    assert _weight(parts, FUSED).is_cuda
    assert not _same(before, _state(parts))
    stack.clear()
    assert _same(before, _state(parts))
