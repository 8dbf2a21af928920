"""One job's requests to a service: free ones are retried, paid ones are never repeated."""

import json
import logging
import re
from dataclasses import dataclass
from typing import Any

from reapaint_engine.backends.hosted.accounts import Account
from reapaint_engine.backends.hosted.errors import HostedCode, HostedError, maybe_paid
from reapaint_engine.backends.hosted.exchange import (
    Answer,
    Broken,
    NotSent,
    Request,
    Transport,
    WhileWaiting,
)
from reapaint_engine.backends.hosted.pace import Clock, Pace, retry_after_s, wait

MAX_QUOTE_CHARACTERS = 300
"""Characters of a service's own words that an error may quote."""

TOO_MANY_REQUESTS = 429

_REMOTE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,199}\Z")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Session:
    """A transport that retries, waits and translates errors."""

    account: Account
    transport: Transport
    pace: Pace
    clock: Clock
    watch: WhileWaiting

    @property
    def title(self) -> str:
        """Return the service's name for sentences."""
        return self.account.login.title

    def free(self, request: Request) -> Answer:
        """Send a request that costs nothing, and retry it if the network fails.

        Raises
        ------
        HostedError
            The service refused it, or failed too often in a row.
        """
        failures = 0
        while True:
            failures += 1
            asked_s = 0.0
            try:
                answer = self.transport.exchange(request, self.watch)
            except (NotSent, Broken) as error:
                failure = self._unreachable(str(error))
            else:
                if answer.status < 300:
                    return answer
                failure = self.refusal(answer)
                if answer.status != TOO_MANY_REQUESTS and answer.status < 500:
                    raise failure
                asked_s = self._asked_s(answer)
            if failures > self.pace.repeats or asked_s > self.pace.longest_retry_after_s:
                raise failure
            self._back_off(failures, asked_s, failure)

    def paid(self, request: Request) -> Answer:
        """Send a request that costs money; retry it only if it certainly was not taken.

        Raises
        ------
        HostedError
            ``maybe_paid`` where it may have been taken; otherwise the service refused it or
            can't be reached, and nothing was paid.
        """
        failures = 0
        while True:
            failures += 1
            asked_s = 0.0
            try:
                answer = self.transport.exchange(request, self.watch)
            except NotSent as error:
                failure = self._unreachable(str(error))
            except Broken as error:
                raise maybe_paid(self.title, str(error)) from error
            else:
                if answer.status < 300:
                    return answer
                if answer.status >= 500:
                    raise maybe_paid(self.title, f"it answered with status {answer.status}")
                failure = self.refusal(answer)
                if answer.status != TOO_MANY_REQUESTS:
                    raise failure
                asked_s = self._asked_s(answer)
            if failures > self.pace.repeats or asked_s > self.pace.longest_retry_after_s:
                raise failure
            self._back_off(failures, asked_s, failure)

    def send_last(self, request: Request) -> Answer | None:
        """Send the last request of a cancelled job, once, with a short timeout."""
        try:
            return self.transport.exchange(request, within_s=self.pace.cancel_s)
        except (NotSent, Broken, HostedError) as error:
            _log.warning("%s was not told of the cancellation: %s", self.title, error)
            return None

    def refusal(self, answer: Answer) -> HostedError:
        """Return the error for an answer with a status of 300 or more."""
        quote = self.quote(words_of(answer))
        login = self.account.login
        match answer.status:
            case 401:
                return HostedError(
                    HostedCode.KEY_REFUSED,
                    f"{login.title} refused the key.",
                    hint=f"Check {login.key_variable}, and that your account has been topped up.",
                )
            case 402:
                return HostedError(
                    HostedCode.NO_CREDIT,
                    f"Your account at {login.title} has too little credit{quote}.",
                    hint="Top it up, and try again.",
                )
            case 429:
                return HostedError(
                    HostedCode.RATE_LIMITED,
                    f"{login.title} takes no more requests for now{quote}.",
                    hint="Try again in a minute, or with fewer takes.",
                )
            case status if status >= 500:
                return HostedError(
                    HostedCode.SERVICE_FAILED,
                    f"{login.title} is out of order (status {status}){quote}.",
                    hint="Try again later; a request that was taken is picked up, not paid twice.",
                )
            case status:
                return HostedError(
                    HostedCode.SERVICE_REFUSED,
                    f"{login.title} refused the request (status {status}){quote}.",
                    hint="Change what it complains about; nothing was paid for this request.",
                )

    def quote(self, words: str) -> str:
        """Return a service's words as the end of a sentence, without the key."""
        plain = " ".join(self.account.key.redact(words).split())[:MAX_QUOTE_CHARACTERS].rstrip(".")
        return f": {plain}" if plain else ""

    def _unreachable(self, why: str) -> HostedError:
        return HostedError(
            HostedCode.SERVICE_UNREACHABLE,
            f"{self.title} can't be reached: {why}.",
            hint="Check the network; a request that was taken is picked up, not paid twice.",
        )

    def _asked_s(self, answer: Answer) -> float:
        header = answer.headers.get("retry-after", "")
        return retry_after_s(header, self.clock.epoch_s()) or 0.0

    def _back_off(self, failures: int, asked_s: float, failure: HostedError) -> None:
        pause_s = max(self.pace.backoff_s(failures), asked_s)
        _log.info("%s; trying again in %.1f s", failure.message, pause_s)
        wait(pause_s, self.clock, self.watch)


def json_of(answer: Answer) -> dict[str, Any]:
    """Return the object of an answer; an empty one where it holds none."""
    try:
        content = json.loads(answer.body)
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def words_of(answer: Answer) -> str:
    """Return the text of an error answer, in whatever form the service gives it."""
    content = json_of(answer)
    for name in ("message", "error", "detail", "details", "errors", "name"):
        said = content.get(name)
        if isinstance(said, str) and said:
            return said
        if said:
            return json.dumps(said)
    return answer.headers.get("x-fal-error-type", "")


def text_at(content: object, *path: str) -> str:
    """Return the text at a path of an answer's object, "" where there is none."""
    for name in path:
        content = content.get(name) if isinstance(content, dict) else None
    return content if isinstance(content, str) else ""


def is_remote_id(text: str) -> bool:
    """Return whether a text can be a service's id, safe to use in an address."""
    return _REMOTE_ID.match(text) is not None
