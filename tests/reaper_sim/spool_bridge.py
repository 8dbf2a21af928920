"""A stand-in for ``reapaint bridge``: answers requests in the spool, in this process, at once.

It keeps to the spool's contract - heartbeat, request, progress, files first and
``result.json`` last by rename, cancel - and reads and writes it through the bridge's own
messages, so that what the bridge would refuse is refused here. It paints a tone that meets
the original at every edge: outside of the spans a result is the source bit for bit.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from scipy.io import wavfile

from reapaint.reaper.messages import Result, read_request, read_result
from reapaint_engine.protocol.arrays import Audio
from reapaint_engine.protocol.spans import Span
from tests.reaper_sim.simulator import Reaper

FADE_S = 0.02
HEARTBEAT = Path(__file__).parents[1] / "contract" / "spool" / "bridge.json"


def read_wav(path: Path) -> tuple[int, Audio]:
    """Return a WAV's rate and samples, (channels, frames) float32 within -1 and 1."""
    rate, data = wavfile.read(path)
    if data.dtype.kind == "i":
        data = data.astype(np.float32) / np.float32(np.iinfo(data.dtype).max + 1)
    data = data.astype(np.float32)
    return int(rate), np.ascontiguousarray(data.T if data.ndim == 2 else data[None])


def write_wav(path: Path, rate: int, audio: Audio) -> Path:
    """Write float32 WAV."""
    path.parent.mkdir(parents=True, exist_ok=True)
    wavfile.write(path, rate, np.ascontiguousarray(audio.T))
    return path


