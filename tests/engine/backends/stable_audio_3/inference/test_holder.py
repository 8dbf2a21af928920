"""One model in memory: loading, waiting, cancelling, failing and letting go."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from reapaint_engine.backends.stable_audio_3.inference.holder import ModelHolder
from reapaint_engine.errors import JobCancelled, JobError
from reapaint_engine.protocol.errors import ErrorCode
from reapaint_engine.protocol.progress import OnFraction

SMALL, MEDIUM = Path("small"), Path("medium")
LONG_S = 10.0


class FakeModel:
    """Stands for a model: knows whether it was closed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.closed = threading.Event()

    def close(self) -> None:
        self.closed.set()


class FakeLoader:
    """Stands for loading: goes on when it is let."""

    def __init__(self) -> None:
        self.models: list[FakeModel] = []
        self.go_on = threading.Event()
        self.go_on.set()
        self.begun = threading.Event()
        self.failure: Exception | None = None

    def __call__(self, folder: Path, on_progress: OnFraction) -> FakeModel:
        on_progress(0.0)
        self.begun.set()
        assert self.go_on.wait(LONG_S)
        on_progress(0.5)
        if self.failure is not None:
            raise self.failure
        self.models.append(FakeModel(folder))
        return self.models[-1]


class FakeControl:
    """Stands for a job's control; ends the job when told to."""

    def __init__(self, on_step: Callable[[], None] = lambda: None) -> None:
        self.steps: list[tuple[str, float]] = []
        self._on_step = on_step

    def step(self, stage: str, fraction: float) -> None:
        self.steps.append((stage, fraction))
        self._on_step()


def test_a_model_is_loaded_once_and_lent_again() -> None:
    load = FakeLoader()
    holder = ModelHolder(load, idle_s=0)
    for _ in range(2):
        with holder.borrow(SMALL, FakeControl()) as model:
            assert model is load.models[0]
    assert len(load.models) == 1
    assert holder.held == SMALL


def test_another_model_takes_the_first_ones_place() -> None:
    load = FakeLoader()
    holder = ModelHolder(load, idle_s=0)
    with holder.borrow(SMALL, FakeControl()):
        pass
    with holder.borrow(MEDIUM, FakeControl()) as model:
        assert model.folder == MEDIUM
        assert load.models[0].closed.is_set()
        assert not model.closed.is_set()


def test_a_job_takes_what_was_preloaded() -> None:
    load = FakeLoader()
    load.go_on.clear()
    holder = ModelHolder(load, idle_s=0)
    holder.preload(SMALL)
    assert load.begun.wait(LONG_S)
    control = FakeControl(load.go_on.set)
    with holder.borrow(SMALL, control):
        assert len(load.models) == 1
    assert {stage for stage, _ in control.steps} == {"load"}


def test_a_cancelled_job_leaves_the_model_loading() -> None:
    load = FakeLoader()
    load.go_on.clear()
    holder = ModelHolder(load, idle_s=0)

    def cancel() -> None:
        raise JobCancelled

    with pytest.raises(JobCancelled), holder.borrow(SMALL, FakeControl(cancel)):
        pytest.fail("a cancelled job got its model")
    load.go_on.set()
    with holder.borrow(SMALL, FakeControl()):
        assert len(load.models) == 1


def test_a_model_nobody_wants_any_more_is_given_up() -> None:
    load = FakeLoader()
    load.go_on.clear()
    holder = ModelHolder(load, idle_s=0)
    holder.preload(SMALL)
    assert load.begun.wait(LONG_S)
    with holder.borrow(MEDIUM, FakeControl(load.go_on.set)) as model:
        assert model.folder == MEDIUM
    assert [each.folder for each in load.models] == [MEDIUM]


def test_a_failure_reaches_the_job_and_the_next_one_tries_again() -> None:
    load = FakeLoader()
    load.failure = JobError(ErrorCode.MODEL_BROKEN, "It is broken.")
    holder = ModelHolder(load, idle_s=0)
    with pytest.raises(JobError, match="broken"), holder.borrow(SMALL, FakeControl()):
        pytest.fail("a broken model was lent")
    load.failure = None
    with holder.borrow(SMALL, FakeControl()) as model:
        assert model.folder == SMALL


def test_an_idle_model_is_dropped_and_loaded_again() -> None:
    load = FakeLoader()
    holder = ModelHolder(load, idle_s=0.001)
    with holder.borrow(SMALL, FakeControl()) as model:
        assert not model.closed.is_set()
    assert load.models[0].closed.wait(LONG_S)
    with holder.borrow(SMALL, FakeControl()) as model:
        assert model is load.models[-1]


def test_closing_gives_memory_back() -> None:
    load = FakeLoader()
    holder = ModelHolder(load, idle_s=0)
    with holder.borrow(SMALL, FakeControl()):
        pass
    holder.close()
    assert load.models[0].closed.is_set()
    assert holder.held is None
