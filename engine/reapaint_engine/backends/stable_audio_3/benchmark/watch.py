"""Time by stage, taken from outside: calls are timed where they pass, and nothing is changed."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch

PROFILE_PREFIX = "bench: "
"""What a stage's name begins with in a profile."""

TOTAL = "total"
OTHER = "other"


@dataclass(slots=True)
class Times:
    """Seconds on the wall, and seconds of all this process's threads together."""

    wall_s: float = 0.0
    cpu_s: float = 0.0

    def __add__(self, other: "Times") -> "Times":
        return Times(self.wall_s + other.wall_s, self.cpu_s + other.cpu_s)

    def __sub__(self, other: "Times") -> "Times":
        return Times(self.wall_s - other.wall_s, self.cpu_s - other.cpu_s)


@dataclass(frozen=True, slots=True)
class Place:
    """A callable, as an attribute of its owner, and the stage that its time counts for."""

    owner: Any
    name: str
    stage: str


@dataclass(frozen=True, slots=True)
class WatchedCall:
    """What went through a place."""

    arguments: tuple[Any, ...]
    result: Any


@dataclass(slots=True)
class Watch:
    """Times the calls of some places while ``watching``.

    Parameters
    ----------
    device
        Waited for before and after each call, so that work counts where it was asked for.
    keeps_calls
        Also keep what went in and what came out.
    """

    device: torch.device
    keeps_calls: bool = False
    stages: dict[str, Times] = field(default_factory=dict)
    calls: dict[str, list[WatchedCall]] = field(default_factory=dict)

    @contextmanager
    def watching(self, places: Sequence[Place]) -> Iterator[None]:
        """Time everything until the end as the total, and each place as its stage."""
        with ExitStack() as stack:
            for place in places:
                stack.enter_context(self._watch(place))
            with self._count(TOTAL):
                yield
        inside = sum((each for name, each in self.stages.items() if name != TOTAL), Times())
        self.stages[OTHER] = self.stages[TOTAL] - inside

    @contextmanager
    def _watch(self, place: Place) -> Iterator[None]:
        original = getattr(place.owner, place.name)
        # A method is shadowed on its object alone, and uncovered again afterwards.
        is_own = place.name in vars(place.owner)
        setattr(place.owner, place.name, self._time_calls(original, place.stage))
        try:
            yield
        finally:
            if is_own:
                setattr(place.owner, place.name, original)
            else:
                delattr(place.owner, place.name)

    def _time_calls(self, original: Callable[..., Any], stage: str) -> Callable[..., Any]:
        def timed(*arguments: Any, **keywords: Any) -> Any:
            with self._count(stage):
                result = original(*arguments, **keywords)
            if self.keeps_calls:
                self.calls.setdefault(stage, []).append(WatchedCall(arguments, result))
            return result

        return timed

    @contextmanager
    def _count(self, stage: str) -> Iterator[None]:
        synchronise(self.device)
        wall_s, cpu_s = time.perf_counter(), time.process_time()
        with torch.profiler.record_function(PROFILE_PREFIX + stage):
            yield
            synchronise(self.device)
        took = Times(time.perf_counter() - wall_s, time.process_time() - cpu_s)
        self.stages[stage] = self.stages.get(stage, Times()) + took


def synchronise(device: torch.device) -> None:
    """Wait until a device has done what was asked of it."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
