"""``reapaint reaper``: put the scripts into REAPER, and take them out again."""

import re
from pathlib import Path

from reapaint.commands.terminal import Terminal
from reapaint.errors import InputError
from reapaint.files.new_file import NewFile
from reapaint.reaper.sandbox import flatpak_app, may_start_outside, permission_command
from reapaint.reaper.setup import installation, reapack
from reapaint.reaper.setup.folders import MARK, find_resource_folder
from reapaint_engine.protocol.errors import ErrorCode
from reapaint_engine.protocol.version import __version__

# ReaPack's own rule for an address, and what it hands to curl.
_ADDRESS = re.compile(r"(https?|file)://(?:[a-z0-9._~:/\[\]@!$&'()*+,;=-]|%[a-f0-9]{2})+", re.I)

SET_UP_SCRIPT = "ReaPaint_Set up.lua"
RESULTS_STAY = (
    "Your results stay where your projects keep their recordings, in folders called ReaPaint;"
    " your settings stay in REAPER's reaper-extstate.ini, and the actions in its action list."
)


def default_spool() -> Path:
    """Return the spool of the REAPER on this machine.

    Raises
    ------
    InputError
        There is none, or there are several.
    """
    return find_resource_folder(None) / installation.SPOOL


def install(resource_path: Path | None, terminal: Terminal) -> None:
    """Copy the scripts, and tell them where Python is."""
    folder = find_resource_folder(resource_path)
    if not (folder / MARK).exists():
        terminal.warn(f"{folder} has no {MARK}: is it really REAPER's resource folder?")
    done = installation.install(folder)
    scripts = folder / installation.SCRIPTS_FOLDER
    terminal.say(f"{len(done.written)} files of ReaPaint {__version__} are in {folder}.")
    for path in done.kept:
        terminal.warn(f"{folder / path} is yours: it was not as an installation had left it.")
    app = flatpak_app(folder)
    if app is not None and not may_start_outside(app):
        terminal.warn(
            "This REAPER is Flatpak's, and may start nothing outside of its sandbox: allow it"
            f" with `{permission_command(app)}`, and restart REAPER."
        )
    terminal.say("In REAPER: Actions > Show action list > New action > Load ReaScript,")
    terminal.say(f"choose {scripts / SET_UP_SCRIPT}, and run it once.")
    terminal.result(
        {
            "ok": True,
            "resource_path": str(folder),
            "scripts": str(scripts),
            "written": [path.as_posix() for path in done.written],
            "kept": [path.as_posix() for path in done.kept],
            "python": done.launch.python,
            "arguments": list(done.launch.arguments),
        }
    )


def index(target: Path, address: str | None, terminal: Terminal) -> None:
    """Write ReaPack's list of the scripts, those of this installation or a copy's.

    Raises
    ------
    BridgeError
        The address is none, or the file can't be written.
    """
    scripts = installation.scripts_source()
    address = (address or scripts.as_uri()).rstrip("/")
    if not _ADDRESS.fullmatch(address):
        raise InputError(
            ErrorCode.INVALID_OPTION,
            f"{address} is no address that ReaPack can load files from.",
            hint="Give one such as https://example.org/reaper_scripts, without spaces.",
        )
    with NewFile(target, force=True) as file:
        file.write(reapack.make_index(scripts, address))
        file.commit()
    imported = target.absolute().as_uri()
    terminal.say(f"{target} lists the scripts at {address}.")
    terminal.say(f"In REAPER: Extensions > ReaPack > Import repositories, and paste {imported}")
    terminal.result({"ok": True, "path": str(target), "address": address, "import": imported})


def uninstall(resource_path: Path | None, terminal: Terminal, *, force: bool) -> None:
    """Remove what ``install`` wrote, and say what stays."""
    folder = find_resource_folder(resource_path)
    done = installation.uninstall(folder, force=force)
    terminal.say(f"{len(done.removed)} files were removed from {folder}.")
    for kept in done.kept:
        terminal.warn(f"{folder / kept.path} stays: {kept.reason}.")
    terminal.say(RESULTS_STAY)
    terminal.result(
        {
            "ok": True,
            "resource_path": str(folder),
            "removed": [path.as_posix() for path in done.removed],
            "kept": [kept.path.as_posix() for kept in done.kept],
        }
    )
