"""What REAPER's Lua adds by itself: defer, atexit, the action's context, shared numbers."""

from typing import Any

from tests.reaper_sim.calls import Caller, provides
from tests.reaper_sim.errors import ApiError
from tests.reaper_sim.script import MAX_DEFERS

TOGGLE_ON, TOGGLE_OFF = 4, 8


@provides
def defer(caller: Caller, function: Any) -> bool:
    """B1: the next cycle, at most 1024 at once; does nothing in atexit."""
    script = caller.script
    if not callable(function):
        raise ApiError("bad argument #1 to 'defer' (function expected)")
    if script.is_exiting or len(script.deferred) >= MAX_DEFERS:
        if not script.is_exiting:
            raise ApiError("defer: too many functions pending")
        return False
    script.has_deferred = True
    script.deferred.append(function)
    return True


@provides
def runloop(caller: Caller, function: Any) -> bool:
    return bool(defer(caller, function))


@provides
def atexit(caller: Caller, function: Any) -> bool:
    """B1: run in order of registration at a normal end, a termination and after an error."""
    if not callable(function):
        raise ApiError("bad argument #1 to 'atexit' (function expected)")
    caller.script.at_exit.append(function)
    return True


@provides
def get_action_context(caller: Caller) -> tuple[Any, ...]:
    sim, script = caller.sim, caller.script
    path = sim.files.to_lua(str(script.path))
    return True, path, 0, script.command_id, 0, 0, 0.0, ""


@provides
def set_action_options(caller: Caller, flag: int) -> None:
    """B1: 1 ends a running instance on launch, 1|2 starts anew, 4 and 8 set the toggle."""
    caller.script.options |= flag & 3
    if flag & TOGGLE_ON:
        caller.sim.script_states[caller.script.command_id] = 1
    if flag & TOGGLE_OFF:
        caller.sim.script_states[caller.script.command_id] = 0


@provides
def new_array(caller: Caller, *_: Any) -> None:
    """Made in the prelude."""


_gmem: dict[str, dict[int, float]] = {}


@provides
def gmem_attach(caller: Caller, name: str) -> str:
    previous = getattr(caller.script, "gmem", "")
    caller.script.gmem = name  # type: ignore[attr-defined]
    return str(previous)


@provides
def gmem_read(caller: Caller, index: int) -> float:
    return _gmem.get(getattr(caller.script, "gmem", ""), {}).get(index, 0.0)


@provides
def gmem_write(caller: Caller, index: int, value: float) -> None:
    _gmem.setdefault(getattr(caller.script, "gmem", ""), {})[index] = value
