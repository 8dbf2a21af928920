"""Where a checkpoint runs: the rule by a table, and what the probe reads."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from reapaint_engine.backends.stable_audio_3.checkpoint.catalog import GIB, Sizes, find_model
from reapaint_engine.backends.stable_audio_3.device import machine_memory, placement
from reapaint_engine.backends.stable_audio_3.device.machine_memory import available_memory
from reapaint_engine.backends.stable_audio_3.device.placement import (
    Card,
    Machine,
    decide,
    plan_device,
)
from reapaint_engine.errors import JobError

SMALL, MEDIUM = find_model("small-music").sizes, find_model("medium").sizes


def _machine(
    *card_gib: float, mps_gib: float | None = None, bfloat16: str = "AMX", free_gib: float = 64
) -> Machine:
    cards = tuple(Card(i, f"Card {i}", int(gib * GIB)) for i, gib in enumerate(card_gib))
    mps = None if mps_gib is None else int(mps_gib * GIB)
    return Machine(cards, mps, bfloat16, int(free_gib * GIB))


@pytest.mark.parametrize(
    ("machine", "sizes", "requested", "plan"),
    [
        # device, the model's and the codec's precision, the text encoder's device, whether it fits
        (_machine(80), MEDIUM, "auto", "cuda:0 float16 float16 cuda:0 True"),
        (_machine(7), MEDIUM, "auto", "cuda:0 float16 float16 cpu True"),
        (_machine(6.6), MEDIUM, "auto", "cpu bfloat16 float32 cpu True"),
        (_machine(4), SMALL, "auto", "cuda:0 float16 float16 cuda:0 True"),
        (_machine(2.9), SMALL, "auto", "cuda:0 float16 float16 cpu True"),
        (_machine(2), SMALL, "auto", "cpu bfloat16 float32 cpu True"),
        (_machine(2, free_gib=2), SMALL, "auto", "cpu bfloat16 float32 cpu False"),
        (_machine(2), SMALL, "cuda", "cuda:0 float16 float16 cpu False"),
        (_machine(2, 24), SMALL, "auto", "cuda:1 float16 float16 cuda:1 True"),
        (_machine(12, 24), SMALL, "auto", "cuda:1 float16 float16 cuda:1 True"),
        (_machine(24, 4), SMALL, "cuda:1", "cuda:1 float16 float16 cuda:1 True"),
        (_machine(80), SMALL, "cpu", "cpu bfloat16 float32 cpu True"),
        (_machine(), SMALL, "auto", "cpu bfloat16 float32 cpu True"),
        (_machine(bfloat16=""), SMALL, "auto", "cpu float32 float32 cpu True"),
        (_machine(bfloat16="", free_gib=8), MEDIUM, "auto", "cpu float32 float32 cpu False"),
        (_machine(mps_gib=10, bfloat16=""), SMALL, "auto", "mps float32 float32 mps True"),
        (_machine(mps_gib=10, bfloat16=""), MEDIUM, "auto", "cpu float32 float32 cpu True"),
        (_machine(mps_gib=10, bfloat16=""), MEDIUM, "mps", "mps float32 float32 mps False"),
    ],
)
def test_the_rule(machine: Machine, sizes: Sizes, requested: str, plan: str) -> None:
    made = decide(sizes, machine, requested)
    told = (made.device, made.model_dtype, made.codec_dtype, made.text_device, made.fits)
    assert " ".join(map(str, told)) == plan
    assert made.reason.endswith(".")


def test_memory_is_that_of_the_parameters_and_of_the_work() -> None:
    sizes = Sizes(transformer=1000, codec=100, text_encoder=10, working_bytes=7)
    on_card = decide(sizes, _machine(1))
    assert on_card.needed_bytes == 2 * (1000 + 100 + 10) + 7
    assert decide(sizes, _machine()).needed_bytes == 2 * (1000 + 10) + 4 * 100 + 7
    assert decide(sizes, _machine(bfloat16="")).needed_bytes == 4 * (1000 + 100 + 10) + 7


def test_measured_memory_fits_what_is_planned_for() -> None:
    # Resident memory measured on a CPU: small float32 3.2 GiB, medium's parts in bfloat16
    # 3.4 GiB and 4.0 GiB with the codec in float32.
    assert decide(SMALL, _machine(bfloat16="")).needed_bytes >= 3.2 * GIB
    assert decide(MEDIUM, _machine()).needed_bytes >= 7.4 * GIB


def test_the_reason_says_what_stood_in_the_way() -> None:
    assert decide(SMALL, _machine(80)).reason == "Card 0: model and codec in float16."
    assert "text encoder on the CPU" in decide(SMALL, _machine(2.9)).reason
    assert "GPU has less than the" in decide(SMALL, _machine(1)).reason
    assert "less is free" in decide(SMALL, _machine(free_gib=1)).reason
    assert "noise" in decide(SMALL, _machine(mps_gib=64)).reason


@pytest.mark.parametrize("requested", ["cuda", "cuda:1", "mps", "tpu", "", "CPU:0"])
def test_a_device_that_is_not_here(requested: str) -> None:
    with pytest.raises(JobError) as failure:
        decide(SMALL, _machine(), requested)
    assert failure.value.code == "device_failed"
    assert "cpu" in failure.value.hint


# The probe


def test_the_probe_finds_this_machine() -> None:
    machine = placement.probe_machine()
    assert 2**26 < machine.free_bytes < 2**50
    assert plan_device(SMALL, "cpu", lambda: machine).device == "cpu"


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_the_probe_finds_the_card() -> None:
    (card, *_) = placement.probe_machine().cards
    assert card.free_bytes > 0
    assert decide(SMALL, placement.probe_machine()).device.startswith("cuda")


def test_a_missing_package_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    with pytest.raises(JobError) as failure:
        placement.probe_machine()
    assert failure.value.code == "no_model"
    assert "pip install 'reapaint[stable-audio]'" in failure.value.hint


def _fake_torch(features: dict[str, object], *, mkldnn: bool = True) -> SimpleNamespace:
    return SimpleNamespace(
        cpu=SimpleNamespace(get_capabilities=lambda: features),
        backends=SimpleNamespace(mkldnn=SimpleNamespace(is_available=lambda: mkldnn)),
    )


@pytest.mark.parametrize(
    ("features", "mkldnn", "found"),
    [
        ({"amx_bf16": True, "amx_tile": True, "avx512_bf16": True}, True, "AMX"),
        ({"amx_bf16": False, "amx_tile": True, "avx512_bf16": True}, True, "AVX-512 BF16"),
        ({"avx512_bf16": False, "l2_cache_size": 1, "architecture": "x86_64"}, True, ""),
        ({"bf16": True, "architecture": "arm64"}, True, ""),
        ({"amx_bf16": True, "amx_tile": True}, False, ""),
    ],
)
def test_fast_bfloat16(features: dict[str, object], mkldnn: bool, found: str) -> None:
    assert placement.fast_bfloat16_of(_fake_torch(features, mkldnn=mkldnn)) == found


def test_an_older_torch_leaves_it_to_linux(tmp_path: Path) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor : 0\nflags : fpu avx512_bf16 amx_tile\n", encoding="utf-8")
    older = SimpleNamespace(cpu=SimpleNamespace())
    assert {"avx512_bf16", "amx_tile"} <= placement.cpu_features(older, cpuinfo)
    assert placement.cpu_features(older, tmp_path / "none") == set()


def test_a_card_that_fails_is_passed_over() -> None:
    def mem_get_info(index: int) -> tuple[int, int]:
        if index == 0:
            raise RuntimeError("in exclusive use")
        return 5, 10

    cuda = SimpleNamespace(
        is_available=lambda: True,
        device_count=lambda: 2,
        mem_get_info=mem_get_info,
        get_device_name=lambda index: f"Card {index}",
    )
    assert list(placement.usable_cards(SimpleNamespace(cuda=cuda))) == [Card(1, "Card 1", 5)]


# Memory


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="ascii")


@pytest.mark.skipif(machine_memory.sys.platform == "win32", reason="Windows is asked otherwise")
def test_a_containers_limit_counts(tmp_path: Path) -> None:
    proc, groups = tmp_path / "proc", tmp_path / "cgroup"
    _write(proc / "meminfo", "MemTotal: 9000 kB\nMemAvailable:    8000 kB\n")
    assert available_memory(proc, groups) == 8000 * 1024
    _write(proc / "self" / "cgroup", "0::/app/job\n")
    assert available_memory(proc, groups) == 8000 * 1024
    for name, limit in (("app/job", "max"), ("app", "5000")):
        _write(groups / name / "memory.max", f"{limit}\n")
        _write(groups / name / "memory.current", "4000\n")
        _write(groups / name / "memory.stat", "anon 1000\ninactive_file 2500\n")
    assert available_memory(proc, groups) == 5000 - (4000 - 2500)
    _write(groups / "app" / "memory.current", "9000\n")
    assert available_memory(proc, groups) == 0


@pytest.mark.skipif(machine_memory.sys.platform == "win32", reason="Windows is asked otherwise")
def test_where_nothing_says_what_is_free(tmp_path: Path) -> None:
    import os

    built_in = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert 0.6 * built_in < available_memory(tmp_path, tmp_path) < 0.7 * built_in
