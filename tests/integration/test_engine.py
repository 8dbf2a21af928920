"""A real engine process, real sockets, and peers that misbehave."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import zmq

from reapaint.errors import EngineUnavailable, JobFailed
from reapaint.link import launcher
from reapaint.link.client import PATIENCE_S, EngineAddress, EngineClient
from reapaint_engine.protocol import discovery, keys, messages
from reapaint_engine.protocol.codec import decode_from_engine, encode
from reapaint_engine.protocol.messages import InpaintRequest, Placement
from reapaint_engine.protocol.spans import Span
from tests.scale import SCALE

ROOT = Path(__file__).parent.parent.parent
RATE = 48_000


def _request(frames: int = 4800, backend: str = "echo", **fields: object) -> InpaintRequest:
    return InpaintRequest(
        job_id=uuid.uuid4().hex,
        sample_rate=RATE,
        channels=2,
        audio_frames=frames,
        window_frames=frames,
        spans=(Span(frames // 4, frames // 2),),
        backend=backend,
        **fields,
    )


def _audio(frames: int = 4800, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((2, frames), dtype=np.float32) / 10


# Slow enough to be met while it runs: noise of some length, filled many times.
def _slow_request() -> tuple[InpaintRequest, np.ndarray]:
    frames = 30 * RATE
    return _request(frames, backend="context", takes=16, mode="similar"), _audio(frames)


def _ignore(_stage: str, _fraction: float) -> None:
    pass


def _wait_until(is_true: Callable[[], bool], timeout_s: float = 10.0) -> None:
    deadline_s = time.monotonic() + timeout_s
    while not is_true():
        assert time.monotonic() < deadline_s, "waited too long"
        threading.Event().wait(0.01)


def test_a_job_comes_back_with_its_own_audio(engine: EngineAddress) -> None:
    request, audio = _request(takes=2, seed=7), _audio()
    with EngineClient(engine) as client:
        done, patches = client.run(request, audio, _ignore)
    span = request.spans[0]
    assert [take.seed for take in done.takes] == [7, 8]
    assert len(patches) == 2
    for patch in patches:
        np.testing.assert_allclose(patch, audio[:, span.start : span.end], atol=1e-6)
    assert "Nothing audible changed in take 1." in done.warnings


def test_a_drawn_seed_makes_the_result_again(engine: EngineAddress) -> None:
    request, audio = _request(RATE, backend="context"), _audio(RATE)
    with EngineClient(engine) as client:
        first, patches = client.run(request, audio, _ignore)
        again = first.request
        assert again.seed is not None
        _, same = client.run(
            InpaintRequest(**{**_fields(again), "job_id": uuid.uuid4().hex}), audio, _ignore
        )
    np.testing.assert_array_equal(patches[0], same[0])


def _fields(request: InpaintRequest) -> dict[str, object]:
    return {name: getattr(request, name) for name in request.__dataclass_fields__}


def test_what_is_out_of_range_is_refused_by_the_engine_too(engine: EngineAddress) -> None:
    with EngineClient(engine) as client:
        with pytest.raises(JobFailed) as caught:
            client.run(_request(takes=17), _audio(), _ignore)
        assert caught.value.code == "invalid_takes"
        with pytest.raises(JobFailed) as caught:
            client.run(_request(backend="magic"), _audio(), _ignore)
        assert caught.value.code == "unknown_backend"
        client.run(_request(), _audio(), _ignore)


def test_a_running_job_is_cancelled_between_its_steps(engine: EngineAddress) -> None:
    request, audio = _slow_request()
    with EngineClient(engine) as client:
        client.submit(request, audio)
        _read_until(client, messages.Progress)
        asked_s = time.monotonic()
        client.cancel(request.job_id)
        _read_until(client, messages.Cancelled)
        assert time.monotonic() - asked_s < 5
        client.run(_request(), _audio(), _ignore)


def _read_until(client: EngineClient, kind: type) -> messages.EngineMessage:
    deadline_s = time.monotonic() + 30
    while time.monotonic() < deadline_s:
        answer = client.receive(timeout_s=0.2)
        if answer is not None and isinstance(answer[0], kind):
            return answer[0]
    raise AssertionError(f"no {kind.__name__} came")


def test_a_queued_job_is_cancelled_at_once_and_front_goes_first(engine: EngineAddress) -> None:
    slow, audio = _slow_request()
    back, front, dropped = _request(), _request(), _request()
    with EngineClient(engine) as client:
        client.submit(slow, audio)
        _read_until(client, messages.Progress)
        for request, placement in (
            (back, Placement.BACK),
            (dropped, Placement.BACK),
            (front, Placement.FRONT),
        ):
            client.submit(request, _audio(), placement)
        assert [job.job_id for job in client.status().jobs] == [
            slow.job_id,
            front.job_id,
            back.job_id,
            dropped.job_id,
        ]
        client.cancel(dropped.job_id)
        assert _read_until(client, messages.Cancelled).job_id == dropped.job_id
        client.cancel(slow.job_id)
        ended = [_read_until(client, messages.Done).job_id for _ in range(2)]
    assert ended == [front.job_id, back.job_id]


def test_a_wrong_token_is_refused(engine: EngineAddress) -> None:
    with pytest.raises(EngineUnavailable) as caught:
        EngineClient(EngineAddress(engine.endpoint, token="wrong"))
    assert caught.value.code == "engine_refused"


@pytest.mark.parametrize(
    "garbage",
    [
        [b""],
        [b"rubbish"],
        [b"{}"],
        [b"\x00" * 100],
        [b'{"protocol":"9.0","type":"Hello","body":{}}'],
        [b'{"protocol":"1.0","type":"Hello","body":{}}'],
        [b'{"protocol":"1.0","type":"Explode","body":{}}'],
        [b'{"protocol":"1.0","type":"Submit","body":{"request":1}}', b"x"],
        [b""] * 50,
    ],
)
def test_garbage_is_answered_and_harms_nobody(engine: EngineAddress, garbage: list[bytes]) -> None:
    with zmq.Context() as context, context.socket(zmq.DEALER) as rude:
        rude.linger = 0
        rude.connect(engine.endpoint)
        rude.send_multipart(garbage)
        assert rude.poll(5000), "the engine did not answer"
        message, _ = decode_from_engine(rude.recv_multipart())
        assert isinstance(message, messages.Rejected)
    with EngineClient(engine) as client:
        client.run(_request(), _audio(), _ignore)


def test_a_peer_that_speaks_no_zeromq_harms_nobody(engine: EngineAddress) -> None:
    import socket

    host, port = engine.endpoint.removeprefix("tcp://").split(":")
    with socket.create_connection((host, int(port))) as peer:
        peer.sendall(b"GET / HTTP/1.1\r\n\r\n" + os.urandom(4096))
        with EngineClient(engine) as client:
            client.run(_request(), _audio(), _ignore)


def test_a_client_that_reads_nothing_harms_nobody(engine: EngineAddress) -> None:
    with zmq.Context() as context, context.socket(zmq.DEALER) as deaf:
        deaf.linger = 0
        deaf.rcvhwm = 1
        deaf.connect(engine.endpoint)
        deaf.send_multipart(encode(messages.Hello(engine.token, "deaf")))
        for _ in range(5):
            deaf.send_multipart(encode(messages.Submit(_request()), [_audio()]))
        with EngineClient(engine) as client:
            client.run(_request(), _audio(), _ignore)


JOBS = 50 * SCALE
"""Of each client; the fourth is killed."""


def test_two_hundred_jobs_of_four_clients_one_of_them_killed(engine: EngineAddress) -> None:
    """Every job ends exactly once, at the client that sent it, with its own audio."""
    victim = subprocess.Popen(
        [sys.executable, "-c", _VICTIM], cwd=ROOT, stdout=subprocess.PIPE, env=os.environ.copy()
    )
    assert victim.stdout is not None
    assert victim.stdout.readline() == b"busy\n"
    ends: dict[int, dict[str, list[str]]] = {number: {} for number in range(3)}
    threads = [
        threading.Thread(target=_hurried_client, args=(engine, number, ends[number]))
        for number in ends
    ]
    for thread in threads:
        thread.start()
    victim.kill()
    victim.wait()
    victim.stdout.close()
    for thread in threads:
        thread.join(timeout=120 * SCALE)
        assert not thread.is_alive()
    for number, jobs in ends.items():
        assert len(jobs) == JOBS, f"client {number}"
        assert all(len(outcomes) == 1 for outcomes in jobs.values()), jobs
        assert {outcome for (outcome,) in jobs.values()} <= {"Done", "Cancelled"}
        assert "Done" in {outcome for (outcome,) in jobs.values()}
    with EngineClient(engine) as client:
        # The killed client is noticed by its silence.
        _wait_until(lambda: not client.status().jobs, timeout_s=20)
        assert client.status().queued_bytes == 0


_VICTIM = """
import sys, time
sys.path.insert(0, "tests/integration")
from test_engine import _request, _audio, launcher, EngineClient
with EngineClient(launcher.find_address(None)) as client:
    for number in range(50):
        client.submit(_request(), _audio(seed=number))
    print("busy", flush=True)
    while True:
        client.receive(timeout_s=1)
