"""The model from the command line and over the wire, with tiny checkpoints in real layouts."""

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from reapaint.commands.cli import main
from reapaint.files.media import probe, read_frames
from reapaint.link.client import EngineClient
from reapaint.link.launcher import find_address
from reapaint_engine.protocol.messages import InpaintRequest
from reapaint_engine.protocol.spans import Span
from tests.tiny_checkpoints import write_diffusers, write_original

ROOT = Path(__file__).parent.parent.parent
RIVER = ROOT / "bridge" / "reapaint" / "recordings" / "river.flac"
START_S, END_S = 4.0, 5.0


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    write_original(folder / "small")
    write_original(folder / "base", objective="rectified_flow")
    write_diffusers(folder / "medium")
    return folder


def _run(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, dict]:
    code = main([str(word) for word in words] + ["--json"])
    return code, json.loads(capsys.readouterr().out)


def _inpaint(capsys: pytest.CaptureFixture[str], target: Path, *words: object) -> tuple[int, dict]:
    place = ("--start", START_S, "--end", END_S, "--force")
    return _run(capsys, "inpaint", RIVER, target, *place, *words)


def _audio(path: Path) -> np.ndarray:
    info = probe(path)
    return read_frames(info, 0, info.frames)


def _inside(path: Path) -> np.ndarray:
    rate = probe(path).sample_rate
    return _audio(path)[:, round(START_S * rate) : round(END_S * rate)]


