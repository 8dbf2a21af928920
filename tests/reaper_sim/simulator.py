"""A REAPER to test against: real Lua files in real Lua, over a strict double of the API.

What it is
----------
``Reaper`` runs script files unchanged in Lua 5.3 or 5.4 (lupa). The ``reaper`` table they
see is a double that checks every call against REAPER's own signatures, keeps a project as
REAPER keeps one (items, takes, sources, undo points, pointers that die, GUIDs that stay),
and renders the timeline to samples, so that a test listens to a project instead of
counting calls. What a script may not do - leave an undo block or PreventUIRefresh open at
the end of a tick, leak a source or an accessor, touch a dead pointer, wait for a program,
name a function that no REAPER has - fails the test as ``SimulationError``; an error that
ends a script fails it as ``ScriptError``. ``Reaper(strict=False)`` only collects both, in
``violations`` and ``script_errors``.

What only a real REAPER can show
--------------------------------
Whether the facts hold: what third parties measured is built in as they tell it, and what
nobody settled is a switch (``switches.py``, each with its grade) to run under both
answers. The sound of REAPER's resampler, pitch shifters and FX; how long REAPER's own
functions take; the look, focus and docking of windows; the real split crossfade geometry;
saving and loading .rpp files; other platforms' file systems beyond the rules in
``files.py``. ReaImGui, SWS and js_ReaScriptAPI are absent unless ``extensions`` names
them, and then only what ``api/extensions.py`` provides of them works.

How to use it
-------------
::

    with Reaper(tmp_path, version="7.78", lua="5.4") as sim:
        track = sim.project.add_track("Voice")
        item = track.add_item(wav, position_s=1.0, length_s=4.0, volume=0.5)
        item.selected = True
        sim.project.time_selection = (2.0, 2.5)
        before = sim.render(0, 6)
        sim.answer_inputs(["birdsong"])               # or {"Prompt": "..."}, None = cancel
        sim.run_action("ReaPaint_Inpaint time selection.lua")
        sim.tick(3)                                   # three defer cycles of 31 ms
        sim.tick_until(lambda: sim.undo_texts, timeout_s=20, pace_s=0.031)  # real processes
        assert sim.chunk() ...                        # the whole project as text
        sim.undo(); sim.redo()
        sim.render(0, 6)                              # (channels, frames) float32

Beyond that: ``sim.run_lua("code")`` runs a snippet as a script and returns what it returns;
``sim.projects``, ``new_project``, ``switch_project``, ``close_project``; ``restart``
(REAPER quits or crashes and is back); ``sim.files`` (Windows' rules, full disk, read-only
folders); ``sim.processes`` (ExecProcess); ``sim.dialogs.shown``, ``sim.console``,
``sim.tooltip``, ``sim.window`` (gfx), ``sim.imgui``; ``sim.slices``, ``max_lua_ms``,
``max_lua_cpu_ms``, ``max_held_ms`` (the tick profiler); ``sim.options`` (toggle states such
as 40912); ``spool_bridge.SpoolBridge`` (answers jobs at once); ``item.take``, ``track.items``,
``project.view`` and the rest of ``model.py``, which a test may change as a user would: at
the next tick such changes become an undo point of their own. After an undo, look items up
anew (``sim.project.items``): their objects are replaced, as pointers are in REAPER.
"""

import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from random import Random
from time import monotonic, sleep
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from tests.reaper_sim.calls import provide_everything
from tests.reaper_sim.chunk import project_chunk
from tests.reaper_sim.errors import ScriptError, SimulationError
from tests.reaper_sim.files import Files
from tests.reaper_sim.imgui import ImGui
from tests.reaper_sim.judge import Judge
from tests.reaper_sim.model import Item, Project, Take, Track, new_guid
from tests.reaper_sim.processes import Processes
from tests.reaper_sim.render import render
from tests.reaper_sim.script import Script, Slice
from tests.reaper_sim.signatures import version_tuple
from tests.reaper_sim.sources import FileSource, Source
from tests.reaper_sim.switches import Switches
from tests.reaper_sim.tabs import Tabs
from tests.reaper_sim.window import Answer, Dialog, Dialogs, Window

SCRIPTS = Path(__file__).parents[2] / "reaper_scripts"
TICK_S = 0.031
"""Measured by two parties on 7.79: 31 to 31.3 ms a cycle."""

