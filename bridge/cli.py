"""The command line ``reapaint``: reads flags, calls a command, names what went wrong.

Commands are imported when they are called, so that ``--help`` costs next to nothing.
"""

import argparse
import contextlib
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn

from bridge.errors import BridgeCode, BridgeError, InputError, OutputLost
from bridge.terminal import Terminal
from engine.protocol.errors import ReaPaintError
from engine.protocol.version import __version__

EXIT_INTERNAL_ERROR = 1
EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130
MAX_DIGITS = 18

Handler = Callable[[argparse.Namespace, Terminal], int | None]


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
        logging.basicConfig(level=_log_level())
        with _termination_as_interrupt():
            options = _make_parser().parse_args(words)
            handler: Handler = options.handler
            return handler(options, terminal) or 0
    except OutputLost:
        raise
    except SystemExit as ending:
        # argparse's, when it has shown its help or the version.
        return ending.code if isinstance(ending.code, int) else EXIT_INTERNAL_ERROR
    except ReaPaintError as error:
        terminal.fail(error)
        return error.exit_code if isinstance(error, BridgeError) else EXIT_BAD_INPUT
    except KeyboardInterrupt:
        terminal.fail(ReaPaintError("interrupted", "Interrupted; no half-written file was left."))
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
    from bridge.local_engine import serve

    return serve(words)


def _inpaint(options: argparse.Namespace, terminal: Terminal) -> None:
    from bridge.commands import inpaint
    from bridge.repaint import Order
    from bridge.request_settings import RequestSettings

    if len(options.start) != len(options.end):
        raise InputError(
            BridgeCode.INVALID_OPTION,
            f"There are {len(options.start)} --start and {len(options.end)} --end.",
            hint="Give one --end for every --start.",
        )
    settings = RequestSettings(
        prompt=options.prompt,
        negative_prompt=options.negative_prompt,
        steps=options.steps,
        guidance=options.guidance,
        seed=options.seed,
        takes=options.takes,
        strength=options.strength,
        crossfade_s=options.crossfade,
        context_s=options.context,
        match_level=not options.no_match_level,
        mode=options.mode,
        backend=options.backend or _library_if_asked(options),
        model=options.model,
    )
    order = Order(
        source=options.source,
        target=options.target,
        selections_s=tuple(zip(options.start, options.end, strict=True)),
        settings=settings,
        force=options.force,
    )
    where = inpaint.Where(
        endpoint=options.engine, in_process=options.in_process, library=_library(options)
    )
    inpaint.run(order, where, terminal, plot=options.plot, play=options.play)


def _library(options: argparse.Namespace) -> Path | None:
    """Return the folder of sounds; an engine that was named has one of its own, or none."""
    if options.engine is None:
        from_environment = os.environ.get("REAPAINT_LIBRARY")
        default = Path(from_environment).expanduser() if from_environment else None
        return options.library or default
    if options.library is not None:
        raise InputError(
            BridgeCode.INVALID_OPTION,
            "--library is for engines of this machine, and --engine names one.",
            hint="Start that engine with `reapaint serve --library DIR`, and leave --library out.",
        )
    return None


def _library_if_asked(options: argparse.Namespace) -> str | None:
    """Return the backend where only the library can do what was asked for."""
    has_library = _library(options) is not None
    return "library" if options.library or (has_library and options.prompt) else None


def _demo(options: argparse.Namespace, terminal: Terminal) -> None:
    from bridge.commands import demo

    demo.run(options.out, terminal)


def _status(options: argparse.Namespace, terminal: Terminal) -> None:
    from bridge.commands import engines

    engines.show_status(options.engine, terminal)


def _models(options: argparse.Namespace, terminal: Terminal) -> None:
    from bridge.commands import models

    if options.action == "get":
        models.get(options.name, options.source, terminal)
    elif options.action == "verify":
        models.verify(options.name, terminal)
    elif options.action == "remove":
        models.remove(options.name, terminal)
    else:
        models.show(options.engine, terminal)


def _cancel(options: argparse.Namespace, terminal: Terminal) -> None:
    from bridge.commands import engines

    engines.cancel(options.job, options.engine, terminal)


def _stop(options: argparse.Namespace, terminal: Terminal) -> None:
    from bridge.commands import engines

    engines.stop(options.engine, terminal)


def _doctor(options: argparse.Namespace, terminal: Terminal) -> int:
    from bridge.commands import doctor

    return doctor.run(terminal, options.resource_path)


def _bench(options: argparse.Namespace, terminal: Terminal) -> None:
    from bridge.commands import bench

    bench.run(terminal, rounds=options.rounds)


def _bridge(options: argparse.Namespace, terminal: Terminal) -> None:
    from bridge.commands import service
    from bridge.commands.reaper import default_spool
    from bridge.service import BridgeConfig

    spool = (options.spool or default_spool()).absolute()
    service.run(BridgeConfig(spool, options.engine, options.idle_exit), terminal)


def _reaper(options: argparse.Namespace, terminal: Terminal) -> None:
    from bridge.commands import reaper

    if options.action == "install":
        reaper.install(options.resource_path, terminal)
    elif options.action == "index":
        reaper.index(options.target, options.address, terminal)
    else:
        reaper.uninstall(options.resource_path, terminal, force=options.force)


