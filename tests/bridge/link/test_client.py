"""The client's session, against an engine that the test plays word by word."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import zmq

from reapaint.errors import BridgeCode, EngineUnavailable
from reapaint.link.client import EngineAddress, EngineClient
from reapaint_engine.protocol import messages as m
from reapaint_engine.protocol.codec import decode_from_client, encode
from reapaint_engine.protocol.errors import ErrorCode
from reapaint_engine.protocol.spans import Span

HASTE = 3
"""The client's clock runs so much faster, so that its patience ends soon; its waits are real, and
must stay shorter than what it takes for a sleep of the machine."""
DEADLINE_S = 20.0

LIMITS = m.Limits(max_window_bytes=1 << 20, max_queued_jobs=4, max_queued_bytes=1 << 20)
WELCOME = m.Welcome(version="1", pid=1, backends=(), default_backend="echo", limits=LIMITS)
UNKNOWN = m.Rejected(
    job_id="", code=ErrorCode.NOT_AUTHORISED, message="The engine does not know you."
)
REQUEST = m.InpaintRequest(
    job_id="job-1",
    sample_rate=8000,
    channels=1,
    audio_frames=100,
    window_frames=100,
    spans=(Span(10, 20),),
)
AUDIO = np.zeros((1, 100), np.float32)
PATCH = np.ones((1, 10), np.float32)
DONE = m.Done(
    job_id="job-1",
    request=REQUEST,
    backend="echo",
    model="echo",
    model_revision="1",
    mode="auto",
    engine_version="1",
    takes=(m.TakeReport(1, ()),),
)


class PlayedEngine:
    """A ROUTER whose every message is noted, and answered by ``answer``."""

    def __init__(self) -> None:
        self.heard: list[tuple[bytes, m.ClientMessage]] = []
        self.answer: Callable[[bytes, m.ClientMessage], list[m.EngineMessage]] = self.greet_only
        self._context = zmq.Context[Any]()
        self._socket = self._context.socket(zmq.ROUTER)
        self._socket.setsockopt(zmq.LINGER, 0)
        port = self._socket.bind_to_random_port("tcp://127.0.0.1")
        self.address = EngineAddress(f"tcp://127.0.0.1:{port}", "token")
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def greet_only(self, client: bytes, message: m.ClientMessage) -> list[m.EngineMessage]:
        return [WELCOME] if isinstance(message, m.Hello) else []

    def kinds(self) -> list[str]:
        """What was heard, but for pings."""
        return [type(said).__name__ for _, said in self.heard if not isinstance(said, m.Ping)]

    def close(self) -> None:
        self._is_over.set()
        self._thread.join()
        self._context.destroy(linger=0)

    def _run(self) -> None:
        while not self._is_over.is_set():
            if not self._socket.poll(10):
                continue
            client, *frames = self._socket.recv_multipart()
            message, _ = decode_from_client(frames)
            self.heard.append((client, message))
            for answer in self.answer(client, message):
                parts = [PATCH] if isinstance(answer, m.Done) else []
                self._socket.send_multipart([client, *encode(answer, parts)])


@pytest.fixture
def engine() -> Iterator[PlayedEngine]:
    played = PlayedEngine()
    yield played
    played.close()


def _clock() -> float:
    return time.monotonic() * HASTE


def _ignore(_stage: str, _fraction: float) -> None:
    pass


def _read_end(client: EngineClient) -> m.EngineMessage:
    until_s = time.monotonic() + DEADLINE_S
    while time.monotonic() < until_s:
        answer = client.receive(timeout_s=0.1)
        if answer is not None:
            return answer[0]
    raise AssertionError("no answer came")


def test_an_engine_that_let_us_go_is_told_of_the_job_again(engine: PlayedEngine) -> None:
    known = False
    greetings = 0

    def forgets_once(_client: bytes, message: m.ClientMessage) -> list[m.EngineMessage]:
        nonlocal known, greetings
        if isinstance(message, m.Hello):
            known = True
            greetings += 1
            return [WELCOME]
        if isinstance(message, m.Submit):
            if greetings == 1:
                known = False
                return []
            return [DONE]
        return [m.Pong()] if known else [UNKNOWN]

    engine.answer = forgets_once
    with EngineClient(engine.address, clock=_clock) as client:
        done, (patch,) = client.run(REQUEST, AUDIO, _ignore)
    assert done.job_id == REQUEST.job_id
    assert np.array_equal(patch, PATCH)
    assert engine.kinds()[:4] == ["Hello", "Submit", "Hello", "Submit"]


def test_what_was_refused_before_the_hello_came_is_no_refusal(engine: PlayedEngine) -> None:
    """Pings that were on their way when the engine let us go are refused after our Hello."""
    greetings = 0

    def refuses_late(_client: bytes, message: m.ClientMessage) -> list[m.EngineMessage]:
        nonlocal greetings
        if isinstance(message, m.Hello):
            greetings += 1
            return [WELCOME] if greetings == 1 else [UNKNOWN, UNKNOWN, WELCOME]
        if isinstance(message, m.Submit):
            return [UNKNOWN, UNKNOWN] if greetings == 1 else [DONE]
        return []

    engine.answer = refuses_late
    with EngineClient(engine.address, clock=_clock) as client:
        assert client.run(REQUEST, AUDIO, _ignore)[0] == DONE


def test_who_is_refused_for_good_hears_why(engine: PlayedEngine) -> None:
    has_greeted = False

    def greets_once(_client: bytes, message: m.ClientMessage) -> list[m.EngineMessage]:
        nonlocal has_greeted
        if isinstance(message, m.Hello) and not has_greeted:
            has_greeted = True
            return [WELCOME]
        return [UNKNOWN]

    engine.answer = greets_once
    with (
        EngineClient(engine.address, clock=_clock) as client,
        pytest.raises(EngineUnavailable) as caught,
    ):
        client.run(REQUEST, AUDIO, _ignore)
    assert caught.value.code == BridgeCode.ENGINE_REFUSED
    assert caught.value.message == UNKNOWN.message


def test_a_connection_that_died_without_a_sign_is_replaced(engine: PlayedEngine) -> None:
    """The first connection is never answered again; the second one is as good as new."""

    def deaf_to_the_first(client: bytes, message: m.ClientMessage) -> list[m.EngineMessage]:
        first = engine.heard[0][0]
        if isinstance(message, m.Hello):
            return [WELCOME]
        if client == first:
            return []
        return [DONE] if isinstance(message, m.Submit) else [m.Pong()]

    engine.answer = deaf_to_the_first
    with EngineClient(engine.address, clock=_clock) as client:
        assert client.run(REQUEST, AUDIO, _ignore)[0] == DONE
    second = [type(said).__name__ for client, said in engine.heard if client != engine.heard[0][0]]
    # Nothing large before it is known: an engine ends connections of strangers that send much.
    assert second[:2] == ["Hello", "Submit"]


def test_an_engine_that_stays_silent_is_given_up(engine: PlayedEngine) -> None:
    with EngineClient(engine.address, clock=_clock) as client:
        engine.answer = lambda _client, _message: []
        began_s = time.monotonic()
        with pytest.raises(EngineUnavailable, match="does not answer any more"):
            client.run(REQUEST, AUDIO, _ignore)
        assert (time.monotonic() - began_s) * HASTE >= 10.0


def test_an_engine_that_is_gone_is_noticed_by_the_next_ping(engine: PlayedEngine) -> None:
    gone = threading.Event()
    address = EngineAddress(
        engine.address.endpoint, "token", is_gone=gone.is_set, cause_of_death=lambda: "it was shot"
    )
    with EngineClient(address) as client:
        client.submit(REQUEST, AUDIO)
        gone.set()
        began_s = time.monotonic()
        with pytest.raises(EngineUnavailable, match="died: it was shot"):
            _read_end(client)
        assert time.monotonic() - began_s < 3.0


def test_a_cancel_is_repeated_to_an_engine_that_let_us_go(engine: PlayedEngine) -> None:
    greetings = 0

    def forgets_once(_client: bytes, message: m.ClientMessage) -> list[m.EngineMessage]:
        nonlocal greetings
        if isinstance(message, m.Hello):
            greetings += 1
            return [WELCOME]
        if greetings == 1:
            return [UNKNOWN]
        return [m.Cancelled("job-1")] if isinstance(message, m.Cancel) else []

    engine.answer = forgets_once
    with EngineClient(engine.address, clock=_clock) as client:
        client.submit(REQUEST, AUDIO)
        client.cancel("job-1")
        assert _read_end(client) == m.Cancelled("job-1")
    assert engine.kinds()[:6] == ["Hello", "Submit", "Cancel"] * 2


def test_a_question_is_repeated_and_a_job_that_has_ended_is_not(engine: PlayedEngine) -> None:
    is_known = True
    status = m.Status(
        version="1", pid=1, uptime_s=1.0, endpoint="", clients=1, queued_bytes=0, jobs=()
    )

    def answers(_client: bytes, message: m.ClientMessage) -> list[m.EngineMessage]:
        nonlocal is_known
        if isinstance(message, m.Hello):
            is_known = True
            return [WELCOME]
        if isinstance(message, m.Submit):
            return [DONE]
        if isinstance(message, m.StatusRequest):
            return [status] if is_known else [UNKNOWN]
        return []

    engine.answer = answers
    with EngineClient(engine.address, clock=_clock) as client:
        client.run(REQUEST, AUDIO, _ignore)
        is_known = False
        assert client.status() == status
    assert engine.kinds().count("Submit") == 1
    assert engine.kinds().count("StatusRequest") == 2


def test_a_hello_that_was_lost_is_said_again(engine: PlayedEngine) -> None:
    """A connection that ends before its first words were read takes them with it."""

    def deaf_at_first(_client: bytes, _message: m.ClientMessage) -> list[m.EngineMessage]:
        return [WELCOME] if len(engine.heard) > 1 else []

    engine.answer = deaf_at_first
    with EngineClient(engine.address, clock=_clock) as client:
        assert client.welcome == WELCOME
    assert engine.kinds()[:2] == ["Hello", "Hello"]


def test_a_second_welcome_sends_nothing_again(engine: PlayedEngine) -> None:
    def welcomes_twice(_client: bytes, message: m.ClientMessage) -> list[m.EngineMessage]:
        if isinstance(message, m.Submit):
            return [WELCOME, DONE]
        return [WELCOME] if isinstance(message, m.Hello) else []

    engine.answer = welcomes_twice
    with EngineClient(engine.address, clock=_clock) as client:
        client.run(REQUEST, AUDIO, _ignore)
    assert engine.kinds().count("Submit") == 1
