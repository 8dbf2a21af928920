"""Every message of the wire as a frozen dataclass.

A message is JSON; audio travels beside it, as parts. ``part_shapes`` says which
parts a message has, so that sizes can be checked before anything is allocated.
"""

from dataclasses import dataclass, field
from enum import StrEnum

from reapaint_engine.protocol.integers import Int64
from reapaint_engine.protocol.params import RequestParams
from reapaint_engine.protocol.spans import Span

PartShape = tuple[int, int]
"""Channels and frames of one part: little-endian float32, one channel after the other."""


class Placement(StrEnum):
    """Where a new job enters the queue."""

    BACK = "back"
    FRONT = "front"
    REPLACE = "replace"
    """At the back, and the same client's queued jobs are cancelled; a running one is left."""


class JobState(StrEnum):
    """One request's life."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Side(StrEnum):
    """Which edge of a span a seam is."""

    LEFT = "left"
    RIGHT = "right"


@dataclass(frozen=True, slots=True, kw_only=True)
class InpaintRequest(RequestParams):
    """Everything that a result depends on, but the audio itself.

    ``spans`` count frames of the window at ``sample_rate``. The window has
    ``window_frames`` frames, of which the first ``audio_frames`` exist; what lies
    after them is past the end of the source and can only be inside a span.
    """

    job_id: str
    sample_rate: Int64
    channels: Int64
    audio_frames: Int64
    window_frames: Int64
    spans: tuple[Span, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendInfo:
    """What a backend can do, as clients need to know it.

    ``sample_rate`` and ``channels`` are None where the backend works at whatever
    it is given. ``honours`` names the request fields that have an effect. ``first_seed``
    is taken where a request has no seed; None where any will do, and one is drawn.
    ``preferred_window_s`` is what it hears best: a window is lengthened to it where the
    source goes on. With ``open_models`` it knows more models than it lists, such as
    folders, and judges their names itself. ``costs_money`` is true of hosted services.
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
    """How much one engine takes on."""

    max_window_bytes: Int64
    max_queued_jobs: Int64
    max_queued_bytes: Int64


@dataclass(frozen=True, slots=True, kw_only=True)
class SeamReport:
    """How one edge of one span came out.

    ``frame`` is the edge's frame in the window. ``level_step_db`` is the level of the
    50 ms after the edge over that of the 50 ms before it. ``click_ratio`` is the largest
    linear-prediction residual at the edge over the 99.9th percentile of its
    neighbourhood's: near or below 1 nothing stands out. ``crossfade_law`` says how old
    and new were joined, ``correlation`` how alike they were. The engine rounds the figures
    to what can be heard.
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
    """Where the time of a job went, in seconds."""

    queued: float = 0.0
    encode: float = 0.0
    sample: float = 0.0
    decode: float = 0.0
    splice: float = 0.0
    total: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSummary:
    """One line of an engine's status."""

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
    """Asks for a job; one part, the window's audio of shape (channels, audio_frames)."""

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
    """Says that a result has come, so that the engine need not keep it any longer."""

    job_id: str


@dataclass(frozen=True, slots=True)
class Ping:
    """Shows that the client lives, and asks whether the engine does."""


@dataclass(frozen=True, slots=True)
class StatusRequest:
    """Asks what the engine is doing."""


@dataclass(frozen=True, slots=True)
class Stop:
    """Asks the engine to end."""


# From either side


@dataclass(frozen=True, slots=True)
class Goodbye:
    """Whoever sends it leaves.

    An engine has reported every job it had not finished before. The jobs that a client
    leaves behind are cancelled.
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
    """A job has its place; ``position`` 0 is the one that runs next."""

    job_id: str
    position: Int64


@dataclass(frozen=True, slots=True)
class Rejected:
    """A message was refused; ``job_id`` is empty when it was about no job."""

    job_id: str
    code: str
    message: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Progress:
    """A job moved on; ``fraction`` is that of the whole job, 0 to 1."""

    job_id: str
    stage: str
    fraction: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """A job's result.

    ``request`` is the one that was carried out, with every default filled in: sent
    again with the same audio it gives the same samples. The parts are one patch for
    each span of each take, takes outermost, of shape (channels, span length):
    crossfaded, at the source's rate, ready to stand in the span's place. ``notes`` say
    what is worth knowing and no warning: which model was chosen and why, what it cost.
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
        """Return the shapes of all patches in the order they travel."""
        shapes = tuple((self.request.channels, span.length) for span in self.request.spans)
        return shapes * len(self.takes)


@dataclass(frozen=True, slots=True)
class Failed:
    """A job ended without a result.

    Where the message or the hint name a file or folder of the engine's machine, ``path`` is
    its whole path. Clients on other machines are not told it.
    """

    job_id: str
    code: str
    message: str
    hint: str = ""
    path: str = ""


@dataclass(frozen=True, slots=True)
class Cancelled:
    """A job ended because it was asked to."""

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
