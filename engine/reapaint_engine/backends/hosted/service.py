"""The interface of a service: capabilities, prepare, submit, poll, cancel, price."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from reapaint_engine.backends.hosted.accounts import Login
from reapaint_engine.backends.hosted.session import Session


@dataclass(frozen=True, slots=True)
class Bounds:
    """The lowest and highest value of a parameter, both allowed."""

    low: float
    high: float

    def clamp(self, value: float) -> float:
        """Return the nearest value that is allowed."""
        return min(max(value, self.low), self.high)


@dataclass(frozen=True, slots=True)
class Capabilities:
    """The parameters that a model of a service takes; None or False where it takes none.

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
    """One model of a service: its name here, its path at the service, and its price.

    ``price_usd`` is the price of one request of any length, as the service's own pages stated
    it on ``price_date``; None where they stated none.
    """

    name: str
    path: str
    price_usd: float | None
    price_date: str
    takes: Capabilities


@dataclass(frozen=True, slots=True, kw_only=True)
class PaidRequest:
    """One request that will be paid for; every value is within the model's limits."""

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
    """Audio that is ready for any number of requests.

    ``audio`` is its address at the service, "" where it is sent with each request. ``fields``
    are the service's own input names, where they had to be requested. ``lacks`` names the
    parameters that the model turned out not to take.
    """

    audio: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)
    lacks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Ticket:
    """The data needed to find a request again that the service has taken."""

    remote_id: str
    links: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Running:
    """The service has not finished."""


@dataclass(frozen=True, slots=True)
class Finished:
    """There is a result: the sound itself, or its address."""

    audio: bytes | str = field(repr=False)
    cost_usd: float | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """The service gave up; ``reason`` is in its own words."""

    reason: str


State = Running | Finished | Failed


class Service(Protocol):
    """One hosted service. It has no state: everything it needs comes with a request."""

    @property
    def name(self) -> str:
        """Return the backend's name."""

    @property
    def title(self) -> str:
        """Return the name as its owners write it."""

    @property
    def models(self) -> tuple[HostedModel, ...]:
        """Return its models, the default first."""

    @property
    def login(self) -> Login:
        """Return which key it needs, and where that may be sent."""

    @property
    def poll_s(self) -> float:
        """Return how long to wait between two polls, in seconds."""

    def prepare(self, session: Session, model: HostedModel, wav: bytes, /) -> PreparedAudio:
        """Put audio where the service can find it; nothing is paid yet."""

    def submit(
        self, session: Session, request: PaidRequest, prepared: PreparedAudio, /
    ) -> Ticket | Finished | Failed:
        """Send the paid request; a synchronous service returns the result at once."""

    def poll(self, session: Session, ticket: Ticket, /) -> State:
        """Request the state of a request."""

    def cancel(self, session: Session, ticket: Ticket, /) -> bool:
        """Cancel a request; return False where the service can't or didn't."""
