"""Checkpoints on this machine: found, brought from a folder, checked and removed."""

import errno
import os
import shutil
from pathlib import Path

import pytest

from reapaint_engine.backends.stable_audio_3.checkpoint import hub, store
from reapaint_engine.backends.stable_audio_3.checkpoint.catalog import find_model
from reapaint_engine.backends.stable_audio_3.checkpoint.errors import StoreError
from reapaint_engine.backends.stable_audio_3.checkpoint.installing import FolderSource, install
from reapaint_engine.backends.stable_audio_3.checkpoint.manifest import (
    File,
    OnMoreBytes,
    checksum,
    is_safe,
    read_manifest,
)
from reapaint_engine.backends.stable_audio_3.checkpoint.store import (
    Origin,
    find_installed,
    find_one,
    remove,
    verify,
)
from reapaint_engine.protocol.errors import ReaPaintError
from tests.tiny_checkpoints import write_diffusers, write_original

REVISION = "89abcdef0123456789abcdef0123456789abcdef"
SFX = find_model("small-sfx")


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a small checkpoint in the original layout, with its licence and more."""
    folder = tmp_path_factory.mktemp("published")
    write_original(folder)
    (folder / "LICENSE.md").write_text("The licence.\n", encoding="utf-8")
    (folder / "README.md").write_text("Not needed.\n", encoding="utf-8")
    return folder


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep to folders of this test; returns the hub's cache."""
    monkeypatch.setenv("REAPAINT_MODELS_DIR", str(tmp_path / "models"))
    monkeypatch.setattr(hub, "cache_folder", lambda: tmp_path / "hub")
    return tmp_path / "hub"


@pytest.fixture
def source(published: Path, tmp_path: Path) -> Path:
    """Return a copy of the checkpoint that a test may change."""
    return Path(shutil.copytree(published, tmp_path / "source"))


def _fill_cache(cache: Path, published: Path, name: str = "small-sfx") -> Path:
    """Lay a checkpoint out as the hub's client does."""
    repository = cache / f"models--stabilityai--stable-audio-3-{name}"
    snapshot = repository / "snapshots" / REVISION
    for path in published.rglob("*"):
        if path.is_file():
            like = "" if path.suffix == ".safetensors" else "0" * 40
            blob = repository / "blobs" / checksum(path, like)
            blob.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, blob)
            link = snapshot / path.relative_to(published)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(os.path.relpath(blob, link.parent))
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(REVISION, encoding="utf-8")
    return snapshot


