"""ExecProcess: what was asked to be run, and whether it really is."""

import os
import shlex
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Command:
    """A command line that a script had REAPER run."""

    line: str
    timeout_ms: int

    @property
    def words(self) -> list[str]:
        """The line taken apart: quotes group, there is no shell."""
        return shlex.split(self.line.replace("\\", "\\\\"), posix=True)


class Processes:
    """The programs that scripts start.

    ``answer`` is what ExecProcess returns: a text, None for total failure, or a function of
    the command. With ``really`` a command line is started with ``environment`` added to
    this process' own, in ``folder``.
    """

    def __init__(self, default_answer: str) -> None:
        self.commands: list[Command] = []
        self.answer: str | Callable[[Command], str | None] | None = default_answer
        self.really = False
        self.environment: dict[str, str] = {}
        self.folder: Path | None = None
        self.started: list[subprocess.Popen[bytes]] = []

    def run(self, line: str, timeout_ms: int) -> str | None:
        """Act as ExecProcess."""
        command = Command(line, timeout_ms)
        self.commands.append(command)
        if self.really and self.answer is not None:
            return self._start(command)
        return self.answer(command) if callable(self.answer) else self.answer

    def start_late(self, index: int = -1) -> None:
        """Really start a recorded command now."""
        self._start(self.commands[index])

    def _start(self, command: Command) -> str | None:
        try:
            process = subprocess.Popen(
                command.words,
                cwd=self.folder,
                env={**os.environ, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError:
            return None
        self.started.append(process)
        return "0\n"

    def close(self) -> None:
        """End every process that was started here."""
        for process in self.started:
            if process.poll() is None:
                process.terminate()
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.started = []
