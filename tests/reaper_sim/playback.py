"""What a take sounds like: the one path that both the accessor and the renderer read through.

At play rate 1, no pitch and the source's own rate, samples are copied. Anything else is a
band-limited interpolation at the times that the take's rate, pitch and stretch markers
give, anchored in the source, so that a split changes nothing. REAPER's own resampler and
pitch shifters sound different; what is tested is which source time is heard when.
"""

import bisect
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from reapaint_engine.protocol.arrays import Float64Array
from tests.reaper_sim.model import Take
from tests.reaper_sim.sources import Source
from tests.reaper_sim.switches import Switches

HALF_TAPS = 32
"""Half the interpolation kernel; with the Kaiser window below, images lie under -100 dB."""
KAISER_BETA = 10.0
GRAIN_S = 0.06
"""Length of the pitch shifter's grains."""
EXACT = 1e-3
"""Within this many frames of a whole one, a position is that frame: seconds are doubles."""
PHASES = 2048
"""Kernels between two frames; straight lines between them err by less than -120 dB."""
BLOCK = 1 << 13


def take_signal(
    take: Take,
    *,
    start_s: float,
    frames: int,
    rate: int,
    switches: Switches,
    loop: bool,
) -> Float64Array:
    """Return a take from a time of its item on, before fades, volume, pan and FX.

    Returns
    -------
    ndarray
        Shape (channels after the channel mode, frames), float64; silence outside of the
        source unless it loops.
    """
    source = take.source
    if source is None or source.is_offline or source.channels == 0 or source.sample_rate == 0:
        return np.zeros((1, frames))
    samples = choose_channels(_playable(source), int(take.values["I_CHANMODE"]))
    if _is_plain(take) and source.sample_rate == rate:
        first = (take.offset + start_s) * rate
        if switches.subsample_start == "nearest" or abs(first - round(first)) < EXACT:
            return _pick(samples, round(first) + np.arange(frames), loop=loop)
    times = start_s + np.arange(frames) / rate
    if _shifts_pitch(take):
        return _grains(take, samples, source.sample_rate, times, rate, loop=loop)
    positions = source_times(take, times) * source.sample_rate
    return _interpolate(samples, positions, _cutoff(take, source, rate), loop=loop)


def _playable(source: Source) -> npt.NDArray[np.float32]:
    return source.samples()


def choose_channels(samples: npt.NDArray[np.float32], mode: int) -> npt.NDArray[np.float32]:
    """Apply I_CHANMODE."""
    count = samples.shape[0]
    if mode == 0 or (mode in (1, 2, 3, 4) and count == 1):
        return samples
    if mode == 1:
        return samples[::-1] if count == 2 else np.concatenate([samples[1::-1], samples[2:]])
    if mode == 2:
        mean = samples[:2].astype(np.float64).mean(axis=0).astype(np.float32)
        return np.stack([mean, mean])
    first = mode - 3 if mode < 67 else mode - 67
    width = 1 if mode < 67 else 2
    part = samples[first : first + width]
    if part.shape[0] < width:
        part = np.zeros((width, samples.shape[1]), np.float32)
    return np.concatenate([part, part]) if width == 1 else part


def _is_plain(take: Take) -> bool:
    return (
        take.rate == 1.0
        and not take.stretch_markers
        and take.values["D_PITCH"] == 0.0
        and take.source is not None
    )


def _shifts_pitch(take: Take) -> bool:
    keeps_pitch = bool(take.values["B_PPITCH"])
    return take.values["D_PITCH"] != 0.0 or (keeps_pitch and take.rate != 1.0)


def source_times(take: Take, item_times: Float64Array) -> Float64Array:
    """Return the source times, in seconds, that a take plays at times of its item."""
    along = item_times * take.rate
    if not take.stretch_markers:
        return take.offset + along
    places = [place for place, _ in take.stretch_markers]
    heard = [time for _, time in take.stretch_markers]
    result = np.interp(along, places, heard)
    before, after = along < places[0], along > places[-1]
    result[before] = heard[0] + (along[before] - places[0])
    result[after] = heard[-1] + (along[after] - places[-1])
    return result


