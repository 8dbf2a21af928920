"""One model, from window to passages: a tiny checkpoint runs every step of a real one."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from reapaint_engine.backends.base import GenerationParams, Window
from reapaint_engine.backends.stable_audio_3.checkpoint.checkpoint import open_checkpoint
from reapaint_engine.backends.stable_audio_3.device.placement import DevicePlan
from reapaint_engine.backends.stable_audio_3.inference import pipeline
from reapaint_engine.backends.stable_audio_3.inference.pipeline import LoadedModel, load_model
from reapaint_engine.errors import JobCancelled, JobError
from reapaint_engine.protocol.spans import Span
from tests.tiny_checkpoints import HOP, write_original

RATE = 44100
PLAN = DevicePlan("cpu", "float32", "float32", "cpu", "For tests.")
PARAMS = GenerationParams(
    prompt="rain",
    negative_prompt="",
    steps=None,
    guidance=None,
    strength=1.0,
    mode="auto",
    model="",
)
SPANS = (Span(20 * HOP + 1000, 24 * HOP),)


class Steps:
    """A job's control that writes down what it is told, and may end the job."""

    def __init__(self, end: Callable[[str, float], bool] = lambda stage, fraction: False) -> None:
        self.told: list[tuple[str, float]] = []
        self._end = end

    def step(self, stage: str, fraction: float) -> None:
        self.told.append((stage, fraction))
        if self._end(stage, fraction):
            raise JobCancelled

    def count(self, stage: str) -> int:
        return sum(each == stage for each, _ in self.told)


def _load(folder: Path, **options: bool) -> LoadedModel:
    return load_model("tiny", open_checkpoint(folder), PLAN, lambda fraction: None, **options)


