"""The command line as a script sees it: exit codes, one JSON object, files."""

import io
import json
import os
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reapaint.commands.cli import main
from reapaint.errors import BridgeError
from reapaint.files.media import probe, read_frames, splice_into
from reapaint_engine.protocol.errors import ErrorCode
from reapaint_engine.protocol.spans import Span

ROOT = Path(__file__).parents[3]
RECORDINGS = ROOT / "bridge" / "reapaint" / "recordings"
RIVER = RECORDINGS / "river.flac"


def _run(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, dict[str, object]]:
    """Run a command with ``--json``; standard output must hold one object and no more."""
    code = main([str(word) for word in words] + ["--json"])
    return code, json.loads(capsys.readouterr().out)


def _inpaint(
    capsys: pytest.CaptureFixture[str], source: Path, target: Path, *words: object
) -> tuple[int, dict[str, object]]:
    return _run(capsys, "inpaint", source, target, "--in-process", *words)


def _wav(path: Path, seconds: float = 1.0, rate: int = 48000) -> Path:
    """Write a stereo 16-bit WAV of noise."""
    noise = np.random.default_rng(0).integers(-3000, 3000, (int(seconds * rate), 2), np.int16)
    data = noise.tobytes()
    header = struct.pack(
        "<4sI4s4sIHHIIHH",
        b"RIFF",
        36 + len(data),
        b"WAVE",
        b"fmt ",
        16,
        1,
        2,
        rate,
        rate * 4,
        4,
        16,
    )
    path.write_bytes(header + struct.pack("<4sI", b"data", len(data)) + data)
    return path


def _differing(before: Path, after: Path) -> Span:
    one, other = probe(before), probe(after)
    frames = min(one.frames, other.frames)
    changed = np.flatnonzero(
        (read_frames(one, 0, frames) != read_frames(other, 0, frames)).any(axis=0)
    )
    return Span(int(changed[0]), int(changed[-1]) + 1)


