"""Every service against its stand-in, well-behaved and not: the right result or one sentence."""

import contextlib
import time
from collections.abc import Callable

import numpy as np
import pytest

from reapaint_engine.backends.base import Generation, Window
from reapaint_engine.backends.hosted.errors import HostedError
from reapaint_engine.errors import JobCancelled
from reapaint_engine.protocol.spans import Span
from tests.engine.backends.hosted.conftest import RATE, Bench, FakeControl, make_window
from tests.standins.base import Drop, Fault, Hang, Rendering, Status


def _audible(generation: Generation, window: Window, take: int = 0, index: int = 0) -> np.ndarray:
    """Return a fill's audio inside its span."""
    span, passage = window.spans[index], generation.fills[take].passages[index]
    return passage.audio[:, span.start - passage.start : span.end - passage.start]


def _error_db(generation: Generation, window: Window, take: int = 0, index: int = 0) -> float:
    """Return how far a fill is from what the stand-in was to make of the span."""
    span = window.spans[index]
    wanted = -window.audio[:, span.start : span.end]
    error = _audible(generation, window, take, index) - wanted
    # The filters that look between frames ring where the stand-in turns the sound over.
    error = error[:, 200:-200] if error.shape[1] > 1000 else error
    return float(10 * np.log10(np.mean(error**2) / np.mean(wanted**2) + 1e-20))


def _refused(bench: Bench, **params: object) -> HostedError:
    with pytest.raises(HostedError) as caught:
        bench.fill(**params)
    assert caught.value.message.endswith(".")
    assert caught.value.hint.endswith(".")
    assert bench.standin.key not in f"{caught.value!r} {caught.value}"
    return caught.value


def test_the_answer_stands_in_the_span(bench: Bench) -> None:
    window = make_window()
    generation = bench.fill(window)
    assert _error_db(generation, window) < -90
    assert bench.standin.paid == 1
    (note,) = generation.notes
    assert note.startswith("1 request of")
    assert "$0." in note
    assert generation.model == bench.model


def test_the_key_goes_to_the_service_and_nowhere_else(bench: Bench) -> None:
    bench.fill()
    for asked in bench.standin.asked:
        is_api = asked.headers["host"] == bench.standin.url.removeprefix("http://")
        told = asked.headers.get("authorization")
        assert told == (bench.standin.authorization if is_api else None)


def _check_undone(bench: Bench, rendering: Rendering, limit_db: float) -> None:
    bench.standin.rendering = rendering
    window = make_window(8.0, spans=((3.0, 4.0),))
    generation = bench.fill(window)
    assert _error_db(generation, window) < limit_db
    assert not [text for text in generation.warnings if "seed" not in text]


@pytest.mark.parametrize(
    ("rendering", "limit_db"),
    [
        (Rendering(delay_frames=1105), -90),
        (Rendering(rate=48_000), -30),
        (Rendering(length=1.5), -90),
        (Rendering(container="mp3", delay_frames=1105, gain=0.5, rate=48_000), -8),
    ],
    ids=repr,
)
def test_what_services_do_to_sound_is_undone(
    bench: Bench, rendering: Rendering, limit_db: float
) -> None:
    _check_undone(bench, rendering, limit_db)


@pytest.mark.parametrize(
    ("rendering", "limit_db"),
    [
        (Rendering(delay_frames=2257.4), -30),
        (Rendering(delay_frames=-37.5), -30),
        (Rendering(delay_frames=0.25), -30),
        (Rendering(gain=0.4), -90),
        (Rendering(rate=22_050, delay_frames=100), -8),
        (Rendering(container="mp3"), -8),
        (Rendering(length=0.9), -90),
    ],
    ids=repr,
)
def test_what_codecs_do_is_undone(
    one_of_each_kind: Bench, rendering: Rendering, limit_db: float
) -> None:
    _check_undone(one_of_each_kind, rendering, limit_db)


def test_mono_comes_back_in_both_channels(bench: Bench) -> None:
    bench.standin.rendering = Rendering(channels=1)
    window = make_window()
    left, right = _audible(bench.fill(window), window)
    np.testing.assert_array_equal(left, right)
    assert np.abs(left).max() > 0.01


