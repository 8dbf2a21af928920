"""Puts the scripts into REAPER's resource folder, and takes out exactly what it put there."""

import hashlib
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from reapaint.errors import BridgeCode, BridgeError, InputError
from reapaint.reaper.messages import Launch, read, write
from reapaint.reaper.sandbox import SPAWN, flatpak_app, host_command, program_outside
from reapaint.reaper.spool import Spool
from reapaint.reaper.take_names import alternatives
from reapaint_engine.protocol.errors import (
    THE_PATH,
    ProtocolError,
    not_writable,
)
from reapaint_engine.protocol.interpreter import (
    isolation,
    missing_folders,
    package_folders,
    starter,
)
from reapaint_engine.protocol.trials import run_trial
from reapaint_engine.protocol.version import __version__

SCRIPTS_FOLDER = Path("Scripts") / "ReaPaint"
DATA_FOLDER = Path("ReaPaint")
MANIFEST = DATA_FOLDER / "installed.json"
LAUNCH = DATA_FOLDER / "launch.json"
STARTER = DATA_FOLDER / "reapaint.pyw"
SPOOL = DATA_FOLDER / "spool"
RESCUED = DATA_FOLDER / "rescued"

KEPT_SUFFIX = ".yours"
STOP_PATIENCE_S = 10.0
POLL_INTERVAL_S = 0.05

_SELF_TESTS = ("self-test.txt", "self-test.txt.tmp", "self-test *")
"""Its report, and what it leaves of its sounds and its project when it is cut off."""
_MODULE = "reapaint"
_COMMAND = "bridge"
_SPOOL_FLAG = "--spool"


class InstalledFile(msgspec.Struct, frozen=True):
    """A file that was written; ``path`` is relative to the resource folder, with ``/``."""

    path: str
    sha256: str


class Manifest(msgspec.Struct, frozen=True):
    """What an installation wrote."""

    version: str
    files: tuple[InstalledFile, ...] = ()


@dataclass(frozen=True, slots=True)
class Installed:
    """What came of an installation; ``kept`` are copies of what a user had changed."""

    resource_folder: Path
    written: tuple[Path, ...]
    kept: tuple[Path, ...]
    launch: Launch


@dataclass(frozen=True, slots=True)
class KeptPath:
    """A file or folder that a removal left, relative to the resource folder, and why."""

    path: Path
    reason: str


@dataclass(frozen=True, slots=True)
class Uninstalled:
    """What came of a removal; results and what is not ReaPaint's own are kept."""

    resource_folder: Path
    removed: tuple[Path, ...]
    kept: tuple[KeptPath, ...]


def scripts_source() -> Path:
    """Return the folder of the scripts that came with this package.

    Raises
    ------
    BridgeError
        ``scripts_missing``.
    """
    package = Path(__file__).resolve().parents[2]
    # An editable installation leaves an older copy in the package: the source comes first.
    for folder in (package.parent.parent / "reaper_scripts", package / "reaper_scripts"):
        if any(folder.glob("reapaint/*.lua")):
            return folder
    raise BridgeError(
        BridgeCode.SCRIPTS_MISSING,
        "REAPER's scripts are not in this installation of ReaPaint.",
        hint="Install ReaPaint again from where it came.",
    )


def install(resource_folder: Path) -> Installed:
    """Copy the scripts and say where Python is; what was there before is replaced.

    Raises
    ------
    BridgeError
        The folder can't be written, or this Python can't run the bridge.
    """
    source = scripts_source()
    new = {
        SCRIPTS_FOLDER / path.relative_to(source): path.read_bytes()
        for path in sorted(source.rglob("*.lua"))
    }
    launch = make_launch(resource_folder)
    if str(resource_folder / STARTER) in launch.arguments:
        new[STARTER] = _starter_file()
    new[LAUNCH] = write(launch)
    old = read_manifest(resource_folder)
    try:
        kept = list(_replace(resource_folder, old, new))
        _write(resource_folder / MANIFEST, msgspec.json.encode(_manifest(new)))
        (resource_folder / SPOOL / "jobs").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _not_writable(resource_folder, error) from error
    _stop_bridge(resource_folder)
    return Installed(resource_folder, tuple(sorted(new)), tuple(kept), launch)


