"""Headers of safetensors files, whole and broken."""

import json
import pickle

import pytest
import torch
from safetensors.torch import save_file

from reapaint_engine.backends.stable_audio_3.checkpoint.tensor_files import (
    fingerprint,
    read_file,
    read_index,
    read_json,
)
from reapaint_engine.errors import JobError
from reapaint_engine.protocol.errors import ErrorCode


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "model.safetensors"
    tensors = {"a.weight": torch.randn(3, 5), "b": torch.zeros(7, dtype=torch.bfloat16)}
    save_file(tensors, path, metadata={"who": "me"})
    return path


def _refused(path, *words):
    with pytest.raises(JobError) as caught:
        read_file(path)
    assert caught.value.code == ErrorCode.MODEL_BROKEN
    for word in (path.name, *words):
        assert word in caught.value.message
    assert caught.value.hint


def test_a_header_tells_types_shapes_and_sizes(path):
    index = read_file(path)
    assert index.shape("a.weight") == (3, 5)
    assert index.tensors["a.weight"].dtype == "F32"
    assert index.tensors["b"].size == 14
    assert index.metadata == {"who": "me"}


def test_a_missing_tensor_is_named(path):
    with pytest.raises(JobError, match=r"model.safetensors holds no tensor c"):
        read_file(path).shape("c")


@pytest.mark.parametrize("kept", [4, 20, -1])
def test_a_cut_file_is_refused(path, kept):
    path.write_bytes(path.read_bytes()[:kept])
    _refused(path)


def test_a_longer_file_is_refused(path):
    path.write_bytes(path.read_bytes() + b"more")
    _refused(path, "damaged")


def test_a_size_that_is_not_its_shape_is_refused(path):
    path.write_bytes(path.read_bytes().replace(b"[3,5]", b"[3,6]"))
    _refused(path, "a.weight", "[3, 6]")


@pytest.mark.parametrize(
    "content",
    [b"", b"not tensors at all", b"\x10" + 7 * b"\0" + b"[1, 2, 3, 4, 5] ", b"<html>" * 100],
    ids=["empty", "text", "a list", "a web page"],
)
def test_something_else_is_refused(tmp_path, content):
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    _refused(path)


def test_a_git_lfs_pointer_is_refused(tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 2\n")
    _refused(path, "no safetensors file")


@pytest.mark.parametrize("suffix", [".ckpt", ".bin", ".pt", ".PTH"])
def test_a_pickle_is_never_opened(tmp_path, suffix):
    path = tmp_path / f"model{suffix}"
    path.write_bytes(pickle.dumps({}))
    _refused(path, "pickled")


def test_a_pickle_under_another_name_is_no_safetensors_file(tmp_path):
    path = tmp_path / "model.safetensors"
    torch.save({"a": torch.zeros(3)}, path)
    _refused(path, "no safetensors file")


def test_pickles_instead_of_weights_are_named(tmp_path):
    (tmp_path / "model.ckpt").write_bytes(b"")
    with pytest.raises(JobError, match=r"model\.ckpt but no model\.safetensors"):
        read_index(tmp_path, "model")


def test_shards_are_read_as_one(tmp_path):
    names = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    for name, key in zip(names, "ab", strict=True):
        save_file({key: torch.ones(2)}, tmp_path / name)
    index = {"weight_map": dict(zip("ab", names, strict=True))}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    found = read_index(tmp_path, "model")
    assert {key: stored.path.name for key, stored in found.tensors.items()} == index["weight_map"]
    (tmp_path / names[1]).unlink()
    with pytest.raises(JobError, match="has no model-00002-of-00002"):
        read_index(tmp_path, "model")


def test_shards_elsewhere_are_refused(tmp_path):
    index = {"weight_map": {"a": "../model.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(JobError, match="names no shards beside it"):
        read_index(tmp_path, "model")


@pytest.mark.parametrize("content", ["{", "[1]", "\udcff"])
def test_unreadable_settings_are_refused(tmp_path, content):
    path = tmp_path / "config.json"
    path.write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(JobError, match=r"config\.json"):
        read_json(path)


def test_a_fingerprint_tells_weights_of_the_same_shapes_apart(tmp_path):
    paths = [tmp_path / name / "model.safetensors" for name in "ab"]
    for seed, path in enumerate(paths):
        path.parent.mkdir()
        torch.manual_seed(seed)
        save_file({"a": torch.randn(300, 300)}, path)
    first, second = (fingerprint([path]) for path in paths)
    assert first != second
    assert first == fingerprint([paths[0]])
    assert first != fingerprint([paths[0]], extra=b"settings")
    assert len(first) == 16
