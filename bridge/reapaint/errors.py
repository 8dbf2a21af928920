"""What a command can fail at, and the exit code that says so.

::

    ReaPaintError                 2  what the protocol or an engine in this process refuses
    └── BridgeError               2
        ├── InputError            2  the files or flags that were given
        ├── OutputLost            1  standard output, which takes no answer
        ├── EngineUnavailable     3  an engine that can't be reached, or died
        ├── JobFailed             4  the job itself
        └── Refused                  an HTTP request: reapaint.http.errors
"""

from reapaint_engine.protocol.errors import Code, ReaPaintError


class BridgeCode(Code):
    """Codes of this side alone; the others are the protocol's."""

    # Input files
    NOT_A_FILE = "not_a_file"
    FILE_NOT_READABLE = "file_not_readable"
    UNREADABLE_AUDIO = "unreadable_audio"
    EMPTY_AUDIO = "empty_audio"
    UNSUPPORTED_AUDIO = "unsupported_audio"
    INVALID_TIME = "invalid_time"
    # Output files
    UNSUPPORTED_FORMAT = "unsupported_format"
    OUTPUT_EXISTS = "output_exists"
    # The engine
    ENGINE_NOT_RUNNING = "engine_not_running"
    ENGINE_UNREACHABLE = "engine_unreachable"
    ENGINE_NOT_STARTED = "engine_not_started"
    ENGINE_DIED = "engine_died"
    ENGINE_REFUSED = "engine_refused"
    # REAPER
    REAPER_NOT_FOUND = "reaper_not_found"
    SEVERAL_REAPERS = "several_reapers"
    NOT_INSTALLED = "not_installed"
    SCRIPTS_MISSING = "scripts_missing"
    PYTHON_NOT_USABLE = "python_not_usable"
    BRIDGE_RUNNING = "bridge_running"
    BRIDGE_DIED = "bridge_died"
    # The rest
    NO_AUDIO_DEVICE = "no_audio_device"
    OUTPUT_LOST = "output_lost"
    INTERRUPTED = "interrupted"


class BridgeError(ReaPaintError):
    """Root of what the bridge raises."""

    exit_code = 2


class InputError(BridgeError):
    """Files or flags that can't be used; nothing was begun."""


class OutputLost(BridgeError):
    """The answer can't be written to standard output; what was done is done."""

    exit_code = 1


class EngineUnavailable(BridgeError):
    """No engine answers, or it died."""

    exit_code = 3


class JobFailed(BridgeError):
    """The engine lives, but the job could not be done."""

    exit_code = 4


WRITE_WAV_OR_FLAC = "Write a .wav or .flac file instead."
"""The hint where a format can't hold the result."""
