"""ExtState of REAPER and of projects."""

# ruff: noqa: N802 - functions bear the names that Lua calls them by

from tests.reaper_sim.calls import Caller, provides
from tests.reaper_sim.model import Project


def _key(section: str, key: str) -> tuple[str, str]:
    """Keys don't mind their case (C)."""
    return section.lower(), key.lower()


@provides
def SetExtState(caller: Caller, section: str, key: str, value: str, persist: bool) -> None:
    """B8 (D): no line ends in what is kept."""
    if persist and "\n" in value:
        caller.sim.blame(f"ExtState {section}/{key} is kept and has a line end", caller.script)
    caller.sim.ext_state[_key(section, key)] = value
    if persist:
        caller.sim.persistent_ext_state[_key(section, key)] = value


@provides
def GetExtState(caller: Caller, section: str, key: str) -> str:
    sim, place = caller.sim, _key(section, key)
    return sim.ext_state.get(place, sim.persistent_ext_state.get(place, ""))


@provides
def HasExtState(caller: Caller, section: str, key: str) -> bool:
    place = _key(section, key)
    return place in caller.sim.ext_state or place in caller.sim.persistent_ext_state


@provides
def DeleteExtState(caller: Caller, section: str, key: str, persist: bool) -> None:
    caller.sim.ext_state.pop(_key(section, key), None)
    if persist:
        caller.sim.persistent_ext_state.pop(_key(section, key), None)


@provides
def SetProjExtState(caller: Caller, project: Project, section: str, key: str, value: str) -> int:
    """B8 (D): ends at a NUL; an empty value deletes the key, an empty key the section."""
    place = _key(section, key)
    value = value.split("\0", maxsplit=1)[0]
    if not key:
        for each in [each for each in project.ext if each[0] == place[0]]:
            del project.ext[each]
    elif value:
        project.ext[place] = value
    else:
        project.ext.pop(place, None)
    project.is_dirty = True
    project.change_count += 1
    return len(value)


@provides
def GetProjExtState(caller: Caller, project: Project, section: str, key: str) -> tuple[int, str]:
    value = project.ext.get(_key(section, key), "")
    return int(bool(value)), value


@provides
def EnumProjExtState(
    caller: Caller, project: Project, section: str, index: int
) -> tuple[bool, str, str]:
    found = [(k, v) for (s, k), v in sorted(project.ext.items()) if s == section.lower()]
    return (True, *found[index]) if 0 <= index < len(found) else (False, "", "")
