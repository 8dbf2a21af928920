"""What a simulated REAPER holds against its scripts."""

from pathlib import Path

from tests.reaper_sim.errors import ScriptError, SimulationError
from tests.reaper_sim.imgui import ImGui
from tests.reaper_sim.model import Project
from tests.reaper_sim.script import MAX_DEFERS, Script
from tests.reaper_sim.undo import UndoHistory
from tests.reaper_sim.window import Dialog, Dialogs


class Judge:
    """Notes violations, and what is left open or leaked; the part of ``Reaper`` that is strict."""

    dialogs: Dialogs
    imgui: ImGui
    projects: list[Project]
    _running: list[Script]

    def __init__(self, *, strict: bool) -> None:
        self.strict = strict
        self.violations: list[str] = []
        self.script_errors: list[str] = []

    def history(self, project: Project | None = None) -> UndoHistory:
        """Return a project's undo history."""
        raise NotImplementedError

    def fail(self, message: str, script: Script | None) -> SimulationError:
        """Note a violation and return the error that ends the script."""
        self.blame(message, script)
        return SimulationError(self.violations[-1])

    def blame(self, message: str, script: Script | None) -> None:
        """Note a violation that the script does not feel."""
        who = f"{script.name}: " if script else ""
        self.violations.append(f"{who}{message}")

    def script_failed(self, script: Script, text: str) -> None:
        """Note an error that ended a script."""
        self.dialogs.shown.append(Dialog("error", "ReaScript error", text))
        self.script_errors.append(f"{script.name}: {text}")

    def check(self) -> None:
        """Fail over what was noted, where the simulation is strict."""
        if not self.strict:
            return
        if self.violations:
            raise SimulationError("\n".join(self.violations))
        if self.script_errors:
            raise ScriptError("\n".join(self.script_errors))

    def end_of_slice(self, script: Script) -> None:
        """Check what a script must have closed when it returns to REAPER."""
        for project in self.projects:
            history = self.history(project)
            if history.depth:
                history.depth = 1
                history.end("ReaScript: Run", -1)
                self.blame("an undo block was open at the end of the tick", script)
            history.end_of_slice()
            for text in history.uncovered:
                self.blame(f"undo point {text}", script)
            history.uncovered.clear()
        if script.ui_refresh_prevented:
            self.blame(
                f"PreventUIRefresh is {script.ui_refresh_prevented} at the end of the tick", script
            )
            script.ui_refresh_prevented = 0
        self.imgui.end_of_slice(script)
        if len(script.deferred) > MAX_DEFERS:
            self.blame(f"{len(script.deferred)} functions deferred at once", script)

    def script_ended(self, script: Script) -> None:
        """Check what a script leaves behind when it ends."""
        if script in self._running:
            self._running.remove(script)
        for accessor in script.accessors:
            if accessor.alive:
                self.blame("an audio accessor was never destroyed", script)
        for source in script.sources:
            if source.alive and source.owner is None:
                self.blame(f"{source!r} was never destroyed nor given to a take", script)

    def is_media(self, path: Path) -> bool:
        """Say whether a take of any project or undo point plays a file."""
        for project in self.projects:
            takes = list(project.takes)
            for point in self.history(project).points:
                for state in point.tracks:
                    takes += [take for item in state.items for take in item.takes if take]
            if any(take.path == path for take in takes):
                return True
        return False
