"""The root of all errors that users see, and the codes and messages that both sides share.

Every package derives its own tree from ``ReaPaintError``; each error has one sentence that
says what is wrong and a hint that says what to do.

::

    ReaPaintError             a code, a sentence, a hint, and the path they name
    ├── ProtocolError         a message or request that breaks the contract
    ├── SettingError          a flag or variable that can't be used
    ├── EngineError           the errors of an engine: reapaint_engine.errors
    ├── BridgeError           the errors of a command: reapaint.errors
    └── PredictionCancelled   it was cancelled: reapaint.http.predictions
"""

import errno
import os
from collections.abc import Iterable
from enum import StrEnum
from pathlib import PurePath
from typing import NewType, Self


class Code(StrEnum):
    """A code that scripts may rely on; messages may change, codes don't.

    Every code is in one subclass: in ``ErrorCode`` where both sides know it, otherwise in that
    of the only package that raises it.
    """


ReceivedCode = NewType("ReceivedCode", str)
"""A code from the other side, whose version may have codes that this one doesn't."""


class ErrorCode(Code):
    """Codes of messages, requests and jobs, and others that both sides know."""

    # Messages
    MALFORMED_MESSAGE = "malformed_message"
    INCOMPATIBLE_VERSION = "incompatible_version"
    UNKNOWN_TYPE = "unknown_type"
    INVALID_FIELD = "invalid_field"
    PART_MISMATCH = "part_mismatch"
    NOT_FINITE = "not_finite"
    TOO_LARGE = "too_large"
    # Requests
    INVALID_JOB_ID = "invalid_job_id"
    INVALID_SPANS = "invalid_spans"
    INVALID_AUDIO_FORMAT = "invalid_audio_format"
    INVALID_PROMPT = "invalid_prompt"
    INVALID_STEPS = "invalid_steps"
    INVALID_GUIDANCE = "invalid_guidance"
    INVALID_SEED = "invalid_seed"
    INVALID_TAKES = "invalid_takes"
    INVALID_STRENGTH = "invalid_strength"
    INVALID_CROSSFADE = "invalid_crossfade"
    INVALID_CONTEXT = "invalid_context"
    INVALID_COST = "invalid_cost"
    # Sessions and the queue
    NOT_AUTHORISED = "not_authorised"
    JOB_ID_REUSED = "job_id_reused"
    QUEUE_FULL = "queue_full"
    UNKNOWN_JOB = "unknown_job"
    ENGINE_STOPPING = "engine_stopping"
    # Settings, files and packages
    INVALID_OPTION = "invalid_option"
    FILE_NOT_FOUND = "file_not_found"
    OUTPUT_NOT_WRITABLE = "output_not_writable"
    DISK_FULL = "disk_full"
    PACKAGE_MISSING = "package_missing"
    # Work
    UNKNOWN_BACKEND = "unknown_backend"
    UNKNOWN_MODEL = "unknown_model"
    UNKNOWN_MODE = "unknown_mode"
    NO_CONTEXT = "no_context"
    NO_LIBRARY = "no_library"
    NO_MATCH = "no_match"
    NO_MODEL = "no_model"
    MODEL_BROKEN = "model_broken"
    MODEL_NOT_OURS = "model_not_ours"
    DEVICE_FAILED = "device_failed"
    OUT_OF_MEMORY = "out_of_memory"
    BACKEND_FAILED = "backend_failed"
    CANCELLED = "cancelled"
    INTERNAL_ERROR = "internal_error"


THE_PATH = "{path}"
"""Placeholder in a message for the error's path."""


