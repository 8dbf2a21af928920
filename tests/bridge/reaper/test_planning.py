"""From the scripts' seconds to windows, and from patches to files."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from reapaint.errors import BridgeError, InputError
from reapaint.files.formats.recording import probe, read_frames
from reapaint.reaper import planning
from reapaint.reaper.messages import Request
from reapaint.reaper.planning import PlannedJob, WindowResult, plan_job, write_job
from reapaint.reaper.sources import KnownFiles
from reapaint_engine.protocol.errors import ReaPaintError
from reapaint_engine.protocol.messages import (
    BackendInfo,
    Done,
    Limits,
    SeamReport,
    Side,
    TakeReport,
    Welcome,
)
from reapaint_engine.protocol.spans import Span
from tests.bridge.audio_files import raw_samples, simple_wav

RATE, FRAMES = 8000, 80_000
WELCOME = Welcome(
    version="1",
    pid=1,
    backends=(
        BackendInfo(
            name="echo",
            description="",
            models=("echo",),
            default_model="echo",
            modes=("auto",),
            honours=(),
            max_window_s=60.0,
            max_span_s=20.0,
        ),
    ),
    default_backend="echo",
    limits=Limits(1 << 24, 8, 1 << 26),
)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "a.wav"
    path.write_bytes(simple_wav("float32", RATE, 2, raw_samples("float32", FRAMES, 2)))
    return path


def _request(
    source: Path,
    *spans: tuple[float, float],
    start_s: float = 0,
    end_s: float = 10,
    **settings: Any,
) -> Request:
    text = {
        "protocol": "1.0",
        "job_id": "a" * 32,
        "project": {"media_folder": str(source.parent / "media")},
        "item": {"name": "a.wav"},
        "source": {"route": "file", "path": str(source), "start_s": start_s, "end_s": end_s},
        "spans": [{"start_s": start, "end_s": end} for start, end in spans],
        "settings": settings,
        "handles_s": 0.5,
    }
    return msgspec.json.decode(json.dumps(text), type=Request)


def _plan(request: Request, folder: Path = Path(), **changes: Any) -> PlannedJob:
    welcome = replace(WELCOME, **changes)
    return plan_job(request, folder, seed=7, welcome=welcome, known=KnownFiles())


def _answer(job: PlannedJob, takes: int = 1) -> list[WindowResult]:
    """Return what an engine would: patches whose samples tell their window, span and take."""
    results = []
    for number, request in enumerate(job.requests):
        reports, patches = [], []
        for take in range(takes):
            seam = SeamReport(
                span=0,
                side=Side.LEFT,
                frame=request.spans[0].start,
                level_step_db=0.5,
                click_ratio=0.25,
                crossfade_law="linear",
                crossfade_frames=10,
                correlation=0.9,
            )
            reports.append(TakeReport(7 + take, (seam,)))
            for index, span in enumerate(request.spans):
                ramp = np.arange(span.length, dtype=np.float32) / 1e6
                patch = np.stack([ramp, ramp]) + 100 * take + 10 * number + index + 1
                patches.append(patch.astype(np.float32))
        done = Done(
            job_id=request.job_id,
            request=request,
            backend="echo",
            model="echo",
            model_revision="1",
            mode="auto",
            engine_version="1",
            takes=tuple(reports),
        )
        results.append(WindowResult(done, tuple(patches)))
    return results


def _write(job: PlannedJob, takes: int = 1) -> Any:
    return write_job(job, _answer(job, takes), rescue_folder=job.folder.parent / "rescued")


def test_a_window_holds_what_the_item_plays_and_no_more(source: Path) -> None:
    job = _plan(_request(source, (3, 4), start_s=2, end_s=6))
    (plan,) = job.plans
    assert (plan.start, plan.frames) == (2 * RATE, 4 * RATE)
    assert plan.spans == (Span(RATE, 2 * RATE),)
    window = job.read_window(0)
    np.testing.assert_array_equal(window, read_frames(probe(source), 2 * RATE, 6 * RATE))
    assert job.requests[0].seed == 7
    assert job.requests[0].job_id == "a" * 32


def test_a_result_lies_where_its_file_says(source: Path) -> None:
    job = _plan(_request(source, (3, 4), start_s=2, end_s=6, takes=2))
    result = _write(job, takes=2)
    assert [take.seed for take in result.takes] == [7, 8]
    for take, expected in zip(result.takes, (1, 101), strict=True):
        (file,) = take.files
        assert (file.file_start_s, file.frames) == (2.5, 2 * RATE)
        audio = read_frames(probe(file.path), 0, file.frames)
        heard = read_frames(probe(source), 0, FRAMES)
        np.testing.assert_array_equal(audio[:, : RATE // 2], heard[:, 20_000:24_000])
        np.testing.assert_array_equal(audio[:, -RATE // 2 :], heard[:, 32_000:36_000])
        assert audio[0, RATE // 2] == expected
        assert take.seams[0].at_s == 3.0


def test_spans_are_answered_in_the_order_they_were_asked(source: Path) -> None:
    job = _plan(_request(source, (7, 8), (1, 2)))
    result = _write(job)
    assert [file.file_start_s for file in result.takes[0].files] == [6.5, 0.5]
    assert [file.span for file in result.takes[0].files] == [0, 1]
    first, second = (Path(file.path).name for file in result.takes[0].files)
    assert (first, second) == ("a - 7 - part 1.wav", "a - 7 - part 2.wav")
    # One window heard both: the later span is its second.
    values = [
        read_frames(probe(file.path), 0, file.frames)[0, RATE // 2]
        for file in result.takes[0].files
    ]
    assert values == [2, 1]


def test_spans_far_apart_have_windows_of_their_own(source: Path) -> None:
    job = _plan(_request(source, (1, 1.5), (9, 9.5), context_s=0.5))
    assert [request.job_id for request in job.requests] == ["a" * 32 + "-0", "a" * 32 + "-1"]
    result = _write(job)
    values = [
        read_frames(probe(file.path), 0, file.frames)[0, RATE // 2]
        for file in result.takes[0].files
    ]
    assert values == [1, 11]
    assert [seam.at_s for seam in result.takes[0].seams] == [1, 9]


def test_spans_that_touch_are_one_sound_in_two_files(source: Path) -> None:
    job = _plan(_request(source, (3, 4), (4, 5)))
    assert job.plans[0].spans[0].length == 2 * RATE
    files = _write(job).takes[0].files
    left, right = (read_frames(probe(file.path), 0, file.frames) for file in files)
    whole = np.arange(2 * RATE, dtype=np.float32) / 1e6 + 1
    np.testing.assert_array_equal(left[0, RATE // 2 : RATE // 2 + RATE], whole[:RATE])
    np.testing.assert_array_equal(right[0, RATE // 2 : RATE // 2 + RATE], whole[RATE:])


def test_an_item_is_extended_past_its_sound(source: Path) -> None:
    job = _plan(_request(source, (5, 12), start_s=2, end_s=6))
    assert job.requests[0].audio_frames == 4 * RATE
    assert job.requests[0].window_frames == 10 * RATE
    (file,) = _write(job).takes[0].files
    assert (file.file_start_s, file.frames) == (4.5, 7.5 * RATE)


def test_a_span_at_the_items_edge_may_miss_it_by_rounding(source: Path) -> None:
    job = _plan(_request(source, (2 - 1.5 / RATE, 3), start_s=2, end_s=6))
    assert job.spans[0].start == 2 * RATE


def test_accessor_audio_keeps_its_own_axis(tmp_path: Path, source: Path) -> None:
    heard = np.random.default_rng(0).standard_normal((1, 4 * RATE)).astype(np.float32)
    (tmp_path / "audio.f32").write_bytes(heard.T.tobytes())
    request = _request(source, (0.5, 1))
    text = json.loads(msgspec.json.encode(request))
    text["source"] = {
        "route": "accessor",
        "audio": "audio.f32",
        "sample_rate": RATE,
        "channels": 1,
        "frames": 4 * RATE,
        "start_s": -0.25,
    }
    job = _plan(msgspec.json.decode(json.dumps(text), type=Request), tmp_path)
    assert job.spans == (Span(6000, 10_000),)
    (request_,) = job.requests
    patch = np.zeros((1, 4000), np.float32)
    take = TakeReport(7, ())
    done = Done(
        job_id=request_.job_id,
        request=request_,
        backend="echo",
        model="echo",
        model_revision="1",
        mode="auto",
        engine_version="1",
        takes=(take,),
    )
    result = write_job(job, [WindowResult(done, (patch,))], rescue_folder=tmp_path / "r")
    (file,) = result.takes[0].files
    # The handle begins at frame 2000, 0.25 s after the audio does: item time 0.
    assert (file.file_start_s, file.sample_rate, file.channels) == (0.0, RATE, 1)
    assert probe(file.path).sample_format == "float32"


def test_the_record_makes_the_result_again(source: Path) -> None:
    asked = _request(source, (3, 4), prompt="rain", takes=2)
    record = _write(_plan(asked), takes=2).record
    assert record["settings"]["seed"] == 7
    assert record["settings"]["prompt"] == "rain"
    assert record["engine_version"] == "1"
    again = _request(
        source, *[(s["start_s"], s["end_s"]) for s in record["spans"]], **record["settings"]
    )
    first, second = _plan(asked).requests[0], _plan(again).requests[0]
    assert replace(second, backend=None, model=None) == first


@pytest.mark.parametrize(
    ("spans", "settings", "code"),
    [
        ([(1, 1)], {}, "invalid_time"),
        ([(2, 1)], {}, "invalid_time"),
        ([(0.5, 3)], {}, "invalid_time"),
        ([(6.5, 7)], {}, "invalid_time"),
        ([(3, 5), (4, 6)], {}, "invalid_time"),
        ([(3, 50)], {}, "invalid_time"),
        ([(3, 4)], {"takes": 17}, "invalid_takes"),
        ([(3, 4)], {"steps": 0}, "invalid_steps"),
        ([(3, 4)], {"backend": "magic"}, "unknown_backend"),
        ([(3, 4)], {"prompt": "x" * 10_001}, "invalid_prompt"),
    ],
)
def test_what_is_not_possible_is_refused_with_a_code(
    source: Path, spans: list[tuple[float, float]], settings: dict[str, Any], code: str
) -> None:
    with pytest.raises(ReaPaintError) as caught:
        _plan(_request(source, *spans, start_s=2, end_s=6, **settings))
    assert caught.value.code == code
    assert caught.value.hint
    assert not (source.parent / "media").exists()


def test_a_window_larger_than_the_engine_takes_is_refused(source: Path) -> None:
    with pytest.raises(ReaPaintError) as caught:
        _plan(_request(source, (3, 4)), limits=Limits(1000, 8, 1000))
    assert caught.value.code == "too_large"


def test_a_missing_source_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        _plan(_request(tmp_path / "gone.wav", (3, 4)))
    assert caught.value.code == "file_not_found"


def test_half_a_result_is_none(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = _plan(_request(source, (3, 4), takes=3))
    write_take, count = planning.write_take, iter(range(2))

    def fails_at_third(*arguments: Any, **options: Any) -> Any:
        if next(count, None) is None:
            raise BridgeError("file_not_readable", "The source is gone.")
        return write_take(*arguments, **options)

    monkeypatch.setattr(planning, "write_take", fails_at_third)
    with pytest.raises(BridgeError, match="source is gone"):
        _write(job, takes=3)
    assert list(job.folder.iterdir()) == []


def test_a_result_whose_folder_is_lost_meanwhile_is_rescued(source: Path) -> None:
    job = _plan(_request(source, (3, 4)))
    job.folder.parent.write_text("a file where the folder was to be")
    rescue = source.parent / "rescued"
    result = write_job(job, _answer(job), rescue_folder=rescue)
    assert Path(result.takes[0].files[0].path).parent == rescue
    assert "rescued" in result.warnings[0]
    rescue.rename(source.parent / "moved")
    rescue.write_text("nor here")
    with pytest.raises(BridgeError) as caught:
        write_job(job, _answer(job), rescue_folder=rescue)
    assert str(job.folder) in caught.value.message


def test_clipping_is_said(source: Path) -> None:
    source.write_bytes(simple_wav("int16", RATE, 2, raw_samples("int16", FRAMES, 2)))
    result = _write(_plan(_request(source, (3, 4))))
    assert any("clipped" in warning for warning in result.warnings)
