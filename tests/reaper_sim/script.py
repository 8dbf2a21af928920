"""A running script: its Lua state, what it deferred, and how long it holds REAPER."""

import gc
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, thread_time
from typing import TYPE_CHECKING, Any

import lupa.lua53  # type: ignore[import-untyped]  # it has no types
import lupa.lua54  # type: ignore[import-untyped]  # it has no types

from tests.reaper_sim.calls import Caller, lookup
from tests.reaper_sim.errors import SimulationError
from tests.reaper_sim.signatures import gfx_names

if TYPE_CHECKING:
    from tests.reaper_sim.simulator import Reaper

PRELUDE = Path(__file__).with_name("prelude.lua")
RUNTIMES = {"5.3": lupa.lua53.LuaRuntime, "5.4": lupa.lua54.LuaRuntime}
MAX_DEFERS = 1024


@dataclass(frozen=True)
class Slice:
    """One stretch of a script without return to REAPER."""

    script: str
    tick: int
    lua_ms: float
    """Wall time in Lua, the double's own time taken off."""
    lua_cpu_ms: float
    """Processor time in Lua: what counts where other programs keep the machine busy."""
    api_ms: float
    """What REAPER itself would have taken, where that is known (accessor reads)."""

    @property
    def held_ms(self) -> float:
        """For how long REAPER had to wait."""
        return self.lua_ms + self.api_ms


class Account:
    """Tells time spent in Lua from time spent in the double, by the wall and the processor."""

    def __init__(self) -> None:
        self.wall_s = self.cpu_s = 0.0
        """In Lua, in the present slice."""
        self._wall = self._cpu = 0.0
        self._depth = 0

    def begin(self) -> None:
        """Begin a slice in Lua."""
        self.wall_s = self.cpu_s = 0.0
        self._depth = 1
        self.enter_lua()

    def enter_lua(self) -> None:
        """Count again."""
        self._depth -= 1
        self._wall, self._cpu = perf_counter(), thread_time()

    def leave_lua(self) -> None:
        """Stop counting."""
        if self._depth == 0:
            self.wall_s += perf_counter() - self._wall
            self.cpu_s += thread_time() - self._cpu
        self._depth += 1

    def elapsed_s(self) -> float:
        """Return the slice's time in Lua so far, by the processor: a busy machine counts not."""
        return self.cpu_s + (thread_time() - self._cpu if self._depth == 0 else 0.0)

    def __enter__(self) -> None:
        self.leave_lua()

    def __exit__(self, *_: object) -> None:
        self.enter_lua()


class _Object:
    """Something for Lua to hold; the prelude gives it its behaviour."""


class Double:
    """What the Lua prelude sees of the Python side."""

    def __init__(self, script: "Script") -> None:
        self._script, self._sim = script, script.sim

    def pause(self) -> None:
        """Stop counting time as the script's."""
        self._script.account.leave_lua()

    def resume(self) -> None:
        """Count time as the script's again."""
        self._script.account.enter_lua()

    def new_object(self) -> _Object:
        """Return a new userdata."""
        return _Object()

    def array_made(self, size: int) -> None:
        """Note how large the script's arrays are."""
        self._sim.largest_array = max(self._sim.largest_array, int(size))

    def fail(self, message: bytes) -> None:
        """Fail the test."""
        raise self._sim.fail(message.decode(), self._script)

    def lookup(self, name: bytes) -> Callable[..., Any] | None:
        """Return what is behind ``reaper.name``."""
        with self._script.account:
            return lookup(self._script.caller, _text(name))

    def gfx(self, name: bytes) -> Callable[..., Any]:
        """Return what is behind ``gfx.name``."""
        text = _text(name)
        if text not in gfx_names():
            raise self._sim.fail(f"there is no gfx.{text}", self._script)
        return self._sim.window.function(self._script, text)

    def gfx_value(self, name: bytes) -> float:
        """Return a number of the window or the mouse."""
        return self._sim.window.value(_text(name))

    def to_host(self, path: bytes) -> bytes:
        """Turn a path as the script has it into one of this machine."""
        return self._sim.files.to_host(_text(path)).encode("utf-8", "surrogateescape")

    def to_lua(self, path: bytes) -> bytes:
        """Turn a path of this machine into one as REAPER shows it."""
        return self._sim.files.to_lua(_text(path)).encode("utf-8", "surrogateescape")

    def opening(self, path: bytes, mode: bytes) -> bytes | None:
        """Return why a file can't be opened."""
        with self._script.account:
            return _bytes(self._sim.files.opening(_text(path), _text(mode), self._script))

    def writing(self, path: bytes, *what: Any) -> bytes | None:
        """Return why a file can't be written."""
        with self._script.account:
            return _bytes(self._sim.files.writing(_text(path), what))

    def renaming(self, old: bytes, new: bytes, is_open: bool) -> bytes | None:
        """Return why a file can't be renamed."""
        with self._script.account:
            return _bytes(self._sim.files.renaming(_text(old), _text(new), is_open))

    def removing(self, path: bytes, is_open: bool) -> bytes | None:
        """Return why a file can't be removed."""
        with self._script.account:
            return _bytes(self._sim.files.removing(_text(path), is_open, self._script))

    def clock_step(self) -> int:
        """Return by how many seconds the wall clock was set wrong."""
        return int(self._sim.clock_step_s)

    def printed(self, text: bytes) -> None:
        """Keep what a script printed."""
        self._sim.printed.append(_text(text))


