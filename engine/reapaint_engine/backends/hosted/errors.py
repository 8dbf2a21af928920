"""Errors of calls to a service, in addition to those of every job.

::

    JobError
    └── HostedError    with a HostedCode, or a code of the protocol where one fits
"""

from reapaint_engine.errors import JobError
from reapaint_engine.protocol.errors import Code


class HostedCode(Code):
    """Codes of hosted services; a script must not repeat a job that ended ``maybe_paid``."""

    NO_KEY = "no_key"
    KEY_REFUSED = "key_refused"
    NO_CREDIT = "no_credit"
    TOO_EXPENSIVE = "too_expensive"
    MAYBE_PAID = "maybe_paid"
    RATE_LIMITED = "rate_limited"
    SERVICE_UNREACHABLE = "service_unreachable"
    SERVICE_REFUSED = "service_refused"
    SERVICE_FAILED = "service_failed"
    SERVICE_TIMEOUT = "service_timeout"


class HostedError(JobError):
    """A request to a service can't be made, or its answer can't be used."""


PAID_HINT = "The request was paid: ask the service for a refund, or ask again for a new one."
"""The hint where the answer to a paid request can't be used."""


def no_upload(service: str, why: str) -> HostedError:
    """Return the error of a service that doesn't take an upload."""
    return HostedError(
        HostedCode.SERVICE_FAILED, f"{service} {why}.", hint="Try again; nothing was paid."
    )


def maybe_paid(service: str, why: str) -> HostedError:
    """Return the error of a request that may have arrived; it must not be repeated."""
    return HostedError(
        HostedCode.MAYBE_PAID,
        f"{service} may have taken the request and charged for it: {why}.",
        hint=f"Look at your account at {service}. Ask again only if you want to pay once more.",
    )
