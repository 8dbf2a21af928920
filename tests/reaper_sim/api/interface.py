"""Windows, messages, tooltip, toolbar, redrawing."""

# ruff: noqa: N802 - functions bear the names that Lua calls them by

from typing import Any

from tests.reaper_sim.calls import Caller, provides
from tests.reaper_sim.errors import ApiError
from tests.reaper_sim.window import Dialog


@provides
def GetUserInputs(
    caller: Caller, title: str, count: int, captions: str, values: str
) -> tuple[bool, str]:
    """B12 (D, C): captions always take commas, values the separator of an extra caption."""
    return caller.sim.dialogs.user_inputs(title, count, captions, values, caller.script)


@provides
def MB(caller: Caller, text: str, title: str, kind: int) -> int:
    dialog = Dialog("box", title, text, buttons=kind)
    return int(caller.sim.dialogs.show(dialog, caller.script))


@provides
def ShowMessageBox(caller: Caller, text: str, title: str, kind: int) -> int:
    return int(MB(caller, text, title, kind))


@provides
def GetUserFileNameForRead(
    caller: Caller, name: str, title: str, extension: str
) -> tuple[bool, str]:
    answer = caller.sim.dialogs.show(Dialog("file", title, name), caller.script)
    return answer is not None, str(answer) if answer is not None else name


@provides
def GetUserFileName(
    caller: Caller, mode: int, caption: str, initial: str, extensions: str
) -> tuple[bool, str]:
    answer = caller.sim.dialogs.show(Dialog("file", caption, initial), caller.script)
    return answer is not None, str(answer or "")


@provides
def ShowConsoleMsg(caller: Caller, text: str) -> None:
    caller.sim.console += text


@provides
def ClearConsole(caller: Caller) -> None:
    caller.sim.console = ""


@provides
def ReaScriptError(caller: Caller, text: str) -> None:
    """B12 (D): a leading "!" ends the script."""
    if text.startswith("!"):
        raise ApiError(text[1:])
    caller.sim.script_failed(caller.script, text)


@provides
def TrackCtl_SetToolTip(caller: Caller, text: str, x: int, y: int, topmost: bool) -> None:
    """D: the text is called ``fmt``; nobody knows whether REAPER formats it."""
    if "%" in text:
        raise caller.sim.fail(f"the tooltip {text!r} may be read as a format", caller.script)
    caller.sim.tooltip = text


@provides
def Help_Set(caller: Caller, text: str, temporary: bool) -> None:
    caller.sim.help_text = text


@provides
def GetMousePosition(caller: Caller) -> tuple[int, int]:
    return caller.sim.mouse


@provides
def UpdateArrange(caller: Caller) -> None:
    caller.sim.redraws["UpdateArrange"] += 1


@provides
def UpdateTimeline(caller: Caller) -> None:
    caller.sim.redraws["UpdateTimeline"] += 1


@provides
def TrackList_AdjustWindows(caller: Caller, minor: bool) -> None:
    caller.sim.redraws["TrackList_AdjustWindows"] += 1


@provides
def GetMainHwnd(caller: Caller) -> Any:
    return caller.project.master


@provides
def ColorToNative(caller: Caller, r: int, g: int, b: int) -> int:
    return r | g << 8 | b << 16


@provides
def ColorFromNative(caller: Caller, colour: int) -> tuple[int, int, int]:
    return colour & 255, colour >> 8 & 255, colour >> 16 & 255


@provides
def GetThemeColor(caller: Caller, key: str, flags: int | None) -> int:
    return 0x808080


@provides
def my_getViewport(caller: Caller, *_: Any) -> tuple[int, int, int, int]:
    return 0, 0, 1920, 1080


@provides
def LocalizeString(caller: Caller, text: str, section: str, flags: int | None) -> str:
    return text
