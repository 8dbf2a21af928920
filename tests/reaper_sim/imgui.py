"""ReaImGui as far as a progress window needs it: what is shown, what is pressed."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.reaper_sim.model import Handle

if TYPE_CHECKING:
    from tests.reaper_sim.calls import Caller
    from tests.reaper_sim.script import Script
    from tests.reaper_sim.simulator import Reaper

SHIM = """
-- The versioned door to ReaImGui: unknown names raise.
return function(version)
  return setmetatable({}, { __index = function(_, name)
    local found = reaper["ImGui_" .. name]
    if not found then error("ReaImGui " .. version .. " has no " .. name, 2) end
    if name:match("_") and not name:match("^Internal") then return found() end
    return found
  end })
end
"""


class Context(Handle):
    """A context, which lives as long as it is used in every cycle."""

    type_name = "ImGui_Context"


@dataclass
class ImGui:
    """The windows that a script draws."""

    sim: "Reaper"
    shown: list[str] = field(default_factory=list)
    """What the last complete window held."""
    pressed: set[str] = field(default_factory=set)
    """Buttons that the user presses in the next cycle."""
    is_closed: bool = False
    """Whether the user closes the window in the next cycle."""
    depth: int = 0
    contexts: int = 0
    drawing: list[str] = field(default_factory=list)

    def press(self, button: str) -> None:
        """Press a button in the next cycle."""
        self.pressed.add(button)

    def end_of_slice(self, script: "Script") -> None:
        """Check that every window begun was ended."""
        if self.depth:
            self.sim.blame("ImGui: a window was begun and never ended", script)
            self.depth = 0
        self.shown, self.drawing = self.drawing, []


def imgui_function(name: str) -> Callable[..., Any] | None:
    """Return the double of a function of ReaImGui, if there is one; flags are numbers."""
    plain = name.removeprefix("ImGui_")
    found: Callable[..., Any] | None = _FUNCTIONS.get(plain)
    if found is None and "_" in plain:
        return lambda caller, *_: 1
    return found


def _builtin_path(caller: "Caller", *_: Any) -> str:
    folder = Path(caller.sim.resource_path) / "Scripts" / "ReaImGui"
    folder.mkdir(exist_ok=True)
    (folder / "imgui.lua").write_text(SHIM, encoding="utf-8")
    return caller.sim.files.to_lua(str(folder))


def _create(caller: "Caller", label: str, *_: Any) -> Context:
    caller.sim.imgui.contexts += 1
    return Context()


def _begin(
    caller: "Caller", context: Context, title: str, is_open: Any = None, *_: Any
) -> tuple[bool, bool]:
    gui = caller.sim.imgui
    closed, gui.is_closed = gui.is_closed, False
    gui.depth += 1
    gui.drawing.append(title)
    return True, not closed


def _end(caller: "Caller", context: Context) -> None:
    gui = caller.sim.imgui
    gui.depth -= 1
    if gui.depth < 0:
        raise caller.sim.fail("ImGui: a window was ended that was never begun", caller.script)


def _text(caller: "Caller", context: Context, text: str, *_: Any) -> None:
    caller.sim.imgui.drawing.append(text)


def _progress(
    caller: "Caller", context: Context, fraction: float, w: Any = 0, h: Any = 0, text: str = ""
) -> None:
    caller.sim.imgui.drawing.append(text or f"{fraction:.0%}")


def _button(caller: "Caller", context: Context, label: str, *_: Any) -> bool:
    gui = caller.sim.imgui
    gui.drawing.append(f"[{label}]")
    pressed = label in gui.pressed
    gui.pressed.discard(label)
    return pressed


def _nothing(caller: "Caller", *_: Any) -> None:
    return


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "GetBuiltinPath": _builtin_path,
    "CreateContext": _create,
    "Begin": _begin,
    "End": _end,
    "Text": _text,
    "TextWrapped": _text,
    "ProgressBar": _progress,
    "Button": _button,
    "SameLine": _nothing,
    "Separator": _nothing,
    "SetNextWindowSize": _nothing,
    "SetNextWindowPos": _nothing,
    "Spacing": _nothing,
}
