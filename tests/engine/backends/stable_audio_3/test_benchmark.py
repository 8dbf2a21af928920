"""The measurement of the model, tried out on a tiny one: what it holds, not how fast it is."""

import itertools
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from reapaint.commands.cli import main
from reapaint_engine.backends.stable_audio_3.benchmark import footprint, gpu, roofline
from reapaint_engine.backends.stable_audio_3.benchmark.agreement import check, compare
from reapaint_engine.backends.stable_audio_3.benchmark.options import BenchOptions
from reapaint_engine.backends.stable_audio_3.benchmark.run import measure
from reapaint_engine.backends.stable_audio_3.benchmark.setting_up import (
    Contest,
    make_contest,
    open_subject,
)
from reapaint_engine.backends.stable_audio_3.benchmark.sides import make_job
from reapaint_engine.backends.stable_audio_3.benchmark.watch import OTHER, TOTAL, Place, Watch
from reapaint_engine.backends.stable_audio_3.checkpoint.settings import (
    CodecKind,
    CodecShape,
    TransformerShape,
)
from reapaint_engine.errors import JobError
from tests.tiny_checkpoints import write_original

CPU = torch.device("cpu")
OPTIONS = BenchOptions(
    tiny=True, device="cpu", dtype="float32", window_s=4.0, mask_s=1.0, rounds=2, memory=False
)
FLAGS = ["--window", "4", "--mask", "1", "--rounds", "1", "--dtype", "float32", "--device", "cpu"]
KINDS = {"first", "reroll", "new_prompt"}


