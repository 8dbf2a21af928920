"""Write a program's log so that nobody can forge its entries."""

import logging
import time
from collections.abc import Callable
from typing import TextIO

LOG_FORMAT = "%(asctime)s %(levelname).1s %(name)s: %(message)s"
MAX_MESSAGE_CHARACTERS = 2_000


class LogFormatter(logging.Formatter):
    """A formatter that keeps each entry on its own line.

    Names, prompts and errors come from others. Control characters in them are escaped, and the
    lines of a traceback are indented, so that nobody can forge an entry.
    """

    def __init__(self, fmt: str = LOG_FORMAT) -> None:
        super().__init__(fmt)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """Return the entry's line without characters that would end or colour it."""
        record.message = printable(record.message)
        return super().formatMessage(record)

    def formatException(self, ei: object) -> str:  # noqa: N802 - logging's name
        """Return a traceback whose lines don't look like entries."""
        lines = super().formatException(ei).splitlines()  # type: ignore[arg-type]  # logging's own
        return "\n".join("  | " + printable(line) for line in lines)


def log_to(stream: TextIO, level: str) -> None:
    """Write the log of the whole program to a stream."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(LogFormatter())
    logging.basicConfig(level=level, handlers=[handler])


class LogBudget:
    """Writes a few warnings in each period, and then the number of further ones.

    It is for warnings that others can cause as often as they like.
    """

    def __init__(
        self,
        log: logging.Logger,
        *,
        entries: int = 10,
        period_s: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._log = log
        self._entries = entries
        self._period_s = period_s
        self._clock = clock
        self._since_s = -period_s
        self._count = 0

    def warn(self, text: str, *arguments: object) -> None:
        """Write a warning, unless there were enough in this period."""
        now_s = self._clock()
        if now_s - self._since_s >= self._period_s:
            self.flush()
            self._since_s, self._count = now_s, 0
        self._count += 1
        if self._count <= self._entries:
            self._log.warning(text, *arguments)

    def tick(self) -> None:
        """Write the number of suppressed warnings if the period is over."""
        if self._clock() - self._since_s >= self._period_s:
            self.flush()

    def flush(self) -> None:
        """Write the number of suppressed warnings."""
        if (held_back := self._count - self._entries) > 0:
            self._log.warning("%d more of these were not logged", held_back)
        self._count = min(self._count, self._entries)


def printable(text: str) -> str:
    """Return text without control characters, cut to the longest line allowed.

    Parameters
    ----------
    text
        Any text, from any source.
    """
    if len(text) > MAX_MESSAGE_CHARACTERS:
        text = f"{text[:MAX_MESSAGE_CHARACTERS]}... ({len(text)} characters)"
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else _escaped(each) for each in text)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
