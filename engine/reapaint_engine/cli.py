"""The engine's own command line: ``reapaint serve``."""

import argparse
import os
import sys
from collections.abc import Sequence

from reapaint_engine.config import EngineConfig, check_config
from reapaint_engine.errors import StartError
from reapaint_engine.protocol.errors import THE_PATH, ErrorCode, ReaPaintError
from reapaint_engine.protocol.interpreter import TRY_FLAG
from reapaint_engine.protocol.logs import log_to
from reapaint_engine.protocol.settings import Parser, add_flags, read_settings
from reapaint_engine.protocol.version import __version__

EXIT_BAD_INPUT = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run an engine until it is asked to stop, and return the exit code."""
    try:
        options = _make_parser().parse_args(arguments)
        _run(_config_of(options), is_trial=options.is_trial)
    except ReaPaintError as error:
        print(f"reapaint: {error}", file=sys.stderr)  # noqa: T201 - this is the command line
        return EXIT_BAD_INPUT
    return 0


def read_config(arguments: Sequence[str]) -> EngineConfig:
    """Return an engine's settings as its flags and variables give them.

    Raises
    ------
    ReaPaintError
        One of them can't be used.
    """
    return _config_of(_make_parser().parse_args(arguments))


def _config_of(options: argparse.Namespace) -> EngineConfig:
    config = read_settings(EngineConfig, options)
    folder = config.backend_options.library
    # A folder named by the variable may be on a disk that is not connected now.
    if "library" in options and folder is not None and not folder.is_dir():
        raise StartError(
            ErrorCode.NO_LIBRARY,
            f"There is no folder {THE_PATH}.",
            hint="Name a folder of sounds with --library.",
            path=folder,
        )
    return config


def _run(config: EngineConfig, *, is_trial: bool) -> None:
    # Before NumPy is loaded: its matrices are small here, and a second thread of OpenBLAS doubles
    # the CPU time of a job without an earlier end. Models have threads of their own.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # Imported here: it takes a second, and --help must not wait for it.
    from reapaint_engine.backends.registry import at_work, make_backends, preferred_backend
    from reapaint_engine.server import serve

    log_to(sys.stderr, config.log_level)
    # Users of other machines may not name folders of this one.
    backends = make_backends(config.backend_options, opens_folders=config.is_loopback)
    check_config(config, backends)
    if is_trial:
        print(f"reapaint {__version__}")  # noqa: T201 - this is the command line
        return
    with at_work(backends, preferred_backend(backends, config.backend)):
        serve(config, backends)


def _make_parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="reapaint serve",
        description="Run an engine in the foreground; Ctrl-C ends it. Every flag has a"
        " variable, such as REAPAINT_ENDPOINT for --endpoint.",
    )
    add_flags(parser, EngineConfig)
    parser.add_argument(TRY_FLAG, dest="is_trial", action="store_true", help=argparse.SUPPRESS)
    return parser
