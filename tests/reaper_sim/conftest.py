"""Recordings to put on tracks, and a REAPER to put them in."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from scipy.io import wavfile

from tests.reaper_sim.simulator import Reaper

Record = Callable[..., Path]


@pytest.fixture
def record(tmp_path: Path) -> Record:
    """Return a maker of noise recordings: (seconds, rate, channels, name) -> path."""

    def make(
        seconds: float = 4.0, rate: int = 48_000, channels: int = 2, name: str = "noise.wav"
    ) -> Path:
        random = np.random.default_rng(len(name) + channels)
        samples = random.standard_normal((round(seconds * rate), channels)) * 0.1
        path = tmp_path / name
        wavfile.write(path, rate, samples.astype(np.float32))
        return path

    return make


@pytest.fixture
def sim(tmp_path: Path) -> Iterator[Reaper]:
    """Return a strict REAPER 7.78 with Lua 5.4 and one saved project."""
    with Reaper(tmp_path / "machine") as reaper:
        yield reaper


@pytest.fixture
def item(sim: Reaper, record: Record):
    """Return an item of 4 s at 1 s, selected, on the only track."""
    made = sim.project.add_track("Voice").add_item(record(), 1.0)
    made.selected = True
    return made
