"""The installed program as a person meets it: real processes, terminals' signals, full disks."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from reapaint.files.media import probe, read_frames
from reapaint.link.client import EngineAddress, EngineClient
from reapaint_engine.cli import main as engine_main
from reapaint_engine.protocol import discovery

ROOT = Path(__file__).parent.parent.parent
RIVER = ROOT / "bridge" / "reapaint" / "recordings" / "river.flac"
POSIX = pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX's")


def _command(*words: object) -> list[str]:
    return [sys.executable, "-m", "reapaint", *(str(word) for word in words)]


def _run(*words: object, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        _command(*words), cwd=ROOT, capture_output=True, text=True, timeout=120, **options
    )


def _answer(*words: object) -> dict[str, object]:
    done = _run(*words, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def test_an_engine_is_started_and_serves_the_next_command(tmp_path: Path) -> None:
    where = ("--start", 2, "--end", 2.5, "--seed", 3)
    first = _answer("inpaint", RIVER, tmp_path / "a.wav", *where)
    pid = discovery.read_connection_file().pid
    second = _answer("inpaint", RIVER, tmp_path / "b.wav", *where)
    assert discovery.read_connection_file().pid == pid
    assert first["outputs"][0]["seed"] == second["outputs"][0]["seed"] == 3
    assert _answer("status")["jobs"] == []
    assert _answer("stop")["ok"] is True
    deadline_s = time.monotonic() + 10
    while discovery.is_engine_alive():
        assert time.monotonic() < deadline_s
    assert discovery.read_connection_file() is None
    # The engine and this process make the same samples.
    _answer("inpaint", RIVER, tmp_path / "c.wav", *where, "--in-process")
    assert discovery.read_connection_file() is None
    info = probe(tmp_path / "a.wav")
    for name in ("b.wav", "c.wav"):
        np.testing.assert_array_equal(
            read_frames(info, 0, info.frames), read_frames(probe(tmp_path / name), 0, info.frames)
        )


def test_the_demo(tmp_path: Path) -> None:
    answer = _answer("demo", "--out", tmp_path / "demo")
    assert answer["ok"] is True
    assert sorted(path.name for path in (tmp_path / "demo").iterdir()) == [
        "after.wav",
        "before.wav",
        "picture.png",
        "report.md",
    ]
    report = (tmp_path / "demo" / "report.md").read_text()
    assert "outside the selection that differ: 0" in report
    assert (tmp_path / "demo" / "picture.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert discovery.read_connection_file() is None, "the demo left an engine behind"


def test_a_picture_and_a_warning_where_nothing_can_be_heard(tmp_path: Path) -> None:
    picture = tmp_path / "picture.png"
    answer = _answer(
        "inpaint", RIVER, tmp_path / "a.wav", "--start", 2, "--end", 3, "--in-process",
        "--plot", picture, "--play",
    )  # fmt: skip
    assert picture.stat().st_size > 10_000
    # Where there is a device the sound is played; where there is none it is said.
    assert all("play" in warning.lower() for warning in answer["warnings"])


def test_a_picture_is_not_drawn_over(tmp_path: Path) -> None:
    picture = tmp_path / "picture.png"
    picture.write_text("precious")
    words = ("inpaint", RIVER, tmp_path / "a.wav", "--start", 2, "--end", 3, "--in-process")
    done = _run(*words, "--plot", picture)
    assert done.returncode == 2
    assert "exists" in done.stderr
    assert picture.read_text() == "precious"
    assert not (tmp_path / "a.wav").exists()
    assert _run(*words, "--plot", tmp_path / "picture.jpg").returncode == 2


def test_doctor_finds_this_installation_well() -> None:
    answer = _answer("doctor")
    verdicts = {finding["name"]: finding["verdict"] for finding in answer["findings"]}
    assert "wrong" not in verdicts.values()
    assert verdicts["python"] == "good"


def test_help_is_quick_and_lists_every_command() -> None:
    done = _run("--help")
    assert done.returncode == 0
    for command in (
        "demo", "inpaint", "serve", "status", "models", "cancel", "stop", "doctor", "bench", "keys",
    ):  # fmt: skip
        assert command in done.stdout
    assert "--endpoint" in _run("serve", "--help").stdout


@pytest.mark.parametrize(
    "words",
    [
        ("--endpoint", "nonsense"),
        ("--endpoint", "ipc:///tmp/x"),
        ("--backend", "magic"),
        ("--endpoint", "tcp://127.0.0.1:99999"),
        ("--idle-exit", "-1"),
        ("--idle-exit", "nan"),
        ("--max-queued-jobs", "0"),
    ],
)
def test_serve_refuses_bad_options(
    words: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code: object = engine_main(words)
    except SystemExit as stop:
        code = stop.code
    assert code == 2
    assert capsys.readouterr().err


def test_serve_ends_with_a_sentence_where_it_can_not_start() -> None:
    done = _run("serve", "--max-queued-jobs", "many")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


@POSIX
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_cancels_the_job_and_leaves_no_file(
    engine: EngineAddress, tmp_path: Path, number: signal.Signals
) -> None:
    command = _command(
        "inpaint", RIVER, tmp_path / "out.wav",
        "--start", 2, "--end", 8, "--takes", 16, "--mode", "similar", "--json",
    )  # fmt: skip
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    with EngineClient(engine) as client:
        _wait_for_jobs(client, 1)
        process.send_signal(number)
        answer, _ = process.communicate(timeout=20)
        _wait_for_jobs(client, 0)
    assert process.returncode == 130
    assert json.loads(answer)["error"]["code"] == "interrupted"
    assert list(tmp_path.iterdir()) == []


def _wait_for_jobs(client: EngineClient, wanted: int) -> None:
    deadline_s = time.monotonic() + 20
    while len(client.status().jobs) != wanted:
        assert time.monotonic() < deadline_s


@POSIX
def test_an_engine_killed_under_a_command_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    command = _command(
        "inpaint", RIVER, tmp_path / "out.wav",
        "--start", 2, "--end", 8, "--takes", 16, "--mode", "similar", "--json",
    )  # fmt: skip
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    deadline_s = time.monotonic() + 30
    while (connection := discovery.find_engine()) is None:
        assert time.monotonic() < deadline_s
    with EngineClient(EngineAddress(connection.endpoint, connection.token)) as client:
        _wait_for_jobs(client, 1)
    os.kill(connection.pid, signal.SIGKILL)
    answer, _ = process.communicate(timeout=20)
    assert process.returncode == 3
    error = json.loads(answer)["error"]
    assert error["code"] == "engine_died"
    assert "killed" in error["message"]
    assert list(tmp_path.iterdir()) == []


@POSIX
def test_a_file_too_large_for_the_disk_leaves_nothing(tmp_path: Path) -> None:
    """A limit on file size stands in for a full disk: the system refuses in the same place."""
    command = _command(
        "inpaint", RIVER, tmp_path / "out.wav", "--start", 2, "--end", 3, "--in-process", "--json"
    )
    limited = ["bash", "-c", 'ulimit -f 200; exec "$@"', "bash", *command]
    done = subprocess.run(limited, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert json.loads(done.stdout)["error"]["code"] == "disk_full"
    assert list(tmp_path.iterdir()) == []


def test_output_that_nobody_reads_is_no_mistake() -> None:
    process = subprocess.Popen(
        _command("models"), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    process.stdout.close()
    errors = process.stderr.read()
    process.stderr.close()
    process.wait(timeout=60)
    assert "Traceback" not in errors


def test_an_engine_of_another_protocol_is_refused_with_advice(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import zmq

    with zmq.Context() as context, context.socket(zmq.ROUTER) as other, discovery.engine_lock():
        port = other.bind_to_random_port("tcp://127.0.0.1")
        endpoint = f"tcp://127.0.0.1:{port}"
        discovery.write_connection_file(discovery.ConnectionFile(endpoint, "t", 1, "9.0.0"))
        process = subprocess.Popen(
            _command("status", "--json"), cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        assert other.poll(20_000)
        client = other.recv_multipart()[0]
        header = b'{"protocol": "9.0", "type": "Rejected", "body": {}}'
        other.send_multipart([client, header])
        answer, _ = process.communicate(timeout=20)
    assert process.returncode == 3
    error = json.loads(answer)["error"]
    assert error["code"] == "engine_refused"
    assert "same version" in error["hint"]
