"""Audio files made by hand, so that what reads and writes them is tested by something else."""

import struct
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

from reapaint.files.media import AudioInfo, Patch

Ints = npt.NDArray[np.int64]

WAV_KINDS = {
    "int8": (1, 8),
    "int16": (1, 16),
    "int24": (1, 24),
    "int32": (1, 32),
    "float32": (3, 32),
    "float64": (3, 64),
}
"""Format tag and bits by sample format."""


def chunk(name: bytes, body: bytes, order: str = "<") -> bytes:
    return struct.pack(f"{order}4sI", name, len(body)) + body + bytes(len(body) % 2)


def raw_samples(kind: str, frames: int, channels: int, *, seed: int = 0) -> bytes:
    """Return little-endian samples of every value that occurs."""
    rng = np.random.default_rng(seed)
    if kind.startswith("float"):
        values = rng.normal(0.0, 0.5, frames * channels)
        return values.astype("<f4" if kind == "float32" else "<f8").tobytes()
    return rng.bytes(frames * channels * WAV_KINDS[kind][1] // 8)


def wav_format(kind: str, rate: int, channels: int) -> bytes:
    tag, bits = WAV_KINDS[kind]
    size = bits // 8 * channels
    return struct.pack("<HHIIHH", tag, channels, rate, rate * size & 0xFFFFFFFF, size, bits)


def extensible_format(kind: str, rate: int, channels: int) -> bytes:
    tag, bits = WAV_KINDS[kind]
    plain = wav_format(kind, rate, channels)
    guid = struct.pack("<H", tag) + bytes.fromhex("000000001000800000aa00389b71")
    return struct.pack("<H", 0xFFFE) + plain[2:] + struct.pack("<HHI", 22, bits, 0) + guid


def wav(*chunks: bytes, form: bytes = b"RIFF", size: int | None = None) -> bytes:
    body = b"".join(chunks)
    return struct.pack("<4sI4s", form, 4 + len(body) if size is None else size, b"WAVE") + body


def simple_wav(kind: str, rate: int, channels: int, data: bytes) -> bytes:
    return wav(chunk(b"fmt ", wav_format(kind, rate, channels)), chunk(b"data", data))


def aiff(*chunks: bytes, form: bytes = b"AIFF") -> bytes:
    body = b"".join(chunks)
    return struct.pack(">4sI4s", b"FORM", 4 + len(body), form) + body


def aiff_common(rate: int, *, channels: int, frames: int, bits: int, kind: bytes = b"") -> bytes:
    mantissa = rate << (63 - (rate.bit_length() - 1))
    extended = struct.pack(">HQ", 16383 + rate.bit_length() - 1, mantissa)
    return struct.pack(">hIh", channels, frames, bits) + extended + kind


def sound_chunk(data: bytes) -> bytes:
    return chunk(b"SSND", bytes(8) + data, ">")


def walk(data: bytes, order: str = "<") -> list[tuple[bytes, bytes]]:
    """Return a RIFF or IFF file's chunks, strictly: sizes and padding must be right."""
    size = struct.unpack(f"{order}I", data[4:8])[0]
    assert size == len(data) - 8
    chunks, position = [], 12
    while position < len(data):
        name, length = struct.unpack(f"{order}4sI", data[position : position + 8])
        body = data[position + 8 : position + 8 + length]
        assert len(body) == length
        chunks.append((name, body))
        position += 8 + length + length % 2
    assert position == len(data)
    return chunks


def decoded(path: Path) -> npt.NDArray[np.generic]:
    """Return what FFmpeg reads, of shape (channels, frames), in its own integers or floats."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        channels = stream.layout.nb_channels
        # Interleaved, since PyAV fails at eight planes
        kind, layout = stream.format.packed.name, stream.layout.name
        packer = av.AudioResampler(format=kind, layout=layout, rate=stream.rate)
        frames = [each for frame in container.decode(stream) for each in packer.resample(frame)]
        return np.concatenate(
            [each.to_ndarray().reshape(-1, channels).T for each in frames], axis=1
        )


def noise_patch(info: AudioInfo, start: int, frames: int, *, level: float = 0.3) -> Patch:
    rng = np.random.default_rng(start)
    audio = rng.uniform(-level, level, (info.channels, frames)).astype(np.float32)
    return Patch(start, audio)


def flac_ints(path: Path, ints: Ints, rate: int, bits: int) -> None:
    """Write a FLAC file through FFmpeg's own muxer."""
    channels = ints.shape[0]
    kind = "s16" if bits == 16 else "s32"
    with av.open(str(path), "w", format="flac") as container:
        stream = container.add_stream(
            "flac",
            rate=rate,
            layout={1: "mono", 2: "stereo", 6: "5.1"}[channels],
            options={"bits_per_raw_sample": str(bits)},
        )
        stream.format = kind
        container.metadata.update({"title": "A title", "artist": "Somebody"})
        stream.codec_context.open()
        size = stream.codec_context.frame_size
        packed = (ints << (0 if bits == 16 else 32 - bits)).astype("<i2" if bits == 16 else "<i4")
        for first in range(0, ints.shape[1], size):
            block = np.ascontiguousarray(packed[:, first : first + size].T).reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(block, kind, stream.layout)
            frame.sample_rate, frame.pts = rate, first
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def tones(rate: int, channels: int, frames: int) -> npt.NDArray[np.float64]:
    """Return another steady tone in each channel, all within full scale."""
    time_s = np.arange(frames) / rate
    steps = np.arange(channels)[:, np.newaxis]
    return np.asarray(0.4 * np.sin(2 * np.pi * (300 + 130 * steps) * time_s))