@pytest.fixture(autouse=True)
def _what_the_machine_can_do_is_seen_on_little(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tiny model's share of it means nothing, however well it was measured."""
    monkeypatch.setitem(roofline.PRODUCT_WIDTH, "cpu", 128)
    monkeypatch.setitem(roofline.COPIED_BYTES, "cpu", 2**20)


@pytest.fixture(scope="module")
def contest() -> Contest:
    return make_contest(open_subject(OPTIONS))


NUMBERS = itertools.count(10)


def _compare(contest: Contest) -> Any:
    # A job of its own each time: what ours has encoded it does not encode again.
    job = make_job(OPTIONS, contest.subject.settings, CPU, next(NUMBERS))
    return compare(contest.stock, contest.ours, job, CPU)


def test_the_command_measures_every_stage_of_every_side(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "figures.json"
    words = ["bench", "model", "--tiny", "--no-memory", *FLAGS, "--out", str(out), "--json"]
    assert main(words) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer == json.loads(out.read_text(encoding="utf-8"))
    assert answer["ok"] is True
    assert answer["model"] == {"name": "tiny", "weights": "random", "codec": "same-s"}
    assert answer["machine"]["dtype"] == "float32"
    assert "tiny" in answer["compared"][0]
    times = answer["times"]
    assert set(times) == {"stock", "stock_without_headroom", "ours", "ours_own_codec"}
    assert set(times["stock"]["job"]) == {"text", "encode", "sample", "decode", OTHER, TOTAL}
    for side in ("ours", "ours_own_codec"):
        assert set(times[side]) == KINDS
        assert set(times[side]["first"]) == {*answer["stages"], OTHER, TOTAL}
        # What was encoded once is not encoded again, at this place.
        assert "encode" not in times[side]["reroll"]
        assert "encode" not in times[side]["new_prompt"]
        for kind in KINDS:
            assert set(answer["ratios"][side][kind]["stock"]) == {"wall", "cpu", "best"}
    assert set(answer["roofline"]["stages"]) == {"encode", "sample", "decode"}
    assert answer["gpu"] is None


def test_the_command_shows_tables(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "model", "--tiny", "--no-memory", *FLAGS]) == 0
    shown = capsys.readouterr().out
    for said in ("first job", "re-roll", "new prompt", "per step", "times as fast", "SAME-S"):
        assert said in shown


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--mask", "5", "--window", "4"], "--mask"),
        (["--takes", "0"], "--takes"),
        (["--steps", "1000"], "--steps"),
        (["--rounds", "0"], "--rounds"),
        (["--window", "9999", "--mask", "1"], "--window"),
        (["--model", "no-such-model"], "no-such-model"),
        (["--out", "/no/such/folder/out.json"], "folder"),
        (["--size", "small", "--tiny"], "not allowed"),
    ],
)
def test_flags_that_cant_be_measured_are_refused(
    flags: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", "model", *flags, "--json"]) == 2
    error = json.loads(capsys.readouterr().out)["error"]
    assert said in error["message"]
    assert error["hint"]


def test_both_sides_make_the_same_of_the_same_noise(contest: Contest) -> None:
    agreement = _compare(contest)
    check(agreement)
    assert max(agreement.encoded, agreement.sampled, agreement.decoded) < 1e-4


@pytest.mark.parametrize(
    ("part", "figure"),
    [
        ("encoder.blocks.0.transformers.0.ff.proj_out.bias", "encoded"),
        ("decoder.blocks.0.transformers.0.ff.proj_out.bias", "decoded"),
    ],
)
def test_another_codec_is_found_out(contest: Contest, part: str, figure: str) -> None:
    weight = contest.stock.pipe.vae.get_parameter(part)
    kept = weight.detach().clone()
    other = torch.nn.Parameter(kept + 1.0, requires_grad=False)
    owner, name = part.rsplit(".", 1)
    setattr(contest.stock.pipe.vae.get_submodule(owner), name, other)
    try:
        agreement = _compare(contest)
    finally:
        setattr(contest.stock.pipe.vae.get_submodule(owner), name, weight)
    assert getattr(agreement, figure) > agreement.tolerance
    with pytest.raises(JobError, match=figure):
        check(agreement)


def test_another_transformer_is_found_out(contest: Contest) -> None:
    transformer = contest.stock.pipe.transformer
    norm = transformer.transformer_blocks[0].pre_norm
    kept, norm.eps = norm.eps, 10.0  # ours has its own
    try:
        agreement = _compare(contest)
    finally:
        norm.eps = kept
    assert agreement.encoded < 1e-4
    assert agreement.sampled > agreement.tolerance


@pytest.mark.parametrize("codec_dtype", [None, "float32"])
def test_half_precision_agrees_too(codec_dtype: str | None) -> None:
    options = replace(OPTIONS, dtype="bfloat16", codec_dtype=codec_dtype, window_s=3.0)
    other = make_contest(open_subject(options))
    job = make_job(options, other.subject.settings, CPU, 1)
    check(compare(other.stock, other.ours, job, CPU))


def test_the_stock_pipeline_without_headroom_makes_fewer_latents(contest: Contest) -> None:
    job = make_job(OPTIONS, contest.subject.settings, CPU, 2)
    with torch.inference_mode():
        lengths = [
            side.generate(job, output_type="latent").shape[-1]
            for side in (contest.stock, contest.bare_stock)
        ]
    assert lengths == [job.plan.latents, job.plan.heard_latents]


def test_several_takes_and_guidance_are_measured() -> None:
    answer = measure(
        {
            "tiny": True,
            "memory": False,
            "device": "cpu",
            "dtype": "float32",
            "window_s": 3.0,
            "mask_s": 1.0,
            "takes": 2,
            "guidance": 3.0,
            "steps": 2,
            "rounds": 1,
        },
        lambda _what, _fraction: None,
    )
    assert (answer["job"]["takes"], answer["job"]["steps"]) == (2, 2)
    assert any("guidance" in sentence for sentence in answer["compared"])


@pytest.mark.parametrize("codec", ["same-s", "same-l"])
def test_a_model_of_this_machine_is_measured(codec: str, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    write_original(folder, codec)
    options = replace(OPTIONS, tiny=False, model=str(folder), window_s=3.0)
    subject = open_subject(options)
    assert not subject.is_random
    assert subject.has_other_codec is (codec == "same-s")
    contest = make_contest(subject)
    assert (contest.own is None) is (codec == "same-l")
    check(compare(contest.stock, contest.ours, make_job(options, subject.settings, CPU, 1), CPU))


@pytest.mark.slow
def test_memory_is_measured_in_a_process_of_its_own() -> None:
    held = footprint.measure_alone(footprint.JOB, footprint.STOCK, OPTIONS)
    assert set(held) == {
        "runtime_bytes",
        "loaded_bytes",
        "job_peak_bytes",
        "without_headroom_peak_bytes",
    }
    if held["job_peak_bytes"] is not None:
        assert held["job_peak_bytes"] >= held["loaded_bytes"] > held["runtime_bytes"] > 0


def test_the_stock_codecs_mask_is_a_number_for_each_pair_of_tokens() -> None:
    subject = open_subject(BenchOptions(device="cpu", dtype="float32"))
    assert footprint.stock_mask_bytes(120.0, subject) == pytest.approx(1.8 * 2**30, rel=0.01)


def test_a_process_that_fails_is_named() -> None:
    # It ends before it loads torch: where it fails makes no difference.
    with pytest.raises(JobError, match=r"stock side.*no such figure"):
        footprint.measure_alone("no such figure", footprint.STOCK, OPTIONS)


# Parts


def test_work_is_what_was_counted_on_the_real_sizes() -> None:
    small = TransformerShape()
    medium = TransformerShape(
        embed_dim=1536, depth=24, num_heads=24, use_differential_attention=True
    )
    # Counted by torch's FlopCounter on the stock module's real shapes; it counts what a job
    # shares too, and 257 tokens of context on their way in and out: a sixth.
    assert roofline.step_flops(small, 388) == pytest.approx(411e9 * 5 / 6, rel=0.03)
    assert roofline.step_flops(medium, 323) == pytest.approx(1126e9 * 5 / 6, rel=0.05)
    same_l = CodecShape(
        kind=CodecKind.SAME_L, encoder_channels=256, encoder_transformer_depths=(12,)
    )
    assert roofline.codec_flops(CodecShape(), 323) == pytest.approx(594e9, rel=0.05)
    assert roofline.codec_flops(same_l, 323) == pytest.approx(4700e9, rel=0.05)


def test_a_stage_takes_at_least_its_work_or_its_weights() -> None:
    most = {"flops_a_second": 10.0, "codec_flops_a_second": 5.0, "bytes_a_second": 2.0}
    work = {"encode": 15.0, "sample": 100.0, "decode": 1.0}
    least = roofline.least_times(work, most, {"decode": 4.0})
    assert least == {"encode": 3.0, "sample": 10.0, "decode": 2.0}


def test_idle_time_is_what_no_work_covers() -> None:
    work = [(100.0, 200.0), (150.0, 250.0), (400.0, 500.0), (2000.0, 2100.0)]
    use = gpu.use_of((0.0, 1000.0), work)
    assert use == {
        "kernels": 3,
        "span_ms": 1.0,
        "busy_ms": pytest.approx(0.25),
        "idle": pytest.approx(0.75),
        "idle_between": pytest.approx(1 - 250 / 400),
    }
    assert gpu.use_of((0.0, 1000.0), [])["idle"] == 1.0


def test_a_watch_leaves_everything_as_it_was() -> None:
    class Owner:
        def work(self, number: int) -> int:
            return number + 1

    owner, watch = Owner(), Watch(CPU, keeps_calls=True)
    with (
        pytest.raises(TypeError),
        watch.watching([Place(owner, "work", "stage")]),
    ):
        owner.work(owner.work("no number"))  # type: ignore[arg-type]
    assert vars(owner) == {}
    with watch.watching([Place(owner, "work", "stage")]):
        assert owner.work(1) == 2
    assert vars(owner) == {}
    ((call,),) = watch.calls.values()
    assert (call.arguments, call.result) == ((1,), 2)
    assert set(watch.stages) == {"stage", OTHER, TOTAL}


@pytest.mark.gpu
def test_a_gpu_is_measured() -> None:
    options = replace(OPTIONS, device="cuda", dtype="float16")
    answer = measure(
        {name: getattr(options, name) for name in options.__slots__}, lambda _what, _done: None
    )
    assert answer["gpu"]["replays_ms"]
    for use in answer["gpu"]["sampling"].values():
        assert 0 <= use["idle"] <= 1
        assert use["kernels"] > 0
