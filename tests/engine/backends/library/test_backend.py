"""Fills from a library: which file, how long, how loud, and what is said."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from reapaint_engine.backends.base import Generation, GenerationParams, Window
from reapaint_engine.backends.library.backend import LibraryBackend
from reapaint_engine.backends.library.events import levels_db
from reapaint_engine.backends.library.indexer import Indexer, IndexProgress
from reapaint_engine.dsp.splicing import Levelling
from reapaint_engine.errors import JobCancelled, JobError
from reapaint_engine.inpaint import inpaint
from reapaint_engine.monitor import JobMonitor
from reapaint_engine.protocol.messages import InpaintRequest
from reapaint_engine.protocol.spans import Span

RATE = 48_000
Make = Callable[..., np.ndarray]
WOODEN = "Doors/DOORWood_Wooden Door Slam Heavy_ABC_Lib.wav"
METAL = "Doors/DOORMetl_Metal Gate Slam_ABC_Lib.wav"
RAIN = "Weather/RAIN_Steady_ABC.wav"


class Watcher:
    """A job that goes on, or is cancelled after some steps."""

    def __init__(self, cancel_after: int = 1 << 30) -> None:
        self.fractions: list[float] = []
        self._left = cancel_after

    def step(self, stage: str, fraction: float) -> None:
        self._left -= 1
        if self._left < 0:
            raise JobCancelled
        if stage == "sample":
            self.fractions.append(fraction)


@pytest.fixture
def library(folder: Path) -> Iterator[LibraryBackend]:
    backend = LibraryBackend(folder)
    yield backend
    backend.close()


def _params(
    prompt: str, mode: str = "auto", *, negative: str = "", match: bool = True
) -> GenerationParams:
    return GenerationParams(
        prompt=prompt, negative_prompt=negative, mode=mode, model="sounds", match_level=match
    )


def _window(
    noise: Make,
    seconds: float = 8.0,
    span_s: tuple[float, float] = (3.0, 6.0),
    level: float = 0.001,
) -> Window:
    audio = noise(seconds, level, channels=2, seed=5)
    span = Span(round(span_s[0] * RATE), round(span_s[1] * RATE))
    return Window(audio, RATE, (span,), audio.shape[1])


def _fill(
    library: LibraryBackend, window: Window, params: GenerationParams, seeds: tuple[int, ...] = (0,)
) -> tuple[Generation, list[np.ndarray]]:
    generation = library.generate(window, params, seeds, Watcher())
    audio = [fill.passages[0].audio for fill in generation.fills]
    for fill, each in zip(generation.fills, audio, strict=True):
        assert fill.passages[0].start == window.spans[0].start
        assert each.shape == (window.audio.shape[0], window.spans[0].length)
        assert each.dtype == np.float32
    return generation, audio


def _levels(audio: np.ndarray, seconds: float = 0.01) -> np.ndarray:
    return levels_db(audio, round(seconds * RATE))


# Which file


def test_the_first_seed_gives_the_best_match_and_names_it(
    library: LibraryBackend, noise: Make
) -> None:
    generation, _ = _fill(library, _window(noise), _params("a wooden door slams"))
    assert generation.model_revision == WOODEN
    assert generation.warnings == (f"Filled with {WOODEN}.",)
    assert library.info.first_seed == 0


def test_seeds_walk_down_the_ranking_and_repeat_exactly(
    library: LibraryBackend, noise: Make
) -> None:
    window, params = _window(noise), _params("door slam")
    generation, takes = _fill(library, window, params, (0, 1))
    assert set(generation.model_revision.split("; ")) == {WOODEN, METAL}
    assert [text.startswith(f"Take {n}: ") for n, text in enumerate(generation.warnings, 1)]
    for seed, take in enumerate(takes):
        _, (alone,) = _fill(library, window, params, (seed,))
        np.testing.assert_array_equal(alone, take)


def test_seeds_beyond_the_ranking_take_other_performances(
    library: LibraryBackend, noise: Make
) -> None:
    window, params = _window(noise, level=1e-6), _params("wooden heavy", match=False)
    generation, takes = _fill(library, window, params, (0, 1, 2, 3))
    assert generation.model_revision == WOODEN
    for other in takes[1:3]:
        assert np.abs(takes[0] - other).max() > 0.1
    # Three performances are in the file: the fourth take begins again.
    assert np.abs(takes[0] - takes[3]).max() < 1e-4


def test_the_highest_seed_is_one_like_any_other(library: LibraryBackend, noise: Make) -> None:
    _fill(library, _window(noise), _params("rain"), (2**32 - 1,))


def test_unwanted_words_are_honoured(library: LibraryBackend, noise: Make) -> None:
    generation, _ = _fill(library, _window(noise), _params("slam", negative="wood"))
    assert generation.model_revision == METAL


def test_a_file_that_went_silent_or_away_gives_way_to_the_next(
    library: LibraryBackend, noise: Make, folder: Path, write_wav: Callable[..., Path]
) -> None:
    params = _params("a wooden door slam")
    _fill(library, _window(noise), params)
    (folder / WOODEN).unlink()
    assert _fill(library, _window(noise), params)[0].model_revision == METAL
    write_wav(folder / METAL, np.zeros((1, RATE), np.float32))
    with pytest.raises(JobError) as caught:
        library.generate(
            _window(noise), _params("metal gate slam", negative="garden"), [0], Watcher()
        )
    assert caught.value.code == "no_match"


# How long and how loud


def test_an_event_happens_over_the_background(library: LibraryBackend, noise: Make) -> None:
    window = _window(noise)
    generation, (audio,) = _fill(library, window, _params("wooden slam"))
    assert generation.mode == "once"
    assert generation.fills[0].passages[0].levelling is Levelling.LEAVE
    levels = _levels(audio, 0.05)
    background = float(np.median(_levels(window.audio[:, : 3 * RATE], 0.05)))
    assert levels.max() == pytest.approx(background + 20, abs=1.5)
    # Before the event, and from its end to the span's, the room goes on.
    assert levels[0] == pytest.approx(background, abs=2)
    np.testing.assert_allclose(levels[20:], background, atol=3)


def test_an_event_replaces_the_old_one_in_time_and_level(
    library: LibraryBackend, noise: Make, slam: Make
) -> None:
    window = _window(noise)
    audio = window.audio.copy()
    at = window.spans[0].start + round(1.7 * RATE)
    old = slam(99)
    audio[:, at : at + old.shape[1]] += old
    window = Window(audio, RATE, window.spans, window.audio_frames)
    _, (fill,) = _fill(library, window, _params("wooden slam"))
    onset = int(np.argmax(_levels(fill) > _levels(fill).max() - 15))
    assert onset / 100 == pytest.approx(1.7, abs=0.021)
    assert _levels(fill, 0.05).max() == pytest.approx(_levels(old, 0.05).max(), abs=1.5)


def test_without_level_matching_a_clip_is_as_loud_as_in_its_file(
    library: LibraryBackend, noise: Make, slam: Make
) -> None:
    _, (audio,) = _fill(library, _window(noise), _params("metal gate", match=False))
    assert np.abs(audio).max() == pytest.approx(np.abs(slam(7)).max(), rel=0.05)


def test_what_is_too_long_is_cut_between_its_events(library: LibraryBackend, noise: Make) -> None:
    window = _window(noise, span_s=(3.0, 4.3))
    _, (audio,) = _fill(library, window, _params("footsteps gravel"))
    loud = _levels(audio) > _levels(audio).max() - 12
    onsets = np.flatnonzero(loud[1:] & ~loud[:-1]) / 100
    assert len(onsets) == 3
    np.testing.assert_allclose(np.diff(onsets), 0.52, atol=0.03)
    assert not loud[-10:].any()


def test_a_span_shorter_than_any_event_is_filled_too(library: LibraryBackend, noise: Make) -> None:
    for seconds in (0.1, 0.01, 0.0005, 1 / RATE):
        window = _window(noise, span_s=(3.0, 3.0 + seconds))
        _, (audio,) = _fill(library, window, _params("wooden slam"))
        assert np.isfinite(audio).all()


def test_a_sustained_sound_goes_on_at_the_level_around_it(
    library: LibraryBackend, noise: Make
) -> None:
    window = _window(noise, seconds=20.0, span_s=(3.0, 15.0), level=0.02)
    generation, (audio,) = _fill(library, window, _params("rain"))
    assert generation.mode == "loop"
    levels = _levels(audio, 0.2)
    wanted = float(_levels(window.audio, 1.0).mean())
    np.testing.assert_allclose(levels, wanted, atol=2.5)
    # 12 s of a clip of 2 s: no second stretch is a copy of the clip.
    clip = audio[0, : round(1.5 * RATE)]
    rest = audio[0, 2 * RATE :]
    size = 1 << 20
    spectrum = np.fft.rfft(rest, size) * np.conj(np.fft.rfft(clip[:RATE], size))
    likeness = np.fft.irfft(spectrum, size)[: rest.size - RATE]
    assert likeness.max() / np.vdot(clip[:RATE], clip[:RATE]) < 0.3


def test_a_hum_goes_on_in_phase(
    library: LibraryBackend, noise: Make, folder: Path, write_wav: Callable[..., Path]
) -> None:
    time_s = np.arange(2 * RATE) / RATE
    hum = sum(np.sin(2 * np.pi * 61.7 * part * time_s) / part for part in range(1, 6))
    write_wav(folder / "transformer hum.wav", 0.1 * hum[None].astype(np.float32))
    window = _window(noise, seconds=12.0, span_s=(2.0, 10.0), level=0.05)
    _, (audio,) = _fill(library, window, _params("transformer"))
    levels = _levels(audio, 10 / 61.7)[1:-1]
    assert np.ptp(levels) < 0.5
    spectrum = np.abs(np.fft.rfft(audio[0] * np.hanning(audio.shape[1])))
    at_hz = np.fft.rfftfreq(audio.shape[1], 1 / RATE)
    near = np.abs((at_hz + 61.7 / 2) % 61.7 - 61.7 / 2) < 3
    assert np.sum(spectrum[~near] ** 2) < 1e-3 * np.sum(spectrum**2)


@pytest.mark.parametrize(("prompt", "mode"), [("rain", "once"), ("wooden slam", "loop")])
def test_a_mode_overrules(library: LibraryBackend, noise: Make, prompt: str, mode: str) -> None:
    generation, (audio,) = _fill(library, _window(noise), _params(prompt, mode))
    assert generation.mode == mode
    assert np.abs(audio).max() > 1e-4


@pytest.mark.parametrize("channels", [1, 2, 3, 6])
@pytest.mark.parametrize("rate", [16_000, 44_100, 192_000])
def test_any_rate_and_channels(library: LibraryBackend, channels: int, rate: int) -> None:
    audio = np.random.default_rng(0).standard_normal((channels, 2 * rate), np.float32) * 0.01
    window = Window(audio, rate, (Span(rate // 2, rate),), audio.shape[1])
    for prompt in ("metal gate", "rain"):
        _fill(library, window, _params(prompt))


def test_nothing_around_is_no_obstacle(library: LibraryBackend) -> None:
    window = Window(np.zeros((1, RATE), np.float32), RATE, (Span(0, RATE),), 0)
    for prompt in ("metal gate", "rain"):
        _, (audio,) = _fill(library, window, _params(prompt))
        assert np.abs(audio).max() > 0.01


def test_several_spans_get_several_performances(library: LibraryBackend, noise: Make) -> None:
    audio = noise(8.0, 1e-6, channels=2)
    spans = (Span(RATE, 2 * RATE), Span(4 * RATE, 5 * RATE))
    window = Window(audio, RATE, spans, audio.shape[1])
    generation = library.generate(window, _params("wooden heavy", match=False), [0], Watcher())
    first, second = (passage.audio for passage in generation.fills[0].passages)
    assert np.abs(first - second).max() > 0.1


# What is said


@pytest.mark.parametrize(
    ("prompt", "code"), [("", "invalid_prompt"), ("  ", "invalid_prompt"), ("purple", "no_match")]
)
def test_prompts_that_find_nothing(
    library: LibraryBackend, noise: Make, prompt: str, code: str
) -> None:
    with pytest.raises(JobError) as caught:
        library.generate(_window(noise), _params(prompt), [0], Watcher())
    assert (caught.value.code, bool(caught.value.hint)) == (code, True)


def test_words_that_no_file_has_are_told(library: LibraryBackend, noise: Make) -> None:
    generation, _ = _fill(library, _window(noise), _params("purple rain"))
    assert any("purple" in warning for warning in generation.warnings)


def test_a_missing_and_an_empty_folder(tmp_path: Path, noise: Make) -> None:
    for folder in (tmp_path / "nowhere", tmp_path / "empty"):
        if folder.name == "empty":
            folder.mkdir()
            (folder / "readme.txt").touch()
        backend = LibraryBackend(folder)
        backend.start(is_default=False)
        with pytest.raises(JobError) as caught:
            backend.generate(_window(noise), _params("rain"), [0], Watcher())
        backend.close()
        assert caught.value.code == "no_library"
        assert str(folder) in caught.value.message


def test_an_unfinished_index_is_searched_and_said_to_be_so(
    library: LibraryBackend, folder: Path, noise: Make
) -> None:
    class Unfinished(Indexer):
        progress = IndexProgress(listed=3, finished_s=time.monotonic())

        def request(self) -> None: ...

        def wait_listed(self, timeout_s: float) -> bool:
            return True

        def wait_read(self, timeout_s: float) -> bool:
            return False

    _fill(library, _window(noise), _params("rain"))
    library = LibraryBackend(folder, make_indexer=Unfinished)
    generation, _ = _fill(library, _window(noise), _params("rain"))
    assert generation.warnings[-1].endswith("still being built: 3 files are listed so far.")
    with pytest.raises(JobError, match="yet: 3 files") as caught:
        library.generate(_window(noise), _params("purple"), [0], Watcher())
    assert caught.value.code == "no_match"


def test_cancelling_and_progress(library: LibraryBackend, noise: Make) -> None:
    watcher = Watcher()
    library.generate(_window(noise), _params("rain"), [0, 1], watcher)
    assert watcher.fractions == sorted(watcher.fractions)
    assert 0.5 < watcher.fractions[-1] <= 1
    for steps in (0, 5):
        with pytest.raises(JobCancelled):
            library.generate(_window(noise), _params("rain"), [0, 1], Watcher(steps))


def test_the_recipe_keeps_the_background_under_an_event(
    library: LibraryBackend, noise: Make
) -> None:
    """Matching the ends' levels would turn the room down where the event is near an end."""
    window = _window(noise)
    request = InpaintRequest(
        job_id="job",
        sample_rate=RATE,
        channels=2,
        audio_frames=window.frames,
        window_frames=window.frames,
        spans=window.spans,
        prompt="wooden slam",
    )
    done, (patch,) = inpaint(
        request,
        window.audio,
        backends={"library": library},
        default_backend="library",
        monitor=JobMonitor(lambda: False, lambda _stage, _fraction: None),
        queued_s=0.0,
    )
    assert done.takes[0].seed == 0
    assert done.mode == "once"
    assert all(abs(seam.level_step_db) < 3 for seam in done.takes[0].seams)
    background = float(np.median(_levels(window.audio[:, : 3 * RATE], 0.05)))
    np.testing.assert_allclose(_levels(patch, 0.05)[20:], background, atol=3)
