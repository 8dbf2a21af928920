"""Every message of the protocol as a frozen dataclass.

A message is JSON; audio is sent beside it, as parts. ``part_shapes`` says which parts a message
has, so that sizes can be checked before anything is allocated.
"""

from dataclasses import dataclass, field
from enum import StrEnum

from reapaint_engine.protocol.integers import Int64
from reapaint_engine.protocol.params import RequestParams
from reapaint_engine.protocol.spans import Span

PartShape = tuple[int, int]
"""Channels and frames of one part: little-endian float32, one channel after the other."""


class Placement(StrEnum):
    """The place of a new job in the queue."""

    BACK = "back"
    FRONT = "front"
    REPLACE = "replace"
    """At the back; the same client's queued jobs are cancelled, but not a running one."""


class JobState(StrEnum):
    """The states of a request."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Side(StrEnum):
    """The edge of a span at which a seam is."""

    LEFT = "left"
    RIGHT = "right"


@dataclass(frozen=True, slots=True, kw_only=True)
class InpaintRequest(RequestParams):
    """Everything that a result depends on, except the audio itself.

    ``spans`` count frames of the window at ``sample_rate``. The window has ``window_frames``
    frames, of which the first ``audio_frames`` exist. The rest is past the end of the source
    and must be inside a span.
    """

    job_id: str
    sample_rate: Int64
    channels: Int64
    audio_frames: Int64
    window_frames: Int64
    spans: tuple[Span, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendInfo:
    """What a backend can do, for clients.

    ``sample_rate`` and ``channels`` are None where the backend works at any. ``honours`` names
    the request fields that have an effect. ``first_seed`` is used where a request has no seed;
    if it is None, a random one is drawn. ``preferred_window_s`` is the best length of a window:
    shorter windows are extended where the source goes on. With ``open_models`` it accepts
    models that it doesn't list, such as folders, and checks their names itself. ``costs_money``
    is True for hosted services.
    """

    name: str
    description: str
    models: tuple[str, ...]
    default_model: str
    modes: tuple[str, ...]
    honours: tuple[str, ...]
    max_window_s: float
    max_span_s: float
    sample_rate: Int64 | None = None
    channels: Int64 | None = None
    first_seed: Int64 | None = None
    preferred_window_s: float = 0.0
    open_models: bool = False
    costs_money: bool = False


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one engine."""

    max_window_bytes: Int64
    max_queued_jobs: Int64
    max_queued_bytes: Int64


@dataclass(frozen=True, slots=True, kw_only=True)
class SeamReport:
    """The result at one edge of one span.

    ``frame`` is the edge's frame in the window. ``level_step_db`` is the level of the 50 ms
    after the edge over that of the 50 ms before it. ``click_ratio`` is the largest
    linear-prediction residual at the edge over the 99.9th percentile of its neighbourhood's:
    near or below 1 nothing stands out. ``crossfade_law`` says how old and new were joined,
    ``correlation`` how similar they were. The engine rounds the figures to what can be heard.
    """

    span: Int64
    side: Side
    frame: Int64
    level_step_db: float
    click_ratio: float
    crossfade_law: str
    crossfade_frames: Int64
    correlation: float


@dataclass(frozen=True, slots=True)
class TakeReport:
    """One variation: its seed and its seams."""

    seed: Int64
    seams: tuple[SeamReport, ...]


@dataclass(frozen=True, slots=True)
class Timings:
    """The time of each part of a job, in seconds."""

    queued: float = 0.0
    encode: float = 0.0
    sample: float = 0.0
    decode: float = 0.0
    splice: float = 0.0
    total: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSummary:
    """One job in an engine's status."""

    job_id: str
    state: JobState
    stage: str
    fraction: float
    prompt: str
    age_s: float


# From clients


@dataclass(frozen=True, slots=True)
class Hello:
    """Opens a session; ``token`` is the connection file's, or empty under CURVE."""

    token: str
    client: str


