"""What the command line and the bridge are told besides the words of a command: their table."""

from dataclasses import dataclass
from pathlib import Path

from reapaint_engine.protocol.libraries import LIBRARY
from reapaint_engine.protocol.settings import (
    LOG_LEVEL,
    OPTIONAL_TEXT,
    SECONDS_OR_NEVER,
    Setting,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandSettings:
    """The settings of all commands; each has flags for those that it needs."""

    engine: str | None = Setting(
        name="engine",
        default=None,
        kind=OPTIONAL_TEXT,
        metavar="ENDPOINT",
        help="an engine such as tcp://192.168.1.20:5555 (default: the one that runs here)",
    ).field()
    library: Path | None = LIBRARY.field()  # noqa: RUF009 - it makes a field
    bridge_idle_exit_s: float = Setting(
        name="idle_exit",
        variable="REAPAINT_BRIDGE_IDLE_EXIT",
        default=1800.0,
        kind=SECONDS_OR_NEVER,
        metavar="SECONDS",
        help="end after so long without work once REAPER is gone; 0 = never",
    ).field()
    log_level: str = Setting(
        name="log_level",
        default="WARNING",
        kind=LOG_LEVEL,
        help="how much a command tells of its work",
        has_flag=False,
    ).field()
