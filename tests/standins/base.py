"""What every stand-in is: a local server that keeps to a service's documents, or breaks them.

A stand-in is no service: it makes no sound of its own. It answers with what it was sent,
turned upside down inside the mask, so that a test can tell every sample of the result.
"""

import contextlib
import email
import io
import json
import threading
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import av
import numpy as np
from scipy.fft import next_fast_len

Audio = np.ndarray


@dataclass(frozen=True)
class Asked:
    """One request as it came in; ``step`` says what for."""

    step: str
    method: str
    path: str
    headers: dict[str, str]
    body: bytes = field(repr=False)

    @property
    def json(self) -> dict[str, Any]:
        return json.loads(self.body)

    @property
    def form(self) -> dict[str, bytes]:
        boundary = self.headers["content-type"].partition("boundary=")[2].encode()
        # Not email's own parser, which takes a sound apart line by line.
        _, *parts, end = (b"\r\n" + self.body).split(b"\r\n--" + boundary)
        assert end == b"--\r\n", "a form ends where it says so"
        form = {}
        for part in parts:
            head, _, content = part.partition(b"\r\n\r\n")
            fields = email.message_from_bytes(head.removeprefix(b"\r\n"))
            form[fields.get_param("name", header="content-disposition")] = content
        return form


@dataclass(frozen=True)
class Reply:
    """An answer."""

    status: int = 200
    content: object = None
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Status:
    """Misbehaviour: answer with a status instead of doing what was asked."""

    code: int
    headers: dict[str, str] = field(default_factory=dict)
    content: object = None


@dataclass(frozen=True)
class Drop:
    """Misbehaviour: end the connection without an answer, before or after the work is done."""

    after: bool = False


@dataclass(frozen=True)
class Hang:
    """Misbehaviour: say nothing until the stand-in is closed, before or after the work."""

    after: bool = False


Fault = Status | Drop | Hang


@dataclass
class Rendering:
    """How the answer sounds: what a service's codecs and whims do to it."""

    delay_frames: float = 0.0
    gain: float = 1.0
    rate: int = 44_100
    channels: int = 2
    length: float = 1.0
    container: str = "wav"
    is_garbage: bool = False
    is_unlike: bool = False

    def __call__(self, sent: Audio, mask_s: tuple[float, float]) -> bytes:
        if self.is_garbage:
            return b"<html>Bad gateway</html>"
        start, end = (round(edge_s * 44_100) for edge_s in mask_s)
        audio = sent.copy()
        audio[:, start:end] *= -1.0
        if self.is_unlike:
            audio = np.random.default_rng(0).standard_normal(audio.shape).astype(np.float32) * 0.1
        audio = _delayed(audio, self.delay_frames) * np.float32(self.gain)
        audio = audio[:, : round(audio.shape[1] * self.length)]
        if self.channels == 1:
            audio = audio.mean(axis=0, keepdims=True)
        if self.rate != 44_100:
            import soxr

            audio = soxr.resample(audio.T, 44_100, self.rate, quality="VHQ").T
        return _encoded(np.ascontiguousarray(audio, dtype=np.float32), self.rate, self.container)


@dataclass
class Job:
    """A prediction: what was sent, and how often it was asked for."""

    wav: bytes = field(repr=False)
    mask_s: tuple[float, float]
    fields: dict[str, Any]
    polls: int = 0
    is_cancelled: bool = False


