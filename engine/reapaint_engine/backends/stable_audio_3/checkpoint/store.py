"""The checkpoints on this machine: where they are, whether they are whole, and their end.

A checkpoint is found in a folder of ours, or in the Hugging Face hub's cache, where
another program may have put it; there it is used in place and never changed.
"""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from reapaint_engine.backends.stable_audio_3.checkpoint import hub
from reapaint_engine.backends.stable_audio_3.checkpoint.catalog import (
    MODELS,
    Model,
    find_model,
    needed_files,
)
from reapaint_engine.backends.stable_audio_3.checkpoint.errors import (
    StoreCode,
    StoreError,
    disk_error,
    not_installed,
)
from reapaint_engine.backends.stable_audio_3.checkpoint.manifest import (
    File,
    checksum,
    is_checksum,
    read_manifest,
)
from reapaint_engine.protocol import locks
from reapaint_engine.protocol.errors import ErrorCode, reason_of
from reapaint_engine.protocol.progress import OnBytes
from reapaint_engine.protocol.settings import PATH, Setting

MODELS_DIR = Setting(
    name="models_dir",
    default=None,
    kind=PATH,
    help="the folder of the models (default: the system's own)",
    has_flag=False,
)


class Origin(StrEnum):
    """Whose a checkpoint's folder is."""

    OWN = "reapaint"
    HUB_CACHE = "hugging face cache"


@dataclass(frozen=True, slots=True)
class Installed:
    """One checkpoint that is here."""

    name: str
    folder: Path
    origin: Origin
    revision: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Damage:
    """What is wrong with one file."""

    path: str
    problem: str


@dataclass(frozen=True, slots=True)
class Removed:
    """What a removal did; ``cached`` is the same model in the hub's cache, left alone."""

    freed_bytes: int
    cached: Installed | None


def models_folder() -> Path:
    """Return where checkpoints are kept."""
    if (chosen := MODELS_DIR.value()) is not None:
        return chosen.absolute()
    # Imported here: it costs more than all that needs no folder.
    import platformdirs

    return platformdirs.user_data_path("reapaint", appauthor=False) / "models"


def staging_folder(name: str) -> Path:
    """Return where a checkpoint's files gather until all are there."""
    return models_folder() / f".{name}.part"


def find_installed() -> tuple[Installed, ...]:
    """Return every checkpoint that is here, in the catalogue's order."""
    return tuple(found for model in MODELS if (found := find_one(model.name)) is not None)


def find_one(name: str) -> Installed | None:
    """Return a checkpoint if it is here: ours, or else the hub's cache's.

    Raises
    ------
    JobError
        ``unknown_model``: no checkpoint has this name.
    """
    model = find_model(name)
    return _find_own(model) or _find_cached(model)


def begun_bytes(name: str) -> int:
    """Return how much of a checkpoint an unfinished download has brought."""
    return sum(path.stat().st_size for path in staging_folder(name).rglob("*") if path.is_file())


def expected_files(installed: Installed) -> tuple[File, ...]:
    """Return what a checkpoint's folder has to hold, with checksums where they are known."""
    if installed.origin is Origin.OWN:
        manifest = read_manifest(installed.folder)
        return manifest.files if manifest is not None else ()
    return tuple(_cached_file(installed.folder, path) for path in _find_needed(installed.folder))


def verify(
    installed: Installed, on_progress: OnBytes = lambda _what, _done, _total: None
) -> tuple[Damage, ...]:
    """Compare every file with its checksum, without any network.

    Returns
    -------
    tuple of Damage
        Empty where all is well.
    """
    files = expected_files(installed)
    total, done = sum(file.size for file in files), 0
    damage = []
    for file in files:

        def count(more: int) -> None:
            nonlocal done
            done += more
            on_progress("check", done, total)

        problem = find_problem(installed.folder / file.path, file, count)
        if problem:
            damage.append(Damage(file.path, problem))
    return tuple(damage)


def find_problem(path: Path, file: File, on_bytes: Callable[[int], None]) -> str:
    """Return what is wrong with a file, or an empty text."""
    try:
        size = path.stat().st_size
        if size != file.size:
            return f"has {size} bytes and should have {file.size}"
        is_other = file.checksum and checksum(path, file.checksum, on_bytes) != file.checksum
    except FileNotFoundError:
        return "is missing"
    except OSError as error:
        return f"can't be read: {reason_of(error)}"
    return "differs from its checksum" if is_other else ""


