"""A new file that appears under its name whole, or not at all."""

import contextlib
import io
import os
import secrets
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from reapaint.errors import BridgeCode, BridgeError, InputError
from reapaint_engine.protocol.errors import (
    THE_PATH,
    ErrorCode,
    is_disk_full,
    not_writable,
)


class Sink(Protocol):
    """What an encoder writes to."""

    def write(self, data: bytes, /) -> int:
        """Take all of the data."""

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Move to a position."""

    def tell(self) -> int:
        """Return the position."""

    def seekable(self) -> bool:
        """Whether it can go back."""


class ForeignSink:
    """A file to hand to a library that can't pass an exception of ours on.

    JUCE turns one into an error of its own, and FFmpeg loses a Ctrl-C altogether. So
    the first is kept for ``check``, and what comes after it is dropped.
    """

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._error: BaseException | None = None
        self._is_muted = False

    def write(self, data: bytes, /) -> int:
        """Take all of the data."""
        if self._error is None and not self._is_muted:
            try:
                self._sink.write(data)
            except BaseException as error:  # noqa: BLE001  # check() raises it, whatever it is
                self._error = error
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Move to a position."""
        return self._sink.seek(offset, whence)

    def tell(self) -> int:
        """Return the position."""
        return self._sink.tell()

    def seekable(self) -> bool:
        """Whether it can go back."""
        return self._sink.seekable()

    def flush(self) -> None:
        """Do nothing: all was passed on."""

    def mute(self) -> None:
        """Drop what comes from now on."""
        self._is_muted = True

    def check(self) -> None:
        """Raise what went wrong since the last call."""
        if self._error is not None:
            raise self._error


class NewFile(io.RawIOBase):
    """A temporary file beside its goal, put in place by ``commit``.

    It behaves as a binary file. The first error of the disk is kept and raised again
    by ``check``: libraries that write through it may swallow an exception.
    """

    def __init__(self, path: Path, *, force: bool) -> None:
        super().__init__()
        self._path = path
        self._force = force
        # A short name of its own: the goal's may already be as long as names can be
        self._temporary = path.with_name(f".reapaint-{secrets.token_hex(6)}.part")
        self._error: BridgeError | None = None
        self._is_committed = False
        self._has_replaced = False
        try:
            self._file = self._temporary.open("x+b", buffering=0)
        except OSError as error:
            raise write_error(path, error) from error
        except BaseException:
            # A Ctrl-C that came while the file was made: nobody else would remove it.
            self._temporary.unlink(missing_ok=True)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.discard()

    def discard(self) -> None:
        """Close the file, and remove it unless it was committed."""
        try:
            with contextlib.suppress(OSError):
                self._file.close()
        finally:
            if not self._is_committed:
                self._temporary.unlink(missing_ok=True)
            self.close()

    def write(self, data: object, /) -> int:
        """Write all of the data, or raise what stands in the way."""
        view = memoryview(data).cast("B")  # type: ignore[arg-type]  # any buffer, as in io
        done = 0
        try:
            while done < len(view):
                done += self._file.write(view[done:])
        except OSError as error:
            self._error = self._error or write_error(self._path, error)
            raise self._error from error
        return done

    def readinto(self, buffer: object, /) -> int:
        """Read back what was written."""
        return self._file.readinto(buffer)  # type: ignore[arg-type]  # any buffer, as in io

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Move to a position."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Return the position."""
        return self._file.tell()

    def readable(self) -> bool:
        """Return True."""
        return True

    def writable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def check(self) -> None:
        """Raise the first error that writing met, if any."""
        if self._error is not None:
            raise self._error

    def finish(self) -> None:
        """Have the disk keep what was written, still under the temporary name.

        Raises
        ------
        BridgeError
            ``disk_full`` or ``output_not_writable``: some disks say so only now.
        """
        self.check()
        if self._file.closed:
            return
        try:
            os.fsync(self._file.fileno())
            self._file.close()
        except OSError as error:
            raise write_error(self._path, error) from error

    def commit(self) -> None:
        """Put the file in its place, for good.

        Raises
        ------
        BridgeError
            ``output_exists`` when another file took the place meanwhile and ``force``
            was not given; ``disk_full`` or ``output_not_writable`` from the disk.
        """
        self.finish()
        try:
            if self._force:
                self._has_replaced = os.path.lexists(self._path)
                self._temporary.replace(self._path)
            else:
                _place(self._temporary, self._path)
        except FileExistsError as error:
            raise exists_error(self._path) from error
        except OSError as error:
            raise write_error(self._path, error) from error
        self._is_committed = True

    def withdraw(self) -> None:
        """Take a file out of its place again; one that replaced another stays."""
        if self._is_committed and not self._has_replaced:
            self._path.unlink(missing_ok=True)


def commit_all(files: Sequence[NewFile]) -> None:
    """Put several files in their places, or none.

    What fails while files are written fails before the first is in its place. A place
    that is lost after that takes back those that were filled, but for what they replaced.

    Raises
    ------
    BridgeError
        As ``NewFile.commit``.
    """
    for file in files:
        file.finish()
    try:
        for file in files:
            file.commit()
    except BaseException:
        for file in files:
            file.withdraw()
        raise


def write_error(path: Path, error: OSError) -> BridgeError:
    """Return what a user can do about an error of the disk."""
    if is_disk_full(error):
        return BridgeError(
            ErrorCode.DISK_FULL,
            f"There is no room left for {path.name} in {THE_PATH}.",
            hint="Free some space or write to another disk; no half-written file was left.",
            path=path.parent,
        )
    return BridgeError.of(
        not_writable(path, error, "Choose another folder or change its permissions.")
    )


def no_folder_error(folder: Path) -> InputError:
    """Return the refusal of a file in a folder that is not there."""
    return InputError(
        ErrorCode.OUTPUT_NOT_WRITABLE,
        f"There is no folder {THE_PATH}.",
        hint="Make the folder first, or choose another.",
        path=folder,
    )


def exists_error(path: Path) -> InputError:
    """Return the refusal to replace a file."""
    return InputError(
        BridgeCode.OUTPUT_EXISTS,
        f"{THE_PATH} exists already.",
        hint="Choose another name, or give --force to replace it.",
        path=path,
    )


def _place(temporary: Path, goal: Path) -> None:
    """Rename without ever replacing a file.

    A hard link fails when the name is taken. Where there are no links (FAT, some
    network folders), the name is claimed by an empty file first.
    """
    if os.name == "nt":
        temporary.rename(goal)
        return
    try:
        goal.hardlink_to(temporary)
    except FileExistsError:
        raise
    except OSError:
        goal.touch(exist_ok=False)
        temporary.replace(goal)
    else:
        temporary.unlink()
