"""What a service is to the backend: capabilities, prepare, submit, poll, cancel, price."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from reapaint_engine.backends.hosted.accounts import Login
from reapaint_engine.backends.hosted.session import Session


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a parameter may be, both ends included."""

    low: float
    high: float

    def clamp(self, value: float) -> float:
        """Return the nearest value that is allowed."""
        return min(max(value, self.low), self.high)


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What one model of a service takes; None and False stand for nothing at all.

    ``has_whole_seconds`` says that masks and lengths are whole seconds.
    """

    max_s: float
    min_s: float = 6.0
    steps: Bounds | None = None
    guidance: Bounds | None = None
    seed: Bounds | None = None
    has_negative_prompt: bool = False
    has_whole_seconds: bool = False


@dataclass(frozen=True, slots=True)
class HostedModel:
    """One model of a service: its name here, its path there, and its price.

    ``price_usd`` is that of one request, whatever its length, as the service's own pages
    told it on ``price_date``; None where they were not seen to tell any.
    """

    name: str
    path: str
    price_usd: float | None
    price_date: str
    takes: Capabilities


@dataclass(frozen=True, slots=True, kw_only=True)
class PaidRequest:
    """One request that will be paid for; every value is within what the model takes."""

    model: HostedModel
    wav: bytes = field(repr=False)
    duration_s: float
    mask_start_s: float
    mask_end_s: float
    prompt: str
    negative_prompt: str
    steps: int | None
    guidance: float | None
    seed: int | None


@dataclass(frozen=True, slots=True)
class PreparedAudio:
    """Audio that is in place for any number of requests.

    ``audio`` is where the service finds it, "" where it travels with the request. ``fields``
    are the service's own names where it has to be asked for them; ``lacks`` names what
    the model was found not to take.
    """

    audio: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)
    lacks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Ticket:
    """A request that the service has taken: all that is needed to come back for it."""

    remote_id: str
    links: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Running:
    """The service has not finished."""


@dataclass(frozen=True, slots=True)
class Finished:
    """There is a result: the sound itself, or the address of it."""

    audio: bytes | str = field(repr=False)
    cost_usd: float | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """The service gave up; ``reason`` is its own words."""

    reason: str


State = Running | Finished | Failed


class Service(Protocol):
    """One hosted service. It holds no state: everything it needs comes with a request."""

    @property
    def name(self) -> str:
        """The backend's name."""

    @property
    def title(self) -> str:
        """The name as its owners write it."""

    @property
    def models(self) -> tuple[HostedModel, ...]:
        """What it runs, the default first."""

    @property
    def login(self) -> Login:
        """Whose key it needs, and where that may go."""

    @property
    def poll_s(self) -> float:
        """How long to wait between two questions whether a result is there."""

    def prepare(self, session: Session, model: HostedModel, wav: bytes, /) -> PreparedAudio:
        """Put audio where the service can find it; nothing is paid yet."""

    def submit(
        self, session: Session, request: PaidRequest, prepared: PreparedAudio, /
    ) -> Ticket | Finished | Failed:
        """Make the request that is paid for; at once over where the service is synchronous."""

    def poll(self, session: Session, ticket: Ticket, /) -> State:
        """Ask how a request stands."""

    def cancel(self, session: Session, ticket: Ticket, /) -> bool:
        """Ask the service to end a request; False where it can't or didn't."""
