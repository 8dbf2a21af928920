"""Owns the files shared with the scripts in REAPER.

::

    bridge.json                 the heartbeat
    bridge.lock                 held as long as a bridge lives
    reaper-<instance>.json      by which REAPERs that share this folder know of each other
    control/<name>              a word of the scripts; removed when it is handled
    jobs/<job_id>/request.json  a job, from the moment it has this name
                  audio.f32     what REAPER heard, if it read the audio itself
                  progress.json how far it is
                  result.json   how it ended, from the moment it has this name
                  cancel        it is to end
                  applied       its result was taken or declined
                  memory.json   what the bridge must know after a restart
                  script.json   what the scripts note for themselves

Only files of these names are ever removed, and no folder that holds others.
"""

import contextlib
import errno
import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from reapaint.errors import BridgeCode, BridgeError
from reapaint.files.new_file import write_error
from reapaint.reaper.messages import (
    AUDIO_NAME,
    MAX_MESSAGE_BYTES,
    Failure,
    Heartbeat,
    JobProgress,
    Request,
    Result,
    is_job_id,
    read,
    read_instance,
    read_request,
    read_result,
    write,
)
from reapaint_engine.protocol import locks
from reapaint_engine.protocol.errors import THE_PATH, ErrorCode, ProtocolError, reason_of

CONTROLS = ("start_engine", "stop_engine", "stop_bridge")

PATIENCE_S = 0.2
"""How long a file that another program has open is waited for: a REAPER tick is 0.03 s."""
PROGRESS_PATIENCE_S = 0.01
"""For what will be replaced again soon."""
RETRY_S = 0.002
LOCK_PATIENCE_S = 1.0
"""Whoever looks whether a bridge lives holds its lock for a moment."""

RESULT_HOURS = 24 * 30
"""Hours that bridges run before a result that nobody wanted is given up; its WAVs stay."""
FAILURE_HOURS = 24 * 2
ABANDONED_HOURS = 24
"""For a folder without a request: REAPER ended while it was being written."""

_REQUEST, _RESULT, _PROGRESS = "request.json", "result.json", "progress.json"
_CANCEL, _APPLIED, _RECORD, _NOTE = "cancel", "applied", "memory.json", "script.json"
_DRAFTS = (_REQUEST, _RESULT, _PROGRESS, _RECORD, _NOTE, _CANCEL, _APPLIED, AUDIO_NAME)
_OURS = (
    _REQUEST,
    *(f"{name}.tmp" for name in _DRAFTS),
    *(_PROGRESS, _RECORD, AUDIO_NAME, _NOTE, _RESULT, _CANCEL, _APPLIED),
)
"""In the order of their removal: a job that lost only its result would be done again."""

_log = logging.getLogger(__name__)


class JobRecord(msgspec.Struct, frozen=True):
    """What must outlive a bridge: the seed that was drawn, how often a job went wrong, its age.

    ``attempts`` counts the bridges that began to work on the job, ``engine_deaths`` the engines
    that died while it ran, ``age_hours`` the hours that an answer, or a
    folder without a request, lay here.
    """

    seed: int | None = None
    attempts: int = msgspec.field(default=0, name="starts")
    engine_deaths: int = msgspec.field(default=0, name="deaths")
    age_hours: int = msgspec.field(default=0, name="looks")


