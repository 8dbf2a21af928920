"""Locks between processes; the processes are real."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from reapaint_engine.protocol import locks

HOLDER = """
import sys
from pathlib import Path
from reapaint_engine.protocol import locks
with locks.hold(Path(sys.argv[1]), patience_s=0) as is_ours:
    print(is_ours, flush=True)
    sys.stdin.read()
"""
LOOKER = """
import sys, time
from pathlib import Path
from reapaint_engine.protocol import locks
until_s = time.monotonic() + 1.0
found = looks = 0
while time.monotonic() < until_s:
    looks += 1
    found += locks.is_held(Path(sys.argv[1]))
print(found, looks)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.lock"


@pytest.fixture
def holder(path: Path) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"True\n"
        yield process
        process.kill()


def test_a_lock_that_was_never_made_is_not_held(path: Path) -> None:
    assert not locks.is_held(path)
    assert not path.exists()


def test_one_that_is_held_is_seen_and_not_taken(
    path: Path, holder: subprocess.Popen[bytes]
) -> None:
    assert locks.is_held(path)
    with locks.hold(path, patience_s=0) as is_ours:
        assert not is_ours


def test_the_system_lets_go_of_a_killed_holders_lock(
    path: Path, holder: subprocess.Popen[bytes]
) -> None:
    holder.kill()
    holder.wait()
    assert not locks.is_held(path)
    with locks.hold(path, patience_s=0) as is_ours:
        assert is_ours


def test_a_second_holder_in_the_same_process_is_another(path: Path) -> None:
    with locks.hold(path, patience_s=0) as first, locks.hold(path, patience_s=0) as second:
        assert (first, second) == (True, False)
        assert locks.is_held(path)
    assert not locks.is_held(path)


def test_those_who_look_never_take_each_other_for_a_holder(path: Path) -> None:
    path.touch()
    lookers = [
        subprocess.Popen([sys.executable, "-c", LOOKER, path], stdout=subprocess.PIPE)
        for _ in range(4)
    ]
    for looker in lookers:
        said, _ = looker.communicate(timeout=60)
        found, looks = map(int, said.split())
        assert looks > 10
        assert found == 0


def test_those_who_look_keep_nobody_from_taking_it(path: Path) -> None:
    path.touch()
    lookers = [
        subprocess.Popen([sys.executable, "-c", LOOKER, path], stdout=subprocess.PIPE)
        for _ in range(2)
    ]
    until_s = time.monotonic() + 1.0
    while time.monotonic() < until_s:
        with locks.hold(path) as is_ours:
            assert is_ours
    for looker in lookers:
        looker.communicate(timeout=60)


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), locks.hold(tmp_path / "no" / "a.lock"):
        pass
