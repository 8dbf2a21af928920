"""``reapaint bridge``: what the scripts in REAPER start."""

import logging
import signal
import sys
from logging.handlers import RotatingFileHandler
from pathlib import Path
from types import FrameType

from reapaint.commands.terminal import Terminal
from reapaint.reaper.service import BridgeConfig, Service, run_bridge
from reapaint_engine.protocol.folders import log_folder
from reapaint_engine.protocol.logs import LogFormatter

LOG_BYTES = 1 << 20
LOG_FILES = 3


def bridge_log_path() -> Path:
    """Return the bridge's log."""
    return log_folder() / "bridge.log"


def run(config: BridgeConfig, terminal: Terminal) -> None:
    """Serve a spool in the foreground until a signal, a script or idle time ends it.

    Raises
    ------
    BridgeError
        Another bridge serves it, or it can't be written.
    """
    handler = _log_to_file()
    try:
        terminal.say(f"The bridge serves {config.spool}; its log is {bridge_log_path()}.")
        run_bridge(config, _stop_on_signals)
    finally:
        logging.getLogger().removeHandler(handler)
        handler.close()
    terminal.result({"ok": True, "spool": str(config.spool)})


def _log_to_file() -> logging.Handler:
    handler = RotatingFileHandler(
        bridge_log_path(), maxBytes=LOG_BYTES, backupCount=LOG_FILES, encoding="utf-8", delay=True
    )
    handler.setFormatter(LogFormatter())
    root = logging.getLogger()
    root.addHandler(handler)
    for name in ("reapaint", "reapaint_engine"):
        logging.getLogger(name).setLevel(min(root.level, logging.INFO) or logging.INFO)
    return handler


def _stop_on_signals(service: Service) -> None:
    def stop(number: int, _frame: FrameType | None) -> None:
        service.stop(f"{signal.Signals(number).name} was received")

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    if sys.platform == "win32":
        signal.signal(signal.SIGBREAK, stop)
    else:
        # A terminal that closes; REAPER's scripts have none.
        signal.signal(signal.SIGHUP, stop)
