"""The gateway as a person starts it, with the clients that people have."""

import functools
import json
import os
import re
import shutil
import signal
import socket
import ssl
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from wavespeed import Client

from reapaint.files.media import probe, read_frames
from tests.bridge.http.serving import as_data_uri, wav
from tests.bridge.http.test_fetching import make_certificate
from tests.conftest import FOLDERS
from tests.integration.script_side import wait_until
from tests.scale import SCALE

ROOT = Path(__file__).parent.parent.parent
RIVER = ROOT / "bridge" / "reapaint" / "recordings" / "river.flac"
DOCS = ROOT / "docs" / "http.md"
START_TIMEOUT_S = 60
NPM_PACKAGES = ("wavespeed@0.3.2", "@fal-ai/client@1.10.1")
POSIX = pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX's")


@functools.cache
def http_client() -> httpx.Client:
    """Return what asks for all tests: one made for each request reads all certificates anew."""
    return httpx.Client(timeout=120, limits=httpx.Limits(max_keepalive_connections=0))


class Gateway:
    """`reapaint serve --http` in a process of its own, with folders of its own."""

    def __init__(self, folder: Path, *flags: str, **environment: str) -> None:
        self.folder = folder
        self.environment = {
            **os.environ,
            **{name: str(folder / name.lower()) for name in FOLDERS},
            "OPENBLAS_NUM_THREADS": "1",
            **environment,
        }
        self.log = folder / "log.txt"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "reapaint", "serve", "--http", "127.0.0.1:0", *flags],
                cwd=ROOT, env=self.environment, stdout=log, stderr=log,
            )  # fmt: skip
        self.url = self._wait()

    def _wait(self) -> str:
        def find() -> re.Match[str] | None:
            assert self.process.poll() is None, self.log.read_text()
            return re.search(r"serving HTTP at (\S+)", self.log.read_text())

        return str(wait_until(find, f"the gateway of {self.log}", START_TIMEOUT_S)[1])

    def engine_pid(self) -> int:
        path = Path(self.environment["REAPAINT_RUNTIME_DIR"]) / "engine.json"
        return int(json.loads(path.read_text())["pid"])

    def post(self, path: str, **body: Any) -> httpx.Response:
        return http_client().post(f"{self.url}{path}", json=body)

    def data(self, prediction_id: str) -> dict[str, Any]:
        answer = http_client().get(f"{self.url}/api/v3/predictions/{prediction_id}/result")
        assert answer.status_code == 200
        return answer.json()["data"]

    def health(self) -> dict[str, Any]:
        return http_client().get(f"{self.url}/health").json()

    def wait_for(self, prediction_id: str, timeout_s: float = 60) -> dict[str, Any]:
        def find_end() -> dict[str, Any] | None:
            data = self.data(prediction_id)
            return data if data["status"] in ("completed", "failed", "cancelled") else None

        return wait_until(find_end, f"{prediction_id}'s end", timeout_s)

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    running = Gateway(tmp_path_factory.mktemp("gateway"), "--backend", "context")
    yield running
    running.stop()


@pytest.fixture(scope="module")
def safe_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """Serve https with a certificate of its own."""
    folder = tmp_path_factory.mktemp("safe")
    cert, key = make_certificate(folder, "localhost")
    running = Gateway(folder, "--http-cert", str(cert), "--http-key", str(key))
    yield running
    running.stop()


def _check_outside(result: Path, start_s: float = 2, end_s: float = 3) -> None:
    """Compare with the river: equal outside of the mask, another inside."""
    before, after = probe(RIVER), probe(result)
    assert (after.frames, after.sample_rate, after.channels) == (
        before.frames,
        before.sample_rate,
        before.channels,
    )
    one, other = read_frames(before, 0, before.frames), read_frames(after, 0, after.frames)
    differs = (one != other).any(axis=0)
    start, end = (round(edge_s * before.sample_rate) for edge_s in (start_s, end_s))
    assert differs[start:end].mean() > 0.5
    differs[start:end] = False
    assert not differs.any()


# The real clients


