"""A real bridge process, a real engine process, and files as REAPER's scripts write them."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from reapaint.files.formats.recording import probe, read_frames
from reapaint.reaper.messages import MAX_MESSAGE_BYTES
from reapaint.reaper.spool import Spool
from reapaint_engine.protocol import discovery
from tests.bridge.audio_files import simple_wav
from tests.integration.script_side import ROOT, ScriptSide, running_bridge, wait_until

RATE = 48_000
posix_only = pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX's")


@pytest.fixture
def scripts(tmp_path: Path) -> ScriptSide:
    return ScriptSide(tmp_path / "Réaper", tmp_path / "media")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "Möwe 1.wav"
    rng = np.random.default_rng(0)
    noise = np.cumsum(rng.standard_normal((10 * RATE, 2)), axis=0) % 2000 - 1000
    path.write_bytes(simple_wav("int16", RATE, 2, noise.astype("<i2").tobytes()))
    return path


@pytest.fixture
def own_engine() -> Iterator[None]:
    """Let the test's bridge start an engine, and end it afterwards."""
    yield
    subprocess.run(
        [sys.executable, "-m", "reapaint", "stop"], cwd=ROOT, check=False, capture_output=True
    )


@pytest.fixture
def slow_source(tmp_path: Path) -> Path:
    """Return what keeps an engine busy: noise of some length, filled many times."""
    path = tmp_path / "slow.wav"
    path.write_bytes(simple_wav("float32", RATE, 2, _quiet_noise(30 * RATE)))
    return path


def _quiet_noise(frames: int) -> bytes:
    noise = np.random.default_rng(1).standard_normal((frames, 2), dtype=np.float32) / 10
    return noise.astype("<f4").tobytes()


def _slow(scripts: ScriptSide, source: Path) -> dict[str, object]:
    request = scripts.request(source, (8, 20), backend="context", mode="similar", takes=16)
    request["source"]["end_s"] = 30
    return request


def _engine_pid() -> int:
    connection = wait_until(discovery.find_engine, "an engine")
    return int(connection.pid)


def _log() -> str:
    return (Path(os.environ["REAPAINT_LOG_DIR"]) / "bridge.log").read_text(encoding="utf-8")


@pytest.mark.usefixtures("engine")
def test_a_span_is_repainted_and_all_beside_it_is_the_file(
    scripts: ScriptSide, source: Path
) -> None:
    with running_bridge(scripts) as process:
        request = scripts.request(source, (4, 5), backend="context", prompt="Wind", takes=2, seed=9)
        job_id = scripts.send(request)
        result = scripts.result(job_id)
        assert result["ok"], result
        beat = scripts.heartbeat()
        assert beat is not None
        assert (beat["pid"], beat["engine"]["state"]) == (process.pid, "ready")
        assert {"context", "echo"} <= {backend["name"] for backend in beat["backends"]}
        wait_until(lambda: (scripts.heartbeat() or beat)["beat"] > beat["beat"], "the next beat")
    original = read_frames(probe(source), 0, 10 * RATE)
    patches = []
    for take, seed in zip(result["takes"], (9, 10), strict=True):
        (file,) = take["files"]
        assert take["seed"] == seed
        assert Path(file["path"]).name == f"Möwe 1 - Wind - {seed}.wav"
        info = probe(file["path"])
        assert (info.sample_format, info.sample_rate, info.channels) == ("int16", RATE, 2)
        start = round(file["file_start_s"] * RATE)
        assert (start, info.frames) == (2 * RATE, 5 * RATE)
        audio = read_frames(info, 0, info.frames)
        outside = np.r_[0 : 2 * RATE, 3 * RATE : 5 * RATE]
        np.testing.assert_array_equal(audio[:, outside], original[:, start + outside])
        # At the very edge the new sound is still the old.
        np.testing.assert_array_equal(audio[:, 2 * RATE], original[:, 4 * RATE])
        patches.append(audio[:, 2 * RATE : 3 * RATE])
    assert not np.array_equal(patches[0], original[:, 4 * RATE : 5 * RATE])
    assert result["record"]["settings"]["prompt"] == "Wind"
    assert scripts.heartbeat() is None
    assert job_id in _log()