def test_an_answer_unlike_its_context_is_used_as_it_is_and_said(one_of_each_kind: Bench) -> None:
    one_of_each_kind.standin.rendering = Rendering(is_unlike=True)
    generation = one_of_each_kind.fill()
    assert any("may have moved the sound in time" in text for text in generation.warnings)


@pytest.mark.parametrize(
    ("rendering", "said"),
    [
        (Rendering(is_garbage=True), "no sound that can be read"),
        (Rendering(length=0.3), "s long where"),
        (lambda sent, mask_s: b"", "no sound"),
    ],
)
def test_a_useless_answer_is_refused_and_not_kept(
    bench: Bench, rendering: Callable[..., bytes], said: str
) -> None:
    bench.standin.rendering = rendering
    error = _refused(bench)
    assert error.code == "service_failed"
    assert said in error.message
    assert "was paid" in error.hint
    bench.standin.rendering = Rendering()
    bench.fill()
    assert bench.standin.paid == 2


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "service_refused"),
        (401, "key_refused"),
        (402, "no_credit"),
        (403, "service_refused"),
        (422, "service_refused"),
    ],
)
def test_a_refused_submission_is_said_and_costs_nothing(
    bench: Bench, status: int, code: str
) -> None:
    words = {"message": f"no, {bench.standin.key}", "detail": "no", "error": "no"}
    bench.standin.faults["submit"].append(Status(status, content=words))
    assert _refused(bench).code == code
    assert bench.standin.paid == 0
    assert bench.standin.steps().count("submit") == 1
    bench.fill()
    assert bench.standin.paid == 1


def test_a_rate_limit_is_waited_out_as_long_as_it_says(bench: Bench) -> None:
    bench.standin.faults["submit"].extend([Status(429, {"Retry-After": "17"}), Status(429)])
    before_s = bench.clock.now_s
    bench.fill()
    assert bench.clock.now_s - before_s >= 17 + 2
    assert bench.standin.paid == 1


def test_an_endless_rate_limit_ends_in_a_sentence(one_of_each_kind: Bench) -> None:
    one_of_each_kind.standin.faults["submit"].extend([Status(429)] * 50)
    assert _refused(one_of_each_kind).code == "rate_limited"
    assert one_of_each_kind.standin.steps().count("submit") == one_of_each_kind.pace.repeats + 1
    one_of_each_kind.standin.faults["submit"].clear()
    one_of_each_kind.standin.faults["submit"].append(Status(429, {"Retry-After": "86400"}))
    assert _refused(one_of_each_kind).code == "rate_limited"


@pytest.mark.parametrize(
    "fault",
    [Drop(), Drop(after=True), Hang(), Hang(after=True), Status(500), Status(503)],
    ids=repr,
)
def test_a_submission_of_unknown_fate_is_never_repeated(bench: Bench, fault: Fault) -> None:
    bench.standin.faults["submit"].append(fault)
    with bench.impatience():
        error = _refused(bench)
    assert error.code == "maybe_paid"
    assert bench.standin.steps().count("submit") == 1
    # Asking again is the user's own choice.
    paid = bench.standin.paid
    bench.fill()
    assert bench.standin.paid == paid + 1


def _polled(bench: Bench) -> None:
    if bench.standin.name == "stability" and bench.model == "stable-audio-2.5":
        pytest.skip("it answers at once")


@pytest.mark.parametrize(
    "faults",
    [
        [Status(429, {"Retry-After": "5"})],
        [Status(500), Status(502), Status(503)],
        [Drop(), Drop()],
        [Hang()],
    ],
    ids=repr,
)
def test_a_troubled_poll_is_asked_again_and_nothing_is_paid_twice(
    bench: Bench, faults: list[Fault]
) -> None:
    _polled(bench)
    bench.standin.faults["poll"].extend(faults)
    window = make_window()
    with bench.impatience():
        assert _error_db(bench.fill(window), window) < -90
    assert bench.standin.paid == 1


@pytest.mark.parametrize(
    ("service", "model", "step"),
    [
        ("wavespeed", "stable-audio-3", "upload"),
        ("wavespeed", "stable-audio-3", "fetch"),
        ("eachlabs", "stable-audio-2.5", "describe"),
        ("eachlabs", "stable-audio-2.5", "upload"),
        ("eachlabs", "stable-audio-2.5", "fetch"),
        ("fal", "stable-audio-2.5", "upload"),
        ("fal", "stable-audio-2.5", "fetch"),
    ],
)
@pytest.mark.parametrize("fault", [Status(500), Status(429), Drop(), Hang()], ids=repr)
def test_what_costs_nothing_is_tried_again(
    bench_of: Callable[..., Bench], service: str, model: str, step: str, fault: Fault
) -> None:
    bench = bench_of(service, model)
    bench.standin.faults[step].append(fault)
    with bench.impatience():
        bench.fill()
    assert not bench.standin.faults[step]
    assert bench.standin.paid == 1


