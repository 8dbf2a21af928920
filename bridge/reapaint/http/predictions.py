"""Predictions: what was asked of the gateway, how far it is, and what came of it."""

import asyncio
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

import msgspec

from reapaint.http.errors import HttpCode, Refused
from reapaint.http.store import StoredFile
from reapaint.repaint import Output, Report
from reapaint.request_settings import RequestSettings
from reapaint_engine.protocol.errors import JOB_CANCELLED, ErrorCode, ReaPaintError
from reapaint_engine.protocol.progress import Stage


class State(StrEnum):
    """One prediction's life, by the engine's own words for a job's."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


ENDED = (State.DONE, State.FAILED, State.CANCELLED)


@dataclass(frozen=True, slots=True)
class Webhook:
    """Who is told of a prediction's end, and in which words."""

    url: str
    """Empty: nobody."""
    content: Callable[["Prediction", tuple[str, ...]], msgspec.Struct]
    """Returns what to say of a prediction and its outputs."""
    secret: str = ""
    """Signs what is sent. Empty: the gateway's own secret does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictionRequest:
    """What is asked for, whichever API it came by.

    ``model`` is the path it was asked under, ``given`` the input as it came, but for audio
    that it held. ``base_url`` is where the client reaches the gateway.
    """

    model: str
    audio: str = field(repr=False)
    selections_s: tuple[tuple[float, float], ...]
    settings: RequestSettings
    output_format: str
    base_url: str
    given: dict[str, object]
    webhook: Webhook
    is_inline: bool = False
    """The audio came within the request: nobody else has its id."""
    is_alias: bool = False
    """The path is a hosted model's, which a model of this machine stands in for."""
    wants_base64: bool = False


@dataclass(frozen=True, slots=True)
class Take:
    """One variation: its file, and how it came out."""

    file: StoredFile
    output: Output


@dataclass(eq=False)
class Prediction:
    """One request's life; changed through its own methods, from any thread."""

    request: PredictionRequest
    prediction_id: str = field(default_factory=lambda: secrets.token_hex(16))
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    created_s: float = field(default_factory=time.monotonic)
    state: State = State.QUEUED
    stage: str = Stage.QUEUED
    fraction: float = 0.0
    started_s: float = 0.0
    ended_s: float = 0.0
    error: ReaPaintError | None = None
    report: Report | None = None
    takes: tuple[Take, ...] = ()
    warnings: tuple[str, ...] = ()
    is_cancelled: bool = False
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.state in ENDED

    @property
    def run_s(self) -> float:
        """How long it was worked on, in seconds."""
        return max(self.ended_s - self.started_s, 0.0) if self.started_s else 0.0

    @property
    def all_warnings(self) -> list[str]:
        """What a person should know of its result: the report's warnings and the gateway's."""
        return [*(self.report.warnings if self.report else ()), *self.warnings]

    @property
    def notes(self) -> list[str]:
        """What the backend tells of its result."""
        return list(self.report.notes) if self.report else []

    @property
    def seeds(self) -> list[int]:
        """Each take's seed."""
        return [take.output.seed for take in self.takes]

    def check(self) -> None:
        """Say whether it is still wanted.

        Raises
        ------
        PredictionCancelled
            Somebody asked for its end.
        """
        if self.is_cancelled:
            raise PredictionCancelled

    def move(self, stage: str, fraction: float) -> None:
        """Take note of progress; the first thing done for it begins the work.

        Raises
        ------
        PredictionCancelled
            Somebody asked for its end.
        """
        self.check()
        with self._lock:
            if self.state is State.QUEUED and stage != Stage.QUEUED:
                self.state, self.started_s = State.RUNNING, time.monotonic()
        self.stage, self.fraction = stage, min(max(fraction, self.fraction), 1.0)

    def finish(
        self, report: Report, takes: tuple[Take, ...], warnings: tuple[str, ...] = ()
    ) -> bool:
        """Take note of its result; tells whether that is how it ended."""
        with self._lock:
            if self.has_ended:
                return False
            self.report, self.takes, self.warnings = report, takes, warnings
            self.stage, self.fraction = Stage.DONE, 1.0
            self._end(State.DONE)
        return True

    def fail(self, error: ReaPaintError) -> None:
        """Take note that it can't be done, or that somebody asked for its end."""
        with self._lock:
            if self.has_ended:
                return
            self.error = error.for_stranger()
            is_cancelled = error.code == ErrorCode.CANCELLED and self.is_cancelled
            self._end(State.CANCELLED if is_cancelled else State.FAILED)

    def cancel(self) -> bool:
        """Ask for its end; tells whether there was anything to end."""
        with self._lock:
            if self.has_ended:
                return False
            self.is_cancelled = True
            if self.state is State.QUEUED:
                self.error = PredictionCancelled()
                self._end(State.CANCELLED)
        return True

    def _end(self, state: State) -> None:
        self.state, self.ended_s = state, time.monotonic()
        self._loop.call_soon_threadsafe(self.ended.set)


class PredictionCancelled(ReaPaintError):
    """Somebody asked for a prediction's end."""

    def __init__(self) -> None:
        super().__init__(ErrorCode.CANCELLED, JOB_CANCELLED, hint="Send it again if it is wanted.")


class Predictions:
    """All predictions that are remembered, the oldest first. It belongs to the event loop."""

    def __init__(self, *, max_waiting: int, max_kept: int, keep_s: float) -> None:
        self._max_waiting = max_waiting
        self._max_kept = max_kept
        self._keep_s = keep_s
        self._all: OrderedDict[str, Prediction] = OrderedDict()
        self._active: OrderedDict[str, Prediction] = OrderedDict()

    def __iter__(self) -> Iterator[Prediction]:
        return iter(tuple(self._all.values()))

    @property
    def active(self) -> tuple[Prediction, ...]:
        """Those that have not ended, the oldest first."""
        return tuple(each for each in self._active.values() if not each.has_ended)

    def add(self, request: PredictionRequest) -> Prediction:
        """Remember a new one.

        Raises
        ------
        Refused
            429 ``too_many``: as many wait already as may.
        """
        if len(self._active) >= self._max_waiting:
            raise Refused(
                429,
                HttpCode.TOO_MANY,
                f"{len(self._active)} predictions wait or run already.",
                hint="Send it again when one has ended, or cancel one.",
            )
        prediction = Prediction(request)
        self._all[prediction.prediction_id] = prediction
        self._active[prediction.prediction_id] = prediction
        return prediction

    def find(self, prediction_id: str) -> Prediction | None:
        """Return the prediction of an id."""
        return self._all.get(prediction_id)

    def position(self, prediction: Prediction) -> int:
        """Return how many that have not ended were asked for before."""
        if prediction.has_ended:
            return 0
        before = 0
        for each in self._active.values():
            if each is prediction:
                break
            before += not each.has_ended
        return before

    def let_go(self, prediction: Prediction) -> None:
        """Take note that the work on one is over."""
        self._active.pop(prediction.prediction_id, None)

    def forget(self, prediction: Prediction) -> None:
        """Remember one no longer; it must have ended."""
        self._all.pop(prediction.prediction_id, None)

    def old(self) -> list[Prediction]:
        """Return those that are to be forgotten: too old, or too many."""
        now_s = time.monotonic()
        ended = [each for each in self._all.values() if each.prediction_id not in self._active]
        surplus = max(len(self._all) - self._max_kept, 0)
        return [
            each
            for number, each in enumerate(ended)
            if number < surplus or now_s - each.ended_s > self._keep_s
        ]
