"""Decode a service's answer of any format, rate and channel count."""

import io

import av
import numpy as np
from av.container import InputContainer

from reapaint_engine.dsp.resampling import MAX_SAMPLE_RATE, MIN_SAMPLE_RATE, resample
from reapaint_engine.protocol.arrays import Audio, is_finite

_DEMUXERS = "wav,w64,mp3,flac,ogg,aac,mov,matroska,aiff,caf"
"""Formats of single files with sound; FFmpeg's other formats open further files or addresses."""


class UnreadableAnswer(Exception):
    """A service's answer is no usable sound; the text says why."""


def decode_answer(answer: bytes, sample_rate: int, longest_s: float) -> Audio:
    """Return a service's answer as stereo at a given rate.

    Parameters
    ----------
    answer
        A file in any usual format.
    sample_rate
        In Hz.
    longest_s
        Most seconds to decode: a small file can contain hours of silence.

    Returns
    -------
    numpy.ndarray
        Shape (2, frames), float32. A single channel is in both; of more than two only
        the first two are taken.

    Raises
    ------
    UnreadableAnswer
        The answer is no sound, has no samples, or has samples that are not finite.
    """
    try:
        audio, rate = _decode(answer, longest_s)
    except (av.FFmpegError, UnicodeError, ValueError, EOFError) as error:
        raise UnreadableAnswer("it is no sound that can be read") from error
    if audio.shape[1] == 0:
        raise UnreadableAnswer("it holds no sound")
    if not MIN_SAMPLE_RATE <= rate <= MAX_SAMPLE_RATE:
        raise UnreadableAnswer(f"its rate of {rate} Hz can't be converted")
    if not is_finite(audio):
        raise UnreadableAnswer("it holds samples that are not finite numbers")
    stereo = np.repeat(audio, 2, axis=0) if audio.shape[0] == 1 else audio[:2]
    return resample(np.ascontiguousarray(stereo), rate, sample_rate)


def _decode(answer: bytes, longest_s: float) -> tuple[Audio, int]:
    options = {"format_whitelist": _DEMUXERS, "protocol_whitelist": ""}
    with av.open(io.BytesIO(answer), options=options, metadata_errors="replace") as container:
        assert isinstance(container, InputContainer)
        if not container.streams.audio:
            raise UnreadableAnswer("it has no audio track")
        stream = container.streams.audio[0]
        packer = av.AudioResampler(format="fltp")
        blocks: list[Audio] = []
        frames = rate = channels = 0
        for frame in container.decode(stream):
            rate, channels = rate or frame.sample_rate, channels or frame.layout.nb_channels
            if (rate, channels) != (frame.sample_rate, frame.layout.nb_channels):
                raise UnreadableAnswer("its rate or channel count changes within it")
            blocks.extend(
                np.asarray(block.to_ndarray(), dtype=np.float32) for block in packer.resample(frame)
            )
            frames += frame.samples
            if frames > longest_s * rate:
                break
    if not blocks:
        raise UnreadableAnswer("it holds no sound")
    return np.concatenate(blocks, axis=1), rate