def test_a_service_that_is_away_for_good_leaves_the_call_to_be_picked_up(bench: Bench) -> None:
    _polled(bench)
    bench.standin.faults["poll"].extend([Status(503)] * 50)
    assert _refused(bench).code == "service_failed"
    bench.standin.faults["poll"].clear()
    window = make_window()
    generation = bench.fill(window)
    assert _error_db(generation, window) < -90
    assert bench.standin.paid == 1
    assert generation.notes == ("1 request had been paid for before: nothing was paid again.",)


def test_an_endless_wait_ends_and_can_be_taken_up_again(bench: Bench) -> None:
    _polled(bench)
    bench.standin.polls_needed = 10**9
    assert _refused(bench).code == "service_timeout"
    bench.standin.polls_needed = 0
    bench.fill()
    assert bench.standin.paid == 1


def test_a_failed_prediction_is_told_in_the_services_words(bench: Bench) -> None:
    bench.standin.failure = "the prompt names a brand"
    error = _refused(bench)
    assert error.code == "service_failed"
    assert "the prompt names a brand" in error.message
    bench.standin.failure = ""
    bench.fill()
    assert bench.standin.paid == 2


def test_an_expired_link_is_asked_for_anew(bench: Bench) -> None:
    if bench.standin.name == "stability":
        pytest.skip("it gives no links")
    bench.standin.faults["fetch"].append(Status(403))
    bench.fill()
    bench.standin.faults["fetch"].extend([Status(410), Status(410)])
    error = _refused(bench, seeds=(8,))
    assert "expired" in error.message
    assert bench.standin.paid == 2


@pytest.mark.parametrize("link", ["http://example.com/a.wav", "file:///etc/passwd", "ftp://x/y"])
def test_a_link_to_anywhere_unsafe_is_not_opened(bench: Bench, link: str) -> None:
    if bench.standin.name == "stability":
        pytest.skip("it gives no links")
    bench.standin.link_prefix = link
    assert "isn't safe" in _refused(bench).message


def test_redirects_are_followed_without_the_key(bench: Bench) -> None:
    _polled(bench)
    away = f"{bench.standin.files_url}/results/{bench.standin.name}-0"
    bench.standin.faults["poll"].append(Status(302, {"Location": away}))
    with contextlib.suppress(HostedError):
        bench.fill()
    elsewhere = [asked for asked in bench.standin.asked if asked.step == "fetch"]
    assert elsewhere
    assert not any("authorization" in asked.headers for asked in elsewhere)


def test_a_submission_is_never_sent_on_to_another_address(bench: Bench) -> None:
    away = f"{bench.standin.files_url}/elsewhere"
    bench.standin.faults["submit"].append(Status(307, {"Location": away}))
    assert _refused(bench).code == "service_refused"
    assert not [asked for asked in bench.standin.asked if "elsewhere" in asked.path]


def test_a_service_that_is_not_there_costs_nothing(bench: Bench) -> None:
    bench.standin.close()
    assert _refused(bench).code == "service_unreachable"
    assert bench.clock.pauses


# Crashes


class Crash(BaseException):
    """The engine dies."""


def _crash_at(stage: str, least: float = 0.0) -> FakeControl:
    def at_step(at: str, fraction: float) -> None:
        if at == stage and fraction >= least:
            raise Crash

    return FakeControl(at_step)


@pytest.mark.parametrize("stage", ["sample", "decode"])
def test_a_restarted_engine_picks_the_call_up(bench: Bench, stage: str) -> None:
    if stage == "sample":
        _polled(bench)
    window = make_window()
    with pytest.raises(Crash):
        bench.fill(window, control=_crash_at(stage))
    assert bench.standin.paid == 1
    generation = bench.fill(window)
    assert _error_db(generation, window) < -90
    assert bench.standin.paid == 1
    assert "nothing was paid again" in generation.notes[0]


