"""What a person sees: text, tables and progress, or one JSON object for a script."""

import contextlib
import io
import json
import os
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from reapaint.errors import BridgeCode, OutputLost
from reapaint_engine.protocol.errors import ReaPaintError, reason_of
from reapaint_engine.protocol.progress import OnProgress

if TYPE_CHECKING:
    from rich.console import Console


class Terminal:
    """Where a command speaks. With ``is_json`` only ``result`` reaches standard output."""

    def __init__(self, *, is_json: bool) -> None:
        self.is_json = is_json
        if isinstance(sys.stdout, io.TextIOWrapper):
            # A name that the console can't show is no reason to fail.
            sys.stdout.reconfigure(errors="backslashreplace")

    def say(self, text: str) -> None:
        """Show a line of text to a person."""
        if not self.is_json:
            # Rich takes 30 ms to load, and would put pictures for words between colons.
            with _speaking():
                print(text, flush=True)  # noqa: T201 - the one place that may

    def warn(self, text: str) -> None:
        """Show a warning on standard error."""
        if not self.is_json:
            self._complain(f"warning: {text}", style="yellow")

    def fail(self, error: ReaPaintError) -> None:
        """Show what went wrong and what to do, as text or as the JSON object."""
        if self.is_json:
            self.result({"ok": False, "error": _error_as_json(error)})
            return
        self._complain(f"reapaint: {error.message}", style="red")
        if error.hint:
            self._complain(error.hint)

    def table(self, title: str, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Show a table to a person."""
        if self.is_json:
            return
        from rich.table import Table

        table = Table(title=title or None, title_justify="left")
        for heading in headings:
            table.add_column(heading, overflow="fold")
        for row in rows:
            table.add_row(*row)
        with _speaking():
            self._console().print(table)

    def result(self, answer: object) -> None:
        """Print the one JSON object, if JSON was asked for."""
        if self.is_json:
            # In ASCII: whatever encoding a script or a console expects, it can read this.
            with _speaking():
                sys.stdout.write(json.dumps(answer) + "\n")
                sys.stdout.flush()

    def flush(self) -> None:
        """Have everything that was said leave this process.

        Raises
        ------
        OutputLost
            As everything that writes to standard output.
        """
        with _speaking():
            sys.stdout.flush()

    def give_up_output(self, error: OutputLost) -> None:
        """Say on standard error that nobody gets the answer, and write none from now on."""
        # Whoever closed the pipe has read enough, as `head` does: that is no complaint.
        if not isinstance(error.__cause__, BrokenPipeError):
            self._complain(f"reapaint: {error.message}", style="red")
        with contextlib.suppress(OSError, ValueError):
            # Python flushes once more at its end, and would complain in its own words.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

    @contextlib.contextmanager
    def progress(self) -> Iterator[OnProgress]:
        """Show progress while a job runs, where somebody can see it."""
        if self.is_json or not sys.stderr.isatty():
            yield lambda _stage, _fraction: None
            return
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

        columns = (TextColumn("{task.description:10}"), BarColumn(), TaskProgressColumn())
        with Progress(*columns, console=self._console(stderr=True), transient=True) as bar:
            task = bar.add_task("reading", total=1.0)
            yield lambda stage, fraction: bar.update(task, description=stage, completed=fraction)

    def _complain(self, text: str, style: str | None = None) -> None:
        """Write to standard error, if it takes anything: there is nobody else to tell."""
        with contextlib.suppress(OSError):
            self._console(stderr=True).print(text, style=style, soft_wrap=True)

    def _console(self, *, stderr: bool = False) -> "Console":
        from rich.console import Console

        # Text and names are shown as they are: no picture for a word between colons.
        return Console(stderr=stderr, emoji=False, markup=False, highlight=False)


@contextlib.contextmanager
def _speaking() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputLost(
            BridgeCode.OUTPUT_LOST,
            f"The answer can't be written to standard output: {reason_of(error)}.",
        ) from error


def _error_as_json(error: ReaPaintError) -> dict[str, str]:
    return {"code": error.code, "message": error.message, "hint": error.hint}
