"""What the gateway refuses, with the HTTP status that says so.

::

    ReaPaintError
    └── BridgeError
        └── Refused     an HTTP request that is not carried out
"""

from reapaint.errors import BridgeError
from reapaint_engine.protocol.errors import (
    Code,
    ErrorCode,
    ReaPaintError,
    ReceivedCode,
    internal_error,
)


class HttpCode(Code):
    """Codes of the gateway alone; those of jobs are the bridge's and the protocol's."""

    INVALID_REQUEST = "invalid_request"
    INVALID_URL = "invalid_url"
    HOST_NOT_ALLOWED = "host_not_allowed"
    FETCH_FAILED = "fetch_failed"
    TOO_LONG = "too_long"
    TOO_SLOW = "too_slow"
    CROSS_SITE = "cross_site"
    WRONG_HOST = "wrong_host"
    NOT_FOUND = "not_found"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    IN_USE = "in_use"
    NOT_FINISHED = "not_finished"
    UNSUPPORTED_MEDIA_TYPE = "unsupported_media_type"
    TOO_MANY = "too_many"
    STORE_FULL = "store_full"
    SERVER_STOPPING = "server_stopping"


class Refused(BridgeError):
    """A request that is not carried out; ``status`` is its HTTP status."""

    def __init__(
        self, status: int, code: Code | ReceivedCode, message: str, *, hint: str = ""
    ) -> None:
        super().__init__(code, message, hint=hint)
        self.status = status


def refusal_of(error: ReaPaintError, status: int) -> Refused:
    """Return any error as the answer to a request."""
    return Refused(status, error.code, error.message, hint=error.hint)


def bad_request(message: str, hint: str, code: Code = HttpCode.INVALID_REQUEST) -> Refused:
    """Return the refusal of a request that nothing can be made of."""
    return Refused(400, code, message, hint=hint)


def not_found(what: str, hint: str) -> Refused:
    """Return the answer about something that is not there, or not any more."""
    return Refused(404, HttpCode.NOT_FOUND, f"There is no {what}.", hint=hint)


def too_large(limit_bytes: int, what: str = "The file") -> Refused:
    """Return the refusal of more bytes than are taken."""
    return Refused(
        413,
        ErrorCode.TOO_LARGE,
        f"{what} is larger than the {limit_bytes / 2**20:.0f} MiB that this server takes.",
        hint="Send less, or start the server with a larger --http-max-upload-mib.",
    )


def our_mistake(error: Exception) -> ReaPaintError:
    """Return what to say of an error that nobody foresaw."""
    return internal_error(
        type(error).__name__, hint="The server's log has the details; please report it."
    )


def status_of(error: ReaPaintError) -> int:
    """Return the HTTP status of any error of ours."""
    if isinstance(error, Refused):
        return error.status
    return 507 if error.code == ErrorCode.DISK_FULL else 400
