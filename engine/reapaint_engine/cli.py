"""The engine's own command line: ``reapaint serve``."""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from reapaint_engine.config import (
    LOOPBACK_ENDPOINT,
    EngineConfig,
    check_config,
    environment_default,
    library_folder,
    optional_number,
)
from reapaint_engine.protocol.errors import ReaPaintError
from reapaint_engine.protocol.interpreter import TRY_FLAG
from reapaint_engine.protocol.version import __version__

EXIT_BAD_INPUT = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run an engine until it is asked to stop, and return the exit code."""
    parser = _make_parser()
    options = parser.parse_args(arguments)
    # What computes takes a second to load: whoever asks for help doesn't wait for it.
    from reapaint_engine.backends.registry import at_work, make_backends, preferred_backend
    from reapaint_engine.server import serve
    from reapaint_engine.welcome import backend_options

    logging.basicConfig(
        level=options.log_level,
        format="%(asctime)s %(levelname).1s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    try:
        config = EngineConfig(
            endpoint=options.endpoint,
            backend=options.backend,
            max_window_mib=options.max_window_mib,
            max_queued_jobs=options.max_queued_jobs,
            max_queued_mib=options.max_queued_mib,
            idle_exit_s=options.idle_exit,
            log_level=options.log_level,
            library=library_folder(options.library),
            model=options.model,
            device=options.device,
            model_idle_s=0.0 if options.keep else options.model_idle,
            hide_replaced=options.hide_replaced,
            max_cost=optional_number("max_cost") if options.max_cost is None else options.max_cost,
        )
        backends = make_backends(backend_options(config))
        check_config(config, backends)
        if options.is_trial:
            print(f"reapaint {__version__}")  # noqa: T201 - this is the command line
            return 0
        with at_work(backends, preferred_backend(backends, config.backend)):
            serve(config, backends)
    except ReaPaintError as error:
        print(f"reapaint: {error}", file=sys.stderr)  # noqa: T201 - this is the command line
        return EXIT_BAD_INPUT
    return 0


def _make_parser() -> argparse.ArgumentParser:
    defaults = EngineConfig()
    parser = argparse.ArgumentParser(
        prog="reapaint serve",
        description="Run an engine in the foreground; Ctrl-C ends it. Every flag has a"
        " variable, such as REAPAINT_ENDPOINT for --endpoint.",
    )
    parser.add_argument(
        "--endpoint",
        default=environment_default("endpoint", LOOPBACK_ENDPOINT),
        help="where to listen (default: any free port of this machine); beyond loopback"
        " only clients with trusted keys are served",
    )
    parser.add_argument(
        "--backend",
        default=environment_default("backend", defaults.backend),
        help="what fills the mask where a request names none (default: %(default)s)",
    )
    parser.add_argument(
        "--library",
        type=Path,
        metavar="DIR",
        help="a folder of sounds, for the backend that fills from them by a prompt",
    )
    parser.add_argument(
        "--model",
        metavar="NAME",
        default=environment_default("model", defaults.model),
        help="the model that Stable Audio 3 takes where a request names none, or the folder"
        " of one (default: %(default)s, the best one that is here)",
    )
    parser.add_argument(
        "--device",
        metavar="D",
        default=environment_default("device", defaults.device),
        help="where a model runs: auto, cpu, mps, cuda or cuda:N (default: %(default)s)",
    )
    idle = parser.add_mutually_exclusive_group()
    idle.add_argument(
        "--model-idle",
        type=float,
        metavar="SECONDS",
        default=environment_default("model_idle", str(defaults.model_idle_s)),
        help="drop a model from memory after this long without work; 0 = never"
        " (default: %(default)s)",
    )
    idle.add_argument("--keep", action="store_true", help="never drop a model from memory")
    parser.add_argument(
        "--hide-replaced",
        action="store_true",
        default=bool(environment_default("hide_replaced", "")),
        help="let a model hear silence where it is to make new sound; by default it hears"
        " what was there as it was trained to, at the very edges of the selection",
    )
    parser.add_argument(
        "--max-cost",
        type=float,
        metavar="USD",
        help="refuse a job that would cost more at a hosted service (default: no limit)",
    )
    parser.add_argument(
        "--idle-exit",
        type=float,
        metavar="SECONDS",
        default=environment_default("idle_exit", str(defaults.idle_exit_s)),
        help="stop after this long without work; 0 = never (default: %(default)s)",
    )
    for name, value, meaning in (
        ("max-window-mib", defaults.max_window_mib, "the largest window of one job"),
        ("max-queued-jobs", defaults.max_queued_jobs, "how many jobs may wait"),
        ("max-queued-mib", defaults.max_queued_mib, "how much audio may wait"),
    ):
        parser.add_argument(
            f"--{name}",
            type=int,
            metavar="N",
            default=environment_default(name.replace("-", "_"), str(value)),
            help=f"{meaning} (default: %(default)s)",
        )
    parser.add_argument(
        "--log-level",
        choices=("DEBUG", "INFO", "WARNING", "ERROR"),
        default=environment_default("log_level", defaults.log_level).upper(),
        help="how much the log tells (default: %(default)s)",
    )
    parser.add_argument(TRY_FLAG, dest="is_trial", action="store_true", help=argparse.SUPPRESS)
    return parser
