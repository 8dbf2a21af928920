"""Uploads and results: files of one folder, known by ids that can't be guessed.

No name from a request ever becomes part of a path: a file's name is its id, and a
request's words are only compared with ids that were given out.
"""

import contextlib
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from reapaint.files.formats.recording import AudioInfo
from reapaint.files.new_file import write_error
from reapaint.http.errors import HttpCode, Refused, too_large

PLACE_S = 900.0
"""How long a place to upload to waits for its file."""
MAX_PLACES = 1000

MEDIA_TYPES = {
    ".mp3": "audio/mpeg",
    ".wav": "audio/wav",
    ".flac": "audio/flac",
    ".ogg": "audio/ogg",
    ".opus": "audio/ogg",
    ".m4a": "audio/mp4",
    ".aac": "audio/aac",
    ".aiff": "audio/aiff",
    ".aif": "audio/aiff",
    ".webm": "audio/webm",
}
OTHER_TYPE = "application/octet-stream"


@dataclass(eq=False)
class StoredFile:
    """One file. ``info`` is what a first look at it found.

    ``users`` must still have it; each says when called whether its work has ended in
    everybody's eyes, although it may still be about to let go.
    """

    file_id: str
    path: Path
    name: str
    size: int
    expires_s: float
    info: AudioInfo | None = None
    users: list[Callable[[], bool]] = field(default_factory=list)
    is_removed: bool = False

    @property
    def media_type(self) -> str:
        """The kind of file, by its name; never one that a browser would run."""
        return MEDIA_TYPES.get(Path(self.name).suffix, OTHER_TYPE)


@dataclass(frozen=True, slots=True)
class Place:
    """A place that waits for an upload; it can be filled once, by who knows its secret."""

    secret: str
    file_id: str
    name: str
    expires_s: float


