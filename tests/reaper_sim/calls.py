"""Between Lua and the double: every argument and every return value is checked here."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from tests.reaper_sim.errors import ApiError, SimulationError
from tests.reaper_sim.imgui import imgui_function
from tests.reaper_sim.model import Envelope, Handle, Item, Project, Take, Track
from tests.reaper_sim.signatures import (
    POINTERS,
    Parameter,
    Signature,
    builtins,
    core_functions,
    extension_names,
)
from tests.reaper_sim.sources import Source

if TYPE_CHECKING:
    from tests.reaper_sim.script import Script
    from tests.reaper_sim.simulator import Reaper

logger = logging.getLogger(__name__)

Provided = Callable[..., Any]
Function = TypeVar("Function", bound=Provided)
PROVIDED: dict[str, Provided] = {}
"""What the double can do: each function of the api modules by its name in Lua."""

MISSING = object()


def provides(function: Function) -> Function:
    """Register a function under its own name as the double of REAPER's."""
    PROVIDED[function.__name__] = function
    return function


@cache
def provide_everything() -> None:
    """Load the api modules, each of which registers what it provides."""
    for path in sorted(Path(__file__).parent.glob("api/*.py")):
        import_module(f"tests.reaper_sim.api.{path.stem}")


@dataclass(frozen=True)
class Caller:
    """Who calls: the script, and the REAPER that it runs in."""

    sim: "Reaper"
    script: "Script"

    @property
    def project(self) -> Project:
        """The project tab in front."""
        return self.sim.project

    def edits(self, project: Project) -> None:
        """Note that a script changed a project, in or outside of an undo block."""
        project.change_count += 1
        project.is_dirty = True
        history = self.sim.history(project)
        if history.depth == 0:
            history.has_script_edits = True
        if project.play_state & 4:
            self.sim.blame("the project was edited while it records", self.script)


def lookup(caller: Caller, name: str) -> Callable[..., Any] | None:
    """Return the function behind ``reaper.name``; None where this REAPER has none."""
    sim = caller.sim
    signature = core_functions().get(name) or builtins().get(name)
    if signature is not None:
        if signature.since > sim.version:
            return None
        return _guarded(caller, signature)
    family = extension_names().get(name)
    if family is None:
        raise sim.fail(f"there is no reaper.{name} in any REAPER or known extension", caller.script)
    if family not in sim.extensions:
        return None
    return _guarded(caller, Signature(name, (), (), (0,)), is_extension=True)


def _guarded(
    caller: Caller, signature: Signature, *, is_extension: bool = False
) -> Callable[..., Any]:
    """Wrap a function of the double: arguments in, values out, time on the double's account."""
    sim, script = caller.sim, caller.script
    provided = PROVIDED.get(signature.name)
    if provided is None and signature.name.startswith("ImGui_"):
        provided = imgui_function(signature.name)

    def call(*arguments: Any) -> tuple[Any, ...]:
        script.account.leave_lua()
        try:
            if provided is None:
                raise sim.fail(f"the double does not provide reaper.{signature.name}", script)
            sim.calls[signature.name] += 1
            if is_extension:
                return (True, *_as_tuple(provided(caller, *map(_text, arguments))))
            values = _convert_all(caller, signature, arguments)
            return (True, *_results(caller, signature, provided(caller, *values)))
        except ApiError as error:
            return False, str(error).encode()
        except SimulationError:
            raise
        except Exception as error:
            logger.exception("the double of %s failed", signature.name)
            raise sim.fail(f"the double of {signature.name} failed: {error!r}", script) from error
        finally:
            script.account.enter_lua()

    special = SPECIAL.get(signature.name)
    return special(caller, call) if special else call


SPECIAL: dict[str, Callable[[Caller, Callable[..., Any]], Callable[..., Any]]] = {}
"""Functions whose arguments the Lua prelude takes apart first."""


def _as_tuple(value: Any) -> tuple[Any, ...]:
    if value is None:
        return ()
    values = value if isinstance(value, tuple) else (value,)
    return tuple(each.encode() if isinstance(each, str) else each for each in values)


def _text(value: Any) -> Any:
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else value


