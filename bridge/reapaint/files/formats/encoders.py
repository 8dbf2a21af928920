"""Encoders, each a way to write one kind of file block after block."""

import contextlib
from typing import BinaryIO, ClassVar, Protocol, cast

import av
import numpy as np
import numpy.typing as npt

from reapaint.files.formats.chunks import Plan
from reapaint.files.formats.flac import LAYOUTS
from reapaint.files.formats.ogg import Retagger
from reapaint.files.formats.samples import Encoding, to_integers
from reapaint.files.formats.splicing import write_pieces
from reapaint.files.formats.targets import Kind
from reapaint.files.formats.vorbis_comments import RECORD_KEY, Comments
from reapaint.files.new_file import ForeignSink, NewFile, Sink
from reapaint_engine.protocol.arrays import Audio, Samples

DEFAULT_BLOCK_FRAMES = 1 << 15

BITS_PER_CHANNEL = 128_000
"""Bits per second of AAC and Opus."""

MOST_OPUS_BITS = 510_000
AAC_BITS_PER_FRAME = 5
"""Per channel; the format ends at 6, its bit reservoir full."""


class Encoder(Protocol):
    """Takes blocks of ``block_frames`` frames, of which only the last may be shorter."""

    block_frames: int

    def write(self, audio: Samples) -> None:
        """Encode a block of ``audio``, (channels, frames), float32 or float64, full scale 1."""

    def finish(self) -> None:
        """Write what is left."""

    def close(self) -> None:
        """Let go of the library's objects, finished or not; harmless when repeated."""


class PcmEncoder:
    """Plain samples, as they stand in WAV and AIFF."""

    block_frames = DEFAULT_BLOCK_FRAMES

    def __init__(self, file: NewFile, encoding: Encoding, plan: Plan) -> None:
        self._file = file
        self._encoding = encoding
        self._plan = plan
        write_pieces(None, file, plan.before)

    def write(self, audio: Samples) -> None:
        """Write a block of ``audio``, (channels, frames), float32 or float64, full scale 1."""
        self._file.write(self._encoding.encode(audio))

    def finish(self) -> None:
        """Write what stands after the samples."""
        write_pieces(None, self._file, self._plan.after)

    def close(self) -> None:
        """Do nothing: there is nothing to let go of."""


class VorbisEncoder:
    """Ogg Vorbis by pedalboard: FFmpeg's own encoder of it is experimental and poor."""

    block_frames = DEFAULT_BLOCK_FRAMES

    QUALITY = "320 kbps"
    """For a stereo signal; Vorbis takes less where less is needed."""

    # Vorbis orders channels from left to right; pedalboard passes them on as they come
    _ORDER: ClassVar = {
        3: (0, 2, 1),
        5: (0, 2, 1, 3, 4),
        6: (0, 2, 1, 4, 5, 3),
        7: (0, 2, 1, 5, 6, 4, 3),
        8: (0, 2, 1, 6, 7, 4, 5, 3),
    }

    def __init__(self, file: Sink, *, sample_rate: int, channels: int, comments: Comments) -> None:
        from pedalboard.io import AudioFile

        self._order = list(self._ORDER.get(channels, range(channels)))
        self._sink = ForeignSink(Retagger(file, comments))
        self._writer = AudioFile(
            cast("BinaryIO", self._sink),
            "w",
            samplerate=sample_rate,
            num_channels=channels,
            quality=self.QUALITY,
            format="ogg",
        )

    def write(self, audio: Samples) -> None:
        """Encode a block of ``audio``, (channels, frames), float32 or float64, full scale 1."""
        self._writer.write(np.ascontiguousarray(audio[self._order], dtype=np.float32))
        self._sink.check()

    def finish(self) -> None:
        """Encode what is left."""
        self._writer.close()
        self._sink.check()

    def close(self) -> None:
        """Close the writer, which would otherwise go on writing when it is collected."""
        self._sink.mute()
        if not self._writer.closed:
            self._writer.close()


