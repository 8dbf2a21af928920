"""The backend of a hosted service: its info, its costs, and a job's result."""

import logging
from collections.abc import Sequence
from pathlib import Path

from reapaint_engine.backends.base import (
    Backend,
    Fill,
    Generation,
    GenerationParams,
    JobControl,
    Window,
)
from reapaint_engine.backends.hosted.accounts import has_key, load_account
from reapaint_engine.backends.hosted.errors import HostedCode, HostedError
from reapaint_engine.backends.hosted.journal import Journal, journal_folder
from reapaint_engine.backends.hosted.pace import Clock, Pace, SystemClock
from reapaint_engine.backends.hosted.paid_requests import Delivery
from reapaint_engine.backends.hosted.planning import Plan, honoured_fields, plan_requests
from reapaint_engine.backends.hosted.service import HostedModel, Service
from reapaint_engine.protocol.errors import ErrorCode, ProtocolError, package_missing, reason_of
from reapaint_engine.protocol.messages import BackendInfo
from reapaint_engine.protocol.params import AUTO
from reapaint_engine.protocol.progress import Stage

SAMPLE_RATE = 44_100
"""The sample rate of every Stable Audio model, in Hz."""

CHANNELS = 2
"""The number of channels that every Stable Audio model makes."""

PREFERRED_WINDOW_S = 20.0
"""A request costs the same with any context; this much is uploaded quickly."""

_log = logging.getLogger(__name__)


class HostedBackend(Backend):
    """Fills spans by a hosted service. Nothing is sent, read or written before a job."""

    def __init__(
        self,
        service: Service,
        *,
        max_cost: float | None = None,
        pace: Pace | None = None,
        clock: Clock | None = None,
        folder: Path | None = None,
    ) -> None:
        """Create the backend; ``max_cost`` limits the cost of a job in USD, None doesn't."""
        self.service = service
        self._max_cost = max_cost
        self._pace = pace or Pace()
        self._clock = clock or SystemClock()
        self._folder = folder

    @property
    def info(self) -> BackendInfo:
        """Return the backend's info; its description states the prices."""
        models = self.service.models
        longest_s = max(model.takes.max_s for model in models)
        return BackendInfo(
            name=self.service.name,
            description=self._description(),
            models=tuple(model.name for model in models),
            default_model=models[0].name,
            modes=(AUTO,),
            honours=honoured_fields(models),
            max_window_s=longest_s,
            max_span_s=longest_s,
            sample_rate=SAMPLE_RATE,
            channels=CHANNELS,
            preferred_window_s=PREFERRED_WINDOW_S,
            costs_money=True,
        )

    def generate(
        self, window: Window, params: GenerationParams, seeds: Sequence[int], control: JobControl
    ) -> Generation:
        """Fill every span once for each seed, each by a request of its own.

        Raises
        ------
        HostedError
            The service or its answer can't be used; see ``HostedCode``.
        JobCancelled
            The job was cancelled.
        """
        control.step(Stage.ENCODE, 0.0)
        self._check_prompt(params)
        model = next(each for each in self.service.models if each.name == params.model)
        plans, warnings = plan_requests(self.service, model, window, params, seeds)
        account = load_account(self.service.login)
        journal = self._journal()
        self._check_cost(plans, model, journal, params.max_cost)
        try:
            from reapaint_engine.backends.hosted.job import HostedJob
        except ImportError as error:
            raise _package_missing(self.service, error) from error
        job = HostedJob(self.service, account, window, control, pace=self._pace, clock=self._clock)
        outcome = job.run(plans, journal)
        return Generation(
            fills=tuple(
                Fill(tuple(outcome.passages[take, index] for index in range(len(window.spans))))
                for take in range(len(seeds))
            ),
            model=model.name,
            model_revision=model.path,
            mode=AUTO,
            warnings=tuple(dict.fromkeys((*warnings, *outcome.warnings))),
            notes=_notes(self.service, model, outcome.deliveries),
        )

    def _description(self) -> str:
        login, models = self.service.login, self.service.models
        prices = ", ".join(f"{model.name} {usd(model.price_usd)}" for model in models)
        key = "" if has_key(login) else f"; needs your key in {login.key_variable}"
        return (
            f"sends the window to {login.title}, for money: {prices} for every take of every"
            f" span, by its prices of {models[0].price_date}{key}"
        )

    def _check_prompt(self, params: GenerationParams) -> None:
        if not params.prompt.strip():
            raise HostedError(
                ErrorCode.INVALID_PROMPT,
                f"{self.service.title} needs a prompt.",
                hint="Say what should be there with --prompt, or use the context backend.",
            )

    def _journal(self) -> Journal:
        try:
            journal = Journal(self._folder or journal_folder(), self._clock)
            journal.sweep()
        except (ProtocolError, OSError) as error:
            raise HostedError(
                ErrorCode.BACKEND_FAILED,
                f"Paid requests can't be recorded, so nothing was sent: {reason_of(error)}.",
                hint="Free some space, or name another folder in REAPAINT_STATE_DIR.",
            ) from error
        return journal

    def _check_cost(
        self, plans: Sequence[Plan], model: HostedModel, journal: Journal, asked: float | None
    ) -> None:
        """Raise HostedError if a job costs more than its limit, before anything is sent."""
        unknown = [plan for plan in plans if not journal.knows(plan.key)]
        new = len(unknown)
        if model.takes.seed is None:
            contents = {plan.content for plan in unknown}
            new -= min(new, sum(journal.left_behind(content) for content in contents))
        cost = None if model.price_usd is None else new * model.price_usd
        _log.info("%s: %d new requests, %s", self.service.name, new, usd(cost))
        limits = [limit for limit in (self._max_cost, asked) if limit is not None]
        if not limits or new == 0 or (cost is not None and cost <= min(limits)):
            return
        raise HostedError(
            HostedCode.TOO_EXPENSIVE,
            f"{_requests(new)} of {model.name} at {self.service.title} would cost {usd(cost)},"
            f" and the limit is {usd(min(limits))}.",
            hint="Ask for fewer takes or spans, choose another model, or raise --max-cost.",
        )


def usd(amount: float | None) -> str:
    """Return an amount as text: cents, and tenths of them where there are any."""
    if amount is None:
        return "an unknown price"
    text = f"{amount:.4f}".rstrip("0")
    whole, _, cents = text.partition(".")
    return f"${whole}.{cents:0<2}"


def _notes(service: Service, model: HostedModel, deliveries: Sequence[Delivery]) -> tuple[str, ...]:
    """Return notes on what was paid for, and what wasn't paid for again."""
    new = [delivery for delivery in deliveries if delivery.is_new]
    known = len(deliveries) - len(new)
    notes = []
    if new:
        costs = [delivery.cost_usd for delivery in new if delivery.cost_usd is not None]
        if len(costs) == len(new):
            said = f"{usd(sum(costs))} as the service says"
        elif model.price_usd is None:
            said = "an unknown price"
        else:
            said = f"{usd(len(new) * model.price_usd)} by the prices of {model.price_date}"
        notes.append(f"{_requests(len(new))} of {model.name} at {service.title} cost {said}.")
    if known:
        notes.append(f"{_requests(known)} had been paid for before: nothing was paid again.")
    return tuple(notes)


def _requests(number: int) -> str:
    return "1 request" if number == 1 else f"{number} requests"


def _package_missing(service: Service, error: ImportError) -> HostedError:
    return HostedError.of(
        package_missing(f"Calling {service.title}", error.name or "httpx", "'reapaint[hosted]'")
    )