@dataclass(eq=False)
class Store:
    """Keeps files for a while, up to a quota. Its methods may be called from any thread."""

    folder: Path
    quota_bytes: int
    max_file_bytes: int
    keep_s: float
    _files: dict[str, StoredFile] = field(default_factory=dict)
    _places: dict[str, Place] = field(default_factory=dict)
    _used_bytes: int = 0
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def open(self) -> None:
        """Begin with an empty folder: what another run left there nobody can ask for."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def close(self) -> None:
        """Remove everything."""
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def used_bytes(self) -> int:
        """How much all files take."""
        return self._used_bytes

    # Uploads

    def reserve(self, filename: str, size: int | None, keep_s: float = PLACE_S) -> Place:
        """Return a place to upload to.

        Raises
        ------
        Refused
            413: the file would be too large; 429: too many places wait already.
        """
        if size is not None and size > self.max_file_bytes:
            raise too_large(self.max_file_bytes)
        with self._lock:
            if len(self._places) >= MAX_PLACES:
                raise Refused(
                    429,
                    HttpCode.TOO_MANY,
                    f"{MAX_PLACES} places wait for their uploads already.",
                    hint=f"Use them, or wait: each is given up after {PLACE_S:g} s.",
                )
            place = Place(
                secret=secrets.token_hex(16),
                file_id=secrets.token_hex(16),
                name=safe_name(filename),
                expires_s=time.time() + min(keep_s, PLACE_S),
            )
            self._places[place.secret] = place
        return place

    def take_place(self, secret: str) -> Place | None:
        """Return the place of a secret, which is used up by that."""
        with self._lock:
            place = self._places.pop(secret, None)
        return place if place is not None and place.expires_s > time.time() else None

    def receive(self, filename: str, file_id: str | None = None) -> "Incoming":
        """Return a file to write what is received to."""
        return Incoming(self, file_id or secrets.token_hex(16), safe_name(filename))

    def adopt(self, path: Path, name: str) -> StoredFile:
        """Take over a file that was written in ``folder`` or below.

        Raises
        ------
        Refused
            507: the quota is used up.
        """
        size = path.stat().st_size
        with self._lock:
            self.check_room(size)
            self._used_bytes += size
        file_id = secrets.token_hex(16)
        goal = self.folder / file_id
        path.replace(goal)
        return self.add(file_id, goal, name, size)

    def check_room(self, more_bytes: int) -> None:
        """Refuse what would exceed the quota.

        Raises
        ------
        Refused
            507 ``store_full``.
        """
        if self._used_bytes + more_bytes > self.quota_bytes:
            raise Refused(
                507,
                HttpCode.STORE_FULL,
                f"The server keeps {self._used_bytes / 2**20:.0f} MiB of files, and may keep"
                f" {self.quota_bytes / 2**20:.0f} MiB.",
                hint="Wait until older ones expire, delete some, or start it with a larger"
                " --http-quota-mib.",
            )

    # Files

    def find(self, file_id: str) -> StoredFile | None:
        """Return the file of an id, unless it has expired."""
        with self._lock:
            file = self._files.get(file_id)
            is_there = file is not None and (file.expires_s > time.time() or bool(file.users))
            return file if is_there else None

    @contextlib.contextmanager
    def using(self, file: StoredFile, has_ended: Callable[[], bool]) -> Iterator[StoredFile]:
        """Keep a file from being removed meanwhile.

        Parameters
        ----------
        has_ended
            Whether it is used for something that others know as ended. Who hears of an end
            may remove the file at once; on the disk it stays until it is let go.
        """
        with self._lock:
            file.users.append(has_ended)
        try:
            yield file
        finally:
            with self._lock:
                file.users.remove(has_ended)
                is_forgotten = file.is_removed and not file.users
            if is_forgotten:
                file.path.unlink(missing_ok=True)

    def remove(self, file: StoredFile) -> bool:
        """Remove a file, unless somebody still works with it; tells whether it is gone."""
        with self._lock:
            if not all(has_ended() for has_ended in file.users):
                return False
            self._files.pop(file.file_id, None)
            if not file.is_removed:
                file.is_removed = True
                self._used_bytes -= file.size
            is_free = not file.users
        if is_free:
            file.path.unlink(missing_ok=True)
        return True

    def sweep(self) -> None:
        """Remove what has expired."""
        now_s = time.time()
        with self._lock:
            for secret, place in tuple(self._places.items()):
                if place.expires_s <= now_s:
                    del self._places[secret]
            expired = [file for file in self._files.values() if file.expires_s <= now_s]
        for file in expired:
            self.remove(file)

    # What is being written

    def claim(self, count: int) -> None:
        """Count bytes that are about to be written."""
        with self._lock:
            self.check_room(count)
            self._used_bytes += count

    def release(self, count: int) -> None:
        """Give back what was claimed."""
        with self._lock:
            self._used_bytes -= count

    def add(self, file_id: str, path: Path, name: str, size: int) -> StoredFile:
        """Let others have a file that is whole and counted."""
        file = StoredFile(file_id, path, name, size, time.time() + self.keep_s)
        with self._lock:
            self._files[file_id] = file
        return file


class Incoming:
    """A file that is being received; it exists for others when it is kept."""

    def __init__(self, store: Store, file_id: str, name: str) -> None:
        self._store = store
        self._file_id = file_id
        self._name = name
        self._path = store.folder / f"{file_id}.part"
        self._size = 0
        self._is_kept = False
        try:
            self._file = self._path.open("xb")
        except OSError as error:
            raise write_error(self._path, error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def size(self) -> int:
        """How much has come."""
        return self._size

    def rename(self, filename: str) -> None:
        """Give it a name that was told only on the way."""
        self._name = safe_name(filename)

    def write(self, block: bytes) -> None:
        """Take a block.

        Raises
        ------
        Refused
            413: the file gets too large; 507: the quota is used up.
        BridgeError
            ``disk_full``.
        """
        if self._size + len(block) > self._store.max_file_bytes:
            raise too_large(self._store.max_file_bytes)
        self._store.claim(len(block))
        self._size += len(block)
        try:
            self._file.write(block)
        except OSError as error:
            raise write_error(self._path, error) from error

    def keep(self) -> StoredFile:
        """Let others have it."""
        goal = self._store.folder / self._file_id
        try:
            self._file.close()
            self._path.replace(goal)
        except OSError as error:
            raise write_error(self._path, error) from error
        self._is_kept = True
        return self._store.add(self._file_id, goal, self._name, self._size)

    def close(self) -> None:
        """Remove it, unless it is kept."""
        with contextlib.suppress(OSError):
            self._file.close()
        if not self._is_kept:
            self._path.unlink(missing_ok=True)
            self._store.release(self._size)
            self._size = 0


def safe_name(filename: str) -> str:
    """Return the name to show for a file: ``audio`` with its ending, where that is known.

    It is only ever shown, but what it is shown in may be a header or a page.
    """
    ending = filename[filename.rfind(".") :].lower() if "." in filename else ""
    return f"audio{ending}" if ending in MEDIA_TYPES else "audio"