def test_the_first_of_two_takes_is_not_paid_twice(one_of_each_kind: Bench) -> None:
    with pytest.raises(Crash):
        one_of_each_kind.fill(seeds=(7, 8), control=_crash_at("encode", least=0.5))
    assert one_of_each_kind.standin.paid == 1
    one_of_each_kind.fill(seeds=(7, 8))
    assert one_of_each_kind.standin.paid == 2


def test_without_seeds_a_call_left_behind_serves_any_seed(
    bench_of: Callable[..., Bench],
) -> None:
    bench = bench_of("wavespeed", "stable-audio-3")
    with pytest.raises(Crash):
        bench.fill(seeds=(1,), control=_crash_at("sample"))
    bench.max_cost = 0.0
    bench.fill(seeds=(99,))
    assert bench.standin.paid == 1
    bench.max_cost = None
    # Delivered is delivered: another seed asks for another sound.
    bench.fill(seeds=(100,))
    assert bench.standin.paid == 2


def test_without_seeds_every_take_is_still_a_call(bench_of: Callable[..., Bench]) -> None:
    bench = bench_of("wavespeed", "stable-audio-3")
    bench.fill(seeds=(1, 2, 3))
    assert bench.standin.paid == 3


def test_with_seeds_another_seed_is_another_call(bench_of: Callable[..., Bench]) -> None:
    bench = bench_of("fal", "stable-audio-3-medium")
    with pytest.raises(Crash):
        bench.fill(seeds=(1,), control=_crash_at("sample"))
    bench.fill(seeds=(2,))
    bench.fill(seeds=(1,))
    assert [job.fields["seed"] for job in bench.standin.jobs.values()] == [1, 2]


def test_a_crash_while_sending_is_told_once(bench: Bench) -> None:
    bench.standin.faults["submit"].append(Hang(after=True))

    def at_step(stage: str, fraction: float) -> None:
        if bench.standin.came.is_set():
            raise Crash

    with pytest.raises(Crash):
        bench.fill(control=FakeControl(at_step))
    error = _refused(bench)
    assert error.code == "maybe_paid"
    assert bench.standin.paid == 1
    bench.fill()
    assert bench.standin.paid == 2


def test_other_audio_is_another_call(one_of_each_kind: Bench) -> None:
    one_of_each_kind.fill(make_window(seed=1))
    one_of_each_kind.fill(make_window(seed=2))
    assert one_of_each_kind.standin.paid == 2


def test_records_expire(one_of_each_kind: Bench) -> None:
    one_of_each_kind.fill()
    one_of_each_kind.fill()
    assert one_of_each_kind.standin.paid == 1
    one_of_each_kind.clock.now_s += 25 * 3600
    one_of_each_kind.fill()
    assert one_of_each_kind.standin.paid == 2


# Cancelling


def test_cancelling_stops_polling_and_ends_the_call_where_it_can(bench: Bench) -> None:
    _polled(bench)
    bench.standin.polls_needed = 10**9

    def at_step(stage: str, fraction: float) -> None:
        if fraction > 0.4:
            raise JobCancelled

    with pytest.raises(JobCancelled):
        bench.fill(control=FakeControl(at_step))
    polls = bench.standin.steps().count("poll")
    (job,) = bench.standin.jobs.values()
    assert job.is_cancelled == (bench.standin.name in ("eachlabs", "fal"))
    assert bench.standin.steps().count("poll") == polls
    # Where it runs on, its result is there for whoever asks again.
    bench.standin.polls_needed = 0
    bench.fill()
    assert bench.standin.paid == (2 if job.is_cancelled else 1)


def test_cancelling_leaves_a_silent_connection_at_once(bench: Bench) -> None:
    bench.standin.faults["submit"].append(Hang())
    came_s: list[float] = []

    def at_step(stage: str, fraction: float) -> None:
        if bench.standin.came.is_set():
            came_s.append(time.monotonic())
            raise JobCancelled

    with pytest.raises(JobCancelled):
        bench.fill(control=FakeControl(at_step))
    assert time.monotonic() - came_s[0] < 2.0


def test_waiting_looks_often_whether_the_job_was_cancelled(bench: Bench) -> None:
    _polled(bench)
    bench.fill()
    assert max(bench.clock.pauses) <= 0.2


# Money


