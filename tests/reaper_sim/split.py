"""Splitting an item, with all that REAPER does on the side, and healing it."""

from typing import TYPE_CHECKING

import numpy as np

from tests.reaper_sim.model import EnvelopePoint, Item, Take
from tests.reaper_sim.playback import source_times
from tests.reaper_sim.sources import FileSource, MidiSource, Source

if TYPE_CHECKING:
    from tests.reaper_sim.simulator import Reaper

AUTO_CROSSFADE_ON_SPLIT = 40912
ZOOM_LIMITS = 256
SAME_S = 1e-7
"""How far two cuts may be apart and still be healed."""


def split_item(sim: "Reaper", item: Item, at_s: float) -> Item | None:
    """Cut an item in two; None where the time is not strictly inside.

    Notes
    -----
    The original stays the left part and keeps its GUID; the right one is new, takes and all
    (D, M). Locks and groups are ignored (C). Source offsets grow by seconds times play rate
    (C).
    """
    if not item.position < at_s < item.end:
        return None
    switches = sim.switches
    left_s = at_s - item.position
    right = item.clone(random=sim.random)
    right.values |= {"D_POSITION": at_s, "D_LENGTH": item.end - at_s}
    _divide_snap_offset(item, right, left_s)
    if not switches.split_keeps_group:
        right.values["I_GROUPID"] = 0.0
    if switches.split_selects == "no":
        right.values["B_UISEL"] = 0.0
    if not switches.split_copies_colour:
        right.values["I_CUSTOMCOLOR"], right.notes = 0.0, ""
    for left_take, right_take in zip(item.takes, right.takes, strict=True):
        if left_take is not None and right_take is not None:
            _divide_take(sim, left_take, right_take, left_s)
    item.values["D_LENGTH"] = left_s
    _divide_fades(sim, item, right)
    item.track.items.append(right)
    if sim.options[AUTO_CROSSFADE_ON_SPLIT]:
        _crossfade(sim, item, right, at_s)
    item.track.sort_items()
    return right


def _divide_snap_offset(left: Item, right: Item, left_s: float) -> None:
    snap = left.values["D_SNAPOFFSET"]
    if snap > left_s:
        left.values["D_SNAPOFFSET"], right.values["D_SNAPOFFSET"] = 0.0, snap - left_s
    else:
        right.values["D_SNAPOFFSET"] = 0.0


def _divide_take(sim: "Reaper", left: Take, right: Take, left_s: float) -> None:
    moved = left_s * left.rate
    if left.stretch_markers:
        heard = float(source_times(left, np.array([left_s]))[0])
        right.values["D_STARTOFFS"] = heard
        right.stretch_markers = [(0.0, heard)]
        right.stretch_markers += [(p - moved, s) for p, s in left.stretch_markers if p > moved]
        left.stretch_markers = [(p, s) for p, s in left.stretch_markers if p < moved]
        left.stretch_markers.append((moved, heard))
    else:
        right.values["D_STARTOFFS"] = left.offset + moved
    if not sim.switches.split_copies_take_ext:
        right.ext.clear()
    if not sim.switches.split_copies_take_markers:
        right.markers.clear()
    if not sim.switches.split_copies_take_envelopes:
        right.envelopes.clear()
    for name, envelope in right.envelopes.items():
        at_cut = left.envelopes[name].value_at(moved)
        later = [point for point in envelope.points if point.time > moved]
        for point in later:
            point.time -= moved
        envelope.points = [EnvelopePoint(0.0, at_cut), *later]
        old = left.envelopes[name]
        earlier = [point for point in old.points if point.time < moved]
        old.points = [*earlier, EnvelopePoint(moved, at_cut)]


def _divide_fades(sim: "Reaper", left: Item, right: Item) -> None:
    """The left part keeps the fade-in, the right the fade-out, no longer than itself (I)."""
    edge = sim.switches.split_edge_fades
    for item, inner, outer in ((left, "OUT", "IN"), (right, "IN", "OUT")):
        values = item.values
        if edge != "copied":
            values[f"D_FADE{inner}LEN_AUTO"] = -1.0
            default = sim.switches.api_item_fade_s if edge == "default" else 0.0
            values[f"D_FADE{inner}LEN"] = min(default, item.length)
        for side in (inner, outer):
            for key in (f"D_FADE{side}LEN", f"D_FADE{side}LEN_AUTO"):
                values[key] = min(values[key], item.length)


def crossfade_length(sim: "Reaper", left: Item, right: Item) -> float:
    """Return how long a split's crossfade gets: a setting, limited by what is on screen (C)."""
    view = left.track.project.view
    length = min(float(sim.config["defsplitxfadelen"]), (view.end - view.start) / 2)
    if int(sim.config["splitautoxfade"]) & ZOOM_LIMITS:
        length = min(length, int(sim.config["splitmaxpix"]) / view.pixels_per_second)
    return min(length, left.length, right.length)


def _crossfade(sim: "Reaper", left: Item, right: Item, at_s: float) -> None:
    take = left.take
    if take is None or isinstance(take.source, MidiSource):
        return
    length = crossfade_length(sim, left, right)
    share = {"left_extends": 0.0, "right_begins_early": 1.0, "centred": 0.5}
    early = length * share[sim.switches.split_crossfade]
    left.values["D_LENGTH"] += length - early
    right.values["D_POSITION"] = at_s - early
    right.values["D_LENGTH"] += early
    for each in right.takes:
        if each is not None:
            each.values["D_STARTOFFS"] -= early * each.rate
    shape = float(sim.config["defxfadeshape"])
    left.values |= {"D_FADEOUTLEN_AUTO": length, "C_FADEOUTSHAPE": shape}
    right.values |= {"D_FADEINLEN_AUTO": length, "C_FADEINSHAPE": shape}


def heal(items: list[Item]) -> int:
    """Join neighbouring parts of what was one item; returns how many cuts were healed."""
    healed = 0
    for track in {id(item.track): item.track for item in items}.values():
        chosen = [item for item in track.items if item in items]
        left = chosen[0]
        for right in chosen[1:]:
            if _continues(left, right):
                _join(left, right)
                healed += 1
            else:
                left = right
    return healed


def _media(source: Source | None) -> object:
    return source.path if isinstance(source, FileSource) else source


def _continues(left: Item, right: Item) -> bool:
    if len(left.takes) != len(right.takes) or right.position > left.end + SAME_S:
        return False
    if left.active != right.active or left.lane != right.lane:
        return False
    apart = right.position - left.position
    pairs = zip(left.takes, right.takes, strict=True)
    return all(_take_continues(one, other, apart) for one, other in pairs)


def _take_continues(one: Take | None, other: Take | None, apart_s: float) -> bool:
    if one is None or other is None:
        return one is other
    same = _media(one.source) == _media(other.source) and one.rate == other.rate
    return same and abs(one.offset + apart_s * one.rate - other.offset) <= SAME_S


def _join(left: Item, right: Item) -> None:
    left.values["D_LENGTH"] = right.end - left.position
    for key in ("D_FADEOUTLEN", "D_FADEOUTLEN_AUTO", "C_FADEOUTSHAPE", "D_FADEOUTDIR"):
        left.values[key] = right.values[key]
    left.track.items.remove(right)
    right.kill()
