"""Files appear whole or not at all."""

import errno
import io
import os
import signal
from pathlib import Path

import pytest

from reapaint.errors import BridgeCode, BridgeError
from reapaint.files import new_file
from reapaint.files.new_file import ForeignSink, NewFile, commit_all
from reapaint_engine.protocol.errors import ErrorCode


def write(
    goal: Path, data: bytes, *, force: bool, error: type[BaseException] | None = None
) -> None:
    with NewFile(goal, force=force) as file:
        file.write(data)
        if error is not None:
            raise error
        file.commit()


def test_a_file_appears_when_it_is_committed(tmp_path: Path) -> None:
    goal = tmp_path / "goal"
    with NewFile(goal, force=False) as file:
        file.write(b"abc")
        file.seek(0)
        file.write(b"x")
        assert not goal.exists()
        file.seek(0)
        assert file.read() == b"xbc"
        file.commit()
    assert goal.read_bytes() == b"xbc"
    assert list(tmp_path.iterdir()) == [goal]


@pytest.mark.skipif(os.name == "nt", reason="permissions of POSIX")
def test_it_gets_the_usual_permissions(tmp_path: Path) -> None:
    ordinary = tmp_path / "ordinary"
    ordinary.touch()
    with NewFile(tmp_path / "goal", force=False) as file:
        file.commit()
    assert (tmp_path / "goal").stat().st_mode == ordinary.stat().st_mode


@pytest.mark.parametrize("has_links", [True, False])
def test_an_existing_file_is_replaced_only_by_force(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, has_links: bool
) -> None:
    if not has_links:

        def refuse(*_: object) -> None:
            raise OSError(errno.EPERM, "no links here")

        monkeypatch.setattr(Path, "hardlink_to", refuse)
    goal = tmp_path / "goal"
    write(goal, b"first", force=False)
    with pytest.raises(BridgeError) as caught:
        write(goal, b"second", force=False)
    assert caught.value.code == BridgeCode.OUTPUT_EXISTS
    assert goal.read_bytes() == b"first"
    write(goal, b"third", force=True)
    assert goal.read_bytes() == b"third"
    assert list(tmp_path.iterdir()) == [goal]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_whatever_ends_the_work_leaves_nothing(tmp_path: Path, error: type[BaseException]) -> None:
    with pytest.raises(error):
        write(tmp_path / "goal", b"half", force=True, error=error)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (errno.ENOSPC, ErrorCode.DISK_FULL),
        (errno.EFBIG, ErrorCode.DISK_FULL),
        (errno.EIO, ErrorCode.OUTPUT_NOT_WRITABLE),
        (errno.EROFS, ErrorCode.OUTPUT_NOT_WRITABLE),
    ],
)
def test_a_disk_that_fails_at_the_very_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, code: str
) -> None:
    """A stand-in for a disk: some report what went wrong only when asked to keep it."""

    def fail(_: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(new_file.os, "fsync", fail)
    with pytest.raises(BridgeError) as caught:
        write(tmp_path / "goal", b"abc", force=False)
    assert caught.value.code == code
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("force", [False, True])
def test_several_files_appear_or_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, force: bool
) -> None:
    goals = [tmp_path / name for name in ("one", "two", "three")]

    def put_all() -> None:
        files = [NewFile(goal, force=force) for goal in goals]
        try:
            for file in files:
                file.write(b"new")
            commit_all(files)
        finally:
            for file in files:
                file.discard()

    def there() -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}

    if force:
        # What was replaced can't be brought back: the new one stays in its place.
        goals[0].write_bytes(b"old")
        goals[2].mkdir()
    else:
        goals[2].write_bytes(b"somebody else's")
    with pytest.raises(BridgeError) as caught:
        put_all()
    assert caught.value.code == ("output_not_writable" if force else "output_exists")
    assert there() == ({"one": b"new"} if force else {"three": b"somebody else's"})

    goals[2].rmdir() if force else goals[2].unlink()
    synced: list[int] = []

    def full_at_the_second(number: int) -> None:
        synced.append(number)
        if len(synced) == 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    before = there()
    with monkeypatch.context() as patch:
        patch.setattr(new_file.os, "fsync", full_at_the_second)
        with pytest.raises(BridgeError) as caught:
            put_all()
    assert caught.value.code == "disk_full"
    assert there() == before

    put_all()
    assert there() == {"one": b"new", "two": b"new", "three": b"new"}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_remembered_though_a_library_swallows_it(tmp_path: Path) -> None:
    with NewFile(tmp_path / "goal", force=False) as file:
        full = os.open("/dev/full", os.O_WRONLY)
        os.dup2(full, file._file.fileno())
        os.close(full)
        sink = ForeignSink(file)
        assert sink.write(b"abc") == 3
        assert sink.write(b"def") == 3
        with pytest.raises(BridgeError) as caught:
            file.commit()
    assert caught.value.code == ErrorCode.DISK_FULL
    assert not list(tmp_path.iterdir())


def test_a_foreign_sink_keeps_an_interrupt_for_later() -> None:
    class Interrupted:
        taken = 0

        def write(self, data: bytes, /) -> int:
            self.taken += 1
            signal.raise_signal(signal.SIGINT)
            return len(data)

        def seek(self, offset: int, whence: int = 0, /) -> int:
            return offset

        def tell(self) -> int:
            return 0

        def seekable(self) -> bool:
            return True

    inner = Interrupted()
    sink = ForeignSink(inner)
    sink.check()
    assert sink.write(b"abc") == 3
    assert sink.write(b"def") == 3
    assert inner.taken == 1
    with pytest.raises(KeyboardInterrupt):
        sink.check()


@pytest.mark.parametrize("where", ["open", "close"])
def test_an_interrupt_while_a_file_is_made_or_closed_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    really_open = Path.open

    class Interrupting(io.FileIO):
        def close(self) -> None:
            super().close()
            raise KeyboardInterrupt

    def opened(path: Path, *words: object, **more: object) -> object:
        if where == "close":
            return Interrupting(path, "x+")
        really_open(path, *words, **more).close()  # type: ignore[call-overload]
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "open", opened)
    with pytest.raises(KeyboardInterrupt):
        NewFile(tmp_path / "goal", force=False).discard()
    assert not list(tmp_path.iterdir())