@pytest.mark.parametrize("output_format", ["wav", "flac"])
@pytest.mark.parametrize(
    "model", ["reapaint/context", "stability-ai/stable-audio-3/audio-inpainting"]
)
def test_the_python_client_of_wavespeed(
    gateway: Gateway, tmp_path: Path, output_format: str, model: str
) -> None:
    client = Client(api_key="any", base_url=gateway.url)
    fields = {
        "audio": client.upload(str(RIVER)), "prompt": "", "mask_start_seconds": 2,
        "mask_end_seconds": 3, "output_format": output_format,
    }  # fmt: skip
    is_sync = output_format == "wav"
    answer = client.run(model, fields, poll_interval=0.05, enable_sync_mode=is_sync)
    result = tmp_path / f"result.{output_format}"
    result.write_bytes(http_client().get(answer["outputs"][0]).content)
    _check_outside(result)


def test_what_the_python_client_of_wavespeed_says_of_failures(gateway: Gateway) -> None:
    client = Client(api_key="any", base_url=gateway.url, max_retries=0)
    with pytest.raises(RuntimeError, match=r"HTTP 400.*not after its start"):
        client.run("reapaint/context", {"audio": "data:,x", "mask_start_seconds": 9})
    with pytest.raises(RuntimeError, match="HTTP 404"):
        client.run("nobody/nothing", {"audio": "data:,x"})
    with pytest.raises(RuntimeError, match="not a recording"):
        client.run("reapaint/context", {"audio": "data:,x"}, poll_interval=0.05)
    with pytest.raises(RuntimeError, match="HTTP 404"):
        client.get_result("0" * 32)


def test_the_python_client_of_fal_over_tls(safe_gateway: Gateway, tmp_path: Path) -> None:
    port = safe_gateway.url.rpartition(":")[2]
    code = f"""
import fal_client, json
from pathlib import Path
fields = {{"prompt": "", "audio_url": fal_client.encode_file({str(RIVER)!r}), "seed": 4,
    "mask_start_seconds": 2, "mask_end_seconds": 3, "output_format": "wav"}}
app = "fal-ai/stable-audio-3/medium/audio-inpainting"
handle = fal_client.submit(app, fields)
states = [type(event).__name__ for event in handle.iter_events(with_logs=True, interval=0.05)]
result = handle.get()
handle.cancel()
again = fal_client.run(app, fields)
try:
    fal_client.run(app, {{**fields, "audio_url": "data:,x"}})
except fal_client.FalClientHTTPError as error:
    failure = [error.status_code, error.error_type]
print(json.dumps([states, result, again, failure]))
"""
    environment = {
        **os.environ,
        "SSL_CERT_FILE": str(safe_gateway.folder / "cert.pem"),
        "FAL_KEY": "any",
        "FAL_QUEUE_RUN_HOST": f"localhost:{port}",
        "FAL_RUN_HOST": f"localhost:{port}/run",
    }
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    states, result, again, failure = json.loads(done.stdout)
    assert states[-1] == "Completed"
    assert result["seed"] == again["seed"] == 4
    assert failure == [422, "unreadable_audio"]
    trusting = ssl.create_default_context(cafile=safe_gateway.folder / "cert.pem")
    path = tmp_path / "result.wav"
    path.write_bytes(httpx.get(result["audio"]["url"], verify=trusting).content)
    _check_outside(path)


# The examples of the documentation


def _examples(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)


def _example(language: str, word: str) -> str:
    found = [example for example in _examples(language) if word in example]
    assert len(found) == 1
    return found[0]


