"""``reapaint models`` as a script and a person see it."""

import functools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import huggingface_hub
import pytest

import reapaint_engine.models
from reapaint.commands.cli import main
from reapaint_engine.backends.stable_audio_3.checkpoint import hub
from reapaint_engine.backends.stable_audio_3.checkpoint.catalog import find_model
from reapaint_engine.backends.stable_audio_3.checkpoint.hub import HubSource
from reapaint_engine.backends.stable_audio_3.checkpoint.manifest import read_manifest
from reapaint_engine.backends.stable_audio_3.device.placement import Card, Machine
from tests.stand_in_hub import REVISION, StandInHub, serve_hub
from tests.tiny_checkpoints import write_original

ROOT = Path(__file__).parent.parent.parent
NAME = "small-sfx"


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("published")
    write_original(folder)
    return folder


@pytest.fixture(autouse=True)
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep to folders of this test; returns that of the models."""
    monkeypatch.setenv("REAPAINT_MODELS_DIR", str(tmp_path / "models"))
    monkeypatch.setattr(hub, "cache_folder", lambda: None)
    return tmp_path / "models"


@pytest.fixture
def stand_in(published: Path) -> Iterator[StandInHub]:
    with serve_hub() as server:
        server.repositories[find_model(NAME).repo_id] = published
        yield server
    huggingface_hub.close_session()


def _run(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, dict[str, object]]:
    code = main(["models", *map(str, words), "--json"])
    return code, json.loads(capsys.readouterr().out)


def _refused(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str]:
    code, answer = _run(capsys, *words)
    assert answer["ok"] is False
    assert answer["error"]["hint"]
    return code, answer["error"]["code"]


def test_the_life_of_a_model(
    published: Path, models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, answer = _run(capsys, "get", NAME, "--from", published)
    assert (code, answer["was_here"]) == (0, False)
    assert answer["model"]["folder"] == str(models / NAME)
    assert _run(capsys, "get", NAME, "--from", published)[1]["was_here"] is True
    code, answer = _run(capsys, "verify")
    assert code == 0
    assert [(each["name"], each["damage"]) for each in answer["models"]] == [(NAME, [])]
    code, answer = _run(capsys, "list")
    here = {each["name"]: each["installed"] for each in answer["models"]}
    assert [name for name, installed in here.items() if installed] == [NAME]
    assert here[NAME]["folder"] == str(models / NAME)
    assert answer["default_backend"] == "stable-audio-3"
    code, answer = _run(capsys, "remove", NAME)
    assert (code, answer["name"], answer["still_here"]) == (0, NAME, None)
    assert _refused(capsys, "remove", NAME) == (2, "no_model")
    assert _refused(capsys, "verify", NAME) == (2, "no_model")
    assert _run(capsys, "verify")[0] == 0


def test_the_list_says_what_a_choice_needs(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    card = Card(0, "Card", 5 * 2**30)
    machine = Machine((card,), None, fast_bfloat16="", free_bytes=2**30)
    monkeypatch.setattr(reapaint_engine.models, "probe_machine", lambda: machine)
    code, answer = _run(capsys)
    assert code == 0
    assert answer["default_backend"] == "context"
    assert {"context", "echo"} <= {each["name"] for each in answer["backends"]}
    medium = next(each for each in answer["models"] if each["name"] == "medium")
    assert medium["page"] == "https://huggingface.co/stabilityai/stable-audio-3-medium"
    assert "Stability AI Community License" in medium["licence"]
    assert "Gemma" in medium["licence"]
    assert medium["download_bytes"] > 9e9
    assert medium["plan"]["fits"] is False
    small = next(each for each in answer["models"] if each["name"] == "small-music")
    assert (small["plan"]["fits"], small["plan"]["device"]) == (True, "cuda:0")
    assert answer["chosen"]["name"] is None


def test_a_person_reads_the_same(
    published: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    assert main(["models", "get", NAME, "--from", str(published)]) == 0
    said = capsys.readouterr().out
    assert "Stability AI Community License" in said
    assert "https://huggingface.co/stabilityai/stable-audio-3-small-sfx" in said
    assert "small-sfx is installed" in said
    assert main(["models"]) == 0
    said = capsys.readouterr().out
    for name in ("context", "small-music", "small-sfx-base", "medium", "10.4 GB", "Device: "):
        assert name in said
    assert "Without --model and a prompt: small-sfx" in said
    assert main(["models", "verify"]) == 0
    assert "every file is as it was published" in capsys.readouterr().out
    assert main(["models", "remove", NAME]) == 0
    assert "is removed" in capsys.readouterr().out


def test_without_the_extra_the_list_says_how_to_get_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    code, answer = _run(capsys)
    assert code == 0
    assert "pip install 'reapaint[stable-audio]'" in answer["device_problem"]
    assert [each["plan"] for each in answer["models"]] == [None] * 6


def test_damage_fails_and_is_named(
    published: Path, models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _run(capsys, "get", NAME, "--from", published)
    config = models / NAME / "model_config.json"
    text = config.read_text(encoding="utf-8")
    config.unlink()
    config.write_text(text.replace("44100", "44101"), encoding="utf-8")
    code, answer = _run(capsys, "verify", NAME)
    assert (code, answer["error"]["code"]) == (4, "model_broken")
    assert "model_config.json" in answer["error"]["message"]
    assert "models get small-sfx" in answer["error"]["hint"]


def test_bad_input(published: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _refused(capsys, "get", "large") == (2, "unknown_model")
    assert _refused(capsys, "verify", "large") == (2, "unknown_model")
    assert _refused(capsys, "remove", "large") == (2, "unknown_model")
    assert _refused(capsys, "get", NAME, "--from", tmp_path) == (2, "file_not_found")
    assert _refused(capsys, "get", "medium", "--from", published) == (4, "model_broken")
    assert _refused(capsys, "get") == (2, "invalid_option")
    assert _refused(capsys, "conjure") == (2, "invalid_option")
    assert _refused(capsys, "list", "--engine", "tcp://127.0.0.1:1") == (3, "engine_unreachable")


# The hub


def _use(stand_in: StandInHub, monkeypatch: pytest.MonkeyPatch, **more: object) -> None:
    source = functools.partial(HubSource, endpoint=stand_in.endpoint, **more)
    monkeypatch.setattr(reapaint_engine.models, "HubSource", source)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr(huggingface_hub.constants, "HF_TOKEN_PATH", "/nowhere")


def test_refusals_of_the_hub_are_failures(
    stand_in: StandInHub, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _use(stand_in, monkeypatch, pause=lambda _seconds: None)
    stand_in.token = "hf_other"
    assert _refused(capsys, "get", NAME) == (4, "licence_not_accepted")
    stand_in.token = ""
    stand_in.refusal = (503, "")
    assert _refused(capsys, "get", NAME) == (4, "hub_unreachable")
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: shutil._ntuple_diskusage(1000, 1000, 0))
    assert _refused(capsys, "get", NAME) == (2, "disk_full")


def test_an_interrupt_says_that_the_download_goes_on_next_time(
    stand_in: StandInHub,
    models: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupt(_seconds: float) -> None:
        raise KeyboardInterrupt

    _use(stand_in, monkeypatch, pause=interrupt)
    stand_in.cut_after, stand_in.cuts_left = 1_000_000, 1
    assert main(["models", "get", NAME]) == 130
    assert "goes on from there" in " ".join(capsys.readouterr().err.split())
    assert not (models / NAME).exists()
    listed = {each["name"]: each["begun_bytes"] for each in _run(capsys, "list")[1]["models"]}
    assert listed[NAME] >= 1_000_000
    code, answer = _run(capsys, "get", NAME)
    assert (code, answer["model"]["revision"]) == (0, REVISION)


def test_the_whole_way_with_the_hubs_own_variables(
    stand_in: StandInHub, models: Path, tmp_path: Path
) -> None:
    stand_in.token = "hf_mine"
    environment = {
        **os.environ,
        "HF_ENDPOINT": stand_in.endpoint,
        "HF_HOME": str(tmp_path / "hf"),
        "HF_TOKEN": "hf_mine",
    }
    done = subprocess.run(
        [sys.executable, "-m", "reapaint", "models", "get", NAME, "--json"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["model"]["revision"] == REVISION
    manifest = read_manifest(models / NAME)
    assert manifest is not None
    assert manifest.source == "stabilityai/stable-audio-3-small-sfx"