class Spool:
    """The folder that REAPER's scripts and the bridge share."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.jobs = root / "jobs"
        self.control = root / "control"
        self.rescued = root.parent / "rescued"
        self._heartbeat = root / "bridge.json"

    def make(self) -> None:
        """Make the folders.

        Raises
        ------
        BridgeError
            ``output_not_writable``.
        """
        try:
            for folder in (self.jobs, self.control):
                folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise write_error(self.root, error) from error

    # One bridge

    @contextlib.contextmanager
    def lock(self, *, patience_s: float = 0.0) -> Iterator[bool]:
        """Be the spool's bridge; yields False where another one is."""
        path = self.root / "bridge.lock"
        with contextlib.ExitStack() as stack:
            try:
                is_ours = stack.enter_context(locks.hold(path, patience_s=patience_s))
            except OSError as error:
                raise write_error(path, error) from error
            yield is_ours

    def has_bridge(self) -> bool:
        """Tell whether a bridge lives here."""
        return locks.is_held(self.root / "bridge.lock")

    # What the scripts wrote

    def folder(self, job_id: str) -> Path:
        """Return a job's folder."""
        return self.jobs / job_id

    def job_ids(self) -> list[str]:
        """Return the jobs that have a folder, committed or not."""
        try:
            with os.scandir(self.jobs) as entries:
                return [
                    entry.name
                    for entry in entries
                    if is_job_id(entry.name) and entry.is_dir(follow_symlinks=False)
                ]
        except OSError as error:
            _log.warning("the spool can't be read: %s", error)
            return []

    def is_committed(self, job_id: str) -> bool:
        """Tell whether a job's request is complete."""
        return (self.folder(job_id) / _REQUEST).exists()

    def is_answered(self, job_id: str) -> bool:
        """Tell whether a job has its result."""
        return (self.folder(job_id) / _RESULT).exists()

    def is_cancelled(self, job_id: str) -> bool:
        """Tell whether a job is to end; so is one whose result would be swept at once."""
        folder = self.folder(job_id)
        return (folder / _CANCEL).exists() or (folder / _APPLIED).exists()

    def is_applied(self, job_id: str) -> bool:
        """Tell whether a job's result was taken or declined."""
        return (self.folder(job_id) / _APPLIED).exists()

    def is_gone(self, job_id: str) -> bool:
        """Tell whether somebody removed a job's folder."""
        return not self.folder(job_id).is_dir()

    def waiting_jobs(self) -> list[str]:
        """Return the committed jobs without a result, oldest first."""
        waiting = [
            (self._committed_ns(job_id), job_id)
            for job_id in self.job_ids()
            if self.is_committed(job_id) and not self.is_answered(job_id)
        ]
        return [job_id for _, job_id in sorted(waiting)]

    def read_request(self, job_id: str) -> Request:
        """Return a job's request.

        Raises
        ------
        ProtocolError
            It breaks the contract.
        BridgeError
            ``file_not_readable``.
        """
        return read_request(self._read(self.folder(job_id) / _REQUEST), job_id)

    def instance(self, job_id: str) -> str:
        """Return the REAPER that a job is from, as far as it says so."""
        try:
            return read_instance(self._read(self.folder(job_id) / _REQUEST))
        except BridgeError:
            return ""

    def take_controls(self) -> list[str]:
        """Return the controls that the scripts left, and take note that they are handled."""
        controls = []
        for name in CONTROLS:
            path = self.control / name
            try:
                path.unlink()
            except FileNotFoundError:
                continue
            except OSError as error:
                _log.warning("%s can't be removed: %s", path, error)
            controls.append(name)
        return controls

    def write_control(self, name: str) -> None:
        """Leave a control for the bridge that runs here, as the scripts do."""
        assert name in CONTROLS
        self.control.mkdir(parents=True, exist_ok=True)
        (self.control / name).touch()

    # What the bridge writes

    def write_progress(self, progress: JobProgress) -> None:
        """Replace a job's progress; a collision or a full disk only costs this one."""
        path = self.folder(progress.job_id) / _PROGRESS
        try:
            _replace(path, write(progress), PROGRESS_PATIENCE_S)
        except OSError as error:
            _log.debug("%s: progress not written: %s", progress.job_id, error)

    def commit_result(self, result: Result | Failure) -> None:
        """Put a job's result in place; the first one stays.

        Audio that REAPER read for the job is removed: nothing needs it any more.

        Raises
        ------
        BridgeError
            ``disk_full`` or ``output_not_writable``: try again.
        """
        folder = self.folder(result.job_id)
        path = folder / _RESULT
        if path.exists():
            return
        try:
            _replace(path, write(result), PATIENCE_S)
        except OSError as error:
            raise write_error(path, error) from error
        for name in (AUDIO_NAME, _RECORD):
            with contextlib.suppress(OSError):
                (folder / name).unlink()

    def write_heartbeat(self, heartbeat: Heartbeat) -> None:
        """Show that the bridge lives; one beat may be lost."""
        try:
            _replace(self._heartbeat, write(heartbeat), PROGRESS_PATIENCE_S)
        except OSError as error:
            _log.debug("heartbeat not written: %s", error)

    def read_heartbeat(self) -> Heartbeat | None:
        """Return the last heartbeat, or None where there is none to be read."""
        try:
            return read(self._read(self._heartbeat), Heartbeat)
        except (BridgeError, ProtocolError):
            return None

    def remove_heartbeat(self) -> None:
        """Remove the heartbeat, as a bridge does that ends."""
        with contextlib.suppress(OSError):
            self._heartbeat.unlink()

    def record(self, job_id: str) -> JobRecord:
        """Return what an earlier bridge noted of a job."""
        try:
            data = (self.folder(job_id) / _RECORD).read_bytes()
            return msgspec.json.decode(data, type=JobRecord)
        except (OSError, msgspec.MsgspecError):
            return JobRecord()

    def remember(self, job_id: str, record: JobRecord) -> None:
        """Note what a later bridge must know; without room for it, it won't."""
        path = self.folder(job_id) / _RECORD
        try:
            _replace(path, msgspec.json.encode(record), PROGRESS_PATIENCE_S)
        except OSError as error:
            _log.warning("%s: no note of it could be written: %s", job_id, error)

    # Sweeping

    def drop_broken_results(self) -> None:
        """Remove results that a power failure left unreadable: their jobs are done again."""
        for job_id in self.job_ids():
            if not self.is_answered(job_id):
                continue
            path = self.folder(job_id) / _RESULT
            try:
                read_result(self._read(path))
            except ProtocolError as error:
                if error.code != ErrorCode.MALFORMED_MESSAGE:
                    continue
                _log.warning("%s: its result is broken, and is made again", job_id)
                with contextlib.suppress(OSError):
                    path.unlink()
            except BridgeError as error:
                _log.warning("%s", error.message)

    def sweep_applied(self) -> None:
        """Remove the jobs whose results were taken or declined."""
        for job_id in self.job_ids():
            folder = self.folder(job_id)
            is_over = self.is_answered(job_id) or not self.is_committed(job_id)
            if is_over and (folder / _APPLIED).exists():
                self.remove(job_id)

    def look_for_stale(self) -> None:
        """Count an hour for every job that lies here, and remove the oldest.

        Hours are counted while a bridge runs: a clock that jumps makes nothing old.
        """
        for job_id in self.job_ids():
            limit = self._most_hours(job_id)
            if limit is None:
                continue
            record = self.record(job_id)
            if record.age_hours + 1 >= limit:
                _log.info("%s: removed after %d hours", job_id, record.age_hours + 1)
                self.remove(job_id)
            else:
                self.remember(
                    job_id, msgspec.structs.replace(record, age_hours=record.age_hours + 1)
                )

    def _most_hours(self, job_id: str) -> int | None:
        """Return after how many hours a folder is stale; None for a job that is to be done."""
        if not self.is_answered(job_id):
            return None if self.is_committed(job_id) else ABANDONED_HOURS
        try:
            head = self._read(self.folder(job_id) / _RESULT)
            is_failure = not msgspec.json.decode(head, type=_Outcome).ok
        except (BridgeError, msgspec.MsgspecError):
            return RESULT_HOURS
        return FAILURE_HOURS if is_failure else RESULT_HOURS

    def remove(self, job_id: str) -> None:
        """Remove a job's files and, if nothing else is in it, its folder."""
        folder = self.folder(job_id)
        try:
            for name in _OURS:
                (folder / name).unlink(missing_ok=True)
            folder.rmdir()
        except OSError as error:
            _log.debug("%s stays for now: %s", folder, error)

    def remove_own_files(self) -> None:
        """Remove the spool itself, as far as nothing of a job or of others is in it."""
        own = [self.root / name for name in ("bridge.json", "bridge.json.tmp", "bridge.lock")]
        for path in (
            *own,
            *self.root.glob("reaper-{*}.json"),
            *self.root.glob("reaper-{*}.json.tmp"),
        ):
            with contextlib.suppress(OSError):
                path.unlink()
        for name in CONTROLS:
            with contextlib.suppress(OSError):
                (self.control / name).unlink()
        for folder in (self.jobs, self.control, self.root):
            with contextlib.suppress(OSError):
                folder.rmdir()

    # Files

    def _committed_ns(self, job_id: str) -> int:
        try:
            return (self.folder(job_id) / _REQUEST).stat().st_mtime_ns
        except OSError:
            return 0

    def _read(self, path: Path) -> bytes:
        """Read a message; a program that has just written it may still hold it."""
        deadline_s = time.monotonic() + PATIENCE_S
        while True:
            try:
                with path.open("rb") as file:
                    return file.read(MAX_MESSAGE_BYTES + 1)
            except OSError as error:
                if not _may_pass(error) or time.monotonic() > deadline_s:
                    raise BridgeError(
                        BridgeCode.FILE_NOT_READABLE,
                        f"{THE_PATH} can't be read: {reason_of(error)}.",
                        hint="Run the action again.",
                        path=path,
                    ) from error
                time.sleep(RETRY_S)


class _Outcome(msgspec.Struct):
    ok: bool = True


def _replace(path: Path, data: bytes, patience_s: float) -> None:
    """Put a file in place whole; a reader on Windows may keep it from being replaced."""
    draft = path.with_name(f"{path.name}.tmp")
    draft.write_bytes(data)
    deadline_s = time.monotonic() + patience_s
    while True:
        try:
            draft.replace(path)
        except OSError as error:
            if not _may_pass(error) or time.monotonic() > deadline_s:
                raise
            time.sleep(RETRY_S)
        else:
            return


def _may_pass(error: OSError) -> bool:
    """Tell whether an error may be that of a file that another program has open."""
    return os.name == "nt" and error.errno in (errno.EACCES, errno.EPERM)
