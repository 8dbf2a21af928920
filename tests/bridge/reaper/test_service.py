"""What the bridge decides, against an engine's link that does what a test says."""

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reapaint.errors import BridgeCode, EngineUnavailable
from reapaint.link.thread import Connected, Disconnected, EngineAnswer, LinkEvent
from reapaint.reaper import audio_work, scheduler
from reapaint.reaper.engine_view import CONNECT_PAUSE_S, OWN_PATIENCE_S
from reapaint.reaper.messages import EnginePhase, EngineState, Heartbeat
from reapaint.reaper.planning import PlannedJob
from reapaint.reaper.scheduler import (
    MAX_ATTEMPTS,
    MAX_WINDOWS,
    QUEUE_FULL_PAUSE_S,
    JobScheduler,
)
from reapaint.reaper.service import BridgeConfig, Service, run_bridge
from reapaint.reaper.spool import JobRecord, Spool
from reapaint_engine.protocol import messages
from reapaint_engine.protocol.messages import (
    BackendInfo,
    Done,
    InpaintRequest,
    Limits,
    TakeReport,
    Timings,
    Welcome,
)
from tests.bridge.audio_files import raw_samples, simple_wav
from tests.integration.script_side import ScriptSide

RATE = 8000
WELCOME = Welcome(
    "1",
    1,
    (
        BackendInfo(
            name="echo",
            description="",
            models=("echo",),
            default_model="echo",
            modes=("auto",),
            honours=(),
            max_window_s=60.0,
            max_span_s=20.0,
        ),
    ),
    "echo",
    Limits(1 << 24, 8, 1 << 26),
)
DIED = Disconnected(EngineUnavailable(BridgeCode.ENGINE_DIED, "The engine died.", hint="Again."))
STOPPED = Disconnected(
    EngineUnavailable(BridgeCode.ENGINE_NOT_RUNNING, "The engine was stopped."), was_told=True
)


class FakeLink:
    """Stands for the engine's link: keeps what it is asked, and says what it is told to."""

    def __init__(self, endpoint: str | None, on_event: Callable[[LinkEvent], None]) -> None:
        self.endpoint = endpoint
        self.say = on_event
        self.sent: list[tuple[InpaintRequest, np.ndarray]] = []
        self.cancelled: list[str] = []
        self.connects = 0
        self.stops = 0

    def start(self) -> None: ...
    def close(self) -> None: ...
    def look_for_engine(self) -> None: ...

    def connect(self) -> None:
        self.connects += 1

    def submit(
        self, request: InpaintRequest, audio: np.ndarray, on_sent: Callable[[], None]
    ) -> None:
        self.sent.append((request, audio))
        on_sent()

    def cancel(self, job_id: str) -> None:
        self.cancelled.append(job_id)

    def stop_engine(self) -> None:
        self.stops += 1

    def sent_ids(self) -> list[str]:
        return [request.job_id for request, _ in self.sent]

    def answer(self, message: messages.EngineMessage, *parts: np.ndarray) -> None:
        self.say(EngineAnswer(message, parts))

    def finish(self, number: int) -> None:
        """Give back the audio of a submission, unchanged."""
        request, audio = self.sent[number]
        takes = tuple(TakeReport((request.seed or 0) + take, ()) for take in range(request.takes))
        done = Done(
            job_id=request.job_id,
            request=request,
            backend="echo",
            model="echo",
            model_revision="1",
            mode="auto",
            engine_version="1",
            takes=takes,
            timings_s=Timings(),
            warnings=(),
        )
        patches = [audio[:, span.start : span.end] for span in request.spans] * request.takes
        self.answer(done, *patches)


class FakeClock:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