def test_the_main_job(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "out.wav"
    code, answer = _inpaint(capsys, RIVER, target, "--start", 2, "--end", "0:03.5", "--seed", 5)
    assert code == 0
    assert answer["ok"] is True
    assert (answer["backend"], answer["model"]) == ("context", "context")
    (output,) = answer["outputs"]
    assert (output["path"], output["seed"]) == (str(target), 5)
    assert [seam["at_s"] for seam in output["seams"]] == [2.0, 3.5]
    assert set(answer["timings_s"]) == {"queued", "encode", "sample", "decode", "splice", "total"}
    assert answer["warnings"] == []
    info = probe(target)
    before = probe(RIVER)
    assert (info.sample_rate, info.channels, info.frames) == (
        before.sample_rate,
        before.channels,
        before.frames,
    )
    changed = _differing(RIVER, target)
    assert 2 * info.sample_rate <= changed.start
    assert changed.end <= 3.5 * info.sample_rate


def test_the_same_seed_gives_the_same_file_and_another_another(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ("--start", 2, "--end", 3)
    takes = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        code, _ = _inpaint(capsys, RIVER, tmp_path / f"{name}.wav", *where, "--seed", seed)
        assert code == 0
        info = probe(tmp_path / f"{name}.wav")
        takes.append(read_frames(info, 2 * info.sample_rate, 3 * info.sample_rate))
    np.testing.assert_array_equal(takes[0], takes[1])
    difference = np.sqrt(np.mean((takes[0] - takes[2]) ** 2))
    assert difference > 0.3 * np.sqrt(np.mean(takes[0] ** 2))


def test_takes_are_numbered_and_each_is_its_seeds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ("--start", 2, "--end", 3)
    code, answer = _inpaint(
        capsys, RIVER, tmp_path / "out.wav", *where, "--takes", 3, "--seed", 2**32 - 2
    )
    assert code == 0
    assert [Path(output["path"]).name for output in answer["outputs"]] == [
        "out-1.wav",
        "out-2.wav",
        "out-3.wav",
    ]
    assert [output["seed"] for output in answer["outputs"]] == [2**32 - 2, 2**32 - 1, 0]
    _inpaint(capsys, RIVER, tmp_path / "alone.wav", *where, "--seed", 2**32 - 1)
    info = probe(tmp_path / "alone.wav")
    np.testing.assert_array_equal(
        read_frames(info, 0, info.frames),
        read_frames(probe(tmp_path / "out-2.wav"), 0, info.frames),
    )


def test_several_selections(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "out.wav"
    code, answer = _inpaint(
        capsys, RIVER, target, "--start", 3, "--end", 3.5, "--start", 1, "--end", 1.02
    )
    assert code == 0
    assert [seam["at_s"] for seam in answer["outputs"][0]["seams"]] == [1.0, 1.02, 3.0, 3.5]
    before, after = probe(RIVER), probe(target)
    rate = before.sample_rate
    changed = read_frames(before, 0, before.frames) != read_frames(after, 0, after.frames)
    inside = np.zeros(before.frames, bool)
    inside[rate : int(1.02 * rate)] = inside[3 * rate : int(3.5 * rate)] = True
    assert not changed[:, ~inside].any()
    assert changed[:, inside].any()


def test_past_the_end_extends_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = _wav(tmp_path / "in.wav", seconds=2.0)
    code, answer = _inpaint(capsys, source, tmp_path / "out.wav", "--start", 1.5, "--end", 3)
    assert code == 0
    assert any("longer" in warning for warning in answer["warnings"])
    info = probe(tmp_path / "out.wav")
    assert info.frames == 3 * info.sample_rate
    before = read_frames(probe(source), 0, 72000)
    np.testing.assert_array_equal(read_frames(info, 0, 72000), before)
    # What was made reaches to the very end.
    tail = read_frames(info, info.frames - 4800, info.frames)
    assert np.sqrt(np.mean(tail**2)) > 0.2 * np.sqrt(np.mean(before**2))


def test_at_the_very_end_extends(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = _wav(tmp_path / "in.wav", seconds=2.0)
    code, _ = _inpaint(capsys, source, tmp_path / "out.wav", "--start", 2, "--end", 2.5)
    assert code == 0
    assert probe(tmp_path / "out.wav").frames == 120_000


@pytest.mark.parametrize(
    ("words", "field"),
    [
        (("--prompt", "a dog"), "prompt"),
        (("--negative-prompt", "hiss"), "negative prompt"),
        (("--steps", "4"), "steps"),
        (("--guidance", "3"), "guidance"),
        (("--strength", "0.5"), "strength"),
    ],
)
def test_what_has_no_effect_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], field: str
) -> None:
    code, answer = _inpaint(capsys, RIVER, tmp_path / "out.wav", "--start", 2, "--end", 2.1, *words)
    assert code == 0
    assert [field in warning for warning in answer["warnings"]] == [True]


# Bad input


def _text(path: Path) -> None:
    path.write_text("this is no audio\n" * 100)


def _truncated(path: Path) -> None:
    path.write_bytes(RIVER.read_bytes()[:20])


BAD_SOURCES = {
    "missing": (lambda path: None, "file_not_found"),
    "directory": (lambda path: path.mkdir(), "not_a_file"),
    "empty": (lambda path: path.touch(), "unreadable_audio"),
    "text": (_text, "unreadable_audio"),
    "truncated": (_truncated, "unreadable_audio"),
}


@pytest.mark.parametrize("name", BAD_SOURCES)
def test_bad_sources(tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    make, _ = BAD_SOURCES[name]
    source, target = tmp_path / "in.wav", tmp_path / "out.wav"
    make(source)
    code, answer = _inpaint(capsys, source, target, "--start", 0, "--end", 1)
    assert code == 2
    assert answer["ok"] is False
    assert answer["error"]["message"].endswith(".")
    assert answer["error"]["hint"]
    if name in ("missing", "directory"):
        assert answer["error"]["code"] == BAD_SOURCES[name][1]
    assert not target.exists()


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--start", "3", "--end", "2"), "invalid_time"),
        (("--start", "2", "--end", "2"), "invalid_time"),
        (("--start", "1", "--end", "2", "--prompt", "caf\udce9"), "invalid_prompt"),
        (("--start", "1", "--end", "2", "--plot", "no\0name.png"), "output_not_writable"),
        (("--start", "1", "--end", "2", "--plot", "no/folder.png"), "output_not_writable"),
        (("--start", "-1", "--end", "2"), "invalid_time"),
        (("--start", "nan", "--end", "2"), "invalid_time"),
        (("--start", "0", "--end", "inf"), "invalid_time"),
        (("--start", "900", "--end", "901"), "invalid_time"),
        (("--start", "1", "--end", "99999"), "invalid_time"),
        (("--start", "1", "--end", "3", "--start", "2", "--end", "4"), "invalid_time"),
        (("--start", "1", "--end", "1.0000001"), "invalid_time"),
        (("--start", "1", "--end", "1e300"), "invalid_time"),
        (("--start", "1", "--end", "inf"), "invalid_time"),
        (("--start", "1", "--end=-1e300"), "invalid_time"),
        (("--start", "one", "--end", "2"), "invalid_option"),
        (("--start", "1:x", "--end", "2"), "invalid_option"),
        (("--start", "1"), "invalid_option"),
        (("--start", "1", "--end", "2", "--end", "3"), "invalid_option"),
        (("--start", "1", "--end", "2", "--steps", "0"), "invalid_steps"),
        (("--start", "1", "--end", "2", "--steps", "many"), "invalid_option"),
        (("--start", "1", "--end", "2", "--guidance", "26"), "invalid_guidance"),
        (("--start", "1", "--end", "2", "--seed", "-1"), "invalid_seed"),
        (("--start", "1", "--end", "2", "--takes", "0"), "invalid_takes"),
        (("--start", "1", "--end", "2", "--takes", "17"), "invalid_takes"),
        (("--start", "1", "--end", "2", "--strength", "2"), "invalid_strength"),
        (("--start", "1", "--end", "2", "--crossfade", "-1"), "invalid_crossfade"),
        (("--start", "1", "--end", "2", "--context", "-1"), "invalid_context"),
        (("--start", "1", "--end", "2", "--context", "1e300"), "invalid_context"),
        (("--start", "1", "--end", "2", "--seed", "9" * 400), "invalid_option"),
        (("--start", "1", "--end", "2", "--takes", "9" * 5000), "invalid_option"),
        (("--start", "1", "--end", "2", "--backend", "magic"), "unknown_backend"),
        (
            ("--start", "1", "--end", "2", "--backend", "context", "--model", "magic"),
            "unknown_model",
        ),
        (("--start", "1", "--end", "2", "--mode", "magic"), "unknown_mode"),
        (("--start", "1", "--end", "2", "--colour", "blue"), "invalid_option"),
        (("--start", "1", "--end", "2", "--engine", "tcp://127.0.0.1:1"), "invalid_option"),
    ],
)
def test_bad_values(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], code: str
) -> None:
    exit_code, answer = _inpaint(capsys, RIVER, tmp_path / "out.wav", *words)
    assert (exit_code, answer["error"]["code"]) == (2, code)
    assert answer["error"]["hint"]
    assert len(answer["error"]["message"]) < 300
    assert list(tmp_path.iterdir()) == []


