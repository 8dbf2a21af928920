"""A folder of sounds from the command line: the flag, the variable, and engines that run."""

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from pedalboard.io import AudioFile

from reapaint.commands.cli import main
from reapaint.files.media import probe, read_frames
from reapaint_engine.protocol import discovery
from reapaint_engine.protocol.libraries import library_name

ROOT = Path(__file__).parent.parent.parent
RIVER = ROOT / "bridge" / "reapaint" / "recordings" / "river.flac"
WHERE = ("--start", "2", "--end", "3")


@pytest.fixture
def sounds(tmp_path: Path) -> Path:
    folder = tmp_path / "my sounds"
    folder.mkdir()
    time_s = np.arange(24_000) / 48_000
    rng = np.random.default_rng(0)
    for name in ("door slam.wav", "rain.wav"):
        knock = 0.4 * rng.standard_normal(time_s.size) * np.exp(-time_s * 20)
        with AudioFile(str(folder / name), "w", 48_000, 1, bit_depth=24) as file:
            file.write(knock.astype(np.float32)[None])
    return folder


def _run(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, dict[str, object]]:
    code = main([str(word) for word in words] + ["--json"])
    return code, json.loads(capsys.readouterr().out)


def _inpaint(
    capsys: pytest.CaptureFixture[str], target: Path, *words: object
) -> tuple[int, dict[str, object]]:
    return _run(capsys, "inpaint", RIVER, target, *WHERE, *words)


def test_in_process(tmp_path: Path, sounds: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "out.wav"
    words = ("--library", sounds, "--prompt", "slamming door")
    code, answer = _inpaint(capsys, target, "--in-process", *words)
    assert code == 0
    assert (answer["backend"], answer["model"]) == ("library", library_name(sounds))
    assert answer["model_revision"] == "door slam.wav"
    assert "Filled with door slam.wav." in answer["warnings"]
    assert answer["outputs"][0]["seed"] == 0
    info = probe(target)
    before = read_frames(probe(RIVER), 0, info.frames)
    changed = np.flatnonzero((read_frames(info, 0, info.frames) != before).any(axis=0))
    assert 2 * info.sample_rate <= changed[0] < changed[-1] < 3 * info.sample_rate
    # What is written tells the sound, and not where this user's folders are.
    assert str(tmp_path).encode() not in target.read_bytes()


def test_the_variable_serves_prompts_and_leaves_the_rest_alone(
    tmp_path: Path,
    sounds: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("REAPAINT_LIBRARY", str(sounds))
    for name, words, backend in (
        ("a", ("--prompt", "rain"), "library"),
        ("b", (), "context"),
        ("c", ("--prompt", "rain", "--backend", "context"), "context"),
    ):
        code, answer = _inpaint(capsys, tmp_path / f"{name}.wav", "--in-process", *words)
        assert (code, answer["backend"]) == (0, backend)
    # A disk that is not connected stands in the way of those only who ask for it.
    monkeypatch.setenv("REAPAINT_LIBRARY", str(tmp_path / "unplugged"))
    assert _inpaint(capsys, tmp_path / "d.wav", "--in-process")[0] == 0
    code, answer = _inpaint(capsys, tmp_path / "e.wav", "--in-process", "--prompt", "rain")
    assert (code, answer["error"]["code"]) == (2, "no_library")
    code, answer = _run(capsys, "models")
    assert [each["name"] for each in answer["backends"]] == [
        "context",
        "stable-audio-3",
        "library",
        "wavespeed",
        "eachlabs",
        "fal",
        "stability",
        "echo",
    ]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--library", "nowhere", "--prompt", "rain"), "no_library"),
        (("--backend", "library", "--prompt", "rain"), "no_library"),
        (("--library", ".", "--engine", "tcp://127.0.0.1:1", "--prompt", "rain"), "invalid_option"),
    ],
)
def test_bad_flags(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], code: str
) -> None:
    exit_code, answer = _inpaint(capsys, tmp_path / "out.wav", *words)
    assert (exit_code, answer["error"]["code"]) == (2, code)
    assert answer["error"]["hint"]
    assert discovery.find_engine() is None


def test_no_prompt_no_match_and_no_sounds(
    tmp_path: Path, sounds: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for words, code in (((), "invalid_prompt"), (("--prompt", "purple"), "no_match")):
        exit_code, answer = _inpaint(
            capsys, tmp_path / "out.wav", "--in-process", "--library", sounds, *words
        )
        assert (exit_code, answer["error"]["code"]) == (4, code)
    (tmp_path / "empty").mkdir()
    exit_code, answer = _inpaint(
        capsys,
        tmp_path / "out.wav",
        "--in-process",
        "--library",
        tmp_path / "empty",
        "--prompt",
        "x",
    )
    assert (exit_code, answer["error"]["code"]) == (4, "no_library")


def test_an_engine_is_started_with_the_library_and_one_without_is_told_of(
    tmp_path: Path, sounds: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ("--library", sounds, "--prompt", "door")
    try:
        code, answer = _inpaint(capsys, tmp_path / "a.wav", *asked)
        assert (code, answer["backend"]) == (0, "library"), answer
        other = tmp_path / "other"
        other.mkdir()
        code, answer = _inpaint(capsys, tmp_path / "b.wav", "--library", other, "--prompt", "door")
        assert (code, answer["error"]["code"]) == (2, "no_library")
        assert "another library" in answer["error"]["message"]
        assert "reapaint stop" in answer["error"]["hint"]
    finally:
        _stop(capsys)
    try:
        assert _inpaint(capsys, tmp_path / "c.wav")[0] == 0
        code, answer = _inpaint(capsys, tmp_path / "d.wav", *asked)
        assert (code, answer["error"]["code"]) == (2, "no_library")
        assert "without a library" in answer["error"]["message"]
    finally:
        _stop(capsys)


def test_serve_refuses_a_folder_that_is_not_there(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "reapaint", "serve", "--library", str(tmp_path / "nowhere")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert f"There is no folder {tmp_path / 'nowhere'}." in done.stderr


def _stop(capsys: pytest.CaptureFixture[str]) -> None:
    _run(capsys, "stop")
    deadline_s = time.monotonic() + 10
    while discovery.is_engine_alive():
        assert time.monotonic() < deadline_s
