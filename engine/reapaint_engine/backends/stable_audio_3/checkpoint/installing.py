"""Bringing a checkpoint here: file by file into a folder aside, checked, then all at once."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from reapaint_engine.backends.stable_audio_3.checkpoint import hub
from reapaint_engine.backends.stable_audio_3.checkpoint.catalog import Model, needed_files
from reapaint_engine.backends.stable_audio_3.checkpoint.checkpoint import open_checkpoint
from reapaint_engine.backends.stable_audio_3.checkpoint.errors import StoreError, no_room
from reapaint_engine.backends.stable_audio_3.checkpoint.manifest import (
    SHA256_DIGITS,
    File,
    Manifest,
    OnMoreBytes,
    checksum,
    read_manifest,
    write_manifest,
)
from reapaint_engine.backends.stable_audio_3.checkpoint.settings import (
    CodecKind,
    ModelSettings,
    Objective,
)
from reapaint_engine.backends.stable_audio_3.checkpoint.store import (
    Installed,
    Origin,
    expected_files,
    find_installed,
    find_one,
    find_problem,
    locked,
    models_folder,
    staging_folder,
    verify,
)
from reapaint_engine.errors import JobError
from reapaint_engine.protocol.errors import THE_PATH, ErrorCode
from reapaint_engine.protocol.progress import OnBytes

_COPY_BYTES = 2**22


class Source(Protocol):
    """Where a checkpoint's files come from."""

    @property
    def origin(self) -> str:
        """What to write down as their origin."""

    @property
    def revision(self) -> str:
        """Which version they are."""

    @property
    def files(self) -> tuple[File, ...]:
        """Every file to bring."""

    def bring(self, file: File, target: Path, on_bytes: OnMoreBytes) -> None:
        """Put one file in its place, or raise; what was begun may go on next time."""


class FolderSource:
    """A folder with a checkpoint, such as a disk from a machine with a network.

    Raises
    ------
    StoreError
        ``file_not_found``: it is not there, or holds no checkpoint.
    JobError
        ``model_broken``: it holds another one, or one that can't be understood.
    """

    def __init__(self, folder: Path, model: Model) -> None:
        self._folder = folder.expanduser().absolute()
        manifest = read_manifest(self._folder)
        self.origin = manifest.source if manifest is not None else "folder"
        self.files = manifest.files if manifest is not None else self._find_files()
        if manifest is not None and manifest.name != model.name:
            raise JobError(
                ErrorCode.MODEL_BROKEN,
                f"{THE_PATH} holds {manifest.name}, and not {model.name}.",
                hint="Name the model that it is.",
                path=self._folder,
            )
        checkpoint = open_checkpoint(self._folder)
        check_is(model, checkpoint.settings)
        self.revision = checkpoint.revision if manifest is None else manifest.revision

    def bring(self, file: File, target: Path, on_bytes: OnMoreBytes) -> None:
        """Link the file where the file system can, else copy it."""
        source = (self._folder / file.path).resolve()
        if not _link(source, target):
            _copy(source, target, on_bytes)

    def _find_files(self) -> tuple[File, ...]:
        paths = needed_files(
            path.relative_to(self._folder).as_posix()
            for path in self._folder.rglob("*")
            if path.is_file()
        )
        if not paths:
            raise StoreError(
                ErrorCode.FILE_NOT_FOUND,
                f"{THE_PATH} holds no checkpoint.",
                hint="Name the folder that holds model.safetensors and model_config.json, or"
                " model_index.json.",
                path=self._folder,
            )
        return tuple(File(path, (self._folder / path).stat().st_size) for path in paths)


def install(
    model: Model,
    source: Source,
    on_progress: OnBytes = lambda _what, _done, _total: None,
) -> Installed:
    """Bring a checkpoint here; a file that is here already is not brought again.

    Until every file is there and checked, all is kept aside, and what was there before
    stays in use. An attempt that failed goes on where it ended.

    Raises
    ------
    StoreError
        What stands in the way: the disk, the hub, another process, or ``model_broken``
        where a file arrived damaged.
    JobError
        ``model_broken``: what came is no checkpoint, or not this one.
    """
    staging = staging_folder(model.name)
    with locked(model.name):
        _recover(model.name)
        present = find_one(model.name)
        if present is not None and _is_same(present, source) and not verify(present, on_progress):
            return present
        staging.mkdir(exist_ok=True)
        checked = _gather(source, staging, on_progress)
        manifest = _check(model, source, staging, checked, on_progress)
        _tidy(staging, manifest)
        write_manifest(staging, manifest)
        _publish(staging, models_folder() / model.name)
    installed = find_one(model.name)
    assert installed is not None, "what was just put there is there"
    return installed


def check_is(model: Model, settings: ModelSettings) -> None:
    """Refuse a checkpoint that can't be the one it is said to be.

    The two small ones differ in nothing but their weights, and are taken at their word.

    Raises
    ------
    JobError
        ``model_broken``: its codec or its objective is another's.
    """
    codec = CodecKind.SAME_L if model.name.startswith("medium") else CodecKind.SAME_S
    objective = Objective.BASE if model.is_base else Objective.DISTILLED
    if (settings.codec.kind, settings.objective) == (codec, objective):
        return
    size = "medium" if settings.codec.kind is CodecKind.SAME_L else "small-music or small-sfx"
    kind = "a base" if settings.objective is Objective.BASE else "a distilled"
    raise JobError(
        ErrorCode.MODEL_BROKEN,
        f"This is not {model.name}: it is {kind} checkpoint of the size of {size}.",
        hint="Name the model that it is.",
    )