@pytest.mark.usefixtures("engine")
def test_the_record_repeats_the_result(scripts: ScriptSide, source: Path) -> None:
    with running_bridge(scripts):
        first = scripts.result(scripts.send(scripts.request(source, (4, 5), backend="context")))
        request = scripts.request(source, (4, 5))
        request["settings"] = first["record"]["settings"]
        second = scripts.result(scripts.send(request))
    paths = [answer["takes"][0]["files"][0]["path"] for answer in (first, second)]
    assert paths[0] != paths[1]
    one, two = (read_frames(probe(path), 0, probe(path).frames) for path in paths)
    np.testing.assert_array_equal(one, two)


@pytest.mark.usefixtures("engine")
def test_accessor_audio_comes_back_on_its_own_axis(scripts: ScriptSide) -> None:
    heard = np.random.default_rng(2).standard_normal((3, 4 * RATE), dtype=np.float32) / 4
    request = scripts.request(Path("reversed"), (1, 2))
    request["source"] = {
        "route": "accessor",
        "audio": "audio.f32",
        "sample_rate": RATE,
        "channels": 3,
        "frames": heard.shape[1],
        "start_s": 0.5,
    }
    with running_bridge(scripts):
        job_id = scripts.send(request, heard)
        result = scripts.result(job_id)
        assert result["ok"], result
    (file,) = result["takes"][0]["files"]
    info = probe(file["path"])
    assert info.sample_format == "float32"
    first = round((file["file_start_s"] - 0.5) * RATE)
    audio = read_frames(info, 0, info.frames)
    # The echo backend gives back what it hears.
    np.testing.assert_allclose(audio, heard[:, first : first + info.frames], atol=1e-6)
    assert not (scripts.folder(job_id) / "audio.f32").exists()


@pytest.mark.usefixtures("engine")
def test_twenty_jobs_at_once_each_get_their_own(scripts: ScriptSide, source: Path) -> None:
    original = read_frames(probe(source), 0, 10 * RATE)
    with running_bridge(scripts):
        jobs = {
            scripts.send(scripts.request(source, (0.4 * number, 0.4 * number + 0.2))): number
            for number in range(20)
        }
        results = {job_id: scripts.result(job_id) for job_id in jobs}
    for job_id, number in jobs.items():
        (file,) = results[job_id]["takes"][0]["files"]
        start = round(file["file_start_s"] * RATE)
        assert start == max(round((0.4 * number - 2) * RATE), 0)
        audio = read_frames(probe(file["path"]), 0, file["frames"])
        np.testing.assert_allclose(audio, original[:, start : start + file["frames"]], atol=4e-5)


@pytest.mark.usefixtures("engine")
def test_a_running_and_a_waiting_job_are_cancelled(
    scripts: ScriptSide, slow_source: Path, source: Path
) -> None:
    with running_bridge(scripts):
        running = scripts.send(_slow(scripts, slow_source))
        scripts.wait_for_stage(running, "sample")
        waiting, last = (scripts.send(scripts.request(source, (4, 5))) for _ in range(2))
        scripts.wait_for_stage(waiting, "queued")
        for job_id in (waiting, running):
            scripts.touch(job_id, "cancel")
            assert scripts.result(job_id, 20)["error"]["code"] == "cancelled"
        assert scripts.result(last)["ok"]
    assert len(list(scripts.media.rglob("*.wav"))) == 1


@posix_only
@pytest.mark.usefixtures("own_engine")
def test_a_killed_engine_costs_no_job(scripts: ScriptSide, slow_source: Path, source: Path) -> None:
    with running_bridge(scripts):
        slow = scripts.send(_slow(scripts, slow_source))
        scripts.wait_for_stage(slow, "sample")
        quick = scripts.send(scripts.request(source, (4, 5)))
        first = _engine_pid()
        os.kill(first, signal.SIGKILL)
        second = wait_until(lambda: _other_engine(first), "another engine")
        scripts.wait_for_stage(slow, "sample")
        os.kill(second, signal.SIGKILL)
        result = scripts.result(slow)
        assert result["error"]["code"] == "engine_died"
        assert result["error"]["hint"]
        assert scripts.result(quick)["ok"]


def _other_engine(pid: int) -> int:
    connection = discovery.find_engine()
    return connection.pid if connection is not None and connection.pid != pid else 0


