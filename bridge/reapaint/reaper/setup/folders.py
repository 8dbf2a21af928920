"""Finds REAPER's resource folder on Linux, macOS and Windows."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

from reapaint.errors import BridgeCode, InputError
from reapaint_engine.protocol.errors import THE_PATH, ErrorCode

MARK = "reaper.ini"
"""REAPER writes it into its resource folder when it first runs."""

_HINT = (
    "In REAPER, Options > Show REAPER resource path in explorer/finder shows it;"
    " give it with --resource-path."
)


def find_resource_folder(named: Path | None) -> Path:
    """Return the folder to install into: the named one, or the only one there is.

    Raises
    ------
    InputError
        ``reaper_not_found`` or ``several_reapers``.
    """
    if named is not None:
        return _checked(named)
    found = resource_folders()
    if not found:
        raise InputError(
            BridgeCode.REAPER_NOT_FOUND,
            "No REAPER was found on this machine, or it has never been started.",
            hint=f"Start REAPER once and try again. {_HINT}",
        )
    if len(found) > 1:
        listed = ", ".join(str(folder) for folder in found)
        raise InputError(
            BridgeCode.SEVERAL_REAPERS, f"There are several REAPERs here: {listed}.", hint=_HINT
        )
    return found[0]


def resource_folders() -> list[Path]:
    """Return every resource folder in the places where REAPER and its users put them."""
    found: dict[tuple[int, int], Path] = {}
    for folder in (*_usual_folders(), *_portable_folders()):
        try:
            # One folder has several names where upper and lower case are the same.
            status = (folder / MARK).stat()
            found.setdefault((status.st_dev, status.st_ino), folder.resolve())
        except OSError:
            continue
    return list(found.values())


def _checked(folder: Path) -> Path:
    folder = folder.expanduser().absolute()
    if not folder.is_dir():
        raise InputError(
            ErrorCode.FILE_NOT_FOUND, f"There is no folder {THE_PATH}.", hint=_HINT, path=folder
        )
    return folder


def _usual_folders() -> Iterator[Path]:
    """Yield where REAPER itself puts its resources."""
    home = Path.home()
    if sys.platform == "win32":
        roaming = os.environ.get("APPDATA")
        yield (Path(roaming) if roaming else home / "AppData" / "Roaming") / "REAPER"
    elif sys.platform == "darwin":
        yield home / "Library" / "Application Support" / "REAPER"
    else:
        config = os.environ.get("XDG_CONFIG_HOME")
        yield (Path(config) if config else home / ".config") / "REAPER"
        yield home / ".config" / "REAPER"
        yield home / ".var" / "app" / "fm.reaper.Reaper" / "config" / "REAPER"


def _portable_folders() -> Iterator[Path]:
    """Yield where people unpack portable installations: resources lie beside the program."""
    home = Path.home()
    names = ("REAPER", "Reaper", "reaper", "REAPER (x64)")
    places = [home, home / "Documents", home / "Desktop", home / "Applications", home / "opt"]
    if sys.platform == "win32":
        places += [Path(f"{drive}:/") for drive in "CDE"]
        for variable in ("ProgramFiles", "ProgramFiles(x86)", "LOCALAPPDATA"):
            if os.environ.get(variable):
                places.append(Path(os.environ[variable]))
    elif sys.platform == "darwin":
        places.append(Path("/Applications"))
    else:
        places += [Path("/opt"), home / "bin", home / ".local" / "opt"]
    for place in places:
        for name in names:
            yield place / name
            yield place / f"{name} portable"
