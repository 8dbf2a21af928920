"""The recipe of one job, with backends that do as they are told."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest

from reapaint_engine.backends.base import (
    Fill,
    Generation,
    GenerationParams,
    JobControl,
    Passage,
    Window,
)
from reapaint_engine.backends.echo import EchoBackend
from reapaint_engine.errors import JobCancelled, JobError
from reapaint_engine.inpaint import inpaint
from reapaint_engine.monitor import JobMonitor
from reapaint_engine.protocol.messages import BackendInfo, Done, InpaintRequest
from reapaint_engine.protocol.spans import Span

RATE = 48_000
REQUEST = InpaintRequest(
    job_id="job",
    sample_rate=RATE,
    channels=2,
    audio_frames=RATE,
    window_frames=RATE,
    spans=(Span(10_000, 20_000), Span(30_000, 30_001)),
)


@dataclass
class ToldBackend:
    """Fills masks with whatever ``make`` returns, at a rate and channel count of its own."""

    make: Callable[[Window, Span, int], Passage]
    sample_rate: int | None = None
    channels: int | None = None
    honours: tuple[str, ...] = ()
    heard: Window | None = None
    params: GenerationParams | None = None

    @property
    def info(self) -> BackendInfo:
        return BackendInfo(
            name="told", description="", models=("told",), default_model="told",
            modes=("auto",), honours=self.honours, max_window_s=60.0, max_span_s=60.0,
            sample_rate=self.sample_rate, channels=self.channels,
        )  # fmt: skip

    def generate(
        self, window: Window, params: GenerationParams, seeds: Sequence[int], control: JobControl
    ) -> Generation:
        self.heard, self.params = window, params
        control.step("encode", 0.1)
        control.step("sample", 0.5)
        fills = tuple(
            Fill(tuple(self.make(window, span, seed) for span in window.spans)) for seed in seeds
        )
        return Generation(fills, "told", "1", "auto", ("A word of caution.",))


def _audio(channels: int = 2, frames: int = RATE, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((channels, frames), np.float32) / 10


def _noise(window: Window, span: Span, seed: int) -> Passage:
    rng = np.random.default_rng(seed)
    shape = (window.audio.shape[0], span.length)
    return Passage(span.start, rng.standard_normal(shape, np.float32) / 10)


def _run(
    backend: object, request: InpaintRequest = REQUEST, audio: np.ndarray | None = None
) -> tuple[Done, tuple[np.ndarray, ...]]:
    audio = _audio(request.channels, request.audio_frames) if audio is None else audio
    audio.flags.writeable = False
    return inpaint(
        request,
        audio,
        backends={"told": backend},
        default_backend="told",
        monitor=JobMonitor(lambda: False, lambda stage, fraction: None),
        queued_s=0.25,
    )


def test_every_default_is_filled_in_for_the_next_time() -> None:
    done, _ = _run(ToldBackend(_noise))
    assert done.request == replace(
        REQUEST, backend="told", model="told", crossfade_s=0.03, seed=done.request.seed
    )
    assert done.request.seed is not None
    assert done.timings_s.queued == 0.25
    assert done.timings_s.total > 0.25
    assert done.warnings == ("A word of caution.",)


def test_patches_have_the_shape_of_their_spans_for_every_take() -> None:
    done, patches = _run(ToldBackend(_noise), replace(REQUEST, takes=3, seed=5))
    assert [take.seed for take in done.takes] == [5, 6, 7]
    assert [patch.shape for patch in patches] == [(2, 10_000), (2, 1)] * 3
    assert all(patch.dtype == np.float32 for patch in patches)
    assert not np.array_equal(patches[0], patches[2])


def test_seeds_wrap_around_at_their_limit() -> None:
    done, _ = _run(ToldBackend(_noise), replace(REQUEST, takes=3, seed=2**32 - 2))
    assert [take.seed for take in done.takes] == [2**32 - 2, 2**32 - 1, 0]


def test_the_edge_frame_is_the_original_where_it_goes_on_naturally() -> None:
    audio = _audio()
    _, patches = _run(ToldBackend(_noise), audio=audio)
    np.testing.assert_array_equal(patches[0][:, 0], audio[:, 10_000])
    np.testing.assert_array_equal(patches[0][:, -1], audio[:, 19_999])


def test_without_a_crossfade_the_new_audio_stands_alone() -> None:
    request = replace(REQUEST, crossfade_s=0.0, match_level=False, seed=3)
    _, patches = _run(ToldBackend(_noise), request)
    expected = np.random.default_rng(3).standard_normal((2, 10_000), np.float32) / 10
    np.testing.assert_array_equal(patches[0], expected)


@pytest.mark.parametrize("channels", [1, 2, 6])
@pytest.mark.parametrize("rate", [44_100, 48_000, 96_000])
def test_a_backend_hears_its_own_rate_and_channels(channels: int, rate: int) -> None:
    """A tone that a backend only passes on comes back as it was, in its place."""
    t = np.arange(RATE) / RATE
    tone = np.sin(2 * np.pi * 440 * t).astype(np.float32)
    audio = np.stack([tone * (0.5 / (n + 1)) for n in range(channels)])
    backend = ToldBackend(
        lambda window, span, seed: Passage(span.start, window.audio[:, span.start : span.end]),
        sample_rate=44_100,
        channels=2,
    )
    frames = RATE
    request = replace(
        REQUEST,
        sample_rate=rate,
        channels=channels,
        spans=(Span(10_000, 20_000),),
        audio_frames=frames,
        window_frames=frames,
        match_level=False,
    )
    _, patches = _run(backend, request, audio.copy())
    assert backend.heard.sample_rate == 44_100
    assert backend.heard.audio.shape[0] == 2
    (span,) = backend.heard.spans
    assert span.start / 44_100 <= 10_000 / rate
    assert span.end / 44_100 >= 20_000 / rate
    middle = slice(3000, 7000)
    np.testing.assert_allclose(patches[0][:, middle], audio[:, 10_000:20_000][:, middle], atol=5e-3)


def test_past_the_end_the_backend_hears_zeros_inside_the_span() -> None:
    request = replace(
        REQUEST, audio_frames=40_000, window_frames=50_000, spans=(Span(39_000, 50_000),)
    )
    backend = ToldBackend(_noise)
    done, patches = _run(backend, request)
    assert backend.heard.audio.shape == (2, 50_000)
    assert backend.heard.audio_frames == 40_000
    assert not backend.heard.audio[:, 40_000:].any()
    assert patches[0].shape == (2, 11_000)
    assert [seam.side for seam in done.takes[0].seams] == ["left"]
    # What was made is heard to the very end: no fade towards nothing.
    assert np.abs(patches[0][:, -100:]).max() > 0.01


def test_a_span_at_the_start_has_one_seam() -> None:
    done, _ = _run(ToldBackend(_noise), replace(REQUEST, spans=(Span(0, 5000),)))
    assert [(seam.side, seam.frame) for seam in done.takes[0].seams] == [("right", 5000)]


def test_the_figures_of_seams_come_rounded() -> None:
    done, _ = _run(ToldBackend(_noise))
    for seam in done.takes[0].seams:
        assert seam.level_step_db == round(seam.level_step_db, 2)
        assert seam.click_ratio == round(seam.click_ratio, 3)
        assert seam.correlation == round(seam.correlation, 3)


def test_ignored_fields_are_warnings_and_honoured_ones_are_not() -> None:
    request = replace(REQUEST, prompt="wind", guidance=3.0, strength=0.5)
    done, _ = _run(ToldBackend(_noise, honours=("prompt",)), request)
    assert len(done.warnings) == 3
    assert not any("the prompt" in warning for warning in done.warnings)
    assert any("guidance" in warning for warning in done.warnings)
    assert any("strength" in warning for warning in done.warnings)


def test_nothing_audible_changed_is_a_warning() -> None:
    done, _ = _run(EchoBackend(), replace(REQUEST, takes=2))
    unchanged = [warning for warning in done.warnings if "Nothing audible" in warning]
    assert len(unchanged) == 2


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"backend": "magic"}, "unknown_backend"),
        ({"model": "magic"}, "unknown_model"),
        ({"mode": "magic"}, "unknown_mode"),
    ],
)
def test_what_there_is_not_is_named(changes: dict[str, str], code: str) -> None:
    with pytest.raises(JobError) as caught:
        _run(ToldBackend(_noise), replace(REQUEST, **changes))
    assert caught.value.code == code


def test_a_backend_that_returns_rubbish_is_a_failed_job() -> None:
    def not_a_number(window: Window, span: Span, seed: int) -> Passage:
        return Passage(span.start, np.full((2, span.length), np.nan, np.float32))

    def too_short(window: Window, span: Span, seed: int) -> Passage:
        return Passage(span.start, np.zeros((2, span.length - 1), np.float32))

    for make in (not_a_number, too_short):
        with pytest.raises(JobError) as caught:
            _run(ToldBackend(make))
        assert caught.value.code == "backend_failed"


def test_a_cancelled_job_ends_at_the_next_step() -> None:
    steps: list[str] = []

    def cancelled() -> bool:
        return len(steps) > 0

    monitor = JobMonitor(cancelled, lambda stage, fraction: steps.append(stage))
    with pytest.raises(JobCancelled):
        inpaint(
            REQUEST,
            _audio(),
            backends={"told": ToldBackend(_noise)},
            default_backend="told",
            monitor=monitor,
            queued_s=0.0,
        )
    assert steps == ["encode"]


def test_progress_grows_and_stages_are_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reapaint_engine.monitor.PROGRESS_INTERVAL_S", 0.0)
    reports: list[tuple[str, float]] = []
    monitor = JobMonitor(lambda: False, lambda stage, fraction: reports.append((stage, fraction)))
    inpaint(
        REQUEST,
        _audio(),
        backends={"told": ToldBackend(_noise)},
        default_backend="told",
        monitor=monitor,
        queued_s=0.0,
    )
    assert [stage for stage, _ in reports] == ["encode", "sample", "splice"]
    assert [fraction for _, fraction in reports] == sorted(fraction for _, fraction in reports)
    assert set(monitor.seconds) == {"encode", "sample", "splice"}
