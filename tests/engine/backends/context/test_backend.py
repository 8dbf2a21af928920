from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np
import pytest

from reapaint_engine.backends.base import Generation, GenerationParams, Window
from reapaint_engine.backends.context.backend import ContextBackend
from reapaint_engine.dsp.splicing import Levelling
from reapaint_engine.errors import JobCancelled, JobError
from reapaint_engine.protocol.arrays import Audio
from reapaint_engine.protocol.errors import ErrorCode
from reapaint_engine.protocol.spans import Span

RATE = 16_000
RECORDINGS = Path(__file__).parents[4] / "bridge" / "reapaint" / "recordings"


def read_speech() -> tuple[Audio, int]:
    with av.open(str(RECORDINGS / "speech.flac")) as container:
        stream = container.streams.audio[0]
        resampler = av.AudioResampler(format="fltp")
        frames = [each for frame in container.decode(stream) for each in resampler.resample(frame)]
        return np.concatenate([frame.to_ndarray() for frame in frames], axis=1), stream.rate


class FakeControl:
    """Keeps what was told; ends the job at a chosen step."""

    def __init__(self, cancel_at: int | None = None) -> None:
        self.told: list[tuple[str, float]] = []
        self._cancel_at = cancel_at

    def step(self, stage: str, fraction: float) -> None:
        self.told.append((stage, fraction))
        if self._cancel_at == len(self.told):
            raise JobCancelled


def params(mode: str = "auto") -> GenerationParams:
    return GenerationParams(
        prompt="",
        negative_prompt="",
        steps=None,
        guidance=None,
        strength=1.0,
        mode=mode,
        model="context",
    )


def windowed(audio: Audio, *spans: Span, rate: int = RATE, audio_frames: int = 0) -> Window:
    """A window that holds NaN wherever nothing may be read."""
    heard = audio.copy()
    for each in spans:
        heard[:, each.start : each.end] = np.nan
    heard.setflags(write=False)
    return Window(heard, rate, spans, audio_frames or audio.shape[1])


def generate(
    window: Window,
    mode: str = "auto",
    seeds: Sequence[int] = (1,),
    control: FakeControl | None = None,
) -> Generation:
    made = ContextBackend().generate(window, params(mode), seeds, control or FakeControl())
    assert len(made.fills) == len(seeds)
    for fill in made.fills:
        for span, passage in zip(window.spans, fill.passages, strict=True):
            assert passage.start <= span.start
            assert passage.start + passage.audio.shape[1] >= span.end
            assert passage.audio.shape[0] == window.audio.shape[0]
            assert passage.audio.dtype == np.float32
            assert np.isfinite(passage.audio).all()
    return made


def noise(channels: int = 1, length_s: float = 4.0, rate: int = RATE) -> Audio:
    made = np.random.default_rng(4).standard_normal((channels, round(length_s * rate)))
    return (0.1 * made).astype(np.float32)


def tone(length_s: float = 4.0) -> Audio:
    phase = 2 * np.pi * 330 * np.arange(round(length_s * RATE)) / RATE
    return (0.3 * np.sin(phase) + 0.1 * np.sin(3 * phase))[np.newaxis].astype(np.float32)


def ticks(length_s: float = 6.0) -> Audio:
    rng = np.random.default_rng(8)
    audio = 1e-3 * rng.standard_normal(round(length_s * RATE))
    stroke = 0.5 * rng.standard_normal(2000) * np.exp(-np.arange(2000) / 400)
    for at in range(0, audio.size - 2000, 8000):
        audio[at : at + 2000] += stroke
    return audio[np.newaxis].astype(np.float32)


@pytest.mark.parametrize(
    ("audio", "gap_s", "mode"),
    [
        (noise(), 0.05, "repair"),
        (noise(), 1.0, "ambience"),
        (tone(), 0.08, "repair"),
        (tone(), 1.0, "similar"),
        (ticks(), 1.0, "similar"),
        (np.zeros((1, 4 * RATE), np.float32), 1.0, "ambience"),
    ],
    ids=["short", "noise", "short tone", "tone", "beat", "silence"],
)
def test_auto_chooses_by_length_and_by_what_is_around(
    audio: Audio, gap_s: float, mode: str
) -> None:
    span = Span(2 * RATE, 2 * RATE + round(gap_s * RATE))
    assert generate(windowed(audio, span)).mode == mode


@pytest.mark.parametrize("mode", ["repair", "ambience", "similar"])
def test_a_chosen_mode_is_kept_to(mode: str) -> None:
    span = Span(2 * RATE, 2 * RATE + 3000)
    assert generate(windowed(tone(), span), mode).mode == mode


def test_every_mode_that_was_used_is_named_once() -> None:
    spans = (Span(8000, 8100), Span(20_000, 36_000), Span(50_000, 50_200))
    made = generate(windowed(noise(), *spans))
    assert made.mode == "repair+ambience"
    assert made.model == "context"


def test_an_unknown_mode_is_refused_with_those_that_exist() -> None:
    with pytest.raises(JobError) as caught:
        generate(windowed(noise(), Span(100, 200)), "granular")
    assert caught.value.code == ErrorCode.UNKNOWN_MODE
    assert "similar" in caught.value.hint


