"""The flags of ``reapaint serve`` that are the gateway's; all others are the engine's."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from reapaint.errors import BridgeCode, InputError
from reapaint.http.config import HttpConfig, HttpLimits, check_config, parse_address, read_token


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise InputError(
            BridgeCode.INVALID_OPTION,
            f"{message[:1].upper()}{message[1:]}.",
            hint="See `reapaint serve --help`.",
        )


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the gateway's flags; it passes over all others."""
    defaults = HttpLimits()
    parser = _Parser(prog="reapaint serve", add_help=False, allow_abbrev=False, usage="")
    group = parser.add_argument_group(
        "the HTTP gateway",
        "Answers as WaveSpeed, eachlabs and fal do, by the engine's queue. Every flag has a"
        " variable, such as REAPAINT_HTTP_ALLOW for --http-allow.",
    )
    group.add_argument(
        "--http",
        metavar="HOST:PORT",
        default=_environment("http"),
        help="serve HTTP there as well, such as 127.0.0.1:8787; beyond loopback only with a"
        " token, which is REAPAINT_HTTP_TOKEN or in --http-token-file",
    )
    group.add_argument(
        "--http-token-file",
        type=Path,
        metavar="FILE",
        default=_environment("http_token_file"),
        help="a file, readable by you alone, with the token that clients must present",
    )
    group.add_argument(
        "--http-allow",
        action="append",
        metavar="HOST[:PORT]",
        help="let audio be fetched from, and webhooks sent to, this host although it is a"
        " private one; may be given several times",
    )
    group.add_argument(
        "--http-paid",
        action="store_true",
        default=bool(_environment("http_paid")),
        help="let clients ask for hosted services, which cost you money; see --max-cost",
    )
    group.add_argument(
        "--http-url",
        metavar="URL",
        default=_environment("http_url") or "",
        help="how clients reach the server, where a proxy stands before it",
    )
    for name, what in (("cert", "certificate"), ("key", "certificate's key")):
        group.add_argument(
            f"--http-{name}",
            type=Path,
            metavar="FILE",
            default=_environment(f"http_{name}"),
            help=f"the {what}, as PEM: serve https",
        )
    for name, kind, value, what in (
        ("max-upload-mib", int, defaults.max_upload_bytes >> 20, "the largest file taken"),
        ("max-seconds", float, defaults.max_duration_s, "the longest recording taken"),
        ("quota-mib", int, defaults.quota_bytes >> 20, "how much disk files may take"),
        ("keep", float, defaults.keep_s, "seconds for which files and results are kept"),
    ):
        group.add_argument(
            f"--http-{name}",
            type=kind,
            metavar="N",
            default=_environment(f"http_{name.replace('-', '_')}") or str(value),
            help=f"{what} (default: %(default)s)",
        )
    return parser


def split_flags(words: Sequence[str]) -> tuple[HttpConfig | None, list[str]]:
    """Return the gateway's settings, None where none is asked for, and the engine's flags.

    Raises
    ------
    InputError
        ``invalid_option``.
    """
    options, rest = make_parser().parse_known_args(list(words))
    if not options.http:
        given = [word for word in words if word.startswith("--http-")]
        if given:
            raise InputError(
                BridgeCode.INVALID_OPTION,
                f"{given[0].split('=')[0]} is of no use without --http.",
                hint="Say where to serve with --http HOST:PORT.",
            )
        return None, rest
    host, port = parse_address(options.http)
    config = HttpConfig(
        host=host,
        port=port,
        token=read_token(options.http_token_file),
        allowed_hosts=frozenset(_hosts(options.http_allow)),
        offers_paid=options.http_paid,
        public_url=options.http_url.rstrip("/"),
        cert=options.http_cert,
        key=options.http_key,
        limits=HttpLimits(
            max_upload_bytes=options.http_max_upload_mib << 20,
            max_duration_s=options.http_max_seconds,
            quota_bytes=options.http_quota_mib << 20,
            keep_s=options.http_keep,
        ),
    )
    check_config(config)
    return config, rest


def _hosts(given: Sequence[str] | None) -> list[str]:
    names = given or (_environment("http_allow") or "").split(",")
    return [name.strip().lower().rstrip(".") for name in names if name.strip()]


def _environment(name: str) -> str | None:
    return os.environ.get(f"REAPAINT_{name.upper()}") or None