def _names(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


class FullSource(FolderSource):
    """A source whose files find no room."""

    def bring(self, file: File, target: Path, on_bytes: OnMoreBytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")


def _install(name: str, folder: Path, make_source: type[FolderSource] = FolderSource) -> None:
    model = find_model(name)
    install(model, make_source(folder, model))


def _refuse(
    model: str, folder: Path, make_source: type[FolderSource] = FolderSource
) -> ReaPaintError:
    with pytest.raises(ReaPaintError) as failure:
        _install(model, folder, make_source)
    assert failure.value.message.endswith(".")
    assert failure.value.hint.endswith(".")
    assert find_one(model) is None
    return failure.value


# Bringing from a folder


def test_a_folder_becomes_a_checkpoint(source: Path, tmp_path: Path) -> None:
    assert find_installed() == ()
    told: list[tuple[str, int, int]] = []
    installed = install(SFX, FolderSource(source, SFX), lambda *each: told.append(each))
    assert installed == find_one("small-sfx")
    assert find_installed() == (installed,)
    assert installed.folder == tmp_path / "models" / "small-sfx"
    assert installed.origin is Origin.OWN
    expected = [name for name in _names(source) if name != "README.md"]
    assert _names(installed.folder) == sorted([*expected, "manifest.json"])
    for name in expected:
        assert (installed.folder / name).read_bytes() == (source / name).read_bytes()
    manifest = read_manifest(installed.folder)
    assert manifest is not None
    assert all(len(file.checksum) == 64 for file in manifest.files)
    assert installed.revision == manifest.revision != ""
    assert verify(installed) == ()
    total = installed.size_bytes
    assert {(what, all_) for what, _, all_ in told} <= {("download", total), ("check", total)}
    assert all(0 <= done <= total for _, done, _ in told)


def test_the_diffusers_layout_as_well(tmp_path: Path) -> None:
    folder = tmp_path / "converted"
    write_diffusers(folder, "same-l", objective="rectified_flow")
    base = find_model("medium-base")
    installed = install(base, FolderSource(folder, base))
    assert (installed.folder / "transformer" / "config.json").is_file()
    assert verify(installed) == ()
    assert _refuse("medium", folder).code == "model_broken"


def test_files_are_linked_where_they_can_be_and_copied_elsewhere(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = install(SFX, FolderSource(source, SFX))
    name = "model.safetensors"
    assert (installed.folder / name).samefile(source / name)
    assert remove("small-sfx").freed_bytes < installed.size_bytes / 10

    def refuse(_self: Path, _target: Path) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    installed = install(SFX, FolderSource(source, SFX))
    assert not (installed.folder / name).samefile(source / name)
    assert verify(installed) == ()


def test_a_folder_of_reapaint_keeps_its_revision_and_is_compared(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = install(SFX, FolderSource(source, SFX))
    stick = Path(shutil.copytree(first.folder, tmp_path / "stick"))
    monkeypatch.setenv("REAPAINT_MODELS_DIR", str(tmp_path / "other machine"))
    second = install(SFX, FolderSource(stick, SFX))
    assert second.revision == first.revision
    remove("small-sfx")
    with pytest.raises(ReaPaintError, match="holds small-sfx, and not small-music"):
        FolderSource(stick, find_model("small-music"))
    _flip(stick / "model.safetensors", at=-1)
    error = _refuse("small-sfx", stick)
    assert error.code == "model_broken"
    assert "model.safetensors" in error.message


def test_the_wrong_checkpoint_is_refused(source: Path, tmp_path: Path) -> None:
    assert "small-music or small-sfx" in _refuse("medium", source).message
    assert "distilled" in _refuse("small-sfx-base", source).message
    assert _refuse("small-sfx", tmp_path / "none").code == "file_not_found"
    (tmp_path / "empty").mkdir()
    assert _refuse("small-sfx", tmp_path / "empty").code == "file_not_found"
    assert not list((tmp_path / "models").glob("*"))


def test_a_truncated_checkpoint_is_refused(source: Path) -> None:
    weights = source / "model.safetensors"
    with weights.open("r+b") as file:
        file.truncate(weights.stat().st_size // 2)
    assert _refuse("small-sfx", source).code == "model_broken"


def test_what_was_there_stays_until_the_new_one_is_whole(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = install(SFX, FolderSource(source, SFX))
    (source / "LICENSE.md").write_text("A new licence.\n", encoding="utf-8")
    (source / "model_config.json").write_text(
        (source / "model_config.json").read_text(encoding="utf-8") + "\n", encoding="utf-8"
    )
    newer = FolderSource(source, SFX)
    rename, renamed = Path.rename, []

    def fail_at_the_second(path: Path, goal: Path) -> Path:
        renamed.append(path)
        if len(renamed) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        return rename(path, goal)

    with monkeypatch.context() as patch:
        # The old one is set aside; the new one can't take its place.
        patch.setattr(Path, "rename", fail_at_the_second)
        with pytest.raises(StoreError) as failure:
            install(SFX, newer)
    assert failure.value.code == "disk_full"
    assert find_one("small-sfx") == first
    second = install(SFX, newer)
    assert second.revision != first.revision
    assert (second.folder / "LICENSE.md").read_text(encoding="utf-8") == "A new licence.\n"
    assert [p.name for p in second.folder.parent.iterdir() if p.is_dir()] == ["small-sfx"]


def test_a_process_killed_while_publishing_loses_nothing(source: Path) -> None:
    first = install(SFX, FolderSource(source, SFX))
    first.folder.rename(first.folder.with_name(".small-sfx.old"))
    assert find_one("small-sfx") is None
    # It is whole, and comes back without anything being brought.
    assert install(SFX, FullSource(source, SFX)) == first
    assert not first.folder.with_name(".small-sfx.old").exists()


def test_a_full_disk_is_seen_before_anything_is_copied(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: shutil._ntuple_diskusage(9, 9, 1000))
    error = _refuse("small-sfx", source)
    assert error.code == "disk_full"
    assert "REAPAINT_MODELS_DIR" in error.hint
    assert not list((tmp_path / "models").rglob("*.safetensors"))


def test_a_disk_that_fills_meanwhile(source: Path) -> None:
    assert _refuse("small-sfx", source, FullSource).code == "disk_full"


def test_a_folder_that_cannot_be_made(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("REAPAINT_MODELS_DIR", str(tmp_path / "file" / "models"))
    error = _refuse("small-sfx", source)
    assert error.code == "output_not_writable"


def test_two_processes_do_not_meet(source: Path) -> None:
    with store.locked("small-sfx"):
        assert _refuse("small-sfx", source).code == "model_busy"
    installed = install(SFX, FolderSource(source, SFX))
    with store.locked("small-sfx"), pytest.raises(StoreError) as failure:
        remove("small-sfx")
    assert failure.value.code == "model_busy"
    assert verify(installed) == ()


# The hub's cache


def test_a_cache_of_another_program_is_found_and_left_alone(cache: Path, published: Path) -> None:
    snapshot = _fill_cache(cache, published)
    found = find_one("small-sfx")
    assert found is not None
    assert (found.folder, found.origin, found.revision) == (snapshot, Origin.HUB_CACHE, REVISION)
    assert verify(found) == ()
    with pytest.raises(StoreError) as failure:
        remove("small-sfx")
    assert failure.value.code == "model_not_ours"
    assert "`hf cache rm model/stabilityai/stable-audio-3-small-sfx`" in failure.value.hint
    assert find_one("small-sfx") == found


def test_damage_in_the_cache_is_found(cache: Path, published: Path) -> None:
    snapshot = _fill_cache(cache, published)
    for name in ("model.safetensors", "model_config.json"):
        _flip((snapshot / name).resolve(), at=-1)
    found = find_one("small-sfx")
    assert found is not None
    assert sorted(damage.path for damage in verify(found)) == [
        "model.safetensors",
        "model_config.json",
    ]


def test_a_cache_that_holds_only_a_part_is_no_checkpoint(cache: Path, published: Path) -> None:
    snapshot = _fill_cache(cache, published)
    (snapshot / "t5gemma-b-b-ul2" / "model.safetensors").unlink()
    assert find_one("small-sfx") is None
    dangling = cache / "models--stabilityai--stable-audio-3-medium" / "snapshots" / REVISION
    dangling.mkdir(parents=True)
    (dangling / "model.safetensors").symlink_to("nowhere")
    assert find_installed() == ()


def test_ours_counts_before_the_cache(cache: Path, published: Path, source: Path) -> None:
    snapshot = _fill_cache(cache, published)
    installed = install(SFX, FolderSource(source, SFX))
    assert find_one("small-sfx") == installed
    removed = remove("small-sfx")
    assert removed.cached is not None
    assert removed.cached.folder == snapshot


# Checking and removing


def _flip(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.unlink()
    path.write_bytes(content)


def test_damage_is_found_and_named(source: Path) -> None:
    installed = install(SFX, FolderSource(source, SFX))
    _flip(installed.folder / "model.safetensors", at=-5)
    (installed.folder / "model_config.json").unlink()
    licence = installed.folder / "LICENSE.md"
    licence.write_text("Short.", encoding="utf-8")
    problems = {damage.path: damage.problem for damage in verify(installed)}
    assert problems == {
        "LICENSE.md": "has 6 bytes and should have 13",
        "model.safetensors": "differs from its checksum",
        "model_config.json": "is missing",
    }


def test_getting_again_repairs_what_is_damaged(published: Path, source: Path) -> None:
    installed = install(SFX, FolderSource(source, SFX))
    _flip(installed.folder / "model.safetensors", at=-5)
    repaired = install(SFX, FolderSource(published, SFX))
    assert repaired == installed
    assert verify(repaired) == ()


def test_removing_frees_what_lies_nowhere_else(source: Path, tmp_path: Path) -> None:
    installed = install(SFX, FolderSource(source, SFX))
    shutil.rmtree(source)
    removed = remove("small-sfx")
    assert removed.freed_bytes >= installed.size_bytes
    assert removed.cached is None
    assert find_installed() == ()
    assert _names(tmp_path / "models") in ([], [".small-sfx.lock"])
    with pytest.raises(StoreError) as failure:
        remove("small-sfx")
    assert failure.value.code == "no_model"


def test_removing_ends_an_unfinished_download_too(tmp_path: Path) -> None:
    part = store.staging_folder("small-sfx") / "model.safetensors.0123.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"x" * 1000)
    assert store.begun_bytes("small-sfx") == 1000
    assert remove("small-sfx").freed_bytes == 1000
    assert store.begun_bytes("small-sfx") == 0


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no json",
        "[]",
        "{}",
        '{"format": 2, "name": "small-sfx", "source": "", "revision": "", "files": []}',
        '{"format": 1, "name": "small-sfx", "source": "", "revision": "",'
        ' "files": [{"path": "../../x", "size": 1, "sha256": "' + "0" * 64 + '"}]}',
    ],
)
def test_a_manifest_that_cannot_be_is_no_checkpoint(tmp_path: Path, text: str) -> None:
    folder = tmp_path / "models" / "small-sfx"
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text(text, encoding="utf-8")
    assert find_one("small-sfx") is None


@pytest.mark.parametrize("path", ["", "/etc/passwd", "../x", "a/../../x", "a\\b", "C:x"])
def test_paths_that_leave_their_folder(path: str) -> None:
    assert not is_safe(path)


def test_both_kinds_of_checksum(tmp_path: Path) -> None:
    path = tmp_path / "hello"
    path.write_bytes(b"hello\n")
    # As `git hash-object` and `sha256sum` print them.
    assert checksum(path, "0" * 40) == "ce013625030ba8dba906f756967f9e9ca394464a"
    assert checksum(path) == "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03"
    wrong = File("hello", 6, "0" * 64)
    assert store.find_problem(path, wrong, lambda _n: None) == "differs from its checksum"
