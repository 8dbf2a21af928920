"""The recordings, the gaps made in them, and the ways to fill those."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pedalboard.io import AudioFile

from reapaint_engine.backends.context.backend import ContextBackend
from reapaint_engine.inpaint import inpaint
from reapaint_engine.monitor import JobMonitor
from reapaint_engine.protocol.arrays import Audio
from reapaint_engine.protocol.messages import InpaintRequest
from reapaint_engine.protocol.spans import Span
from tests.bench.quality.baselines import LONG, SHORT, Method

SHIPPED = Path(__file__).parents[3] / "bridge" / "reapaint" / "recordings"
SUFFIXES = {".flac", ".wav", ".aiff", ".aif", ".ogg"}

KINDS = {
    "ambience": ("river", "vinyl", "birds", "amb_", "tex_"),
    "tonal": ("guitar", "mus_"),
    "percussive": ("tabla", "perc_", "foley_"),
    "speech": ("speech", "spk_"),
}
"""What a recording's name begins with, by its kind; others are of the kind ``other``."""

SHORT_S = 0.25
"""Longest gap for what interpolates."""
LONG_S = 0.05
"""Shortest gap for what builds from passages."""
MARGIN_S = 0.5
"""Kept audio on each side of a gap, at least."""
LEAST_CONTEXT_S = 5.0
"""A window reaches as far as the gap is long, and at least this far."""
QUIET = 0.1
"""Gaps are made where the level is at least this share of the recording's."""

MODES = ("auto", "repair", "ambience", "similar")
TRUE = "true audio"


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """A recording with its kind."""

    name: str
    kind: str
    audio: Audio
    sample_rate: int


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """A gap in a recording."""

    recording: Recording
    gap_s: float
    position: int
    span: Span


@dataclass(frozen=True, slots=True, eq=False)
class Filled:
    """A case's recording with the gap filled by one method, and the time that took."""

    audio: Audio
    seconds: float


def load_recordings(folder: Path) -> list[Recording]:
    """Read every recording of a folder, in the order of their names."""
    recordings = []
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in SUFFIXES:
            continue
        with AudioFile(str(path)) as file:
            audio = np.ascontiguousarray(file.read(file.frames))
            recordings.append(Recording(path.stem, _kind(path.stem), audio, int(file.samplerate)))
    return recordings


def _kind(name: str) -> str:
    return next((kind for kind, starts in KINDS.items() if name.startswith(starts)), "other")


def make_cases(recording: Recording, gap_s: float, positions: int) -> Iterator[Case]:
    """Choose where to make gaps of one length; the same places at every run."""
    audio, sample_rate = recording.audio, recording.sample_rate
    length = max(1, round(gap_s * sample_rate))
    margin = round(MARGIN_S * sample_rate)
    last = audio.shape[1] - length - margin
    if last < margin:
        return
    rng = np.random.default_rng([length, *recording.name.encode()])
    loud = QUIET * float(np.sqrt(np.mean(np.square(audio, dtype=np.float64))))
    position = 0
    for start in rng.integers(margin, last + 1, 50 * positions):
        around = audio[:, max(0, start - margin // 5) : start + length + margin // 5]
        if np.sqrt(np.mean(np.square(around, dtype=np.float64))) >= loud:
            yield Case(recording, gap_s, position, Span(int(start), int(start) + length))
            position += 1
        if position == positions:
            return


def methods_for(gap_s: float, modes: tuple[str, ...]) -> list[str]:
    """Return the names of the ways to fill a gap of some length."""
    names = [TRUE]
    for mode in modes:
        is_short, is_long = mode == "repair", mode in ("ambience", "similar")
        if (is_short and gap_s > SHORT_S) or (is_long and gap_s < LONG_S):
            continue
        names.append(mode)
    names += SHORT if gap_s <= SHORT_S else ()
    names += LONG if gap_s >= LONG_S else ()
    return names


def available_modes() -> tuple[str, ...]:
    """Return the modes that the backend has."""
    return tuple(mode for mode in MODES if mode in ContextBackend().info.modes)


def fill(case: Case, method: str) -> Filled:
    """Fill a case's gap; the true audio is taken out of it before."""
    audio = case.recording.audio.copy()
    if method == TRUE:
        return Filled(audio, 0.0)
    inside = slice(case.span.start, case.span.end)
    audio[:, inside] = 0.0
    baseline = SHORT.get(method) or LONG.get(method)
    began_s = time.perf_counter()
    if baseline is None:
        patch = _by_backend(audio, case, method)
    else:
        patch = _by_baseline(audio, case, baseline)
    seconds = time.perf_counter() - began_s
    audio[:, inside] = patch
    return Filled(audio, seconds)


def _by_baseline(audio: Audio, case: Case, baseline: Method) -> Audio:
    rng = np.random.default_rng(case.position)
    return baseline(audio, case.span, case.recording.sample_rate, rng).astype(np.float32)


def _by_backend(audio: Audio, case: Case, mode: str) -> Audio:
    """Carry out the whole recipe of a job, crossfades and levels too."""
    sample_rate = case.recording.sample_rate
    reach = max(case.span.length, round(LEAST_CONTEXT_S * sample_rate))
    start, end = max(0, case.span.start - reach), min(audio.shape[1], case.span.end + reach)
    request = InpaintRequest(
        job_id="bench",
        sample_rate=sample_rate,
        channels=audio.shape[0],
        audio_frames=end - start,
        window_frames=end - start,
        spans=(case.span.shifted(-start),),
        seed=case.position,
        mode=mode,
    )
    _, patches = inpaint(
        request,
        np.ascontiguousarray(audio[:, start:end]),
        backends={"context": ContextBackend()},
        default_backend="context",
        monitor=JobMonitor(lambda: False, lambda *_: None),
        queued_s=0.0,
    )
    return patches[0]