class Bench:
    """A scheduler, its link, its clock and its inbox, turned by hand."""

    def __init__(self, spool: Spool, scripts: ScriptSide, source: Path) -> None:
        self.spool, self.scripts, self.source = spool, scripts, source
        self.inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.handled: list[Any] = []
        self.clock = FakeClock()
        self.link = FakeLink(None, self.inbox.put)
        self.scheduler = JobScheduler(spool, self.link, self.inbox.put, clock=self.clock)

    def send(self, *spans: tuple[float, float], **settings: Any) -> str:
        request = self.scripts.request(self.source, *(spans or [(3, 4)]), **settings)
        job_id = self.scripts.send(request)
        self.scheduler.take_up(job_id)
        return job_id

    def connect(self, pid: int = 1) -> None:
        self.link.say(Connected(replace(WELCOME, pid=pid)))
        self.turn()

    def turn_until(self, is_true: Callable[[], Any], what: str = "") -> None:
        """Handle what happens until something is true."""
        deadline_s = time.monotonic() + 20
        self.turn()
        while not is_true():
            assert time.monotonic() < deadline_s, f"waited too long for {what}"
            with contextlib.suppress(queue.Empty):
                self.handle(self.inbox.get(timeout=0.05))
            self.turn()

    def turn(self) -> None:
        while not self.inbox.empty():
            self.handle(self.inbox.get())
        self.scheduler.advance(self.clock())

    def handle(self, event: Any) -> None:
        self.scheduler.handle(event)
        self.handled.append(event)

    def until_sent(self, count: int) -> None:
        self.turn_until(lambda: len(self.link.sent) >= count, f"{count} submissions")

    def result(self, job_id: str) -> dict[str, Any]:
        self.turn_until(lambda: self.spool.is_answered(job_id), "a result")
        self.turn_until(lambda: not self.scheduler.has(job_id), "its end")
        return self.scripts.result(job_id)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    source = tmp_path / "a.wav"
    source.write_bytes(simple_wav("int16", RATE, 2, raw_samples("int16", 10 * RATE, 2)))
    scripts = ScriptSide(tmp_path, tmp_path / "media")
    spool = Spool(scripts.spool)
    spool.make()
    bench = Bench(spool, scripts, source)
    yield bench
    bench.scheduler.close()


def test_a_job_starts_an_engine_and_comes_back(bench: Bench) -> None:
    job_id = bench.send(takes=2)
    bench.turn()
    assert bench.link.connects == 1
    assert bench.scripts.progress(job_id)["stage"] == "starting"
    bench.connect()
    bench.until_sent(1)
    bench.link.answer(messages.Accepted(job_id, 0))
    bench.link.answer(messages.Progress(job_id, "sample", 0.5))
    bench.turn()
    progress = bench.scripts.progress(job_id)
    assert progress["stage"] == "sample"
    assert 0.4 < progress["fraction"] < 0.5
    bench.link.finish(0)
    result = bench.result(job_id)
    assert result["ok"]
    assert len(result["takes"]) == 2
    assert bench.scripts.progress(job_id)["stage"] == "write"


def test_progress_only_counts_up(bench: Bench) -> None:
    bench.connect()
    job_id = bench.send()
    bench.until_sent(1)
    sequences = []
    for step in range(20):
        stage = ("encode", "sample", "decode")[step % 3]
        bench.link.answer(messages.Progress(job_id, stage, step / 20))
        bench.turn()
        sequences.append(bench.scripts.progress(job_id)["sequence"])
    assert sequences == sorted(set(sequences))


def test_several_jobs_are_in_flight_and_each_gets_its_own(bench: Bench) -> None:
    bench.connect()
    jobs = [bench.send((1 + number, 2 + number)) for number in range(4)]
    bench.until_sent(4)
    for number in (2, 0, 3, 1):
        bench.link.finish(number)
    for number, job_id in enumerate(jobs):
        (file,) = bench.result(job_id)["takes"][0]["files"]
        assert file["file_start_s"] == max(number - 1, 0)


def test_only_so_many_windows_are_held_in_memory(bench: Bench) -> None:
    bench.connect()
    jobs = [bench.send() for _ in range(MAX_WINDOWS + 3)]
    bench.until_sent(MAX_WINDOWS)
    bench.turn()
    assert len(bench.link.sent) == MAX_WINDOWS
    waiting = bench.scripts.progress(jobs[-1])
    assert (waiting["stage"], waiting["position"]) == ("queued", MAX_WINDOWS + 2)
    for number in range(len(jobs)):
        bench.until_sent(number + 1)
        bench.link.finish(number)
    assert all(bench.result(job_id)["ok"] for job_id in jobs)


