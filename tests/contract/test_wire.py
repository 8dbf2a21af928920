"""The wire's golden messages: what another implementation must send and understand."""

import json
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from reapaint_engine.protocol import messages as m
from reapaint_engine.protocol.codec import decode_from_client, decode_from_engine, encode
from reapaint_engine.protocol.messages import ClientMessage, Message
from reapaint_engine.protocol.params import parameters
from reapaint_engine.protocol.spans import Span

GOLDEN = Path(__file__).parent / "wire"

REQUEST = m.InpaintRequest(
    job_id="0123456789abcdef",
    sample_rate=48000,
    channels=2,
    audio_frames=8,
    window_frames=10,
    spans=(Span(1, 2), Span(4, 10)),
    prompt="a door, far away",
    negative_prompt="",
    steps=8,
    guidance=1.0,
    seed=4294967295,
    takes=1,
    strength=0.5,
    crossfade_s=0.03,
    match_level=True,
    mode="auto",
    backend="context",
    model=None,
)
SEAM = m.SeamReport(
    span=0,
    side=m.Side.LEFT,
    frame=1,
    level_step_db=-0.5,
    click_ratio=0.75,
    crossfade_law="adaptive",
    crossfade_frames=0,
    correlation=0.25,
)
LIMITS = m.Limits(max_window_bytes=1024, max_queued_jobs=2, max_queued_bytes=4096)
BACKEND = m.BackendInfo(
    name="context",
    description="from the sound around it",
    models=("context",),
    default_model="context",
    modes=("auto",),
    honours=("seed",),
    max_window_s=60.0,
    max_span_s=30.0,
    sample_rate=44100,
    channels=2,
)
SAMPLES: tuple[Message, ...] = (
    m.Hello(token="secret", client="a test"),
    m.Submit(REQUEST, m.Placement.FRONT),
    m.Cancel("0123456789abcdef"),
    m.Received("0123456789abcdef"),
    m.Ping(),
    m.StatusRequest(),
    m.Stop(),
    m.Goodbye("done"),
    m.Welcome("0.1.0", 4242, (BACKEND,), "context", LIMITS),
    m.Accepted("0123456789abcdef", 3),
    m.Rejected("0123456789abcdef", "queue_full", "The queue is full.", "Try again."),
    m.Progress("0123456789abcdef", "sample", 0.5),
    m.Done(
        job_id="0123456789abcdef",
        request=REQUEST,
        backend="context",
        model="context",
        model_revision="0.1.0",
        mode="repair",
        engine_version="0.1.0",
        takes=(m.TakeReport(4294967295, (SEAM,)),),
        timings_s=m.Timings(queued=0.5, sample=0.25, total=0.75),
        warnings=("The prompt had no effect.",),
        notes=("small-sfx: the prompt names a sound.",),
    ),
    m.Failed(
        "0123456789abcdef",
        "no_library",
        "There is no folder /srv/sounds.",
        "Connect its disk.",
        "/srv/sounds",
    ),
    m.Cancelled("0123456789abcdef"),
    m.Pong(),
    m.Status(
        version="0.1.0",
        pid=4242,
        uptime_s=1.5,
        endpoint="tcp://127.0.0.1:5555",
        clients=1,
        queued_bytes=64,
        jobs=(
            m.JobSummary(
                job_id="a",
                state=m.JobState.RUNNING,
                stage="sample",
                fraction=0.5,
                prompt="wind",
                age_s=2.5,
            ),
        ),
    ),
)


def _parts_of(message: Message) -> list[np.ndarray]:
    shapes = message.part_shapes() if isinstance(message, m.Submit | m.Done) else ()
    return [np.zeros(shape, np.float32) for shape in shapes]


def test_every_message_has_a_sample() -> None:
    assert {type(sample) for sample in SAMPLES} == set(get_args(Message))
    assert {path.stem for path in GOLDEN.glob("*.json")} == {
        type(sample).__name__ for sample in SAMPLES
    }


@pytest.mark.parametrize("message", SAMPLES, ids=lambda message: type(message).__name__)
def test_what_is_written_is_the_golden_message(message: Message) -> None:
    golden = json.loads((GOLDEN / f"{type(message).__name__}.json").read_text(encoding="utf-8"))
    written = json.loads(bytes(encode(message, _parts_of(message))[0]))
    if isinstance(message, m.Submit | m.Done):
        # A parameter that is newer than the golden message stands there with its default.
        request = golden["body"]["request"]
        for name, parameter in parameters().items():
            request.setdefault(name, parameter.default)
    assert written == golden


@pytest.mark.parametrize("message", SAMPLES, ids=lambda message: type(message).__name__)
def test_the_golden_message_is_understood(message: Message) -> None:
    header = (GOLDEN / f"{type(message).__name__}.json").read_bytes()
    parts = [part.tobytes() for part in _parts_of(message)]
    decode = decode_from_client if isinstance(message, ClientMessage) else decode_from_engine
    assert decode([header, *parts])[0] == message


def test_parts_are_little_endian_channels_one_after_the_other() -> None:
    audio = np.arange(16, dtype=np.float32).reshape(2, 8)
    _, part = encode(m.Submit(REQUEST), [audio])
    assert bytes(part) == np.arange(16).astype("<f4").tobytes()
