"""Graphs give what their functions give; a stand-in records where there is no GPU."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from reapaint_engine.backends.stable_audio_3.device.graphs import (
    Function,
    GraphRunner,
    bucket_length,
)
from reapaint_engine.backends.stable_audio_3.inference.captured import (
    MAX_STEPS_PER_GRAPH,
    sample_captured,
)
from reapaint_engine.backends.stable_audio_3.inference.guidance import Guidance
from reapaint_engine.backends.stable_audio_3.inference.noise import TakeNoise
from reapaint_engine.backends.stable_audio_3.inference.sampling import (
    Sampler,
    log_snr_sigmas,
    noise_draws,
    sample,
)
from reapaint_engine.backends.stable_audio_3.network.denoiser import Denoiser, PreparedJob
from tests.tiny_checkpoints import make_tiny_parts

LENGTH = 32
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
DEVICES = ["stand-in", pytest.param("cuda", marks=[pytest.mark.gpu, needs_gpu])]


@pytest.fixture(autouse=True)
def _inference() -> Iterator[None]:
    with torch.inference_mode(), torch.random.fork_rng():
        torch.manual_seed(5)
        yield


class FakeGraph:
    """Replays by running the function on the recorded buffers, into a recorded output."""

    def __init__(self, function: Function, inputs: Sequence[Tensor]) -> None:
        self._function, self._inputs = function, inputs
        self.output = function(*inputs).clone()
        self.replays = 0

    def replay(self) -> None:
        self.output.copy_(self._function(*self._inputs))
        self.replays += 1


class FakeCapture:
    """Captures on the CPU what a CUDA graph would, and counts; can be told to fail."""

    def __init__(self) -> None:
        self.graphs: list[FakeGraph] = []
        self.attempts = 0
        self.failure: RuntimeError | None = None

    def __call__(self, function: Function, inputs: Sequence[Tensor]) -> FakeGraph:
        self.attempts += 1
        if self.failure is not None:
            raise self.failure
        self.graphs.append(FakeGraph(function, inputs))
        return self.graphs[-1]


def double(x: Tensor, *constants: Tensor) -> Tensor:
    return 2 * x + sum(constants)


@pytest.mark.parametrize(
    ("latents", "expected"), [(1, 16), (16, 16), (17, 32), (323, 336), (336, 336)]
)
def test_lengths_come_in_multiples(latents: int, expected: int) -> None:
    assert bucket_length(latents) == expected


def test_a_key_is_captured_once_and_replayed() -> None:
    capture = FakeCapture()
    runner = GraphRunner("cpu", capture=capture)
    for _ in range(3):
        x = torch.randn(4)
        assert torch.equal(runner.run("double", double, [x]), 2 * x)
    assert capture.attempts == 1
    assert capture.graphs[0].replays == 3


def test_shapes_and_dtypes_are_part_of_the_key() -> None:
    capture = FakeCapture()
    runner = GraphRunner("cpu", capture=capture)
    for x in (torch.randn(4), torch.randn(5), torch.randn(4).double()):
        assert torch.equal(runner.run("double", double, [x]), 2 * x)
    assert capture.attempts == 3


def test_a_result_is_the_caller_s() -> None:
    runner = GraphRunner("cpu", capture=FakeCapture())
    first = runner.run("double", double, [torch.ones(3)])
    runner.run("double", double, [torch.zeros(3)])
    assert torch.equal(first, torch.full((3,), 2.0))


def test_a_constant_is_copied_when_it_is_another_one() -> None:
    runner = GraphRunner("cpu", capture=FakeCapture())
    x, first, second = torch.zeros(3), torch.ones(3), torch.full((3,), 5.0)
    assert torch.equal(runner.run("double", double, [x], constant=[first]), first)
    assert torch.equal(runner.run("double", double, [x], constant=[second]), second)
    second.fill_(9)
    stale = runner.run("double", double, [x], constant=[second])
    assert torch.equal(stale, torch.full((3,), 5.0)), "it was copied again"
    assert torch.equal(runner.run("double", double, [x], constant=[first]), first)


def test_the_least_recently_used_graph_goes() -> None:
    capture = FakeCapture()
    runner = GraphRunner("cpu", kept=2, capture=capture)
    x = torch.ones(1)
    for key in ("a", "b", "a", "c", "a", "b"):
        runner.run(key, double, [x])
    assert capture.attempts == 4


def test_clearing_drops_every_graph() -> None:
    capture = FakeCapture()
    runner = GraphRunner("cpu", capture=capture)
    runner.run("a", double, [torch.ones(1)])
    runner.clear()
    runner.run("a", double, [torch.ones(1)])
    assert capture.attempts == 2


def test_what_cannot_be_captured_runs_eagerly_after_one_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    capture = FakeCapture()
    capture.failure = RuntimeError("operation not permitted when stream is capturing")
    runner = GraphRunner("cpu", capture=capture)
    x = torch.randn(3)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            assert torch.equal(runner.run("double", double, [x]), 2 * x)
    assert capture.attempts == 1
    assert [record.message for record in caplog.records] == [
        (
            "a CUDA graph could not be captured, running without:"
            " operation not permitted when stream is capturing"
        )
    ]


def test_without_memory_the_other_graphs_go_and_it_is_tried_again() -> None:
    capture = FakeCapture()
    runner = GraphRunner("cpu", capture=capture)
    x = torch.ones(1)
    runner.run("a", double, [x])
    capture.failure = torch.OutOfMemoryError("no memory")
    assert torch.equal(runner.run("b", double, [x]), 2 * x)
    capture.failure = None
    runner.run("b", double, [x])
    runner.run("a", double, [x])
    assert capture.attempts == 4


def test_nothing_is_captured_off_cuda() -> None:
    runner = GraphRunner("cpu")
    assert not runner.captures
    x = torch.randn(3)
    assert torch.equal(runner.run("double", double, [x]), 2 * x)


class Run:
    """A tiny model, two jobs for it, and what the sampler makes of them without graphs."""

    def __init__(self, device: str, steps: int, sampler: Sampler, scale: float, start: float):
        self.device = "cpu" if device == "stand-in" else device
        transformer = make_tiny_parts("same-l").transformer.to(self.device)
        config = transformer.config
        self.denoiser = Denoiser(transformer)
        self.sigmas = log_snr_sigmas(steps, start)
        self.sampler = sampler
        self.guidance = Guidance(scale=scale)
        self.dim = config.io_channels
        self.initial = None if start == 1 else self._random(1, self.dim, LENGTH)
        self.jobs = [self._job(config) for _ in range(2)]

    def _random(self, *shape: int) -> Tensor:
        return torch.randn(*shape).to(self.device)

    def _job(self, config: object) -> PreparedJob:
        branches = self.guidance.branches
        return self.denoiser.prepare(
            self._random(branches, 9, config.cond_token_dim),
            self._random(branches, config.global_cond_dim),
            self._random(1, 1 + self.dim, LENGTH),
            self.sigmas[:-1],
        )

    def noise(self, first_seed: int) -> TakeNoise:
        seeds = [first_seed, first_seed + 1]
        draws = noise_draws(self.sampler, self.sigmas)
        return TakeNoise(seeds, (self.dim, LENGTH), draws, self.device)

    @property
    def _settings(self) -> dict[str, object]:
        return {"sampler": self.sampler, "guidance": self.guidance, "initial": self.initial}

    def expected(self, job: PreparedJob, seed: int) -> Tensor:
        def velocity(latents: Tensor, step: int) -> Tensor:
            return self.denoiser.velocity(job, latents, step)

        return sample(velocity, self.noise(seed), self.sigmas, **self._settings)

    def captured(self, runner: GraphRunner, job: PreparedJob, seed: int, on_step=None) -> Tensor:
        return sample_captured(
            runner,
            self.denoiser,
            job,
            self.noise(seed),
            self.sigmas,
            on_step=on_step,
            **self._settings,
        )


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("steps", [3, MAX_STEPS_PER_GRAPH + 1])
@pytest.mark.parametrize(
    ("sampler", "scale", "start"),
    [
        (Sampler.PING_PONG, 1.0, 1.0),
        (Sampler.EULER, 7.0, 1.0),
        (Sampler.EULER, 7.0, 0.6),
    ],
)
def test_a_captured_run_is_the_run(
    device: str, steps: int, sampler: Sampler, scale: float, start: float
) -> None:
    run = Run(device, steps, sampler, scale, start)
    capture = FakeCapture() if device == "stand-in" else None
    runner = GraphRunner(run.device, capture=capture)
    assert runner.captures
    for job, seed in ((run.jobs[0], 1), (run.jobs[1], 1), (run.jobs[0], 50), (run.jobs[0], 1)):
        got = run.captured(runner, job, seed)
        assert torch.allclose(got, run.expected(job, seed), rtol=1e-4, atol=1e-5)
    if capture is not None:
        assert capture.attempts == 1
        made = len(run.sigmas) - 1
        replays = 4 if made <= MAX_STEPS_PER_GRAPH else 4 * made
        assert capture.graphs[0].replays == replays


@pytest.mark.parametrize(
    ("steps", "told"), [(MAX_STEPS_PER_GRAPH, 1), (MAX_STEPS_PER_GRAPH + 1, 9)]
)
def test_a_long_run_can_be_left_between_steps(steps: int, told: int) -> None:
    run = Run("stand-in", steps, Sampler.PING_PONG, 1.0, 1.0)
    seen: list[int] = []
    run.captured(GraphRunner("cpu", capture=FakeCapture()), run.jobs[0], 1, seen.append)
    assert seen == list(range(told))


def test_without_graphs_it_is_the_sampler_s_own_run() -> None:
    run = Run("stand-in", 2, Sampler.PING_PONG, 1.0, 1.0)
    got = run.captured(GraphRunner("cpu"), run.jobs[0], 1)
    assert torch.equal(got, run.expected(run.jobs[0], 1))


def test_other_guidance_is_another_graph() -> None:
    run = Run("stand-in", 2, Sampler.EULER, 7.0, 1.0)
    runner = GraphRunner("cpu", capture=FakeCapture())
    strong = run.captured(runner, run.jobs[0], 1)
    run.guidance = replace(run.guidance, scale=3.0)
    weak = run.captured(runner, run.jobs[0], 1)
    assert torch.allclose(weak, run.expected(run.jobs[0], 1), rtol=1e-4, atol=1e-5)
    assert not torch.allclose(weak, strong, rtol=1e-2)
