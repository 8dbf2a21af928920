"""``reapaint serve --http``: an engine, and a REST gateway to its queue."""

import logging
import os
import sys
from collections.abc import Sequence

from reapaint.errors import BridgeCode, BridgeError, InputError
from reapaint.http.config import HttpConfig
from reapaint_engine.protocol.errors import ReaPaintError

EXIT_BAD_INPUT = 2


def run(config: HttpConfig, flags: Sequence[str]) -> int:
    """Serve until it is told to stop, and return the exit code."""
    logging.basicConfig(
        level=os.environ.get("REAPAINT_LOG_LEVEL", "INFO").upper(),
        format="%(asctime)s %(levelname).1s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    try:
        _serve(config, flags)
    except ReaPaintError as error:
        print(f"reapaint: {error}", file=sys.stderr)  # noqa: T201 - this is the command line
        return error.exit_code if isinstance(error, BridgeError) else EXIT_BAD_INPUT
    return 0


def _serve(config: HttpConfig, flags: Sequence[str]) -> None:
    try:
        from reapaint.http.server import serve
    except ImportError as error:
        raise InputError(
            BridgeCode.PACKAGE_MISSING,
            f"The HTTP gateway needs a package that is not here: {error.name}.",
            hint="Install it with `pip install 'reapaint[http]'`.",
        ) from error
    serve(config, flags, _announce)


def _announce(address: str) -> None:
    # On standard output, and at once: scripts wait for this line to learn the port.
    print(f"reapaint: serving HTTP at {address}", flush=True)  # noqa: T201 - this is the command line
