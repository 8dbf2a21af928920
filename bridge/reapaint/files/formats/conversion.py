"""A recording written anew in another format, or in one that has to be encoded."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import av
import numpy as np
import soxr  # type: ignore[import-untyped]  # ships no type information

from reapaint.errors import WRITE_WAV_OR_FLAC, BridgeCode, BridgeError
from reapaint.files.formats import aiff, flac, wav
from reapaint.files.formats.decoder import has_picture
from reapaint.files.formats.encoders import (
    Encoder,
    FfmpegEncoder,
    PcmEncoder,
    VorbisEncoder,
    with_record,
)
from reapaint.files.formats.recording import AudioInfo
from reapaint.files.formats.samples import Encoding, SampleFormat, count_over_full_scale
from reapaint.files.formats.splicing import Patch, reblock, spliced_blocks
from reapaint.files.formats.tags import read_comments, read_tags
from reapaint.files.formats.targets import Kind, Target
from reapaint.files.new_file import NewFile
from reapaint_engine.protocol.arrays import Samples
from reapaint_engine.protocol.errors import reason_of
from reapaint_engine.protocol.progress import OnFraction

_LIBRARY_ERRORS = (av.FFmpegError, OSError, RuntimeError, ValueError)
"""What FFmpeg and JUCE raise when they can't encode; a full disk may be among it."""

_AAC_DELAY = 1024
"""Frames that FFmpeg's AAC encoder puts before the sound."""

_PICTURES_KEPT = {"flac": (Kind.FLAC,), "ogg": (Kind.OGG, Kind.OPUS)}
"""Where a cover goes along: there it is among the blocks or tags that are copied."""


@dataclass(frozen=True, slots=True)
class OutputFormat:
    """What the new file holds; ``sample_format`` is None where its codec is lossy."""

    target: Target
    sample_rate: int
    sample_format: SampleFormat | None
    warnings: tuple[str, ...]


def choose_output(info: AudioInfo, target: Target) -> OutputFormat:
    """Return rate and depth nearest to the input's, and what to say of any difference."""
    sample_rate = target.nearest_rate(info.sample_rate)
    sample_format = None if target.is_lossy else _nearest_format(info, target)
    warnings = []
    if sample_rate != info.sample_rate:
        warnings.append(
            f"{target.name} can't hold {info.sample_rate} Hz:"
            f" the whole file was resampled to {sample_rate} Hz."
        )
    if target.is_lossy:
        warnings.append(
            f"The whole file was encoded again, as {target.name} always is:"
            " what was not selected sounds the same, but is not the same to the last bit."
        )
    elif sample_format is not info.sample_format and not info.is_lossy:
        warnings.append(
            f"{target.name} can't hold {info.sample_format.value} samples:"
            f" they were written as {sample_format}."
        )
    if target.kind is Kind.AAC:
        warnings.append(
            f"An .aac file can't tell where its sound begins: {_AAC_DELAY} frames of the"
            " encoder's own stand before it. Write .m4a to keep the position."
        )
    return OutputFormat(target, sample_rate, sample_format, tuple(warnings))


def convert(
    info: AudioInfo,
    file: NewFile,
    target: Target,
    patches: Sequence[Patch],
    *,
    frames: int,
    record: str,
    on_progress: OnFraction,
) -> list[str]:
    """Encode a recording with patches put in; return what a user should know.

    Raises
    ------
    BridgeError
        The disk is full, the input can't be read any more, or an encoder fails.
    """
    output = choose_output(info, target)
    meter = _Meter(frames, on_progress)
    blocks = meter.watch(spliced_blocks(info, patches, frames))
    blocks = _resampled(blocks, info.channels, info.sample_rate, output.sample_rate)
    try:
        encoder = _open_encoder(info, file, output, frames, record)
        try:
            for block in reblock(blocks, encoder.block_frames):
                encoder.write(block)
            encoder.finish()
        finally:
            encoder.close()
    except _LIBRARY_ERRORS as error:
        file.check()
        raise BridgeError(
            BridgeCode.UNSUPPORTED_FORMAT,
            f"The {target.name} encoder failed: {reason_of(error)}.",
            hint=WRITE_WAV_OR_FLAC,
        ) from error
    warnings = [*output.warnings, *_picture_warnings(info, target)]
    is_clipping = output.sample_format is not None and not output.sample_format.is_float
    clipped = clipping_warnings(meter.over_full_scale) if is_clipping else []
    return [*warnings, *clipped]