def _convert_all(caller: Caller, signature: Signature, arguments: tuple[Any, ...]) -> list[Any]:
    project: Project | None = None
    values: list[Any] = []
    for index, parameter in enumerate(signature.args):
        given = arguments[index] if index < len(arguments) else MISSING
        value = _convert(
            caller,
            name=signature.name,
            n=index + 1,
            parameter=parameter,
            given=given,
            project=project,
        )
        if parameter.type == "ReaProject":
            project = value
        values.append(value)
    return values


def _convert(
    caller: Caller, *, name: str, n: int, parameter: Parameter, given: Any, project: Project | None
) -> Any:
    kind = parameter.type
    if kind == "boolean":
        return given is not MISSING and given not in (None, False, 0)
    if parameter.optional and given in (MISSING, None) and kind != "ReaProject":
        return None
    if kind in POINTERS:
        return _pointer(caller, name=name, n=n, kind=kind, given=given, project=project)
    if kind in ("number", "integer"):
        return _number(caller, name, n, kind, given)
    if kind == "string":
        return _string(name, n, given)
    return None if given is MISSING else given


def _type_name(given: Any) -> str:
    if given is MISSING:
        return "no value"
    if given is None:
        return "nil"
    if isinstance(given, bool):
        return "boolean"
    if isinstance(given, int | float):
        return "number"
    if isinstance(given, bytes):
        return "string"
    return "userdata" if isinstance(given, Handle | Source) else "table"


def _number(caller: Caller, name: str, n: int, kind: str, given: Any) -> float | int:
    value = given
    if isinstance(given, bytes):
        try:
            value = float(given)
        except ValueError:
            value = given
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ApiError(f"bad argument #{n} to '{name}' (number expected, got {_type_name(given)})")
    if kind == "number":
        return float(value)
    if value != int(value):
        if caller.sim.switches.integer_arguments == "raise":
            raise ApiError(f"bad argument #{n} to '{name}' (number has no integer representation)")
        caller.sim.warnings.append(f"{name} got {value} where an integer is due")
    return int(value)


def _string(name: str, n: int, given: Any) -> str:
    if isinstance(given, bytes):
        return given.decode("utf-8", "surrogateescape")
    if isinstance(given, int | float) and not isinstance(given, bool):
        return str(given) if isinstance(given, int) else f"{given:.14g}"
    raise ApiError(f"bad argument #{n} to '{name}' (string expected, got {_type_name(given)})")


def _pointer(
    caller: Caller, *, name: str, n: int, kind: str, given: Any, project: Project | None
) -> Any:
    if kind == "ReaProject":
        if given in (MISSING, None, 0):
            return caller.project
        if isinstance(given, Project) and given.alive:
            return given
        raise ApiError(f"bad argument #{n} to '{name}' (ReaProject expected)")
    fits = isinstance(given, Handle | Source) and given.type_name == kind and given.alive
    if not fits or not _is_reachable(caller, given, project):
        raise ApiError(f"bad argument #{n} to '{name}' ({kind} expected)")
    return given


def project_of(pointer: Any) -> Project | None:
    """Return the project that a pointer belongs to; None for what belongs to none."""
    match pointer:
        case Project():
            return pointer
        case Track():
            return pointer.project
        case Item():
            return pointer.track.project
        case Take():
            return pointer.item.track.project
        case Envelope():
            return project_of(pointer.parent)
    return None


def _is_reachable(caller: Caller, given: Any, project: Project | None) -> bool:
    home = project_of(given)
    if home is None or caller.sim.switches.pointers_across_tabs == "accepted":
        return True
    return home is (project or caller.project)


def _results(caller: Caller, signature: Signature, result: Any) -> tuple[Any, ...]:
    kinds = signature.returns
    if not kinds:
        if result is not None and signature.name not in builtins():
            raise TypeError(f"{signature.name} returns nothing, the double gave {result!r}")
        return () if result is None else _as_tuple(result)
    if result is None:
        return (None,) * len(kinds)
    values = result if len(kinds) > 1 else (result,)
    if len(values) != len(kinds):
        raise TypeError(f"{signature.name} returns {len(kinds)} values, the double {len(values)}")
    return tuple(_result(kind.type, value) for kind, value in zip(kinds, values, strict=True))


def _result(kind: str, value: Any) -> Any:
    if value is None:
        return None
    match kind:
        case "number":
            return float(value)
        case "integer":
            return int(value)
        case "boolean":
            return bool(value)
        case "string":
            return str(value).encode("utf-8", "surrogateescape")
    return value