def _keys(options: argparse.Namespace, terminal: Terminal) -> None:
    from bridge.commands import keys

    if options.action == "new":
        keys.new(terminal)
    elif options.action == "trust":
        keys.trust(options.file, options.engine, terminal)
    else:
        keys.show(terminal)


# Flags


class _Parser(argparse.ArgumentParser):
    """Raises what it refuses, so that it is shown like any other bad input."""

    def error(self, message: str) -> NoReturn:
        raise InputError(
            BridgeCode.INVALID_OPTION,
            f"{message[:1].upper()}{message[1:]}.",
            hint=f"See `{self.prog} --help`.",
        )


def _make_parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="reapaint", description="Repaint a stretch of a recording.")
    parser.add_argument("--version", action="version", version=f"reapaint {__version__}")
    commands = parser.add_subparsers(
        title="commands", metavar="COMMAND", required=True, parser_class=_Parser
    )

    def add(name: str, handler: Handler, summary: str) -> argparse.ArgumentParser:
        command = commands.add_parser(
            name, help=summary, description=f"{summary[:1].upper()}{summary[1:]}."
        )
        command.set_defaults(handler=handler)
        command.add_argument("--json", action="store_true", help="print one JSON object")
        return command

    demo = add("demo", _demo, "repaint a recording that comes along, and show what happened")
    demo.add_argument(
        "--out",
        type=Path,
        default=Path("reapaint-demo"),
        metavar="DIR",
        help="where to write (default: %(default)s)",
    )
    _add_inpaint_flags(add("inpaint", _inpaint, "repaint stretches of a sound file"))
    commands.add_parser("serve", help="run an engine in the foreground", add_help=False)
    for name, handler, summary in (
        ("status", _status, "show what a running engine is doing"),
        ("cancel", _cancel, "end one job"),
        ("stop", _stop, "end the running engine"),
    ):
        command = add(name, handler, summary)
        if name == "cancel":
            command.add_argument("job", metavar="JOB", help="its id, as `reapaint status` shows")
        _add_engine_flag(command)
    _add_models_flags(add("models", _models, "show, get, check and remove what fills a selection"))
    doctor = add("doctor", _doctor, "look whether everything is where it should be")
    _add_resource_flag(doctor)
    bench = add("bench", _bench, "measure how long the road to the engine takes")
    bench.add_argument("--rounds", type=_whole, default=50, help="how often (default: %(default)s)")
    _add_bridge_flags(add("bridge", _bridge, "carry jobs between REAPER and an engine"))
    _add_reaper_flags(add("reaper", _reaper, "put ReaPaint's actions into REAPER"))
    _add_keys_flags(add("keys", _keys, "make and trust keys, for engines on other machines"))
    return parser


def _add_engine_flag(parser: "argparse._ActionsContainer") -> None:
    parser.add_argument(
        "--engine",
        metavar="ENDPOINT",
        default=os.environ.get("REAPAINT_ENGINE") or None,
        help="an engine such as tcp://192.168.1.20:5555 (default: the one that runs here)",
    )


def _add_inpaint_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", type=Path, metavar="IN", help="a sound file; never written")
    parser.add_argument("target", type=Path, metavar="OUT", help="the format is its suffix's")
    parser.add_argument(
        "--start",
        type=_seconds,
        action="append",
        required=True,
        metavar="S",
        help="where to begin, in seconds or h:m:s; give several pairs for several selections",
    )
    parser.add_argument(
        "--end",
        type=_seconds,
        action="append",
        required=True,
        metavar="S",
        help="where to end; past the file's end it is extended",
    )
    parser.add_argument("--prompt", default="", help="what should be there")
    parser.add_argument("--negative-prompt", default="", help="what to avoid")
    parser.add_argument("--steps", type=_whole, metavar="N", help="1 to 100")
    parser.add_argument("--guidance", type=float, metavar="G", help="0 to 25")
    parser.add_argument("--seed", type=_whole, metavar="N", help="0 to 4294967295")
    parser.add_argument("--takes", type=_whole, default=1, metavar="N", help="1 to 16 variations")
    parser.add_argument(
        "--strength", type=float, default=1.0, metavar="X", help="1 repaints, less keeps more"
    )
    parser.add_argument(
        "--crossfade",
        type=float,
        metavar="SECONDS",
        help="inside the selection, at each edge (default: 0.03, at most a quarter of it)",
    )
    parser.add_argument(
        "--context",
        type=float,
        metavar="SECONDS",
        help="how much to hear on each side (default: as long as the selection, at least 5)",
    )
    parser.add_argument(
        "--no-match-level", action="store_true", help="leave the new audio's level as it is"
    )
    parser.add_argument("--mode", default="auto", help="how the backend goes about it")
    parser.add_argument("--backend", metavar="NAME", help="what fills the selection")
    parser.add_argument("--model", metavar="NAME", help="which of the backend's models")
    parser.add_argument(
        "--library",
        type=Path,
        metavar="DIR",
        help="a folder of sounds to fill from, by the prompt (default: REAPAINT_LIBRARY)",
    )
    where = parser.add_mutually_exclusive_group()
    _add_engine_flag(where)
    where.add_argument(
        "--in-process", action="store_true", help="work here, without an engine process"
    )
    parser.add_argument("--plot", type=Path, metavar="PNG", help="draw before and after")
    parser.add_argument("--play", action="store_true", help="play the result")
    parser.add_argument("--force", action="store_true", help="overwrite OUT")


