"""How samples lie in bytes, and the way to floating point and back."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from reapaint_engine.protocol.arrays import Samples, is_finite


class SampleFormat(StrEnum):
    """What one sample is, or, for a lossy file, what holds all that it decodes to."""

    INT8 = "int8"
    INT16 = "int16"
    INT24 = "int24"
    INT32 = "int32"
    FLOAT32 = "float32"
    FLOAT64 = "float64"

    @property
    def bits(self) -> int:
        """The number of bits of one sample."""
        return int(self.value.lstrip("intfloa"))

    @property
    def is_float(self) -> bool:
        """Whether samples may exceed full scale."""
        return self.value.startswith("float")

    @property
    def exact_dtype(self) -> np.dtype[np.float32 | np.float64]:
        """The floating-point type that holds every value of this format."""
        wide = (SampleFormat.INT32, SampleFormat.FLOAT64)
        return np.dtype(np.float64 if self in wide else np.float32)


INTEGER_FORMATS = {
    1: SampleFormat.INT8,
    2: SampleFormat.INT16,
    3: SampleFormat.INT24,
    4: SampleFormat.INT32,
}
"""Integer formats by their size in bytes."""


@dataclass(frozen=True, slots=True)
class Encoding:
    """How uncompressed samples lie in a file: interleaved, one frame after the other.

    ``is_unsigned`` is WAV's 8-bit format, whose silence is 128.
    """

    sample_format: SampleFormat
    big_endian: bool = False
    is_unsigned: bool = False

    @property
    def sample_bytes(self) -> int:
        """The number of bytes of one sample."""
        return self.sample_format.bits // 8

    def decode(self, data: bytes | bytearray | memoryview, channels: int) -> Samples:
        """Return the samples of whole frames.

        Parameters
        ----------
        data
            Bytes of whole frames.
        channels
            Samples per frame.

        Returns
        -------
        ndarray
            Shape (channels, frames), float32 or float64: the format's ``exact_dtype``;
            full scale is 1.
        """
        fmt = self.sample_format
        if fmt.is_float:
            audio = np.frombuffer(data, self._dtype).astype(fmt.exact_dtype)
        else:
            audio = self._integers(data).astype(fmt.exact_dtype)
            np.multiply(audio, 2.0 ** (1 - fmt.bits), out=audio)
        return np.ascontiguousarray(audio.reshape(-1, channels).T)

    def encode(self, audio: Samples) -> bytes:
        """Return the bytes of audio, rounded to the nearest value and held to full scale.

        There is no dither: a frame that was read and not changed must be written
        as it was.

        Parameters
        ----------
        audio
            Shape (channels, frames), float32 or float64; full scale is 1.
        """
        if self.sample_format.is_float:
            return audio.T.astype(self._dtype, order="C").tobytes()
        values = to_integers(audio.T, self.sample_format.bits)
        if self.is_unsigned:
            values += 128
        if self.sample_format is not SampleFormat.INT24:
            return values.astype(self._dtype).tobytes()
        in_bytes = values.astype(self._dtype, copy=False).reshape(-1, 1).view(np.uint8)
        triples = np.empty((values.size, 3), np.uint8)
        for number in range(3):
            # Column by column: three times faster than whole triples.
            triples[:, number] = in_bytes[:, number + self.big_endian]
        return triples.tobytes()

    @property
    def _dtype(self) -> np.dtype[np.generic]:
        size = 4 if self.sample_format is SampleFormat.INT24 else self.sample_bytes
        kind = "f" if self.sample_format.is_float else "u" if self.is_unsigned else "i"
        return np.dtype(f"{'>' if self.big_endian else '<'}{kind}{size}")

    def _integers(self, data: bytes | bytearray | memoryview) -> npt.NDArray[np.generic]:
        if self.sample_format is SampleFormat.INT24:
            # Seen as overlapping words of four bytes: ten times faster than copying triples.
            padded = bytes(data) + b"\0" if self.big_endian else b"\0" + bytes(data)
            words = np.ndarray((len(data) // 3,), self._dtype, padded, strides=(3,))
            return words >> 8
        raw = np.frombuffer(data, self._dtype)
        return raw.astype(np.int16) - 128 if self.is_unsigned else raw


def to_integers(audio: Samples, bits: int) -> npt.NDArray[np.int32]:
    """Return samples as integers of so many bits: nearest value, held to full scale.

    Parameters
    ----------
    audio
        Any shape, float32 or float64; full scale is 1.
    bits
        At most 32.

    Returns
    -------
    ndarray
        The same shape, int32, C-contiguous; full scale is 2 to the power of ``bits - 1``.
    """
    full_scale = 2.0 ** (bits - 1)
    scaled = np.array(audio, np.float64, order="C")
    if not is_finite(scaled):
        np.nan_to_num(scaled, copy=False, posinf=2.0, neginf=-2.0)
    np.multiply(scaled, full_scale, out=scaled)
    np.rint(scaled, out=scaled)
    return np.clip(scaled, -full_scale, full_scale - 1, out=scaled).astype(np.int32)


def count_over_full_scale(audio: Samples) -> int:
    """Return how many frames an integer format would clip.

    Parameters
    ----------
    audio
        Shape (channels, frames), float32 or float64; full scale is 1.
    """
    return int(np.count_nonzero((np.abs(audio) > 1.0).any(axis=0)))