"""


def _hurried_client(address: EngineAddress, number: int, ends: dict[str, list[str]]) -> None:
    chance = random.Random(number)
    sent: dict[str, np.ndarray] = {}
    with EngineClient(address) as client:
        for count in range(JOBS):
            request, audio = _request(), _audio(seed=10_000 * number + count)
            sent[request.job_id] = audio[:, request.spans[0].start : request.spans[0].end]
            ends[request.job_id] = []
            _submit_patiently(client, request, audio, sent, ends)
            if chance.random() < 0.3:
                client.cancel(request.job_id)
        deadline_s = time.monotonic() + 60 * SCALE
        while not all(ends.values()) and time.monotonic() < deadline_s:
            _note_end(client.receive(timeout_s=0.2), sent, ends)
        _note_end(client.receive(timeout_s=0.2), sent, ends)


def _submit_patiently(
    client: EngineClient,
    request: InpaintRequest,
    audio: np.ndarray,
    sent: dict[str, np.ndarray],
    ends: dict[str, list[str]],
) -> None:
    """Submit until the bounded queue has room."""
    while True:
        client.submit(request, audio)
        while True:
            answer = client.receive(timeout_s=5)
            assert answer is not None, "no answer to a submission"
            message = answer[0]
            if getattr(message, "job_id", "") == request.job_id and isinstance(
                message, messages.Accepted | messages.Rejected
            ):
                break
            _note_end(answer, sent, ends)
        if isinstance(message, messages.Accepted):
            return
        assert message.code == "queue_full", message


def _note_end(
    answer: tuple[messages.EngineMessage, tuple[np.ndarray, ...]] | None,
    sent: dict[str, np.ndarray],
    ends: dict[str, list[str]],
) -> None:
    if answer is None:
        return
    message, parts = answer
    if isinstance(message, messages.Done | messages.Cancelled | messages.Failed):
        ends[message.job_id].append(type(message).__name__)
    if isinstance(message, messages.Done):
        np.testing.assert_allclose(parts[0], sent[message.job_id], atol=1e-6)


def test_a_client_that_was_let_go_introduces_itself_again(engine: EngineAddress) -> None:
    late_s = 0.0
    with EngineClient(engine, clock=lambda: time.monotonic() + late_s) as client:
        # As if silence had made the engine let go of it.
        client._send(messages.Goodbye("a test"))
        late_s = 60.0
        _wait_until(lambda: client.receive(timeout_s=0.1) is None)
        client.run(_request(), _audio(), _ignore)


# Engines that end


def _own_engine(*options: str) -> tuple[subprocess.Popen[bytes], EngineAddress]:
    process = subprocess.Popen(
        [sys.executable, "-m", "reapaint_engine", "serve", *options],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        env=os.environ.copy(),
    )
    _wait_until(lambda: discovery.find_engine() is not None or process.poll() is not None, 30)
    return process, launcher.find_address(None)


def _end(process: subprocess.Popen[bytes]) -> str:
    _, log = process.communicate(timeout=20)
    return log.decode()


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX's")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_an_engine_in_order(number: signal.Signals) -> None:
    process, address = _own_engine()
    slow, audio = _slow_request()
    with EngineClient(address) as client:
        client.submit(slow, audio)
        _read_until(client, messages.Progress)
        process.send_signal(number)
        failed = _read_until(client, messages.Failed | messages.Goodbye)
        assert failed.code == "engine_stopping"
        assert number.name in _read_until(client, messages.Goodbye).reason
    log = _end(process)
    assert process.returncode == 0
    assert discovery.read_connection_file() is None
    assert slow.job_id in log
    assert "Traceback" not in log


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX's")
def test_a_killed_engine_is_noticed_within_three_seconds() -> None:
    process, address = _own_engine()
    slow, audio = _slow_request()
    with EngineClient(address) as client:
        client.submit(slow, audio)
        _read_until(client, messages.Progress)
        process.kill()
        killed_s = time.monotonic()
        with pytest.raises(EngineUnavailable) as caught:
            _read_until(client, messages.Done)
        assert time.monotonic() - killed_s < 3
    assert caught.value.code == "engine_died"
    _end(process)


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX's")
def test_an_engine_that_hangs_is_given_up_once_the_patience_with_a_living_one_is_over() -> None:
    process, address = _own_engine()
    haste = 3.0
    try:
        with EngineClient(address, clock=lambda: time.monotonic() * haste) as client:
            process.send_signal(signal.SIGSTOP)
            stopped_s = time.monotonic()
            with pytest.raises(EngineUnavailable) as caught:
                client.run(_request(), _audio(), _ignore)
            waited_s = (time.monotonic() - stopped_s) * haste
        assert PATIENCE_S <= waited_s < PATIENCE_S + 3.0
        assert caught.value.code == "engine_died"
    finally:
        process.send_signal(signal.SIGCONT)
        process.terminate()
        _end(process)


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX's")
def test_an_engine_that_is_stopped_for_three_seconds_does_the_job() -> None:
    process, address = _own_engine()
    awake = threading.Timer(3.0, process.send_signal, (signal.SIGCONT,))
    try:
        with EngineClient(address) as client:
            process.send_signal(signal.SIGSTOP)
            awake.start()
            done, _ = client.run(_request(), _audio(), _ignore)
        assert done.backend == "echo"
    finally:
        process.send_signal(signal.SIGCONT)
        process.terminate()
        _end(process)


@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX's")
def test_what_an_engine_of_ours_died_of_is_said() -> None:
    address = launcher.find_or_start(None)
    connection = discovery.read_connection_file()
    assert connection is not None
    with EngineClient(address) as client:
        os.kill(connection.pid, signal.SIGKILL)
        with pytest.raises(EngineUnavailable, match="killed"):
            client.run(_request(), _audio(), _ignore)


def test_a_dead_engines_connection_file_confuses_nobody() -> None:
    discovery.write_connection_file(
        discovery.ConnectionFile("tcp://127.0.0.1:1", "old", 999_999, "0.0.0")
    )
    assert discovery.find_engine() is None
    with pytest.raises(EngineUnavailable) as caught:
        launcher.find_address(None)
    assert caught.value.code == "engine_not_running"
    with EngineClient(launcher.find_or_start(None)) as client:
        client.run(_request(), _audio(), _ignore)
        client.stop_engine()


def test_a_second_engine_is_refused_and_the_first_stays(engine: EngineAddress) -> None:
    answer = subprocess.run(
        [sys.executable, "-m", "reapaint_engine", "serve"], cwd=ROOT, capture_output=True, text=True
    )
    assert answer.returncode == 2
    assert "already" in answer.stderr
    with EngineClient(engine) as client:
        client.run(_request(), _audio(), _ignore)


def test_a_port_in_use_is_said() -> None:
    with zmq.Context() as context, context.socket(zmq.REP) as other:
        port = other.bind_to_random_port("tcp://127.0.0.1")
        answer = subprocess.run(
            [
                sys.executable,
                "-m",
                "reapaint_engine",
                "serve",
                f"--endpoint=tcp://127.0.0.1:{port}",
            ],
            cwd=ROOT,
            capture_output=True,
            text=True,
        )
    assert answer.returncode == 2
    assert "in use" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_two_clients_that_find_none_start_one_engine() -> None:
    addresses: list[EngineAddress] = []
    threads = [
        threading.Thread(target=lambda: addresses.append(launcher.find_or_start(None)))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({address.endpoint for address in addresses}) == 1
    assert len(addresses) == 3
    with EngineClient(addresses[0]) as client:
        client.stop_engine()


def test_an_idle_engine_stops_by_itself() -> None:
    process, _ = _own_engine("--idle-exit=0.5")
    assert "nothing to do" in _end(process)
    assert process.returncode == 0
    assert discovery.read_connection_file() is None


# Beyond loopback


def test_without_keys_an_engine_does_not_bind_beyond_loopback() -> None:
    command = [sys.executable, "-m", "reapaint_engine", "serve", "--endpoint=tcp://0.0.0.0:*"]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert answer.returncode == 2
    assert "reapaint keys new" in answer.stderr
    _reapaint("keys", "new")
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert answer.returncode == 2
    assert "reapaint keys trust" in answer.stderr


def test_several_clients_can_be_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b"):
        monkeypatch.setenv("REAPAINT_CONFIG_DIR", str(tmp_path / name))
        _reapaint("keys", "new")
    monkeypatch.setenv("REAPAINT_CONFIG_DIR", str(tmp_path / "engine"))
    for name in ("a", "b", "a"):
        _reapaint("keys", "trust", str(tmp_path / name / "keys" / "reapaint.key"))
    assert len(keys.trusted_clients()) == 2


def test_keys_let_the_right_client_in_and_nobody_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine_home, client_home, stranger_home = (tmp_path / name for name in ("e", "c", "s"))
    for home in (engine_home, client_home, stranger_home):
        monkeypatch.setenv("REAPAINT_CONFIG_DIR", str(home))
        _reapaint("keys", "new")
    public = "keys/reapaint.key"
    monkeypatch.setenv("REAPAINT_CONFIG_DIR", str(engine_home))
    _reapaint("keys", "trust", str(client_home / public))
    # Bound to every address, reached by loopback: no other host is needed.
    process, _ = _own_engine("--endpoint=tcp://0.0.0.0:*")
    try:
        connection = discovery.read_connection_file()
        assert connection is not None
        endpoint = connection.endpoint.replace("0.0.0.0", "127.0.0.2")
        for home, is_known in ((client_home, True), (stranger_home, False)):
            monkeypatch.setenv("REAPAINT_CONFIG_DIR", str(home))
            with pytest.raises(EngineUnavailable, match="No key is known"):
                launcher.find_address("tcp://192.0.2.1:5555")
            _reapaint("keys", "trust", str(engine_home / public), "--engine", endpoint)
            address = launcher.find_address(endpoint)
            if is_known:
                with EngineClient(address) as client:
                    client.run(_request(), _audio(), _ignore)
            else:
                with pytest.raises(EngineUnavailable, match="does not answer"):
                    EngineClient(address)
        with pytest.raises(EngineUnavailable):
            EngineClient(EngineAddress(endpoint, token="anything"))
        # On its own machine its own key is enough.
        monkeypatch.setenv("REAPAINT_CONFIG_DIR", str(engine_home))
        with EngineClient(launcher.find_address(None)) as client:
            client.run(_request(), _audio(), _ignore)
    finally:
        process.terminate()
        _end(process)


def test_secret_keys_are_private_and_do_not_travel(tmp_path: Path) -> None:
    _reapaint("keys", "new")
    secret = Path(os.environ["REAPAINT_CONFIG_DIR"]) / "keys" / "reapaint.key_secret"
    if os.name == "posix":
        assert secret.stat().st_mode & 0o077 == 0
    answer = _reapaint("keys", "trust", str(secret), code=2)
    assert "secret" in answer.stderr
    (tmp_path / "no.key").write_text("nothing")
    assert "no key file" in _reapaint("keys", "trust", str(tmp_path / "no.key"), code=2).stderr
    assert "has a key already" in _reapaint("keys", "new", code=2).stderr


def _reapaint(*words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    answer = subprocess.run(
        [sys.executable, "-m", "reapaint", *words], cwd=ROOT, capture_output=True, text=True
    )
    assert answer.returncode == code, answer.stderr
    return answer


def test_memory_returns_after_large_jobs(engine: EngineAddress) -> None:
    if not Path("/proc/self/status").exists():
        pytest.skip("needs /proc")
    frames = 20 * RATE
    audio = _audio(frames)
    with EngineClient(engine) as client:
        for _ in range(3):
            client.run(_request(frames), audio, _ignore)
        before = _resident_bytes(client.welcome.pid)
        for _ in range(20):
            client.run(_request(frames), audio, _ignore)
        after = _resident_bytes(client.welcome.pid)
    assert after - before < 3 * audio.nbytes


def _resident_bytes(pid: int) -> int:
    with contextlib.suppress(FileNotFoundError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
    raise AssertionError("the engine is gone")
