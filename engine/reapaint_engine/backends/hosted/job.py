"""Send a job's requests one after the other, and fit their answers into its window."""

import contextlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

import msgspec
import numpy as np

from reapaint_engine.backends.base import JobControl, Passage, Window
from reapaint_engine.backends.hosted.accounts import Account
from reapaint_engine.backends.hosted.alignment import advance, measure_alignment
from reapaint_engine.backends.hosted.answers import UnreadableAnswer, decode_answer
from reapaint_engine.backends.hosted.errors import PAID_HINT, HostedCode, HostedError
from reapaint_engine.backends.hosted.journal import Claim, Journal, RequestStage
from reapaint_engine.backends.hosted.pace import Clock, Pace
from reapaint_engine.backends.hosted.paid_requests import Delivery, RequestSender
from reapaint_engine.backends.hosted.planning import Plan, not_taken
from reapaint_engine.backends.hosted.service import PreparedAudio, Service
from reapaint_engine.backends.hosted.session import Session
from reapaint_engine.backends.hosted.transport import HttpTransport
from reapaint_engine.protocol.arrays import Audio
from reapaint_engine.protocol.progress import Stage
from reapaint_engine.protocol.spans import Span

MARGIN_FRAMES = 1024
"""How much of an answer is taken beyond its span, so that resampling has no edge there."""

MAX_MISSING_S = 0.1
"""An answer may lack this much at a span's end, as codecs do; if it lacks more, it is refused."""

MAX_EXTRA_S = 30.0
"""An answer may be this much longer than requested; the rest isn't decoded."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a job's requests: passages by take and span."""

    passages: dict[tuple[int, int], Passage] = field(default_factory=dict)
    deliveries: list[Delivery] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


class HostedJob:
    """One job: sends its paid requests, and fits their answers into its window."""

    def __init__(
        self,
        service: Service,
        account: Account,
        window: Window,
        control: JobControl,
        *,
        pace: Pace,
        clock: Clock,
    ) -> None:
        self._service = service
        self._window = window
        self._control = control
        self._stage, self._done = Stage.ENCODE, 0.0
        self._session = Session(account, HttpTransport(account, pace), pace, clock, self._watch)
        self._prepared: dict[int, PreparedAudio] = {}

    def run(self, plans: Sequence[Plan], journal: Journal) -> Outcome:
        """Return every plan's passage.

        Raises
        ------
        HostedError
            A request failed. Those before it stay in the journal: they are not paid twice.
        JobCancelled
            The job was cancelled.
        """
        outcome = Outcome()
        claims = []
        with contextlib.ExitStack() as stack:
            # Claims are held to the end: an answer must not be used for another take as well.
            for number, plan in enumerate(plans):
                claim = stack.enter_context(
                    journal.claim(
                        plan.key, plan.content, any_seed=plan.request.model.takes.seed is None
                    )
                )
                if claim is None:
                    raise self._busy()
                claims.append(claim)
                self._deliver(plan, claim, outcome, begin=number / len(plans), share=1 / len(plans))
            for claim in claims:
                if claim.record is not None:
                    claim.save(msgspec.structs.replace(claim.record, stage=RequestStage.DELIVERED))
        for prepared in self._prepared.values():
            outcome.warnings.extend(
                not_taken(self._service, plans[0].request.model.name, name)
                for name in prepared.lacks
                if name in _requested_names(plans[0])
            )
        return outcome

    def _deliver(
        self, plan: Plan, claim: Claim, outcome: Outcome, *, begin: float, share: float
    ) -> None:
        def report(stage: Stage, done: float) -> None:
            self._report(stage, begin + share * done)

        report(Stage.ENCODE, 0.0)
        sender = RequestSender(self._service, self._session, partial(report, Stage.SAMPLE))
        delivery = sender.deliver(plan.request, partial(self._prepare, plan), claim, plan.content)
        report(Stage.DECODE, 0.95)
        passage = self._passage(plan, delivery, claim, outcome.warnings)
        outcome.passages[plan.take, plan.index] = passage
        outcome.deliveries.append(delivery)

    # Control

    def _report(self, stage: Stage, done: float) -> None:
        self._stage, self._done = stage, done
        self._watch()

    def _watch(self) -> None:
        self._control.step(self._stage, min(self._done, 1.0))

    # Parts of one request

    def _prepare(self, plan: Plan) -> PreparedAudio:
        """Upload a span's section once for all its takes."""
        if plan.index not in self._prepared:
            self._prepared[plan.index] = self._service.prepare(
                self._session, plan.request.model, plan.request.wav
            )
        return self._prepared[plan.index]

    def _passage(
        self, plan: Plan, delivery: Delivery, claim: Claim, warnings: list[str]
    ) -> Passage:
        """Return an answer at its place in the window."""
        rate, section = self._window.sample_rate, plan.section
        try:
            answer = decode_answer(delivery.answer, rate, section.frames / rate + MAX_EXTRA_S)
        except UnreadableAnswer as error:
            claim.forget()
            raise self._useless(str(error)) from error
        answer = self._aligned(plan, answer, warnings)
        span = self._window.spans[plan.index].shifted(-section.origin)
        wanted = Span(
            max(span.start - MARGIN_FRAMES, 0), min(span.end + MARGIN_FRAMES, section.frames)
        )
        missing = span.end - answer.shape[1]
        if missing > MAX_MISSING_S * rate:
            claim.forget()
            raise self._useless(
                f"it is {answer.shape[1] / rate:.1f} s long where {section.frames / rate:.1f} s"
                " were asked for"
            )
        if missing > 0:
            warnings.append(
                f"{self._service.title} sent {missing / rate:.3f} s too little;"
                " the end of the span is silent."
            )
            answer = np.pad(answer, ((0, 0), (0, missing)))
        cut = np.ascontiguousarray(answer[:, wanted.start : wanted.end])
        return Passage(wanted.start + section.origin, cut)

    def _aligned(self, plan: Plan, answer: Audio, warnings: list[str]) -> Audio:
        """Return an answer in time with what was sent, and at its level."""
        section, rate = plan.section, self._window.sample_rate
        found = measure_alignment(section.audio, answer, section.kept, rate)
        if found is None:
            if section.kept:
                warnings.append(
                    f"{self._service.title} may have moved the sound in time: the context that it"
                    " sent back is too different to measure this."
                )
            return answer * np.float32(1.0 / plan.gain)
        _log.info(
            "%s: delay %.2f frames, gain %.3f, correlation %.3f",
            self._service.name,
            found.delay_frames,
            found.gain,
            found.correlation,
        )
        return advance(answer, found.delay_frames) * np.float32(found.gain)

    # Errors

    def _useless(self, why: str) -> HostedError:
        return HostedError(
            HostedCode.SERVICE_FAILED,
            f"The answer of {self._service.title} can't be used: {why}.",
            hint=PAID_HINT,
        )

    def _busy(self) -> HostedError:
        return HostedError(
            HostedCode.SERVICE_REFUSED,
            "Another engine of yours is waiting for the same request.",
            hint="Wait for it, or ask with another seed.",
        )


def _requested_names(plan: Plan) -> set[str]:
    """Return the names of the parameters in a request that a model might not take."""
    request = plan.request
    given = {
        "negative_prompt": request.negative_prompt or None,
        "steps": request.steps,
        "guidance": request.guidance,
        "seed": request.seed,
    }
    return {name for name, value in given.items() if value is not None}