def _add_bridge_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--spool",
        type=Path,
        metavar="DIR",
        help="the folder shared with REAPER's scripts (default: that of the REAPER installed here)",
    )
    parser.add_argument(
        "--idle-exit",
        type=float,
        default=1800.0,
        metavar="SECONDS",
        help="end after so long without work once REAPER is gone; 0 = never (default: %(default)g)",
    )
    _add_engine_flag(parser)


def _add_reaper_flags(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(
        dest="action", metavar="ACTION", required=True, parser_class=_Parser
    )
    install = actions.add_parser("install", help="copy the scripts, and tell them where Python is")
    uninstall = actions.add_parser("uninstall", help="remove what install wrote")
    uninstall.add_argument(
        "--force", action="store_true", help="remove scripts that were changed as well"
    )
    index = actions.add_parser("index", help="list the scripts for ReaPack")
    index.add_argument("target", type=Path, metavar="OUT", help="such as index.xml; it is replaced")
    index.add_argument(
        "--address",
        metavar="URL",
        help="where ReaPack finds a copy of the folder reaper_scripts (default: this installation)",
    )
    for action in (install, uninstall):
        _add_resource_flag(action)
    for action in (install, uninstall, index):
        action.add_argument(
            "--json", action="store_true", default=argparse.SUPPRESS, help="print one JSON object"
        )


def _add_models_flags(parser: argparse.ArgumentParser) -> None:
    _add_engine_flag(parser)
    actions = parser.add_subparsers(dest="action", metavar="ACTION", parser_class=_Parser)
    listing = actions.add_parser("list", help="show what there is (this is the default)")
    listing.add_argument(
        "--engine", metavar="ENDPOINT", default=argparse.SUPPRESS, help="of this engine"
    )
    get = actions.add_parser("get", help="bring a model here; goes on where it was interrupted")
    get.add_argument(
        "--from",
        dest="source",
        type=Path,
        metavar="DIR",
        help="a folder that holds it, for a machine without a network",
    )
    verify = actions.add_parser("verify", help="compare models that are here with their checksums")
    verify.add_argument("name", nargs="?", metavar="NAME", help="which (default: all)")
    remove = actions.add_parser("remove", help="remove a model from this machine")
    for action in (get, remove):
        action.add_argument("name", metavar="NAME", help="as `reapaint models` shows it")
    for action in (listing, get, verify, remove):
        action.add_argument(
            "--json", action="store_true", default=argparse.SUPPRESS, help="print one JSON object"
        )


def _add_resource_flag(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--resource-path",
        type=Path,
        metavar="DIR",
        help="REAPER's resource folder (default: the one found)",
    )


def _add_keys_flags(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", parser_class=_Parser)
    new = actions.add_parser("new", help="make this machine's key pair")
    trust = actions.add_parser("trust", help="trust another machine's public key")
    trust.add_argument("file", type=Path, metavar="FILE", help="its .key file")
    trust.add_argument(
        "--engine",
        metavar="ENDPOINT",
        help="it is the key of the engine at this address (default: a client's)",
    )
    for action in (new, trust):
        action.add_argument(
            "--json", action="store_true", default=argparse.SUPPRESS, help="print one JSON object"
        )


def _whole(text: str) -> int:
    """Read a whole number that fits a machine's integers; what it counts has its own limits."""
    if len(text) > MAX_DIGITS:
        raise argparse.ArgumentTypeError(f"{len(text)} digits are too many")
    try:
        return int(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number") from error


def _seconds(text: str) -> float:
    """Read ``90``, ``90.5``, ``1:30.5`` or ``0:01:30.5`` as seconds."""
    total = 0.0
    try:
        for part in text.split(":"):
            total = total * 60 + float(part)
    except ValueError as error:
        reason = f"{text!r} is no time; give seconds or h:m:s"
        raise argparse.ArgumentTypeError(reason) from error
    return total


def _log_level() -> str:
    level = os.environ.get("REAPAINT_LOG_LEVEL", "").upper() or "WARNING"
    if level not in logging.getLevelNamesMapping():
        raise InputError(
            BridgeCode.INVALID_OPTION,
            f"REAPAINT_LOG_LEVEL is {level}, which is no level.",
            hint="Set it to DEBUG, INFO, WARNING or ERROR.",
        )
    return level


def _our_mistake(error: Exception) -> ReaPaintError:
    return ReaPaintError(
        "internal_error",
        f"ReaPaint made a mistake: {type(error).__name__}: {error}.",
        hint="Please report it, with the command and REAPAINT_LOG_LEVEL=DEBUG set.",
    )