@posix_only
@pytest.mark.usefixtures("engine")
def test_a_killed_bridge_is_followed_by_one_that_goes_on(
    scripts: ScriptSide, slow_source: Path, source: Path
) -> None:
    with running_bridge(scripts) as process:
        slow = scripts.send(_slow(scripts, slow_source))
        scripts.wait_for_stage(slow, "sample")
        quick = scripts.send(scripts.request(source, (4, 5)))
        wait_until(lambda: scripts.progress(quick), "the job's first sign")
        seed = Spool(scripts.spool).record(quick).seed
        process.kill()
        process.wait()
    assert seed is not None
    scripts.touch(slow, "cancel")
    with running_bridge(scripts):
        assert scripts.result(slow)["error"]["code"] == "cancelled"
        result = scripts.result(quick)
        assert result["ok"]
        assert result["takes"][0]["seed"] == seed


@posix_only
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.usefixtures("engine")
def test_a_bridge_ends_in_order_and_its_jobs_wait(
    scripts: ScriptSide, slow_source: Path, number: signal.Signals
) -> None:
    with running_bridge(scripts) as process:
        slow = scripts.send(_slow(scripts, slow_source))
        scripts.wait_for_stage(slow, "sample")
        process.send_signal(number)
        assert process.wait(timeout=15) == 0
    assert scripts.heartbeat() is None
    assert not (scripts.folder(slow) / "result.json").exists()
    assert Spool(scripts.spool).waiting_jobs() == [slow]
    assert number.name in _log()


@pytest.mark.usefixtures("own_engine")
def test_jobs_sent_while_no_bridge_ran_are_done(scripts: ScriptSide, source: Path) -> None:
    jobs = [scripts.send(scripts.request(source, (4, 5))) for _ in range(2)]
    with running_bridge(scripts):
        assert all(scripts.result(job_id)["ok"] for job_id in jobs)


@pytest.mark.usefixtures("engine")
def test_a_result_waits_for_reaper_and_goes_when_it_was_applied(
    scripts: ScriptSide, source: Path
) -> None:
    with running_bridge(scripts):
        job_id = scripts.send(scripts.request(source, (4, 5)))
        result = scripts.result(job_id)
    with running_bridge(scripts):
        wait_until(scripts.heartbeat, "a heartbeat")
        assert scripts.result(job_id) == result
        scripts.touch(job_id, "applied")
        wait_until(lambda: not scripts.folder(job_id).exists(), "the sweep")
    assert Path(result["takes"][0]["files"][0]["path"]).exists()


@pytest.mark.usefixtures("engine")
def test_garbage_in_the_spool_harms_nobody(scripts: ScriptSide, source: Path) -> None:
    jobs = scripts.spool / "jobs"
    jobs.mkdir(parents=True)
    (jobs / "a file").write_text("x")
    (jobs / ("e" * 32)).write_text("a file with a job's name")
    (jobs / "some folder").mkdir()
    (jobs / ("f" * 32)).mkdir()
    (scripts.spool / "control").mkdir()
    (scripts.spool / "control" / "nonsense").touch()
    refused = {}
    for number, text in enumerate(
        (b"", b"\xff\xfe\x00", b"{}", b"[" * 100_000, b" " * (MAX_MESSAGE_BYTES + 5), b"null")
    ):
        job_id = f"{number:032x}"
        (jobs / job_id).mkdir()
        (jobs / job_id / "request.json").write_bytes(text)
        refused[job_id] = text
    (jobs / ("d" * 32)).mkdir()
    (jobs / ("d" * 32) / "request.json").mkdir()
    with running_bridge(scripts):
        assert scripts.result(scripts.send(scripts.request(source, (4, 5))))["ok"]
        for job_id in refused:
            answer = scripts.result(job_id)
            assert answer["ok"] is False
            assert answer["error"]["code"] in ("malformed_message", "too_large", "invalid_field")
    assert (jobs / "a file").read_text() == "x"
    assert (jobs / "some folder").exists()
    assert (scripts.spool / "control" / "nonsense").exists()