def test_a_job_of_many_windows_is_fed_piece_by_piece(bench: Bench) -> None:
    bench.connect()
    spans = [(0.2 + 0.9 * number, 0.3 + 0.9 * number) for number in range(10)]
    job_id = bench.send(*spans, context_s=0.1)
    for number in range(10):
        bench.until_sent(number + 1)
        assert len(bench.link.sent) <= number + MAX_WINDOWS
        bench.link.finish(number)
    assert len(bench.result(job_id)["takes"][0]["files"]) == 10


def test_a_cancelled_job_ends_at_once_and_late_answers_change_nothing(bench: Bench) -> None:
    bench.connect()
    job_id, other = bench.send(), bench.send()
    bench.until_sent(2)
    bench.scripts.touch(job_id, "cancel")
    bench.scheduler.cancel_if_asked(job_id)
    result = bench.scripts.result(job_id)
    assert (result["ok"], result["error"]["code"]) == (False, "cancelled")
    assert bench.link.cancelled == [job_id]
    for number, (request, _) in enumerate(tuple(bench.link.sent)):
        if request.job_id in (job_id, other):
            bench.link.finish(number)
    assert bench.result(other)["ok"]
    assert bench.scripts.result(job_id) == result
    assert len(list(bench.scripts.media.rglob("*.wav"))) == 1


def test_every_answer_goes_to_the_reaper_that_asked(bench: Bench) -> None:
    """Two REAPERs on one resource folder: one cancels all its jobs, and only its own end."""
    one, other = "{1}", "{2}"

    def send(instance: str, **changes: Any) -> str:
        request = bench.scripts.request(bench.source, (3, 4)) | {"instance": instance} | changes
        job_id = bench.scripts.send(request)
        bench.scheduler.take_up(job_id)
        return job_id

    bench.connect()
    kept, *dropped = send(one), send(other), send(other)
    bench.until_sent(3)
    for job_id in dropped:
        bench.scripts.touch(job_id, "cancel")
    for job_id in (kept, *dropped):
        bench.scheduler.cancel_if_asked(job_id)
    refused = send(other, spans=[])
    unreadable = send(other, protocol="9.0")
    for job_id in (*dropped, refused, unreadable):
        result = bench.result(job_id)
        assert (result["ok"], result["instance"]) == (False, other)
    assert bench.link.cancelled == dropped
    bench.link.finish(bench.link.sent_ids().index(kept))
    result = bench.result(kept)
    assert (result["ok"], result["instance"]) == (True, one)
    assert "instance" not in result["record"]


def test_a_job_cancelled_before_it_began_asks_no_engine(bench: Bench) -> None:
    request = bench.scripts.request(bench.source, (3, 4))
    job_id = bench.scripts.send(request)
    bench.scripts.touch(job_id, "cancel")
    bench.scheduler.take_up(job_id)
    assert bench.scripts.result(job_id)["error"]["code"] == "cancelled"
    bench.turn()
    assert bench.link.connects == 0