def clipping_warnings(frames: int) -> list[str]:
    """Return what to say of frames that an integer format clipped."""
    if not frames:
        return []
    return [f"{frames} frames were louder than full scale and were clipped to it."]


def _picture_warnings(info: AudioInfo, target: Target) -> list[str]:
    """Return what to say of a cover that only its own kind of file can keep."""
    kept = _PICTURES_KEPT.get(info.container, ())
    if info.layout is not None or target.kind in kept or not has_picture(info.path):
        return []
    return [f"Only the sound was written: the picture in {info.path.name} was left out."]


class _Meter:
    """Watches blocks pass by: how far the work is, and what is too loud."""

    def __init__(self, frames: int, on_progress: OnFraction) -> None:
        self.over_full_scale = 0
        self._frames = frames
        self._on_progress = on_progress

    def watch(self, blocks: Iterator[Samples]) -> Iterator[Samples]:
        position = 0
        for block in blocks:
            self.over_full_scale += count_over_full_scale(block)
            yield block
            position += block.shape[1]
            self._on_progress(position / self._frames)


def _nearest_format(info: AudioInfo, target: Target) -> SampleFormat:
    """Return the format a lossless target takes."""
    wanted = info.sample_format
    if target.kind is Kind.WAV or (target.kind is Kind.AIFF and not info.is_lossy):
        return wanted
    if wanted.is_float:
        return SampleFormat.INT24
    if target.kind is Kind.AIFF:
        return wanted
    return SampleFormat(f"int{flac.written_bits(wanted.bits)}")


def _resampled(
    blocks: Iterator[Samples], channels: int, from_rate: int, to_rate: int
) -> Iterator[Samples]:
    """Yield the same sound at another rate, as it comes; soxr takes out its own delay."""
    if from_rate == to_rate:
        yield from blocks
        return
    stream = soxr.ResampleStream(from_rate, to_rate, channels, dtype="float32", quality="VHQ")
    for block in blocks:
        yield stream.resample_chunk(np.ascontiguousarray(block.T, dtype=np.float32)).T
    yield stream.resample_chunk(np.zeros((0, channels), np.float32), last=True).T


def _open_encoder(
    info: AudioInfo, file: NewFile, output: OutputFormat, frames: int, record: str
) -> Encoder:
    kind = output.target.kind
    if kind in (Kind.WAV, Kind.AIFF):
        return _open_pcm(info, file, output, frames, record)
    if kind is Kind.FLAC:
        return _open_flac(info, file, output, record)
    comments = read_comments(info).with_record(record.encode())
    if kind is Kind.OGG:
        return VorbisEncoder(
            file, sample_rate=output.sample_rate, channels=info.channels, comments=comments
        )
    return FfmpegEncoder(
        file,
        kind=kind,
        sample_rate=output.sample_rate,
        channels=info.channels,
        bits=output.sample_format.bits if output.sample_format else 0,
        tags={} if kind is Kind.OPUS else with_record(read_tags(info), kind, record),
        comments=comments,
    )


def _open_pcm(
    info: AudioInfo, file: NewFile, output: OutputFormat, frames: int, record: str
) -> PcmEncoder:
    assert output.sample_format is not None
    is_wav = output.target.kind is Kind.WAV
    encoding = Encoding(
        output.sample_format,
        big_endian=not is_wav,
        is_unsigned=is_wav and output.sample_format is SampleFormat.INT8,
    )
    plan_new = wav.plan_new if is_wav else aiff.plan_new
    plan = plan_new(
        encoding,
        sample_rate=output.sample_rate,
        channels=info.channels,
        frames=frames,
        record=record.encode(),
    )
    return PcmEncoder(file, encoding, plan)


def _open_flac(
    info: AudioInfo, file: NewFile, output: OutputFormat, record: str
) -> flac.FlacEncoder:
    assert output.sample_format is not None
    comments = read_comments(info).with_record(record.encode())
    metadata: tuple[tuple[int, bytes], ...] = ()
    if info.container == "flac":
        with info.path.open("rb") as source:
            metadata = flac.read_kept_metadata(source, flac.read_header(source, info.size))
    return flac.FlacEncoder(
        file,
        sample_rate=output.sample_rate,
        channels=info.channels,
        bits=output.sample_format.bits,
        metadata=flac.replace_comments(metadata, comments),
    )
