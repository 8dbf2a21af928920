"""safetensors files: what their headers promise, checked before any weight is read.

Only the standard library is needed for that, so a checkpoint can be looked at on a machine
without torch.
"""

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reapaint_engine.errors import JobError
from reapaint_engine.protocol.errors import ErrorCode, reason_of

Shape = tuple[int, ...]

DOWNLOAD_AGAIN = "Download the model again."

PICKLE_SUFFIXES = (".bin", ".ckpt", ".pt", ".pth", ".pkl", ".pickle")
"""Formats that run code when they are opened; they never are."""

MAX_HEADER_BYTES = 100_000_000
"""The format's own limit."""

_LENGTH_BYTES = 8
_HASHED_PAGES = 64
_PAGE_BYTES = 4096
_DTYPE_BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E4M3": 8, "F8_E5M2": 8, "I16": 16, "U16": 16, "F16": 16,
    "BF16": 16, "I32": 32, "U32": 32, "F32": 32, "I64": 64, "U64": 64, "F64": 64,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """Where one tensor is, and what it is."""

    path: Path
    key: str
    dtype: str
    """As the format names it: ``F32``, ``BF16``, ..."""
    shape: Shape
    size: int
    """In bytes."""


@dataclass(frozen=True, slots=True)
class TensorIndex:
    """The tensors of one file, or of the shards of one model."""

    files: tuple[Path, ...]
    tensors: Mapping[str, StoredTensor]
    metadata: Mapping[str, str]

    def shape(self, key: str) -> Shape:
        """Return a tensor's shape.

        Raises
        ------
        JobError
            ``model_broken``: there is no such tensor.
        """
        if key not in self.tensors:
            raise broken(f"{self.files[0].name} holds no tensor {key}.")
        return self.tensors[key].shape


def broken(message: str, hint: str = DOWNLOAD_AGAIN) -> JobError:
    """Return the error for a checkpoint that can't be used as it is."""
    return JobError(ErrorCode.MODEL_BROKEN, message, hint=hint)


def read_index(folder: Path, stem: str) -> TensorIndex:
    """Read the headers of ``stem.safetensors``, or of the shards that its index names.

    Raises
    ------
    JobError
        ``model_broken``: missing, cut short, pickled or no safetensors file.
    """
    shards = folder / f"{stem}.safetensors.index.json"
    if not shards.is_file():
        return read_file(folder / f"{stem}.safetensors")
    names = set(read_json(shards).get("weight_map", {}).values())
    if not names or any(Path(name).name != name for name in names):
        raise broken(f"{shards.name} names no shards beside it.")
    indices = [read_file(folder / name) for name in sorted(names)]
    return TensorIndex(
        tuple(path for index in indices for path in index.files),
        {key: stored for index in indices for key, stored in index.tensors.items()},
        indices[0].metadata,
    )


def read_file(path: Path) -> TensorIndex:
    """Read one file's header and check that the file is as long as it says.

    Raises
    ------
    JobError
        ``model_broken``: missing, cut short, pickled or no safetensors file.
    """
    refuse_pickle(path)
    if not path.is_file():
        raise _missing(path)
    size = path.stat().st_size
    header = read_header(path)
    try:
        entries = json.loads(header)
        metadata = dict(entries.pop("__metadata__", {}))
        begin = _LENGTH_BYTES + len(header)
        tensors = {key: _stored(path, key, entry) for key, entry in entries.items()}
        end = begin + max((entry["data_offsets"][1] for entry in entries.values()), default=0)
    except (ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
        raise broken(f"{path.name} is no safetensors file: its header can't be read.") from error
    if end != size:
        raise broken(f"{path.name} is cut short or damaged: it has {size} of {end} bytes.")
    return TensorIndex((path,), tensors, metadata)


def read_header(path: Path) -> bytes:
    """Return the JSON header of a safetensors file as it stands there.

    Raises
    ------
    JobError
        ``model_broken``: the file can't be read, or begins with something else.
    """
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
            header = file.read(length) if 2 <= length <= MAX_HEADER_BYTES else b""
    except OSError as error:
        raise broken(f"{path.name} can't be read: {reason_of(error)}.") from error
    if not header.startswith(b"{"):
        raise broken(f"{path.name} is no safetensors file.")
    if len(header) < length:
        raise broken(f"{path.name} is cut short: it ends within its header.")
    return header


def read_json(path: Path) -> dict[str, Any]:
    """Return the object that a JSON file holds.

    Raises
    ------
    JobError
        ``model_broken``: missing, not readable, or something else.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise _missing(path) from error
    except (OSError, ValueError) as error:
        raise broken(f"{path.name} can't be read: {reason_of(error)}.") from error
    if not isinstance(content, dict):
        raise broken(f"{path.name} holds no settings.")
    return content


def refuse_pickle(path: Path) -> None:
    """Refuse a file in a format that can run code.

    Raises
    ------
    JobError
        ``model_broken``: it is pickled.
    """
    if path.suffix.lower() in PICKLE_SUFFIXES:
        raise broken(
            f"{path.name} is pickled, which can run code; only safetensors files are opened.",
            hint="Convert it to safetensors where you trust it, or get it in that format.",
        )


def fingerprint(paths: Iterable[Path], extra: bytes = b"") -> str:
    """Return 16 hexadecimal digits that tell these files from others.

    Notes
    -----
    A hash of each file's name, size and header and of 64 pages spread over it. Hashing all
    of 9 GB would take half a minute; size and header alone are the same for a base model,
    what was distilled from it and every fine-tune.
    """
    digest = hashlib.blake2b(extra, digest_size=8)
    for path in paths:
        size = path.stat().st_size
        digest.update(path.name.encode() + size.to_bytes(8, "little") + read_header(path))
        with path.open("rb") as file:
            for page in range(_HASHED_PAGES):
                file.seek(size * page // _HASHED_PAGES)
                digest.update(file.read(_PAGE_BYTES))
    return digest.hexdigest()


def _stored(path: Path, key: str, entry: Any) -> StoredTensor:
    first, last = entry["data_offsets"]
    shape = tuple(int(length) for length in entry["shape"])
    stored = StoredTensor(path, key, entry["dtype"], shape, last - first)
    bits = _DTYPE_BITS.get(stored.dtype, 8 * stored.size)
    if first < 0 or (stored.dtype in _DTYPE_BITS and math.prod(shape) * bits != 8 * stored.size):
        raise broken(f"{path.name} is damaged: {key} {list(shape)} takes {stored.size} bytes.")
    return stored


def _missing(path: Path) -> JobError:
    pickles = sorted(p.name for p in _siblings(path) if p.suffix.lower() in PICKLE_SUFFIXES)
    if pickles and path.suffix == ".safetensors":
        return broken(
            f"{path.parent.name} has {pickles[0]} but no {path.name}; "
            "pickled weights can run code and are never opened.",
            hint="Download the model's safetensors files.",
        )
    return broken(f"{path.parent.name} has no {path.name}.")


def _siblings(path: Path) -> list[Path]:
    return list(path.parent.iterdir()) if path.parent.is_dir() else []
