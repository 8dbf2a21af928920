"""A module of ours runs as it is, whoever's files lie about."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import reapaint_engine
from reapaint_engine.protocol import interpreter
from reapaint_engine.protocol.interpreter import (
    TRY_FLAG,
    module_command,
    package_folders,
)
from reapaint_engine.protocol.version import __version__

OURS = Path(reapaint_engine.__file__).parent
WHERE = "reapaint_engine.protocol.version"


@pytest.fixture
def strangers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder of files that must not be run, named as the modules that Python needs."""
    for name in ("queue", "runpy", "random", "argparse", "engine", "reapaint_engine"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('a stranger')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return tmp_path


def _run(command: tuple[str, ...], cwd: Path) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("is_found", [True, False], ids=["installed", "sources"])
def test_the_very_copy_runs_and_no_stranger(
    strangers: Path, monkeypatch: pytest.MonkeyPatch, is_found: bool
) -> None:
    if not is_found:
        monkeypatch.setattr(interpreter, "missing_folders", package_folders)
    command = module_command("reapaint_engine", "serve", TRY_FLAG)
    assert ("-c" in command) is not is_found
    assert _run(command, strangers) == f"reapaint {__version__}"


def test_a_copy_that_is_not_installed_comes_before_one_that_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "sources" / "reapaint_engine"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "where.py").write_text("print(__file__)")
    monkeypatch.setattr(interpreter, "package_folders", lambda: (package.parent,))
    assert interpreter.missing_folders() == (package.parent,)
    command = module_command("reapaint_engine.where")
    assert _run(command, tmp_path) == str(package / "where.py")


def test_what_the_caller_alone_looks_into_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever PYTHONPATH puts it, and site-packages itself beside it."""
    folders = package_folders()
    assert OURS.parent in folders
    assert interpreter.missing_folders() == ()
    theirs = [path for path in sys.path if path.endswith("-packages")]
    own = [path for path in sys.path if path not in map(str, folders) and path not in theirs]
    monkeypatch.setattr(sys, "path", [*theirs, *map(str, folders), *own])
    assert OURS.parent in interpreter.missing_folders()
    assert not {Path(path) for path in theirs} & set(interpreter.missing_folders())


def test_packages_are_taken_along_from_where_the_caller_found_them(
    tmp_path: Path,
) -> None:
    """A copy of the sources, whose needed packages are only on PYTHONPATH."""
    bare = tmp_path / "bare"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(bare)], check=True)
    python = bare / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    code = (
        "from reapaint_engine.protocol.interpreter import module_command\n"
        "print(*module_command('reapaint_engine', 'serve', '--try'), sep='|')"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, package_folders()))}
    made = subprocess.run(
        [python, "-c", code], env=environment, capture_output=True, text=True, check=True
    ).stdout
    command = tuple(made.strip().split("|"))
    assert command[1:4] == ("-E", "-P", "-c")
    assert _run(command, tmp_path) == f"reapaint {__version__}"


def test_who_does_without_the_users_packages_starts_others_without() -> None:
    code = "from reapaint_engine.protocol.interpreter import isolation; print(*isolation())"
    for flags, expected in (((), "-E -P"), (("-s",), "-E -P -s"), (("-I",), "-E -P -s")):
        assert _run((sys.executable, *flags, "-c", code), Path.cwd()) == expected


def test_the_working_directory_is_dropped_before_anything_is_imported(strangers: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    (strangers / "reapaint_engine.py").unlink()
    (strangers / "runpy.py").unlink()
    for module in ("reapaint", "reapaint_engine"):
        done = subprocess.run(
            [sys.executable, "-m", module, "--help"],
            cwd=strangers,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert "usage: reapaint" in done.stdout, done.stderr
