"""Check whether a request can be carried out, in one place for all callers."""

import re

from reapaint_engine.protocol.errors import ErrorCode, ProtocolError
from reapaint_engine.protocol.messages import InpaintRequest
from reapaint_engine.protocol.params import DEFAULT_CROSSFADE_S, check_params
from reapaint_engine.protocol.spans import check_spans, seconds_to_frames

MIN_SAMPLE_RATE = 8_000
MAX_SAMPLE_RATE = 384_000
MAX_CHANNELS = 64

BYTES_PER_SAMPLE = 4
_JOB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}\Z")


def crossfade_frames(crossfade_s: float | None, span_frames: int, sample_rate: int) -> int:
    """Return the length of one crossfade: as requested, but at most a quarter of its span."""
    asked_s = DEFAULT_CROSSFADE_S if crossfade_s is None else crossfade_s
    return min(seconds_to_frames(asked_s, sample_rate), span_frames // 4)


def window_bytes(request: InpaintRequest) -> int:
    """Return the size of the request's window as float32."""
    return request.channels * request.window_frames * BYTES_PER_SAMPLE


def check_request(request: InpaintRequest, *, max_window_bytes: int) -> None:
    """Raise ProtocolError if no engine could carry out a request.

    Raises
    ------
    ProtocolError
        A field is out of range; the code is that of the first one.
    """
    if not _JOB_ID.match(request.job_id):
        raise ProtocolError(
            ErrorCode.INVALID_JOB_ID,
            "The job's id must be 1 to 128 letters, digits, dots, dashes or underscores.",
            hint="Make one with uuid4().hex.",
        )
    _check_audio_format(request, max_window_bytes)
    check_spans(request.spans, request.window_frames)
    _check_source_end(request)
    check_params(request)


def _check_audio_format(request: InpaintRequest, max_window_bytes: int) -> None:
    if not MIN_SAMPLE_RATE <= request.sample_rate <= MAX_SAMPLE_RATE:
        raise ProtocolError(
            ErrorCode.INVALID_AUDIO_FORMAT,
            f"A sample rate of {request.sample_rate} Hz is not between"
            f" {MIN_SAMPLE_RATE} and {MAX_SAMPLE_RATE} Hz.",
            hint="Convert the audio to a rate in that range.",
        )
    if not 1 <= request.channels <= MAX_CHANNELS:
        raise ProtocolError(
            ErrorCode.INVALID_AUDIO_FORMAT,
            f"{request.channels} channels are not between 1 and {MAX_CHANNELS}.",
            hint="Split the file into fewer channels.",
        )
    if not 0 <= request.audio_frames <= request.window_frames:
        raise ProtocolError(
            ErrorCode.INVALID_AUDIO_FORMAT,
            f"{request.audio_frames} frames of audio do not fit a window of"
            f" {request.window_frames} frames.",
            hint="Send at most as many frames as the window has.",
        )
    if window_bytes(request) > max_window_bytes:
        raise ProtocolError(
            ErrorCode.TOO_LARGE,
            f"The window of {window_bytes(request) / 2**20:.0f} MiB is larger than the engine's"
            f" limit of {max_window_bytes / 2**20:.0f} MiB.",
            hint="Select less, or ask for less context.",
        )


def _check_source_end(request: InpaintRequest) -> None:
    missing_frames = request.window_frames - request.audio_frames
    if missing_frames and (
        request.spans[-1].end != request.window_frames
        or request.spans[-1].start > request.audio_frames
    ):
        raise ProtocolError(
            ErrorCode.INVALID_SPANS,
            f"The last {missing_frames} frames of the window have no audio but no span fills them.",
            hint="Let the last span reach from inside the audio to the window's end.",
        )
