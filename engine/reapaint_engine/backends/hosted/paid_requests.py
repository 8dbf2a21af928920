"""Send one paid request and bring its answer, with every step written to the journal."""

import base64
import binascii
import hashlib
import json
import logging
import math
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from reapaint_engine.backends.hosted.errors import PAID_HINT, HostedCode, HostedError, maybe_paid
from reapaint_engine.backends.hosted.exchange import Request
from reapaint_engine.backends.hosted.journal import Claim, Record, RequestStage
from reapaint_engine.backends.hosted.pace import wait
from reapaint_engine.backends.hosted.service import (
    Failed,
    Finished,
    PaidRequest,
    PreparedAudio,
    Running,
    Service,
    State,
    Ticket,
)
from reapaint_engine.backends.hosted.session import Session
from reapaint_engine.errors import JobCancelled
from reapaint_engine.protocol.progress import OnFraction

POLL_SLOWDOWN_FACTOR = 1.25
MAX_POLL_INTERVAL_S = 10.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Delivery:
    """A request's answer. ``is_new`` is True if this job paid for it."""

    answer: bytes
    is_new: bool
    cost_usd: float | None


def digests(service: str, request: PaidRequest, seed: int) -> tuple[str, str]:
    """Return the digests of a request, with and without the seed.

    The first covers everything that a result depends on. Where a model takes no seed, the job's
    own seed still tells the takes apart.
    """
    fields = {
        "service": service,
        "path": request.model.path,
        "audio": hashlib.sha256(request.wav).hexdigest(),
        "mask": [request.mask_start_s, request.mask_end_s],
        "prompt": request.prompt,
        "negative_prompt": request.negative_prompt,
        "steps": request.steps,
        "guidance": request.guidance,
    }
    content = hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()
    return hashlib.sha256(f"{content} {seed}".encode()).hexdigest(), content


class RequestSender:
    """Sends the paid requests of one job, and brings their answers."""

    def __init__(self, service: Service, session: Session, on_fraction: OnFraction) -> None:
        self._service = service
        self._session = session
        self._on_fraction = on_fraction

    def deliver(
        self, request: PaidRequest, prepare: Callable[[], PreparedAudio], claim: Claim, content: str
    ) -> Delivery:
        """Return a request's answer: from the journal, a request left behind, or a new one.

        Raises
        ------
        HostedError
            There is no answer; the claim's record then states what is known.
        JobCancelled
            The job was cancelled. The service cancels the request if it can; otherwise its
            result can be fetched by the same request later.
        """
        record = claim.record
        if record is not None and record.stage is RequestStage.SENDING:
            claim.forget()
            raise maybe_paid(self._service.title, "the engine ended while it was being sent")
        if record is not None and (answer := claim.answer()) is not None:
            return Delivery(answer, is_new=False, cost_usd=record.cost_usd)
        is_new = record is None
        if record is None:
            prepared = prepare()
            finished = self._submit(request, prepared, claim, content)
        else:
            finished = None
        finished = finished or self._await(claim)
        return self._fetch(finished, claim, is_new=is_new)

    def _submit(
        self, request: PaidRequest, prepared: PreparedAudio, claim: Claim, content: str
    ) -> Finished | None:
        """Send the request; return None where its result has to be waited for."""
        record = Record(
            service=self._service.name,
            content=content,
            stage=RequestStage.SENDING,
            since_s=self._session.clock.epoch_s(),
        )
        claim.save(record)
        try:
            outcome = self._service.submit(self._session, request, prepared)
        except (HostedError, JobCancelled):
            # The user gets the error or has cancelled, and may choose to ask again.
            claim.forget()
            raise
        if isinstance(outcome, Failed):
            claim.forget()
            raise self._failed(outcome)
        if isinstance(outcome, Finished):
            return outcome
        claim.save(
            msgspec.structs.replace(
                record,
                stage=RequestStage.TAKEN,
                remote_id=outcome.remote_id,
                links=dict(outcome.links),
            )
        )
        return None

    def _await(self, claim: Claim) -> Finished:
        """Poll until there is a result."""
        assert claim.record is not None, "only a request that was taken is waited for"
        ticket = claim.record.ticket
        try:
            state = self._poll(ticket)
        except (JobCancelled, KeyboardInterrupt):
            if self._service.cancel(self._session, ticket):
                claim.forget()
            raise
        if isinstance(state, Failed):
            claim.forget()
            raise self._failed(state)
        return state

    def _poll(self, ticket: Ticket) -> Finished | Failed:
        session = self._session
        started_s = session.clock.monotonic_s()
        pause_s = self._service.poll_s
        while isinstance(state := self._state(ticket), Running):
            waited_s = session.clock.monotonic_s() - started_s
            if waited_s > session.pace.answer_s:
                raise HostedError(
                    HostedCode.SERVICE_TIMEOUT,
                    f"{self._service.title} had no result after {waited_s:.0f} s.",
                    hint="Ask for the same again later: you get its result and don't pay twice.",
                )
            # The progress is unknown: show half of the rest for every 15 s.
            self._on_fraction(1.0 - math.exp2(-waited_s / 15.0))
            wait(pause_s, session.clock, session.watch)
            pause_s = min(pause_s * POLL_SLOWDOWN_FACTOR, MAX_POLL_INTERVAL_S)
        return state

    def _state(self, ticket: Ticket) -> State:
        try:
            return self._service.poll(self._session, ticket)
        except HostedError as error:
            if error.code == HostedCode.SERVICE_REFUSED:
                return Failed(error.message)
            raise

    def _fetch(self, finished: Finished, claim: Claim, *, is_new: bool) -> Delivery:
        answer = self._download(finished, claim)
        record = claim.record
        assert record is not None, "a request has its record until it is forgotten"
        fetched = msgspec.structs.replace(
            record, stage=RequestStage.FETCHED, cost_usd=finished.cost_usd
        )
        claim.keep_answer(answer, fetched)
        return Delivery(answer, is_new=is_new, cost_usd=finished.cost_usd)

    def _download(self, finished: Finished, claim: Claim) -> bytes:
        """Return the sound; if its link has expired, a new link is requested once."""
        if isinstance(finished.audio, bytes):
            return finished.audio
        try:
            return self._open(finished.audio)
        except HostedError as error:
            if error.code != HostedCode.SERVICE_REFUSED:
                raise
            _log.info("the link to a result has expired; asking for another")
        again = self._await(claim)
        try:
            return again.audio if isinstance(again.audio, bytes) else self._open(again.audio)
        except HostedError as error:
            if error.code != HostedCode.SERVICE_REFUSED:
                raise
            claim.forget()
            raise HostedError(
                HostedCode.SERVICE_FAILED,
                f"{self._service.title} finished, but the link to its result has expired.",
                hint=PAID_HINT,
            ) from error

    def _open(self, link: str) -> bytes:
        if link.startswith("data:"):
            try:
                return base64.b64decode(link.partition(",")[2], validate=True)
            except binascii.Error:
                return b""
        return self._session.free(Request("GET", link)).body

    def _failed(self, failed: Failed) -> HostedError:
        return HostedError(
            HostedCode.SERVICE_FAILED,
            f"{self._service.title} could not make the audio{self._session.quote(failed.reason)}.",
            hint="Try again, or with another prompt. Your account there shows whether it was"
            " charged.",
        )
