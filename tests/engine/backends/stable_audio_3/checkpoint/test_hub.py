"""Downloads from a stand-in for the hub, and what its refusals become."""

import errno
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import huggingface_hub
import huggingface_hub.constants
import pytest

from reapaint_engine.backends.stable_audio_3.checkpoint import hub, installing
from reapaint_engine.backends.stable_audio_3.checkpoint.catalog import find_model
from reapaint_engine.backends.stable_audio_3.checkpoint.errors import StoreError
from reapaint_engine.backends.stable_audio_3.checkpoint.hub import MAX_EMPTY_ATTEMPTS, HubSource
from reapaint_engine.backends.stable_audio_3.checkpoint.installing import install
from reapaint_engine.backends.stable_audio_3.checkpoint.store import (
    Installed,
    Origin,
    begun_bytes,
    find_one,
    verify,
)
from reapaint_engine.errors import JobError
from tests.stand_in_hub import REVISION, StandInHub, serve_hub
from tests.tiny_checkpoints import write_original

SFX = find_model("small-sfx")
WEIGHTS = "model.safetensors"


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("published")
    write_original(folder)
    (folder / "LICENSE.md").write_text("The licence.\n", encoding="utf-8")
    (folder / "README.md").write_text("Not needed.\n", encoding="utf-8")
    (folder / "model.ckpt").write_bytes(b"pickled")
    return folder


