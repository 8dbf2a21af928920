"""Audio accessors of takes: item time, no volume, a buffer that stays dirty."""

# ruff: noqa: N802 - functions bear the names that Lua calls them by

from collections.abc import Callable
from typing import Any

import numpy as np

from tests.reaper_sim.calls import SPECIAL, Caller, provides
from tests.reaper_sim.chunk import item_chunk
from tests.reaper_sim.errors import ApiError
from tests.reaper_sim.model import Handle, Take, Track
from tests.reaper_sim.playback import Signal, take_signal
from tests.reaper_sim.render import fade_gain

COROUTINE = None
"""What GetAudioAccessorSamples returns in a coroutine (M)."""


class Accessor(Handle):
    """A window onto a take's samples as they were when it was made or last updated."""

    type_name = "AudioAccessor"

    def __init__(self, take: Take) -> None:
        super().__init__()
        self.take = take
        self.state = ""
        self.update()

    def update(self) -> None:
        """Look at the take as it is now."""
        self.state = item_chunk(self.take.item)

    @property
    def is_stale(self) -> bool:
        """Whether the take changed since."""
        return not self.take.alive or self.state != item_chunk(self.take.item)


@provides
def CreateTakeAudioAccessor(caller: Caller, take: Take) -> Accessor | None:
    if take.source is None:
        return None
    accessor = Accessor(take)
    caller.script.accessors.append(accessor)
    return accessor


@provides
def CreateTrackAudioAccessor(caller: Caller, track: Track) -> None:
    raise caller.sim.fail("the double does not provide track accessors", caller.script)


@provides
def DestroyAudioAccessor(caller: Caller, accessor: Accessor) -> None:
    accessor.alive = False


@provides
def AudioAccessorStateChanged(caller: Caller, accessor: Accessor) -> bool:
    return accessor.is_stale


@provides
def AudioAccessorUpdate(caller: Caller, accessor: Accessor) -> None:
    accessor.update()


@provides
def AudioAccessorValidateState(caller: Caller, accessor: Accessor) -> bool:
    return accessor.is_stale


@provides
def GetAudioAccessorStartTime(caller: Caller, accessor: Accessor) -> float:
    return 0.0


def _end_time(caller: Caller, accessor: Accessor) -> float:
    item, take = accessor.take.item, accessor.take
    if item.values["B_LOOPSRC"] and caller.sim.switches.accessor_end_time == "source":
        assert take.source is not None
        return min(item.length, max(take.source.length_s - take.offset, 0.0) / take.rate)
    return item.length


@provides
def GetAudioAccessorEndTime(caller: Caller, accessor: Accessor) -> float:
    return _end_time(caller, accessor)


@provides
def GetAudioAccessorSamples(
    caller: Caller,
    accessor: Accessor,
    rate: int,
    channels: int,
    start_s: float,
    frames: int,
    _: Any,
) -> int:
    """Read through the prelude, which holds the array; see ``_samples``."""
    raise AssertionError


def _samples(caller: Caller, checked: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function that the prelude calls with what it knows of the array."""

    def call(is_main: bool, size: int | None, *arguments: Any) -> tuple[Any, ...]:
        with caller.script.account:
            if not is_main:
                return True, COROUTINE
            accessor, rate, channels, start_s, frames = arguments
            if not isinstance(accessor, Accessor) or not accessor.alive:
                text = "bad argument #1 to 'GetAudioAccessorSamples' (AudioAccessor expected)"
                return False, text.encode()
            if size is None:
                text = "bad argument #6 to 'GetAudioAccessorSamples' (reaper.array expected)"
                return False, text.encode()
            if int(frames) * int(channels) > size:
                raise caller.sim.fail(
                    f"GetAudioAccessorSamples writes {frames} x {channels} values into {size}",
                    caller.script,
                )
            caller.sim.calls["GetAudioAccessorSamples"] += 1
            return _read(caller, accessor, int(rate), int(channels), float(start_s), int(frames))

    return call


SPECIAL["GetAudioAccessorSamples"] = _samples


def _read(
    caller: Caller, accessor: Accessor, rate: int, channels: int, start_s: float, frames: int
) -> tuple[Any, ...]:
    """Return (True, code, the samples' bytes, frames written, channels written)."""
    take, switches = accessor.take, caller.sim.switches
    if not take.alive or rate <= 0 or channels <= 0:
        return True, -1
    if take.source is None or take.source.is_offline or not take.source.channels:
        return True, 0
    caller.script.api_ms += switches.accessor_ms_per_second * frames / rate
    end = _end_time(caller, accessor)
    if start_s >= end or start_s + frames / rate <= 0:
        return True, 0
    written = min(frames, max(0, int(np.ceil((end - start_s) * rate - 1e-6))))
    signal = _take_samples(caller, take, start_s, written, rate)
    width = signal.shape[0]
    if width < channels and switches.accessor_extra_channels == "silent":
        signal = np.concatenate([signal, np.zeros((channels - width, written))])
    signal = signal[:channels]
    if start_s < 0:
        signal[:, : round(-start_s * rate)] = 0.0
    return True, 1, signal.T.astype("<f8").tobytes(), written, signal.shape[0]


def _take_samples(caller: Caller, take: Take, start_s: float, frames: int, rate: int) -> Signal:
    switches = caller.sim.switches
    loop = bool(take.item.values["B_LOOPSRC"]) and switches.accessor_loop == "wraps"
    signal = take_signal(take, start_s, frames, rate, switches, loop=loop)
    if switches.accessor_fades:
        times = start_s + np.arange(frames) / rate
        signal = signal * fade_gain(take.item, times)
    if switches.accessor_take_fx:
        for effect in take.effects:
            signal = signal * (effect.gain if effect.enabled else 1.0)
    return signal


@provides
def GetMediaItemTake_Peaks(caller: Caller, *_: Any) -> int:
    raise ApiError("the double does not provide peaks")
