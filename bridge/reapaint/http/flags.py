"""The flags of ``reapaint serve`` that are the gateway's; all others are the engine's."""

import argparse
from collections.abc import Sequence

from reapaint.errors import InputError
from reapaint.http.config import HTTP, START, TOKEN_FILE, HttpConfig, check_config, read_token
from reapaint_engine.protocol.errors import ErrorCode
from reapaint_engine.protocol.settings import Parser, add_flags, read_settings


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the gateway's flags; it passes over all others."""
    parser = Parser(prog="reapaint serve", add_help=False, allow_abbrev=False, usage="")
    group = parser.add_argument_group(
        "the HTTP gateway",
        "Answers as WaveSpeed, eachlabs and fal do, by the engine's queue. Every flag has a"
        " variable, such as REAPAINT_HTTP_ALLOW for --http-allow.",
    )
    for each in START:
        if each.has_flag:
            each.add_to(group)
    add_flags(group, HttpConfig)
    return parser


def split_flags(words: Sequence[str]) -> tuple[HttpConfig | None, list[str]]:
    """Return the gateway's settings, None where none is asked for, and the engine's flags.

    Raises
    ------
    SettingError
        A flag or a variable has a value that can't be used.
    InputError
        ``invalid_option``: they don't go together.
    """
    options, rest = make_parser().parse_known_args(list(words))
    address = HTTP.value(options)
    if address is None:
        given = [word for word in words if word.startswith("--http-")]
        if given:
            raise InputError(
                ErrorCode.INVALID_OPTION,
                f"{given[0].split('=')[0]} is of no use without --http.",
                hint="Say where to serve with --http HOST:PORT.",
            )
        return None, rest
    host, port = address
    token = read_token(TOKEN_FILE.value(options))
    config = read_settings(HttpConfig, options, host=host, port=port, token=token)
    check_config(config)
    return config, rest