class ReaPaintError(Exception):
    """An error for the user: a stable code, a sentence, and a hint.

    The sentence and the hint may contain ``THE_PATH``. Users of this machine see the whole path
    there; users on a network see the result of ``for_stranger``.
    """

    def __init__(
        self,
        code: Code | ReceivedCode,
        message: str,
        *,
        hint: str = "",
        path: str | os.PathLike[str] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.path = "" if path is None else _printable(path)
        self._sentence = message
        self._hint = hint

    @classmethod
    def of(
        cls, error: "ReaPaintError", *, code: Code | None = None, hint: str | None = None
    ) -> Self:
        """Return another error as one of this class, with another code or hint if given."""
        return cls(
            code or error.code,
            error._sentence,  # noqa: SLF001 - another error of this very class
            hint=error._hint  # noqa: SLF001
            if hint is None
            else hint,
            path=error.path or None,
        )

    @property
    def message(self) -> str:
        """Return the sentence that says what is wrong."""
        return self._shown(self._sentence, self.path)

    @property
    def hint(self) -> str:
        """Return the hint that says what to do; empty where there is nothing to do."""
        return self._shown(self._hint, self.path)

    def for_stranger(self, name: str = "") -> "ReaPaintError":
        """Return the error for people who may not see this machine's folders.

        In the path's place they see ``name``, or else the last part of the path.
        """
        shown = name or PurePath(self.path).name
        sentence = self._shown(self._sentence, shown)
        if name:
            sentence = sentence[:1].upper() + sentence[1:]
        return ReaPaintError(self.code, sentence, hint=self._shown(self._hint, shown))

    def _shown(self, text: str, path: str) -> str:
        return text.replace(THE_PATH, path) if self.path else text

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


class ProtocolError(ReaPaintError):
    """A message or request that breaks the contract."""


def not_authorised() -> ProtocolError:
    """Return the error of a client that has not sent the engine's token."""
    return ProtocolError(
        ErrorCode.NOT_AUTHORISED,
        "The engine does not know this client.",
        hint="Say Hello with the token of the engine's connection file first.",
    )


class SettingError(ReaPaintError):
    """A flag or variable of a program that can't be used."""

    def __init__(self, message: str, *, hint: str) -> None:
        super().__init__(ErrorCode.INVALID_OPTION, message, hint=hint)


JOB_CANCELLED = "The job was cancelled."
PIECE_BY_PIECE = "Select less, or repaint it piece by piece."
"""The hint where a selection is too long."""
REPAIR_SAMPLES = "Repair the file: it has NaN or infinite samples."

_NO_ROOM = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC), errno.EFBIG)
_WINDOWS_NO_ROOM = (39, 112)
"""ERROR_HANDLE_DISK_FULL and ERROR_DISK_FULL."""


def out_of_memory() -> ReaPaintError:
    """Return the error of a job that needs more memory than there is."""
    return ReaPaintError(
        ErrorCode.OUT_OF_MEMORY,
        "The machine has too little memory for this job.",
        hint="Select less, ask for less context, or for fewer takes.",
    )


def internal_error(what: str, *, hint: str) -> ReaPaintError:
    """Return the error of a mistake in ReaPaint.

    ``what`` is the exception's type. The exception's text is unpredictable, so it may follow
    only where users of this machine alone see it.
    """
    return ReaPaintError(ErrorCode.INTERNAL_ERROR, f"ReaPaint made a mistake: {what}.", hint=hint)


def unknown_choice(code: ErrorCode, kind: str, name: str, choices: Iterable[str]) -> ReaPaintError:
    """Return the error of a name that is not among the choices."""
    listed = ", ".join(choices) or "none, here"
    return ReaPaintError(
        code, f"There is no {kind} {name[:60]!r}.", hint=f"Choose one of: {listed}."
    )


def package_missing(what: str, package: str, install: str) -> ReaPaintError:
    """Return the error of a missing package; ``install`` is the argument for pip."""
    return ReaPaintError(
        ErrorCode.PACKAGE_MISSING,
        f"{what} needs the package {package}, which is not installed.",
        hint=f"Install it with `pip install {install}`.",
    )


def not_writable(path: str | os.PathLike[str], error: OSError, hint: str) -> ReaPaintError:
    """Return the error of a file or folder that the system doesn't let us write."""
    return ReaPaintError(
        ErrorCode.OUTPUT_NOT_WRITABLE,
        f"{THE_PATH} can't be written: {reason_of(error)}.",
        hint=hint,
        path=path,
    )


def is_disk_full(error: OSError) -> bool:
    """Return whether a full disk, a quota or a limit of the file size caused an error."""
    return error.errno in _NO_ROOM or getattr(error, "winerror", None) in _WINDOWS_NO_ROOM


def reason_of(error: Exception) -> str:
    """Return the reason of an error, without the folder of its file."""
    if isinstance(error, ReaPaintError):
        return error.for_stranger().message.rstrip(".")
    said = error.strerror if isinstance(error, OSError) else None
    return (said or str(error)).rstrip(".")


def _printable(path: str | os.PathLike[str]) -> str:
    """Return a path as text that can be sent, even if its name is not valid text."""
    return os.fspath(path).encode("utf-8", "replace").decode("utf-8")
