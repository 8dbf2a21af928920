"""The dispatcher without sockets, threads or clocks."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from reapaint_engine.dispatcher import (
    CLIENT_TIMEOUT_S,
    RESULT_KEPT_S,
    UNRECEIVED_BYTES,
    Dispatcher,
    Outgoing,
)
from reapaint_engine.errors import JobCancelled, JobError
from reapaint_engine.protocol import messages
from reapaint_engine.protocol.codec import MAX_HEADER_BYTES, encode
from reapaint_engine.protocol.errors import (
    THE_PATH,
    ErrorCode,
    not_authorised,
    out_of_memory,
)
from reapaint_engine.protocol.messages import InpaintRequest, Limits, Placement, TakeReport
from reapaint_engine.protocol.spans import Span
from tests.scale import SCALE

TOKEN = "secret"
AUDIO = np.zeros((1, 100), np.float32)
PATCH = np.zeros((1, 10), np.float32)
LARGE_PATCH = np.broadcast_to(np.float32(0), (1, UNRECEIVED_BYTES // 4 + 1))
"""A view without memory of its own, so large that its client may have no other on its way."""
REQUEST = InpaintRequest(
    job_id="job",
    sample_rate=8000,
    channels=1,
    audio_frames=100,
    window_frames=100,
    spans=(Span(10, 20),),
)
WELCOME = messages.Welcome("1", 1, (), "echo", Limits(1 << 20, 8, 1 << 20))


def _dispatcher(endpoint: str = "tcp://127.0.0.1:5555") -> Dispatcher:
    return Dispatcher(welcome=lambda: WELCOME, token=TOKEN, endpoint=endpoint, started_s=0.0)


def _greeted(*clients: bytes, endpoint: str = "tcp://127.0.0.1:5555") -> Dispatcher:
    dispatcher = _dispatcher(endpoint)
    for client in clients:
        dispatcher.receive(client, messages.Hello(TOKEN, "test"), (), now_s=0.0)
    return dispatcher


def _submit(
    dispatcher: Dispatcher,
    client: bytes,
    job_id: str,
    *,
    placement: Placement = Placement.BACK,
    now_s: float = 0.0,
    audio: np.ndarray = AUDIO,
) -> list[Outgoing]:
    message = messages.Submit(replace(REQUEST, job_id=job_id), placement)
    return dispatcher.receive(client, message, (audio,), now_s=now_s)


def _cancel(dispatcher: Dispatcher, client: bytes, job_id: str) -> list[Outgoing]:
    return dispatcher.receive(client, messages.Cancel(job_id), (), now_s=0.0)


def _finish(
    dispatcher: Dispatcher, job_id: str, now_s: float = 0.0, part: np.ndarray = PATCH
) -> list[Outgoing]:
    request = replace(REQUEST, job_id=job_id)
    done = messages.Done(
        job_id=job_id,
        request=request,
        backend="echo",
        model="echo",
        model_revision="1",
        mode="auto",
        engine_version="0",
        takes=(TakeReport(1, ()),),
    )
    return dispatcher.done(done, (part,), now_s=now_s)


def _names(outgoing: list[Outgoing]) -> list[tuple[bytes, str]]:
    return [(sent.client, type(sent.message).__name__) for sent in outgoing]


def test_only_the_token_opens_a_session() -> None:
    dispatcher = _dispatcher()
    for token in ("", "wrong", "gehört nicht dazu"):
        (sent,) = dispatcher.receive(b"c", messages.Hello(token, "test"), (), now_s=0.0)
        assert sent.message.code == "not_authorised"
    assert _submit(dispatcher, b"c", "a")[0].message.code == "not_authorised"
    (sent,) = dispatcher.receive(b"c", messages.Hello(TOKEN, "test"), (), now_s=0.0)
    assert sent.message == WELCOME


@pytest.mark.parametrize("message", [messages.Stop(), messages.Cancel("a"), messages.Ping()])
def test_a_stranger_can_do_nothing(message: messages.ClientMessage) -> None:
    dispatcher = _dispatcher()
    (sent,) = dispatcher.receive(b"c", message, (), now_s=0.0)
    assert sent.message.code == "not_authorised"
    assert not dispatcher.is_stopping


def test_a_job_from_beginning_to_end() -> None:
    dispatcher = _greeted(b"c")
    (accepted,) = _submit(dispatcher, b"c", "a")
    assert accepted.message == messages.Accepted("a", 0)
    assert dispatcher.next_job(now_s=1.0).job_id == "a"
    assert dispatcher.next_job(now_s=1.0) is None
    (moved,) = dispatcher.progress("sample", 0.5)
    assert moved.message == messages.Progress("a", "sample", 0.5)
    (done,) = _finish(dispatcher, "a")
    assert (done.client, done.message.job_id, len(done.parts)) == (b"c", "a", 1)
    assert not dispatcher.is_busy()


def test_jobs_run_in_the_order_of_their_places() -> None:
    dispatcher = _greeted(b"c")
    _submit(dispatcher, b"c", "a")
    _submit(dispatcher, b"c", "b")
    _submit(dispatcher, b"c", "c", placement=Placement.FRONT)
    order = []
    while (job := dispatcher.next_job(now_s=0.0)) is not None:
        order.append(job.job_id)
        _finish(dispatcher, job.job_id)
    assert order == ["c", "a", "b"]


def test_replace_cancels_what_waits_but_not_what_runs() -> None:
    dispatcher = _greeted(b"c", b"d")
    _submit(dispatcher, b"c", "running")
    dispatcher.next_job(now_s=0.0)
    _submit(dispatcher, b"c", "waiting")
    _submit(dispatcher, b"d", "theirs")
    outgoing = _submit(dispatcher, b"c", "new", placement=Placement.REPLACE)
    assert _names(outgoing) == [(b"c", "Cancelled"), (b"c", "Accepted")]
    assert outgoing[0].message.job_id == "waiting"
    assert dispatcher.is_busy()


def test_a_rejected_replacement_cancels_nothing() -> None:
    dispatcher = _greeted(b"c")
    _submit(dispatcher, b"c", "waiting")
    bad = messages.Submit(replace(REQUEST, job_id="new", takes=99), Placement.REPLACE)
    (sent,) = dispatcher.receive(b"c", bad, (AUDIO,), now_s=0.0)
    assert sent.message.code == "invalid_takes"
    assert dispatcher.next_job(now_s=0.0).job_id == "waiting"


def test_cancelling_a_queued_job_ends_it_at_once() -> None:
    dispatcher = _greeted(b"c")
    _submit(dispatcher, b"c", "a")
    assert _names(_cancel(dispatcher, b"c", "a")) == [(b"c", "Cancelled")]
    assert dispatcher.next_job(now_s=0.0) is None


def test_cancelling_a_running_job_ends_it_once_the_worker_saw_it() -> None:
    dispatcher = _greeted(b"c")
    _submit(dispatcher, b"c", "a")
    job = dispatcher.next_job(now_s=0.0)
    assert _cancel(dispatcher, b"c", "a") == []
    assert job.cancelled.is_set()
    assert _cancel(dispatcher, b"c", "a") == []
    assert _names(dispatcher.failed(JobCancelled(), now_s=0.0)) == [(b"c", "Cancelled")]


def test_a_cancel_that_comes_too_late_changes_nothing() -> None:
    dispatcher = _greeted(b"c")
    _submit(dispatcher, b"c", "a")
    dispatcher.next_job(now_s=0.0)
    _cancel(dispatcher, b"c", "a")
    assert _names(_finish(dispatcher, "a")) == [(b"c", "Done")]
    assert _cancel(dispatcher, b"c", "a") == []


def test_another_client_may_cancel_and_both_are_told() -> None:
    dispatcher = _greeted(b"c", b"d")
    _submit(dispatcher, b"c", "a")
    assert sorted(_names(_cancel(dispatcher, b"d", "a"))) == [
        (b"c", "Cancelled"),
        (b"d", "Cancelled"),
    ]


def test_cancelling_what_never_was_is_said() -> None:
    dispatcher = _greeted(b"c")
    (sent,) = _cancel(dispatcher, b"c", "nothing")
    assert sent.message.code == "unknown_job"


def test_a_failed_job_tells_why_and_the_next_one_runs() -> None:
    dispatcher = _greeted(b"c")
    _submit(dispatcher, b"c", "a")
    _submit(dispatcher, b"c", "b")
    dispatcher.next_job(now_s=0.0)
    error = JobError(ErrorCode.OUT_OF_MEMORY, "Too little memory.", hint="Select less.")
    (sent,) = dispatcher.failed(error, now_s=0.0)
    assert sent.message == messages.Failed(
        "a", "out_of_memory", "Too little memory.", "Select less."
    )
    assert dispatcher.next_job(now_s=0.0).job_id == "b"


@pytest.mark.parametrize(
    ("endpoint", "shown", "path"),
    [
        ("tcp://127.0.0.1:5555", "/srv/it's ü/sounds", "/srv/it's ü/sounds"),
        ("tcp://0.0.0.0:5555", "sounds", ""),
    ],
)
def test_only_who_uses_this_machine_is_told_where_a_folder_lies(
    endpoint: str, shown: str, path: str
) -> None:
    dispatcher = _greeted(b"c", endpoint=endpoint)
    _submit(dispatcher, b"c", "a")
    dispatcher.next_job(now_s=0.0)
    error = JobError(
        ErrorCode.NO_LIBRARY,
        f"There is no folder {THE_PATH}.",
        hint=f"Make {THE_PATH}.",
        path="/srv/it's ü/sounds",
    )
    (sent,) = dispatcher.failed(error, now_s=0.0)
    assert sent.message == messages.Failed(
        "a", "no_library", f"There is no folder {shown}.", f"Make {shown}.", path
    )


def test_sending_a_job_twice_runs_it_once() -> None:
    dispatcher = _greeted(b"c")
    _submit(dispatcher, b"c", "a")
    assert _names(_submit(dispatcher, b"c", "a")) == [(b"c", "Accepted")]
    dispatcher.next_job(now_s=0.0)
    assert _names(_submit(dispatcher, b"c", "a")) == [(b"c", "Accepted")]
    _finish(dispatcher, "a")
    assert dispatcher.next_job(now_s=0.0) is None


def test_a_client_that_comes_back_gets_its_result() -> None:
    dispatcher = _greeted(b"c")
    _submit(dispatcher, b"c", "a")
    dispatcher.next_job(now_s=0.0)
    _finish(dispatcher, "a", now_s=1.0)
    dispatcher.receive(b"again", messages.Hello(TOKEN, "test"), (), now_s=2.0)
    outgoing = _submit(dispatcher, b"again", "a", now_s=2.0)
    assert _names(outgoing) == [(b"again", "Accepted"), (b"again", "Done")]
    assert len(outgoing[1].parts) == 1


def test_a_client_that_comes_back_while_its_job_runs_gets_the_answer() -> None:
    dispatcher = _greeted(b"c", b"again")
    _submit(dispatcher, b"c", "a")
    dispatcher.next_job(now_s=0.0)
    _submit(dispatcher, b"again", "a")
    assert _names(_finish(dispatcher, "a")) == [(b"again", "Done")]


def test_a_result_is_kept_until_it_was_received_or_its_time_is_over() -> None:
    for receive in (True, False):
        dispatcher = _greeted(b"c")
        _submit(dispatcher, b"c", "a")
        dispatcher.next_job(now_s=0.0)
        _finish(dispatcher, "a")
        if receive:
            dispatcher.receive(b"c", messages.Received("a"), (), now_s=0.0)
        else:
            dispatcher.tick(now_s=RESULT_KEPT_S + 1)
            dispatcher.receive(b"c", messages.Hello(TOKEN, "test"), (), now_s=RESULT_KEPT_S + 1)
        assert _names(_submit(dispatcher, b"c", "a")) == [(b"c", "Accepted")]
        assert dispatcher.next_job(now_s=0.0).job_id == "a"


def test_an_id_is_not_for_two_jobs() -> None:
    dispatcher = _greeted(b"c")
    _submit(dispatcher, b"c", "a")
    (other_audio,) = _submit(dispatcher, b"c", "a", audio=np.ones((1, 100), np.float32))
    assert other_audio.message.code == "job_id_reused"
    other = messages.Submit(replace(REQUEST, job_id="a", prompt="else"))
    (sent,) = dispatcher.receive(b"c", other, (AUDIO,), now_s=0.0)
    assert sent.message.code == "job_id_reused"


def test_a_silent_client_is_let_go_with_its_jobs() -> None:
    dispatcher = _greeted(b"c", b"d")
    _submit(dispatcher, b"c", "running")
    job = dispatcher.next_job(now_s=0.0)
    _submit(dispatcher, b"c", "waiting")
    _submit(dispatcher, b"d", "theirs")
    dispatcher.receive(b"d", messages.Ping(), (), now_s=CLIENT_TIMEOUT_S)
    assert _names(dispatcher.tick(now_s=CLIENT_TIMEOUT_S + 0.1)) == [(b"c", "Cancelled")]
    assert job.cancelled.is_set()
    assert (
        dispatcher.receive(b"d", messages.StatusRequest(), (), now_s=11.0)[0].message.clients == 1
    )


def test_stopping_ends_everything_and_says_goodbye() -> None:
    dispatcher = _greeted(b"c", b"d")
    _submit(dispatcher, b"c", "running")
    job = dispatcher.next_job(now_s=0.0)
    _submit(dispatcher, b"d", "waiting")
    dispatcher.receive(b"c", messages.Stop(), (), now_s=0.0)
    assert dispatcher.is_stopping
    (failed,) = dispatcher.stop()
    assert (failed.client, failed.message.code) == (b"d", "engine_stopping")
    assert job.cancelled.is_set()
    (ended,) = dispatcher.failed(JobCancelled(), now_s=0.0)
    assert ended.message.code == "engine_stopping"
    assert _names(dispatcher.shutdown_messages("a test")) == [(b"c", "Goodbye"), (b"d", "Goodbye")]
    assert _submit(dispatcher, b"c", "late")[0].message.code == "engine_stopping"


def test_a_job_that_never_sees_its_cancel_is_given_up() -> None:
    dispatcher = _greeted(b"c")
    _submit(dispatcher, b"c", "stuck")
    dispatcher.next_job(now_s=0.0)
    dispatcher.stop()
    outgoing = dispatcher.shutdown_messages("a test")
    assert _names(outgoing) == [(b"c", "Failed"), (b"c", "Goodbye")]


def test_idle_time_counts_from_the_last_work() -> None:
    dispatcher = _greeted(b"c")
    assert dispatcher.idle_s(now_s=5.0) == 5.0
    _submit(dispatcher, b"c", "a", now_s=5.0)
    assert dispatcher.idle_s(now_s=9.0) == 0.0
    dispatcher.next_job(now_s=9.0)
    assert dispatcher.idle_s(now_s=19.0) == 0.0
    _finish(dispatcher, "a", now_s=20.0)
    assert dispatcher.idle_s(now_s=25.0) == 5.0


def test_pings_do_not_keep_an_engine_from_stopping_when_idle() -> None:
    dispatcher = _greeted(b"c")
    dispatcher.receive(b"c", messages.Ping(), (), now_s=50.0)
    assert dispatcher.idle_s(now_s=50.0) == 50.0


def test_status_lists_jobs() -> None:
    dispatcher = _greeted(b"c")
    _submit(dispatcher, b"c", "a")
    dispatcher.next_job(now_s=1.0)
    _submit(dispatcher, b"c", "b", now_s=2.0)
    (sent,) = dispatcher.receive(b"c", messages.StatusRequest(), (), now_s=3.0)
    summary = [(job.job_id, job.state, job.age_s) for job in sent.message.jobs]
    assert summary == [("a", "running", 3.0), ("b", "queued", 1.0)]
    assert sent.message.queued_bytes == 400


def test_an_id_is_not_for_another_audio_once_its_job_is_done() -> None:
    dispatcher = _greeted(b"c")
    _submit(dispatcher, b"c", "a")
    dispatcher.next_job(now_s=0.0)
    _finish(dispatcher, "a")
    (sent,) = _submit(dispatcher, b"c", "a", audio=np.ones((1, 100), np.float32))
    assert sent.message.code == "job_id_reused"
    assert _names(_submit(dispatcher, b"c", "a")) == [(b"c", "Accepted"), (b"c", "Done")]


def test_nobody_else_can_say_that_a_result_has_come() -> None:
    dispatcher = _greeted(b"c", b"d")
    _submit(dispatcher, b"c", "a")
    dispatcher.next_job(now_s=0.0)
    _finish(dispatcher, "a")
    assert dispatcher.receive(b"d", messages.Received("a"), (), now_s=0.0) == []
    assert _names(_submit(dispatcher, b"c", "a")) == [(b"c", "Accepted"), (b"c", "Done")]


def test_who_came_back_for_a_result_can_say_that_it_has_come() -> None:
    dispatcher = _greeted(b"c", b"again")
    _submit(dispatcher, b"c", "a")
    dispatcher.next_job(now_s=0.0)
    _finish(dispatcher, "a")
    _submit(dispatcher, b"again", "a")
    dispatcher.receive(b"again", messages.Received("a"), (), now_s=0.0)
    assert _names(_submit(dispatcher, b"again", "a")) == [(b"again", "Accepted")]


def test_a_client_is_known_from_its_hello_to_its_goodbye() -> None:
    dispatcher = _dispatcher()
    assert not dispatcher.knows(b"c")
    dispatcher.greet(b"c", messages.Hello("wrong", "test"), now_s=0.0)
    assert not dispatcher.knows(b"c")
    (sent,) = dispatcher.greet(b"c", messages.Hello(TOKEN, "test"), now_s=0.0)
    assert sent.message == WELCOME
    assert dispatcher.knows(b"c")
    dispatcher.receive(b"c", messages.Goodbye("done"), (), now_s=0.0)
    assert not dispatcher.knows(b"c")


def test_strangers_do_not_flood_the_log(caplog: pytest.LogCaptureFixture) -> None:
    dispatcher = _dispatcher()
    for number in range(1000):
        dispatcher.greet(b"%d" % number, messages.Hello("wrong", "test"), now_s=0.0)
        dispatcher.refuse(b"%d" % number, not_authorised(), "")
    assert len(caplog.messages) <= 20


def test_what_can_not_be_taken_for_want_of_memory_is_answered() -> None:
    dispatcher = _greeted(b"c")
    (sent,) = dispatcher.refuse(b"c", out_of_memory(), "a")
    assert (sent.message.job_id, sent.message.code) == ("a", "out_of_memory")


def test_asking_again_and_again_for_a_running_jobs_end_is_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    dispatcher = _greeted(b"c")
    _submit(dispatcher, b"c", "a")
    dispatcher.next_job(now_s=0.0)
    before = len(caplog.messages)
    for _ in range(100):
        _cancel(dispatcher, b"c", "a")
    assert len(caplog.messages) == before + 1


def test_a_status_fits_a_message_however_long_the_prompts_are() -> None:
    dispatcher = _greeted(b"c", b"d")
    for number in range(WELCOME.limits.max_queued_jobs):
        request = replace(REQUEST, job_id=f"job{number}", prompt="\x01" * 10_000)
        client = (b"c", b"d")[number % 2]
        dispatcher.receive(client, messages.Submit(request), (AUDIO,), now_s=0.0)
    (sent,) = dispatcher.receive(b"c", messages.StatusRequest(), (), now_s=0.0)
    assert len(sent.message.jobs) == WELCOME.limits.max_queued_jobs
    jobs_of_the_default_limit = 64
    size_bytes = len(encode(sent.message)[0]) / len(sent.message.jobs) * jobs_of_the_default_limit
    assert size_bytes < MAX_HEADER_BYTES


# Who takes no results


def test_no_more_is_made_for_who_takes_no_results_and_others_go_on() -> None:
    dispatcher = _greeted(b"deaf", b"d")
    for job_id in ("first", "second"):
        _submit(dispatcher, b"deaf", job_id)
    _submit(dispatcher, b"d", "theirs")
    dispatcher.next_job(now_s=0.0)
    _finish(dispatcher, "first", part=LARGE_PATCH)
    assert dispatcher.next_job(now_s=0.0).job_id == "theirs"
    _finish(dispatcher, "theirs")
    assert dispatcher.next_job(now_s=0.0) is None
    dispatcher.receive(b"d", messages.Received("first"), (), now_s=0.0)
    assert dispatcher.next_job(now_s=0.0) is None
    dispatcher.receive(b"deaf", messages.Received("first"), (), now_s=0.0)
    assert dispatcher.next_job(now_s=0.0).job_id == "second"


def test_who_takes_no_results_is_let_go_after_a_while() -> None:
    dispatcher = _greeted(b"deaf")
    for job_id in ("first", "second"):
        _submit(dispatcher, b"deaf", job_id)
    dispatcher.next_job(now_s=0.0)
    _finish(dispatcher, "first", part=LARGE_PATCH)
    dispatcher.receive(b"deaf", messages.Ping(), (), now_s=RESULT_KEPT_S)
    assert dispatcher.tick(now_s=RESULT_KEPT_S) == []
    assert dispatcher.take_dropped() == []
    dispatcher.receive(b"deaf", messages.Ping(), (), now_s=RESULT_KEPT_S + 1)
    assert _names(dispatcher.tick(now_s=RESULT_KEPT_S + 1)) == [(b"deaf", "Cancelled")]
    assert dispatcher.take_dropped() == [b"deaf"]
    assert dispatcher.take_dropped() == []
    assert not dispatcher.knows(b"deaf")


def test_a_result_sent_again_is_on_its_way_again() -> None:
    dispatcher = _greeted(b"c", b"again")
    for client, job_id in ((b"c", "first"), (b"again", "next")):
        _submit(dispatcher, client, job_id)
    dispatcher.next_job(now_s=0.0)
    _finish(dispatcher, "first", part=LARGE_PATCH)
    _submit(dispatcher, b"again", "first")
    assert dispatcher.next_job(now_s=0.0) is None
    dispatcher.receive(b"again", messages.Received("first"), (), now_s=0.0)
    assert dispatcher.next_job(now_s=0.0).job_id == "next"


def test_many_small_results_may_be_on_their_way() -> None:
    dispatcher = _greeted(b"c")
    for number in range(200):
        _submit(dispatcher, b"c", f"job{number}")
        assert dispatcher.next_job(now_s=0.0) is not None
        _finish(dispatcher, f"job{number}")
    dispatcher.tick(now_s=RESULT_KEPT_S + 1)
    assert dispatcher.take_dropped() == []


class ManyClients(RuleBasedStateMachine):
    """Whatever clients do, every accepted job ends exactly once, and is told to its client."""

    def __init__(self) -> None:
        super().__init__()
        self.clients = (b"c", b"d", b"e")
        self.dispatcher = _greeted(*self.clients)
        self.owner: dict[str, bytes] = {}
        self.ended: dict[str, str] = {}
        self.running = ""
        self.unreceived: dict[str, bytes] = {}
        self.count = 0
        self.now_s = 0.0

    def _note(self, outgoing: list[Outgoing]) -> None:
        for sent in outgoing:
            if isinstance(sent.message, messages.Done | messages.Failed | messages.Cancelled):
                job_id = sent.message.job_id
                assert job_id not in self.ended, "ended twice"
                assert sent.client == self.owner[job_id], "told to another client"
                self.ended[job_id] = type(sent.message).__name__

    @rule(client=st.sampled_from((b"c", b"d", b"e")), placement=st.sampled_from(Placement))
    def submit(self, client: bytes, placement: Placement) -> None:
        self.count += 1
        job_id = f"job{self.count}"
        outgoing = _submit(self.dispatcher, client, job_id, placement=placement, now_s=self.now_s)
        if isinstance(outgoing[-1].message, messages.Accepted):
            self.owner[job_id] = client
        self._note(outgoing)

    @precondition(lambda self: self.owner)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        job_id = data.draw(st.sampled_from(sorted(self.owner)))
        self._note(_cancel(self.dispatcher, self.owner[job_id], job_id))

    @rule()
    def start(self) -> None:
        job = self.dispatcher.next_job(now_s=self.now_s)
        if job is not None:
            assert not self.running, "two jobs at once"
            assert job.client not in self.unreceived.values(), "more is made for who takes nothing"
            self.running = job.job_id

    @precondition(lambda self: self.running)
    @rule(how=st.sampled_from(("done", "large", "cancelled")))
    def end(self, how: str) -> None:
        job_id, self.running = self.running, ""
        if how == "done":
            self._note(_finish(self.dispatcher, job_id, self.now_s))
        elif how == "large":
            self._note(_finish(self.dispatcher, job_id, self.now_s, LARGE_PATCH))
            self.unreceived[job_id] = self.owner[job_id]
        else:
            self._note(self.dispatcher.failed(JobCancelled(), now_s=self.now_s))

    @precondition(lambda self: self.unreceived)
    @rule(data=st.data(), client=st.sampled_from((b"c", b"d", b"e")))
    def say_that_a_result_has_come(self, data: st.DataObject, client: bytes) -> None:
        job_id = data.draw(st.sampled_from(sorted(self.unreceived)))
        self.dispatcher.receive(client, messages.Received(job_id), (), now_s=self.now_s)
        if self.unreceived[job_id] == client:
            del self.unreceived[job_id]

    @rule()
    def time_passes_while_all_ping(self) -> None:
        self.now_s += RESULT_KEPT_S + 1
        for client in self.clients:
            self.dispatcher.receive(client, messages.Ping(), (), now_s=self.now_s)
        self._note(self.dispatcher.tick(now_s=self.now_s))
        dropped = set(self.dispatcher.take_dropped())
        assert dropped == set(self.unreceived.values())
        self._forget_results_of(dropped)
        for client in dropped:
            assert not self.dispatcher.knows(client)
            self.dispatcher.receive(client, messages.Hello(TOKEN, "test"), (), now_s=self.now_s)

    def _forget_results_of(self, clients: set[bytes]) -> None:
        self.unreceived = {
            job_id: client for job_id, client in self.unreceived.items() if client not in clients
        }

    @rule(silent=st.sampled_from((b"c", b"d", b"e")))
    def one_client_falls_silent(self, silent: bytes) -> None:
        self.now_s += CLIENT_TIMEOUT_S + 1
        for client in self.clients:
            if client != silent:
                self.dispatcher.receive(client, messages.Hello(TOKEN, "test"), (), now_s=self.now_s)
        self._note(self.dispatcher.tick(now_s=self.now_s))
        self._forget_results_of({silent})
        self.dispatcher.receive(silent, messages.Hello(TOKEN, "test"), (), now_s=self.now_s)

    @invariant()
    def nothing_is_lost(self) -> None:
        (sent,) = self.dispatcher.receive(b"c", messages.StatusRequest(), (), now_s=self.now_s)
        alive = {job.job_id for job in sent.message.jobs}
        assert alive | set(self.ended) == set(self.owner)
        assert not alive & set(self.ended)

    def teardown(self) -> None:
        self._note(self.dispatcher.stop())
        self._note(self.dispatcher.shutdown_messages("a test"))
        assert set(self.ended) == set(self.owner)


TestManyClients = ManyClients.TestCase
TestManyClients.settings = settings(max_examples=50 * SCALE, stateful_step_count=40)
