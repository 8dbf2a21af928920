"""Which backend does what names none, and what all of them do besides jobs."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from reapaint_engine.backends.base import Backend, Generation, GenerationParams, JobControl, Window
from reapaint_engine.backends.options import BackendOptions
from reapaint_engine.backends.registry import at_work, make_backends, preferred_backend
from reapaint_engine.protocol.messages import BackendInfo


@dataclass
class Watched(Backend):
    """Notes what is done with it."""

    is_better: bool = False
    done: list[str] = field(default_factory=list)

    @property
    def info(self) -> BackendInfo:
        raise NotImplementedError

    def generate(
        self, window: Window, params: GenerationParams, seeds: Sequence[int], control: JobControl
    ) -> Generation:
        raise NotImplementedError

    def is_preferred(self) -> bool:
        return self.is_better

    def start(self, *, is_default: bool) -> None:
        self.done.append("starts as the default" if is_default else "starts")

    def close(self) -> None:
        self.done.append("ends")


def test_the_first_does_what_names_none_unless_another_is_preferred() -> None:
    backends = {"first": Watched(), "second": Watched(), "third": Watched()}
    assert preferred_backend(backends, "auto") == "first"
    backends["third"].is_better = True
    assert preferred_backend(backends, "auto") == "third"
    assert preferred_backend(backends, "second") == "second"


def test_each_begins_its_own_work_and_ends_it_whatever_happens() -> None:
    backends = {"first": Watched(), "second": Watched()}
    with pytest.raises(KeyboardInterrupt), at_work(backends, "second"):
        raise KeyboardInterrupt
    assert backends["first"].done == ["starts", "ends"]
    assert backends["second"].done == ["starts as the default", "ends"]


def test_what_needs_nothing_comes_first_and_a_library_where_there_is_a_folder(
    tmp_path: object,
) -> None:
    assert next(iter(make_backends())) == "context"
    assert "library" not in make_backends()
    assert "library" in make_backends(BackendOptions(library=tmp_path))