def _opaque(thing: object, name: object, is_setting: bool) -> str:
    """Keep Lua out of what it holds a pointer to."""
    raise AttributeError("attempt to index a userdata value")


def _text(value: bytes) -> str:
    return value.decode("utf-8", "surrogateescape")


def _bytes(value: str | None) -> bytes | None:
    return None if value is None else value.encode()


class Script:
    """One instance of a script, from its start until nothing is deferred any more."""

    def __init__(self, sim: "Reaper", path: Path | str, command_id: int, *, text: str = "") -> None:
        self.sim = sim
        self.path = Path(path)
        self.command_id = command_id
        self.text = text
        self.caller = Caller(sim, self)
        self.deferred: list[Any] = []
        self.at_exit: list[Any] = []
        self.options = 0
        self.is_running = True
        self.is_exiting = False
        self.has_deferred = False
        self.made_undo_block = False
        self.ui_refresh_prevented = 0
        self.account = Account()
        """Used as a context, it takes what is done inside off the script's account."""
        self.api_ms = 0.0
        self.accessors: list[Any] = []
        self.sources: list[Any] = []
        self.result: Any = None
        runtime = RUNTIMES[sim.lua_version](
            unpack_returned_tuples=True,
            encoding=None,
            register_eval=False,
            register_builtins=False,
            attribute_filter=_opaque,
        )
        self.runtime = runtime
        options = runtime.table_from(
            {
                b"separator": sim.files.separator.encode(),
                b"array_out_of_range": sim.switches.array_out_of_range.encode(),
                b"library": str(sim.library).encode(),
            }
        )
        prelude = runtime.eval(
            b"function(text, ...) return assert(load(text, '=(REAPER)'))(...) end"
        )
        names = [name for name in dir(Double) if not name.startswith("_")]
        double = Double(self)
        doors = runtime.table_from({name.encode(): getattr(double, name) for name in names})
        self._guard, self._load = prelude(PRELUDE.read_bytes(), doors, options)

    def __repr__(self) -> str:
        return f"<script {self.name}>"

    @property
    def name(self) -> str:
        """The file's name."""
        return self.path.name

    def elapsed_s(self) -> float:
        """Return for how long the present slice has held REAPER."""
        return self.account.elapsed_s() + self.api_ms / 1000

    def start(self) -> None:
        """Run the file from top to end."""
        if self.text:
            name = self.sim.files.to_lua(str(self.path)).encode()
            found = self.runtime.eval(b"load")(self.text.encode(), b"@" + name)
        else:
            found = self._load(self.sim.files.to_lua(str(self.path)).encode())
        if isinstance(found, tuple):
            self.has_deferred = True
            self._ended_with(found[1])
        else:
            self.run(found)

    def tick(self) -> None:
        """Run what was deferred since the last tick."""
        pending, self.deferred = self.deferred, []
        for function in pending:
            if self.is_running:
                self.run(function)

    def run(self, function: Any) -> None:
        """Run a function as one slice of the script and check what it leaves behind."""
        self.api_ms = 0.0
        # Python's own sweeping would count as the script's time.
        gc.disable()
        self.account.begin()
        result: Any = None
        try:
            result = self._guard(function)
        except SimulationError as error:
            result = (False, error)
        finally:
            self.account.leave_lua()
            gc.enable()
        spent = self.account.wall_s * 1000, self.account.cpu_s * 1000
        self.sim.slices.append(Slice(self.name, self.sim.tick_count, *spent, self.api_ms))
        ok, *rest = result if isinstance(result, tuple) else (result,)
        self.result = rest[0] if len(rest) == 1 else tuple(rest)
        if not ok:
            self._ended_with(rest[0] if rest else b"")
        self.sim.end_of_slice(self)

    def _ended_with(self, error: Any) -> None:
        """End the script over an error, as REAPER does behind its error window."""
        self.deferred = []
        if not isinstance(error, SimulationError):
            text = _text(error) if isinstance(error, bytes) else repr(error)
            self.sim.script_failed(self, text)

    def finish(self) -> None:
        """Run what was registered for the exit, in order, and check what is left over."""
        if not self.is_running:
            return
        self.is_running, self.is_exiting = False, True
        self.deferred = []
        for function in self.at_exit:
            self.run(function)
        self.at_exit = []
        self.sim.script_ended(self)
