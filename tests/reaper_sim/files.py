"""The file system as scripts meet it: Windows' rules, full disks, folders that refuse."""

import fnmatch
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.reaper_sim.script import Script
    from tests.reaper_sim.simulator import Reaper


@dataclass
class Fault:
    """A refusal: of what, for paths that fit a pattern, and how often (-1 always)."""

    operation: str
    pattern: str
    message: str
    times: int = -1


class Files:
    """Paths and refusals. With ``windows``, Lua sees ``C:\\...`` paths under ``root``."""

    def __init__(self, sim: "Reaper", *, windows: bool) -> None:
        self._sim = sim
        self.windows = windows
        self.faults: list[Fault] = []

    @property
    def separator(self) -> str:
        """What stands between folders."""
        return "\\" if self.windows else "/"

    def to_lua(self, path: str) -> str:
        """Turn a path of this machine into one as REAPER shows it."""
        if not self.windows or not path.startswith("/"):
            return path
        return "C:" + path.replace("/", "\\")

    def to_host(self, path: str) -> str:
        """Turn a path as a script has it into one of this machine."""
        if not self.windows:
            return path
        path = path.replace("\\", "/")
        return path[2:] if path[:2].upper() == "C:" else path

    def fail(self, operation: str, pattern: str, message: str, *, times: int = -1) -> None:
        """Refuse an operation (open, write, rename, remove) on paths that fit a pattern."""
        self.faults.append(Fault(operation, pattern, message, times))

    def disk_full(self, pattern: str = "*") -> None:
        """Let every write to paths that fit fail from now on."""
        self.fail("write", pattern, "No space left on device")

    def read_only(self, pattern: str) -> None:
        """Let every creation in paths that fit fail from now on."""
        for operation in ("create", "rename", "remove"):
            self.fail(operation, pattern, "Permission denied")

    def refusal(self, operation: str, path: str) -> str | None:
        """Return why an operation is refused, if it is."""
        host = self.to_host(path)
        for fault in self.faults:
            if (
                fault.operation == operation
                and fault.times
                and fnmatch.fnmatch(host, fault.pattern)
            ):
                fault.times -= 1
                return fault.message
        return None

    def opening(self, path: str, mode: str, script: "Script") -> str | None:
        """Return why a file can't be opened."""
        writes = any(letter in mode for letter in "wa+")
        if writes and self.windows and "b" not in mode:
            self._sim.blame(
                f"{path} is opened as {mode!r}: Windows would change its line ends", script
            )
        if self.windows and not self._sim.switches.utf8_file_names and not path.isascii():
            return f"{path}: No such file or directory"
        if self.windows and any(mark in path[2:] for mark in '<>:"|?*'):
            return f"{path}: Invalid argument"
        refused = self.refusal("create" if writes else "open", path)
        return f"{path}: {refused}" if refused else None

    def writing(self, path: str, what: tuple[Any, ...]) -> str | None:
        """Return why a file can't be written."""
        return self.refusal("write", path)

    def renaming(self, old: str, new: str, is_open: bool) -> str | None:
        """Return why a file can't be renamed."""
        if self.windows and Path(self.to_host(new)).exists():
            return "File exists"
        if self.windows and is_open:
            return "Permission denied"
        return self.refusal("rename", new)

    def removing(self, path: str, is_open: bool, script: "Script") -> str | None:
        """Return why a file can't be removed."""
        if self._sim.is_media(Path(self.to_host(path))):
            self._sim.blame(f"{path} was deleted, which a take or an undo point plays", script)
        if self.windows and is_open:
            return "Permission denied"
        return self.refusal("remove", path)
