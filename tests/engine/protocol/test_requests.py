from dataclasses import replace

import pytest

from reapaint_engine.protocol.errors import ProtocolError
from reapaint_engine.protocol.messages import InpaintRequest
from reapaint_engine.protocol.requests import check_request, crossfade_frames
from reapaint_engine.protocol.spans import Span

LIMIT = 1 << 30
GOOD = InpaintRequest(
    job_id="job-1",
    sample_rate=48000,
    channels=2,
    audio_frames=1000,
    window_frames=1000,
    spans=(Span(100, 200),),
)


def test_a_plain_request_passes() -> None:
    check_request(GOOD, max_window_bytes=LIMIT)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"job_id": ""}, "invalid_job_id"),
        ({"job_id": "../../etc"}, "invalid_job_id"),
        ({"job_id": "x" * 129}, "invalid_job_id"),
        ({"job_id": "a\n"}, "invalid_job_id"),
        ({"sample_rate": 7999}, "invalid_audio_format"),
        ({"sample_rate": 384001}, "invalid_audio_format"),
        ({"channels": 0}, "invalid_audio_format"),
        ({"channels": 65}, "invalid_audio_format"),
        ({"audio_frames": -1}, "invalid_audio_format"),
        ({"audio_frames": 1001}, "invalid_audio_format"),
        ({"window_frames": 2**40, "audio_frames": 2**40}, "too_large"),
        ({"spans": ()}, "invalid_spans"),
        ({"spans": (Span(10, 10),)}, "invalid_spans"),
        ({"spans": (Span(900, 1001),)}, "invalid_spans"),
        ({"spans": (Span(100, 200), Span(150, 300))}, "invalid_spans"),
        ({"audio_frames": 900}, "invalid_spans"),
        ({"audio_frames": 900, "spans": (Span(950, 1000),)}, "invalid_spans"),
        ({"prompt": "x" * 10_001}, "invalid_prompt"),
        ({"negative_prompt": "x" * 10_001}, "invalid_prompt"),
        ({"steps": 0}, "invalid_steps"),
        ({"steps": 101}, "invalid_steps"),
        ({"guidance": -0.1}, "invalid_guidance"),
        ({"guidance": 25.1}, "invalid_guidance"),
        ({"guidance": float("nan")}, "invalid_guidance"),
        ({"seed": -1}, "invalid_seed"),
        ({"seed": 2**32}, "invalid_seed"),
        ({"takes": 0}, "invalid_takes"),
        ({"takes": 17}, "invalid_takes"),
        ({"strength": -0.01}, "invalid_strength"),
        ({"strength": 1.01}, "invalid_strength"),
        ({"crossfade_s": -0.01}, "invalid_crossfade"),
        ({"crossfade_s": float("inf")}, "invalid_crossfade"),
    ],
)
def test_each_limit_has_its_code(changes: dict[str, object], code: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        check_request(replace(GOOD, **changes), max_window_bytes=LIMIT)
    assert caught.value.code == code
    assert caught.value.message.endswith(".")
    assert caught.value.hint.endswith(".")


@pytest.mark.parametrize(
    "changes",
    [
        {"steps": 1, "guidance": 0, "seed": 0, "takes": 1, "strength": 0, "crossfade_s": 0},
        {"steps": 100, "guidance": 25, "seed": 2**32 - 1, "takes": 16, "strength": 1},
        {"spans": (Span(0, 1000),)},
        {"audio_frames": 900, "spans": (Span(900, 1000),)},
        {"audio_frames": 0, "spans": (Span(0, 1000),)},
    ],
)
def test_the_limits_themselves_pass(changes: dict[str, object]) -> None:
    check_request(replace(GOOD, **changes), max_window_bytes=LIMIT)


def test_a_crossfade_takes_at_most_a_quarter_of_its_span() -> None:
    assert crossfade_frames(None, 48000, 48000) == 1440
    assert crossfade_frames(None, 100, 48000) == 25
    assert crossfade_frames(1.0, 48000, 48000) == 12000
    assert crossfade_frames(0.0, 48000, 48000) == 0
    assert crossfade_frames(None, 1, 48000) == 0
