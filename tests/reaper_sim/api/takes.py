"""Takes: finding, adding, reading and changing them."""

# ruff: noqa: N802 - functions bear the names that Lua calls them by

import math
from typing import Any

from tests.reaper_sim.api.values import ext_text, get_value, set_value, unknown_text
from tests.reaper_sim.calls import Caller, provides
from tests.reaper_sim.chunk import envelope_lines
from tests.reaper_sim.errors import ApiError
from tests.reaper_sim.model import (
    Envelope,
    EnvelopePoint,
    Item,
    Project,
    Take,
    TakeEffect,
    TakeMarker,
    Track,
    new_guid,
)
from tests.reaper_sim.sources import MidiSource, Source


def _edits(caller: Caller, take: Take) -> None:
    caller.edits(take.item.track.project)


@provides
def GetActiveTake(caller: Caller, item: Item) -> Take | None:
    return item.take


@provides
def CountTakes(caller: Caller, item: Item) -> int:
    """Counts empty take lanes too (S)."""
    return len(item.takes)


@provides
def GetMediaItemNumTakes(caller: Caller, item: Item) -> int:
    return len(item.takes)


@provides
def GetTake(caller: Caller, item: Item, index: int) -> Take | None:
    return item.takes[index] if 0 <= index < len(item.takes) else None


@provides
def GetMediaItemTake(caller: Caller, item: Item, index: int) -> Take | None:
    if index == -1:
        return item.take
    return GetTake(caller, item, index)


@provides
def GetMediaItemTake_Item(caller: Caller, take: Take) -> Item:
    return take.item


@provides
def GetMediaItemTake_Track(caller: Caller, take: Take) -> Track:
    return take.track


@provides
def GetMediaItemTakeByGUID(caller: Caller, project: Project, guid: str) -> Take | None:
    return next((take for take in project.takes if take.guid == guid), None)


@provides
def AddTakeToMediaItem(caller: Caller, item: Item) -> Take:
    """B6 (M): changes neither the active take nor the length."""
    take = Take(item, new_guid(caller.sim.random))
    item.takes.append(take)
    caller.edits(item.track.project)
    return take


@provides
def SetActiveTake(caller: Caller, take: Take) -> None:
    take.item.active = take.number
    _edits(caller, take)


@provides
def TakeIsMIDI(caller: Caller, take: Take) -> bool:
    return isinstance(take.source, MidiSource)


@provides
def GetTakeName(caller: Caller, take: Take) -> str:
    return take.name


@provides
def GetMediaItemTake_Source(caller: Caller, take: Take) -> Source | None:
    return take.source


@provides
def SetMediaItemTake_Source(caller: Caller, take: Take, source: Source) -> bool:
    """B6 (D): the old source is not destroyed; one that is in use is duplicated."""
    if source.owner is not None:
        source = source.clone()
    old = take.source
    if old is not None:
        old.owner = None
        caller.script.sources.append(old)
    take.source, source.owner = source, take
    _edits(caller, take)
    return True


@provides
def GetMediaItemTakeInfo_Value(caller: Caller, take: Take, name: str) -> float:
    if name == "IP_TAKENUMBER":
        return float(take.number)
    return get_value(caller, "Take", take.values, name)


@provides
def SetMediaItemTakeInfo_Value(caller: Caller, take: Take, name: str, value: float) -> bool:
    if name == "D_PLAYRATE" and value <= 0:
        caller.sim.blame(f"D_PLAYRATE = {value}", caller.script)
    done = set_value(caller, "Take", take.values, name, value)
    _edits(caller, take)
    return done


@provides
def GetSetMediaItemTakeInfo_String(
    caller: Caller, take: Take, name: str, text: str, is_set: bool
) -> tuple[bool, str]:
    if is_set:
        _edits(caller, take)
    if name.startswith("P_EXT:"):
        return ext_text(take.ext, name[6:], text, is_set)
    if name == "P_NAME":
        take.name = text if is_set else take.name
        return True, take.name
    if name == "GUID":
        take.guid = text if is_set else take.guid
        return True, take.guid
    raise unknown_text(caller, "Take", name)


# Stretch markers, take markers, envelopes, FX -------------------------------------------------


@provides
def GetTakeNumStretchMarkers(caller: Caller, take: Take) -> int:
    return len(take.stretch_markers)


@provides
def GetTakeStretchMarker(caller: Caller, take: Take, index: int) -> tuple[int, float, float]:
    if not 0 <= index < len(take.stretch_markers):
        return -1, 0.0, 0.0
    return index, *take.stretch_markers[index]


@provides
def SetTakeStretchMarker(
    caller: Caller, take: Take, index: int, position: float, source_position: float | None
) -> int:
    heard = take.offset + position if source_position is None else source_position
    if index >= 0:
        del take.stretch_markers[index]
    take.stretch_markers = sorted([*take.stretch_markers, (position, heard)])
    _edits(caller, take)
    return take.stretch_markers.index((position, heard))


@provides
def DeleteTakeStretchMarkers(caller: Caller, take: Take, index: int, count: int | None) -> int:
    end = index + (count or 1)
    removed = len(take.stretch_markers[index:end])
    del take.stretch_markers[index:end]
    _edits(caller, take)
    return removed


@provides
def GetNumTakeMarkers(caller: Caller, take: Take) -> int:
    return len(take.markers)


@provides
def GetTakeMarker(caller: Caller, take: Take, index: int) -> tuple[float, str, int]:
    if not 0 <= index < len(take.markers):
        return -1.0, "", 0
    marker = take.markers[index]
    return marker.position, marker.name, marker.colour