def uninstall(resource_folder: Path, *, force: bool) -> Uninstalled:
    """Remove what ``install`` and the scripts wrote; what a user changed stays, unless forced.

    Results always stay: those that wait in the spool, and those that were rescued.

    Raises
    ------
    InputError
        ``not_installed``.
    BridgeError
        The folder can't be written.
    """
    manifest = read_manifest(resource_folder)
    if manifest is None:
        raise InputError(
            BridgeCode.NOT_INSTALLED,
            f"ReaPaint is not installed in {THE_PATH}.",
            hint="Name another folder with --resource-path.",
            path=resource_folder,
        )
    _stop_bridge(resource_folder, patience_s=STOP_PATIENCE_S)
    removed, changed = [], []
    try:
        for file in manifest.files:
            path = resource_folder / file.path
            if not path.exists():
                continue
            if force or _hash(path.read_bytes()) == file.sha256:
                path.unlink()
                removed.append(Path(file.path))
            else:
                changed.append(Path(file.path))
        (resource_folder / MANIFEST).unlink(missing_ok=True)
        removed += _remove_self_test(resource_folder)
        _empty_spool(resource_folder)
        _remove_empty(resource_folder / SCRIPTS_FOLDER)
        _remove_empty(resource_folder / DATA_FOLDER)
    except OSError as error:
        raise _not_writable(resource_folder, error) from error
    return Uninstalled(resource_folder, tuple(removed), _what_stays(resource_folder, changed))


def read_manifest(resource_folder: Path) -> Manifest | None:
    """Return what an earlier installation wrote, or None."""
    try:
        data = (resource_folder / MANIFEST).read_bytes()
        manifest = msgspec.json.decode(data, type=Manifest)
    except (OSError, msgspec.MsgspecError):
        return None
    # What it names is going to be removed: nothing outside of the folder may be.
    inside = tuple(file for file in manifest.files if _is_inside(file.path))
    return msgspec.structs.replace(manifest, files=inside)


def read_launch(resource_folder: Path) -> Launch | None:
    """Return how the scripts start the bridge, or None where that can't be read."""
    try:
        return read((resource_folder / LAUNCH).read_bytes(), Launch)
    except (OSError, ProtocolError):
        return None


def changed_files(resource_folder: Path, manifest: Manifest) -> list[Path]:
    """Return the installed files that are missing or not as they were written."""
    changed = []
    for file in manifest.files:
        path = resource_folder / file.path
        try:
            is_same = _hash(path.read_bytes()) == file.sha256
        except OSError:
            is_same = False
        if not is_same:
            changed.append(Path(file.path))
    return changed


def make_launch(resource_folder: Path) -> Launch:
    """Return how the scripts are to start the bridge, tried out.

    A package that only works from its own folder is started by a small file instead. A
    REAPER from Flatpak sees no Python of this machine, and has it started from outside.

    Raises
    ------
    BridgeError
        ``python_not_usable``: this Python can't run it.
    """
    python = str(_python())
    folders = missing_folders()
    installed = ("-m", _MODULE)
    copied = ("-c", starter(_MODULE, package_folders()))
    if not folders and run_trial((python, *isolation(), *installed, _COMMAND)).said:
        program: tuple[str, ...] = installed
    elif run_trial((python, *isolation(), *copied, _COMMAND)).said:
        program = (str(resource_folder / STARTER),)
    else:
        raise BridgeError(
            BridgeCode.PYTHON_NOT_USABLE,
            f"{python} can't run ReaPaint's bridge.",
            hint="Install ReaPaint again, and run `reapaint reaper install` from there.",
        )
    outside = host_command() if flatpak_app(resource_folder) else ()
    spool = str(resource_folder / SPOOL)
    command = (*outside, python, *isolation(), *program, _COMMAND, _SPOOL_FLAG, spool)
    return Launch(command[0], command[1:])


def program_of(launch: Launch) -> tuple[str, ...]:
    """Return the program and command that a launch runs, as this machine sees it."""
    words = (launch.python, *launch.arguments)
    if launch.python == SPAWN:
        words = words[words.index(program_outside(launch.arguments)) :]
    end = words.index(_SPOOL_FLAG) if _SPOOL_FLAG in words else len(words)
    return tuple(words[:end])


def _python() -> Path:
    """Return this Python; on Windows the one that opens no console window."""
    python = Path(sys.executable)
    windowless = python.with_name("pythonw.exe")
    return windowless if os.name == "nt" and windowless.exists() else python


