"""The scripts' side of the spool, as Lua does it: files, and nothing that waits."""

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parent.parent.parent


def wait_until(is_true: Callable[[], Any], what: str, timeout_s: float = 60.0) -> Any:
    """Wait for an event until a deadline, and return what made it true."""
    deadline_s = time.monotonic() + timeout_s
    while not (value := is_true()):
        assert time.monotonic() < deadline_s, f"waited too long for {what}"
        threading.Event().wait(0.005)
    return value


class ScriptSide:
    """Writes jobs into a spool and reads what comes back."""

    def __init__(self, resource_path: Path, media: Path) -> None:
        self.spool = resource_path / "ReaPaint" / "spool"
        self.media = media

    def request(self, source: Path, *spans: tuple[float, float], **settings: Any) -> dict[str, Any]:
        """Return a request about a file of ten seconds; it can be altered before it is sent."""
        return {
            "protocol": "1.0",
            "job_id": uuid.uuid4().hex,
            "project": {"name": "Küste.rpp", "media_folder": str(self.media)},
            "item": {"name": source.name},
            "source": {"route": "file", "path": str(source), "start_s": 0, "end_s": 10},
            "spans": [{"start_s": start, "end_s": end} for start, end in spans],
            "settings": {"backend": "echo", **settings},
            "handles_s": 2.0,
        }

    def send(self, request: dict[str, Any], audio: np.ndarray | None = None) -> str:
        """Commit a job, as Lua does: audio first, then a rename."""
        job_id: str = request["job_id"]
        folder = self.folder(job_id)
        folder.mkdir(parents=True)
        if audio is not None:
            (folder / "audio.f32").write_bytes(np.ascontiguousarray(audio.T, "<f4").tobytes())
        (folder / "request.json.tmp").write_text(json.dumps(request), encoding="utf-8")
        (folder / "request.json.tmp").rename(folder / "request.json")
        return job_id

    def folder(self, job_id: str) -> Path:
        return self.spool / "jobs" / job_id

    def touch(self, job_id: str, name: str) -> None:
        (self.folder(job_id) / name).touch()

    def write_control(self, name: str) -> None:
        (self.spool / "control").mkdir(parents=True, exist_ok=True)
        (self.spool / "control" / name).touch()

    def result(self, job_id: str, timeout_s: float = 60.0) -> dict[str, Any]:
        """Wait for a job's result."""
        path = self.folder(job_id) / "result.json"
        wait_until(path.exists, f"the result of {job_id}", timeout_s)
        return _read(path)

    def progress(self, job_id: str) -> dict[str, Any] | None:
        path = self.folder(job_id) / "progress.json"
        return _read(path) if path.exists() else None

    def heartbeat(self) -> dict[str, Any] | None:
        path = self.spool / "bridge.json"
        try:
            return _read(path)
        except FileNotFoundError:
            return None

    def wait_for_stage(self, job_id: str, *stages: str) -> None:
        wait_until(
            lambda: (self.progress(job_id) or {}).get("stage") in stages, f"{job_id} to {stages}"
        )


@contextlib.contextmanager
def running_bridge(scripts: ScriptSide, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run ``reapaint bridge`` as its own process, and end it in order."""
    process = subprocess.Popen(
        [sys.executable, "-m", "reapaint", "bridge", "--spool", str(scripts.spool), *options],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=os.environ.copy(),
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
        _, log = process.communicate(timeout=30)
        assert b"Traceback" not in log, log.decode()


def _read(path: Path) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return answer
