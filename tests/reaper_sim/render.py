"""The timeline as samples: what a listener hears of a project, before tracks' FX."""

import math

import numpy as np
import numpy.typing as npt

from reapaint_engine.protocol.arrays import Float64Array
from tests.reaper_sim.fades import fade_in, fade_out
from tests.reaper_sim.model import Envelope, Item, Project, Take, Track
from tests.reaper_sim.playback import EXACT, take_signal
from tests.reaper_sim.switches import Switches


def render(
    project: Project,
    *,
    start_s: float,
    end_s: float,
    rate: int,
    switches: Switches,
    channels: int | None = None,
    tracks: list[Track] | None = None,
) -> npt.NDArray[np.float32]:
    """Mix a stretch of the project.

    Items are mixed as REAPER mixes: in double precision, each with its fades, item and
    take volume (negative is a flipped polarity), pan, envelope and FX; mutes, lanes and
    enclosed items count. An item of the project's rate at play rate 1 and full gain comes
    out bit for bit.

    Parameters
    ----------
    channels
        By default 2, or more where a source has more.

    Returns
    -------
    ndarray
        Shape (channels, frames), float32; the first frame is the one nearest to
        ``start_s``.
    """
    chosen = [
        track for track in (tracks or project.tracks) if not track.values["B_MUTE"] and track.alive
    ]
    width = channels or max([2, *(_width(track) for track in chosen)])
    first = round(start_s * rate)
    mix = np.zeros((width, round(end_s * rate) - first))
    for track in chosen:
        mix += track.values["D_VOL"] * _render_track(track, first, mix.shape, rate, switches)
    return mix.astype(np.float32)


def render_track(
    track: Track, *, first: int, frames: int, rate: int, switches: Switches
) -> Float64Array:
    """Mix a track's items before its fader; shape (channels, frames), float64."""
    return _render_track(track, first, (max(2, _width(track)), frames), rate, switches)


def _width(track: Track) -> int:
    takes = (take for item in track.items for take in item.takes if take is not None)
    return max((take.source.channels for take in takes if take.source), default=1)


def _render_track(
    track: Track, first: int, shape: tuple[int, int], rate: int, switches: Switches
) -> Float64Array:
    mix = np.zeros(shape)
    heard = [item for item in track.items if not item.values["B_MUTE"] and item.plays]
    for item in heard:
        begin, end = _frames_of(item, rate)
        low, high = max(begin, first), min(end, first + shape[1])
        if low < high:
            signal = _render_item(
                item, low=low, high=high, rate=rate, width=shape[0], others=heard, switches=switches
            )
            mix[:, low - first : high - first] += signal
    return mix


def _frames_of(item: Item, rate: int) -> tuple[int, int]:
    """Return the frames of the project that an item covers."""
    begin = math.ceil(item.position * rate - EXACT)
    return begin, math.ceil(item.end * rate - EXACT)


def _render_item(
    item: Item,
    *,
    low: int,
    high: int,
    rate: int,
    width: int,
    others: list[Item],
    switches: Switches,
) -> Float64Array:
    takes = item.takes if item.values["B_ALLTAKESPLAY"] else [item.take]
    total = np.zeros((width, high - low))
    for take in takes:
        if take is not None:
            total += take_output(
                take, low=low, high=high, rate=rate, width=width, switches=switches
            )
    times = np.arange(low, high) / rate - item.position
    gain = fade_gain(item, times, others, switches) * item.values["D_VOL"]
    if switches.item_mix == "enclosed_replaces":
        for other in others:
            if other is not item and other.lane == item.lane and _encloses(item, other):
                begin, end = _frames_of(other, rate)
                gain[max(begin - low, 0) : max(end - low, 0)] = 0.0
    return total * gain


def _encloses(outer: Item, inner: Item) -> bool:
    """Say whether one item lies wholly over another, which then replaces it."""
    return (
        outer.position <= inner.position
        and inner.end <= outer.end
        and inner.length < outer.length
        and inner.take is not None
    )


def take_output(
    take: Take, *, low: int, high: int, rate: int, width: int, switches: Switches
) -> Float64Array:
    """Return frames of the project that a take plays, with its volume, pan and FX."""
    item = take.item
    start_s = low / rate - item.position
    loop = bool(item.values["B_LOOPSRC"])
    signal = take_signal(
        take, start_s=start_s, frames=high - low, rate=rate, switches=switches, loop=loop
    )
    times = np.arange(low, high) / rate - item.position
    signal = signal * _volume(take, times)
    for effect in take.effects:
        if effect.enabled:
            signal = signal * effect.gain
    return _pan(_spread(signal, width), take, times)


def _volume(take: Take, times: Float64Array) -> Float64Array | float:
    envelope = take.envelopes.get("Volume")
    if envelope is None or not envelope.active:
        return take.values["D_VOL"]
    return take.values["D_VOL"] * _values(envelope, take, times)


def _values(envelope: Envelope, take: Take, times: Float64Array) -> Float64Array:
    """Return an envelope at times of the item; its points count time as the take plays it."""
    return envelope.values_at(times * take.rate)


def _spread(signal: Float64Array, width: int) -> Float64Array:
    """Put a mono take on both channels of a pair; leave others in their places."""
    if signal.shape[0] == 1:
        signal = np.concatenate([signal, signal])
    out = np.zeros((width, signal.shape[1]))
    count = min(width, signal.shape[0])
    out[:count] = signal[:count]
    return out


def _pan(signal: Float64Array, take: Take, times: Float64Array) -> Float64Array:
    envelope = take.envelopes.get("Pan")
    if envelope is not None and envelope.active:
        pan = _values(envelope, take, times)
    elif take.values["D_PAN"] == 0.0:
        return signal
    else:
        pan = np.full(signal.shape[1], take.values["D_PAN"])
    signal[0] *= np.minimum(1.0, 1.0 - pan)
    signal[1] *= np.minimum(1.0, 1.0 + pan)
    return signal


def fade_gain(
    item: Item,
    times: Float64Array,
    others: list[Item] | None = None,
    switches: Switches | None = None,
) -> Float64Array:
    """Return an item's fades at times of the item; automatic lengths override manual ones."""
    gain = np.ones(len(times))
    ignore = switches is not None and switches.manual_fades_in_overlaps == "ignored"
    values = item.values
    length = _fade_length(item, "IN")
    if length > 0 and not (ignore and _is_manual_overlap(item, "IN", others or [])):
        curve = fade_in(times / length, int(values["C_FADEINSHAPE"]), values["D_FADEINDIR"])
        gain = np.where(times < length, gain * curve, gain)
    length = _fade_length(item, "OUT")
    if length > 0 and not (ignore and _is_manual_overlap(item, "OUT", others or [])):
        x = (times - (item.length - length)) / length
        curve = fade_out(x, int(values["C_FADEOUTSHAPE"]), values["D_FADEOUTDIR"])
        gain = np.where(x > 0, gain * curve, gain)
    return gain


def _fade_length(item: Item, side: str) -> float:
    automatic = item.values[f"D_FADE{side}LEN_AUTO"]
    length = automatic if automatic > 0 else item.values[f"D_FADE{side}LEN"]
    return min(length, item.length)


def _is_manual_overlap(item: Item, side: str, others: list[Item]) -> bool:
    if item.values[f"D_FADE{side}LEN_AUTO"] > 0:
        return False
    edge = item.position if side == "IN" else item.end
    return any(
        other is not item
        and other.lane == item.lane
        and other.position < edge - 1e-9
        and edge + 1e-9 < other.end
        for other in others
    )
