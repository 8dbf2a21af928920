"""The flags of every command: their names, their help, and what each is read as."""

import argparse
from collections.abc import Callable
from pathlib import Path

from reapaint.commands.settings import CommandSettings
from reapaint.request_settings import RequestSettings
from reapaint_engine.protocol.interpreter import TRY_FLAG
from reapaint_engine.protocol.params import AUTO, Parameter, parameters
from reapaint_engine.protocol.settings import Parser, add_flags
from reapaint_engine.protocol.version import __version__

MAX_DIGITS = 18
"""Of a whole number: what any machine's integers hold."""


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands; ``command`` in what it reads is the chosen one's name.

    Raises
    ------
    SettingError
        When it parses what no command takes.
    """
    parser = Parser(prog="reapaint", description="Repaint a stretch of a recording.")
    parser.add_argument("--version", action="version", version=f"reapaint {__version__}")
    commands = parser.add_subparsers(
        title="commands", metavar="COMMAND", required=True, parser_class=Parser
    )

    def add(name: str, summary: str) -> argparse.ArgumentParser:
        command = commands.add_parser(
            name, help=summary, description=f"{summary[:1].upper()}{summary[1:]}."
        )
        command.set_defaults(command=name)
        command.add_argument("--json", action="store_true", help="print one JSON object")
        return command

    demo = add("demo", "repaint a recording that comes along, and show what happened")
    demo.add_argument(
        "--out",
        type=Path,
        default=Path("reapaint-demo"),
        metavar="DIR",
        help="where to write (default: %(default)s)",
    )
    _add_inpaint_flags(add("inpaint", "repaint stretches of a sound file"))
    commands.add_parser("serve", help="run an engine in the foreground", add_help=False)
    for name, summary in (
        ("status", "show what a running engine is doing"),
        ("cancel", "end one job"),
        ("stop", "end the running engine"),
    ):
        command = add(name, summary)
        if name == "cancel":
            command.add_argument("job", metavar="JOB", help="its id, as `reapaint status` shows")
        add_flags(command, CommandSettings, "engine")
    _add_models_flags(add("models", "show, get, check and remove what fills a selection"))
    doctor = add("doctor", "look whether everything is where it should be")
    _add_resource_flag(doctor)
    _add_bench_flags(add("bench", "measure how long the road to the engine takes"))
    _add_bridge_flags(add("bridge", "carry jobs between REAPER and an engine"))
    _add_reaper_flags(add("reaper", "put ReaPaint's actions into REAPER"))
    _add_keys_flags(add("keys", "make and trust keys, for engines on other machines"))
    return parser


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
    for parameter in parameters(RequestSettings).values():
        _add_parameter_flag(parser, parameter)
    add_flags(parser, CommandSettings, "library")
    where = parser.add_mutually_exclusive_group()
    add_flags(where, CommandSettings, "engine")
    where.add_argument(
        "--in-process", action="store_true", help="work here, without an engine process"
    )
    parser.add_argument("--plot", type=Path, metavar="PNG", help="draw before and after")
    parser.add_argument("--play", action="store_true", help="play the result")
    parser.add_argument("--force", action="store_true", help="overwrite OUT")


def _add_parameter_flag(parser: argparse.ArgumentParser, parameter: Parameter) -> None:
    flag = parameter.short_name.replace("_", "-")
    if parameter.type is bool:
        parser.add_argument(
            f"--no-{flag}",
            dest=parameter.name,
            action="store_false",
            help=f"don't {parameter.meaning}",
        )
        return
    read_as, metavar = _READ_AS[parameter.type]
    default = parameter.if_open if parameter.is_optional else parameter.default
    limits = (parameter.range_text, f"default: {default}" if default else "")
    remark = "; ".join(filter(None, limits))
    parser.add_argument(
        f"--{flag}",
        dest=parameter.name,
        type=read_as,
        metavar=parameter.unit.upper() or metavar,
        default=parameter.default,
        help=f"{parameter.meaning} ({remark})" if remark else parameter.meaning,
    )


def _add_bridge_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--spool",
        type=Path,
        metavar="DIR",
        help="the folder shared with REAPER's scripts (default: that of the REAPER installed here)",
    )
    # What an installation is tried with: all that a bridge needs is loaded, and that was it.
    parser.add_argument(TRY_FLAG, dest="is_trial", action="store_true", help=argparse.SUPPRESS)
    add_flags(parser, CommandSettings, "engine", "bridge_idle_exit_s")


def _add_reaper_flags(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(
        dest="action", metavar="ACTION", required=True, parser_class=Parser
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
    add_flags(parser, CommandSettings, "engine")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", parser_class=Parser)
    listing = actions.add_parser("list", help="show what there is (this is the default)")
    add_flags(listing, CommandSettings, "engine")
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


def _add_bench_flags(parser: argparse.ArgumentParser) -> None:
    rounds = "how often (default: %(default)s)"
    parser.add_argument("--rounds", type=_whole, default=50, help=rounds)
    actions = parser.add_subparsers(dest="action", metavar="ACTION", parser_class=Parser)
    model = actions.add_parser(
        "model", help="measure Stable Audio 3 here, beside diffusers' stock pipeline"
    )
    which = model.add_mutually_exclusive_group()
    which.add_argument(
        "--size", choices=("small", "medium"), help="with random weights (default: small)"
    )
    which.add_argument("--model", metavar="NAME|DIR", help="an installed model, or a folder")
    which.add_argument(
        "--tiny", action="store_true", help="a tiny random model, to try the measurement out"
    )
    model.add_argument("--device", default=AUTO, help="cpu, cuda, cuda:N or mps (default: best)")
    for flag, text in (
        ("--dtype", "of all networks, on both sides (default: what each is loaded in here)"),
        ("--codec-dtype", "of the codec, where it is another"),
    ):
        model.add_argument(flag, choices=("float32", "bfloat16", "float16"), help=text)
    for flag, default, text in (
        ("--window", 30.0, "what the model hears"),
        ("--mask", 5.0, "what of it is made anew"),
    ):
        model.add_argument(
            flag, type=_seconds, default=default, metavar="SECONDS", help=f"{text} (%(default)g)"
        )
    limits = {name: parameter.range_text for name, parameter in parameters().items()}
    model.add_argument(
        "--steps", type=_whole, metavar="N", help=f"{limits['steps']} (default: the model's)"
    )
    model.add_argument("--takes", type=_whole, default=1, metavar="N", help=limits["takes"])
    model.add_argument("--guidance", type=float, default=1.0, metavar="X", help=limits["guidance"])
    model.add_argument("--rounds", type=_whole, default=3, help=rounds)
    model.add_argument(
        "--no-memory", action="store_true", help="leave out what memory each side takes"
    )
    model.add_argument("--out", type=Path, metavar="FILE", help="also write the JSON object there")
    model.add_argument(
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
    actions = parser.add_subparsers(dest="action", metavar="ACTION", parser_class=Parser)
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


_READ_AS: dict[type, tuple[Callable[[str], str | float], str]] = {
    str: (str, "TEXT"),
    int: (_whole, "N"),
    float: (float, "X"),
}
"""How a parameter of a type is read, and what stands for its value in the help."""
