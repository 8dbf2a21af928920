"""A module of ours runs as it is, whoever's files lie about."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import reapaint_engine
from reapaint_engine.protocol import interpreter
from reapaint_engine.protocol.interpreter import is_installed, module_command, package_folders

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
    monkeypatch.setattr(interpreter, "is_installed", lambda: is_found)
    command = module_command("reapaint_engine", "serve", "--help")
    assert ("-c" in command) is not is_found
    assert "usage: reapaint serve" in _run(command, strangers)


def test_a_copy_that_is_not_installed_comes_before_one_that_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "sources" / "reapaint_engine"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "where.py").write_text("print(__file__)")
    monkeypatch.setattr(interpreter, "package_folders", lambda: (package.parent,))
    assert not is_installed()
    command = module_command("reapaint_engine.where")
    assert _run(command, tmp_path) == str(package / "where.py")


def test_an_installation_is_known_by_what_a_python_without_variables_finds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert OURS.parent in package_folders()
    monkeypatch.setattr(sys, "path", [str(folder) for folder in package_folders()])
    assert not is_installed()
    monkeypatch.setattr(sys, "path", [])
    assert not is_installed()


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
