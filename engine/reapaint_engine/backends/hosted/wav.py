"""Encode a window as a WAV file in memory: 24 bits, which every service reads."""

import struct

import numpy as np

from reapaint_engine.protocol.arrays import Audio

FULL_SCALE_INTEGER = 2**23 - 1
MAX_PEAK = 0.999
"""Audio with a higher peak is turned down for the service, and its answer is turned up again."""

PCM_FORMAT_TAG = 1
SAMPLE_BYTES = 3


def safe_gain(audio: Audio) -> float:
    """Return the factor, at most 1, that makes audio fit into integers.

    Parameters
    ----------
    audio
        Shape (channels, frames), float32.
    """
    peak = float(np.abs(audio).max(initial=0.0))
    return min(1.0, MAX_PEAK / peak) if peak > 0.0 else 1.0


def encode_wav(audio: Audio, sample_rate: int) -> bytes:
    """Return a WAV file of 24 bits.

    Parameters
    ----------
    audio
        Shape (channels, frames), float32, within -1 and 1.
    sample_rate
        In Hz.
    """
    channels, frames = audio.shape
    samples = np.clip(
        np.round(audio.T * np.float64(FULL_SCALE_INTEGER)),
        -FULL_SCALE_INTEGER - 1,
        FULL_SCALE_INTEGER,
    )
    octets = samples.astype("<i4").reshape(-1, 1).view(np.uint8)[:, :SAMPLE_BYTES]
    block = channels * SAMPLE_BYTES
    form = struct.pack(
        "<HHIIHH",
        PCM_FORMAT_TAG,
        channels,
        sample_rate,
        sample_rate * block,
        block,
        8 * SAMPLE_BYTES,
    )
    data = bytes(octets.tobytes()) + b"\0" * (frames * block % 2)
    body = b"WAVE" + b"fmt " + struct.pack("<I", len(form)) + form
    body += b"data" + struct.pack("<I", frames * block) + data
    content: bytes = b"RIFF" + struct.pack("<I", len(body)) + body
    return content