def stretch_marker_at(take: Take, place: float) -> tuple[float, float] | None:
    """Return the marker that lies at a place of a take, as a split keeps it."""
    places = [each for each, _ in take.stretch_markers]
    index = bisect.bisect_left(places, place)
    found = index < len(places) and abs(places[index] - place) < 1e-9
    return take.stretch_markers[index] if found else None


def _cutoff(take: Take, source: Source, rate: int) -> float:
    """Return the highest frequency to keep, as a share of the source's band."""
    step = take.rate * source.sample_rate / rate
    return min(1.0, 1.0 / step)


def _pick(
    samples: npt.NDArray[np.float32], index: npt.NDArray[np.int64], *, loop: bool
) -> Float64Array:
    length = samples.shape[1]
    if length == 0:
        return np.zeros((samples.shape[0], len(index)))
    if loop:
        return samples[:, index % length].astype(np.float64)
    inside = (index >= 0) & (index < length)
    picked = samples[:, np.clip(index, 0, length - 1)].astype(np.float64)
    return np.where(inside, picked, 0.0)


@lru_cache(maxsize=8)
def _kernels(cutoff: float) -> Float64Array:
    """Return interpolation kernels for places between two frames; shape (PHASES + 1, taps)."""
    reach = HALF_TAPS / cutoff
    half = int(np.ceil(reach))
    taps = np.arange(1 - half, half + 1)
    x = taps - np.linspace(0, 1, PHASES + 1)[:, None]
    window = np.i0(KAISER_BETA * np.sqrt(np.clip(1 - (x / reach) ** 2, 0, None)))
    kernels: Float64Array = np.where(np.abs(x) < reach, np.sinc(cutoff * x) * window, 0.0)
    kernels /= kernels.sum(axis=1, keepdims=True)
    return kernels


def _interpolate(
    samples: npt.NDArray[np.float32], positions: Float64Array, cutoff: float, *, loop: bool
) -> Float64Array:
    """Read samples between frames: windowed sinc, along straight lines between its phases."""
    result = np.empty((samples.shape[0], len(positions)))
    for first in range(0, len(positions), BLOCK):
        part = positions[first : first + BLOCK]
        result[:, first : first + BLOCK] = _interpolate_block(samples, part, cutoff, loop=loop)
    return result


def _interpolate_block(
    samples: npt.NDArray[np.float32], positions: Float64Array, cutoff: float, *, loop: bool
) -> Float64Array:
    nearest = np.round(positions)
    if cutoff == 1.0 and np.all(np.abs(positions - nearest) < EXACT / 100):
        return _pick(samples, nearest.astype(np.int64), loop=loop)
    kernels = _kernels(cutoff)
    half = kernels.shape[1] // 2
    base = np.floor(positions).astype(np.int64)
    phase = (positions - base) * PHASES
    low = phase.astype(np.int64)
    share = (phase - low)[:, None]
    weights = kernels[low] * (1 - share) + kernels[np.minimum(low + 1, PHASES)] * share
    first = int(base.min()) - half + 1
    near = _pick(samples, np.arange(first, int(base.max()) + half + 1), loop=loop)
    windows = sliding_window_view(near, 2 * half, axis=1)
    begin = base - half + 1 - first
    return np.stack([np.einsum("nt,nt->n", weights, row[begin]) for row in windows])


def _grains(
    take: Take,
    samples: npt.NDArray[np.float32],
    source_rate: int,
    item_times: Float64Array,
    rate: int,
    *,
    loop: bool,
) -> Float64Array:
    """Play at one speed and sound at another: two rows of overlapping grains."""
    keeps_pitch = bool(take.values["B_PPITCH"])
    speed = 2 ** (take.values["D_PITCH"] / 12) * (1.0 if keeps_pitch else take.rate)
    heard = source_times(take, item_times)
    cutoff = min(1.0, rate / (speed * source_rate))
    total = np.zeros((samples.shape[0], len(item_times)))
    for row in (0.0, 0.5):
        grain = np.floor(heard / GRAIN_S + row)
        begin = (grain - row) * GRAIN_S
        inside = (heard - begin) / GRAIN_S
        positions = (begin + (heard - begin) / take.rate * speed) * source_rate
        weight = np.sin(np.pi * np.clip(inside, 0, 1)) ** 2
        total += weight * _interpolate(samples, positions, cutoff, loop=loop)
    return total