@pytest.fixture(scope="module", params=["same-s", "same-l"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    folder = tmp_path_factory.mktemp("tiny") / request.param
    write_original(folder, request.param)
    return _load(folder)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    folder = tmp_path_factory.mktemp("tiny") / "base"
    write_original(folder, objective="rectified_flow")
    return _load(folder)


def _window(spans: tuple[Span, ...] = SPANS, frames: int = 40 * HOP, missing: int = 0) -> Window:
    audio = 0.2 * np.random.default_rng(3).standard_normal((2, frames)).astype(np.float32)
    audio[:, frames - missing :] = 0
    audio.setflags(write=False)
    return Window(audio, RATE, spans, frames - missing)


def _passages(
    model: LoadedModel,
    seeds: list[int],
    window: Window | None = None,
    params: GenerationParams = PARAMS,
):
    generation = model.generate(window or _window(), params, seeds, Steps())
    return [fill.passages for fill in generation.fills]


def test_a_passage_covers_its_span_and_is_sound(model: LoadedModel) -> None:
    spans = (Span(1, 300), Span(10 * HOP - 5, 12 * HOP + 5), Span(39 * HOP, 40 * HOP))
    ((first, second, third),) = _passages(model, [1], _window(spans))
    for span, passage in zip(spans, (first, second, third), strict=True):
        assert passage.start <= span.start
        assert passage.start + passage.audio.shape[1] >= span.end
        assert passage.audio.dtype == np.float32
        assert np.isfinite(passage.audio).all()
        assert passage.audio.std() > 1e-3


def test_a_seed_gives_the_same_alone_and_among_others(model: LoadedModel) -> None:
    together = _passages(model, [7, 8, 9])
    for seed, (passage,) in zip([7, 8, 9], together, strict=True):
        ((alone,),) = _passages(model, [seed])
        np.testing.assert_array_equal(passage.audio, alone.audio)
    assert np.abs(together[0][0].audio - together[1][0].audio).max() > 1e-2


def test_a_batch_is_equal_but_for_rounding(
    model: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_turn = _passages(model, [7, 8, 9])
    monkeypatch.setattr(model, "takes_at_once", 16)
    for (one,), (other,) in zip(in_turn, _passages(model, [7, 8, 9]), strict=True):
        np.testing.assert_allclose(one.audio, other.audio, atol=2e-5)


def test_another_prompt_or_context_makes_another_sound(model: LoadedModel) -> None:
    ((rain,),) = _passages(model, [7])
    ((doors,),) = _passages(model, [7], params=replace(PARAMS, prompt="doors"))
    assert np.abs(rain.audio - doors.audio).max() > 1e-3
    window = _window()
    louder = replace(window, audio=window.audio * 1.5)
    ((other,),) = _passages(model, [7], louder)
    assert np.abs(rain.audio - other.audio).max() > 1e-3


def test_a_faint_strength_keeps_what_was_there(model: LoadedModel) -> None:
    window = _window()
    with torch.inference_mode():
        audio = torch.tensor(window.audio[:, 1000:])[None]
        kept = model.codec.decode(model.codec.encode(audio))[0].numpy()
    ((passage,),) = _passages(model, [7], params=replace(PARAMS, strength=0.0))
    start = passage.start - 1000
    length = passage.audio.shape[1]
    np.testing.assert_allclose(passage.audio, kept[:, start : start + length], atol=1e-3)
    ((half,),) = _passages(model, [7], params=replace(PARAMS, strength=0.2))
    ((whole,),) = _passages(model, [7])
    reference = passage.audio.ravel()
    likeness = [np.corrcoef(reference, p.audio.ravel())[0, 1] for p in (half, whole)]
    assert likeness[0] > likeness[1]


def test_a_window_may_reach_past_the_end(model: LoadedModel) -> None:
    window = _window((Span(30 * HOP, 40 * HOP),), missing=9 * HOP)
    ((passage,),) = _passages(model, [1], window)
    assert passage.start + passage.audio.shape[1] >= 40 * HOP
    assert passage.audio[:, -HOP:].std() > 1e-3


def test_another_take_of_the_same_place_encodes_nothing(
    model: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    window = _window((Span(15 * HOP, 17 * HOP),))
    _passages(model, [1], window)

    def refuse(*_: object) -> None:
        pytest.fail("the context was encoded again")

    monkeypatch.setattr(model.codec, "encode_range", refuse)
    monkeypatch.setattr(model.text, "_embed", refuse)
    _passages(model, [2], window)


def test_what_is_replaced_is_heard_by_its_neighbours_unless_it_is_hidden(
    tmp_path: Path,
) -> None:
    write_original(tmp_path / "tiny", "same-l")
    window = _window()
    changed = window.audio.copy()
    changed[:, SPANS[0].start : SPANS[0].end] *= -0.5
    other = Window(changed, RATE, SPANS, window.audio_frames)
    for hide, is_heard in ((False, True), (True, False)):
        model = _load(tmp_path / "tiny", hide_replaced=hide)
        ((first,),), ((second,),) = _passages(model, [1], window), _passages(model, [1], other)
        assert (np.abs(first.audio - second.audio).max() > 1e-6) == is_heard


def test_cancel_is_seen_between_two_steps(model: LoadedModel) -> None:
    for stage, at in (("encode", 0.0), ("sample", 0.3), ("decode", 0.0)):
        control = Steps(lambda s, f, stage=stage, at=at: s == stage and f >= at)
        with pytest.raises(JobCancelled):
            model.generate(_window((Span(9 * HOP, 11 * HOP),)), PARAMS, [1], control)
        assert control.told[-1][0] == stage
    assert control.count("sample") >= 8


def test_progress_only_moves_on(model: LoadedModel) -> None:
    control = Steps()
    model.generate(_window(), PARAMS, [1, 2], control)
    fractions = [fraction for _, fraction in control.told]
    assert fractions == sorted(fractions)
    assert fractions[0] >= 0
    assert fractions[-1] == pytest.approx(1.0)


def test_takes_that_do_not_fit_are_made_in_turn(
    model: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = _passages(model, [1, 2, 3])
    monkeypatch.setattr(model, "takes_at_once", 16)
    batches: list[int] = []
    real = pipeline.sample_captured

    def short_of_memory(runner, denoiser, job, noise, *arguments, **keywords):
        takes = noise[0].shape[0]
        batches.append(takes)
        if takes > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(runner, denoiser, job, noise, *arguments, **keywords)

    monkeypatch.setattr(pipeline, "sample_captured", short_of_memory)
    made = _passages(model, [1, 2, 3])
    assert batches == [3, 2, 1, 1, 1]
    for (one,), (other,) in zip(expected, made, strict=True):
        np.testing.assert_allclose(one.audio, other.audio, atol=2e-5)


def test_when_nothing_fits_the_sentence_says_so_and_the_model_lives_on(
    model: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:

        def no_memory(*_: object, **__: object) -> None:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried")

        patch.setattr(pipeline, "sample_captured", no_memory)
        with pytest.raises(JobError) as caught:
            model.generate(_window(), PARAMS, [1], Steps())
    assert caught.value.code == "out_of_memory"
    assert "Select less" in caught.value.hint
    assert _passages(model, [1])


def test_other_errors_are_not_taken_for_a_lack_of_memory(
    model: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr(pipeline, "sample_captured", fail)
    with pytest.raises(RuntimeError, match="shapes"):
        model.generate(_window(), PARAMS, [1], Steps())


def test_too_long_a_selection_is_refused(model: LoadedModel) -> None:
    frames = model.settings.max_frames
    with pytest.raises(JobError) as caught:
        model.generate(_window((Span(0, frames),), frames), PARAMS, [1], Steps())
    assert caught.value.code == "too_large"


def _warnings(model: LoadedModel, **params: object) -> Iterator[str]:
    return iter(model.generate(_window(), replace(PARAMS, **params), [1], Steps()).warnings)


def test_a_distilled_model_says_what_it_does_not_follow(model: LoadedModel) -> None:
    assert list(_warnings(model)) == []
    guidance, negative = _warnings(model, guidance=7.0, negative_prompt="wind")
    assert "Guidance has no documented effect" in guidance
    assert "negative prompt" in negative


def test_guidance_on_a_distilled_model_gives_no_silence(model: LoadedModel) -> None:
    ((plain,),) = _passages(model, [1])
    for scale in (0.0, 7.0, 25.0):
        ((guided,),) = _passages(model, [1], params=replace(PARAMS, guidance=scale))
        assert 0.3 < guided.audio.std() / plain.audio.std() < 3


def test_a_base_model_follows_guidance_and_negative_prompt(base: LoadedModel) -> None:
    params = replace(PARAMS, steps=6)
    ((seven,),) = _passages(base, [1], params=params)
    ((one,),) = _passages(base, [1], params=replace(params, guidance=1.0))
    ((avoided,),) = _passages(base, [1], params=replace(params, negative_prompt="wind"))
    assert np.abs(seven.audio - one.audio).max() > 1e-2
    assert np.abs(seven.audio - avoided.audio).max() > 1e-3
    assert list(_warnings(base, steps=2, negative_prompt="wind")) == []
    (warning,) = _warnings(base, steps=2, negative_prompt="wind", guidance=1.0)
    assert "guidance other than 1" in warning


def test_the_models_own_steps_and_guidance_are_reported(
    model: LoadedModel, base: LoadedModel
) -> None:
    for each, steps, guidance in ((model, 8, 1.0), (base, 50, 7.0)):
        control = Steps()
        generation = each.generate(_window(), PARAMS, [1], control)
        assert (generation.steps, generation.guidance) == (steps, guidance)


def test_a_prompt_that_is_too_long_says_what_went_unheard(model: LoadedModel) -> None:
    (warning,) = _warnings(model, prompt="rain " * 40)
    assert "32 tokens" in warning
    assert "rain" in warning


def test_loud_peaks_survive(model: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    quiet = model.codec.decode_range
    monkeypatch.setattr(model.codec, "decode_range", lambda *given: 30 * quiet(*given))
    ((passage,),) = _passages(model, [1])
    assert np.abs(passage.audio).max() > 2.0
