"""The files shared with REAPER: committed whole, counted rather than dated, never lost."""

import json
import os
import threading
import time
from pathlib import Path

import pytest

from reapaint.errors import BridgeError
from reapaint.reaper import spool as spool_module
from reapaint.reaper.messages import (
    EnginePhase,
    EngineState,
    ErrorText,
    Failure,
    Heartbeat,
    JobProgress,
    Result,
    read_result,
)
from reapaint.reaper.spool import ABANDONED_HOURS, FAILURE_HOURS, RESULT_HOURS, JobRecord, Spool
from reapaint.reaper.spool_watch import BLIND_SCAN_S, SpoolWatch
from reapaint_engine.protocol.errors import ProtocolError
from tests.integration.script_side import ScriptSide

A, B = "a" * 32, "b" * 32


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    spool = Spool(tmp_path / "ReaPaint" / "spool")
    spool.make()
    return spool


@pytest.fixture
def scripts(tmp_path: Path) -> ScriptSide:
    return ScriptSide(tmp_path, tmp_path / "media")


def _job(scripts: ScriptSide, job_id: str) -> Path:
    request = scripts.request(scripts.media / "a.wav", (1, 2))
    scripts.send({**request, "job_id": job_id})
    return scripts.folder(job_id)


def _result(job_id: str) -> Result:
    return Result(
        job_id=job_id,
        backend="echo",
        model="echo",
        model_revision="1",
        mode="auto",
        takes=(),
        record={"settings": {}},
    )


def _failure(job_id: str) -> Failure:
    return Failure(job_id, ErrorText("disk_full", "There is no room."))


def test_a_job_waits_from_its_commit_to_its_result(spool: Spool, scripts: ScriptSide) -> None:
    (spool.jobs / B).mkdir()
    (spool.jobs / B / "request.json.tmp").write_text("{}")
    assert spool.waiting_jobs() == []
    _job(scripts, A)
    assert spool.waiting_jobs() == [A]
    assert spool.read_request(A).spans[0].start_s == 1
    spool.commit_result(_result(A))
    assert spool.waiting_jobs() == []


def test_jobs_are_done_in_the_order_of_their_commits(spool: Spool, scripts: ScriptSide) -> None:
    later, earlier = _job(scripts, A), _job(scripts, B)
    os.utime(later / "request.json", ns=(2 * 10**18, 2 * 10**18))
    os.utime(earlier / "request.json", ns=(10**18, 10**18))
    assert spool.waiting_jobs() == [B, A]


@pytest.mark.parametrize("name", ["notes", "A" * 32, "a" * 31, "a" * 33, "..", "g" * 32])
def test_only_folders_with_a_jobs_name_are_jobs(spool: Spool, name: str) -> None:
    (spool.jobs / name).mkdir(exist_ok=True)
    (spool.jobs / ("c" * 32)).write_text("a file, not a folder")
    assert spool.job_ids() == []


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege there")
def test_a_link_to_another_folder_is_no_job(spool: Spool, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "applied").touch()
    (spool.jobs / A).symlink_to(elsewhere)
    spool.sweep_applied()
    assert (elsewhere / "applied").exists()


def test_the_first_result_stays(spool: Spool, scripts: ScriptSide) -> None:
    folder = _job(scripts, A)
    spool.commit_result(_result(A))
    spool.commit_result(_failure(A))
    assert read_result((folder / "result.json").read_bytes()).ok


def test_a_result_frees_the_audio_that_reaper_wrote(spool: Spool, scripts: ScriptSide) -> None:
    folder = _job(scripts, A)
    (folder / "audio.f32").write_bytes(bytes(8))
    spool.commit_result(_result(A))
    assert {path.name for path in folder.iterdir()} == {"request.json", "result.json"}


