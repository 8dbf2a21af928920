"""Reading what is not plain samples, through FFmpeg."""

import contextlib
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from av.codec.context import Flags2
from av.container import InputContainer

from reapaint.errors import BridgeCode, InputError
from reapaint.files.formats import ogg
from reapaint.files.formats.chunks import CHOOSE_SOUND, check_format, damaged
from reapaint.files.formats.samples import SampleFormat
from reapaint_engine.protocol.arrays import Samples
from reapaint_engine.protocol.errors import THE_PATH, reason_of

_DEMUXERS = (
    "aac,ac3,aiff,amr,ape,asf,au,avi,caf,dsf,eac3,flac,flv,iff,matroska,mov,mp3,mpc,mpc8,mpeg,"
    "mpegts,ogg,rm,tak,tta,voc,w64,wav,webm,wv"
)
"""Formats of single files with sound. FFmpeg's others open further files, ask the
network, or take any text or picture for theirs."""

Watch = Callable[[int, int, int], None]
"""Told how many frames there are at least, their rate and their channels; what it raises ends
the work, so that a small file that unpacks to days of sound takes no days."""

_SCALES = {"u8": 2.0**-7, "s16": 2.0**-15, "s32": 2.0**-31}
_FORMATS = {
    "u8": SampleFormat.INT8,
    "s16": SampleFormat.INT16,
    "s32": SampleFormat.INT32,
    "flt": SampleFormat.FLOAT32,
    "dbl": SampleFormat.FLOAT64,
}
CONVERT_IT = "Convert it to WAV or FLAC, and try that."
READ_BYTES = 1 << 20
"""At most of a file at one time; FFmpeg reads 32 KiB unless a header promises more."""
MAX_PLANES = 8
"""As many channels as PyAV can't tell from too many when each has its own plane."""

_LOSSLESS = 4
"""FFmpeg's flag of codecs that can be lossless; lossy ones may carry it as well."""
_LOSSY = 2
_ALAC_DEPTH_AT = 17
"""Where the depth stands in the header of Apple Lossless."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """What a file turned out to hold; ``frames`` were counted, not believed."""

    container: str
    codec: str
    sample_rate: int
    channels: int
    frames: int
    sample_format: SampleFormat
    is_lossy: bool
    warnings: tuple[str, ...]


def watch_nothing(_frames: int, _sample_rate: int, _channels: int) -> None:
    """Let any length pass."""


def survey(path: Path, watch: Watch = watch_nothing) -> Decoded:
    """Decode a file from end to end and say what is in it.

    Lengths in headers of compressed files are estimates too often, so frames are
    counted; ``watch`` sees them grow.

    Raises
    ------
    InputError
        ``unreadable_audio``, ``unsupported_audio`` or ``empty_audio``.
    """
    with _open(path) as (container, stream):
        warnings: list[str] = []
        first: av.AudioFrame | None = None
        frames = 0
        for frame in _decode(container, stream, warnings):
            first = first or frame
            frames += frame.samples
            watch(frames, first.sample_rate, first.layout.nb_channels)
        if first is None:
            raise InputError(
                BridgeCode.EMPTY_AUDIO,
                "The file holds no audio that can be decoded.",
                hint=CHOOSE_SOUND,
            )
        codec = stream.codec_context.codec
        if len(container.streams.audio) > 1:
            warnings.append("The file has several audio tracks; the first is used.")
        check_format(first.sample_rate, first.layout.nb_channels)
        frames -= _padding_at_end(container, stream, first, frames)
        frames = min(frames, _short_vorbis_frames(path) or frames)
        return Decoded(
            container=container.format.name.split(",")[0],
            codec=codec.name,
            sample_rate=first.sample_rate,
            channels=first.layout.nb_channels,
            frames=frames,
            sample_format=_sample_format(first, stream),
            is_lossy=bool(codec.properties & _LOSSY) and not codec.properties & _LOSSLESS,
            warnings=tuple(warnings),
        )


def decode_blocks(path: Path, sample_format: SampleFormat, *, start: int = 0) -> Iterator[Samples]:
    """Yield the audio from a frame on, in blocks as the codec makes them.

    Only FLAC is entered in its middle. Others are decoded from their beginning: after
    a jump, MP3 and AAC are not exact to the sample, and Opus not even the same.

    Yields
    ------
    ndarray
        Shape (channels, frames), float32 or float64: the format's ``exact_dtype``.

    Raises
    ------
    InputError
        ``unreadable_audio``.
    """
    position = _find_entry(path, start) if start else 0
    with _open(path) as (container, stream):
        if position:
            container.seek(start, stream=stream)
        for frame in _decode(container, stream, []):
            block = _samples(frame, sample_format)
            if position + block.shape[1] > start:
                yield block[:, max(start - position, 0) :]
            position += block.shape[1]


def last_frame(path: Path, near: int, watch: Watch = watch_nothing) -> int:
    """Return where a FLAC file's audio ends, 0 if it can't be entered near a frame."""
    end = 0
    with _open(path) as (container, stream), contextlib.suppress(av.FFmpegError):
        container.seek(max(near, 0), stream=stream)
        for frame in container.decode(stream):
            if frame.pts is None:
                return 0
            end = frame.pts + frame.samples
            watch(end, frame.sample_rate, frame.layout.nb_channels)
    return end


def read_metadata(path: Path) -> dict[str, str]:
    """Return the tags of any file, by FFmpeg's names."""
    try:
        with _open(path) as (container, stream):
            return {**stream.metadata, **container.metadata}
    except InputError:
        return {}


