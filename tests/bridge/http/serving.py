"""A gateway in this process, whose engine is in this process as well."""

import base64
import io
import threading
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from starlette.testclient import TestClient

from reapaint.http.app import make_app
from reapaint.http.config import HttpConfig, HttpLimits
from reapaint.http.fetching import Network
from reapaint.http.gateway import Gateway
from reapaint.link.in_process import InProcessEngine

RATE = 44_100


class InlineEngine:
    """Stands for the shared engine: does one job at a time, and can be held up."""

    def __init__(self) -> None:
        self._engine = InProcessEngine("context")
        self._lock = threading.Lock()
        self.may_run = threading.Event()
        self.may_run.set()
        self.has_begun = threading.Event()
        self.order: list[int | None] = []
        self.failure: Exception | None = None
        self.trouble = ""

    @property
    def welcome(self) -> Any:
        return self._engine.welcome

    def start(self) -> None:
        pass

    def close(self) -> None:
        self.may_run.set()

    def run(self, request: Any, audio: Any, on_progress: Any, *, put: Any) -> Any:
        put(lambda: self.order.append(request.seed))
        with self._lock:
            on_progress("sample", 0.1)
            self.has_begun.set()
            assert self.may_run.wait(20)
            if self.failure is not None:
                raise self.failure
            return self._engine.run(request, audio, on_progress)


class Server:
    """A gateway and a client of it."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        limits = settings.pop("limits", HttpLimits())
        network = settings.pop("network", None)
        pauses_s = settings.pop("webhook_pauses_s", ())
        self.config = HttpConfig(host="127.0.0.1", port=8787, limits=limits, **settings)
        self.engine = InlineEngine()

        def make() -> Any:
            self.gateway = Gateway(
                config=self.config,
                engine=self.engine,
                network=network or Network(allowed_hosts=self.config.allowed_hosts),
                folder=folder / "http",
                webhook_pauses_s=pauses_s,
                port=8787,
            )
            return make_app(self.gateway)

        self.client = TestClient(_Late(make), base_url="http://127.0.0.1:8787")

    def upload(self, data: bytes | None = None, name: str = "take.wav") -> dict[str, Any]:
        content = wav() if data is None else data
        answer = self.client.post("/api/v3/media/upload/binary", files={"file": (name, content)})
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    def submit(self, path: str = "reapaint/context", **fields: Any) -> Any:
        body = {"mask_start_seconds": 1, "mask_end_seconds": 1.5, "output_format": "wav", **fields}
        return self.client.post(f"/api/v3/{path}", json=body)

    def run(self, path: str = "reapaint/context", **fields: Any) -> dict[str, Any]:
        answer = self.submit(path, enable_sync_mode=True, **fields)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    def prediction(self, prediction_id: str) -> dict[str, Any]:
        answer = self.client.get(f"/api/v3/predictions/{prediction_id}/result")
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]


class _Late:
    """Makes the app when it is started: a gateway belongs to a running event loop."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._app: Any = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self._app = self._app or self._make()
        await self._app(scope, receive, send)


def wav(seconds: float = 3.0, *, channels: int = 2, rate: int = RATE, seed: int = 0) -> bytes:
    """Return a 16-bit WAV file of noise."""
    rng = np.random.default_rng(seed)
    samples = rng.integers(-3000, 3000, (round(seconds * rate), channels), np.int16)
    data = io.BytesIO()
    with wave.open(data, "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.astype("<i2").tobytes())
    return data.getvalue()


def as_data_uri(data: bytes, kind: str = "audio/wav") -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def samples_of(data: bytes) -> np.ndarray:
    """Return a 16-bit WAV file's samples, of shape (frames, channels)."""
    with wave.open(io.BytesIO(data)) as file:
        raw = file.readframes(file.getnframes())
        return np.frombuffer(raw, "<i2").reshape(-1, file.getnchannels())
