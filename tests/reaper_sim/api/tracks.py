"""Tracks."""

# ruff: noqa: N802 - functions bear the names that Lua calls them by

from tests.reaper_sim.api.values import ext_text, get_value, set_value, unknown_text
from tests.reaper_sim.calls import Caller, provides
from tests.reaper_sim.model import Project, Track
from tests.reaper_sim.signatures import parameter_keys

MASTER_NUMBER = -1


@provides
def CountTracks(caller: Caller, project: Project) -> int:
    return len(project.tracks)


@provides
def GetNumTracks(caller: Caller) -> int:
    return len(caller.project.tracks)


@provides
def GetTrack(caller: Caller, project: Project, index: int) -> Track | None:
    return project.tracks[index] if 0 <= index < len(project.tracks) else None


@provides
def GetMasterTrack(caller: Caller, project: Project) -> Track:
    return project.master


@provides
def CountSelectedTracks(caller: Caller, project: Project) -> int:
    return sum(track.selected for track in project.tracks)


@provides
def CountSelectedTracks2(caller: Caller, project: Project, master: bool) -> int:
    return sum(track.selected for track in project.tracks) + (master and project.master.selected)


@provides
def GetSelectedTrack(caller: Caller, project: Project, index: int) -> Track | None:
    found = [track for track in project.tracks if track.selected]
    return found[index] if 0 <= index < len(found) else None


@provides
def IsTrackSelected(caller: Caller, track: Track) -> bool:
    return track.selected


@provides
def SetTrackSelected(caller: Caller, track: Track, state: bool) -> None:
    track.selected = state
    caller.edits(track.project)


@provides
def SetOnlyTrackSelected(caller: Caller, track: Track) -> None:
    for each in track.project.tracks:
        each.selected = each is track
    caller.edits(track.project)


@provides
def InsertTrackAtIndex(caller: Caller, index: int, defaults: bool) -> None:
    project = caller.project
    project.add_track(index=min(max(index, 0), len(project.tracks)))
    caller.edits(project)


@provides
def InsertTrackInProject(caller: Caller, project: Project, index: int, flags: int) -> None:
    project.add_track(index=min(max(index, 0), len(project.tracks)))
    caller.edits(project)


@provides
def DeleteTrack(caller: Caller, track: Track) -> None:
    track.project.tracks.remove(track)
    track.alive = False
    for item in track.items:
        item.kill()
    caller.edits(track.project)


def _number(track: Track) -> int:
    project = track.project
    return MASTER_NUMBER if track is project.master else project.tracks.index(track) + 1


@provides
def GetMediaTrackInfo_Value(caller: Caller, track: Track, name: str) -> float:
    if name == "IP_TRACKNUMBER":
        return float(_number(track))
    if name.startswith("C_LANEPLAYS:"):
        lane = int(name.split(":")[1])
        if track.values["I_FREEMODE"] != 2:
            return -1.0
        return float(track.lanes_playing is None or lane in track.lanes_playing)
    return get_value(caller, "Track", track.values, name)


@provides
def SetMediaTrackInfo_Value(caller: Caller, track: Track, name: str, value: float) -> bool:
    if name.startswith("C_LANEPLAYS:"):
        _play_lane(track, int(name.split(":")[1]), int(value))
        caller.edits(track.project)
        return True
    before = track.values.get("I_FREEMODE")
    done = set_value(caller, "Track", track.values, name, value)
    phantom = caller.sim.switches.free_lane_alone_leaves_phantom
    if name == "I_FREEMODE" and value == 2 and before != 2 and phantom:
        track.values["I_NUMFIXEDLANES"] += 1
    caller.edits(track.project)
    return done


def _play_lane(track: Track, lane: int, how: int) -> None:
    """0 silences a lane, 1 plays it alone, 2 plays it too."""
    playing = set(track.lanes_playing or range(int(track.values["I_NUMFIXEDLANES"])))
    track.lanes_playing = {lane} if how == 1 else playing | {lane} if how else playing - {lane}


@provides
def GetSetMediaTrackInfo_String(
    caller: Caller, track: Track, name: str, text: str, is_set: bool
) -> tuple[bool, str]:
    if is_set:
        caller.edits(track.project)
    if name.startswith("P_EXT:"):
        return ext_text(track.ext, name[6:], text, is_set)
    if name == "P_NAME":
        track.name = text if is_set else track.name
        return True, track.name
    if name == "GUID":
        track.guid = text if is_set else track.guid
        return True, track.guid
    if name.startswith("P_LANENAME:") or name in parameter_keys()["Track_String"]:
        if is_set:
            track.strings[name] = text
        return True, track.strings.get(name, "")
    raise unknown_text(caller, "Track", name)


@provides
def GetTrackName(caller: Caller, track: Track) -> tuple[bool, str]:
    return True, track.name or f"Track {_number(track)}"


@provides
def GetTrackGUID(caller: Caller, track: Track) -> str:
    return track.guid


@provides
def GetTrackColor(caller: Caller, track: Track) -> int:
    return int(track.values["I_CUSTOMCOLOR"])


@provides
def GetParentTrack(caller: Caller, track: Track) -> None:
    return None


@provides
def GetTrackDepth(caller: Caller, track: Track) -> int:
    return 0


@provides
def TrackFX_GetCount(caller: Caller, track: Track) -> int:
    return 0


@provides
def GetLastTouchedTrack(caller: Caller) -> Track | None:
    return next((track for track in caller.project.tracks if track.selected), None)
