"""Tells when the scripts wrote something: by the system's word, else by looking often."""

import logging
from collections.abc import Callable
from pathlib import Path, PurePath
from types import TracebackType
from typing import Self

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer

from reapaint.reaper.messages import is_job_id

WATCHED_SCAN_S = 1.0
"""How often to look all the same: a system may lose a notification."""
BLIND_SCAN_S = 0.02
"""How often to look where the system tells nothing, as on some network drives."""
STOP_PATIENCE_S = 2.0

_SIGNALS = frozenset(("request.json", "cancel", "applied"))

_log = logging.getLogger(__name__)


class SpoolWatch:
    """Calls back with a job's id, or with "" for a control, from a thread of its own.

    It may call too often, and it may miss something: whoever listens looks at the files,
    at least every ``scan_s``.
    """

    def __init__(self, root: Path, on_change: Callable[[str], None]) -> None:
        self._handler = _Handler(root, on_change)
        self._observer = Observer()
        self.scan_s = WATCHED_SCAN_S
        try:
            self._observer.schedule(self._handler, str(root), recursive=True)
            self._observer.start()
        except (OSError, RuntimeError) as error:
            _log.warning("the system does not tell of changes (%s): looking often instead", error)
            self.scan_s = BLIND_SCAN_S

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the thread."""
        if self._observer.is_alive():
            self._observer.stop()
            self._observer.join(STOP_PATIENCE_S)

    def check(self) -> None:
        """Look often from now on if the thread has died, as when its folder was removed."""
        if self.scan_s == WATCHED_SCAN_S and not self._observer.is_alive():
            _log.warning("the system does not tell of changes any more: looking often instead")
            self.scan_s = BLIND_SCAN_S


class _Handler(FileSystemEventHandler):
    """Passes on what is news of a job or a control; our own files are not."""

    def __init__(self, root: Path, on_change: Callable[[str], None]) -> None:
        self._root = root
        self._on_change = on_change

    def on_any_event(self, event: FileSystemEvent) -> None:
        if event.event_type in ("opened", "closed", "closed_no_write", "deleted"):
            return
        for path in {event.src_path, event.dest_path} - {""}:
            self._pass_on(PurePath(str(path)))

    def _pass_on(self, path: PurePath) -> None:
        try:
            parts = path.relative_to(self._root).parts
        except ValueError:
            return
        match parts:
            case ("jobs", job_id) if is_job_id(job_id):
                self._on_change(job_id)
            case ("jobs", job_id, name) if name in _SIGNALS and is_job_id(job_id):
                self._on_change(job_id)
            case ("control", _):
                self._on_change("")
