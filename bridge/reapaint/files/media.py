"""The door to audio files: probe one, read a window, write it anew with patches put in."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from reapaint.files.formats import aiff, splicing, targets, wav
from reapaint.files.formats.conversion import clipping_warnings, convert
from reapaint.files.formats.decoder import not_readable
from reapaint.files.formats.recording import AudioInfo, changed, probe, read_frames
from reapaint.files.formats.samples import SampleFormat
from reapaint.files.formats.splicing import Patch
from reapaint.files.new_file import NewFile
from reapaint_engine.protocol.progress import OnFraction

__all__ = [
    "AudioInfo",
    "Patch",
    "SampleFormat",
    "check_output",
    "new_output",
    "probe",
    "read_frames",
    "splice_into",
    "write_spliced",
]


def check_output(out_path: str | os.PathLike[str], info: AudioInfo, *, force: bool) -> None:
    """Refuse an output that can't be written, before any work is done for it.

    Raises
    ------
    InputError
        ``unsupported_format``, ``output_exists`` or ``output_not_writable``.
    """
    path = Path(out_path)
    targets.choose_target(path, info)
    targets.check_place(path, force=force, source=info.path)


def write_spliced(
    info: AudioInfo,
    out_path: str | os.PathLike[str],
    patches: Sequence[Patch],
    *,
    force: bool,
    record: Mapping[str, object],
    on_progress: OnFraction = lambda _: None,
) -> list[str]:
    """Write a recording with patches in place of what was there, whole or not at all.

    As ``splice_into``, with a file of its own.

    Raises
    ------
    BridgeError
        ``disk_full``, and all that ``check_output`` and ``probe`` raise.
    """
    with new_output(info, out_path, force=force) as file:
        warnings = splice_into(
            file, info, out_path, patches, record=record, on_progress=on_progress
        )
        file.commit()
    return warnings


def new_output(info: AudioInfo, out_path: str | os.PathLike[str], *, force: bool) -> NewFile:
    """Return a file for a result, which appears in its place when it is committed.

    Raises
    ------
    BridgeError
        All that ``check_output`` raises, and ``disk_full``.
    """
    check_output(out_path, info, force=force)
    return NewFile(targets.resolve_output(Path(out_path)), force=force)


def splice_into(
    file: NewFile,
    info: AudioInfo,
    out_path: str | os.PathLike[str],
    patches: Sequence[Patch],
    *,
    record: Mapping[str, object],
    on_progress: OnFraction = lambda _: None,
) -> list[str]:
    """Write a recording into a new file, with patches in place of what was there.

    In the input's own format nothing else changes: WAV and AIFF keep every other byte
    of their samples and every chunk, FLAC every other sample and every tag.

    Parameters
    ----------
    file
        What ``new_output`` returned for ``out_path``; it is not committed.
    patches
        In frames of the input; they may go on past its end.
    record
        The request, stored in the file as JSON in place of an earlier one; empty for none.
    on_progress
        Called with how much is done, 0 to 1; what it raises ends the work.

    Returns
    -------
    list of str
        What a user should know of the result.

    Raises
    ------
    BridgeError
        ``disk_full``, and what ``probe`` raises of an input that was changed or is gone.
    """
    _check_unchanged(info)
    target = targets.choose_target(Path(out_path), info)
    frames = splicing.result_frames(info, patches)
    text = json.dumps(record, ensure_ascii=False, separators=(",", ":")) if record else ""
    if targets.is_rewrite(info, target):
        warnings = _rewrite(
            info,
            file,
            patches=patches,
            frames=frames,
            record=text.encode(),
            on_progress=on_progress,
        )
    else:
        warnings = convert(
            info, file, target, patches, frames=frames, record=text, on_progress=on_progress
        )
    _check_unchanged(info)
    return warnings


def _rewrite(
    info: AudioInfo,
    file: NewFile,
    *,
    patches: Sequence[Patch],
    frames: int,
    record: bytes,
    on_progress: OnFraction,
) -> list[str]:
    """Copy the input's bytes, but for the patches'."""
    layout = info.layout
    assert layout is not None
    family = aiff if info.container in ("aiff", "aifc") else wav
    plan = family.plan_rewrite(layout, frames, record)
    try:
        with info.path.open("rb") as source:
            splicing.copy_spliced(
                source,
                file,
                layout=layout,
                plan=plan,
                patches=patches,
                frames=frames,
                on_progress=on_progress,
            )
    except OSError as error:
        raise not_readable(info.path, error) from error
    if info.sample_format.is_float:
        return []
    return clipping_warnings(splicing.count_clipped(patches))


def _check_unchanged(info: AudioInfo) -> None:
    try:
        status = info.path.stat()
    except OSError as error:
        raise not_readable(info.path, error) from error
    if (status.st_size, status.st_mtime_ns) != (info.size, info.modified_ns):
        raise changed(info.path)
