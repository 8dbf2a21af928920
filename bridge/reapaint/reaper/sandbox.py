"""REAPER from Flatpak: sees no Python of this machine, and needs leave to have one started.

Flatpak lets an application call programs outside its sandbox through ``flatpak-spawn
--host`` if it may talk to ``org.freedesktop.Flatpak`` (flatpak-spawn(1)). Flathub's
manifest of fm.reaper.Reaper gives it the home folder, but not that.
"""

import configparser
import subprocess
from collections.abc import Sequence
from pathlib import Path

SPAWN = "/usr/bin/flatpak-spawn"
"""In the runtime of every Flatpak, whatever the machine outside has."""
HELPER = "org.freedesktop.Flatpak"
TRIAL_TIMEOUT_S = 10.0

_HELPERS_NAMES = (HELPER, "org.freedesktop.*")
_DATA_FOLDER = (".var", "app")


def flatpak_app(folder: Path) -> str | None:
    """Return the Flatpak application that a folder belongs to, or None."""
    parts = folder.parts
    for index in range(len(parts) - len(_DATA_FOLDER)):
        if parts[index : index + len(_DATA_FOLDER)] == _DATA_FOLDER:
            return parts[index + len(_DATA_FOLDER)]
    return None


def host_command() -> tuple[str, ...]:
    """Return what stands before a command that is to run outside the sandbox."""
    # The sandbox's own working folder may not exist outside, and then nothing is started.
    return (SPAWN, "--host", f"--directory={Path.home()}")


def program_outside(arguments: Sequence[str]) -> str:
    """Return the program that ``SPAWN`` is given by its arguments."""
    return next((each for each in arguments if not each.startswith("--")), "")


def permission_command(app: str) -> str:
    """Return what a user runs to let an application start programs outside."""
    return f"flatpak override --user --talk-name={HELPER} {app}"


def may_start_outside(app: str) -> bool | None:
    """Tell whether an application may start programs outside; None where Flatpak won't say."""
    try:
        answer = subprocess.run(  # noqa: S603 - the name is a folder's, and no shell reads it
            ("flatpak", "info", "--show-permissions", app),  # noqa: S607 - the user's own
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=TRIAL_TIMEOUT_S,
            check=False,
        )
        permissions = configparser.ConfigParser(interpolation=None, strict=False)
        permissions.read_string(answer.stdout)
    except (OSError, subprocess.TimeoutExpired, configparser.Error):
        return None
    if answer.returncode != 0:
        return None
    sockets = permissions.get("Context", "sockets", fallback="").split(";")
    policy = "Session Bus Policy"
    return "session-bus" in sockets or any(
        permissions.get(policy, name, fallback="") in ("talk", "own") for name in _HELPERS_NAMES
    )