class SpoolBridge:
    """Answers the jobs in a simulated REAPER's spool, when it is told to.

    Attributes
    ----------
    error
        What ``step`` lets jobs fail with, (code, message, hint), or None.
    is_holding
        While true, ``step`` answers nothing.
    painted
        Every file written, oldest first.
    cancelled
        The jobs that were asked to end before they had an answer.
    """

    def __init__(self, sim: Reaper) -> None:
        self.sim = sim
        self.spool = sim.resource_path / "ReaPaint" / "spool"
        self.jobs_folder = self.spool / "jobs"
        self.beats = 0
        self.error: tuple[str, str, str] | None = None
        self.is_holding = False
        self.painted: list[Path] = []
        self.cancelled: list[str] = []

    @classmethod
    def installed(cls, sim: Reaper) -> "SpoolBridge":
        """Return one that lives already, and whose program the scripts know."""
        bridge = cls(sim)
        bridge.install()
        bridge.beat(0)
        return bridge

    def install(self) -> None:
        """Write what `reapaint reaper install` leaves, with a program that nobody starts."""
        self.spool.mkdir(parents=True, exist_ok=True)
        launch = {"protocol": "1.0", "version": "0", "python": "/opt/python", "arguments": ["-m"]}
        (self.spool.parent / "launch.json").write_text(json.dumps(launch))

    # Jobs

    def jobs(self) -> list[Path]:
        """Return the folders of all jobs, in the order they were committed."""
        found = [path.parent for path in self.jobs_folder.glob("*/request.json")]
        return sorted(found, key=lambda job: (job / "request.json").stat().st_mtime_ns)

    def open_jobs(self) -> list[Path]:
        """Return the folders of jobs without a result."""
        return [job for job in self.jobs() if not (job / "result.json").exists()]

    def request(self, job: Path) -> dict[str, Any]:
        """Return a job's request, refused where the bridge would refuse it."""
        text = (job / "request.json").read_bytes()
        read_request(text, job.name)
        request: dict[str, Any] = json.loads(text)
        return request

    @property
    def requests(self) -> list[dict[str, Any]]:
        """Every request, oldest first."""
        return [self.request(job) for job in self.jobs()]

    # A life of its own

    def beat(self, number: int, **changes: object) -> None:
        """Show life, as the bridge does once a second."""
        self.spool.mkdir(parents=True, exist_ok=True)
        message = json.loads(HEARTBEAT.read_text(encoding="utf-8")) | {"beat": number} | changes
        (self.spool / "bridge.json").write_text(json.dumps(message), encoding="utf-8")

    def step(self) -> None:
        """Beat, and answer what has come."""
        self.beats += 1
        self.beat(self.beats)
        for job in self.open_jobs():
            if (job / "cancel").exists():
                self.cancelled.append(job.name)
                self.fail(job, "cancelled", "The job was cancelled.")
            elif self.error is not None:
                self.fail(job, *self.error)
            elif not self.is_holding:
                self.answer(job)

    def run(self, ticks: int) -> None:
        """Let REAPER and the bridge take turns."""
        for _ in range(ticks):
            self.sim.tick()
            self.step()

    # Answers

    def answer_all(self) -> int:
        """Answer every open job."""
        jobs = self.open_jobs()
        for job in jobs:
            self.answer(job)
        return len(jobs)

    def answer(self, job: Path, *, warnings: tuple[str, ...] = ()) -> dict[str, Any]:
        """Paint a job's spans and reply."""
        request = self.request(job)
        rate, audio, axis_s = self._source(job, request)
        takes = []
        settings = request["settings"]
        first_seed = settings["seed"] if settings["seed"] is not None else 1000 + len(self.jobs())
        for index in range(settings["takes"]):
            files = list(self._files(request, rate, audio, axis_s, first_seed + index))
            takes.append({"seed": first_seed + index, "files": files, "seams": []})
        record = {**request, "engine_version": "0", "model_revision": "r1"}
        result = {
            "protocol": "1.0", "job_id": job.name, "ok": True, "backend": "tone",
            "model": "tone", "model_revision": "r1", "mode": "auto", "warnings": list(warnings),
            "takes": takes, "record": record,
        }  # fmt: skip
        self.reply(job, result)
        return result

    def fail(self, job: Path, code: str, message: str, hint: str = "") -> None:
        """Reply that a job could not be done."""
        error = {"code": code, "message": message, "hint": hint}
        self.reply(job, {"protocol": "1.0", "job_id": job.name, "ok": False, "error": error})

    def reply(self, job: Path, result: dict[str, Any]) -> None:
        """Put a result in its place by rename."""
        text = json.dumps(result, ensure_ascii=False).encode()
        if result["ok"]:
            assert isinstance(read_result(text), Result)
        draft = job / "result.json.tmp"
        draft.write_bytes(text)
        draft.replace(job / "result.json")

    def progress(self, job: Path, stage: str, fraction: float) -> None:
        """Say how far a job is."""
        message = {
            "protocol": "1.0", "job_id": job.name, "sequence": 1, "stage": stage,
            "fraction": fraction, "position": 0,
        }  # fmt: skip
        (job / "progress.json").write_text(json.dumps(message))

    # Painting

    def _source(self, job: Path, request: dict[str, Any]) -> tuple[int, Audio, float]:
        source = request["source"]
        if source["route"] == "file":
            rate, audio = read_wav(Path(self.sim.files.to_host(source["path"])))
            return rate, audio, 0.0
        raw = np.fromfile(job / "audio.f32", dtype="<f4")
        assert raw.size == source["frames"] * source["channels"]
        audio = np.ascontiguousarray(raw.reshape(-1, source["channels"]).T)
        return int(source["sample_rate"]), audio, float(source["start_s"])

    def _files(
        self, request: dict[str, Any], rate: int, audio: Audio, axis_s: float, seed: int
    ) -> Iterator[dict[str, Any]]:
        for index, span_s in enumerate(request["spans"]):
            span = Span(
                round((span_s["start_s"] - axis_s) * rate), round((span_s["end_s"] - axis_s) * rate)
            )
            assert 0 <= span.start < span.end, (span, request)
            handle = round(request["handles_s"] * rate)
            first = max(0, span.start - handle)
            last = max(span.end, min(audio.shape[1], span.end + handle))
            out = np.zeros((audio.shape[0], last - first), np.float32)
            kept = audio[:, first : min(last, audio.shape[1])]
            out[:, : kept.shape[1]] = kept
            inside = slice(span.start - first, span.end - first)
            out[:, inside] = _paint(
                out[:, inside], rate=rate, seed=seed, span=span, frames=audio.shape[1]
            )
            path = self._new_path(request, f"{seed}-{index}")
            self.painted.append(write_wav(path, rate, out))
            yield {
                "span": index, "path": self.sim.files.to_lua(str(path)),
                "file_start_s": axis_s + first / rate, "sample_rate": rate,
                "channels": int(out.shape[0]), "frames": last - first,
            }  # fmt: skip

    def _new_path(self, request: dict[str, Any], number: str) -> Path:
        name = f"{request['item']['name'] or 'item'} - tone - {number}.wav"
        folder = Path(self.sim.files.to_host(request["project"]["media_folder"]))
        path = folder / name.replace("/", "_")
        while path.exists():
            path = path.with_name(path.stem + "x.wav")
        return path


def _paint(old: Audio, *, rate: int, seed: int, span: Span, frames: int) -> Audio:
    """Return a tone, crossfaded wherever the original goes on beyond the span."""
    length = old.shape[1]
    tone = 0.3 * np.sin(2 * np.pi * (300 + seed % 100) * np.arange(length) / rate)
    fade = min(length // 4, round(FADE_S * rate))
    weight = np.ones(length, np.float32)
    if span.start > 0:
        weight[:fade] = np.linspace(0, 1, fade, dtype=np.float32)
    if span.end <= frames:
        weight[length - fade :] = np.linspace(1, 0, fade, dtype=np.float32)
    return (old * (1 - weight) + tone.astype(np.float32) * weight).astype(np.float32)