# Steps


def _gather(source: Source, staging: Path, on_progress: OnBytes) -> set[File]:
    """Bring every file that is not here yet; returns those whose checksum was compared."""
    known = _known_files()
    total = sum(file.size for file in source.files)
    done = 0
    checked, missing = set(), []
    for file in source.files:
        target = staging / file.path
        target.parent.mkdir(parents=True, exist_ok=True)
        if file.checksum and (_is_whole(target, file) or _reuse(file, known, target)):
            checked.add(file)
            done += file.size
            on_progress("check", done, total)
        else:
            target.unlink(missing_ok=True)
            missing.append(file)
    _check_room(staging, missing)
    for file in missing:

        def count(brought: int, before: int = done) -> None:
            on_progress("download", before + brought, total)

        source.bring(file, staging / file.path, _adding_up(count))
        done += file.size
    return checked


def _check(
    model: Model, source: Source, staging: Path, checked: set[File], on_progress: OnBytes
) -> Manifest:
    """Compare what came with what was announced, and return it with its checksums."""
    total = sum(file.size for file in source.files)
    done = 0
    files = []
    for file in source.files:

        def count(read: int, before: int = done) -> None:
            on_progress("check", before + read, total)

        path = staging / file.path
        problem = "" if file in checked else find_problem(path, file, _adding_up(count))
        if problem:
            raise _damaged(model, file.path, problem)
        is_known = len(file.checksum) == SHA256_DIGITS
        files.append(file if is_known else File(file.path, file.size, checksum(path)))
        done += file.size
    check_is(model, open_checkpoint(staging).settings)
    return Manifest(model.name, source.origin, source.revision, tuple(files))


def _is_same(present: Installed, source: Source) -> bool:
    return present.origin is Origin.OWN and present.revision == source.revision


def _publish(staging: Path, goal: Path) -> None:
    """Put the new folder in the old one's place; for an instant there is neither."""
    old = _set_aside(goal)
    try:
        staging.rename(goal)
    except OSError:
        if old.exists():
            old.rename(goal)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _set_aside(goal: Path) -> Path:
    old = goal.with_name(f".{goal.name}.old")
    if goal.exists():
        shutil.rmtree(old, ignore_errors=True)
        goal.rename(old)
    return old


def _recover(name: str) -> None:
    """Bring back what a process that was killed while it published had set aside."""
    goal = models_folder() / name
    old = goal.with_name(f".{name}.old")
    if old.exists() and not goal.exists():
        old.rename(goal)


def _tidy(staging: Path, manifest: Manifest) -> None:
    """Remove what an attempt with another revision left."""
    wanted = {staging / file.path for file in manifest.files}
    for path in sorted(staging.rglob("*"), reverse=True):
        if path.is_dir():
            if not any(path.iterdir()):
                path.rmdir()
        elif path not in wanted:
            path.unlink()


# Files


def _known_files() -> dict[str, Path]:
    """Return the files of every checkpoint that is here, by their checksums.

    The text encoder is the same in all of them, and a new revision changes few files.
    """
    known = hub.cached_blobs()
    for installed in find_installed():
        known |= {
            file.checksum: installed.folder / file.path
            for file in expected_files(installed)
            if file.checksum
        }
    return known


def _reuse(file: File, known: dict[str, Path], target: Path) -> bool:
    """Link a file that is here under its checksum, if it still holds what that says."""
    source = known.get(file.checksum)
    if source is None or not _is_whole(source, file):
        return False
    source = source.resolve()
    target.unlink(missing_ok=True)
    if not _link(source, target):
        _copy(source, target, lambda _more: None)
    return True


def _link(source: Path, target: Path) -> bool:
    try:
        target.hardlink_to(source)
    except OSError:
        return False  # another disk, a file system without links, or one that forbids them
    return True


def _copy(source: Path, target: Path, on_bytes: OnMoreBytes) -> None:
    part = target.with_name(target.name + ".part")
    with source.open("rb") as reader, part.open("wb") as writer:
        while chunk := reader.read(_COPY_BYTES):
            writer.write(chunk)
            on_bytes(len(chunk))
    part.replace(target)


def _is_whole(path: Path, file: File) -> bool:
    return not find_problem(path, file, lambda _more: None)


def _check_room(staging: Path, missing: list[File]) -> None:
    begun = sum(path.stat().st_size for path in staging.rglob("*.part"))
    needed = sum(file.size for file in missing) - begun
    free = shutil.disk_usage(staging).free
    if needed > free:
        raise no_room(
            models_folder(), f"{needed / 1e9:.1f} GB are needed, {free / 1e9:.1f} GB are free"
        )


def _adding_up(on_total: Callable[[int], None]) -> OnMoreBytes:
    total = 0

    def add(more: int) -> None:
        nonlocal total
        total += more
        on_total(total)

    return add


def _damaged(model: Model, path: str, problem: str) -> StoreError:
    return StoreError(
        ErrorCode.MODEL_BROKEN,
        f"{THE_PATH} of {model.name} {problem}.",
        hint="Run the command again: only what is damaged is brought again.",
        path=path,
    )