def _run_example(
    command: list[str], code: str, folder: Path, gateway: Gateway, **more: str
) -> None:
    shutil.copy(RIVER, folder / "take.flac")
    port = gateway.url.rpartition(":")[2]
    file = folder / f"example.{'mjs' if command[0] == 'node' else 'txt'}"
    file.write_text(code.replace(":8787", f":{port}"), encoding="utf-8")
    done = subprocess.run(
        [*command, str(file)], cwd=folder, env={**os.environ, **more},
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(not shutil.which("curl") or not shutil.which("bash"), reason="needs curl")
@pytest.mark.parametrize(("word", "result"), [("/api/v3/", "curl.wav"), ("/v1/", "eachlabs.wav")])
def test_the_examples_with_curl(gateway: Gateway, tmp_path: Path, word: str, result: str) -> None:
    _run_example(["bash", "-e"], _example("bash", word), tmp_path, gateway)
    _check_outside(tmp_path / result)


def test_the_example_with_wavespeed(gateway: Gateway, tmp_path: Path) -> None:
    code = _example("python", "from wavespeed import")
    _run_example([sys.executable], code, tmp_path, gateway)
    _check_outside(tmp_path / "wavespeed.flac")


def test_the_example_with_fal(safe_gateway: Gateway, tmp_path: Path) -> None:
    shutil.copy(safe_gateway.folder / "cert.pem", tmp_path)
    port = safe_gateway.url.rpartition(":")[2]
    _run_example(
        [sys.executable], _example("python", "import fal_client"), tmp_path, safe_gateway,
        SSL_CERT_FILE="cert.pem", FAL_KEY="any", FAL_QUEUE_RUN_HOST=f"localhost:{port}",
    )  # fmt: skip
    _check_outside(tmp_path / "fal.wav")


@pytest.mark.skipif(not shutil.which("node"), reason="needs node")
def test_the_example_in_plain_javascript(gateway: Gateway, tmp_path: Path) -> None:
    _run_example(["node"], _example("javascript", "new FormData"), tmp_path, gateway)
    for number in (1, 2):
        _check_outside(tmp_path / f"fetch-{number}.wav")


@pytest.fixture(scope="module")
def npm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the clients on npm, where they can be had."""
    if not shutil.which("npm"):
        pytest.skip("needs npm")
    folder = tmp_path_factory.mktemp("npm")
    (folder / "package.json").write_text("{}")
    done = subprocess.run(
        ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", *NPM_PACKAGES],
        cwd=folder, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    if done.returncode:
        pytest.skip(f"npm has no packages here: {done.stderr[-200:]}")
    return folder


@pytest.mark.parametrize(
    ("word", "result"), [("baseUrl", "wavespeed.wav"), ("fal.config", "fal-js.wav")]
)
def test_the_examples_with_the_clients_on_npm(
    gateway: Gateway, npm: Path, word: str, result: str
) -> None:
    _run_example(["node"], _example("javascript", word), npm, gateway)
    _check_outside(npm / result)


# The description


@pytest.mark.slow
def test_the_description_is_true(gateway: Gateway, tmp_path: Path) -> None:
    """Let schemathesis try every operation; a longer run is the same with more examples."""
    command = [
        str(Path(sys.executable).with_name("st")), "run", f"{gateway.url}/openapi.json",
        "--checks", ("not_a_server_error,status_code_conformance,content_type_conformance,"
        "response_schema_conformance,response_headers_conformance,unsupported_method"),
        "--phases", "fuzzing", "--max-examples", str(3 * SCALE), "--request-timeout", "60",
        "--no-color", "--suppress-health-check", "all",
    ]  # fmt: skip
    environment = {
        **os.environ,
        "SCHEMATHESIS_HOOKS": "tests.integration.http_hooks",
        "REAPAINT_TEST_URL": gateway.url,
        "PYTHONPATH": str(ROOT),
    }
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300 * SCALE
    )
    assert done.returncode == 0, done.stdout[-4000:]
    answer = http_client().get(f"{gateway.url}/api/v3/predictions?status=completed")
    made = answer.json()["data"]["total"]
    assert made > 0, "it got as far as results"


# Many at once


def test_many_at_once_end_in_order_while_states_are_told_quickly(gateway: Gateway) -> None:
    jobs = 12
    upload_url = f"{gateway.url}/api/v3/media/upload/binary"
    uploaded = http_client().post(upload_url, files={"file": ("a.wav", wav(6))})
    audio = uploaded.json()["data"]["id"]

    def submit(seed: int) -> str:
        answer = gateway.post(
            "/api/v3/reapaint/context", audio=audio, masks=[[2, 3]], context=2, seed=seed,
            output_format="wav",
        )  # fmt: skip
        assert answer.status_code == 200
        return answer.json()["data"]["id"]

    with ThreadPoolExecutor(jobs) as pool:
        ids = list(pool.map(submit, range(jobs)))
    waiting, times_s = set(ids), []
    ended: dict[str, dict[str, Any]] = {}
    deadline_s = time.monotonic() + 120
    with httpx.Client(timeout=30) as client:
        while waiting:
            assert time.monotonic() < deadline_s
            threading.Event().wait(0.01)
            for prediction_id in sorted(waiting):
                began_s = time.perf_counter()
                answer = client.get(f"{gateway.url}/api/v3/predictions/{prediction_id}/result")
                times_s.append(time.perf_counter() - began_s)
                data = answer.json()["data"]
                if data["status"] not in ("created", "processing"):
                    assert data["status"] == "completed", data["error"]
                    ended[prediction_id] = data
                    waiting.discard(prediction_id)
    assert statistics.quantiles(times_s, n=20)[-1] < 0.25, "far above what is measured: 0.01 s"
    assert len(ended) == jobs


# Ends


@POSIX
def test_an_engine_that_is_killed_fails_its_jobs_and_is_started_again(
    gateway: Gateway,
) -> None:
    ids = [
        gateway.post(
            "/api/v3/reapaint/context", audio=as_data_uri(wav(60, channels=1)),
            masks=[[1, 9], [11, 19], [21, 29], [31, 39]], takes=8, output_format="wav",
        ).json()["data"]["id"]
        for _ in range(2)
    ]  # fmt: skip
    wait_until(lambda: gateway.data(ids[0])["status"] != "created", "the first job to begin", 30)
    os.kill(gateway.engine_pid(), signal.SIGKILL)
    data = gateway.wait_for(ids[0])
    assert (data["status"], data["error_code"]) == ("failed", "engine_died")
    assert "Send the job again" in data["error"]
    done = gateway.post(
        "/api/v3/reapaint/context", audio=as_data_uri(wav()), masks=[[1, 2]], enable_sync_mode=True
    ).json()["data"]
    assert done["status"] == "completed", done["error"]
    for prediction_id in ids:
        http_client().post(f"{gateway.url}/api/v3/predictions/{prediction_id}/cancel")


@POSIX
def test_the_end_fails_what_waits_takes_the_engine_along_and_leaves_no_file(
    tmp_path: Path,
) -> None:
    gateway = Gateway(tmp_path, "--backend", "context")
    pid = gateway.engine_pid()
    body = {
        "audio": as_data_uri(wav(60, channels=1)), "masks": [[1, 25], [30, 55]], "takes": 16,
        "enable_sync_mode": True,
    }  # fmt: skip
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(gateway.post, "/api/v3/reapaint/context", **body)
        wait_until(lambda: gateway.health()["waiting"], "the job", 30)
        assert gateway.stop() == 0
        data = waiting.result().json()["data"]
    assert data["status"] == "failed"
    assert "stopping" in data["error"]
    wait_until(lambda: not _lives(pid), "the engine's end: it outlives the server", 20)
    assert not (Path(gateway.environment["REAPAINT_CACHE_DIR"]) / "http").exists()
    assert "Traceback" not in gateway.log.read_text()


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # One that ended and whose parent has ended too waits for init to notice.
    status = Path(f"/proc/{pid}/status")
    return not status.exists() or "State:\tZ" not in status.read_text()


def test_an_engine_that_runs_already_is_used_and_left(tmp_path: Path) -> None:
    environment = {**os.environ, **{name: str(tmp_path / name.lower()) for name in FOLDERS}}
    engine = subprocess.Popen(
        [sys.executable, "-m", "reapaint_engine", "serve"], cwd=ROOT, env=environment,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        path = Path(environment["REAPAINT_RUNTIME_DIR"]) / "engine.json"
        wait_until(path.exists, "the engine", START_TIMEOUT_S)
        gateway = Gateway(tmp_path)
        assert gateway.engine_pid() == engine.pid
        assert gateway.stop() == 0
        assert engine.poll() is None
        refused = subprocess.run(
            [sys.executable, "-m", "reapaint", "serve", "--http", "127.0.0.1:0", "--keep"],
            cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert refused.returncode == 2
        assert "reapaint stop" in refused.stderr
    finally:
        engine.terminate()
        engine.wait(20)


def test_a_port_that_is_taken(gateway: Gateway) -> None:
    port = gateway.url.rpartition(":")[2]
    done = subprocess.run(
        [sys.executable, "-m", "reapaint", "serve", "--http", f"127.0.0.1:{port}"],
        cwd=ROOT, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 2
    assert "another port" in done.stderr


# Rude peers


def test_two_gigabytes_are_cut_off_early(gateway: Gateway) -> None:
    host, port = gateway.url.removeprefix("http://").split(":")
    for head in (
        "Content-Length: 2147483648",
        "Transfer-Encoding: chunked",
    ):
        place = gateway.post("/api/v3/media/uploads").json()["data"]["upload"]["url"]
        path = place.removeprefix(gateway.url)
        sent, answer = 0, b""
        with socket.create_connection((host, int(port)), 30) as peer:
            peer.sendall(f"PUT {path} HTTP/1.1\r\nHost: {host}:{port}\r\n{head}\r\n\r\n".encode())
            block = bytes(1 << 20)
            chunk = b"100000\r\n" + block + b"\r\n" if "chunked" in head else block
            try:
                while sent < 2 << 30:
                    peer.sendall(chunk)
                    sent += len(block)
            except OSError:
                pass
            try:
                answer = peer.recv(65536)
            except OSError:
                answer = b""
        assert sent < 400 << 20
        assert not answer or b" 413 " in answer.splitlines()[0]
    assert gateway.health()["status"] == "ok"


def test_addresses_of_this_machine_are_not_fetched(gateway: Gateway) -> None:
    with socket.create_server(("127.0.0.1", 0)) as service:
        port = service.getsockname()[1]
        for url in (
            f"http://127.0.0.1:{port}/", f"http://localhost:{port}/", f"http://2130706433:{port}/",
            f"http://[::ffff:127.0.0.1]:{port}/", "http://169.254.169.254/latest/meta-data/",
            "file:///etc/passwd", gateway.url + "/api/v3/predictions",
        ):  # fmt: skip
            answer = gateway.post("/api/v3/reapaint/context", audio=url, masks=[[0, 1]])
            if answer.status_code == 200:
                data = gateway.wait_for(answer.json()["data"]["id"])
                assert data["status"] == "failed"
                assert "inside this machine" in data["error"]
            else:
                assert answer.status_code == 400
        service.settimeout(0.0)
        with pytest.raises(BlockingIOError):
            service.accept()


def test_garbage_on_the_socket(gateway: Gateway) -> None:
    host, port = gateway.url.removeprefix("http://").split(":")
    rng = np.random.default_rng(0)
    for garbage in (
        b"\x16\x03\x01" + rng.bytes(200),
        b"GET / HTTP/1.1\r\n" + b"X: " + b"y" * 100_000 + b"\r\n\r\n",
        b"POST /api/v3/reapaint/context HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"GET http://evil/ HTTP/1.1\r\nHost: evil\r\n\r\n",
        b"\r\n" * 1000,
    ):
        with socket.create_connection((host, int(port)), 10) as peer:
            peer.sendall(garbage)
            peer.shutdown(socket.SHUT_WR)
            peer.settimeout(20)
            answer = b""
            try:
                while block := peer.recv(65536):
                    answer += block
            except ConnectionError:
                pass
            assert not answer or answer.split()[1] in (b"400", b"403", b"431")
    assert gateway.health()["status"] == "ok"


def test_help_tells_of_the_gateway() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "reapaint", "serve", "--help"],
        cwd=ROOT, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0
    assert "--http HOST:PORT" in done.stdout
    assert "--endpoint" in done.stdout
