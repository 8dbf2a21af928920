"""How a program's log is written, whatever those who speak to it send."""

import logging
import time
from collections.abc import Callable
from typing import TextIO

LOG_FORMAT = "%(asctime)s %(levelname).1s %(name)s: %(message)s"
MAX_MESSAGE_CHARACTERS = 2_000


class LogFormatter(logging.Formatter):
    """Keeps each entry on a line of its own.

    Names, prompts and errors come from others. Control characters in them are written as escapes,
    and the lines of a traceback are indented, so that nobody can write an entry of their own.
    """

    def __init__(self, fmt: str = LOG_FORMAT) -> None:
        super().__init__(fmt)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """Return the entry's line without what would end or colour it."""
        record.message = printable(record.message)
        return super().formatMessage(record)

    def formatException(self, ei: object) -> str:  # noqa: N802 - logging's name
        """Return a traceback whose lines can't be taken for entries."""
        lines = super().formatException(ei).splitlines()  # type: ignore[arg-type]  # logging's own
        return "\n".join("  | " + printable(line) for line in lines)


def log_to(stream: TextIO, level: str) -> None:
    """Have the whole program write its log to a stream."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(LogFormatter())
    logging.basicConfig(level=level, handlers=[handler])


class LogBudget:
    """Lets a few warnings through in each period, and then tells how many there were more.

    For what somebody else can bring about as often as they like.
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
        """Write a warning, unless there were enough of them."""
        now_s = self._clock()
        if now_s - self._since_s >= self._period_s:
            self.flush()
            self._since_s, self._count = now_s, 0
        self._count += 1
        if self._count <= self._entries:
            self._log.warning(text, *arguments)

    def tick(self) -> None:
        """Tell of what was held back once its period is over."""
        if self._clock() - self._since_s >= self._period_s:
            self.flush()

    def flush(self) -> None:
        """Tell of what was held back."""
        if (held_back := self._count - self._entries) > 0:
            self._log.warning("%d more of these were not logged", held_back)
        self._count = min(self._count, self._entries)


def printable(text: str) -> str:
    """Return text without control characters, cut to what a line may be.

    Parameters
    ----------
    text
        Anything that somebody else may have chosen.
    """
    if len(text) > MAX_MESSAGE_CHARACTERS:
        text = f"{text[:MAX_MESSAGE_CHARACTERS]}... ({len(text)} characters)"
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else _escaped(each) for each in text)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
