"""Audio accessors: of takes in item time, of tracks in project time; buffers stay dirty."""

# ruff: noqa: N802 - functions bear the names that Lua calls them by

from collections.abc import Callable
from typing import Any

import numpy as np

from reapaint_engine.protocol.arrays import Float64Array
from tests.reaper_sim.calls import SPECIAL, Caller, provides
from tests.reaper_sim.chunk import item_chunk
from tests.reaper_sim.errors import ApiError
from tests.reaper_sim.model import Handle, Take, Track
from tests.reaper_sim.playback import take_signal
from tests.reaper_sim.render import fade_gain, render_track

COROUTINE = None
"""What GetAudioAccessorSamples returns in a coroutine (M)."""


class Accessor(Handle):
    """A window onto samples as they were when it was made or last updated."""

    type_name = "AudioAccessor"

    def __init__(self) -> None:
        super().__init__()
        self.state = ""
        self.update()

    def update(self) -> None:
        """Look at what is read as it is now."""
        self.state = self.now()

    @property
    def is_stale(self) -> bool:
        """Whether that changed since."""
        return self.state != self.now()

    def now(self) -> str:
        """Return the state of what is read, "" where it is gone."""
        raise NotImplementedError

    def reach(self, caller: Caller) -> tuple[float, float]:
        """Return the start and the end of the time axis."""
        raise NotImplementedError

    def read(self, caller: Caller, start_s: float, frames: int, rate: int) -> Float64Array | None:
        """Return (channels, frames) from a time on; None where nothing can be read."""
        raise NotImplementedError


class TakeAccessor(Accessor):
    """Reads a take before its volume, in item time."""

    def __init__(self, take: Take) -> None:
        self.take = take
        super().__init__()

    def now(self) -> str:
        return item_chunk(self.take.item) if self.take.alive else ""

    def reach(self, caller: Caller) -> tuple[float, float]:
        item, take = self.take.item, self.take
        if item.values["B_LOOPSRC"] and caller.sim.switches.accessor_end_time == "source":
            assert take.source is not None
            pass_s = max(take.source.length_s - take.offset, 0.0) / take.rate
            return 0.0, min(item.length, pass_s)
        return 0.0, item.length

    def read(self, caller: Caller, start_s: float, frames: int, rate: int) -> Float64Array | None:
        source = self.take.source
        if source is None or source.is_offline or not source.channels:
            return None
        return _take_samples(caller, self.take, start_s=start_s, frames=frames, rate=rate)


class TrackAccessor(Accessor):
    """Reads the mix of a track's items before its FX, fader and pan, in project time (M).

    Volume envelopes of takes are in it; whether take FX are is unknown (?): here they are.
    """

    def __init__(self, track: Track) -> None:
        self.track = track
        super().__init__()

    def now(self) -> str:
        return "".join(map(item_chunk, self.track.items)) if self.track.alive else ""

    def reach(self, caller: Caller) -> tuple[float, float]:
        """A track without items gives start = end = 0 (S)."""
        items = self.track.items
        start_s = min((item.position for item in items), default=0.0)
        return start_s, max((item.end for item in items), default=0.0)

    def read(self, caller: Caller, start_s: float, frames: int, rate: int) -> Float64Array | None:
        return render_track(
            self.track,
            first=round(start_s * rate),
            frames=frames,
            rate=rate,
            switches=caller.sim.switches,
        )


@provides
def CreateTakeAudioAccessor(caller: Caller, take: Take) -> Accessor | None:
    return _made(caller, TakeAccessor(take)) if take.source is not None else None


@provides
def CreateTrackAudioAccessor(caller: Caller, track: Track) -> Accessor:
    return _made(caller, TrackAccessor(track))


def _made(caller: Caller, accessor: Accessor) -> Accessor:
    caller.script.accessors.append(accessor)
    return accessor


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
    return accessor.reach(caller)[0]


@provides
def GetAudioAccessorEndTime(caller: Caller, accessor: Accessor) -> float:
    return accessor.reach(caller)[1]


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
            return _read(
                caller,
                accessor,
                rate=int(rate),
                channels=int(channels),
                start_s=float(start_s),
                frames=int(frames),
            )

    return call


SPECIAL["GetAudioAccessorSamples"] = _samples


def _read(
    caller: Caller, accessor: Accessor, *, rate: int, channels: int, start_s: float, frames: int
) -> tuple[Any, ...]:
    """Return (True, code, the samples' bytes, frames written, channels written)."""
    switches = caller.sim.switches
    if not accessor.now() or rate <= 0 or channels <= 0:
        return True, -1
    begin, end = accessor.reach(caller)
    if start_s >= end or start_s + frames / rate <= begin:
        return True, 0
    written = min(frames, max(0, int(np.ceil((end - start_s) * rate - 1e-6))))
    signal = accessor.read(caller, start_s, written, rate)
    if signal is None:
        return True, 0
    caller.script.api_ms += switches.accessor_ms_per_second * frames / rate
    width = signal.shape[0]
    if width < channels and switches.accessor_extra_channels == "silent":
        signal = np.concatenate([signal, np.zeros((channels - width, written))])
    signal = signal[:channels]
    if start_s < begin:
        signal[:, : round((begin - start_s) * rate)] = 0.0
    return True, 1, signal.T.astype("<f8").tobytes(), written, signal.shape[0]


def _take_samples(
    caller: Caller, take: Take, *, start_s: float, frames: int, rate: int
) -> Float64Array:
    switches = caller.sim.switches
    loop = bool(take.item.values["B_LOOPSRC"]) and switches.accessor_loop == "wraps"
    signal = take_signal(
        take, start_s=start_s, frames=frames, rate=rate, switches=switches, loop=loop
    )
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
