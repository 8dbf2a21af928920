"""Which functions a REAPER has, what they take and what they give back."""

import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

DATA = Path(__file__).parent / "data"

POINTERS = frozenset(
    [
        "AudioAccessor",
        "MediaItem",
        "MediaItem_Take",
        "MediaTrack",
        "PCM_source",
        "ProjectMarker",
        "ReaProject",
        "TrackEnvelope",
    ]
)


@dataclass(frozen=True)
class Parameter:
    """One argument or return value."""

    type: str
    name: str
    optional: bool = False


@dataclass(frozen=True)
class Signature:
    """One function of ReaScript as Lua sees it."""

    name: str
    args: tuple[Parameter, ...]
    returns: tuple[Parameter, ...]
    since: tuple[int, ...]


@dataclass(frozen=True)
class ParameterKey:
    """A key of one of the Get/Set...Info families."""

    type: str
    read_only: bool = False
    range: tuple[float, float] | None = None


def _parameters(text: str) -> tuple[Parameter, ...]:
    parts = [part.split(" ", 1) for part in text.split(", ") if part]
    return tuple(Parameter(kind, name.rstrip("?"), name.endswith("?")) for kind, name in parts)


def version_tuple(text: str) -> tuple[int, ...]:
    """Turn ``7.08/linux`` into (7, 8)."""
    return tuple(int(part) for part in re.findall(r"\d+", text.split("/", maxsplit=1)[0])[:2])


def _signature(name: str, entry: dict[str, str]) -> Signature:
    return Signature(
        name,
        _parameters(entry["args"]),
        _parameters(entry.get("returns", "")),
        version_tuple(entry.get("since", "0.0")),
    )


@cache
def _api() -> dict[str, dict[str, dict[str, str]]]:
    loaded: dict[str, dict[str, dict[str, str]]] = json.loads((DATA / "api.json").read_text())
    return loaded


@cache
def core_functions() -> dict[str, Signature]:
    """Return every function of REAPER itself, newest included."""
    return {name: _signature(name, entry) for name, entry in _api()["functions"].items()}


@cache
def builtins() -> dict[str, Signature]:
    """Return what REAPER's Lua adds without a C function behind it."""
    return {name: _signature(name, entry) for name, entry in _api()["builtins"].items()}


@cache
def extension_names() -> dict[str, str]:
    """Return each extension function's name with the extension it belongs to."""
    families: dict[str, str] = _api()["extensions"]  # type: ignore[assignment]
    return {name: family for family, names in families.items() for name in names.split()}


@cache
def gfx_names() -> frozenset[str]:
    """Return the functions of ``gfx``."""
    return frozenset(_api()["gfx"])


@cache
def parameter_keys() -> dict[str, dict[str, ParameterKey]]:
    """Return the keys of each Get/Set...Info family."""
    families = json.loads((DATA / "params.json").read_text())
    return {
        family: {
            name: ParameterKey(
                entry["type"],
                entry.get("read_only", False),
                tuple(entry["range"]) if "range" in entry else None,
            )
            for name, entry in keys.items()
        }
        for family, keys in families.items()
    }


@cache
def native_actions() -> dict[int, str]:
    """Return REAPER's own actions that scripts are known to call."""
    return {int(key): text for key, text in json.loads((DATA / "actions.json").read_text()).items()}