def has_picture(path: Path) -> bool:
    """Whether there is a cover picture or a film beside the sound."""
    with _open(path) as (container, _):
        return len(container.streams.video) > 0


def _find_entry(path: Path, start: int) -> int:
    """Return the position a FLAC file is entered at for a frame; 0 if it has to be the beginning.

    FFmpeg can't jump in a file of one or two blocks.
    """
    with _open(path) as (container, stream), contextlib.suppress(av.FFmpegError):
        if container.format.name == stream.codec_context.name == "flac":
            container.seek(start, stream=stream)
            for frame in container.decode(stream):
                return frame.pts if frame.pts is not None and frame.pts <= start else 0
    return 0


class _BoundedReads(io.FileIO):
    """A file that takes no header's word for how much there is to read.

    FFmpeg asks for as much as a tag promises, and Python would make room for all of it.
    """

    def read(self, size: int | None = -1, /) -> bytes:
        """Return some of what was asked for; whoever wants more asks again."""
        most = READ_BYTES if size is None or size < 0 else min(size, READ_BYTES)
        return super().read(most) or b""


@contextlib.contextmanager
def _open(path: Path) -> Iterator[tuple[InputContainer, av.AudioStream]]:
    """Open a file's first audio track, read-only."""
    try:
        with _BoundedReads(path) as source:
            options = {"format_whitelist": _DEMUXERS, "protocol_whitelist": "file"}
            with av.open(source, options=options, metadata_errors="replace") as container:
                assert isinstance(container, InputContainer)
                if not container.streams.audio:
                    raise InputError(
                        BridgeCode.UNSUPPORTED_AUDIO,
                        f"{THE_PATH} has no audio track.",
                        hint="Choose a file with sound in it.",
                        path=path,
                    )
                stream = container.streams.audio[0]
                if stream.codec_context is None:
                    raise InputError(
                        BridgeCode.UNSUPPORTED_AUDIO,
                        f"{THE_PATH} uses a codec that this program does not know.",
                        hint=CONVERT_IT,
                        path=path,
                    )
                if _short_vorbis_frames(path):
                    stream.codec_context.flags2 |= Flags2.skip_manual
                yield container, stream
    except (av.FFmpegError, UnicodeError, ValueError, EOFError) as error:
        raise unreadable(path) from error
    except OSError as error:
        raise not_readable(path, error) from error


def _short_vorbis_frames(path: Path) -> int | None:
    """Return how long an Ogg Vorbis file is whose sound lies on one page.

    FFmpeg takes half a block too much from the end of such a file. So it is told to
    trim nothing: what its first packet gives is left out here, and the length is the
    position that the page tells.
    """
    with path.open("rb") as file:
        return ogg.single_page_frames(file)


def unreadable(path: Path) -> InputError:
    """Return the error for a file that no decoder understands."""
    return InputError(
        BridgeCode.UNREADABLE_AUDIO,
        f"{THE_PATH} is not a recording that this program can read, or it is damaged.",
        hint=CONVERT_IT,
        path=path,
    )


