"""A checkpoint on disk: what it is, told from its configuration and its headers alone.

Nothing here imports torch or reads weights, so a folder of models is listed in no time.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from reapaint_engine.backends.stable_audio_3.checkpoint.diffusers_config import (
    read_diffusers_settings,
)
from reapaint_engine.backends.stable_audio_3.checkpoint.layouts import (
    Layout,
    detect_layout,
    network_sources,
    text_folder,
    text_source,
    tokenizer_folder,
)
from reapaint_engine.backends.stable_audio_3.checkpoint.original_config import (
    read_original_settings,
)
from reapaint_engine.backends.stable_audio_3.checkpoint.settings import ModelSettings
from reapaint_engine.backends.stable_audio_3.checkpoint.tensor_files import (
    broken,
    fingerprint,
    read_json,
)
from reapaint_engine.errors import JobError
from reapaint_engine.protocol.errors import THE_PATH, ErrorCode

_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A model's files, looked at but not loaded."""

    folder: Path
    layout: Layout
    settings: ModelSettings
    revision: str
    """The hub's commit where it is known, else a short hash; see ``read_revision``."""


def open_checkpoint(folder: Path) -> Checkpoint:
    """Look at a checkpoint in either layout.

    Raises
    ------
    JobError
        ``no_model``: there is no such folder. ``model_broken``: something is missing,
        damaged, pickled or of another model; the message says what.
    """
    if not folder.is_dir():
        raise JobError(
            ErrorCode.NO_MODEL,
            f"There is no model in {THE_PATH}.",
            hint="Name the folder that holds the model's files.",
            path=folder,
        )
    layout = detect_layout(folder)
    read = read_original_settings if layout is Layout.ORIGINAL else read_diffusers_settings
    settings = read(folder)
    _check_text(folder, layout, settings.transformer.cond_token_dim)
    return Checkpoint(folder, layout, settings, read_revision(folder, layout))


def read_revision(folder: Path, layout: Layout) -> str:
    """Return what tells these weights from all others.

    Returns
    -------
    str
        The commit, where the folder is a snapshot in the hub's cache or was downloaded from
        the hub as it is; else the ``fingerprint`` of the weights and the configuration.
    """
    snapshot = folder.absolute()
    if snapshot.parent.name == "snapshots" and _COMMIT.fullmatch(snapshot.name):
        return snapshot.name
    files = sorted(_weights(folder, layout))
    commits = {_downloaded_commit(folder, path) for path in files}
    if len(commits) == 1 and (commit := commits.pop()):
        return commit
    configs = sorted(folder.glob("model_*.json"))
    return fingerprint(files, extra=b"".join(path.read_bytes() for path in configs))


def _weights(folder: Path, layout: Layout) -> Iterator[Path]:
    networks = network_sources(folder, layout, codec_levels=1).values()
    indices = [
        *(source.index for source in networks),
        text_source(text_folder(folder, layout)).index,
    ]
    yield from {path for index in indices for path in index.files}


def _downloaded_commit(folder: Path, path: Path) -> str:
    """Return the commit that the hub's client noted when it downloaded a file, if it holds.

    The note's lines are the commit, the file's tag and the time; a file that was written
    later is no longer what was downloaded.
    """
    name = f"{path.relative_to(folder).as_posix()}.metadata"
    note = folder / ".cache" / "huggingface" / "download" / name
    try:
        commit, _, written = note.read_text(encoding="utf-8").split()[:3]
        is_newer = path.stat().st_mtime > float(written) + 1
    except (OSError, ValueError):
        return ""
    return commit if _COMMIT.fullmatch(commit) and not is_newer else ""


def _check_text(folder: Path, layout: Layout, token_dim: int) -> None:
    """Check that the text encoder is there and speaks to this transformer."""
    text = text_folder(folder, layout)
    config = read_json(text / "config.json")
    encoder = config.get("encoder", config)
    if config.get("model_type") != "t5gemma" or not isinstance(encoder, dict):
        raise broken(f"{text.name} holds a {config.get('model_type')}, not a T5Gemma encoder.")
    embedded = text_source(text).shape("encoder.embed_tokens.weight")
    stated = [encoder.get("vocab_size"), encoder.get("hidden_size")]
    if list(embedded) != stated:
        raise broken(
            f"{text.name}: config.json says its tokens are embedded as {stated}, but "
            f"encoder.embed_tokens.weight is {list(embedded)}."
        )
    if embedded[1] != token_dim:
        raise broken(
            f"{text.name} embeds text in {embedded[1]} dimensions, but the transformer hears "
            f"{token_dim}: they belong to different models."
        )
    tokenizer = tokenizer_folder(folder, layout)
    if not (tokenizer / "tokenizer.json").is_file():
        raise broken(f"{tokenizer.name} has no tokenizer.json.")
