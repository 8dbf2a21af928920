"""What can be written: formats by suffix, and what each can hold."""

import errno
import os
import stat
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from reapaint.errors import BridgeCode, BridgeError, InputError
from reapaint.files.formats import flac
from reapaint.files.formats.recording import AudioInfo
from reapaint.files.new_file import NewFile, exists_error, no_folder_error, write_error
from reapaint_engine.protocol.errors import THE_PATH, ErrorCode, reason_of


class Kind(StrEnum):
    """Families of files that are written in the same way."""

    WAV = "wav"
    AIFF = "aiff"
    FLAC = "flac"
    OGG = "ogg"
    MP3 = "mp3"
    OPUS = "opus"
    M4A = "m4a"
    AAC = "aac"
    ALAC = "alac"


@dataclass(frozen=True, slots=True)
class Target:
    """A format and its limits; no rates means any up to ``max_rate``."""

    kind: Kind
    name: str
    suffixes: tuple[str, ...]
    channels: tuple[int, ...]
    rates: tuple[int, ...] = ()
    max_rate: int = 0xFFFFFFFF
    is_lossy: bool = False

    def nearest_rate(self, sample_rate: int) -> int:
        """Return the rate that keeps most: the same, the next above, or the highest."""
        if not self.rates:
            return min(sample_rate, self.max_rate)
        above = [rate for rate in self.rates if rate >= sample_rate]
        return min(above) if above else max(self.rates)


_MP3_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
_AAC_RATES = (7350, *_MP3_RATES, 64000, 88200, 96000)
_UP_TO_8 = tuple(range(1, 9))
_UP_TO_5_1 = tuple(range(1, 7))
# FFmpeg's Opus encoder puts the channels of 5.0 and 6.1 in a wrong order (measured)
_OPUS_CHANNELS = (1, 2, 3, 4, 6)

TARGETS = (
    Target(Kind.WAV, "WAV", (".wav", ".wave", ".bwf"), tuple(range(1, 1025))),
    Target(Kind.FLAC, "FLAC", (".flac",), _UP_TO_8, max_rate=flac.MAX_SAMPLE_RATE),
    Target(Kind.AIFF, "AIFF", (".aiff", ".aif", ".aifc"), tuple(range(1, 1025))),
    Target(Kind.OGG, "Ogg Vorbis", (".ogg", ".oga"), _UP_TO_8, max_rate=192_000, is_lossy=True),
    Target(Kind.MP3, "MP3", (".mp3",), (1, 2), rates=_MP3_RATES, is_lossy=True),
    Target(Kind.OPUS, "Opus", (".opus",), _OPUS_CHANNELS, rates=(48_000,), is_lossy=True),
    Target(Kind.M4A, "M4A", (".m4a",), _UP_TO_5_1, rates=_AAC_RATES, is_lossy=True),
    Target(Kind.AAC, "AAC", (".aac",), _UP_TO_5_1, rates=_AAC_RATES, is_lossy=True),
)

_ALAC = Target(Kind.ALAC, "Apple Lossless", (".m4a",), _UP_TO_5_1, max_rate=384_000)
"""In place of AAC where the input is Apple Lossless: nobody wants to lose that."""


def is_rewrite(info: AudioInfo, target: Target) -> bool:
    """Whether the result can be the input's own bytes with only the patches' replaced."""
    if info.layout is None:
        return False
    return target.kind is (Kind.AIFF if info.container in ("aiff", "aifc") else Kind.WAV)


def choose_target(path: Path, info: AudioInfo) -> Target:
    """Return the format that a file's suffix asks for.

    Raises
    ------
    InputError
        ``unsupported_format`` when it is not known or can't hold the audio.
    """
    suffix = path.suffix.lower()
    target = next((each for each in TARGETS if suffix in each.suffixes), None)
    if target is None:
        known = " ".join(each.suffixes[0] for each in TARGETS)
        named = f"files ending in {suffix}" if suffix else "a file without an ending to its name"
        raise InputError(
            BridgeCode.UNSUPPORTED_FORMAT,
            f"This program can't write {named}.",
            hint=f"Give the output one of these endings: {known}.",
        )
    if target.kind is Kind.M4A and info.codec == "alac":
        target = _ALAC
    if info.channels not in target.channels and not is_rewrite(info, target):
        raise InputError(
            BridgeCode.UNSUPPORTED_FORMAT,
            f"{target.name} can't hold {info.channels} channels.",
            hint="Write a .wav file instead, which keeps all channels as they are.",
        )
    return target


def resolve_output(path: Path) -> Path:
    """Return where a file is really written: at the end of symbolic links.

    Raises
    ------
    InputError
        ``output_not_writable`` for a name that no file can have.
    """
    try:
        return Path(os.path.realpath(path))
    except (OSError, ValueError) as error:
        raise _not_writable(path, reason_of(error)) from error


def check_place(path: Path, *, force: bool, source: Path | None = None) -> None:
    """Refuse a place where no result can be put, by trying to put a file there.

    Parameters
    ----------
    path
        The file that is to be written.
    force
        Whether a file of that name is replaced.
    source
        A file that is never written, whatever it is called.

    Raises
    ------
    InputError
        ``output_exists`` or ``output_not_writable``.
    """
    path = resolve_output(path)
    try:
        status = path.stat()
    except FileNotFoundError:
        status = None
    except (OSError, ValueError) as error:
        raise _not_writable(path, reason_of(error)) from error
    if status is not None:
        if source is not None and os.path.samestat(status, source.stat()):
            raise InputError(
                ErrorCode.OUTPUT_NOT_WRITABLE,
                f"{THE_PATH} is the input file, which is never written.",
                hint="Give the output another name.",
                path=path,
            )
        if not stat.S_ISREG(status.st_mode):
            kind = "a folder" if stat.S_ISDIR(status.st_mode) else "no ordinary file"
            raise _not_writable(path, f"it is {kind}")
        if not force:
            raise exists_error(path)
    if not path.parent.is_dir():
        raise no_folder_error(path.parent)
    try:
        NewFile(path, force=force).discard()
    except BridgeError as error:
        raise InputError.of(error) from error


def _not_writable(path: Path, reason: str) -> BridgeError:
    error = write_error(path, OSError(errno.EINVAL, reason))
    return InputError.of(error, hint="Choose another name for the output.")