def test_the_limit_is_held_before_anything_is_sent(bench: Bench) -> None:
    price = next(
        model.price_usd for model in bench.backend().service.models if model.name == bench.model
    )
    bench.max_cost = 2 * price - 0.001
    error = _refused(bench, seeds=(1, 2))
    assert error.code == "too_expensive"
    assert "2 requests" in error.message
    assert not bench.standin.asked
    bench.max_cost = 2 * price
    generation = bench.fill(seeds=(1, 2))
    assert bench.standin.paid == 2
    assert generation.notes[0].startswith("2 requests of")


def test_a_model_of_unknown_price_is_refused_under_a_limit(bench_of: Callable[..., Bench]) -> None:
    bench = bench_of("fal", "stable-audio-3-small-sfx")
    bench.max_cost = 100.0
    error = _refused(bench)
    assert (error.code, bench.standin.asked) == ("too_expensive", [])
    bench.max_cost = None
    assert "unknown price" in bench.fill().notes[0]


# Spans, takes, parameters


def test_every_span_of_every_take_is_a_call_of_its_own(one_of_each_kind: Bench) -> None:
    window = make_window(15.0, spans=((3.2, 4.0), (7.0, 8.5), (11.1, 11.2)))
    generation = one_of_each_kind.fill(window, seeds=(1, 2))
    assert one_of_each_kind.standin.paid == 6
    for take in range(2):
        for index in range(3):
            assert _error_db(generation, window, take, index) < -90
    # A span's audio goes up once, not once for every take.
    uploads = [asked for asked in one_of_each_kind.standin.asked if asked.step == "upload"]
    assert len({asked.body for asked in uploads if len(asked.body) > 1000}) in (0, 3)


@pytest.mark.parametrize(
    ("seconds", "spans"),
    [
        (2.0, ((0.5, 1.5),)),
        (0.4, ((0.1, 0.2),)),
        (3.0, ((0.0, 1.0),)),
        (3.0, ((2.0, 3.0),)),
        (3.0, ((0.0, 3.0),)),
        (12.0, ((4.0, 5.0),)),
    ],
)
def test_windows_of_any_shape_are_padded_and_cut_again(
    one_of_each_kind: Bench, seconds: float, spans: tuple[tuple[float, float], ...]
) -> None:
    window = make_window(seconds, spans)
    generation = one_of_each_kind.fill(window)
    assert _error_db(generation, window) < -90
    (job,) = one_of_each_kind.standin.jobs.values()
    assert (len(job.wav) - 44) / 6 >= 6 * RATE


def test_past_the_end_the_padding_belongs_to_the_span(one_of_each_kind: Bench) -> None:
    window = make_window(4.0, ((3.0, 4.0),))
    silent = window.audio.copy()
    silent[:, round(3.5 * RATE) :] = 0.0
    window = Window(silent, RATE, window.spans, round(3.5 * RATE))
    one_of_each_kind.fill(window)
    (job,) = one_of_each_kind.standin.jobs.values()
    assert job.mask_s[1] * RATE >= (len(job.wav) - 44) / 6 - 1


def test_a_span_that_is_too_long_is_refused(one_of_each_kind: Bench) -> None:
    silence = np.zeros((2, 400 * RATE), np.float32)
    window = Window(silence, RATE, (Span(5 * RATE, 395 * RATE),), silence.shape[1])
    error = _refused(one_of_each_kind, window=window)
    assert error.code == "invalid_spans"
    assert not one_of_each_kind.standin.asked


def test_loud_windows_come_back_as_loud(one_of_each_kind: Bench) -> None:
    quiet = make_window()
    loud = Window(quiet.audio * 4.0, RATE, quiet.spans, quiet.audio_frames)
    assert np.abs(loud.audio).max() > 1.5
    assert _error_db(one_of_each_kind.fill(loud), loud) < -90


def test_silence_around_the_span_is_no_trouble(one_of_each_kind: Bench) -> None:
    window = make_window()
    silent = Window(np.zeros_like(window.audio), RATE, window.spans, window.audio_frames)
    assert not _audible(one_of_each_kind.fill(silent), silent).any()