def test_a_whole_file_has_no_context(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = _wav(tmp_path / "in.wav")
    code, answer = _inpaint(capsys, source, tmp_path / "out.wav", "--start", 0, "--end", 1)
    assert (code, answer["error"]["code"]) == (4, "no_context")
    assert not (tmp_path / "out.wav").exists()


def test_an_existing_output_is_kept_unless_forced(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "out.wav"
    target.write_text("precious")
    words = ("--start", 1, "--end", 1.1)
    code, answer = _inpaint(capsys, RIVER, target, *words)
    assert (code, answer["error"]["code"]) == (2, "output_exists")
    assert target.read_text() == "precious"
    assert _inpaint(capsys, RIVER, target, *words, "--force")[0] == 0
    assert probe(target).frames == probe(RIVER).frames


def test_the_input_is_never_the_output(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = _wav(tmp_path / "in.wav")
    content = source.read_bytes()
    for target in (source, tmp_path / "." / "in.wav"):
        code, _ = _inpaint(capsys, source, target, "--start", 0.5, "--end", 0.6, "--force")
        assert code == 2
    assert source.read_bytes() == content


@pytest.mark.parametrize("name", ["out.xyz", "out", "missing/out.wav"])
def test_outputs_that_cannot_be(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    code, answer = _inpaint(capsys, RIVER, tmp_path / name, "--start", 1, "--end", 2)
    assert code == 2
    assert answer["error"]["code"] in ("unsupported_format", "output_not_writable")


def test_no_engine_is_said_with_its_own_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    for command in (("status",), ("stop",), ("cancel", "some-job")):
        code, answer = _run(capsys, *command)
        assert (code, answer["error"]["code"]) == (3, "engine_not_running")
    code, answer = _run(capsys, "status", "--engine", "tcp://127.0.0.1:1")
    assert (code, answer["error"]["code"]) == (3, "engine_unreachable")
    code, answer = _run(capsys, "status", "--engine", "tcp://192.0.2.1:5555")
    assert (code, answer["error"]["code"]) == (3, "engine_refused")


def test_models_are_listed_without_an_engine(capsys: pytest.CaptureFixture[str]) -> None:
    code, answer = _run(capsys, "models")
    assert code == 0
    names = [backend["name"] for backend in answer["backends"]]
    assert {names[0], names[-1]} == {"context", "echo"}


def test_an_unknown_command_is_bad_input(capsys: pytest.CaptureFixture[str]) -> None:
    code, answer = _run(capsys, "conjure")
    assert (code, answer["error"]["code"]) == (2, "invalid_option")


def test_samples_that_are_no_numbers_are_bad_input(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, data = tmp_path / "in.wav", np.zeros(48000, np.float32)
    data[20000] = np.nan
    header = (b"RIFF", 36 + data.nbytes, b"WAVE", b"fmt ", 16, 3, 1, 48000, 192000, 4, 32)
    source.write_bytes(
        struct.pack("<4sI4s4sIHHIIHH", *header)
        + struct.pack("<4sI", b"data", data.nbytes)
        + data.tobytes()
    )
    code, answer = _inpaint(capsys, source, tmp_path / "out.wav", "--start", 0.2, "--end", 0.3)
    assert (code, answer["error"]["code"]) == (2, "not_finite")


def test_an_unknown_log_level_is_bad_input(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REAPAINT_LOG_LEVEL", "loud")
    code, answer = _run(capsys, "models")
    assert (code, answer["error"]["code"]) == (2, "invalid_option")


def test_json_may_stand_after_what_to_do_with_keys(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REAPAINT_CONFIG_DIR", str(tmp_path))
    code, answer = _run(capsys, "keys", "new")
    assert (code, answer["ok"]) == (0, True)
    code, answer = _run(capsys, "keys", "trust", str(answer["public_key"]))
    assert (code, answer["ok"]) == (0, True)


@pytest.mark.parametrize("is_json", [True, False])
def test_a_name_that_the_console_cannot_show_is_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_json: bool
) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(raw, encoding="cp1252"))
    target = tmp_path / "出.wav"
    words = ["inpaint", str(RIVER), str(target), "--in-process", "--start", "1", "--end", "1.1"]
    assert main([*words, "--json"] if is_json else words) == 0
    sys.stdout.flush()
    said = raw.getvalue().decode("cp1252")
    assert "\\u51fa" in said
    if is_json:
        assert json.loads(said)["outputs"][0]["path"] == str(target)


def test_errors_for_people_go_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inpaint", "nothing.wav", "out.wav", "--start", "0", "--end", "1"]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "There is no file nothing.wav." in shown.err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize(
    ("words", "unbuffered"),
    [
        ("keys --json", ""),
        ("keys --json", "1"),
        ("keys", ""),
        ("inpaint nothing.wav out.wav --start 0 --end 1 --json", ""),
        # Unbuffered, argparse itself swallows what a write says.
        ("--help", ""),
    ],
)
def test_an_output_that_takes_nothing_is_said_in_one_sentence(words: str, unbuffered: str) -> None:
    with Path("/dev/full").open("w") as full:
        answer = _reapaint(*words.split(), stdout=full, unbuffered=unbuffered)
    assert answer.returncode == 1
    assert answer.stderr.splitlines() == [
        "reapaint: The answer can't be written to standard output: No space left on device."
    ]


@pytest.mark.skipif(os.name != "posix", reason="pipes of POSIX")
@pytest.mark.parametrize("words", ["keys --json", "keys"])
def test_a_reader_that_has_gone_is_no_mistake(words: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    answer = _reapaint(*words.split(), stdout=writer)
    os.close(writer)
    assert (answer.returncode, answer.stderr) == (1, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_an_error_that_nobody_can_be_told_keeps_its_exit_code() -> None:
    with Path("/dev/full").open("w") as full:
        answer = subprocess.run(
            [sys.executable, "-m", "reapaint", "inpaint", "a", "b", "--start", "0", "--end", "1"],
            cwd=ROOT,
            stderr=full,
            check=False,
        )
    assert answer.returncode == 2


def _reapaint(*words: str, stdout: Any, unbuffered: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "reapaint", *words],
        cwd=ROOT,
        env={**os.environ, "PYTHONUNBUFFERED": unbuffered, "COLUMNS": "200"},
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )


def test_all_takes_are_written_or_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    targets: list[Path] = []

    def full_at_the_third(file: Any, info: Any, target: Path, *rest: Any, **named: Any) -> Any:
        if len(targets) == 2:
            raise BridgeError(ErrorCode.DISK_FULL, "There is no room.", hint="Make some.")
        targets.append(target)
        return splice_into(file, info, target, *rest, **named)

    monkeypatch.setattr("reapaint.repaint.splice_into", full_at_the_third)
    words = ("--start", 1, "--end", 1.1, "--takes", 3)
    code, answer = _inpaint(capsys, RIVER, tmp_path / "out.wav", *words)
    assert (code, answer["error"]["code"]) == (2, "disk_full")
    assert [path.name for path in targets] == ["out-1.wav", "out-2.wav"]
    assert list(tmp_path.iterdir()) == []


def test_an_interrupt_leaves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("reapaint.repaint.splice_into", interrupted)
    code, answer = _inpaint(capsys, RIVER, tmp_path / "out.wav", "--start", 1, "--end", 1.1)
    assert (code, answer["error"]["code"]) == (130, "interrupted")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tmp_path.chmod(0o500)
    code, answer = _inpaint(capsys, RIVER, tmp_path / "out.wav", "--start", 1, "--end", 2)
    tmp_path.chmod(0o700)
    assert (code, answer["error"]["code"]) == (2, "output_not_writable")
