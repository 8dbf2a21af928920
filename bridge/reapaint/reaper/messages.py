"""What the scripts in REAPER and the bridge tell each other, as files of JSON.

Times are seconds. A job's axis is that of its source: seconds of the file for a file,
item time for audio that REAPER read through its accessor. Unknown fields are ignored,
and another major version is refused.
"""

import math
import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeVar

import msgspec

from reapaint.request_settings import MAX_TIME_S, RequestSettings
from reapaint_engine.protocol.errors import ErrorCode, ProtocolError
from reapaint_engine.protocol.params import check_params
from reapaint_engine.protocol.progress import Stage
from reapaint_engine.protocol.version import __version__

SPOOL_PROTOCOL = (1, 0)
"""Major and minor of these files; the wire to the engine has a version of its own."""

MAX_MESSAGE_BYTES = 1 << 20
"""Far above any real message: two prompts of 10,000 characters and many spans fit."""
MAX_SPANS = 1000
MAX_HANDLES_S = 60.0
AUDIO_NAME = "audio.f32"

_JOB_ID = re.compile(r"[0-9a-f]{32}")


def spool_protocol() -> str:
    """Return the version as it stands in every file, such as ``1.0``."""
    return ".".join(str(number) for number in SPOOL_PROTOCOL)


# From the scripts


@dataclass(frozen=True, slots=True)
class Project:
    """Where results go; ``media_folder`` is REAPER's recording path, absolute."""

    media_folder: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class Item:
    """What results are named after."""

    name: str = ""


class FileSource(msgspec.Struct, frozen=True, tag_field="route", tag="file"):
    """The part of a file that an item plays as it is; a struct, for its ``route``."""

    path: str
    start_s: float
    end_s: float


class AccessorSource(msgspec.Struct, frozen=True, tag_field="route", tag="accessor"):
    """Audio as REAPER plays an item: interleaved little-endian float32 beside the request.

    ``start_s`` is the item time of its first frame.
    """

    sample_rate: int
    channels: int
    frames: int
    start_s: float
    audio: str = AUDIO_NAME


Source = FileSource | AccessorSource


@dataclass(frozen=True, slots=True)
class SpanS:
    """A span to repaint; past the source's end it extends it."""

    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Request:
    """``request.json``: one job.

    ``instance`` names the running REAPER that asked: several may share a resource folder.
    """

    protocol: str
    job_id: str
    project: Project
    source: Source
    spans: tuple[SpanS, ...]
    item: Item = Item()
    settings: RequestSettings = field(default_factory=RequestSettings)
    handles_s: float = 2.0
    instance: str = ""


# From the bridge


@dataclass(frozen=True, slots=True)
class JobProgress:
    """``progress.json``: how far a job is; ``position`` counts the jobs before it."""

    job_id: str
    sequence: int
    stage: Stage
    fraction: float
    position: int = 0
    protocol: str = spool_protocol()


@dataclass(frozen=True, slots=True)
class ResultFile:
    """One take of one span; ``file_start_s`` is its first frame's place on the job's axis."""

    span: int
    path: str
    file_start_s: float
    sample_rate: int
    channels: int
    frames: int


@dataclass(frozen=True, slots=True)
class Seam:
    """How an edge came out; what the figures are, the engine's ``SeamReport`` says."""

    at_s: float
    side: str
    level_step_db: float
    click_ratio: float


