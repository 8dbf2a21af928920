"""The project tabs of a simulated REAPER, each with its undo history."""

from pathlib import Path
from random import Random

from tests.reaper_sim.model import Project
from tests.reaper_sim.switches import Switches
from tests.reaper_sim.undo import UndoHistory


class Tabs:
    """Opens, switches and closes projects; the part of ``Reaper`` that holds them."""

    def __init__(self, folder: Path, switches: Switches, random: Random) -> None:
        self.folder, self.switches, self.random = folder, switches, random
        self.projects: list[Project] = []
        self.current = 0
        self._histories: dict[int, UndoHistory] = {}

    @property
    def project(self) -> Project:
        """The project tab in front."""
        return self.projects[self.current]

    def history(self, project: Project | None = None) -> UndoHistory:
        """Return a project's undo history."""
        return self._histories[(project or self.project).address]

    def new_project(self, name: str | None, *, switch: bool = True) -> Project:
        """Open a new tab; without a name it was never saved."""
        base = self.folder / (name or "REAPER Media")
        project = Project(self.random, base / "Media" if name else base, None)
        project.media_folder.mkdir(parents=True, exist_ok=True)
        if name:
            project.path = base / f"{name}.rpp"
            project.path.write_text("<REAPER_PROJECT 0.1\n>\n")
        self.projects.append(project)
        self._histories[project.address] = UndoHistory(project, self.switches)
        if switch:
            self.current = len(self.projects) - 1
        return project

    def switch_project(self, project: Project) -> None:
        """Bring a tab to the front."""
        self.current = self.projects.index(project)

    def close_project(self, project: Project) -> None:
        """Close a tab: every pointer into it dies. The last one is replaced by a new one."""
        front = self.project
        self.projects.remove(project)
        for track in project.tracks:
            track.alive = False
        for item in project.items:
            item.kill()
        project.alive = False
        if not self.projects:
            self.new_project(None)
        self.current = self.projects.index(front) if front in self.projects else 0

    def reopen(self, project: Project) -> None:
        """Save, close and open a project: pointers die and undo points go, GUIDs stay."""
        for track in project.tracks:
            items = [item.clone() for item in track.items]
            for item in track.items:
                item.kill()
            track.items = items
        project.is_dirty = False
        self.history(project).forget()