@pytest.mark.usefixtures("engine")
def test_bad_requests_get_one_sentence_each(scripts: ScriptSide, source: Path) -> None:
    missing = scripts.request(source.with_name("gone.wav"), (4, 5))
    nowhere = scripts.request(source, (4, 5))
    nowhere["project"]["media_folder"] = str(source / "media")
    inside_out = scripts.request(source, (5, 4))
    magic = scripts.request(source, (4, 5), backend="magic")
    steps = scripts.request(source, (4, 5), steps=1000)
    major = {**scripts.request(source, (4, 5)), "protocol": "2.0"}
    expected = {
        "file_not_found": missing,
        "output_not_writable": nowhere,
        "invalid_time": inside_out,
        "unknown_backend": magic,
        "invalid_steps": steps,
        "incompatible_version": major,
    }
    with running_bridge(scripts):
        for code, request in expected.items():
            error = scripts.result(scripts.send(request))["error"]
            assert error["code"] == code, error
            assert error["message"].endswith(".")
            assert error["hint"]
        assert scripts.result(scripts.send(scripts.request(source, (4, 5))))["ok"]


@pytest.mark.usefixtures("engine")
def test_one_bridge_serves_a_spool(scripts: ScriptSide, source: Path) -> None:
    with running_bridge(scripts):
        wait_until(scripts.heartbeat, "a heartbeat")
        answer = subprocess.run(
            [sys.executable, "-m", "reapaint", "bridge", "--spool", str(scripts.spool), "--json"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=30,
        )
        assert answer.returncode == 2
        assert json.loads(answer.stdout)["error"]["code"] == "bridge_running"
        assert scripts.result(scripts.send(scripts.request(source, (4, 5))))["ok"]


@pytest.mark.usefixtures("own_engine")
def test_the_scripts_start_and_stop_the_engine(scripts: ScriptSide, source: Path) -> None:
    def state() -> str:
        return str((scripts.heartbeat() or {"engine": {"state": ""}})["engine"]["state"])

    with running_bridge(scripts):
        wait_until(lambda: state() == "stopped", "no engine")
        scripts.write_control("start_engine")
        wait_until(lambda: state() == "ready", "the engine")
        scripts.write_control("stop_engine")
        wait_until(lambda: state() == "stopped", "its end")
        wait_until(lambda: discovery.find_engine() is None, "its goodbye")
        assert scripts.result(scripts.send(scripts.request(source, (4, 5))))["ok"]
        assert state() == "ready"


def test_an_engine_that_cant_start_is_said(
    scripts: ScriptSide, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REAPAINT_ENGINE", "tcp://127.0.0.1:1")
    with running_bridge(scripts):
        error = scripts.result(scripts.send(scripts.request(source, (4, 5))))["error"]
        assert error["code"] == "engine_unreachable"
        wait_until(
            lambda: (scripts.heartbeat() or {})["engine"]["state"] == "unreachable", "the news"
        )


@pytest.mark.usefixtures("engine")
def test_an_uncommitted_job_is_left_until_it_is_committed(
    scripts: ScriptSide, source: Path
) -> None:
    with running_bridge(scripts):
        request = scripts.request(source, (4, 5))
        folder = scripts.folder(request["job_id"])
        folder.mkdir(parents=True)
        (folder / "script.json").write_text("{}")
        (folder / "request.json.tmp").write_text(json.dumps(request))
        done = scripts.result(scripts.send(scripts.request(source, (4, 5))))
        assert done["ok"]
        assert {path.name for path in folder.iterdir()} == {"script.json", "request.json.tmp"}
        (folder / "request.json.tmp").rename(folder / "request.json")
        assert scripts.result(request["job_id"])["ok"]


@pytest.mark.usefixtures("engine")
def test_the_bridge_works_where_the_system_tells_of_no_changes(
    scripts: ScriptSide, source: Path, tmp_path: Path
) -> None:
    """As on a network drive: the watch is refused, and the spool is looked at."""
    (tmp_path / "blind").mkdir()
    (tmp_path / "blind" / "sitecustomize.py").write_text(
        "import watchdog.observers as observers\n"
        "def refuse(*_arguments, **_options):\n"
        "    raise OSError(95, 'not supported')\n"
        "observers.Observer.schedule = refuse\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(tmp_path / "blind"))
        with running_bridge(scripts):
            job_id = scripts.send(scripts.request(source, (4, 5)))
            assert scripts.result(job_id)["ok"]
            scripts.touch(job_id, "applied")
            wait_until(lambda: not scripts.folder(job_id).exists(), "the sweep")
    assert "looking often" in _log()
