"""``reapaint serve --http``: an engine, and a REST gateway to its queue."""

import sys
from collections.abc import Sequence

from reapaint.errors import InputError
from reapaint.http.config import HttpConfig
from reapaint.link.in_process import engine_api
from reapaint_engine.protocol.errors import package_missing
from reapaint_engine.protocol.logs import log_to


def run(config: HttpConfig, flags: Sequence[str]) -> None:
    """Serve until it is told to stop.

    Raises
    ------
    ReaPaintError
        The flags are none of an engine's, or the server or the engine can't start.
    """
    # The engine is another process: what is wrong with its settings is told here at once.
    level = engine_api.read_config(flags).log_level
    log_to(sys.stderr, level)
    try:
        from reapaint.http.server import serve
    except ImportError as error:
        missing = package_missing("The HTTP gateway", error.name or "starlette", "'reapaint[http]'")
        raise InputError.of(missing) from error
    serve(config, flags, _announce)


def _announce(address: str) -> None:
    # On standard output, and at once: scripts wait for this line to learn the port.
    print(f"reapaint: serving HTTP at {address}", flush=True)  # noqa: T201 - this is the command line