@pytest.mark.parametrize("kept", [0, 100])
@pytest.mark.parametrize("mode", ["auto", "repair", "ambience", "similar"])
def test_next_to_nothing_kept_is_refused(mode: str, kept: int) -> None:
    with pytest.raises(JobError) as caught:
        generate(windowed(noise(), Span(kept, 4 * RATE)), mode)
    assert caught.value.code == ErrorCode.NO_CONTEXT
    assert caught.value.hint


@pytest.mark.parametrize("mode", ["auto", "repair", "ambience", "similar"])
@pytest.mark.parametrize("name", ["silence", "constant", "silent channel", "impulse"])
def test_degenerate_contexts_are_filled(name: str, mode: str) -> None:
    audio = np.zeros((2, 2 * RATE), np.float32)
    if name == "constant":
        audio += 0.5
    elif name == "silent channel":
        audio[0] = noise(length_s=2)[0]
    elif name == "impulse":
        audio[:, 4000] = 1.0
    span = Span(RATE, RATE + 4000)
    passage = generate(windowed(audio, span), mode).fills[0].passages[0]
    new = passage.audio[:, span.start - passage.start :][:, : span.length]
    if name == "silence":
        assert not new.any()
    elif name == "constant":
        np.testing.assert_allclose(new, 0.5, atol=0.02)
    elif name == "silent channel":
        assert not new[1].any()


@pytest.mark.parametrize("mode", ["auto", "repair", "ambience", "similar"])
@pytest.mark.parametrize(
    ("span", "audio_frames"),
    [
        (Span(8000, 8001), 16_000),
        (Span(0, 900), 16_000),
        (Span(15_500, 16_000), 16_000),
        (Span(9_000, 16_000), 12_000),
        (Span(12_000, 16_000), 12_000),
        (Span(700, 15_000), 16_000),
    ],
    ids=["one frame", "start", "end", "over the end", "past the end", "little context"],
)
def test_spans_anywhere_are_filled(span: Span, audio_frames: int, mode: str) -> None:
    generate(windowed(noise(2, 1.0), span, audio_frames=audio_frames), mode)


@pytest.mark.parametrize(
    ("rate", "channels"), [(8_000, 1), (44_100, 6), (384_000, 2), (16_000, 64)]
)
def test_any_rate_and_channel_count_is_filled(rate: int, channels: int) -> None:
    span = Span(rate // 4, rate // 4 + rate // 8)
    generate(windowed(noise(channels, 0.6, rate), span, rate=rate))


def test_a_seed_gives_the_same_samples_alone_or_among_others() -> None:
    audio = np.concatenate([ticks(5), noise(length_s=5)], axis=1)
    spans = (Span(16_000, 16_200), Span(30_000, 50_000), Span(100_000, 130_000))
    window = windowed(audio, *spans)
    among = generate(window, seeds=(3, 4, 5))
    for seed, fill in zip((3, 4, 5), among.fills, strict=True):
        alone = generate(window, seeds=(seed,)).fills[0]
        for one, other in zip(alone.passages, fill.passages, strict=True):
            np.testing.assert_array_equal(one.audio, other.audio)


def test_other_seeds_give_other_takes() -> None:
    span = Span(2 * RATE, 3 * RATE)
    for audio in (noise(), ticks()):
        first, second = generate(windowed(audio, span), seeds=(0, 1)).fills
        assert not np.array_equal(first.passages[0].audio, second.passages[0].audio)


def test_a_gap_in_speech_is_filled_with_its_pauses() -> None:
    audio, rate = read_speech()
    span = Span(3 * rate, 4 * rate)
    made = generate(windowed(audio, span, rate=rate))
    passage = made.fills[0].passages[0]
    assert made.mode == "ambience"
    assert passage.levelling is Levelling.SETTLE
    middle = passage.audio[:, span.start - passage.start + rate // 8 :][:, : 3 * rate // 4]
    # As loud as the pauses are, and no louder.
    runs = np.square(audio[0, : audio.size // 800 * 800]).reshape(-1, 800).mean(axis=1)
    assert np.mean(np.square(middle)) < 4 * np.percentile(runs, 15)
    assert np.mean(np.square(middle)) > 0.1 * np.percentile(runs, 5)


def test_cancel_ends_the_job_wherever_it_is() -> None:
    window = windowed(ticks(), Span(2 * RATE, 3 * RATE), Span(4 * RATE, 4 * RATE + 100))
    control = FakeControl()
    generate(window, control=control)
    steps = len(control.told)
    assert steps > 20
    for at in (1, steps // 2, steps):
        with pytest.raises(JobCancelled):
            generate(window, control=FakeControl(cancel_at=at))


def test_progress_never_leaves_the_whole() -> None:
    control = FakeControl()
    spans = (Span(8000, 8100), Span(20_000, 36_000), Span(50_000, 50_200))
    generate(windowed(noise(), *spans), seeds=(1, 2), control=control)
    fractions = [fraction for _, fraction in control.told]
    assert min(fractions) >= 0
    assert max(fractions) <= 1
    assert {stage for stage, _ in control.told} <= {"encode", "sample", "decode"}


def test_what_it_can_do_is_known_at_once() -> None:
    info = ContextBackend().info
    assert info.name == "context"
    assert info.default_model in info.models
    assert info.modes == ("auto", "repair", "ambience", "similar")
    assert info.sample_rate is None
    assert info.channels is None
    assert "prompt" not in info.honours
