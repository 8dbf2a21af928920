"""Hosted services by the road that every job takes: the engine's recipe and its own command."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from reapaint_engine.backends.base import Backend
from reapaint_engine.backends.hosted.backend import HostedBackend
from reapaint_engine.backends.hosted.errors import HostedError
from reapaint_engine.backends.hosted.pace import Pace, SystemClock
from reapaint_engine.backends.hosted.registry import make_hosted_backends
from reapaint_engine.local import LocalEngine
from reapaint_engine.protocol.messages import Done, InpaintRequest
from reapaint_engine.protocol.spans import Span
from tests.standins.base import Rendering, StandIn, Status
from tests.standins.eachlabs import EachLabsStandIn
from tests.standins.fal import FalStandIn
from tests.standins.stability import StabilityStandIn
from tests.standins.wavespeed import WaveSpeedStandIn

KEYS = {
    WaveSpeedStandIn: "WAVESPEED_API_KEY",
    EachLabsStandIn: "EACHLABS_API_KEY",
    FalStandIn: "FAL_KEY",
    StabilityStandIn: "STABILITY_API_KEY",
}
RATE = 48_000


class NoWait(SystemClock):
    """A clock on which time passes when somebody waits, and at once."""

    def __init__(self) -> None:
        self._now_s = 0.0

    def monotonic_s(self) -> float:
        return self._now_s

    def pause(self, seconds: float) -> None:
        self._now_s += seconds


@pytest.fixture(params=list(KEYS), ids=lambda kind: kind.name)
def standin(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[StandIn]:
    made = request.param()
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv(KEYS[request.param], made.key)
    monkeypatch.setenv(f"REAPAINT_{made.name.upper()}_URL", made.url)
    monkeypatch.setenv("REAPAINT_STATE_DIR", str(tmp_path / "state"))
    yield made
    made.close()


@pytest.fixture
def engine(standin: StandIn, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalEngine]:
    """Return an engine that has the hosted services, and does not wait for them."""
    hosted: dict[str, Backend] = {
        each.info.name: HostedBackend(each.service, pace=Pace(), clock=NoWait())
        for each in make_hosted_backends()
    }
    from reapaint_engine import local

    plain = local.make_backends
    monkeypatch.setattr(local, "make_backends", lambda *options: {**plain(*options), **hosted})
    made = LocalEngine("context")
    yield made
    made.close()


def _audio(channels: int, frames: int) -> np.ndarray:
    noise = np.random.default_rng(channels).standard_normal((channels, frames))
    # Services work at 44.1 kHz: what is above half of that does not come back.
    spectrum = np.fft.rfft(noise)
    spectrum[:, np.fft.rfftfreq(frames, 1 / RATE) > 12_000] = 0.0
    return (0.07 * np.fft.irfft(spectrum, frames)).astype(np.float32)


def _request(standin: StandIn, channels: int, *spans: Span) -> InpaintRequest:
    return InpaintRequest(
        job_id="job-1",
        sample_rate=RATE,
        channels=channels,
        audio_frames=8 * RATE,
        window_frames=8 * RATE,
        spans=spans,
        prompt="rain",
        backend=standin.name,
        seed=3,
    )


def _run(
    engine: LocalEngine, request: InpaintRequest, audio: np.ndarray
) -> tuple[Done, tuple[np.ndarray, ...]]:
    return engine.run(request, audio, lambda stage, fraction: None)


@pytest.mark.parametrize("channels", [1, 2])
def test_only_the_span_changes_and_it_does(
    engine: LocalEngine, standin: StandIn, channels: int
) -> None:
    standin.rendering = Rendering(delay_frames=1105, gain=0.5)
    audio = _audio(channels, 8 * RATE)
    before = audio.copy()
    audio.flags.writeable = False
    spans = (Span(100_001, 150_000), Span(250_000, 260_003))
    done, patches = _run(engine, _request(standin, channels, *spans), audio)
    assert [patch.shape for patch in patches] == [(channels, span.length) for span in spans]
    np.testing.assert_array_equal(audio, before)
    for span, patch in zip(spans, patches, strict=True):
        old = before[:, span.start : span.end]
        # At the very edge the output is the original's: the seams are inside.
        np.testing.assert_array_equal(patch[:, 0], old[:, 0])
        np.testing.assert_array_equal(patch[:, -1], old[:, -1])
        # The stand-in turns the sound over: what came back is in its place and at its level.
        middle = slice(2000, -2000)
        error = patch[:, middle] + old[:, middle]
        assert np.mean(error**2) < 0.05 * np.mean(old**2)
    assert standin.paid == 2
    assert done.notes[0].startswith("2 requests of")
    assert done.backend == standin.name


def test_the_same_job_again_is_not_paid_again(engine: LocalEngine, standin: StandIn) -> None:
    request, audio = _request(standin, 2, Span(100_000, 150_000)), _audio(2, 8 * RATE)
    _, first = _run(engine, request, audio)
    done, second = _run(engine, replace(request, job_id="job-2"), audio)
    np.testing.assert_array_equal(first[0], second[0])
    assert standin.paid == 1
    assert "nothing was paid again" in done.notes[0]


def test_what_no_model_takes_is_a_warning(engine: LocalEngine, standin: StandIn) -> None:
    request = replace(
        _request(standin, 2, Span(100_000, 150_000)), strength=0.5, negative_prompt="voices"
    )
    done, _ = _run(engine, request, _audio(2, 8 * RATE))
    assert any("strength" in warning for warning in done.warnings)
    knows_negative = standin.name in ("wavespeed", "fal")
    assert any("negative prompt" in warning for warning in done.warnings) != knows_negative


def test_a_refusal_is_one_sentence(engine: LocalEngine, standin: StandIn) -> None:
    standin.faults["submit"].append(Status(402, content={"message": "balance is 0"}))
    with pytest.raises(HostedError) as caught:
        _run(engine, _request(standin, 2, Span(100_000, 150_000)), _audio(2, 8 * RATE))
    assert caught.value.code == "no_credit"
    assert caught.value.message.count(". ") == 0
    assert standin.paid == 0


def test_without_a_key_the_sentence_names_the_variable(
    engine: LocalEngine, standin: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    variable = KEYS[type(standin)]
    monkeypatch.delenv(variable)
    with pytest.raises(HostedError) as caught:
        _run(engine, _request(standin, 2, Span(100_000, 150_000)), _audio(2, 8 * RATE))
    assert caught.value.code == "no_key"
    assert variable in caught.value.hint
    assert not standin.asked


def test_no_log_holds_the_key(
    engine: LocalEngine, standin: StandIn, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    standin.faults["upload"].append(Status(500, content={"message": standin.key}))
    standin.faults["poll"].append(Status(500, content={"message": standin.key}))
    _run(engine, _request(standin, 2, Span(100_000, 150_000)), _audio(2, 8 * RATE))
    log = "\n".join(record.getMessage() for record in caplog.records)
    assert standin.key not in log
