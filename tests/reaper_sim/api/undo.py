"""Undo blocks and points, and PreventUIRefresh."""

# ruff: noqa: N802 - functions bear the names that Lua calls them by

from tests.reaper_sim.calls import Caller, provides
from tests.reaper_sim.model import Item, Project
from tests.reaper_sim.undo import EVERYTHING, ITEMS


@provides
def Undo_BeginBlock2(caller: Caller, project: Project) -> None:
    caller.sim.history(project).begin()


@provides
def Undo_BeginBlock(caller: Caller) -> None:
    Undo_BeginBlock2(caller, caller.project)


@provides
def Undo_EndBlock2(caller: Caller, project: Project, text: str, flags: int) -> None:
    history = caller.sim.history(project)
    if not history.depth:
        caller.sim.blame("an undo block was closed that was never opened", caller.script)
        return
    caller.script.made_undo_block = True
    history.end(text, flags)


@provides
def Undo_EndBlock(caller: Caller, text: str, flags: int) -> None:
    Undo_EndBlock2(caller, caller.project, text, flags)


@provides
def Undo_OnStateChange2(caller: Caller, project: Project, text: str) -> None:
    caller.script.made_undo_block = True
    caller.sim.history(project).add(text, EVERYTHING, always=True)


@provides
def Undo_OnStateChange(caller: Caller, text: str) -> None:
    Undo_OnStateChange2(caller, caller.project, text)


@provides
def Undo_OnStateChangeEx2(
    caller: Caller, project: Project, text: str, states: int, track: int
) -> None:
    caller.script.made_undo_block = True
    caller.sim.history(project).add(text, states, always=True)


@provides
def Undo_OnStateChange_Item(caller: Caller, project: Project, text: str, item: Item) -> None:
    caller.script.made_undo_block = True
    caller.sim.history(project).add(text, ITEMS, always=True)


@provides
def Undo_CanUndo2(caller: Caller, project: Project) -> str | None:
    history = caller.sim.history(project)
    return history.points[history.index].text if history.index else None


@provides
def Undo_CanRedo2(caller: Caller, project: Project) -> str | None:
    history = caller.sim.history(project)
    rest = history.points[history.index + 1 :]
    return rest[0].text if rest else None


@provides
def Undo_DoUndo2(caller: Caller, project: Project) -> int:
    return int(caller.sim.history(project).undo())


@provides
def Undo_DoRedo2(caller: Caller, project: Project) -> int:
    return int(caller.sim.history(project).redo())


@provides
def PreventUIRefresh(caller: Caller, count: int) -> None:
    caller.script.ui_refresh_prevented += count
    if caller.script.ui_refresh_prevented < 0:
        caller.sim.blame("PreventUIRefresh fell below 0", caller.script)


@provides
def CSurf_FlushUndo(caller: Caller, force: bool) -> None:
    return
