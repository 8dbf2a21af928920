"""Keep paid requests and undelivered results on disk: a crash must not cost money.

A record is written before the paid request is sent, and again with the service's own id as soon
as it is known. Each time, it is on the disk before anything else happens.
"""

import contextlib
import logging
import os
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import TypeGuard

import msgspec

from reapaint_engine.backends.hosted.pace import Clock
from reapaint_engine.backends.hosted.service import Ticket
from reapaint_engine.protocol import locks
from reapaint_engine.protocol.folders import make_private, state_folder

MAX_UNDELIVERED_AGE_S = 7 * 86_400.0
"""How long a request without a delivered result is remembered: services keep results for about
as long."""

MAX_DELIVERED_AGE_S = 86_400.0
"""How long a delivered result is kept, in case it didn't reach the project."""

MAX_DELIVERED_BYTES = 512 << 20
"""How many bytes of delivered results are kept; the oldest are removed first."""

_log = logging.getLogger(__name__)


def journal_folder() -> Path:
    """Return the folder of requests and their answers."""
    return make_private(state_folder() / "hosted")


class RequestStage(StrEnum):
    """The stages of a request."""

    SENDING = "sending"
    """The request may have been sent; it is unknown whether it arrived."""
    TAKEN = "taken"
    """The service has the request; the ticket says where."""
    FETCHED = "fetched"
    """The answer is in the journal."""
    DELIVERED = "delivered"
    """The whole job's result was delivered."""


class Record(msgspec.Struct, frozen=True):
    """One request. ``content`` is the digest of everything it depends on except the seed."""

    service: str
    content: str
    stage: RequestStage
    since_s: float
    remote_id: str = ""
    links: dict[str, str] = {}
    cost_usd: float | None = None

    @property
    def ticket(self) -> Ticket:
        """Return the service's ticket for it."""
        return Ticket(self.remote_id, self.links)


class Claim:
    """One request's entry in the journal while a job works on it."""

    def __init__(self, path: Path, record: Record | None) -> None:
        self._path = path
        self.record = record

    def save(self, record: Record) -> None:
        """Write the record; on return it is on the disk."""
        _write(self._path, msgspec.json.encode(record))
        self.record = record

    def keep_answer(self, answer: bytes, record: Record) -> None:
        """Write the service's answer, and then the record that refers to it."""
        _write(self._path.with_suffix(".answer"), answer)
        self.save(record)

    def answer(self) -> bytes | None:
        """Return the answer if the journal has it."""
        try:
            return self._path.with_suffix(".answer").read_bytes()
        except FileNotFoundError:
            return None

    def forget(self) -> None:
        """Remove the request: nothing was paid, or there will be no result."""
        _remove(self._path)
        self.record = None


class Journal:
    """The records of one user, shared by all engines on this machine."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._folder = make_private(folder)
        self._clock = clock

    def knows(self, key: str) -> bool:
        """Tell whether there is a record of a request."""
        return self._path(key).exists()

    def left_behind(self, content: str) -> int:
        """Return how many requests with this content were paid for but not delivered."""
        records = (_read(path) for path in self._folder.glob("*.json"))
        return sum(_is_left_behind(record, content) for record in records)

    @contextlib.contextmanager
    def claim(self, key: str, content: str, *, any_seed: bool) -> Iterator[Claim | None]:
        """Hold a request's entry against other engines; yields None if one of them holds it.

        Parameters
        ----------
        key
            The digest of all that a request depends on.
        content
            The digest of all that it depends on except the seed.
        any_seed
            Whether the model takes no seed: then an undelivered paid request with another
            seed is used as well.
        """
        path = self._path(key)
        with contextlib.ExitStack() as stack:
            if not _enter_lock(stack, path):
                yield None
                return
            record = _read(path)
            if record is None and any_seed:
                record = self._adopt(content, path)
            yield Claim(path, record)

    def sweep(self) -> None:
        """Remove records that are too old, or too many."""
        now_s = self._clock.epoch_s()
        delivered = []
        for path in self._folder.glob("*.json"):
            record = _read(path)
            is_delivered = record is not None and record.stage is RequestStage.DELIVERED
            kept_s = MAX_DELIVERED_AGE_S if is_delivered else MAX_UNDELIVERED_AGE_S
            if record is None or now_s - record.since_s > kept_s:
                _remove(path)
            elif is_delivered:
                delivered.append((record.since_s, path))
        room = MAX_DELIVERED_BYTES
        for _, path in sorted(delivered, reverse=True):
            room -= _size(path.with_suffix(".answer"))
            if room < 0:
                _remove(path)

    def _adopt(self, content: str, path: Path) -> Record | None:
        """Take over a request that an engine left behind, and return its record."""
        for other in sorted(self._folder.glob("*.json")):
            record = _read(other)
            if not _is_left_behind(record, content):
                continue
            with contextlib.ExitStack() as stack:
                if not _enter_lock(stack, other):
                    continue
                record = _read(other)
                if not _is_left_behind(record, content):
                    continue
                _log.info("%s: a request that was left behind is picked up", record.service)
                answer = other.with_suffix(".answer")
                if answer.exists():
                    answer.replace(path.with_suffix(".answer"))
                _write(path, msgspec.json.encode(record))
                _remove(other)
                return record
        return None

    def _path(self, key: str) -> Path:
        return self._folder / f"{key}.json"


def _is_left_behind(record: Record | None, content: str) -> TypeGuard[Record]:
    return (
        record is not None
        and record.content == content
        and record.stage in (RequestStage.TAKEN, RequestStage.FETCHED)
    )


def _enter_lock(stack: contextlib.ExitStack, path: Path) -> bool:
    return stack.enter_context(locks.hold(path.with_suffix(".lock"), patience_s=0))


def _read(path: Path) -> Record | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Record)
    except FileNotFoundError:
        return None
    except msgspec.MsgspecError:
        _log.warning("%s is damaged and was ignored", path)
        return None


def _write(path: Path, content: bytes) -> None:
    """Write a file whole, readable by its owner only, and wait until it is on the disk."""
    draft = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    if os.name == "posix":
        # Without this, the new name itself could be lost.
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _remove(path: Path) -> None:
    # The record is removed first: an answer without one is never used.
    path.unlink(missing_ok=True)
    path.with_suffix(".answer").unlink(missing_ok=True)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
