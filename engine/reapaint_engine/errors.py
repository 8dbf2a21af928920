"""What an engine can fail at.

::

    ReaPaintError
    └── EngineError
        ├── StartError                the engine can't start
        ├── StoreError                a model can't be got or removed: checkpoint.errors
        └── JobError                  one job can't be done; the engine lives on
            ├── BackendUnavailable    another backend may do it
            ├── HostedError           a call to a service failed: backends.hosted.errors
            └── JobCancelled          somebody asked for its end
"""

from reapaint_engine.protocol.errors import JOB_CANCELLED, Code, ErrorCode, ReaPaintError


class StartCode(Code):
    """Codes of an engine that can't start."""

    ENDPOINT_NOT_USABLE = "endpoint_not_usable"
    NO_TRUSTED_CLIENTS = "no_trusted_clients"
    ALREADY_RUNNING = "already_running"


class EngineError(ReaPaintError):
    """Root of what the engine raises."""


class StartError(EngineError):
    """The engine can't start; the sentence says what stands in the way."""


class JobError(EngineError):
    """One job can't be done."""


class BackendUnavailable(JobError):
    """What the backend needs is not here; where nobody asked for it, another one does."""


class JobCancelled(JobError):
    """Somebody asked for the job's end."""

    def __init__(self) -> None:
        super().__init__(ErrorCode.CANCELLED, JOB_CANCELLED)
