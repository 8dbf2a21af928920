"""What happens in clips."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from reapaint_engine.backends.library.audio import read_clip
from reapaint_engine.backends.library.events import describe_clip

RECORDINGS = Path(__file__).parents[4] / "bridge" / "reapaint" / "recordings"
RATE = 48_000
Make = Callable[..., np.ndarray]


def test_silence_is_nothing() -> None:
    assert describe_clip(np.zeros((2, RATE), np.float32), RATE) is None
    assert describe_clip(np.zeros((2, 0), np.float32), RATE) is None


@pytest.mark.parametrize("floor", [0.0, 1e-4])
def test_takes_with_pauses_are_several_performances(
    slam: Make, in_a_row: Make, noise: Make, floor: float
) -> None:
    audio = in_a_row([slam(seed) for seed in range(3)], 1.5)
    audio += noise(audio.shape[1] / RATE + 1, floor)[:, : audio.shape[1]]
    clip = describe_clip(audio, RATE)
    assert clip is not None
    assert clip.sustained is None
    assert len(clip.performances) == 3
    for number, (event, *more) in enumerate(clip.performances):
        true_s = 1.5 + number * 1.9
        assert not more
        assert event.onset / RATE == pytest.approx(true_s, abs=0.011)
        assert event.span.start <= event.onset < event.span.end


def test_steps_close_together_are_one_performance(slam: Make, in_a_row: Make) -> None:
    clip = describe_clip(in_a_row([slam(seed, 0.12) for seed in range(8)], 0.4), RATE)
    assert clip is not None
    assert [len(performance) for performance in clip.performances] == [8]


@pytest.mark.parametrize("channels", [1, 2])
def test_noise_and_hums_are_sustained_without_their_fades(noise: Make, channels: int) -> None:
    audio = noise(3.0, channels=channels)
    fade = np.linspace(0, 1, RATE // 2, dtype=np.float32)
    audio[:, : fade.size] *= fade
    audio[:, -fade.size :] *= fade[::-1]
    clip = describe_clip(np.pad(audio, ((0, 0), (RATE, RATE))), RATE)
    assert clip is not None
    assert clip.sustained is not None
    assert RATE < clip.sustained.start < RATE + fade.size
    assert clip.sustained.end < 4 * RATE
    assert clip.sustained.length > 2 * RATE


@pytest.mark.parametrize(
    ("name", "is_sustained"),
    [("river", True), ("birds_96k", True), ("vinyl", True), ("speech", False), ("tabla", False)],
)
def test_recordings(name: str, is_sustained: bool) -> None:
    clip = describe_clip(*read_clip(RECORDINGS / f"{name}.flac", 60.0))
    assert clip is not None
    assert (clip.sustained is not None) is is_sustained


def test_a_gong_is_not_sustained() -> None:
    time_s = np.arange(6 * RATE) / RATE
    gong = np.sin(2 * np.pi * 200 * time_s) * np.exp(-time_s / 1.5)
    clip = describe_clip(gong.astype(np.float32)[None], RATE)
    assert clip is not None
    assert clip.sustained is None