def _starter_file() -> bytes:
    comment = "# Starts ReaPaint's bridge from the folder it lies in.\n"
    return (comment + starter(_MODULE, package_folders())).encode()


def _replace(resource_folder: Path, old: Manifest | None, new: dict[Path, bytes]) -> Iterator[Path]:
    """Write the new files and remove the old that are no more; yield what is a user's.

    A script that is not as an installation left it has a user's work in it, or is none
    of ours: a copy of it is kept beside the new one.
    """
    known = {file.path: file.sha256 for file in old.files} if old else {}
    for path, data in new.items():
        there = resource_folder / path
        before = there.read_bytes() if there.exists() else data
        if path.suffix == ".lua" and before != data and _hash(before) != known.get(path.as_posix()):
            aside = _keep_aside(there, before)
            yield path.with_name(aside.name)
        _write(there, data)
    for name, sha256 in known.items():
        there = resource_folder / name
        if Path(name) in new or not there.exists():
            continue
        if _hash(there.read_bytes()) == sha256:
            there.unlink()
        else:
            yield Path(name)


def _keep_aside(path: Path, data: bytes) -> Path:
    """Copy a user's file to a name that is free; REAPER takes it for no script."""
    wanted = path.with_name(path.name + KEPT_SUFFIX)
    aside = next(each for each in alternatives(wanted) if not os.path.lexists(each))
    _write(aside, data)
    return aside


def _manifest(files: dict[Path, bytes]) -> Manifest:
    listed = tuple(InstalledFile(path.as_posix(), _hash(data)) for path, data in files.items())
    return Manifest(__version__, listed)


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.tmp")
    draft.write_bytes(data)
    draft.replace(path)


def _stop_bridge(resource_folder: Path, *, patience_s: float = 0.0) -> None:
    """Let a bridge end, of another version perhaps: the scripts start a new one."""
    spool = Spool(resource_folder / SPOOL)
    if not spool.has_bridge():
        return
    spool.write_control("stop_bridge")
    deadline_s = time.monotonic() + patience_s
    while spool.has_bridge() and time.monotonic() < deadline_s:
        time.sleep(POLL_INTERVAL_S)


def _remove_self_test(resource_folder: Path) -> list[Path]:
    """Remove what the Self-test made, which puts everything into two folders."""
    made = [
        path
        for folder in (DATA_FOLDER, SPOOL)
        for pattern in _SELF_TESTS
        for path in sorted((resource_folder / folder).glob(pattern))
        if path.is_file()
    ]
    for path in made:
        path.unlink()
    return [path.relative_to(resource_folder) for path in made]


def _empty_spool(resource_folder: Path) -> None:
    """Remove what is over in the spool, and the spool itself if no result waits in it."""
    spool = Spool(resource_folder / SPOOL)
    if not spool.root.exists():
        return
    spool.sweep_applied()
    if not spool.job_ids():
        spool.remove_own_files()


def _what_stays(resource_folder: Path, changed: list[Path]) -> tuple[KeptPath, ...]:
    """Return all that is left, whoever put it there; a folder of results counts as one."""
    reasons = dict.fromkeys(changed, "it was changed, and --force removes it")
    reasons[SPOOL] = "it holds results that wait, or others' files"
    reasons[RESCUED] = "it holds results that found no room in a project's folder"
    left = [
        path.relative_to(resource_folder)
        for folder in (SCRIPTS_FOLDER, DATA_FOLDER)
        for path in sorted((resource_folder / folder).rglob("*"))
        if path.is_symlink() or not path.is_dir()
    ]
    for path in left:
        if not any(each in reasons for each in (path, *path.parents)):
            reasons[path] = "it is not ReaPaint's"
    return tuple(
        KeptPath(path, why)
        for path, why in reasons.items()
        if os.path.lexists(resource_folder / path)
    )


def _remove_empty(folder: Path) -> None:
    """Remove a folder and those in it, as far as there is no file in them."""
    if not folder.is_dir() or folder.is_symlink():
        return
    for inside in folder.iterdir():
        _remove_empty(inside)
    if not any(folder.iterdir()):
        folder.rmdir()


def _is_inside(name: str) -> bool:
    path = Path(name)
    return not path.is_absolute() and ".." not in path.parts


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _not_writable(folder: Path, error: OSError) -> BridgeError:
    hint = "Close REAPER, and check that you may write in its resource folder."
    return BridgeError.of(not_writable(error.filename or folder, error, hint))
