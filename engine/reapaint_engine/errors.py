"""The errors of an engine.

::

    ReaPaintError
    └── EngineError
        ├── StartError                the engine can't start
        ├── StoreError                a model can't be got or removed: checkpoint.errors
        └── JobError                  one job can't be done; the engine lives on
            ├── BackendUnavailable    another backend may do it
            ├── HostedError           a call to a service failed: backends.hosted.errors
            └── JobCancelled          the job was cancelled
"""

from reapaint_engine.protocol.errors import JOB_CANCELLED, Code, ErrorCode, ReaPaintError


class StartCode(Code):
    """Codes of an engine that can't start."""

    ENDPOINT_NOT_USABLE = "endpoint_not_usable"
    NO_TRUSTED_CLIENTS = "no_trusted_clients"
    ALREADY_RUNNING = "already_running"


class EngineError(ReaPaintError):
    """Root of the engine's errors."""


class StartError(EngineError):
    """The engine can't start; the message says why."""


class JobError(EngineError):
    """One job can't be done."""


class BackendUnavailable(JobError):
    """Something that the backend needs is missing; another backend does jobs that name none."""


class JobCancelled(JobError):
    """The job was cancelled."""

    def __init__(self) -> None:
        super().__init__(ErrorCode.CANCELLED, JOB_CANCELLED)