def not_readable(path: Path, error: OSError) -> InputError:
    """Return the error for a file that the system does not give."""
    return InputError(
        BridgeCode.FILE_NOT_READABLE,
        f"{THE_PATH} can't be read: {reason_of(error)}.",
        hint="Check the file's permissions and the disk.",
        path=path,
    )


def _decode(
    container: InputContainer, stream: av.AudioStream, warnings: list[str]
) -> Iterator[av.AudioFrame]:
    """Yield frames of one rate and channel count; leave out packets that are damaged.

    Something unreadable at the very end is a recording that was cut short. In the
    middle of a lossless file it would move all that follows, so that is refused.
    """
    first: av.AudioFrame | None = None
    packer: av.AudioResampler | None = None
    damaged_packets = 0
    is_exact = stream.codec_context.name == "flac"
    is_untrimmed = bool(stream.codec_context.flags2 & Flags2.skip_manual)
    for packet in container.demux(stream):
        try:
            decoded = packet.decode()
        except av.FFmpegError:
            damaged_packets += 1
            continue
        for frame in decoded:
            assert isinstance(frame, av.AudioFrame)
            first = first or frame
            if (frame.sample_rate, frame.layout.nb_channels, frame.format.name) != (
                first.sample_rate,
                first.layout.nb_channels,
                first.format.name,
            ):
                raise damaged("its rate or channel count changes on the way")
            if damaged_packets and is_exact:
                raise damaged("a stretch of it can't be decoded")
            packer = packer or _packer(frame)
            if frame.samples and not (is_untrimmed and frame is first):
                yield from packer.resample(frame) if packer else (frame,)
    if damaged_packets:
        warnings.append(
            f"{damaged_packets} pieces of the file are damaged and were left out when reading it."
        )


def _packer(frame: av.AudioFrame) -> av.AudioResampler | None:
    """Return what interleaves frames of many channels, None where that is not needed.

    PyAV reads beyond the list of planes where a frame has eight or more.
    """
    if not frame.format.is_planar or frame.layout.nb_channels < MAX_PLANES:
        return None
    packed = frame.format.packed.name
    return av.AudioResampler(format=packed, layout=frame.layout, rate=frame.sample_rate)


def _samples(frame: av.AudioFrame, sample_format: SampleFormat) -> Samples:
    channels = frame.layout.nb_channels
    raw = frame.to_ndarray()
    if not frame.format.is_planar:
        raw = raw.reshape(-1, channels).T
    packed = frame.format.packed.name
    audio = np.ascontiguousarray(raw.astype(sample_format.exact_dtype))
    if packed == "u8":
        np.subtract(audio, 128.0, out=audio)
    np.multiply(audio, _SCALES.get(packed, 1.0), out=audio)
    return audio


def _sample_format(frame: av.AudioFrame, stream: av.AudioStream) -> SampleFormat:
    """Return what holds every value that the codec gives."""
    packed = frame.format.packed.name
    if packed not in _FORMATS:
        raise InputError(
            BridgeCode.UNSUPPORTED_AUDIO,
            f"The file's codec gives samples of a kind ({packed}) that is not supported.",
            hint=CONVERT_IT,
        )
    if packed == "s32" and _depth(stream) == 24:
        return SampleFormat.INT24
    return _FORMATS[packed]


def _depth(stream: av.AudioStream) -> int:
    codec, header = stream.codec_context.name, stream.codec_context.extradata or b""
    if codec == "alac" and len(header) > _ALAC_DEPTH_AT:
        return header[_ALAC_DEPTH_AT]
    return 24 if "s24" in codec else 32


def _padding_at_end(
    container: InputContainer, stream: av.AudioStream, first: av.AudioFrame, frames: int
) -> int:
    """Return how many decoded frames an MP4 file says are not part of the sound.

    Its codec fills the last block up; FFmpeg skips the filling at the beginning only.
    """
    if not container.format.name.startswith("mov") or not stream.duration or not stream.time_base:
        return 0
    said = stream.duration * stream.time_base * first.sample_rate
    surplus = frames - said
    is_filling = said.denominator == 1 and 0 < surplus < 2 * max(first.samples, 1024)
    return int(surplus) if is_filling else 0
