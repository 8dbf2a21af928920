"""Items: finding, reading, changing, splitting and deleting them."""

# ruff: noqa: N802 - functions bear the names that Lua calls them by

from collections.abc import Callable

from tests.reaper_sim.api.values import ext_text, get_value, set_value, unknown_text
from tests.reaper_sim.calls import Caller, provides
from tests.reaper_sim.chunk import ChunkError, item_chunk, read_item
from tests.reaper_sim.model import Item, Project, Take, Track, new_guid
from tests.reaper_sim.split import split_item

_COMPUTED: dict[str, Callable[[Item], float]] = {
    "B_MUTE_ACTUAL": lambda item: item.values["B_MUTE"] or item.track.values["B_MUTE"],
    "C_LANEPLAYS": lambda item: float(item.plays),
    "I_CURTAKE": lambda item: float(item.active),
    "IP_ITEMNUMBER": lambda item: float(item.track.items.index(item)),
    "B_FIXEDLANE_HIDDEN": lambda item: 0.0,
    "I_LASTY": lambda item: 2.0,
    "I_LASTH": lambda item: 60.0,
}


def selected(project: Project) -> list[Item]:
    """Return a project's selected items, track by track."""
    return [item for item in project.items if item.selected]


def _at(things: list[Item], index: int) -> Item | None:
    return things[index] if 0 <= index < len(things) else None


@provides
def CountMediaItems(caller: Caller, project: Project) -> int:
    return len(project.items)


@provides
def GetMediaItem(caller: Caller, project: Project, index: int) -> Item | None:
    return _at(project.items, index)


@provides
def CountSelectedMediaItems(caller: Caller, project: Project) -> int:
    return len(selected(project))


@provides
def GetSelectedMediaItem(caller: Caller, project: Project, index: int) -> Item | None:
    return _at(selected(project), index)


@provides
def CountTrackMediaItems(caller: Caller, track: Track) -> int:
    return len(track.items)


@provides
def GetTrackNumMediaItems(caller: Caller, track: Track) -> int:
    return len(track.items)


@provides
def GetTrackMediaItem(caller: Caller, track: Track, index: int) -> Item | None:
    return _at(track.items, index)


@provides
def GetMediaItem_Track(caller: Caller, item: Item) -> Track:
    return item.track


@provides
def GetMediaItemTrack(caller: Caller, item: Item) -> Track:
    return item.track


@provides
def GetItemProjectContext(caller: Caller, item: Item) -> Project:
    return item.track.project


@provides
def GetMediaItemInfo_Value(caller: Caller, item: Item, name: str) -> float:
    if name in _COMPUTED:
        return float(_COMPUTED[name](item))
    return get_value(caller, "MediaItem", item.values, name)


@provides
def SetMediaItemInfo_Value(caller: Caller, item: Item, name: str, value: float) -> bool:
    if name == "I_CURTAKE":
        item.active = int(value)
        caller.edits(item.track.project)
        return True
    if name == "D_LENGTH" and value < 0:
        caller.sim.blame(f"D_LENGTH = {value}", caller.script)
    if not set_value(caller, "MediaItem", item.values, name, value):
        return False
    if name == "D_POSITION":
        item.track.sort_items()
    if name == "I_FIXEDLANE":
        _make_lane(item.track, int(value))
    caller.edits(item.track.project)
    return True


def _make_lane(track: Track, lane: int) -> None:
    """B10 (M): setting a lane turns a track without lanes into one with them."""
    track.values["I_FREEMODE"] = 2.0
    track.values["I_NUMFIXEDLANES"] = max(track.values["I_NUMFIXEDLANES"], lane + 1.0)


@provides
def SetMediaItemPosition(caller: Caller, item: Item, position: float, refresh: bool) -> bool:
    return bool(SetMediaItemInfo_Value(caller, item, "D_POSITION", position))


@provides
def SetMediaItemLength(caller: Caller, item: Item, length: float, refresh: bool) -> bool:
    return bool(SetMediaItemInfo_Value(caller, item, "D_LENGTH", length))


@provides
def IsMediaItemSelected(caller: Caller, item: Item) -> bool:
    return item.selected


@provides
def SetMediaItemSelected(caller: Caller, item: Item, state: bool) -> None:
    item.selected = state
    caller.edits(item.track.project)


@provides
def SelectAllMediaItems(caller: Caller, project: Project, state: bool) -> None:
    for item in project.items:
        item.selected = state
    caller.edits(project)


@provides
def GetSetMediaItemInfo_String(
    caller: Caller, item: Item, name: str, text: str, is_set: bool
) -> tuple[bool, str]:
    if is_set:
        caller.edits(item.track.project)
    if name.startswith("P_EXT:"):
        return ext_text(item.ext, name[6:], text, is_set)
    if name == "P_NOTES":
        item.notes = text if is_set else item.notes
        return True, item.notes
    if name == "GUID":
        item.guid = text if is_set else item.guid
        return True, item.guid
    raise unknown_text(caller, "MediaItem", name)


@provides
def GetItemStateChunk(caller: Caller, item: Item, text: str, is_undo: bool) -> tuple[bool, str]:
    return True, item_chunk(item)


@provides
def SetItemStateChunk(caller: Caller, item: Item, text: str, is_undo: bool) -> bool:
    """Replaces takes and all; pointers to the item's takes die (I)."""
    try:
        read_item(item, text)
    except ChunkError as error:
        caller.sim.blame(f"SetItemStateChunk: {error}", caller.script)
        return False
    caller.edits(item.track.project)
    return True


@provides
def AddMediaItemToTrack(caller: Caller, track: Track) -> Item:
    """B6 (M): the loop flag on and default fades, in a fresh configuration."""
    item = Item(track, new_guid(caller.sim.random))
    fade_s = caller.sim.switches.api_item_fade_s
    item.values |= {"B_LOOPSRC": 1.0, "D_FADEINLEN": fade_s, "D_FADEOUTLEN": fade_s}
    track.items.append(item)
    track.sort_items()
    caller.edits(track.project)
    return item


@provides
def DeleteTrackMediaItem(caller: Caller, track: Track, item: Item) -> bool:
    if item not in track.items:
        return False
    track.project.delete_item(item)
    caller.edits(track.project)
    return True


@provides
def MoveMediaItemToTrack(caller: Caller, item: Item, track: Track) -> bool:
    item.track.items.remove(item)
    item.track = track
    track.items.append(item)
    track.sort_items()
    caller.edits(track.project)
    return True


@provides
def SplitMediaItem(caller: Caller, item: Item, position: float) -> Item | None:
    right = split_item(caller.sim, item, position)
    if right is not None:
        caller.edits(item.track.project)
    return right


@provides
def UpdateItemInProject(caller: Caller, item: Item) -> None:
    caller.sim.redraws["UpdateItemInProject"] += 1


@provides
def UpdateItemLanes(caller: Caller, project: Project) -> bool:
    caller.sim.redraws["UpdateItemLanes"] += 1
    return False


@provides
def GetDisplayedMediaItemColor(caller: Caller, item: Item) -> int:
    return int(item.values["I_CUSTOMCOLOR"])


@provides
def GetDisplayedMediaItemColor2(caller: Caller, item: Item, take: Take) -> int:
    return int(take.values["I_CUSTOMCOLOR"] or item.values["I_CUSTOMCOLOR"])


@provides
def GetItemFromPoint(caller: Caller, x: int, y: int, allow_locked: bool) -> None:
    return None
