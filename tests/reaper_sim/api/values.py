"""Keys of the Get/Set...Info families: which there are, and how values are stored."""

from typing import Any

import numpy as np

from tests.reaper_sim.calls import Caller
from tests.reaper_sim.errors import SimulationError
from tests.reaper_sim.signatures import ParameterKey, parameter_keys


def key_of(caller: Caller, family: str, name: str) -> ParameterKey:
    """Return what is known of a key; a key that no REAPER has fails the test."""
    key = parameter_keys()[family].get(name)
    if key is None:
        raise caller.sim.fail(f"{family} has no key {name!r}", caller.script)
    if key.type in ("MediaTrack", "ReaProject", "TrackEnvelope") or name.startswith("P_"):
        raise caller.sim.fail(f"{name} is a pointer, which _Value can't give to Lua", caller.script)
    return key


def get_value(caller: Caller, family: str, values: dict[str, float], name: str) -> float:
    """Read a plain key."""
    key_of(caller, family, name)
    return values.get(name, 0.0)


def set_value(
    caller: Caller, family: str, values: dict[str, float], name: str, value: float
) -> bool:
    """Write a plain key, stored as its C type stores it."""
    key = key_of(caller, family, name)
    if key.read_only:
        caller.sim.blame(f"{name} is read-only", caller.script)
        return False
    if key.range and not key.range[0] <= value <= key.range[1]:
        caller.sim.blame(f"{name} = {value} is outside of {key.range}", caller.script)
        return False
    if not np.isfinite(value):
        caller.sim.blame(f"{name} = {value}", caller.script)
        return False
    values[name] = _stored(key.type, value)
    return True


def _stored(kind: str, value: float) -> float:
    match kind:
        case "bool":
            return float(value != 0)
        case "int" | "char":
            return float(int(value))
        case "float":
            return float(np.float32(value))
    return float(value)


def unknown_text(caller: Caller, family: str, name: str) -> SimulationError:
    """Return the error for a text key that no REAPER has."""
    return caller.sim.fail(f"{family} has no text key {name!r}", caller.script)


def ext_text(ext: dict[str, str], key: str, text: str, is_set: bool) -> tuple[bool, str]:
    """Get or set P_EXT data: missing reads (false, ""), setting "" removes (B8, M)."""
    if not is_set:
        return (True, ext[key]) if key in ext else (False, "")
    if text:
        ext[key] = text.split("\0", maxsplit=1)[0]
    else:
        ext.pop(key, None)
    return True, text


def changed(before: Any, after: Any) -> bool:
    """Say whether a write changed anything."""
    return bool(before != after)