@dataclass(frozen=True, slots=True)
class Take:
    """One variation: a file for each span."""

    seed: int
    files: tuple[ResultFile, ...]
    seams: tuple[Seam, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """``result.json`` of a job that was done; ``record`` is all that makes it again.

    ``instance`` is the request's: the REAPER that the result is for.
    """

    job_id: str
    backend: str
    model: str
    model_revision: str
    mode: str
    takes: tuple[Take, ...]
    record: dict[str, Any]
    warnings: tuple[str, ...] = ()
    instance: str = ""
    ok: bool = True
    protocol: str = spool_protocol()


@dataclass(frozen=True, slots=True)
class ErrorText:
    """A stable code, a sentence, and what to do."""

    code: str
    message: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Failure:
    """``result.json`` of a job that was cancelled, refused or could not be done."""

    job_id: str
    error: ErrorText
    instance: str = ""
    ok: bool = False
    protocol: str = spool_protocol()


class EnginePhase(StrEnum):
    """What an engine is to the scripts; a stopped one is started when it is needed."""

    STOPPED = "stopped"
    STARTING = "starting"
    READY = "ready"
    UNREACHABLE = "unreachable"


@dataclass(frozen=True, slots=True)
class EngineState:
    """The engine's phase, and why."""

    state: EnginePhase
    message: str = ""


@dataclass(frozen=True, slots=True)
class BackendChoice:
    """What a person can choose from; the model that is taken unasked comes first."""

    name: str
    modes: tuple[str, ...] = ()
    models: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """``bridge.json``: alive as long as ``beat`` changes, whatever any clock says."""

    pid: int
    beat: int
    engine: EngineState
    backends: tuple[BackendChoice, ...] = ()
    version: str = __version__
    protocol: str = spool_protocol()


@dataclass(frozen=True, slots=True)
class Launch:
    """``launch.json``: how the scripts start the bridge.

    ``python`` is the program to call: Python, or what starts it outside a sandbox.
    """

    python: str
    arguments: tuple[str, ...]
    version: str = __version__
    protocol: str = spool_protocol()


Message = Request | JobProgress | Result | Failure | Heartbeat | Launch
_Message = TypeVar("_Message", bound=Message)


@dataclass(frozen=True, slots=True)
class _Envelope:
    protocol: str
    ok: bool = field(default=True)


@dataclass(frozen=True, slots=True)
class _Sender:
    instance: str = ""


def write(message: Message) -> bytes:
    """Return a message as a file's content."""
    return msgspec.json.encode(message)


def is_job_id(text: str) -> bool:
    """Tell whether a folder's name is a job's."""
    return _JOB_ID.fullmatch(text) is not None


def read(data: bytes, kind: type[_Message]) -> _Message:
    """Return the message in a file.

    Raises
    ------
    ProtocolError
        ``too_large``, ``malformed_message``, ``incompatible_version`` or ``invalid_field``.
    """
    _check_envelope(data)
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ProtocolError(
            ErrorCode.INVALID_FIELD,
            f"A field is missing or of the wrong type: {error}.",
            hint="Install the same version of ReaPaint's scripts and of the bridge.",
        ) from error


def read_result(data: bytes) -> Result | Failure:
    """Return a job's result, whichever way it went.

    Raises
    ------
    ProtocolError
        As ``read``.
    """
    return read(data, Result) if _check_envelope(data).ok else read(data, Failure)


def read_request(data: bytes, job_id: str) -> Request:
    """Return a job's request, its limits checked as far as they need no file.

    Parameters
    ----------
    job_id
        The name of the job's folder, which the request must repeat.

    Raises
    ------
    ProtocolError
        As ``read``, and ``invalid_job_id``, ``invalid_spans`` or a setting's own code.
    """
    request = read(data, Request)
    if request.job_id != job_id or not is_job_id(job_id):
        raise ProtocolError(
            ErrorCode.INVALID_JOB_ID,
            "The request does not carry its folder's name as its job_id.",
            hint="Run the action again.",
        )
    _check_source(request.source)
    _check_spans(request.spans)
    _check_time(request.handles_s, 0, MAX_HANDLES_S, "handles_s")
    check_params(request.settings)
    return request


def read_instance(data: bytes) -> str:
    """Return the REAPER that a request is from, even if the rest of it can't be used."""
    try:
        return msgspec.json.decode(data, type=_Sender).instance
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        return ""


def _check_envelope(data: bytes) -> _Envelope:
    if len(data) > MAX_MESSAGE_BYTES:
        raise ProtocolError(
            ErrorCode.TOO_LARGE,
            f"A message of {len(data)} bytes is longer than the {MAX_MESSAGE_BYTES} allowed.",
            hint="Shorten the prompt, or select fewer places at once.",
        )
    try:
        envelope = msgspec.json.decode(data, type=_Envelope)
    except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
        raise ProtocolError(
            ErrorCode.MALFORMED_MESSAGE,
            f"The file is no message of ReaPaint's: {error}.",
            hint="Run the action again.",
        ) from error
    if envelope.protocol.split(".", 1)[0] != str(SPOOL_PROTOCOL[0]):
        raise ProtocolError(
            ErrorCode.INCOMPATIBLE_VERSION,
            f"The scripts speak protocol {envelope.protocol[:20]!r},"
            f" this bridge {spool_protocol()}.",
            hint="Run `reapaint reaper install`, and restart REAPER.",
        )
    return envelope


def _check_source(source: Source) -> None:
    if isinstance(source, FileSource):
        _check_time(source.start_s, -MAX_TIME_S, MAX_TIME_S, "source.start_s")
        _check_time(source.end_s, source.start_s, MAX_TIME_S, "source.end_s")
        return
    _check_time(source.start_s, -MAX_TIME_S, MAX_TIME_S, "source.start_s")
    if source.audio != AUDIO_NAME:
        raise _invalid(f"source.audio is not {AUDIO_NAME}")
    if min(source.sample_rate, source.channels) < 1 or source.frames < 0:
        raise _invalid("source has a rate, a number of channels or of frames that nothing has")


def _check_spans(spans: tuple[SpanS, ...]) -> None:
    if not 1 <= len(spans) <= MAX_SPANS:
        raise ProtocolError(
            ErrorCode.INVALID_SPANS,
            f"A job has 1 to {MAX_SPANS} spans, not {len(spans)}.",
            hint="Select something on the item.",
        )
    for span in spans:
        _check_time(span.start_s, -MAX_TIME_S, MAX_TIME_S, "spans.start_s")
        _check_time(span.end_s, -MAX_TIME_S, MAX_TIME_S, "spans.end_s")


def _check_time(value: float, low: float, high: float, name: str) -> None:
    if not (math.isfinite(value) and low <= value <= high):
        raise _invalid(f"{name} is {value:.10g}, not between {low:.10g} and {high:.10g}")


def _invalid(what: str) -> ProtocolError:
    return ProtocolError(
        ErrorCode.INVALID_FIELD,
        f"The request can't be used: {what}.",
        hint="Run the action again; if it stays so, run `reapaint reaper install`.",
    )
