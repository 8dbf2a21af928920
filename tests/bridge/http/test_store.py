"""Files by their ids: kept for a while, up to a quota, and while somebody uses them."""

import errno
import os
import stat
from pathlib import Path

import pytest

from reapaint.errors import BridgeError
from reapaint.http import store as store_module
from reapaint.http.errors import Refused
from reapaint.http.store import MAX_PLACES, Store, safe_name


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "http", 1000, 600, 60.0)
    store.open()
    return store


def _keep(store: Store, size: int = 10):
    with store.receive("a.wav") as incoming:
        incoming.write(bytes(size))
        return incoming.keep()


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("take.WAV", "audio.wav"),
        ("../../etc/passwd", "audio"),
        ("a.html", "audio"),
        ('a".mp3', "audio.mp3"),
        ("a\r\nX: y.flac", "audio.flac"),
        ("", "audio"),
        (".wav", "audio.wav"),
        ("a.wav/../../b", "audio"),
    ],
)
def test_nothing_of_a_name_is_kept_but_a_known_ending(given: str, shown: str) -> None:
    assert safe_name(given) == shown


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
def test_the_folder_is_for_its_owner_alone(store: Store) -> None:
    assert stat.S_IMODE(store.folder.stat().st_mode) == 0o700


def test_an_id_is_only_compared(store: Store) -> None:
    file = _keep(store)
    assert store.find(file.file_id) is file
    for strange in ("", "..", "../http", str(file.path), f"{file.file_id}/", file.file_id.upper()):
        assert store.find(strange) is None or strange == file.file_id


def test_a_new_run_begins_empty(store: Store) -> None:
    file = _keep(store)
    again = Store(store.folder, 1000, 600, 60.0)
    again.open()
    assert not file.path.exists()
    assert again.find(file.file_id) is None


def test_the_quota_counts_what_is_being_received(store: Store) -> None:
    with store.receive("a.wav") as first:
        first.write(bytes(600))
        with store.receive("b.wav") as second, pytest.raises(Refused) as refused:
            second.write(bytes(600))
        assert refused.value.status == 507
    assert store.used_bytes == 0
    assert not list(store.folder.iterdir())


def test_one_file_has_a_limit_of_its_own(store: Store) -> None:
    with store.receive("a.wav") as incoming:
        for _ in range(6):
            incoming.write(bytes(100))
        with pytest.raises(Refused) as refused:
            incoming.write(b"x")
    assert refused.value.status == 413
    with pytest.raises(Refused):
        store.reserve("a.wav", 601)


def test_results_count_as_well(store: Store) -> None:
    work = store.folder / "work"
    work.write_bytes(bytes(900))
    result = store.adopt(work, "audio.wav")
    assert store.used_bytes == 900
    work.write_bytes(bytes(900))
    with pytest.raises(Refused):
        store.adopt(work, "audio.wav")
    assert store.remove(result)
    assert store.remove(result), "harmless when repeated"
    assert store.used_bytes == 0


def test_what_is_old_goes_unless_it_is_used(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    file, used = _keep(store), _keep(store)
    now_s = store_module.time.time()
    with store.using(used, lambda: False):
        monkeypatch.setattr(store_module.time, "time", lambda: now_s + 61)
        assert store.find(file.file_id) is None
        assert store.find(used.file_id) is used
        store.sweep()
        assert not file.path.exists()
        assert used.path.exists()
        assert not store.remove(used)
    store.sweep()
    assert not used.path.exists()
    assert store.used_bytes == 0


def test_places_are_bounded_and_given_up(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    first = store.reserve("a.wav", None)
    for _ in range(MAX_PLACES - 1):
        store.reserve("a.wav", None)
    with pytest.raises(Refused) as refused:
        store.reserve("a.wav", None)
    assert refused.value.status == 429
    now_s = store_module.time.time()
    monkeypatch.setattr(store_module.time, "time", lambda: now_s + 901)
    store.sweep()
    assert store.take_place(first.secret) is None
    store.reserve("a.wav", None)


def test_a_full_disk_leaves_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    with store.receive("a.wav") as incoming:

        class Full:
            def write(self, _: bytes) -> int:
                raise OSError(errno.ENOSPC, "No space left on device")

            def close(self) -> None:
                raise OSError(errno.ENOSPC, "No space left on device")

        incoming._file.close()
        monkeypatch.setattr(incoming, "_file", Full())
        with pytest.raises(BridgeError) as error:
            incoming.write(b"abc")
        assert error.value.code == "disk_full"
    assert store.used_bytes == 0
    assert not list(store.folder.iterdir())


def test_who_hears_of_an_end_may_remove_the_file_at_once(store: Store) -> None:
    """The last of the work lets go a moment after its end is told."""
    file = _keep(store)
    has_ended: list[bool] = []
    with store.using(file, lambda: bool(has_ended)):
        assert not store.remove(file)
        has_ended.append(True)
        with store.using(file, lambda: False):
            assert not store.remove(file), "another one works with it"
        assert store.remove(file)
        assert store.find(file.file_id) is None
        assert store.used_bytes == 0
        assert file.path.exists(), "what still reads it reads it whole"
    assert not file.path.exists()
