"""A REAPER in Flatpak's sandbox: started from outside, and told what it may not do."""

import subprocess
import sys
from pathlib import Path

import pytest

from reapaint.commands.cli import main
from reapaint.findings import Verdict
from reapaint.reaper.messages import read, write
from reapaint.reaper.sandbox import flatpak_app, may_start_outside, permission_command
from reapaint.reaper.setup import installation
from reapaint.reaper.setup.checks import check_folder
from reapaint.reaper.setup.installation import LAUNCH, SPOOL

APP = "fm.reaper.Reaper"
LEAVE = "flatpak override --user --talk-name=org.freedesktop.Flatpak fm.reaper.Reaper"
AS_SHIPPED = """[Context]
shared=network;ipc;
sockets=x11;pulseaudio;
filesystems=xdg-run/pipewire-0;home;
"""
ALLOWED = f"{AS_SHIPPED}\n[Session Bus Policy]\norg.freedesktop.Flatpak=talk\n"


@pytest.fixture
def resources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the resource folder of a REAPER from Flathub, whose home has a space in it."""
    home = tmp_path / "käthe k"
    folder = home / ".var" / "app" / APP / "config" / "REAPER"
    folder.mkdir(parents=True)
    (folder / "reaper.ini").touch()
    monkeypatch.setattr(Path, "home", lambda: home)
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    return folder


@pytest.fixture
def flatpak(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a file: ``flatpak info`` says what is in it, and fails while there is none."""
    said = tmp_path / "permissions.txt"
    program = tmp_path / "bin" / "flatpak"
    program.parent.mkdir()
    program.write_text(
        "#!/bin/sh\n"
        f'[ "$*" = "info --show-permissions {APP}" ] || exit 2\n'
        f"exec /bin/cat '{said}'\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent))
    return said


@pytest.mark.parametrize(
    ("folder", "app"),
    [
        ("/home/k/.var/app/fm.reaper.Reaper/config/REAPER", APP),
        ("/home/k/.var/app/fm.reaper.Reaper", APP),
        ("/home/k/.config/REAPER", None),
        ("/home/k/.var/app", None),
        ("/home/k/app/.var/REAPER", None),
    ],
)
def test_flatpaks_folders_are_known(folder: str, app: str | None) -> None:
    assert flatpak_app(Path(folder)) == app


def test_the_bridge_is_started_outside_the_sandbox(resources: Path) -> None:
    launch = installation.make_launch(resources)
    assert launch.python == "/usr/bin/flatpak-spawn"
    assert launch.arguments[:3] == ("--host", f"--directory={Path.home()}", sys.executable)
    assert launch.arguments[-2:] == ("--spool", str(resources / SPOOL))
    assert read(write(launch), type(launch)) == launch
    other = resources.parents[5] / "REAPER"
    assert installation.make_launch(other).python == sys.executable


def test_what_is_started_outside_is_the_bridge(resources: Path, tmp_path: Path) -> None:
    """launch.json's words by a ``flatpak-spawn`` that is in no sandbox: it does as it is told."""
    installation.install(resources)
    launch = installation.read_launch(resources)
    assert launch is not None
    option, directory, *command = launch.arguments
    assert option == "--host"
    answer = subprocess.run(
        [*command[: command.index("--spool")], "--help"],
        cwd=directory.removeprefix("--directory="),
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "--spool" in answer.stdout


@pytest.mark.parametrize(
    ("said", "is_allowed"),
    [
        (AS_SHIPPED, False),
        (ALLOWED, True),
        (ALLOWED.replace("=talk", "=see"), False),
        (ALLOWED.replace("Flatpak=", "*="), True),
        (AS_SHIPPED.replace("x11;", "x11;session-bus;"), True),
        ("no such thing", None),
    ],
)
def test_flatpak_is_asked_what_reaper_may_do(
    flatpak: Path, said: str, is_allowed: bool | None
) -> None:
    assert may_start_outside(APP) is None
    flatpak.write_text(said)
    assert may_start_outside(APP) is is_allowed


def test_without_flatpak_nothing_is_known(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert may_start_outside(APP) is None


def test_the_doctor_says_which_leave_is_missing(resources: Path, flatpak: Path) -> None:
    installation.install(resources)
    for said, verdict in (("", None), (AS_SHIPPED, Verdict.WRONG), (ALLOWED, Verdict.GOOD)):
        if said:
            flatpak.write_text(said)
        (finding,) = (each for each in check_folder(resources) if each.name == "reaper's sandbox")
        assert finding.verdict is (verdict or Verdict.NOTE)
        assert (permission_command(APP) in finding.advice) is (verdict is not Verdict.GOOD)
    assert permission_command(APP) == LEAVE
    python = {each.name: each for each in check_folder(resources)}["reaper's python"]
    assert (python.verdict, python.text) == (Verdict.GOOD, sys.executable)


def test_the_doctor_sees_a_python_that_is_gone_outside(resources: Path, flatpak: Path) -> None:
    installation.install(resources)
    path = resources / LAUNCH
    path.write_text(path.read_text().replace(sys.executable, "/gone/python"))
    python = {each.name: each for each in check_folder(resources)}["reaper's python"]
    assert (python.verdict, python.text) == (Verdict.WRONG, "/gone/python is gone.")


def test_the_doctor_sees_a_folder_that_moved_out_of_flatpak(resources: Path) -> None:
    installation.install(resources)
    moved = resources.rename(resources.parents[5] / "REAPER")
    assert "reaper's sandbox" not in {each.name for each in check_folder(moved)}
    python = {each.name: each for each in check_folder(moved)}["reaper's python"]
    assert python.verdict is Verdict.WRONG


def test_installing_finds_flatpaks_reaper_and_says_what_to_allow(
    resources: Path, flatpak: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["reaper", "install"]) == 0
    assert LEAVE in capsys.readouterr().err
    assert (resources / LAUNCH).exists()
    flatpak.write_text(ALLOWED)
    assert main(["reaper", "install"]) == 0
    assert "flatpak" not in capsys.readouterr().err


def test_outside_nobody_knows_when_reaper_is_gone(resources: Path) -> None:
    from reapaint.reaper.service import starter_watch

    assert starter_watch(resources / SPOOL)()
    assert not starter_watch(resources.parents[5] / "spool")()
