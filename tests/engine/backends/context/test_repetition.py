import numpy as np
import pytest

from reapaint_engine.backends.context.repetition import find_repetition
from reapaint_engine.protocol.spans import Span

RATE = 44100
EDGE = 1764
HULL = Span(60_000, 62_205)
REGION = Span(HULL.start - EDGE, HULL.end + EDGE)


def noise(frames: int, seed: int = 0, channels: int = 2) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((channels, frames)).astype(np.float32)


def without(audio: np.ndarray, *holes: Span) -> tuple[np.ndarray, np.ndarray]:
    """Poison where nothing may be read, and say where that is."""
    poisoned, missing = audio.copy(), np.zeros(audio.shape[1], dtype=bool)
    for hole in holes:
        poisoned[:, hole.start : hole.end] = np.nan
        missing[hole.start : hole.end] = True
    return poisoned, missing


@pytest.mark.parametrize("period", [20_000, 20_001, 20_002, 41_111])
def test_a_loop_comes_again_at_its_period_to_the_frame(period: int) -> None:
    audio = np.tile(noise(period), 10)[:, :130_000]
    heard, missing = without(audio, HULL)
    shift = find_repetition(heard, missing, region=REGION, hull=HULL, sample_rate=RATE)
    assert shift is not None
    assert shift != 0
    assert shift % period == 0


def test_a_passage_with_a_gap_of_its_own_is_not_taken() -> None:
    period = 20_000
    audio = np.tile(noise(period), 7)[:, :130_000]
    others = [HULL.shifted(k * period) for k in (-2, -1, 1)]
    heard, missing = without(audio, HULL, *others)
    assert find_repetition(heard, missing, region=REGION, hull=HULL, sample_rate=RATE) == 3 * period
    heard, missing = without(audio, HULL, *others, HULL.shifted(3 * period))
    shift = find_repetition(heard, missing, region=REGION, hull=HULL, sample_rate=RATE)
    assert shift is not None
    passage = heard[:, REGION.start + shift : REGION.end + shift]
    assert np.isfinite(passage).all()


@pytest.mark.parametrize("hull", [Span(0, 900), Span(59_100, 60_000), Span(10, 59_990)])
def test_a_gap_at_an_end_is_sought_by_the_side_it_has(hull: Span) -> None:
    audio = np.tile(noise(10_000), 6)
    heard, missing = without(audio, hull)
    region = Span(max(0, hull.start - EDGE), min(60_000, hull.end + EDGE))
    shift = find_repetition(heard, missing, region=region, hull=hull, sample_rate=RATE)
    if hull.length > 30_000:
        assert shift is None
    else:
        assert shift is not None
        assert shift % 10_000 == 0


@pytest.mark.parametrize("rate", [8000, 16000, 96000, 384_000])
def test_silence_and_any_rate_are_searched(rate: int) -> None:
    audio = np.zeros((1, rate // 2), dtype=np.float32)
    hull = Span(rate // 4, rate // 4 + rate // 50)
    region = Span(hull.start - rate // 25, hull.end + rate // 25)
    heard, missing = without(audio, hull)
    shift = find_repetition(heard, missing, region=region, hull=hull, sample_rate=rate)
    assert shift is not None
    assert region.start + shift >= 0
    assert region.end + shift <= audio.shape[1]