class FfmpegEncoder:
    """MP3, Opus, AAC and Apple Lossless by FFmpeg."""

    _CODECS: ClassVar = {
        Kind.MP3: ("libmp3lame", "mp3", "fltp"),
        Kind.OPUS: ("libopus", "ogg", "flt"),
        Kind.M4A: ("aac", "ipod", "fltp"),
        Kind.AAC: ("aac", "adts", "fltp"),
        Kind.ALAC: ("alac", "ipod", "s32p"),
    }

    def __init__(
        self,
        file: Sink,
        *,
        kind: Kind,
        sample_rate: int,
        channels: int,
        bits: int,
        tags: dict[str, str],
        comments: Comments,
    ) -> None:
        codec, muxer, self._sample_format = self._CODECS[kind]
        if kind is Kind.ALAC and bits == 16:
            self._sample_format = "s16p"
        self._bits = bits
        self._frames = 0
        self._sink = ForeignSink(Retagger(file, comments) if kind is Kind.OPUS else file)
        self._container = av.open(
            cast("BinaryIO", self._sink),
            "w",
            format=muxer,
            container_options=_muxer_options(kind, sample_rate),
        )
        stream = self._container.add_stream(
            codec, rate=sample_rate, layout=LAYOUTS[channels], options=_codec_options(kind, bits)
        )
        assert isinstance(stream, av.AudioStream)
        self._stream = stream
        context = stream.codec_context
        context.format = self._sample_format
        _set_quality(context, kind, sample_rate, channels)
        self._container.metadata.update(tags)
        context.open()
        self.block_frames = context.frame_size or DEFAULT_BLOCK_FRAMES

    def write(self, audio: Samples) -> None:
        """Encode a block of ``audio``, (channels, frames), float32 or float64, full scale 1."""
        frame = av.AudioFrame.from_ndarray(
            self._packed(audio), self._sample_format, self._stream.layout
        )
        frame.sample_rate = self._stream.sample_rate
        frame.pts = self._frames
        self._frames += audio.shape[1]
        self._container.mux(self._stream.encode(frame))
        self._sink.check()

    def finish(self) -> None:
        """Encode what is left, and write what belongs at the beginning."""
        self._container.mux(self._stream.encode(None))
        self._container.close()
        self._sink.check()

    def close(self) -> None:
        """Close the container without caring for what it would still write."""
        self._sink.mute()
        with contextlib.suppress(av.FFmpegError, OSError, ValueError):
            self._container.close()

    def _packed(self, audio: Samples) -> Audio | npt.NDArray[np.int32] | npt.NDArray[np.int16]:
        if self._sample_format == "s16p":
            return np.ascontiguousarray(to_integers(audio, 16).astype(np.int16))
        if self._sample_format == "s32p":
            return np.ascontiguousarray(to_integers(audio, self._bits) << (32 - self._bits))
        samples = np.ascontiguousarray(audio, dtype=np.float32)
        if self._sample_format == "flt":
            return np.ascontiguousarray(samples.T).reshape(1, -1)
        return samples


def _muxer_options(kind: Kind, sample_rate: int) -> dict[str, str]:
    if kind in (Kind.M4A, Kind.ALAC):
        # Milliseconds by default, too coarse to tell where the sound ends
        return {"movie_timescale": str(sample_rate)}
    return {"write_id3v2": "1"} if kind is Kind.AAC else {}


def _codec_options(kind: Kind, bits: int) -> dict[str, str]:
    if kind is Kind.ALAC:
        return {"bits_per_raw_sample": str(bits)}
    # At these rates FFmpeg's fast search errs less than its default one: measured on a
    # guitar 59 against 43 dB below the signal, on a river the same. Nor is noise put in
    # the place of noise.
    return {"aac_coder": "fast", "aac_pns": "0"} if kind in (Kind.M4A, Kind.AAC) else {}


def _set_quality(
    context: av.AudioCodecContext, kind: Kind, sample_rate: int, channels: int
) -> None:
    """Ask for what each codec is taken for transparent at."""
    if kind is Kind.MP3:
        # The best variable rate, which fits itself to any sample rate
        context.qscale = True
        context.global_quality = 0
    elif kind is not Kind.ALAC:
        most = MOST_OPUS_BITS if kind is Kind.OPUS else AAC_BITS_PER_FRAME * sample_rate * channels
        context.bit_rate = min(BITS_PER_CHANNEL * channels, most)


def with_record(tags: dict[str, str], kind: Kind, record: str) -> dict[str, str]:
    """Return tags that hold the record, by FFmpeg's names.

    M4A has a fixed set of names, so there it becomes a line of the comment.
    """
    if not record:
        return tags
    if kind not in (Kind.M4A, Kind.ALAC):
        return {**tags, RECORD_KEY: record}
    lines = tags.get("comment", "").splitlines()
    kept = [line for line in lines if not line.startswith(f"{RECORD_KEY}=")]
    return {**tags, "comment": "\n".join([*kept, f"{RECORD_KEY}={record}"])}
