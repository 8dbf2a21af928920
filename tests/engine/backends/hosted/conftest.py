"""Each service with its stand-in, and time that passes without waiting."""

import contextlib
import functools
import importlib.util
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest

from reapaint_engine.backends.base import Generation, GenerationParams, Window
from reapaint_engine.backends.hosted.backend import HostedBackend
from reapaint_engine.backends.hosted.eachlabs import EachLabs
from reapaint_engine.backends.hosted.fal import Fal
from reapaint_engine.backends.hosted.pace import Pace
from reapaint_engine.backends.hosted.stability import Stability
from reapaint_engine.backends.hosted.wavespeed import WaveSpeed
from reapaint_engine.protocol.spans import Span
from tests.standins.base import StandIn
from tests.standins.eachlabs import EachLabsStandIn
from tests.standins.fal import FalStandIn
from tests.standins.stability import StabilityStandIn
from tests.standins.wavespeed import WaveSpeedStandIn

RATE = 44_100
KEYS = {
    "wavespeed": "WAVESPEED_API_KEY",
    "eachlabs": "EACHLABS_API_KEY",
    "fal": "FAL_KEY",
    "stability": "STABILITY_API_KEY",
}
SERVICES = {"wavespeed": WaveSpeed, "eachlabs": EachLabs, "fal": Fal, "stability": Stability}
STANDINS = {
    "wavespeed": WaveSpeedStandIn,
    "eachlabs": EachLabsStandIn,
    "fal": FalStandIn,
    "stability": StabilityStandIn,
}


@dataclass
class FakeClock:
    """Time that passes when somebody waits."""

    now_s: float = 1_800_000_000.0
    pauses: list[float] = field(default_factory=list)

    def monotonic_s(self) -> float:
        return self.now_s

    def epoch_s(self) -> float:
        return self.now_s

    def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now_s += seconds


@dataclass
class FakeControl:
    """A running job; ``at_step`` may end it."""

    at_step: Callable[[str, float], None] = lambda stage, fraction: None
    steps: list[tuple[str, float]] = field(default_factory=list)

    def step(self, stage: str, fraction: float) -> None:
        self.steps.append((stage, fraction))
        self.at_step(stage, fraction)


@dataclass
class Bench:
    """One model of one service, its stand-in, and a journal."""

    standin: StandIn
    model: str
    folder: Path
    clock: FakeClock
    pace: Pace
    max_cost: float | None = None

    @contextlib.contextmanager
    def impatience(self) -> Iterator[None]:
        """Give up on a silent connection within a test's time."""
        patient = self.pace
        self.pace = replace(patient, silence_s=1.0)
        yield
        self.pace = patient

    def backend(self) -> HostedBackend:
        """Return a new backend, as an engine that has just been started has it."""
        return HostedBackend(
            SERVICES[self.standin.name](),
            max_cost=self.max_cost,
            pace=self.pace,
            clock=self.clock,
            folder=self.folder,
        )

    def fill(
        self,
        window: Window | None = None,
        seeds: Sequence[int] = (7,),
        control: FakeControl | None = None,
        **params: object,
    ) -> Generation:
        fields = {"prompt": "rain", "negative_prompt": "", "steps": None, "guidance": None}
        fields |= {"strength": 1.0, "mode": "auto", "model": self.model} | params
        return self.backend().generate(
            window or make_window(), GenerationParams(**fields), seeds, control or FakeControl()
        )


@functools.cache
def make_window(
    seconds: float = 5.0, spans: Sequence[tuple[float, float]] = ((2.3, 3.2),), seed: int = 0
) -> Window:
    """Return a window of coloured noise, which has detail at every frequency."""
    frames = round(seconds * RATE)
    noise = np.random.default_rng(seed).standard_normal((2, frames))
    audio = (0.05 * noise + 0.05 * np.cumsum(noise, axis=1) / 20).astype(np.float32)
    return Window(
        audio=np.clip(audio, -0.9, 0.9),
        sample_rate=RATE,
        spans=tuple(Span(round(start * RATE), round(end * RATE)) for start, end in spans),
        audio_frames=frames,
    )


MODELS = [
    ("wavespeed", "stable-audio-3"),
    ("eachlabs", "stable-audio-2.5"),
    ("fal", "stable-audio-3-medium"),
    ("stability", "stable-audio-3"),
    ("stability", "stable-audio-2.5"),
]


def make_bench(service: str, model: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    standin = STANDINS[service]()
    monkeypatch.setenv(KEYS[service], standin.key)
    monkeypatch.setenv(f"REAPAINT_{service.upper()}_URL", standin.url)
    pace = Pace(connect_s=5.0, silence_s=10.0, exchange_s=20.0, cancel_s=10.0, jitter=lambda: 1.0)
    return Bench(standin, model, folder, FakeClock(), pace)


@pytest.fixture(autouse=True)
def _no_accounts_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in (*KEYS.values(), "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv("REAPAINT_STATE_DIR", str(tmp_path / "state"))


@pytest.fixture(autouse=True)
def _no_package_is_looked_for_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Say of once for all that sniffio is missing, where it is: httpcore asks at every await."""
    if importlib.util.find_spec("sniffio") is None:
        monkeypatch.setitem(sys.modules, "sniffio", None)


@pytest.fixture(params=MODELS, ids="-".join)
def bench(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Bench]:
    """Return every model of every service in turn."""
    made = make_bench(*request.param, tmp_path / "journal", monkeypatch)
    yield made
    made.standin.close()


@pytest.fixture(params=[MODELS[2], MODELS[4]], ids="-".join)
def one_of_each_kind(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Bench]:
    """Return a model that is polled and takes any time, and one that does neither."""
    made = make_bench(*request.param, tmp_path / "journal", monkeypatch)
    yield made
    made.standin.close()


@pytest.fixture
def bench_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Bench]]:
    """Return a maker of benches for one named model."""
    made: list[Bench] = []

    def make(service: str, model: str) -> Bench:
        made.append(make_bench(service, model, tmp_path / "journal", monkeypatch))
        return made[-1]

    yield make
    for each in made:
        each.standin.close()
