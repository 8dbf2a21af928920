"""What the double has of SWS, js_ReaScriptAPI, ReaImGui and ReaPack, for those who ask."""

# ruff: noqa: N802 - functions bear the names that Lua calls them by

from tests.reaper_sim.calls import Caller, provides
from tests.reaper_sim.model import Item, Project
from tests.reaper_sim.sources import Source


@provides
def CF_GetMediaSourceOnline(caller: Caller, source: Source) -> bool:
    return not source.is_offline


@provides
def BR_GetMediaItemByGUID(caller: Caller, project: Project, guid: str) -> Item | None:
    items = (project or caller.project).items
    return next((item for item in items if item.guid == guid), None)


@provides
def BR_GetMediaItemGUID(caller: Caller, item: Item) -> str:
    return item.guid


@provides
def CF_ShellExecute(caller: Caller, target: str, *_: object) -> bool:
    caller.sim.launched_urls.append(target)
    return True


@provides
def CF_SetClipboard(caller: Caller, text: str) -> None:
    caller.sim.clipboard = text


@provides
def CF_GetSWSVersion(caller: Caller, *_: object) -> str:
    return "2.14.0.7"


@provides
def ReaPack_BrowsePackages(caller: Caller, query: str) -> None:
    caller.sim.launched_urls.append(f"reapack:{query}")