class StandIn:
    """One service's API, and another server, on another port, for uploads and results."""

    name = ""
    key = "key-of-the-test"
    authorization = f"Bearer {key}"

    def __init__(self) -> None:
        self.faults: dict[str, deque[Fault]] = defaultdict(deque)
        self.rendering: Callable[[Audio, tuple[float, float]], bytes] = Rendering()
        self.polls_needed = 2
        self.failure = ""
        self.link_prefix = ""
        self.jobs: dict[str, Job] = {}
        self.uploads: dict[str, bytes] = {}
        self.asked: list[Asked] = []
        self.closing = threading.Event()
        self.came = threading.Event()
        self._lock = threading.Lock()
        self._servers = [self._serve(self.answer), self._serve(self.answer_files)]
        self.url, self.files_url = (
            f"http://127.0.0.1:{server.server_port}" for server in self._servers
        )

    @property
    def paid(self) -> int:
        """How many predictions were taken on: each would have been charged."""
        return len(self.jobs)

    def steps(self) -> list[str]:
        return [asked.step for asked in self.asked]

    def close(self) -> None:
        self.closing.set()
        for server in self._servers:
            server.shutdown()
            server.server_close()

    # What a service defines

    def step_of(self, method: str, path: str) -> str:
        raise NotImplementedError

    def answer(self, asked: Asked) -> Reply:
        raise NotImplementedError

    # What they share

    def answer_files(self, asked: Asked) -> Reply:
        name = asked.path.rpartition("/")[2]
        if asked.method == "PUT":
            self.uploads[name] = asked.body
            return Reply()
        return Reply(content=self.result(name))

    def place(self) -> str:
        """Return a new name to upload to."""
        return f"upload-{len(self.uploads)}-{len(self.asked)}"

    def take(self, wav: bytes, mask_s: tuple[float, float], fields: dict[str, Any]) -> str:
        with self._lock:
            remote_id = f"{self.name}-{len(self.jobs)}"
            self.jobs[remote_id] = Job(wav, mask_s, fields)
        return remote_id

    def uploaded(self, link: str) -> bytes:
        return self.uploads[link.rpartition("/")[2]]

    def is_done(self, remote_id: str) -> bool:
        job = self.jobs[remote_id]
        job.polls += 1
        return job.polls > self.polls_needed

    def result_link(self, remote_id: str) -> str:
        return self.link_prefix or f"{self.files_url}/results/{remote_id}"

    def result(self, remote_id: str) -> bytes:
        job = self.jobs[remote_id]
        return self.rendering(decoded(job.wav), job.mask_s)

    def _serve(self, answer: Callable[[Asked], Reply]) -> ThreadingHTTPServer:
        standin = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                pass

            def _handle(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                headers = {name.lower(): value for name, value in self.headers.items()}
                step = standin._step(self.command, self.path, answer)
                asked = Asked(step, self.command, self.path, headers, body)
                standin.asked.append(asked)
                reply = standin._reply(asked, answer)
                if reply is not None:
                    self._send(reply)

            def _send(self, reply: Reply) -> None:
                with contextlib.suppress(ConnectionError):
                    self._write(reply)

            def _write(self, reply: Reply) -> None:
                content, kind = reply.content, "application/json"
                if isinstance(content, bytes):
                    kind = "application/octet-stream"
                else:
                    content = json.dumps(content if content is not None else {}).encode()
                self.send_response(reply.status)
                for name, value in {"Content-Type": kind, **reply.headers}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PUT = do_DELETE = _handle  # noqa: N815 - the base's names

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        return server

    def _step(self, method: str, path: str, answer: Callable[[Asked], Reply]) -> str:
        if answer == self.answer_files:
            return "upload" if method == "PUT" else "fetch"
        return self.step_of(method, path)

    def _reply(self, asked: Asked, answer: Callable[[Asked], Reply]) -> Reply | None:
        """Return what to answer; None ends the connection."""
        with self._lock:
            waiting = self.faults[asked.step]
            fault = waiting.popleft() if waiting else None
        if isinstance(fault, Status):
            return Reply(fault.code, fault.content, fault.headers)
        is_api = answer == self.answer
        if is_api and asked.headers.get("authorization") != self.authorization:
            return Reply(401, {"message": f"wrong key {asked.headers.get('authorization')}"})
        if isinstance(fault, Drop | Hang):
            if fault.after:
                answer(asked)
            self.came.set()
            if isinstance(fault, Hang):
                self.closing.wait(30)
            return None
        return answer(asked)


def decoded(wav: bytes) -> Audio:
    """Return a WAV file of 24 bits as (channels, frames)."""
    with av.open(io.BytesIO(wav)) as container:
        blocks = [frame.to_ndarray() for frame in container.decode(audio=0)]
        channels = container.streams.audio[0].codec_context.channels
    flat = np.concatenate(blocks, axis=1).reshape(-1, channels).T
    return np.ascontiguousarray(flat.astype(np.float64) / 2**31, dtype=np.float32)


def _delayed(audio: Audio, frames: float) -> Audio:
    """Delay by a phase ramp over the whole, which is exact for any fraction."""
    if frames == int(frames) >= 0:
        return np.pad(audio, ((0, 0), (int(frames), 0)))[:, : audio.shape[1]]
    room = next_fast_len(audio.shape[1] + 8192, real=True) - audio.shape[1]
    padded = np.pad(audio, ((0, 0), (0, room)))
    turns = np.fft.rfftfreq(padded.shape[1]) * frames
    spectrum = np.fft.rfft(padded, axis=1) * np.exp(-2j * np.pi * turns)
    return np.fft.irfft(spectrum, padded.shape[1], axis=1)[:, : audio.shape[1]].astype(np.float32)


_CODECS = {"wav": ("pcm_f32le", "flt"), "mp3": ("libmp3lame", "fltp")}


def _encoded(audio: Audio, rate: int, container: str) -> bytes:
    codec, sample_format = _CODECS[container]
    layout = "mono" if audio.shape[0] == 1 else "stereo"
    file = io.BytesIO()
    with av.open(file, "w", format=container) as output:
        stream = output.add_stream(codec, rate=rate, layout=layout)
        stream.bit_rate = 192_000
        samples = audio if sample_format == "fltp" else audio.T.reshape(1, -1)
        samples = np.ascontiguousarray(samples)
        frame = av.AudioFrame.from_ndarray(samples, format=sample_format, layout=layout)
        frame.sample_rate = rate
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            output.mux(packet)
    return file.getvalue()
