"""One take of one span as a WAV file: handle, patch, handle.

The handles are the source's own samples to the last bit, so that an item's edges can
be dragged and a resampler at the splice meets the neighbours it met before.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from reapaint.errors import BridgeCode, BridgeError, InputError
from reapaint.files.formats import broadcast, wav
from reapaint.files.formats.broadcast import Origin
from reapaint.files.formats.samples import count_over_full_scale
from reapaint.files.formats.splicing import Patch, put_in
from reapaint.files.new_file import NewFile, write_error
from reapaint.reaper.sources import JobAudio
from reapaint.reaper.take_names import alternatives
from reapaint_engine.protocol.arrays import Audio, Samples
from reapaint_engine.protocol.errors import THE_PATH, ErrorCode, reason_of
from reapaint_engine.protocol.spans import Span, seconds_to_frames

RESULTS_FOLDER = "ReaPaint"
"""Under the project's media folder, so that one look tells what was generated."""


@dataclass(frozen=True, slots=True)
class TakeFile:
    """A file that was written; ``start`` is its first frame's place in the source."""

    path: Path
    start: int
    frames: int
    clipped_frames: int


def results_folder(media_folder: str) -> Path:
    """Return the folder for a project's results, once it is known that it can be written.

    It is made when there is a result: a job that fails leaves nothing behind.

    Raises
    ------
    InputError
        ``output_not_writable``.
    """
    folder = Path(media_folder)
    if not folder.is_absolute():
        raise _no_place(media_folder, "it is no whole path on this machine")
    folder = folder / RESULTS_FOLDER
    try:
        nearest = next(each for each in (folder, *folder.parents) if each.exists())
        NewFile(nearest / "test.wav", force=False).discard()
    except BridgeError as error:
        raise _no_place(media_folder, error.message.rstrip(".")) from error
    except (OSError, ValueError) as error:
        raise _no_place(media_folder, reason_of(error)) from error
    return folder


def make_folder(folder: Path) -> None:
    """Make a folder for results, where there is none.

    Raises
    ------
    BridgeError
        ``output_not_writable`` or ``disk_full``.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_error(folder, error) from error


def write_take(
    audio: JobAudio,
    span: Span,
    patch: Audio,
    wanted: Path,
    *,
    handles_s: float,
    origin: Origin,
) -> TakeFile:
    """Write a patch with its handles under a name that no file has yet.

    Parameters
    ----------
    span
        The patch's place, in frames of the source; it may reach past what is heard.
    patch
        float32 of shape (channels, span.length), as the engine gave it.
    wanted
        The first choice of a name.
    handles_s
        How much of the source to keep on each side, where it has so much.

    Raises
    ------
    BridgeError
        The disk is full or the folder can't be written, or the source can't be read.
    """
    window = _with_handles(audio, span, handles_s)
    before, after = _frame(audio, window, origin)
    for path in alternatives(_not_taken(wanted)):
        with NewFile(path, force=False) as file:
            file.write(before)
            for data in _content(audio, window, span, patch):
                file.write(data)
            file.write(after)
            if _commit(file):
                is_clipping = not audio.encoding.sample_format.is_float
                clipped = count_over_full_scale(patch) if is_clipping else 0
                return TakeFile(path, window.start, window.length, clipped)
    raise AssertionError("names do not run out")


def _no_place(media_folder: str, reason: str) -> InputError:
    return InputError(
        ErrorCode.OUTPUT_NOT_WRITABLE,
        f"The project's media folder, {THE_PATH}, can't be written: {reason}.",
        hint="Save the project somewhere else, or choose another media folder in its settings.",
        path=media_folder,
    )


def _with_handles(audio: JobAudio, span: Span, handles_s: float) -> Span:
    """Return what goes into the file.

    Past the end of what is heard nothing goes on after the span: what the source may
    hide there is no neighbour of it.
    """
    handle = seconds_to_frames(handles_s, audio.sample_rate)
    end = span.end if span.end > audio.heard.end else min(span.end + handle, audio.frames)
    return Span(max(span.start - handle, 0), end)


def _not_taken(wanted: Path) -> Path:
    """Return the first name that is free now, before anything is written for it."""
    return next(path for path in alternatives(wanted) if not os.path.lexists(path))


def _commit(file: NewFile) -> bool:
    """Put a file in place, or say that somebody took its name meanwhile."""
    try:
        file.commit()
    except InputError as error:
        if error.code != BridgeCode.OUTPUT_EXISTS:
            raise
        return False
    return True


def _frame(audio: JobAudio, window: Span, origin: Origin) -> tuple[bytes, bytes]:
    """Return the bytes before and after the samples."""
    known = audio.time_reference
    reference = known + window.start if known else 0
    described = broadcast.bext(origin, sample_rate=audio.sample_rate, time_reference=reference)
    plan = wav.plan_new(
        audio.encoding,
        sample_rate=audio.sample_rate,
        channels=audio.channels,
        frames=window.length,
        record=origin.record.encode(),
        chunks=((broadcast.BEXT_CHUNK, described), (broadcast.IXML_CHUNK, broadcast.ixml(origin))),
    )
    before, after = (
        b"".join(piece for piece in pieces if isinstance(piece, bytes))
        for pieces in (plan.before, plan.after)
    )
    return before, after


def _content(audio: JobAudio, window: Span, span: Span, patch: Audio) -> Iterator[bytes]:
    """Yield the file's samples: the source's own bytes on both sides of the new ones."""
    yield from audio.stored(window.start, span.start)
    for block in _spliced(audio, span, patch):
        yield audio.encoding.encode(block)
    if span.end < window.end:
        yield from audio.stored(span.end, window.end)


def _spliced(audio: JobAudio, span: Span, patch: Audio) -> Iterator[Samples]:
    """Yield the patch over the source; where both are equal, the source is more exact."""
    position = span.start
    for source in audio.blocks(span.start, min(span.end, audio.frames)):
        block = source.copy()
        put_in(block, position, (Patch(span.start, patch),))
        yield block
        position += block.shape[1]
    if position < span.end:
        yield patch[:, position - span.start :]
