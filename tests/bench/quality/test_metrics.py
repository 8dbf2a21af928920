import numpy as np
import pytest

from reapaint_engine.protocol.spans import Span
from tests.bench.quality import metrics
from tests.bench.quality.baselines import LONG, SHORT

RATE = 16000
SPAN = Span(3 * RATE, 4 * RATE)


def noise(seed: int, seconds: float = 7.0, channels: int = 2) -> np.ndarray:
    shared, own = np.random.default_rng(seed).standard_normal((2, channels, round(seconds * RATE)))
    return (0.1 * (shared[:1] + 0.3 * own)).astype(np.float32)


def replaced(audio: np.ndarray, patch: np.ndarray) -> np.ndarray:
    filled = audio.copy()
    filled[:, SPAN.start : SPAN.end] = patch
    return filled


@pytest.fixture(scope="module")
def true() -> np.ndarray:
    return noise(1)


def test_true_audio_is_like_itself(true: np.ndarray) -> None:
    quality = metrics.measure(true, true, SPAN, RATE)
    assert quality.snr_db > 100
    assert quality.lsd_db == 0
    assert quality.click_ratio < 1.2
    assert quality.onset == pytest.approx(1)
    assert quality.chroma == pytest.approx(1)


def test_the_signal_to_difference_ratio_is_that_of_powers(true: np.ndarray) -> None:
    filled = replaced(true, 1.1 * true[:, SPAN.start : SPAN.end])
    assert metrics.snr_db(true, filled, SPAN) == pytest.approx(20, abs=0.1)
    assert metrics.level_difference_db(true, filled, SPAN) == pytest.approx(0.83, abs=0.01)


def test_a_gain_is_its_own_spectral_distance(true: np.ndarray) -> None:
    filled = (true * 0.5).astype(np.float32)
    assert metrics.log_spectral_distance(true, filled, SPAN, RATE) == pytest.approx(6, abs=0.1)


def test_texture_tells_the_same_noise_from_another(true: np.ndarray) -> None:
    same = replaced(true, noise(2)[:, : SPAN.length])
    pulsing = same * (1 + np.sign(np.sin(np.arange(same.shape[1]) / RATE * 2 * np.pi * 8)))
    other = replaced(true, pulsing[:, SPAN.start : SPAN.end])
    near = metrics.texture_distance(same, SPAN, RATE)
    assert metrics.texture_distance(other, SPAN, RATE) > 2 * near


def test_a_copy_is_told_from_new_sound(true: np.ndarray) -> None:
    copied = replaced(true, true[:, : SPAN.length])
    assert metrics.copy_score(copied, SPAN, RATE) > 0.95
    assert metrics.copy_score(replaced(true, noise(2)[:, : SPAN.length]), SPAN, RATE) < 0.3


def test_a_click_stands_out_at_its_seam(true: np.ndarray) -> None:
    clicking = true.copy()
    clicking[:, SPAN.end] += 2
    assert metrics.click_ratio(clicking, SPAN, RATE) > 3


def test_a_click_of_the_kept_audio_is_told_from_the_fills(true: np.ndarray) -> None:
    for at in (SPAN.start, SPAN.end - 1):
        own = true.copy()
        own[:, at] += 2
        assert metrics.click_ratio(own, SPAN, RATE) > 3
        assert metrics.kept_click_ratio(own, SPAN, RATE) < 1.2
    for at in (SPAN.start - 1, SPAN.end):
        kept = true.copy()
        kept[:, at] += 2
        assert metrics.kept_click_ratio(kept, SPAN, RATE) > 3


def test_a_jump_ranks_above_the_recordings_own(true: np.ndarray) -> None:
    quiet = replaced(true, 0.01 * true[:, SPAN.start : SPAN.end])
    assert metrics.flux_percentile(true, quiet, SPAN, RATE) == 100


def test_swapped_and_unrelated_channels_are_another_image(true: np.ndarray) -> None:
    unrelated = np.stack([noise(3, channels=1)[0], noise(4, channels=1)[0]])
    same, _ = metrics.image_difference(replaced(true, noise(2)[:, : SPAN.length]), SPAN, RATE)
    other, _ = metrics.image_difference(replaced(true, unrelated[:, : SPAN.length]), SPAN, RATE)
    assert other > same + 0.3
    louder = replaced(true, np.array([[1], [2]]) * true[:, SPAN.start : SPAN.end])
    assert metrics.image_difference(louder, SPAN, RATE)[1] == pytest.approx(6, abs=0.3)


def test_an_onset_elsewhere_does_not_agree() -> None:
    hits = 0.001 * noise(5)
    moved = hits.copy()
    for at in (3.2, 3.45, 3.7):
        hits[:, round(at * RATE) :][:, :400] += noise(6)[:, :400]
        moved[:, round((at + 0.12) * RATE) :][:, :400] += noise(6)[:, :400]
    assert metrics.onset_agreement(hits, hits, SPAN, RATE) == pytest.approx(1)
    assert metrics.onset_agreement(hits, moved, SPAN, RATE) < 0.2


@pytest.mark.parametrize("method", [*SHORT, *LONG])
def test_baselines_fill_the_gap_from_what_is_kept(method: str, true: np.ndarray) -> None:
    span = Span(SPAN.start, SPAN.start + 800)
    empty = true.copy()
    empty[:, span.start : span.end] = 0
    patch = (SHORT | LONG)[method](empty, span, RATE, np.random.default_rng(0))
    assert patch.shape == (2, 800)
    assert np.isfinite(patch).all()
    assert np.std(patch) > 0.01 * np.std(true)
