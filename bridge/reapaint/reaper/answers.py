"""The answers to jobs that came to nothing, and the sentences in them."""

from reapaint.errors import BridgeCode, BridgeError
from reapaint.reaper.messages import ErrorText, Failure, Request
from reapaint_engine.protocol.errors import ErrorCode, ReaPaintError, ReceivedCode
from reapaint_engine.protocol.messages import Failed, Rejected


def failure(job_id: str, error: ReaPaintError, instance: str) -> Failure:
    """Return the answer for a job that was refused or could not be done."""
    return Failure(job_id, ErrorText(error.code, error.message, error.hint), instance)


def cancelled(request: Request) -> Failure:
    """Return the answer for a job that was asked to end."""
    text = ErrorText(ErrorCode.CANCELLED, "The job was cancelled.")
    return Failure(request.job_id, text, request.instance)


def error_of(message: Failed | Rejected) -> ReaPaintError:
    """Return what the engine said."""
    return ReaPaintError(ReceivedCode(message.code), message.message, hint=message.hint)


def without_engine(error: ReaPaintError) -> ReaPaintError:
    """Return an error of the engine's end with what to do in REAPER, not in a terminal."""
    if error.code not in (BridgeCode.ENGINE_DIED, BridgeCode.ENGINE_UNREACHABLE):
        return error
    hint = (
        "Run the action again: it starts an engine where none runs. `reapaint doctor` tells more."
    )
    return ReaPaintError(error.code, error.message, hint=hint)


def taken_up_too_often(starts: int) -> BridgeError:
    """Return the error of a job that may be what ends bridges."""
    return BridgeError(
        BridgeCode.BRIDGE_DIED,
        f"The bridge ended {starts} times while it had this job.",
        hint="Look into its log, which `reapaint doctor` names, and run the action again.",
    )


def too_large() -> BridgeError:
    """Return the error of a job that this process has no memory for."""
    return BridgeError(
        ErrorCode.OUT_OF_MEMORY,
        "The machine has too little memory for this job.",
        hint="Select less, ask for less context, or for fewer takes.",
    )


def our_mistake(error: Exception) -> BridgeError:
    """Return the error of a job that met a mistake of ours."""
    return BridgeError(
        ErrorCode.INTERNAL_ERROR,
        f"ReaPaint made a mistake: {type(error).__name__}: {error}.",
        hint="Please report it, with the bridge's log, which `reapaint doctor` names.",
    )