@pytest.fixture
def stand_in(
    published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[StandInHub]:
    """Run the stand-in with one repository, away from this user's token and caches."""
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_OIDC_RESOURCE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("REAPAINT_MODELS_DIR", str(tmp_path / "models"))
    constants = huggingface_hub.constants
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.setattr(constants, "AGENT_HARNESSES_PATH", str(tmp_path / "agents"), raising=False)
    with serve_hub() as server:
        server.repositories[SFX.repo_id] = published
        yield server
    huggingface_hub.close_session()


def _get(stand_in: StandInHub, pause: Callable[[float], None] = lambda _s: None) -> Installed:
    return install(SFX, HubSource(SFX, endpoint=stand_in.endpoint, pause=pause))


def _refuse(stand_in: StandInHub) -> StoreError:
    with pytest.raises(StoreError) as failure:
        _get(stand_in)
    assert failure.value.message.endswith(".")
    assert failure.value.hint.endswith(".")
    assert find_one("small-sfx") is None
    return failure.value


def test_the_stand_in_satisfies_the_hubs_own_client(
    stand_in: StandInHub, published: Path, tmp_path: Path
) -> None:
    stand_in.token = "hf_secret"
    folder = huggingface_hub.snapshot_download(
        SFX.repo_id,
        endpoint=stand_in.endpoint,
        token="hf_secret",
        allow_patterns=["*.json", "*.safetensors"],
        cache_dir=tmp_path / "hub",
    )
    assert (Path(folder) / WEIGHTS).read_bytes() == (published / WEIGHTS).read_bytes()
    found = find_one("small-sfx")
    assert found is not None
    assert (found.origin, found.revision) == (Origin.HUB_CACHE, REVISION)
    assert verify(found) == ()


def test_a_download(stand_in: StandInHub, published: Path) -> None:
    installed = _get(stand_in)
    assert installed.revision == REVISION
    assert installed.origin is Origin.OWN
    assert verify(installed) == ()
    names = {path.name for path in installed.folder.rglob("*") if path.is_file()}
    assert {"model.safetensors", "LICENSE.md", "tokenizer.json"} <= names
    assert not {"README.md", "model.ckpt"} & names
    manifest = json.loads((installed.folder / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["source"] == SFX.repo_id
    assert begun_bytes("small-sfx") == 0


def test_progress_grows_to_all_there_is(stand_in: StandInHub) -> None:
    told: list[tuple[str, int, int]] = []
    source = HubSource(SFX, endpoint=stand_in.endpoint)
    installed = install(SFX, source, lambda *each: told.append(each))
    for what in ("download", "check"):
        done = [each[1] for each in told if each[0] == what]
        assert done == sorted(done)
        assert done[-1] == installed.size_bytes
    assert {each[2] for each in told} == {installed.size_bytes}


def test_an_interrupted_download_goes_on_where_it_ended(
    stand_in: StandInHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in.cut_after, stand_in.cuts_left = 1_000_000, 1

    def interrupt(_seconds: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _get(stand_in, interrupt)
    assert find_one("small-sfx") is None
    begun = begun_bytes("small-sfx")
    assert begun >= 1_000_000
    installed = _get(stand_in)
    assert verify(installed) == ()
    assert "bytes=1000000-" in stand_in.bytes_served(f"//{WEIGHTS}")
    assert stand_in.bytes_served(f"//{WEIGHTS}").count("") == 1


def test_a_line_that_breaks_again_and_again(stand_in: StandInHub) -> None:
    stand_in.cut_after, stand_in.cuts_left = 500_000, 8
    pauses: list[float] = []
    installed = _get(stand_in, pauses.append)
    assert verify(installed) == ()
    assert len(pauses) == 8  # more than MAX_EMPTY_ATTEMPTS, for each attempt brought something


def test_a_line_that_brings_nothing_is_given_up(stand_in: StandInHub) -> None:
    stand_in.cut_after, stand_in.cuts_left = 0, 99
    error = _refuse(stand_in)
    assert error.code == "hub_unreachable"
    assert "is kept" in error.hint
    assert stand_in.cuts_left == 99 - MAX_EMPTY_ATTEMPTS


def test_a_server_that_knows_no_ranges_starts_again(stand_in: StandInHub) -> None:
    stand_in.ignores_ranges = True
    stand_in.cut_after, stand_in.cuts_left = 1_000_000, 1
    assert verify(_get(stand_in)) == ()
    assert stand_in.bytes_served(f"//{WEIGHTS}") == ["", "bytes=1000000-"]


def test_a_part_that_is_too_long_starts_again(stand_in: StandInHub) -> None:
    source = HubSource(SFX, endpoint=stand_in.endpoint)
    file = next(each for each in source.files if each.path == WEIGHTS)
    part = installing.staging_folder("small-sfx") / f"{WEIGHTS}.{file.checksum[:12]}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"x" * (file.size + 1))
    assert verify(install(SFX, source)) == ()


def test_a_file_that_arrives_damaged_is_not_kept(stand_in: StandInHub) -> None:
    stand_in.spoiled = {WEIGHTS}
    error = _refuse(stand_in)
    assert error.code == "model_broken"
    assert WEIGHTS in error.message
    stand_in.spoiled = set()
    stand_in.requests.clear()
    assert verify(_get(stand_in)) == ()
    assert stand_in.bytes_served(f"//{WEIGHTS}") == [""]


def test_damage_is_repaired_by_its_file_alone(stand_in: StandInHub) -> None:
    installed = _get(stand_in)
    stand_in.requests.clear()
    assert _get(stand_in) == installed
    assert not [path for _, path, _ in stand_in.requests if "/resolve/" in path]
    weights = installed.folder / WEIGHTS
    content = weights.read_bytes()
    weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert _get(stand_in) == installed
    assert verify(installed) == ()
    large = [path for _, path, _ in stand_in.requests if path.startswith("/storage/")]
    assert large == [f"/storage/{SFX.repo_id}//{WEIGHTS}"]


def test_what_models_have_in_common_is_brought_once(stand_in: StandInHub) -> None:
    _get(stand_in)
    music = find_model("small-music")
    stand_in.repositories[music.repo_id] = stand_in.repositories[SFX.repo_id]
    stand_in.requests.clear()
    installed = install(music, HubSource(music, endpoint=stand_in.endpoint))
    assert verify(installed) == ()
    assert stand_in.bytes_served(WEIGHTS) == []


def test_a_new_revision_brings_what_changed(
    stand_in: StandInHub, published: Path, tmp_path: Path
) -> None:
    import shutil

    first = _get(stand_in)
    newer = Path(shutil.copytree(published, tmp_path / "newer"))
    (newer / "LICENSE.md").write_text("A new licence.\n", encoding="utf-8")
    stand_in.repositories[SFX.repo_id] = newer
    stand_in.revision = "f" * 40
    stand_in.requests.clear()
    second = _get(stand_in)
    assert (first.revision, second.revision) == (REVISION, "f" * 40)
    assert (second.folder / "LICENSE.md").read_text(encoding="utf-8") == "A new licence.\n"
    assert stand_in.bytes_served(WEIGHTS) == []


def test_the_token_goes_to_the_hub_and_nowhere_else(
    stand_in: StandInHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in.token = "hf_secret"
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    assert verify(_get(stand_in)) == ()
    stored = [headers for _, path, headers in stand_in.requests if path.startswith("/storage/")]
    assert stored
    # The stand-in's two ports are two origins, as the hub and its storage are.
    assert not any("authorization" in headers for headers in stored)


def test_a_token_that_the_hubs_command_keeps(stand_in: StandInHub, tmp_path: Path) -> None:
    stand_in.token = "hf_kept"
    (tmp_path / "token").write_text("hf_kept", encoding="utf-8")
    assert verify(_get(stand_in)) == ()


# Refusals


def test_a_licence_that_is_not_accepted(
    stand_in: StandInHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in.token = "hf_other"
    error = _refuse(stand_in)
    assert error.code == "licence_not_accepted"
    assert SFX.page in error.hint
    assert "hf auth login" in error.hint
    monkeypatch.setenv("HF_TOKEN", "hf_mine")
    error = _refuse(stand_in)
    assert error.code == "licence_not_accepted"
    assert "the account that your token belongs to" in error.hint


@pytest.mark.parametrize(
    ("refusal", "has_token", "code"),
    [
        ((401, "RepoNotFound"), False, "licence_not_accepted"),
        ((401, ""), True, "hub_refused"),
        ((403, ""), True, "hub_refused"),
        ((404, "RepoNotFound"), False, "hub_refused"),
        ((404, "EntryNotFound"), False, "hub_refused"),
        ((404, "RevisionNotFound"), False, "hub_refused"),
        ((500, ""), False, "hub_unreachable"),
        ((503, ""), False, "hub_unreachable"),
        ((429, ""), False, "hub_unreachable"),
    ],
)
@pytest.mark.parametrize("where", ["info_refusal", "refusal"])
def test_other_refusals(
    stand_in: StandInHub,
    monkeypatch: pytest.MonkeyPatch,
    refusal: tuple[int, str],
    code: str,
    where: str,
    *,
    has_token: bool,
) -> None:
    if has_token:
        monkeypatch.setenv("HF_TOKEN", "hf_mine")
    setattr(stand_in, where, refusal)
    assert _refuse(stand_in).code == code
    asked = [path for _, path, _ in stand_in.requests if "/resolve/" in path]
    if where == "refusal":
        assert len(asked) == (MAX_EMPTY_ATTEMPTS if code == "hub_unreachable" else 1)


def test_a_sign_in_page_in_the_hubs_place(stand_in: StandInHub) -> None:
    for body in (b"<html>Welcome to the hotel</html>", b"[]", b"{}", b'{"id": 3}'):
        stand_in.info_body = body
        assert _refuse(stand_in).code in ("hub_unreachable", "model_broken")


def test_a_page_without_a_checkpoint(stand_in: StandInHub, tmp_path: Path) -> None:
    (tmp_path / "readme").mkdir()
    (tmp_path / "readme" / "README.md").write_text("Soon.", encoding="utf-8")
    stand_in.repositories[SFX.repo_id] = tmp_path / "readme"
    error = _refuse(stand_in)
    assert error.code == "model_broken"
    assert SFX.page in error.message


def test_another_checkpoint_than_its_name_says(stand_in: StandInHub) -> None:
    medium = find_model("medium")
    stand_in.repositories[medium.repo_id] = stand_in.repositories[SFX.repo_id]
    with pytest.raises(JobError, match="This is not medium"):
        install(medium, HubSource(medium, endpoint=stand_in.endpoint))
    assert find_one("medium") is None


def test_no_network(stand_in: StandInHub) -> None:
    with pytest.raises(StoreError) as failure:
        HubSource(SFX, endpoint="http://127.0.0.1:1")
    assert failure.value.code == "hub_unreachable"
    assert "--from DIR" in failure.value.hint


def test_a_client_that_is_kept_offline(
    stand_in: StandInHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    huggingface_hub.close_session()
    error = _refuse(stand_in)
    assert error.code == "hub_unreachable"
    assert "HF_HUB_OFFLINE" in error.message


def test_without_the_extra(stand_in: StandInHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    assert hub.cached_snapshots(SFX.repo_id) == []
    assert hub.cached_blobs() == {}
    error = _refuse(stand_in)
    assert error.code == "package_missing"
    assert "pip install 'reapaint[stable-audio]'" in error.hint


def test_a_disk_that_fills_meanwhile(stand_in: StandInHub, monkeypatch: pytest.MonkeyPatch) -> None:
    def fill(_self: HubSource, _file: object, _part: Path, _on_bytes: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(HubSource, "_append", fill)
        assert _refuse(stand_in).code == "disk_full"
    assert verify(_get(stand_in)) == ()
