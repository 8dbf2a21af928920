"""The command line ``reapaint``: reads flags, calls a command, names what went wrong.

Commands are imported when they are called, so that ``--help`` costs next to nothing.
"""

import argparse
import contextlib
import logging
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn

from reapaint.commands.flags import make_parser
from reapaint.commands.settings import CommandSettings
from reapaint.commands.terminal import Terminal
from reapaint.errors import BridgeCode, BridgeError, InputError, OutputLost
from reapaint_engine.protocol.errors import ErrorCode, ReaPaintError, internal_error
from reapaint_engine.protocol.libraries import LIBRARY_BACKEND
from reapaint_engine.protocol.settings import read_settings
from reapaint_engine.protocol.version import __version__

EXIT_INTERNAL_ERROR = 1
EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    0 is success, 2 bad input, 3 an engine that can't be reached or died, 4 a failed
    job, 130 an interrupt, and 1 a mistake of ours or an answer that nobody can be given.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words[:1] == ["serve"]:
        return _serve(words[1:])
    terminal = Terminal(is_json="--json" in words)
    try:
        code = _run(words, terminal)
        terminal.flush()
    except OutputLost as lost:
        terminal.give_up_output(lost)
        return lost.exit_code
    return code


def _run(words: Sequence[str], terminal: Terminal) -> int:
    try:
        with _termination_as_interrupt():
            options = make_parser().parse_args(words)
            options.settings = read_settings(CommandSettings, options)
            logging.basicConfig(level=options.settings.log_level)
            return HANDLERS[options.command](options, terminal) or 0
    except OutputLost:
        raise
    except SystemExit as ending:
        # argparse's, when it has shown its help or the version.
        return ending.code if isinstance(ending.code, int) else EXIT_INTERNAL_ERROR
    except ReaPaintError as error:
        terminal.fail(error)
        return _exit_code(error)
    except KeyboardInterrupt:
        terminal.fail(
            ReaPaintError(BridgeCode.INTERRUPTED, "Interrupted; no half-written file was left.")
        )
        return EXIT_INTERRUPTED
    except Exception as error:
        logging.getLogger(__name__).debug("unexpected", exc_info=error)
        terminal.fail(_our_mistake(error))
        return EXIT_INTERNAL_ERROR