@dataclass(frozen=True, slots=True)
class Submit:
    """Asks for a job. Its one part is the window's audio of shape (channels, audio_frames)."""

    request: InpaintRequest
    placement: Placement = Placement.BACK

    def part_count(self) -> int:
        """Return the number of audio parts."""
        return 1

    def part_shapes(self) -> tuple[PartShape, ...]:
        """Return the shape of the window's audio."""
        return ((self.request.channels, self.request.audio_frames),)


@dataclass(frozen=True, slots=True)
class Cancel:
    """Asks to end a job."""

    job_id: str


@dataclass(frozen=True, slots=True)
class Received:
    """Says that a result has arrived, so that the engine need not keep it any longer."""

    job_id: str


@dataclass(frozen=True, slots=True)
class Ping:
    """Shows that the client lives, and asks whether the engine lives."""


@dataclass(frozen=True, slots=True)
class StatusRequest:
    """Asks what the engine is doing."""


@dataclass(frozen=True, slots=True)
class Stop:
    """Asks the engine to end."""


# From either side


@dataclass(frozen=True, slots=True)
class Goodbye:
    """Says that the sender leaves.

    An engine has reported every unfinished job before. The jobs of a client that leaves are
    cancelled.
    """

    reason: str


# From the engine


@dataclass(frozen=True, slots=True)
class Welcome:
    """Answers a Hello."""

    version: str
    pid: Int64
    backends: tuple[BackendInfo, ...]
    default_backend: str
    limits: Limits


@dataclass(frozen=True, slots=True)
class Accepted:
    """A job was queued; ``position`` 0 is the one that runs next."""

    job_id: str
    position: Int64


@dataclass(frozen=True, slots=True)
class Rejected:
    """A message was refused; ``job_id`` is empty when it concerned no job."""

    job_id: str
    code: str
    message: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Progress:
    """A job made progress; ``fraction`` is that of the whole job, 0 to 1."""

    job_id: str
    stage: str
    fraction: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """A job's result.

    ``request`` is the request that was carried out, with every default filled in: sent again
    with the same audio, it gives the same samples. The parts are one patch for each span of
    each take, takes outermost, of shape (channels, span length): crossfaded, at the source's
    rate, ready to replace the span. ``notes`` are useful facts that are no warnings: which
    model was chosen and why, what it cost.
    """

    job_id: str
    request: InpaintRequest
    backend: str
    model: str
    model_revision: str
    mode: str
    engine_version: str
    takes: tuple[TakeReport, ...]
    timings_s: Timings = field(default_factory=Timings)
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def part_count(self) -> int:
        """Return the number of audio parts."""
        return len(self.request.spans) * len(self.takes)

    def part_shapes(self) -> tuple[PartShape, ...]:
        """Return the shapes of all patches in the order they are sent."""
        shapes = tuple((self.request.channels, span.length) for span in self.request.spans)
        return shapes * len(self.takes)


@dataclass(frozen=True, slots=True)
class Failed:
    """A job ended without a result.

    Where the message or the hint names a file or folder of the engine's machine, ``path`` is
    its whole path. Clients on other machines don't get it.
    """

    job_id: str
    code: str
    message: str
    hint: str = ""
    path: str = ""


@dataclass(frozen=True, slots=True)
class Cancelled:
    """A job ended because it was cancelled."""

    job_id: str


@dataclass(frozen=True, slots=True)
class Pong:
    """The engine lives."""


@dataclass(frozen=True, slots=True)
class Status:
    """What the engine is doing."""

    version: str
    pid: Int64
    uptime_s: float
    endpoint: str
    clients: Int64
    queued_bytes: Int64
    jobs: tuple[JobSummary, ...]


ClientMessage = Hello | Submit | Cancel | Received | Ping | StatusRequest | Stop | Goodbye
EngineMessage = (
    Welcome | Accepted | Rejected | Progress | Done | Failed | Cancelled | Pong | Status | Goodbye
)
Message = ClientMessage | EngineMessage
