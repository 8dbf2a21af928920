"""A stand-in for ``reapaint bridge`` that answers the scripts' jobs in this process, at once.

It keeps to the spool's contract - heartbeat, control, request, progress, result, cancel - and
paints noise, so that a test of the scripts needs no other process and knows every sample: the
result is the source outside of the spans, bit for bit, and ``paint`` inside.
"""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.io import wavfile

from bridge import media
from tests.reaper_sim.simulator import Reaper

Audio = npt.NDArray[np.float32]
CROSSFADE_FRAMES = 480
LEVEL = 0.25


class SpoolBridge:
    """Answers jobs in a simulated REAPER's spool.

    Attributes
    ----------
    error
        What jobs fail with from now on, (code, message, hint), or None.
    is_holding
        While true, requests are seen and nothing is answered.
    requests
        Every request seen, oldest first.
    """

    def __init__(self, sim: Reaper) -> None:
        self.sim = sim
        self.spool = sim.resource_path / "ReaPaint" / "spool"
        (self.spool / "jobs").mkdir(parents=True, exist_ok=True)
        self.beat = 0
        self.error: tuple[str, str, str] | None = None
        self.is_holding = False
        self.requests: list[dict[str, Any]] = []
        self.painted: list[Path] = []
        self.cancelled: list[str] = []
        self._seen: set[str] = set()
        self.install()
        self.heartbeat()

    def install(self) -> None:
        """Write where Python is, as ``reapaint reaper install`` does."""
        launch = {
            "protocol": "1.0",
            "version": "0",
            "python": "/usr/bin/python3",
            "arguments": ["-m", "bridge", "bridge", "--spool", str(self.spool)],
        }
        self._write(self.spool.parent / "launch.json", launch)

    def heartbeat(self) -> None:
        """Beat once."""
        self.beat += 1
        message = {
            "protocol": "1.0",
            "version": "0",
            "pid": os.getpid(),
            "beat": self.beat,
            "engine": {"state": "ready", "message": ""},
            "backends": [{"name": "context", "modes": ["fill"], "models": []}],
        }
        self._write(self.spool / "bridge.json", message)

    def step(self) -> None:
        """Beat, and answer what has come."""
        self.heartbeat()
        for folder in sorted((self.spool / "jobs").iterdir()):
            if folder.name not in self._seen and (folder / "request.json").exists():
                self._seen.add(folder.name)
                self.requests.append(self._read(folder / "request.json"))
            if folder.name in self._seen and not (folder / "result.json").exists():
                self._answer(folder)

    def run(self, ticks: int = 40) -> None:
        """Let REAPER and the bridge take turns."""
        for _ in range(ticks):
            self.sim.tick()
            self.step()

    def folder(self, index: int = -1) -> Path:
        """Return the folder of a job."""
        return self.spool / "jobs" / str(self.requests[index]["job_id"])

    def _answer(self, folder: Path) -> None:
        if (folder / "cancel").exists():
            self.cancelled.append(folder.name)
            self._fail(folder, "cancelled", "The job was cancelled.", "")
        elif self.error is not None:
            self._fail(folder, *self.error)
        elif not self.is_holding:
            self._paint(folder)

    def _fail(self, folder: Path, code: str, message: str, hint: str) -> None:
        error = {"code": code, "message": message, "hint": hint}
        self._commit(folder, {"ok": False, "error": error})

    def progress(self, stage: str, fraction: float, sequence: int = 1) -> None:
        """Say of the last job how far it is."""
        message = {"protocol": "1.0", "job_id": self.requests[-1]["job_id"], "stage": stage}
        message |= {"fraction": fraction, "sequence": sequence, "position": 0}
        self._write(self.folder() / "progress.json", message)

    def _paint(self, folder: Path) -> None:
        request = self._read(folder / "request.json")
        audio, rate, first = self._source(request, folder)
        first_seed = request["settings"].get("seed") or 1000 + len(self.painted)
        takes = [
            self._take(request, audio, rate, first, int(first_seed) + index)
            for index in range(int(request["settings"].get("takes") or 1))
        ]
        done = {"ok": True, "backend": "context", "model": "", "model_revision": ""}
        done |= {"mode": "fill", "warnings": [], "takes": takes}
        done["record"] = {"request": request["settings"], "version": "0"}
        self._commit(folder, done)

    def _source(self, request: dict[str, Any], folder: Path) -> tuple[Audio, int, int]:
        """Return all that can be read, its rate, and its first frame on the request's axis."""
        source = request["source"]
        if source["route"] == "file":
            path = Path(self.sim.files.to_host(source["path"]))
            info = media.probe(path)
            return media.read_frames(info, 0, info.frames), info.sample_rate, 0
        shape = source["frames"], source["channels"]
        audio = np.fromfile(folder / source["audio"], "<f4").reshape(shape).T
        rate = int(source["sample_rate"])
        return np.ascontiguousarray(audio), rate, round(source["start_s"] * rate)

    def _take(
        self, request: dict[str, Any], audio: Audio, rate: int, first: int, seed: int
    ) -> dict[str, Any]:
        files = []
        for index, span in enumerate(request["spans"]):
            start, end = (round(span[key] * rate) - first for key in ("start_s", "end_s"))
            handle = round(request["handles_s"] * rate)
            low, high = max(0, start - handle), max(end, min(audio.shape[1], end + handle))
            painted = self._painted(audio, low, high, (start, end), seed)
            folder = Path(self.sim.files.to_host(request["project"]["media_folder"]))
            path = folder / f"painted {len(self.painted)}.wav"
            wavfile.write(path, rate, painted.T)
            self.painted.append(path)
            files.append(
                {
                    "span": index,
                    "path": self.sim.files.to_lua(str(path)),
                    "file_start_s": (low + first) / rate,
                    "sample_rate": rate,
                    "channels": audio.shape[0],
                    "frames": high - low,
                }
            )
        return {"seed": seed, "files": files, "seams": []}

    @staticmethod
    def _painted(audio: Audio, low: int, high: int, span: tuple[int, int], seed: int) -> Audio:
        """Return [handle | crossfaded noise | handle]; at the span's edges it is the source."""
        out = np.zeros((audio.shape[0], high - low), np.float32)
        there = audio[:, low : min(high, audio.shape[1])]
        out[:, : there.shape[1]] = there
        start, end = span[0] - low, span[1] - low
        noise = np.random.default_rng(seed).uniform(-LEVEL, LEVEL, (audio.shape[0], end - start))
        share = np.ones(end - start)
        ramp = np.linspace(0, 1, min(CROSSFADE_FRAMES, (end - start) // 4))
        if span[0] > 0:
            share[: len(ramp)] = ramp
        if span[1] < audio.shape[1]:
            share[len(share) - len(ramp) :] = ramp[::-1]
        old = out[:, start:end].astype(np.float64)
        out[:, start:end] = old * (1 - share) + noise * share
        return out

    def _commit(self, folder: Path, result: dict[str, Any]) -> None:
        self._write(folder / "result.json", {"protocol": "1.0", "job_id": folder.name, **result})

    @staticmethod
    def _read(path: Path) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return message

    @staticmethod
    def _write(path: Path, message: dict[str, Any]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(".draft")
        draft.write_text(json.dumps(message), encoding="utf-8")
        draft.replace(path)