@pytest.mark.parametrize("model", ["small", "medium"])
def test_outside_is_exact_and_a_seed_gives_the_same_again(
    model: str, checkpoints: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ("--in-process", "--backend", "stable-audio-3", "--model", checkpoints / model)
    code, answer = _inpaint(capsys, tmp_path / "a.wav", *where, "--seed", 7, "--prompt", "rain")
    assert code == 0
    assert (answer["backend"], answer["model"]) == ("stable-audio-3", str(checkpoints / model))
    assert answer["model_revision"]
    before, after = _audio(RIVER), _audio(tmp_path / "a.wav")
    changed = np.flatnonzero((before != after).any(axis=0))
    rate = probe(RIVER).sample_rate
    assert START_S * rate <= changed[0] < changed[-1] < END_S * rate
    assert changed.size > 0.9 * (END_S - START_S) * rate
    _inpaint(capsys, tmp_path / "b.wav", *where, "--seed", 7, "--prompt", "rain")
    assert np.array_equal(after, _audio(tmp_path / "b.wav"))
    _inpaint(capsys, tmp_path / "c.wav", *where, "--seed", 8, "--prompt", "rain")
    assert not np.array_equal(after, _audio(tmp_path / "c.wav"))


def test_take_two_of_four_is_the_same_seed_alone(
    checkpoints: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ("--in-process", "--model", checkpoints / "small", "--prompt", "rain")
    code, answer = _inpaint(capsys, tmp_path / "take.wav", *where, "--seed", 20, "--takes", 4)
    assert code == 0
    assert [output["seed"] for output in answer["outputs"]] == [20, 21, 22, 23]
    _inpaint(capsys, tmp_path / "alone.wav", *where, "--seed", 21)
    together, alone = _inside(tmp_path / "take-2.wav"), _inside(tmp_path / "alone.wav")
    assert np.array_equal(together, alone)
    assert np.abs(_inside(tmp_path / "take-1.wav") - alone).max() > 1e-3


def test_the_report_is_enough_to_make_it_again(
    checkpoints: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = ("--in-process", "--model", checkpoints / "base", "--steps", 3)
    code, answer = _inpaint(capsys, tmp_path / "a.wav", *base, "--negative-prompt", "wind")
    assert (code, answer["warnings"]) == (0, [])
    seed = answer["outputs"][0]["seed"]
    words = ("--guidance", 7, "--negative-prompt", "wind", "--seed", seed)
    _inpaint(capsys, tmp_path / "b.wav", *base, *words)
    assert np.array_equal(_audio(tmp_path / "a.wav"), _audio(tmp_path / "b.wav"))


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--backend", "stable-audio-3", "--prompt", "x"), "no_model", "reapaint models get"),
        (("--model", "small-sfx"), "no_model", "reapaint models get small-sfx"),
        (("--model", "large"), "unknown_model", "small-sfx"),
        (("--backend", "stable-audio-3", "--model", "/no/such/folder"), "unknown_model", "folder"),
        (("--backend", "context", "--model", "medium"), "unknown_model", "context"),
    ],
)
def test_a_model_that_is_not_here_is_said_with_what_to_do(
    words: tuple[str, ...],
    code: str,
    said: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    exit_code, answer = _inpaint(capsys, tmp_path / "a.wav", "--in-process", *words)
    assert exit_code != 0
    assert answer["error"]["code"] == code
    assert said in answer["error"]["message"] + answer["error"]["hint"]
    assert not (tmp_path / "a.wav").exists()


def test_without_a_model_the_surroundings_fill(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, answer = _inpaint(capsys, tmp_path / "a.wav", "--in-process")
    assert (code, answer["backend"]) == (0, "context")


def test_an_installed_model_is_chosen_and_says_why(
    checkpoints: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, folder in (("small-sfx", "small"), ("small-music", "small")):
        code, answer = _run(capsys, "models", "get", name, "--from", checkpoints / folder)
        assert code == 0, answer
    for prompt, model in (("footsteps on gravel", "small-sfx"), ("slow piano", "small-music")):
        code, answer = _inpaint(capsys, tmp_path / "a.wav", "--in-process", "--prompt", prompt)
        assert (code, answer["backend"], answer["model"]) == (0, "stable-audio-3", model)
        assert prompt.split()[-1] in answer["notes"][0]
    code, answer = _inpaint(capsys, tmp_path / "a.wav", "--in-process", "--model", "small-music")
    assert (answer["model"], answer["notes"]) == ("small-music", [])


def test_a_broken_model_is_not_passed_over_in_silence(
    checkpoints: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(checkpoints / "small", broken)
    with (broken / "model.safetensors").open("r+b") as file:
        file.truncate(50_000)
    code, answer = _inpaint(capsys, tmp_path / "a.wav", "--in-process", "--model", broken)
    assert (code, answer["error"]["code"]) == (4, "model_broken")
    assert "model.safetensors" in answer["error"]["message"]


@pytest.fixture(scope="module")
def engine(checkpoints: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Run an engine whose default is a tiny model; yields the folders by which it is found."""
    folder = tmp_path_factory.mktemp("engine")
    names = ("RUNTIME", "CONFIG", "LOG", "CACHE", "MODELS")
    folders = {f"REAPAINT_{name}_DIR": str(folder / name.lower()) for name in names}
    command = [
        sys.executable,
        "-m",
        "reapaint_engine",
        "serve",
        "--model",
        str(checkpoints / "small"),
    ]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "--device", "cpu", "--model-idle", "0.2"],
            cwd=ROOT,
            env={**os.environ, **folders, "OMP_NUM_THREADS": "1"},
            stderr=log,
        )
    connection = Path(folders["REAPAINT_RUNTIME_DIR"])
    deadline_s = time.monotonic() + 60
    while not any(connection.glob("*.json")):
        assert process.poll() is None, (folder / "log").read_text()
        assert time.monotonic() < deadline_s
        threading.Event().wait(0.05)
    yield folders
    process.terminate()
    process.wait(30)


@pytest.fixture
def client(engine: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[EngineClient]:
    for name, value in engine.items():
        monkeypatch.setenv(name, value)
    with EngineClient(find_address(None)) as client:
        yield client


def _request(job_id: str, **fields: object) -> tuple[InpaintRequest, np.ndarray]:
    audio = 0.1 * np.random.default_rng(1).standard_normal((1, 48_000 * 8)).astype(np.float32)
    request = InpaintRequest(
        job_id=job_id,
        sample_rate=48_000,
        channels=1,
        audio_frames=audio.shape[1],
        window_frames=audio.shape[1],
        spans=(Span(96_000, 144_000),),
        **fields,
    )
    return request, audio


def test_over_the_wire(client: EngineClient) -> None:
    assert client.welcome.default_backend == "stable-audio-3"
    request, audio = _request("a", seed=3, prompt="rain")
    stages: list[str] = []
    done, (patch,) = client.run(request, audio, lambda stage, fraction: stages.append(stage))
    assert done.backend == "stable-audio-3"
    assert (done.request.steps, done.request.guidance, done.request.seed) == (8, 1.0, 3)
    assert patch.shape == (1, 48_000)
    assert patch[0, 0] == audio[0, 96_000]
    # Long idle in between: the model was dropped, and is loaded again.
    threading.Event().wait(0.5)
    again, (same,) = client.run(_request("b", seed=3, prompt="rain")[0], audio, lambda *_: None)
    assert again.model_revision == done.model_revision
    assert np.array_equal(patch, same)


def test_cancel_ends_a_long_job_at_once(client: EngineClient) -> None:
    from reapaint.errors import BridgeError

    request, audio = _request("long", steps=100, takes=16)
    sampling = threading.Event()

    def cancel(stage: str, _fraction: float) -> None:
        if stage == "sample" and not sampling.is_set():
            sampling.set()
            with EngineClient(find_address(None)) as other:
                other.cancel_and_confirm("long")

    with pytest.raises(BridgeError) as caught:
        client.run(request, audio, cancel)
    assert caught.value.code == "cancelled"
    done, _ = client.run(_request("next", seed=1)[0], audio, lambda *_: None)
    assert done.backend == "stable-audio-3"
