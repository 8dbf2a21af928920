"""The answers to jobs that came to nothing, and the sentences in them."""

from reapaint.errors import BridgeCode, BridgeError
from reapaint.reaper.messages import ErrorText, Failure, Request
from reapaint_engine.protocol.errors import (
    JOB_CANCELLED,
    ErrorCode,
    ReaPaintError,
    internal_error,
)


def failure(job_id: str, error: ReaPaintError, instance: str) -> Failure:
    """Return the answer for a job that was refused or could not be done."""
    return Failure(job_id, ErrorText(error.code, error.message, error.hint), instance)


def cancelled(request: Request) -> Failure:
    """Return the answer for a job that was asked to end."""
    text = ErrorText(ErrorCode.CANCELLED, JOB_CANCELLED)
    return Failure(request.job_id, text, request.instance)


def without_engine(error: ReaPaintError) -> ReaPaintError:
    """Return an error of the engine's end with what to do in REAPER, not in a terminal."""
    if error.code not in (BridgeCode.ENGINE_DIED, BridgeCode.ENGINE_UNREACHABLE):
        return error
    hint = (
        "Run the action again: it starts an engine where none runs. `reapaint doctor` tells more."
    )
    return ReaPaintError.of(error, hint=hint)


def taken_up_too_often(attempts: int) -> BridgeError:
    """Return the error of a job that may be what ends bridges."""
    return BridgeError(
        BridgeCode.BRIDGE_DIED,
        f"The bridge ended {attempts} times while it had this job.",
        hint="Look into its log, which `reapaint doctor` names, and run the action again.",
    )


def our_mistake(error: Exception) -> ReaPaintError:
    """Return the error of a job that met a mistake of ours."""
    return internal_error(
        f"{type(error).__name__}: {error}",
        hint="Please report it, with the bridge's log, which `reapaint doctor` names.",
    )