def remove(name: str) -> Removed:
    """Remove a checkpoint of ours, and what an unfinished download of it left.

    Raises
    ------
    JobError
        ``unknown_model``.
    StoreError
        ``no_model`` where it is not here, ``model_not_ours`` where only the hub's cache has
        it, ``model_busy`` or ``output_not_writable`` where it can't be removed now.
    """
    model = find_model(name)
    folders = [folder for folder in _folders_of(model) if folder.is_dir()]
    cached = _find_cached(model)
    if not folders:
        raise _nothing_to_remove(model, cached)
    freed = 0
    with locked(model.name):
        for folder in folders:
            freed += _bytes_only_in(folder)
            _remove_folder(folder)
    return Removed(freed, cached)


@contextmanager
def locked(name: str) -> Iterator[None]:
    """Keep other processes from getting or removing the same checkpoint meanwhile.

    Raises
    ------
    StoreError
        ``model_busy``: one does; ``output_not_writable``: the folder can't be used.
    """
    folder = models_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with locks.hold(folder / f".{name}.lock", patience_s=0) as is_ours:
            if not is_ours:
                raise StoreError(
                    StoreCode.MODEL_BUSY,
                    f"Another process is just getting or removing {name}.",
                    hint="Wait until it is done, and try again.",
                )
            yield
    except OSError as error:
        raise disk_error(error, folder) from error


# Ours


def _find_own(model: Model) -> Installed | None:
    folder = models_folder() / model.name
    manifest = read_manifest(folder)
    if manifest is None or manifest.name != model.name:
        return None
    return Installed(model.name, folder, Origin.OWN, manifest.revision, manifest.size_bytes)


def _folders_of(model: Model) -> tuple[Path, ...]:
    """Return the checkpoint's folder, and what unfinished work may have left."""
    leftovers = (f".{model.name}.{ending}" for ending in ("part", "old", "removed"))
    return (models_folder() / model.name, *(models_folder() / name for name in leftovers))


def _bytes_only_in(folder: Path) -> int:
    """Return what removing a folder frees: a file that lies elsewhere as well stays there."""
    sizes = (path.lstat() for path in folder.rglob("*") if path.is_file())
    return sum(status.st_size for status in sizes if status.st_nlink == 1)


def _remove_folder(folder: Path) -> None:
    # Under another name first, so that no half of it can be taken for a checkpoint.
    doomed = folder.with_name(f".{folder.name.strip('.')}.removed")
    folder.rename(doomed)
    shutil.rmtree(doomed)


def _nothing_to_remove(model: Model, cached: Installed | None) -> StoreError:
    if cached is None:
        return StoreError.of(not_installed(model.name), hint="`reapaint models` shows what is.")
    return StoreError(
        ErrorCode.MODEL_NOT_OURS,
        f"{model.name} lies in the Hugging Face cache, which other programs use as well.",
        hint=f"Remove it there with `hf cache rm model/{model.repo_id}`.",
    )


# The hub's cache


def _find_cached(model: Model) -> Installed | None:
    for snapshot in hub.cached_snapshots(model.repo_id):
        paths = _find_needed(snapshot)
        if _is_complete(paths):
            size = sum((snapshot / path).stat().st_size for path in paths)
            return Installed(model.name, snapshot, Origin.HUB_CACHE, snapshot.name, size)
    return None


def _is_complete(paths: list[str]) -> bool:
    """Tell whether a folder has the files of every part; a cache may hold only some."""
    weights = {path.rpartition("/")[0] for path in paths if path.endswith(".safetensors")}
    if "model_config.json" in paths:
        has_weights = weights >= {"", "t5gemma-b-b-ul2"}
    else:
        has_weights = weights >= {"transformer", "vae", "text_encoder", "duration_embedder"}
    return has_weights and any(path.endswith("tokenizer.json") for path in paths)


def _find_needed(folder: Path) -> list[str]:
    return needed_files(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
    )


def _cached_file(snapshot: Path, path: str) -> File:
    """Return a cached file; the cache names what its links point to by their checksums."""
    place = snapshot / path
    name = place.readlink().name if place.is_symlink() else ""
    return File(path, place.stat().st_size, name if is_checksum(name) else "")
