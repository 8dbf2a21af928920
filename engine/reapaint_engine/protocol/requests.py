"""The limits of a request, checked in one place for every way in."""

import math
import re

from reapaint_engine.protocol.errors import ErrorCode, ProtocolError
from reapaint_engine.protocol.messages import InpaintRequest
from reapaint_engine.protocol.spans import check_spans, seconds_to_frames

MIN_SAMPLE_RATE = 8_000
MAX_SAMPLE_RATE = 384_000
MAX_CHANNELS = 64
MAX_STEPS = 100
MAX_GUIDANCE = 25.0
MAX_SEED = 2**32 - 1
MAX_TAKES = 16
MAX_COST_USD = 1e6
MAX_PROMPT_CHARACTERS = 10_000
MAX_CROSSFADE_S = 10.0
DEFAULT_CROSSFADE_S = 0.03

BYTES_PER_SAMPLE = 4
_JOB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}\Z")


def crossfade_frames(crossfade_s: float | None, span_frames: int, sample_rate: int) -> int:
    """Return the length of one crossfade: as asked, at most a quarter of its span."""
    asked_s = DEFAULT_CROSSFADE_S if crossfade_s is None else crossfade_s
    return min(seconds_to_frames(asked_s, sample_rate), span_frames // 4)


def window_bytes(request: InpaintRequest) -> int:
    """Return the size of the request's window as float32."""
    return request.channels * request.window_frames * BYTES_PER_SAMPLE


def check_request(request: InpaintRequest, *, max_window_bytes: int) -> None:
    """Refuse a request that no engine could carry out.

    Raises
    ------
    ProtocolError
        With the code of the first field that is out of range.
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
    _check_prompts(request)
    _check_numbers(request)


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


def _check_prompts(request: InpaintRequest) -> None:
    for name, text in (("prompt", request.prompt), ("negative prompt", request.negative_prompt)):
        if len(text) > MAX_PROMPT_CHARACTERS:
            raise ProtocolError(
                ErrorCode.INVALID_PROMPT,
                f"The {name} has {len(text)} characters; {MAX_PROMPT_CHARACTERS} are the most.",
                hint="Shorten it.",
            )


def _check_numbers(request: InpaintRequest) -> None:
    _check_range(request.steps, 1, MAX_STEPS, "steps", ErrorCode.INVALID_STEPS)
    _check_range(request.guidance, 0, MAX_GUIDANCE, "guidance", ErrorCode.INVALID_GUIDANCE)
    _check_range(request.seed, 0, MAX_SEED, "seed", ErrorCode.INVALID_SEED)
    _check_range(request.takes, 1, MAX_TAKES, "takes", ErrorCode.INVALID_TAKES)
    _check_range(request.strength, 0, 1, "strength", ErrorCode.INVALID_STRENGTH)
    _check_range(
        request.crossfade_s, 0, MAX_CROSSFADE_S, "crossfade in seconds", ErrorCode.INVALID_CROSSFADE
    )
    _check_range(request.max_cost, 0, MAX_COST_USD, "highest cost in USD", ErrorCode.INVALID_COST)


def _check_range(value: float | None, low: float, high: float, name: str, code: ErrorCode) -> None:
    if value is None or (math.isfinite(value) and low <= value <= high):
        return
    raise ProtocolError(
        code,
        f"{name.capitalize()} must be between {low:g} and {high:.10g}, not {value:.10g}.",
        hint="Choose a value in that range.",
    )