@contextlib.contextmanager
def _termination_as_interrupt() -> Iterator[None]:
    """Let a polite end from outside tidy up like Ctrl-C: cancel the job, leave no half file."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


# Handlers


def _serve(words: Sequence[str]) -> int:
    from reapaint.http.flags import make_parser, split_flags
    from reapaint.link.in_process import engine_api

    if {"-h", "--help"} & set(words):
        print(make_parser().format_help())  # noqa: T201 - the engine's own flags follow
        return engine_api.serve(words)
    try:
        config, flags = split_flags(words)
        if config is None:
            return engine_api.serve(flags)
        from reapaint.commands import gateway

        gateway.run(config, flags)
    except ReaPaintError as error:
        print(f"reapaint: {error}", file=sys.stderr)  # noqa: T201 - as the engine says it
        return _exit_code(error)
    return 0


def _inpaint(options: argparse.Namespace, terminal: Terminal) -> None:
    from reapaint.commands import inpaint
    from reapaint.repaint import RepaintJob
    from reapaint.request_settings import RequestSettings
    from reapaint_engine.protocol.params import parameters

    if len(options.start) != len(options.end):
        raise InputError(
            ErrorCode.INVALID_OPTION,
            f"There are {len(options.start)} --start and {len(options.end)} --end.",
            hint="Give one --end for every --start.",
        )
    options.backend = options.backend or _library_if_asked(options)
    chosen = {name: getattr(options, name) for name in parameters(RequestSettings)}
    job = RepaintJob(
        source=options.source,
        target=options.target,
        selections_s=tuple(zip(options.start, options.end, strict=True)),
        settings=RequestSettings(**chosen),
        force=options.force,
    )
    where = inpaint.Where(
        endpoint=options.settings.engine,
        in_process=options.in_process,
        library=_library(options),
    )
    inpaint.run(job, where, terminal, plot=options.plot, play=options.play)


def _library(options: argparse.Namespace) -> Path | None:
    """Return the folder of sounds; an engine that was named has one of its own, or none."""
    settings: CommandSettings = options.settings
    if settings.engine is None:
        return settings.library
    if "library" in options:
        raise InputError(
            ErrorCode.INVALID_OPTION,
            "--library is for engines of this machine, and --engine names one.",
            hint="Start that engine with `reapaint serve --library DIR`, and leave --library out.",
        )
    return None


def _library_if_asked(options: argparse.Namespace) -> str | None:
    """Return the backend where only the library can do what was asked for."""
    has_library = _library(options) is not None and options.model is None
    is_asked = "library" in options or (has_library and options.prompt)
    return LIBRARY_BACKEND if is_asked else None


def _demo(options: argparse.Namespace, terminal: Terminal) -> None:
    from reapaint.commands import demo

    demo.run(options.out, terminal)


def _status(options: argparse.Namespace, terminal: Terminal) -> None:
    from reapaint.commands import engines

    engines.show_status(options.settings.engine, terminal)


def _models(options: argparse.Namespace, terminal: Terminal) -> None:
    from reapaint.commands import models

    if options.action == "get":
        models.get(options.name, options.source, terminal)
    elif options.action == "verify":
        models.verify(options.name, terminal)
    elif options.action == "remove":
        models.remove(options.name, terminal)
    else:
        models.show(options.settings.engine, terminal)


def _cancel(options: argparse.Namespace, terminal: Terminal) -> None:
    from reapaint.commands import engines

    engines.cancel(options.job, options.settings.engine, terminal)


def _stop(options: argparse.Namespace, terminal: Terminal) -> None:
    from reapaint.commands import engines

    engines.stop(options.settings.engine, terminal)


def _doctor(options: argparse.Namespace, terminal: Terminal) -> int:
    from reapaint.commands import doctor

    return doctor.run(terminal, options.resource_path)


def _bench(options: argparse.Namespace, terminal: Terminal) -> None:
    if options.action == "model":
        from reapaint.commands import bench_model

        bench_model.run(_bench_job(options), terminal, out=options.out)
        return
    from reapaint.commands import bench

    bench.run(terminal, rounds=options.rounds)


def _bench_job(options: argparse.Namespace) -> dict[str, object]:
    return {
        "size": options.size or "small",
        "model": options.model,
        "device": options.device,
        "dtype": options.dtype,
        "codec_dtype": options.codec_dtype,
        "window_s": options.window,
        "mask_s": options.mask,
        "steps": options.steps,
        "takes": options.takes,
        "guidance": options.guidance,
        "rounds": options.rounds,
        "tiny": options.tiny,
        "memory": not options.no_memory,
    }


def _bridge(options: argparse.Namespace, terminal: Terminal) -> None:
    from reapaint.commands import service
    from reapaint.commands.reaper import default_spool
    from reapaint.reaper.service import BridgeConfig

    if options.is_trial:
        terminal.say(f"reapaint {__version__}")
        return
    spool = (options.spool or default_spool()).absolute()
    settings: CommandSettings = options.settings
    config = BridgeConfig(spool, settings.engine, settings.bridge_idle_exit_s)
    service.run(config, terminal)


def _reaper(options: argparse.Namespace, terminal: Terminal) -> None:
    from reapaint.commands import reaper

    if options.action == "install":
        reaper.install(options.resource_path, terminal)
    elif options.action == "index":
        reaper.index(options.target, options.address, terminal)
    else:
        reaper.uninstall(options.resource_path, terminal, force=options.force)


def _keys(options: argparse.Namespace, terminal: Terminal) -> None:
    from reapaint.commands import keys

    if options.action == "new":
        keys.new(terminal)
    elif options.action == "trust":
        keys.trust(options.file, options.engine, terminal)
    else:
        keys.show(terminal)


HANDLERS: dict[str, Callable[[argparse.Namespace, Terminal], int | None]] = {
    "demo": _demo,
    "inpaint": _inpaint,
    "status": _status,
    "models": _models,
    "cancel": _cancel,
    "stop": _stop,
    "doctor": _doctor,
    "bench": _bench,
    "bridge": _bridge,
    "reaper": _reaper,
    "keys": _keys,
}


def _exit_code(error: ReaPaintError) -> int:
    return error.exit_code if isinstance(error, BridgeError) else EXIT_BAD_INPUT


def _our_mistake(error: Exception) -> ReaPaintError:
    return internal_error(
        f"{type(error).__name__}: {error}",
        hint="Please report it, with the command and REAPAINT_LOG_LEVEL=DEBUG set.",
    )
