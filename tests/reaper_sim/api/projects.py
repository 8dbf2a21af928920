"""Project tabs, time selection, transport, settings of a project."""

# ruff: noqa: N802 - functions bear the names that Lua calls them by

from pathlib import Path
from typing import Any

from tests.reaper_sim.calls import Caller, project_of, provides
from tests.reaper_sim.chunk import project_chunk
from tests.reaper_sim.model import Handle, Marker, Project
from tests.reaper_sim.signatures import parameter_keys
from tests.reaper_sim.sources import Source

CURRENT = -1


@provides
def EnumProjects(caller: Caller, index: int) -> tuple[Project | None, str]:
    projects = caller.sim.projects
    if index == CURRENT:
        project = caller.project
    elif 0 <= index < len(projects):
        project = projects[index]
    else:
        return None, ""
    return project, caller.sim.files.to_lua(str(project.path)) if project.path else ""


@provides
def SelectProjectInstance(caller: Caller, project: Project) -> None:
    caller.sim.switch_project(project)


@provides
def GetProjectName(caller: Caller, project: Project) -> str:
    return project.name


@provides
def GetProjectPathEx(caller: Caller, project: Project) -> str:
    """B9 (D): the effective recording path, absolute also for an unsaved project."""
    return caller.sim.files.to_lua(str(project.media_folder))


@provides
def GetProjectPath(caller: Caller) -> str:
    return str(GetProjectPathEx(caller, caller.project))


@provides
def IsProjectDirty(caller: Caller, project: Project) -> int:
    return int(project.is_dirty)


@provides
def MarkProjectDirty(caller: Caller, project: Project) -> None:
    project.is_dirty = True


@provides
def Main_SaveProject(caller: Caller, project: Project, save_as: bool) -> None:
    raise caller.sim.fail("a script saves the user's project", caller.script)


@provides
def Main_SaveProjectEx(caller: Caller, project: Project, path: str, options: int) -> None:
    """Save a tab that a script opened; media in the project's folder is written relative (M)."""
    if project.opened_by is not caller.script:
        raise caller.sim.fail("a script saves the user's project", caller.script)
    host = Path(caller.sim.files.to_host(path))
    text = project_chunk(project)
    text = text.replace(f'FILE "{host.parent}/', 'FILE "').replace(f"FILE {host.parent}/", "FILE ")
    host.write_text(text, encoding="utf-8")
    project.path, project.is_dirty = host, False


@provides
def GetProjectStateChangeCount(caller: Caller, project: Project) -> int:
    return project.change_count


@provides
def GetProjectLength(caller: Caller, project: Project) -> float:
    return max((item.end for item in project.items), default=0.0)


@provides
def GetProjectTimeOffset(caller: Caller, project: Project, rounded: bool) -> float:
    return 0.0


@provides
def GetSet_LoopTimeRange2(
    caller: Caller,
    project: Project,
    is_set: bool,
    is_loop: bool,
    start: float,
    end: float,
    seek: bool,
) -> tuple[float, float]:
    """B4: loop points and time selection are linked by default (M)."""
    if is_set:
        project.time_selection = project.loop_points = (start, end)
        project.change_count += 1
    return project.loop_points if is_loop else project.time_selection


@provides
def GetSet_LoopTimeRange(
    caller: Caller, is_set: bool, is_loop: bool, start: float, end: float, seek: bool
) -> Any:
    return GetSet_LoopTimeRange2(caller, caller.project, is_set, is_loop, start, end, seek)


@provides
def GetSet_ArrangeView2(
    caller: Caller,
    project: Project,
    is_set: bool,
    x_start: int,
    x_end: int,
    start: float | None,
    end: float | None,
) -> tuple[float, float]:
    if is_set and start is not None and end is not None:
        project.view.start, project.view.end = start, end
    return project.view.start, project.view.end


@provides
def GetHZoomLevel(caller: Caller) -> float:
    return caller.project.view.pixels_per_second


@provides
def GetCursorPosition(caller: Caller) -> float:
    return caller.project.cursor


@provides
def GetCursorPositionEx(caller: Caller, project: Project) -> float:
    return project.cursor


@provides
def SetEditCurPos(caller: Caller, time: float, moveview: bool, seekplay: bool) -> None:
    caller.project.cursor = time


@provides
def SetEditCurPos2(
    caller: Caller, project: Project, time: float, moveview: bool, seekplay: bool
) -> None:
    project.cursor = time


@provides
def GetPlayState(caller: Caller) -> int:
    return caller.project.play_state


@provides
def GetPlayStateEx(caller: Caller, project: Project) -> int:
    return project.play_state


@provides
def GetPlayPosition(caller: Caller) -> float:
    return caller.project.play_position


@provides
def GetPlayPositionEx(caller: Caller, project: Project) -> float:
    return project.play_position


@provides
def GetSetProjectInfo(
    caller: Caller, project: Project, name: str, value: float, is_set: bool
) -> float:
    if name not in parameter_keys()["Project"] and ":" not in name:
        raise caller.sim.fail(f"Project has no key {name!r}", caller.script)
    if name == "PROJECT_SRATE":
        project.sample_rate = value if is_set else project.sample_rate
        return project.sample_rate
    if name == "PROJECT_SRATE_USE":
        project.sample_rate_used = bool(value) if is_set else project.sample_rate_used
        return float(project.sample_rate_used)
    if name == "DIRTY":
        return float(project.is_dirty)
    if is_set:
        project.info[name] = value
    return project.info.get(name, 0.0)


@provides
def GetSetProjectInfo_String(
    caller: Caller, project: Project, name: str, text: str, is_set: bool
) -> tuple[bool, str]:
    if name not in parameter_keys()["Project_String"] and ":" not in name:
        raise caller.sim.fail(f"Project has no text key {name!r}", caller.script)
    if name == "PROJECT_NAME":
        return True, project.name
    if is_set:
        project.strings[name] = text
    return True, project.strings.get(name, "")


@provides
def ValidatePtr(caller: Caller, pointer: Any, kind: str) -> bool:
    return bool(ValidatePtr2(caller, caller.project, pointer, kind))


@provides
def ValidatePtr2(caller: Caller, project: Project, pointer: Any, kind: str) -> bool:
    if not isinstance(pointer, Handle | Source) or not pointer.alive:
        return False
    if kind.rstrip("*") != pointer.type_name:
        return False
    home = project_of(pointer)
    return home is None or home is project or isinstance(pointer, Project)


@provides
def CountProjectMarkers(caller: Caller, project: Project) -> tuple[int, int, int]:
    regions = sum(marker.is_region for marker in project.markers)
    return len(project.markers), len(project.markers) - regions, regions


@provides
def AddProjectMarker(
    caller: Caller,
    project: Project,
    is_region: bool,
    position: float,
    end: float,
    name: str,
    wanted: int,
) -> int:
    number = wanted if wanted > 0 else len(project.markers) + 1
    project.markers.append(Marker(number, position, end, name, is_region))
    caller.edits(project)
    return number


@provides
def GetProjectTimeSignature2(caller: Caller, project: Project) -> tuple[float, float]:
    return project.tempo, 4.0


@provides
def Master_GetTempo(caller: Caller) -> float:
    return caller.project.tempo


@provides
def GetFreeDiskSpaceForRecordPath(caller: Caller, project: Project, index: int) -> int:
    return 100_000