@provides
def SetTakeMarker(
    caller: Caller,
    take: Take,
    index: int,
    name: str,
    position: float | None,
    colour: int | None,
) -> int:
    if index < 0:
        take.markers.append(TakeMarker(position or 0.0, name, colour or 0))
        index = len(take.markers) - 1
    else:
        marker = take.markers[index]
        marker.name = name
        marker.position = marker.position if position is None else position
        marker.colour = marker.colour if colour is None else colour
    _edits(caller, take)
    return index


@provides
def CountTakeEnvelopes(caller: Caller, take: Take) -> int:
    return len(take.envelopes)


@provides
def GetTakeEnvelope(caller: Caller, take: Take, index: int) -> Envelope | None:
    envelopes = list(take.envelopes.values())
    return envelopes[index] if 0 <= index < len(envelopes) else None


@provides
def GetTakeEnvelopeByName(caller: Caller, take: Take, name: str) -> Envelope | None:
    return take.envelopes.get(name)


@provides
def GetEnvelopeName(caller: Caller, envelope: Envelope) -> tuple[bool, str]:
    return True, envelope.name


@provides
def CountEnvelopePoints(caller: Caller, envelope: Envelope) -> int:
    return len(envelope.points)


@provides
def GetEnvelopePoint(caller: Caller, envelope: Envelope, index: int) -> tuple[Any, ...]:
    if not 0 <= index < len(envelope.points):
        return False, 0.0, 0.0, 0, 0.0, False
    point = envelope.points[index]
    return True, point.time, point.value, point.shape, point.tension, point.selected


@provides
def InsertEnvelopePoint(
    caller: Caller,
    envelope: Envelope,
    time: float,
    value: float,
    shape: int,
    tension: float,
    selected: bool,
    no_sort: bool,
) -> bool:
    envelope.points.append(EnvelopePoint(time, value, shape, tension, selected))
    if not no_sort:
        envelope.points.sort(key=lambda point: point.time)
    _edits_envelope(caller, envelope)
    return True


@provides
def Envelope_SortPoints(caller: Caller, envelope: Envelope) -> bool:
    envelope.points.sort(key=lambda point: point.time)
    return True


@provides
def Envelope_Evaluate(
    caller: Caller, envelope: Envelope, time: float, rate: float, count: int
) -> tuple[int, float, float, float, float]:
    return count, envelope.value_at(time), 0.0, 0.0, 0.0


@provides
def GetEnvelopeScalingMode(caller: Caller, envelope: Envelope) -> int:
    return 0


@provides
def GetEnvelopeStateChunk(
    caller: Caller, envelope: Envelope, text: str, is_undo: bool
) -> tuple[bool, str]:
    return True, "\n".join(envelope_lines(envelope)) + "\n"


def _edits_envelope(caller: Caller, envelope: Envelope) -> None:
    parent = envelope.parent
    caller.edits(parent.project if isinstance(parent, Track) else parent.item.track.project)


@provides
def TakeFX_GetCount(caller: Caller, take: Take) -> int:
    return len(take.effects)


@provides
def TakeFX_GetEnabled(caller: Caller, take: Take, index: int) -> bool:
    return 0 <= index < len(take.effects) and take.effects[index].enabled


@provides
def TakeFX_GetFXName(caller: Caller, take: Take, index: int) -> tuple[bool, str]:
    if not 0 <= index < len(take.effects):
        return False, ""
    return True, take.effects[index].name


KNOWN_EFFECTS = {
    "JS:utility/volume": "JS: utility/volume",
    "ReaEQ": "VST: ReaEQ (Cockos)",
}
"""What TakeFX_AddByName finds, by the name it is asked for; the first parameter is dB."""


@provides
def TakeFX_AddByName(caller: Caller, take: Take, name: str, instantiate: int) -> int:
    """D: 0 only looks, 1 adds where there is none, below 0 always adds; -1 for what is unknown."""
    shown = KNOWN_EFFECTS.get(name)
    if shown is None:
        return -1
    found = [index for index, effect in enumerate(take.effects) if effect.name == shown]
    if found and instantiate >= 0:
        return found[0]
    if instantiate == 0:
        return -1
    take.effects.append(TakeEffect(shown, gain=1.0))
    _edits(caller, take)
    return len(take.effects) - 1


@provides
def TakeFX_GetNumParams(caller: Caller, take: Take, index: int) -> int:
    return int(0 <= index < len(take.effects))


@provides
def TakeFX_GetParam(
    caller: Caller, take: Take, index: int, parameter: int
) -> tuple[float, float, float]:
    if not 0 <= index < len(take.effects) or parameter != 0:
        return 0.0, 0.0, 0.0
    return 20 * math.log10(max(take.effects[index].gain, 1e-9)), -150.0, 150.0


@provides
def TakeFX_SetParam(caller: Caller, take: Take, index: int, parameter: int, value: float) -> bool:
    if not 0 <= index < len(take.effects) or parameter != 0:
        return False
    take.effects[index].gain = 10 ** (value / 20)
    _edits(caller, take)
    return True


@provides
def TakeFX_SetEnabled(caller: Caller, take: Take, index: int, enabled: bool) -> None:
    if 0 <= index < len(take.effects):
        take.effects[index].enabled = enabled
        _edits(caller, take)


@provides
def TakeFX_CopyToTake(
    caller: Caller, take: Take, index: int, other: Take, to: int, is_move: bool
) -> None:
    if not 0 <= index < len(take.effects):
        raise ApiError(f"TakeFX_CopyToTake: there is no FX {index}")
    effect = take.effects[index]
    other.effects.insert(to, type(effect)(effect.name, effect.gain, effect.enabled))
    if is_move:
        take.effects.remove(effect)
    _edits(caller, other)


@provides
def TakeFX_Delete(caller: Caller, take: Take, index: int) -> bool:
    if not 0 <= index < len(take.effects):
        return False
    del take.effects[index]
    _edits(caller, take)
    return True
