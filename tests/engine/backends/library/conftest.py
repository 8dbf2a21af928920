"""Sounds, files and a small library that these tests share."""

import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from reapaint_engine.backends.library.indexer import Indexer

RATE = 48_000
Samples = np.ndarray


@pytest.fixture
def slam() -> Callable[..., Samples]:
    """Return a maker of a knock that dies away: a sharp attack, 0.4 s."""

    def make(seed: int = 0, seconds: float = 0.4, rate: int = RATE) -> Samples:
        time_s = np.arange(int(seconds * rate)) / rate
        noise = np.random.default_rng(seed).standard_normal(time_s.size)
        return (0.3 * noise * np.exp(-time_s * 15)).astype(np.float32)[None]

    return make


@pytest.fixture
def in_a_row() -> Callable[..., Samples]:
    """Return a maker of sounds in a row, with pauses before, between and after them."""

    def make(sounds: list[Samples], pause_s: float, rate: int = RATE) -> Samples:
        pause = np.zeros((1, int(pause_s * rate)), np.float32)
        return np.concatenate([pause, *(p for sound in sounds for p in (sound, pause))], axis=1)

    return make


@pytest.fixture
def noise() -> Callable[..., Samples]:
    """Return a maker of steady noise."""

    def make(seconds: float, level: float = 0.05, channels: int = 1, seed: int = 0) -> Samples:
        shape = (channels, int(seconds * RATE))
        return np.random.default_rng(seed).standard_normal(shape, np.float32) * np.float32(level)

    return make


@pytest.fixture
def write_wav() -> Callable[..., Path]:
    """Return a writer of float WAV files with more chunks before the samples."""

    def write(
        path: Path, audio: Samples, rate: int = RATE, chunks: tuple[tuple[bytes, bytes], ...] = ()
    ) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        data = np.ascontiguousarray(audio.T, "<f4").tobytes()
        channels = audio.shape[0]
        form = struct.pack("<HHIIHH", 3, channels, rate, 4 * channels * rate, 4 * channels, 32)
        body = b"".join(
            struct.pack("<4sI", name, len(chunk)) + chunk + bytes(len(chunk) % 2)
            for name, chunk in ((b"fmt ", form), *chunks, (b"data", data))
        )
        path.write_bytes(struct.pack("<4sI4s", b"RIFF", 4 + len(body), b"WAVE") + body)
        return path

    return write


@pytest.fixture
def folder(
    tmp_path: Path,
    slam: Callable[..., Samples],
    in_a_row: Callable[..., Samples],
    noise: Callable[..., Samples],
    write_wav: Callable[..., Path],
) -> Path:
    """Return a small library: doors, steps, rain, a hum, and a file that is no sound."""
    root = tmp_path / "sounds"
    write_wav(
        root / "Doors" / "DOORWood_Wooden Door Slam Heavy_ABC_Lib.wav",
        in_a_row([slam(seed) for seed in range(3)], 1.5),
    )
    write_wav(root / "Doors" / "DOORMetl_Metal Gate Slam_ABC_Lib.wav", in_a_row([slam(7)], 0.2))
    write_wav(root / "garden gate squeak 01.wav", slam(8), 44_100)
    write_wav(
        root / "FEETHmn_Footsteps Gravel_ABC.wav",
        in_a_row([slam(20 + step, 0.12) for step in range(10)], 0.4),
    )
    write_wav(root / "Weather" / "RAIN_Steady_ABC.wav", noise(2.0, channels=2))
    (root / "broken.wav").write_bytes(b"this is no sound" * 20)
    (root / "notes.txt").write_text("a door, a slam, a gate")
    return root


@pytest.fixture
def indexer(folder: Path, tmp_path: Path) -> Iterator[Indexer]:
    """Return an indexer of the small library; its thread ends with the test."""
    indexer = Indexer(folder, tmp_path / "index.sqlite")
    yield indexer
    indexer.stop()