def test_a_job_cancelled_while_it_is_written_leaves_no_file(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_job, is_written, may_go_on = audio_work.write_job, threading.Event(), threading.Event()

    def wait_when_written(*arguments: Any, **options: Any) -> Any:
        result = write_job(*arguments, **options)
        is_written.set()
        assert may_go_on.wait(20)
        return result

    monkeypatch.setattr(audio_work, "write_job", wait_when_written)
    bench.connect()
    job_id = bench.send()
    bench.until_sent(1)
    bench.link.finish(0)
    bench.turn_until(is_written.is_set, "the files")
    assert list(bench.scripts.media.rglob("*.wav"))
    bench.scripts.touch(job_id, "cancel")
    bench.scheduler.cancel_if_asked(job_id)
    bench.scheduler.cancel_if_asked(job_id)
    may_go_on.set()
    assert bench.result(job_id)["error"]["code"] == "cancelled"
    assert list(bench.scripts.media.rglob("*.wav")) == []


def test_somebody_elses_cancel_is_a_cancel(bench: Bench) -> None:
    bench.connect()
    job_id = bench.send()
    bench.until_sent(1)
    bench.link.answer(messages.Cancelled(job_id))
    assert bench.result(job_id)["error"]["code"] == "cancelled"


# Engines that end


def test_a_job_that_ran_when_an_engine_died_is_sent_once_more(bench: Bench) -> None:
    bench.connect()
    ran, waited = bench.send(), bench.send()
    bench.until_sent(2)
    for death in (1, 2):
        bench.link.answer(messages.Progress(ran, "sample", 0.5))
        bench.link.say(DIED)
        bench.turn()
        if death == 1:
            assert bench.link.connects == 1
            bench.connect(pid=2)
            bench.until_sent(4)
    result = bench.result(ran)
    assert result["error"]["code"] == "engine_died"
    assert result["error"]["hint"]
    # The one that only waited is not to blame.
    bench.connect(pid=3)
    bench.until_sent(5)
    assert bench.link.sent_ids()[-1] == waited
    bench.link.finish(4)
    assert bench.result(waited)["ok"]


def test_an_engine_that_only_fell_silent_blames_no_job(bench: Bench) -> None:
    bench.connect()
    job_id = bench.send()
    for silence in range(4):
        bench.until_sent(silence + 1)
        bench.link.say(DIED)
        bench.turn()
        bench.connect(pid=1)
    bench.until_sent(5)
    bench.link.finish(4)
    assert bench.result(job_id)["ok"]


def test_a_job_sent_again_asks_for_the_same_seed(bench: Bench) -> None:
    bench.connect()
    bench.send()
    bench.until_sent(1)
    bench.link.say(DIED)
    bench.turn()
    bench.connect()
    bench.until_sent(2)
    (first, heard), (again, heard_again) = bench.link.sent
    assert first == again
    assert first.seed is not None
    np.testing.assert_array_equal(heard, heard_again)


def test_an_engine_that_stops_politely_loses_no_job(bench: Bench) -> None:
    bench.connect()
    job_id = bench.send((1, 1.5), (8, 8.5), context_s=0.5)
    bench.until_sent(2)
    for engine_job_id in bench.link.sent_ids():
        bench.link.answer(messages.Failed(engine_job_id, "engine_stopping", "It is stopping."))
    bench.turn()
    assert len(bench.link.sent) == 2
    goodbye = EngineUnavailable(BridgeCode.ENGINE_DIED, "The engine stopped: SIGTERM.")
    bench.link.say(Disconnected(goodbye, was_told=True))
    bench.turn()
    bench.connect()
    bench.until_sent(4)
    bench.link.finish(2)
    bench.link.finish(3)
    assert bench.result(job_id)["ok"]


def test_an_engine_stopped_by_a_person_is_not_started_again(bench: Bench) -> None:
    bench.connect()
    job_id = bench.send()
    bench.until_sent(1)
    bench.scheduler.stop_engine()
    assert bench.link.stops == 1
    bench.link.answer(messages.Failed(job_id, "engine_stopping", "It is stopping."))
    bench.link.say(STOPPED)
    assert bench.result(job_id)["error"]["code"] == "engine_not_running"
    assert bench.link.connects == 0
    assert bench.scheduler.engine.state == EngineState(EnginePhase.STOPPED)


def test_an_engine_that_cant_be_started_fails_the_job_with_its_reason(bench: Bench) -> None:
    job_id = bench.send()
    error = EngineUnavailable(BridgeCode.ENGINE_NOT_STARTED, "It did not start: no room.", hint="!")
    bench.link.say(Disconnected(error))
    result = bench.result(job_id)
    assert result["error"] == {
        "code": "engine_not_started",
        "message": "It did not start: no room.",
        "hint": "!",
    }
    assert bench.scheduler.engine.state.state == "unreachable"
    # The next job tries again.
    bench.send()
    bench.turn()
    assert bench.link.connects == 2


def test_an_engine_that_is_just_ending_is_looked_for_again(bench: Bench) -> None:
    job_id = bench.send()
    gone = Disconnected(EngineUnavailable(BridgeCode.ENGINE_UNREACHABLE, "It is gone."))
    for attempt in range(1, 6):
        bench.link.say(gone)
        bench.turn()
        assert bench.link.connects == attempt
        bench.clock.now_s += CONNECT_PAUSE_S
        bench.turn()
        assert bench.link.connects == attempt + 1
        assert not bench.spool.is_answered(job_id)
    bench.clock.now_s += OWN_PATIENCE_S
    bench.link.say(gone)
    bench.turn()
    assert bench.result(job_id)["error"]["code"] == "engine_unreachable"


def test_an_idle_engine_that_leaves_is_no_error(bench: Bench) -> None:
    bench.connect()
    bench.turn()
    bench.link.say(Disconnected(EngineUnavailable(BridgeCode.ENGINE_DIED, "Idle."), was_told=True))
    bench.turn()
    assert bench.scheduler.engine.state == EngineState(EnginePhase.STOPPED)
    bench.send()
    bench.turn()
    assert bench.link.connects == 1


def test_a_full_queue_is_waited_for(bench: Bench) -> None:
    bench.connect()
    job_id = bench.send()
    bench.until_sent(1)
    bench.link.answer(messages.Rejected(job_id, "queue_full", "Full."))
    bench.turn()
    assert len(bench.link.sent) == 1
    bench.clock.now_s += QUEUE_FULL_PAUSE_S
    bench.until_sent(2)
    bench.link.finish(1)
    assert bench.result(job_id)["ok"]


def test_an_id_the_engine_knows_as_something_else_is_replaced(bench: Bench) -> None:
    bench.connect()
    job_id = bench.send()
    bench.until_sent(1)
    bench.link.answer(messages.Rejected(job_id, "job_id_reused", "Another job has it."))
    bench.until_sent(2)
    bench.link.answer(messages.Rejected(bench.link.sent_ids()[1], "job_id_reused", "Again."))
    bench.until_sent(3)
    assert len(set(bench.link.sent_ids())) == 3
    bench.link.finish(2)
    assert bench.result(job_id)["ok"]


def test_what_the_engine_refuses_is_passed_on_and_the_rest_is_cancelled(bench: Bench) -> None:
    bench.connect()
    job_id = bench.send((1, 1.5), (8, 8.5), context_s=0.5)
    bench.until_sent(2)
    bench.link.answer(messages.Failed(f"{job_id}-0", "out_of_memory", "Too little.", "Less."))
    result = bench.result(job_id)
    assert result["error"] == {"code": "out_of_memory", "message": "Too little.", "hint": "Less."}
    assert bench.link.cancelled == [f"{job_id}-0", f"{job_id}-1"]


# Bridges that end


def test_a_job_is_taken_up_by_the_next_bridge_with_its_seed(bench: Bench) -> None:
    bench.connect()
    job_id = bench.send()
    bench.until_sent(1)
    later = Bench(bench.spool, bench.scripts, bench.source)
    later.scheduler.take_up(job_id)
    later.connect()
    later.until_sent(1)
    assert later.link.sent[0][0] == bench.link.sent[0][0]
    # The engine may have been ending the old bridge's job, which is the same to it.
    later.link.answer(messages.Cancelled(job_id))
    later.until_sent(2)
    later.link.finish(1)
    assert later.result(job_id)["ok"]
    later.scheduler.close()


def test_a_job_that_ends_bridges_is_given_up(bench: Bench) -> None:
    request = bench.scripts.request(bench.source, (3, 4))
    job_id = bench.scripts.send(request)
    bench.spool.remember(job_id, JobRecord(seed=1, attempts=MAX_ATTEMPTS))
    bench.scheduler.take_up(job_id)
    assert bench.scripts.result(job_id)["error"]["code"] == "bridge_died"


def test_a_job_that_only_waited_is_not_blamed_for_the_death_of_bridges(bench: Bench) -> None:
    """Twenty jobs, and bridges that are killed before and after an engine is there."""
    jobs = [bench.send() for _ in range(20)]
    for number in range(MAX_ATTEMPTS + 2):
        killed = Bench(bench.spool, bench.scripts, bench.source)
        for job_id in jobs:
            killed.scheduler.take_up(job_id)
        if number < MAX_ATTEMPTS:
            killed.connect()
            killed.until_sent(1)
        attempts = [bench.spool.record(job_id).attempts for job_id in jobs]
        assert sum(each > 0 for each in attempts) <= MAX_WINDOWS
        killed.scheduler.close()
    # Whatever the first ones are blamed for, those that only waited are as good as new.
    assert attempts[MAX_WINDOWS:] == [0] * (20 - MAX_WINDOWS)


def test_a_bridge_that_ends_in_order_does_not_count_as_dead(bench: Bench) -> None:
    job_id = bench.send()
    for _ in range(MAX_ATTEMPTS + 2):
        bench.scheduler.close()
        bench.scheduler.give_up()
        bench = Bench(bench.spool, bench.scripts, bench.source)
        bench.scheduler.take_up(job_id)
        assert bench.scheduler.has(job_id)
    bench.scheduler.close()


def test_a_job_whose_folder_is_removed_is_forgotten(bench: Bench) -> None:
    bench.connect()
    job_id = bench.send()
    bench.until_sent(1)
    folder = bench.scripts.folder(job_id)
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    bench.scheduler.drop_removed()
    assert bench.scheduler.is_idle
    assert bench.link.cancelled == [job_id]
    bench.link.finish(0)
    bench.turn()
    assert not folder.exists()


def test_a_job_that_is_kept_sends_nothing_more(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was cancelled while a window was read, and its answer finds no room."""
    read_window, is_reading, may_go_on = (
        PlannedJob.read_window,
        threading.Event(),
        threading.Event(),
    )

    def wait(planned: PlannedJob, number: int) -> np.ndarray:
        is_reading.set()
        assert may_go_on.wait(20)
        return read_window(planned, number)

    def full(spool: Spool, result: Any) -> None:
        raise scheduler.BridgeError("disk_full", "There is no room.")

    monkeypatch.setattr(PlannedJob, "read_window", wait)
    monkeypatch.setattr(Spool, "commit_result", full)
    bench.connect()
    job_id = bench.send()
    bench.turn_until(is_reading.is_set, "the reading")
    bench.scripts.touch(job_id, "cancel")
    bench.scheduler.cancel_if_asked(job_id)
    may_go_on.set()
    bench.turn_until(lambda: isinstance(bench.handled[-1], audio_work.WindowRead), "the window")
    assert bench.link.sent == []


def test_a_result_that_finds_no_room_is_kept_until_there_is(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.connect()
    job_id = bench.send()
    bench.until_sent(1)
    commit, refusals = Spool.commit_result, iter([True] * 3)

    def full(spool: Spool, result: Any) -> None:
        if next(refusals, False):
            raise scheduler.BridgeError("disk_full", "There is no room.")
        commit(spool, result)

    monkeypatch.setattr(Spool, "commit_result", full)
    bench.link.finish(0)
    bench.turn_until(lambda: isinstance(bench.handled[-1], audio_work.Written), "the answer")
    bench.scheduler.commit_late()
    bench.scheduler.commit_late()
    assert not bench.spool.is_answered(job_id)
    bench.scheduler.commit_late()
    assert bench.scripts.result(job_id)["ok"]
    assert bench.scheduler.is_idle


def test_a_mistake_of_ours_ends_its_job_and_no_more(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan_job, is_first = audio_work.plan_job, iter([True])

    def breaks_once(*arguments: Any, **options: Any) -> Any:
        if next(is_first, False):
            raise ZeroDivisionError("oh")
        return plan_job(*arguments, **options)

    monkeypatch.setattr(audio_work, "plan_job", breaks_once)
    bench.connect()
    broken = bench.send()
    assert bench.result(broken)["error"]["code"] == "internal_error"
    fine = bench.send()
    bench.until_sent(1)
    bench.link.finish(0)
    assert bench.result(fine)["ok"]


def test_garbage_is_answered_with_its_code(bench: Bench) -> None:
    for number, text in enumerate(("", "{", '{"protocol":"9.1"}', '{"protocol":"1.0"}')):
        job_id = f"{number:032x}"
        folder = bench.scripts.folder(job_id)
        folder.mkdir(parents=True)
        (folder / "request.json").write_text(text)
        bench.scheduler.take_up(job_id)
        assert bench.scripts.result(job_id)["ok"] is False
    assert bench.scheduler.is_idle


# The service around it


def _run(config: BridgeConfig, **given: Any) -> None:
    make_service = partial(Service, make_link=FakeLink, **given)
    run_bridge(config, lambda _: None, make_service=make_service)


def test_a_bridge_whose_starter_is_gone_ends_when_idle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reapaint.reaper.service.BEAT_INTERVAL_S", 0.02)
    spool = tmp_path / "spool"
    _run(BridgeConfig(spool, idle_exit_s=0.1), is_starter_gone=lambda: True)
    assert not (spool / "bridge.json").exists()


def test_the_heartbeat_counts_and_controls_are_handled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reapaint.reaper.service.BEAT_INTERVAL_S", 0.01)
    beats: list[int] = []
    write = Spool.write_heartbeat

    def count(spool: Spool, heartbeat: Heartbeat) -> None:
        write(spool, heartbeat)
        beats.append(heartbeat.beat)
        if len(beats) == 5:
            spool.write_control("stop_bridge")

    monkeypatch.setattr(Spool, "write_heartbeat", count)
    _run(BridgeConfig(tmp_path / "spool"))
    assert beats[:5] == [1, 2, 3, 4, 5]
    assert not (tmp_path / "spool" / "control" / "stop_bridge").exists()


def test_a_clock_that_jumps_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A year forward and back again: nothing is stale, nothing is alive for longer."""
    scripts = ScriptSide(tmp_path, tmp_path / "media")
    job_id = scripts.send(scripts.request(tmp_path / "a.wav", (1, 2)))
    (scripts.folder(job_id) / "result.json").write_text('{"protocol": "1.0", "ok": true}')
    jumps = iter((0.0, 3e7, -3e7, 6e7) * 100)
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + next(jumps, 0.0))
    monkeypatch.setattr("reapaint.reaper.service.BEAT_INTERVAL_S", 0.01)
    begun_s = time.monotonic()
    _run(BridgeConfig(scripts.spool, idle_exit_s=0.2), is_starter_gone=lambda: True)
    assert time.monotonic() - begun_s >= 0.2
    assert (scripts.folder(job_id) / "request.json").exists()


def test_a_result_that_found_no_room_is_tried_again_with_every_beat(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reapaint.reaper.service.BEAT_INTERVAL_S", 0.01)
    scripts = ScriptSide(tmp_path, tmp_path / "media")
    job_id = scripts.send(scripts.request(tmp_path / "a.wav", (1, 2)))
    scripts.touch(job_id, "cancel")
    commit, refusals, beats = Spool.commit_result, iter([True] * 5), []

    def full(spool: Spool, result: Any) -> None:
        # What is tried once more at the very end must not be what helps.
        if next(refusals, False) or len(beats) >= 50:
            raise scheduler.BridgeError("disk_full", "There is no room.")
        commit(spool, result)

    def stop_after_some(spool: Spool, heartbeat: Heartbeat) -> None:
        beats.append(heartbeat.beat)
        if len(beats) == 50:
            spool.write_control("stop_bridge")

    monkeypatch.setattr(Spool, "commit_result", full)
    monkeypatch.setattr(Spool, "write_heartbeat", stop_after_some)
    _run(BridgeConfig(scripts.spool))
    assert scripts.result(job_id)["error"]["code"] == "cancelled"