def test_a_result_without_room_is_an_error_that_can_pass(
    spool: Spool, scripts: ScriptSide, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = _job(scripts, A)

    def no_room(path: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", no_room)
        with pytest.raises(BridgeError) as caught:
            spool.commit_result(_result(A))
        assert caught.value.code == "disk_full"
        # What is replaced all the time is only skipped.
        spool.write_progress(JobProgress(A, 1, "sample", 0.5))
        spool.write_heartbeat(Heartbeat(1, 1, EngineState(EnginePhase.READY)))
        spool.remember(A, JobRecord(seed=1))
    assert not (folder / "result.json").exists()
    spool.commit_result(_result(A))
    assert (folder / "result.json").exists()


def test_readers_never_see_half_a_file(spool: Spool, scripts: ScriptSide) -> None:
    """A heartbeat and progress are replaced as often as possible while they are read."""
    folder = _job(scripts, A)
    is_over = threading.Event()

    def write() -> None:
        for number in range(300):
            state = EngineState(EnginePhase.READY, "x" * number)
            spool.write_heartbeat(Heartbeat(1, number, state))
            spool.write_progress(JobProgress(A, number, "sample", number / 300))
        is_over.set()

    writer = threading.Thread(target=write)
    writer.start()
    beats = set()
    while not is_over.is_set():
        beat = spool.read_heartbeat()
        if beat is not None:
            assert len(beat.engine.message) == beat.beat
            beats.add(beat.beat)
    writer.join()
    assert len(beats) > 1
    assert b'"sequence":299' in (folder / "progress.json").read_bytes()


def test_a_file_that_windows_holds_is_waited_for(
    spool: Spool, scripts: ScriptSide, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = _job(scripts, A)
    refusals = iter([True, True, True])
    replace = Path.replace

    def held(path: Path, target: Path) -> Path:
        if next(refusals, False):
            raise PermissionError(13, "used by another process")
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", held)
    monkeypatch.setattr(spool_module, "_may_pass", lambda error: error.errno == 13)
    spool.commit_result(_result(A))
    assert (folder / "result.json").exists()


def test_what_a_request_lacks_is_said(spool: Spool, scripts: ScriptSide) -> None:
    folder = _job(scripts, A)
    (folder / "request.json").write_text('{"protocol": "2.0"}')
    with pytest.raises(ProtocolError) as caught:
        spool.read_request(A)
    assert caught.value.code == "incompatible_version"


def test_an_applied_job_is_swept_at_once_and_its_wavs_stay(
    spool: Spool, scripts: ScriptSide
) -> None:
    folder = _job(scripts, A)
    wav = scripts.media / "ReaPaint" / "a.wav"
    wav.parent.mkdir(parents=True)
    wav.write_bytes(b"RIFF")
    for name in ("script.json", "progress.json", "cancel", "applied", "audio.f32"):
        (folder / name).touch()
    spool.sweep_applied()
    # It was committed and has no result: it is not over yet.
    assert folder.exists()
    spool.commit_result(_result(A))
    spool.sweep_applied()
    assert not folder.exists()
    assert wav.exists()


def test_a_users_file_in_a_job_is_left(spool: Spool, scripts: ScriptSide) -> None:
    folder = _job(scripts, A)
    spool.commit_result(_result(A))
    (folder / "my notes.txt").write_text("mine")
    (folder / "applied").touch()
    spool.sweep_applied()
    assert [path.name for path in folder.iterdir()] == ["my notes.txt"]
    assert (folder / "my notes.txt").read_text() == "mine"


def test_a_sweep_that_is_cut_off_never_brings_a_job_back(
    spool: Spool, scripts: ScriptSide, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever stops the removal after so many files, the job is not done again."""
    unlink = Path.unlink
    for allowed in range(8):
        folder = _job(scripts, A)
        spool.commit_result(_result(A))
        (folder / "applied").touch()
        count = iter(range(allowed))

        def limited(path: Path, missing_ok: bool = False) -> None:
            if path.exists() and next(count, None) is None:  # noqa: B023 - used in this turn only
                raise PermissionError(13, "held")
            unlink(path, missing_ok=missing_ok)

        with monkeypatch.context() as patch:
            patch.setattr(Path, "unlink", limited)
            spool.sweep_applied()
        assert spool.waiting_jobs() == []
        spool.sweep_applied()
        assert not folder.exists()


@pytest.mark.parametrize(
    ("answer", "age_hours"),
    [(_result(A), RESULT_HOURS), (_failure(A), FAILURE_HOURS), (None, ABANDONED_HOURS)],
    ids=["result", "failure", "abandoned"],
)
def test_what_is_stale_goes_after_hours_of_running_whatever_the_clock_says(
    spool: Spool, scripts: ScriptSide, answer: Result | Failure | None, age_hours: int
) -> None:
    folder = _job(scripts, A)
    if answer is None:
        (folder / "request.json").rename(folder / "request.json.tmp")
    else:
        spool.commit_result(answer)
    for path in (*folder.iterdir(), folder):
        os.utime(path, (0, 0))
    for _ in range(age_hours - 1):
        spool.look_for_stale()
    assert folder.exists()
    spool.look_for_stale()
    assert not folder.exists()


def test_a_job_that_is_to_be_done_is_never_stale(spool: Spool, scripts: ScriptSide) -> None:
    _job(scripts, A)
    for _ in range(RESULT_HOURS + 1):
        spool.look_for_stale()
    assert spool.waiting_jobs() == [A]


def test_a_result_broken_by_a_power_failure_is_made_again(
    spool: Spool, scripts: ScriptSide
) -> None:
    folder = _job(scripts, A)
    (folder / "result.json").write_bytes(b"")
    spool.drop_broken_results()
    assert spool.waiting_jobs() == [A]
    (folder / "result.json").write_text('{"protocol": "9.0"}')
    spool.drop_broken_results()
    assert (folder / "result.json").exists()


def test_controls_are_taken_once_and_others_are_left(spool: Spool, scripts: ScriptSide) -> None:
    scripts.write_control("start_engine")
    (spool.control / "make_coffee").touch()
    (spool.control / "stop_engine.tmp").touch()
    assert spool.take_controls() == ["start_engine"]
    assert spool.take_controls() == []
    assert (spool.control / "make_coffee").exists()


def test_one_bridge_at_a_time(spool: Spool) -> None:
    assert not spool.has_bridge()
    with spool.lock() as is_ours, spool.lock() as is_second:
        assert is_ours
        assert not is_second
        assert spool.has_bridge()
    assert not spool.has_bridge()


def test_what_a_bridge_notes_outlives_it(spool: Spool, scripts: ScriptSide) -> None:
    folder = _job(scripts, A)
    assert spool.record(A) == JobRecord()
    spool.remember(A, JobRecord(seed=4, attempts=2, engine_deaths=1))
    assert Spool(spool.root).record(A) == JobRecord(seed=4, attempts=2, engine_deaths=1)
    written = json.loads((folder / "memory.json").read_text())
    assert written == {"seed": 4, "starts": 2, "deaths": 1, "looks": 0}, "as every version reads it"
    (folder / "memory.json").write_text("garbage")
    assert spool.record(A) == JobRecord()


def test_the_system_tells_of_jobs_controls_and_ends(spool: Spool, scripts: ScriptSide) -> None:
    changes: list[str] = []
    heard = threading.Event()

    def on_change(job_id: str) -> None:
        changes.append(job_id)
        heard.set()

    with SpoolWatch(spool.root, on_change):
        for write, expected in (
            (lambda: _job(scripts, A), A),
            (lambda: scripts.touch(A, "cancel"), A),
            (lambda: scripts.touch(A, "applied"), A),
            (lambda: scripts.write_control("stop_engine"), ""),
        ):
            changes.clear()
            heard.clear()
            write()
            _wait_for(heard, changes, expected)


def _wait_for(heard: threading.Event, changes: list[str], expected: str) -> None:
    deadline_s = time.monotonic() + 10
    while expected not in changes:
        assert heard.wait(max(deadline_s - time.monotonic(), 0)), "the system told nothing"
        heard.clear()


def test_our_own_files_are_no_news(spool: Spool, scripts: ScriptSide) -> None:
    _job(scripts, A)
    _job(scripts, B)
    changes: list[str] = []
    heard = threading.Event()

    def on_change(job_id: str) -> None:
        changes.append(job_id)
        heard.set()

    with SpoolWatch(spool.root, on_change):
        spool.write_heartbeat(Heartbeat(1, 1, EngineState(EnginePhase.READY)))
        spool.write_progress(JobProgress(A, 1, "sample", 0.5))
        spool.remember(A, JobRecord(seed=1))
        scripts.touch(B, "cancel")
        _wait_for(heard, changes, B)
    # What a draft is renamed from may speak of the folder; the files themselves don't.
    assert changes.count(B) >= 1
    assert "" not in changes


def test_without_the_systems_word_the_spool_is_looked_at_often(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object, **options: object) -> None:
        raise OSError(28, "inotify watch limit reached")

    monkeypatch.setattr("reapaint.reaper.spool_watch.Observer.schedule", refuse, raising=False)
    with SpoolWatch(spool.root, lambda _: None) as watch:
        assert watch.scan_s == BLIND_SCAN_S
