"""Requests to a service and their answers, independent of what sends them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

WhileWaiting = Callable[[], None]


class NotSent(Exception):
    """A request certainly did not arrive; it may be sent again."""


class Broken(Exception):
    """A request may or may not have arrived."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request; the key is added where the address is the service's own."""

    method: str
    url: str
    json: Mapping[str, Any] | None = field(default=None, repr=False)
    form: Mapping[str, str] | None = field(default=None, repr=False)
    file: tuple[str, bytes] | None = field(default=None, repr=False)
    """The name of the form's field that holds a WAV file, and the file."""
    content: bytes | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a request; the names of headers are in lower case."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


class Transport(Protocol):
    """Sends one request at a time."""

    def exchange(
        self, request: Request, watch: WhileWaiting | None = None, *, within_s: float | None = None
    ) -> Answer:
        """Send a request and return the answer, whatever its status.

        Raises
        ------
        NotSent, Broken
            There is no answer. With NotSent the request certainly did not arrive; with Broken
            it may have.
        """