def test_parameters_go_where_they_are_documented(bench: Bench) -> None:
    generation = bench.fill(seeds=(5,), steps=6, guidance=3.0, negative_prompt="voices")
    (job,) = bench.standin.jobs.values()
    sent = {name: str(value) for name, value in job.fields.items()}
    assert sent["prompt"] == "rain"
    steps = sent.get("num_inference_steps", sent.get("steps"))
    assert steps == "6"
    guidance = sent.get("guidance_scale", sent.get("cfg_scale"))
    if (bench.standin.name, bench.model) == ("stability", "stable-audio-2.5"):
        assert guidance is None
        assert any("takes no guidance" in text for text in generation.warnings)
    else:
        assert float(guidance) == 3.0
    if bench.standin.name == "wavespeed":
        assert "seed" not in sent
        assert any("takes no seed" in text for text in generation.warnings)
    else:
        assert sent["seed"] == "5"
    if bench.model.startswith("stable-audio-3") and bench.standin.name != "stability":
        assert sent["negative_prompt"] == "voices"
    elif bench.standin.name in ("fal", "eachlabs"):
        # Of Stability the recipe says it: none of its models takes one.
        assert any("takes no negative prompt" in text for text in generation.warnings)


def test_values_beyond_the_bounds_are_brought_to_them_and_said(bench: Bench) -> None:
    generation = bench.fill(steps=100)
    (job,) = bench.standin.jobs.values()
    if str(job.fields.get("num_inference_steps", job.fields.get("steps"))) == "8":
        assert any("8 was sent instead of 100" in text for text in generation.warnings)
    else:
        assert job.fields["num_inference_steps"] == 100


def test_seeds_that_mean_something_else_there_are_replaced_and_said(
    bench_of: Callable[..., Bench],
) -> None:
    bench = bench_of("stability", "stable-audio-3")
    generation = bench.fill(seeds=(2**32 - 1, 0))
    first, second = (int(job.fields["seed"]) for job in bench.standin.jobs.values())
    assert first != second
    assert len([text for text in generation.warnings if "was sent instead" in text]) == 2


def test_no_prompt_is_refused_before_anything_is_sent(one_of_each_kind: Bench) -> None:
    assert _refused(one_of_each_kind, prompt="  ").code == "invalid_prompt"
    assert not one_of_each_kind.standin.asked


# Services' own ways


def test_wavespeed_is_uploaded_to_its_other_way_too(bench_of: Callable[..., Bench]) -> None:
    bench = bench_of("wavespeed", "stable-audio-3")
    bench.standin.has_binary_upload = False
    bench.fill()
    (put,) = [asked for asked in bench.standin.asked if asked.method == "PUT"]
    assert put.headers["x-asked"] == "1"


def test_an_envelope_with_an_error_inside_is_an_error(bench_of: Callable[..., Bench]) -> None:
    bench = bench_of("wavespeed", "stable-audio-3")
    refusal = {"code": 400, "message": "mask_end_seconds is too large", "data": None}
    bench.standin.faults["submit"].append(Status(200, content=refusal))
    error = _refused(bench)
    assert error.code == "service_refused"
    assert "mask_end_seconds is too large" in error.message


@pytest.mark.parametrize("content", [{}, {"data": {"id": "../../other"}}, {"request_id": "a/b"}])
def test_an_answer_without_a_usable_id_may_have_been_paid(bench: Bench, content: object) -> None:
    bench.standin.faults["submit"].append(Status(200, content=content))
    assert _refused(bench).code == "maybe_paid"


def test_eachlabs_says_itself_what_its_inputs_are_called(bench_of: Callable[..., Bench]) -> None:
    bench = bench_of("eachlabs", "stable-audio-2.5")
    bench.standin.inputs = ("prompt", "audio_url", "mask_start", "mask_end")
    generation = bench.fill(steps=5)
    (job,) = bench.standin.jobs.values()
    assert set(job.fields) == {"prompt", "audio_url", "mask_start", "mask_end"}
    assert any("takes no seed" in text for text in generation.warnings)
    assert any("takes no steps" in text for text in generation.warnings)
    bench.standin.inputs = ("prompt", "audio_url", "mask_start")
    assert "mask end" in _refused(bench, seeds=(9,)).message
    assert bench.standin.paid == 1


def test_a_price_that_the_service_tells_is_passed_on(bench_of: Callable[..., Bench]) -> None:
    bench = bench_of("eachlabs", "stable-audio-2.5")
    bench.standin.cost = 0.123
    assert "$0.123 as the service says" in bench.fill().notes[0]
