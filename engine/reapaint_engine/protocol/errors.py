"""What can be wrong with a message, as stable codes.

``ReaPaintError`` is the root that a user can meet: every package derives its own
tree from it, and each error says in one sentence what is wrong and in another
what to do.

::

    ReaPaintError                a code, a sentence, a hint
    ├── ProtocolError            a message or request that breaks the contract
    ├── SettingError             a flag or variable that can't be used
    ├── reapaint_engine.errors            what an engine can fail at
    └── reapaint.errors            what a command can fail at
"""

from enum import StrEnum
from typing import NewType


class Code(StrEnum):
    """A code that scripts may rely on; a sentence may change, a code does not.

    Every code stands in one subclass: in ``ErrorCode`` where both sides know it, else in
    the one of the package that alone raises it.
    """


ReceivedCode = NewType("ReceivedCode", str)
"""A code as the other side sent it; another version may have codes that this one has not."""


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


class ReaPaintError(Exception):
    """Something a user can meet: a stable code, a sentence, and what to do next."""

    def __init__(self, code: Code | ReceivedCode, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


class ProtocolError(ReaPaintError):
    """A message or request that breaks the contract."""


class SettingError(ReaPaintError):
    """A flag or variable of a program that can't be used."""

    def __init__(self, message: str, *, hint: str) -> None:
        super().__init__(ErrorCode.INVALID_OPTION, message, hint=hint)