__all__ = [
    "Dialog",
    "Item",
    "Project",
    "Reaper",
    "ScriptError",
    "SimulationError",
    "Slice",
    "Source",
    "Switches",
    "Take",
    "Track",
]


class Reaper(Tabs, Judge):
    """A REAPER with one unsaved or saved project open.

    Parameters
    ----------
    folder
        Where its resource folder, projects and media go; by default a temporary folder.
    version
        6.83, 7.08 and 7.78 are worth running: functions newer than it are absent.
    lua
        "5.3" or "5.4".
    windows
        Windows' rules for names and renames; paths look like ``C:\\...``.
    extensions
        Names among SWS, js_ReaScriptAPI, ReaImGui, ReaPack.
    scripts
        The folder that actions are run from.
    strict
        Whether violations and script errors fail at once.
    seed
        Of GUIDs: two REAPERs side by side need two.
    tick_s
        How long a defer cycle is; what it is with REAPER minimised or rendering is unknown.
    resource_path
        Another REAPER's, to share it; by default its own.
    """

    def __init__(
        self,
        folder: Path | None = None,
        *,
        version: str = "7.78",
        lua: str = "5.4",
        switches: Switches | None = None,
        windows: bool = False,
        extensions: Iterable[str] = (),
        scripts: Path = SCRIPTS,
        saved: bool = True,
        strict: bool = True,
        seed: int = 1,
        tick_s: float = TICK_S,
        resource_path: Path | None = None,
    ) -> None:
        provide_everything()
        self._own_folder = folder is None
        folder = Path(folder or tempfile.mkdtemp(prefix="reaper_sim_"))
        self.version_text, self.version = version, version_tuple(version)
        self.lua_version = lua
        Tabs.__init__(self, folder, switches or Switches(), Random(seed))
        Judge.__init__(self, strict=strict)
        self.extensions = frozenset(extensions)
        self.scripts = scripts
        self.resource_path = resource_path or self.folder / "REAPER"
        (self.resource_path / "Scripts").mkdir(parents=True, exist_ok=True)
        self.files = Files(self, windows=windows)
        self.dialogs, self.window = Dialogs(self), Window(self)
        self.imgui = ImGui(self)
        self.processes = Processes("0\n" if self.switches.exec_no_wait_returns == "zero" else "")
        self._running: list[Script] = []
        self.now, self.tick_s = 1000.0, tick_s
        self.tick_count = 0
        self.clock_step_s = 0.0
        self.ext_state: dict[tuple[str, str], str] = {}
        self.persistent_ext_state: dict[tuple[str, str], str] = {}
        self.options: dict[int, int] = {40912: 0, 40041: 1, 41117: 0, 1156: 1, 41990: 0, 41991: 0}
        """Toggle states of REAPER's own actions."""
        self.config: dict[str, str] = {
            "splitautoxfade": "0",
            "defsplitxfadelen": "0.01",
            "splitmaxpix": "20",
            "defxfadeshape": "1",
        }
        self.device: dict[str, str] | None = {"SRATE": "48000", "MODE": "ALSA"}
        """The open audio device, or None."""
        self.commands: dict[int, Path] = {}
        """Registered scripts by command id."""
        self.script_states: dict[int, int] = {}
        self.mouse = (640, 360)
        self.tooltip = ""
        self.console = ""
        self.help_text = ""
        self.clipboard = ""
        self.printed: list[str] = []
        self.warnings: list[str] = []
        self.slices: list[Slice] = []
        self.calls: Counter[str] = Counter()
        self.redraws: Counter[str] = Counter()
        self.launched_urls: list[str] = []
        self.largest_array = 0
        self.listings: dict[str, tuple[list[str], list[str]]] = {}
        """What EnumerateFiles and EnumerateSubdirectories remember of folders."""
        self.new_project("project" if saved else None)

    # Life ------------------------------------------------------------------------------------

    def __enter__(self) -> "Reaper":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close(check=kind is None)

    def close(self, *, check: bool = True) -> None:
        """Quit: end every script and every program that was started."""
        try:
            for script in list(self._running):
                script.finish()
        finally:
            self.processes.close()
            if self._own_folder:
                shutil.rmtree(self.folder, ignore_errors=True)
        if check:
            self.check()

    def restart(self, *, crash: bool = False) -> None:
        """Quit (or crash) and come back with the same projects opened anew."""
        for script in list(self._running):
            if crash:
                script.is_running, script.deferred = False, []
            else:
                script.finish()
        self._running.clear()
        self.ext_state.clear()
        self.listings.clear()
        self.script_states.clear()
        self.tooltip, self.console = "", ""
        self.window = Window(self)
        for project in self.projects:
            self.reopen(project)

    # Scripts ---------------------------------------------------------------------------------

    @property
    def library(self) -> Path:
        """The folder that modules are found in before a script sets its own."""
        return self.resource_path / "Scripts"

    def run_action(self, name: str | Path) -> Script:
        """Run an action by its file name, as a key press or the action list would.

        A running instance is met as REAPER meets it: ended or ended and started anew where
        the script asked for that, else by the task control window, for which
        ``answer_task_control`` must have been called.
        """
        path = self.scripts / name
        if not path.is_file():
            raise FileNotFoundError(f"there is no action {path}")
        return self.launch(path)

    def launch(self, path: Path) -> Script:
        """Run a script file."""
        self._settle()
        command = self.register(path)
        old = next((each for each in self._running if each.path == path), None)
        if old is not None and not self._may_start_beside(old):
            return old
        script = Script(self, path, command)
        return self._start(script)

    def launch_nested(self, path: Path) -> None:
        """Run a script from within another one, as Main_OnCommand does."""
        old = next((each for each in self._running if each.path == path), None)
        if old is None or self._may_start_beside(old):
            script = Script(self, path, self.register(path))
            self._running.append(script)
            script.start()
            self._end_if_idle(script)

    def run_lua(self, code: str, *, name: str = "snippet.lua") -> Any:
        """Run code as a script of its own and return what it returns."""
        self._settle()
        script = Script(self, self.scripts / name, -1, text=code)
        return _plain(self._start(script).result)

    def running(self, name: str) -> list[Script]:
        """Return the running instances of an action."""
        return [script for script in self._running if script.name == name]

    def terminate(self, script: Script) -> None:
        """End a running script as the user can in the action list."""
        script.finish()
        self.check()

    def register(self, path: Path) -> int:
        """Give a script a command id, as the action list does."""
        for command, known in self.commands.items():
            if known == path:
                return command
        command = 55000 + len(self.commands)
        self.commands[command] = path
        return command

    def _start(self, script: Script) -> Script:
        self._running.append(script)
        script.start()
        self._end_if_idle(script)
        self.check()
        return script

    def _may_start_beside(self, old: Script) -> bool:
        if old.options & 1:
            restart = bool(old.options & 2)
            old.finish()
            return restart
        answer = self.dialogs.show(Dialog("task control", "ReaScript task control"), old)
        if answer == "terminate":
            old.finish()
            return False
        return bool(answer == "new instance")

    def _end_if_idle(self, script: Script) -> None:
        if script.is_running and not script.deferred:
            self._automatic_undo(script)
            script.finish()

    def _automatic_undo(self, script: Script) -> None:
        if script.has_deferred or script.made_undo_block or script.command_id < 0:
            return
        always = self.switches.auto_undo_when_unchanged
        self.history().add(f"ReaScript: {script.name}", always=always)

    # Time ------------------------------------------------------------------------------------

    def tick(self, count: int = 1) -> None:
        """Let REAPER's timer run deferred scripts this many times."""
        for _ in range(count):
            if self.dialogs.is_open:
                raise RuntimeError("no timer runs while a modal window is open")
            self._settle()
            self.tick_count += 1
            self.now += self.tick_s
            for script in list(self._running):
                if script.is_running:
                    script.tick()
                    self._end_if_idle(script)
            self.check()

    def tick_until(
        self,
        predicate: Callable[[], object],
        *,
        timeout_s: float | None = None,
        pace_s: float = 0.0,
        ticks: int = 2000,
    ) -> int:
        """Tick until something holds and return how many ticks that took.

        Parameters
        ----------
        timeout_s
            Real time to wait at most, for what other processes do; ``ticks`` bounds it
            otherwise.
        pace_s
            Real time between ticks: 0.031 for REAPER's own pace, so that what counts in
            ticks (a heartbeat) sees other processes move.
        """
        deadline = None if timeout_s is None else monotonic() + timeout_s
        count = 0
        while not predicate():
            late = count >= ticks if deadline is None else monotonic() > deadline
            if late:
                raise SimulationError(f"after {count} ticks it still does not hold")
            self.tick()
            count += 1
            if pace_s:
                sleep(pace_s)
        return count

    def time_precise(self, script: Script) -> float:
        """Return the simulated clock, running on within a slice."""
        return self.now + script.elapsed_s()

    @property
    def max_lua_ms(self) -> float:
        """The longest slice in Lua, wall time."""
        return max((each.lua_ms for each in self.slices), default=0.0)

    @property
    def max_lua_cpu_ms(self) -> float:
        """The longest slice in Lua, processor time."""
        return max((each.lua_cpu_ms for each in self.slices), default=0.0)

    @property
    def max_held_ms(self) -> float:
        """The longest slice with REAPER's own share where that is known."""
        return max((each.held_ms for each in self.slices), default=0.0)

    # The user --------------------------------------------------------------------------------

    def answer_inputs(
        self,
        answer: Answer | Callable[[Dialog], Answer],
        *,
        after_s: float = 5.0,
        meanwhile: Callable[[], None] | None = None,
    ) -> None:
        """Prepare the answer to the next GetUserInputs: values, {caption: value}, None."""
        self.dialogs.plan("inputs", answer, after_s=after_s, meanwhile=meanwhile)

    def answer_box(self, button: int, *, after_s: float = 2.0) -> None:
        """Prepare the answer to the next message box (1 OK, 2 cancel, 6 yes, 7 no)."""
        self.dialogs.plan("box", button, after_s=after_s, meanwhile=None)

    def answer_task_control(self, answer: str) -> None:
        """Prepare the answer to the next task control: terminate, new instance, cancel."""
        self.dialogs.plan("task control", answer, after_s=2.0, meanwhile=None)

    def answer_file(self, path: Path | str | None) -> None:
        """Prepare the answer to the next file window."""
        self.dialogs.plan("file", path, after_s=2.0, meanwhile=None)

    def undo(self, project: Project | None = None) -> str:
        """Press undo; returns the words of what was undone, "" for nothing."""
        self._settle()
        history = self.history(project)
        text = history.points[history.index].text
        return text if history.undo() else ""

    def redo(self, project: Project | None = None) -> str:
        """Press redo; returns the words of what was done again, "" for nothing."""
        history = self.history(project)
        return history.points[history.index].text if history.redo() else ""

    @property
    def undo_texts(self) -> list[str]:
        """The words of the project's undo points, oldest first, the user's own left out."""
        return [text for text in self.history().texts if text != "User edit"]

    def _settle(self) -> None:
        for project in self.projects:
            self.history(project).settle()

    # Results ---------------------------------------------------------------------------------

    def chunk(self, project: Project | None = None) -> str:
        """Return everything of a project as text, for comparing states."""
        return project_chunk(project or self.project)

    def render(
        self,
        start_s: float,
        end_s: float,
        rate: int | None = None,
        *,
        channels: int | None = None,
        tracks: list[Track] | None = None,
        project: Project | None = None,
    ) -> npt.NDArray[np.float32]:
        """Return what a stretch of the timeline sounds like, (channels, frames) float32."""
        project = project or self.project
        rate = rate or int(project.sample_rate)
        return render(
            project,
            start_s=start_s,
            end_s=end_s,
            rate=rate,
            switches=self.switches,
            channels=channels,
            tracks=tracks,
        )

    # Looking things up -----------------------------------------------------------------------

    def find_item(self, guid: str) -> Item | None:
        """Return the living item with a GUID, in any project."""
        items = (item for project in self.projects for item in project.items)
        return next((item for item in items if item.guid == guid), None)

    def new_guid(self) -> str:
        """Return a GUID that nothing has yet."""
        return new_guid(self.random)

    def source_file(self, path: Path) -> FileSource:
        """Return a source over a file, for tests that build sections and the like."""
        return FileSource(path)


def _plain(value: Any) -> Any:
    """Turn what Lua returned into Python: bytes to text, tables to dicts or lists."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    if isinstance(value, tuple):
        return tuple(_plain(each) for each in value)
    if hasattr(value, "items") and not isinstance(value, dict | Item | Track | Project):
        pairs = {_plain(key): _plain(each) for key, each in value.items()}
        if list(pairs) == list(range(1, len(pairs) + 1)):
            return list(pairs.values())
        return pairs
    return value
