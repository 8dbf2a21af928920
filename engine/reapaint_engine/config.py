"""What an engine is told at its start: flags first, then REAPAINT_*, then defaults."""

import math
import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from reapaint_engine.errors import StartError
from reapaint_engine.protocol.discovery import is_loopback
from reapaint_engine.protocol.messages import Limits

LOOPBACK_ENDPOINT = "tcp://127.0.0.1:*"
AUTO = "auto"
"""Let the engine choose: the best model that is here, else the sound around the selection."""


@dataclass(frozen=True, kw_only=True)
class EngineConfig:
    """One engine's settings, checked by ``check_config``."""

    endpoint: str = LOOPBACK_ENDPOINT
    backend: str = AUTO
    max_window_mib: int = 1024
    max_queued_jobs: int = 64
    max_queued_mib: int = 4096
    idle_exit_s: float = 0.0
    """Stop after this long without work; 0 = never."""
    log_level: str = "INFO"
    library: Path | None = None
    """A folder of sounds; whether it is there is seen when it is needed."""
    model: str = AUTO
    """What Stable Audio 3 takes where a request names no model: a name or a folder."""
    device: str = AUTO
    model_idle_s: float = 600.0
    """Drop a model from memory after this long without work; 0 = never."""
    max_cost: float | None = None
    """What one job may cost at a hosted service, in USD; None is no limit."""
    hide_replaced: bool = False
    """Let a model hear silence where it is to make new sound."""

    @property
    def limits(self) -> Limits:
        """The limits as clients learn them."""
        return Limits(
            max_window_bytes=self.max_window_mib << 20,
            max_queued_jobs=self.max_queued_jobs,
            max_queued_bytes=self.max_queued_mib << 20,
        )

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the endpoint."""
        return is_loopback(self.endpoint)


def check_config(config: EngineConfig, backends: Collection[str]) -> None:
    """Refuse settings that no engine could start with.

    Raises
    ------
    StartError
        Naming the setting and what it may be.
    """
    if not _is_endpoint(config.endpoint):
        raise StartError(
            "invalid_endpoint",
            f"{config.endpoint!r} is no endpoint.",
            hint="Give one such as tcp://127.0.0.1:5555; port * takes any that is free.",
        )
    if config.backend not in (AUTO, *backends):
        raise StartError(
            "unknown_backend",
            f"There is no backend {config.backend!r}.",
            hint=f"Choose one of: {', '.join((AUTO, *backends))}.",
        )
    for flag, seconds in (
        ("--idle-exit", config.idle_exit_s),
        ("--model-idle", config.model_idle_s),
    ):
        if not 0 <= seconds < math.inf:
            raise StartError(
                "invalid_option",
                f"{flag} can't be {seconds:g} seconds.",
                hint="Give 0 seconds or more; 0 = never.",
            )
    if config.max_cost is not None and not config.max_cost >= 0:
        raise StartError(
            "invalid_option",
            f"--max-cost can't be {config.max_cost:g} USD.",
            hint="Give 0 USD or more, or leave it out for no limit.",
        )
    for name in ("max_window_mib", "max_queued_jobs", "max_queued_mib"):
        if getattr(config, name) < 1:
            raise StartError(
                "invalid_option",
                f"--{name.replace('_', '-')} must be at least 1.",
                hint="Leave it out to use the default.",
            )


def _is_endpoint(endpoint: str) -> bool:
    parts = urlsplit(endpoint)
    try:
        # Asking for the port raises beyond 65535, which the socket would wrap around.
        has_port = parts.netloc.endswith(":*") or parts.port is not None
    except ValueError:
        return False
    return parts.scheme == "tcp" and bool(parts.hostname) and has_port


def library_folder(chosen: Path | None) -> Path | None:
    """Return the folder of sounds: the one given by a flag, or ``REAPAINT_LIBRARY``.

    The variable may name a disk that is not connected now: only who asks for its sounds
    should hear of that.

    Raises
    ------
    StartError
        The folder given by a flag is not there.
    """
    if chosen is not None and not chosen.is_dir():
        raise StartError(
            "no_library",
            f"There is no folder {chosen}.",
            hint="Name a folder of sounds with --library.",
        )
    from_environment = environment_default("library", "")
    return chosen or (Path(from_environment).expanduser() if from_environment else None)


def optional_number(name: str) -> float | None:
    """Return ``REAPAINT_<NAME>`` as a number, where it is set and not empty.

    Raises
    ------
    StartError
        It is no number.
    """
    text = environment_default(name, "")
    try:
        return float(text) if text else None
    except ValueError as error:
        raise StartError(
            "invalid_option",
            f"REAPAINT_{name.upper()} is {text!r}, which is no number.",
            hint="Set it to a number, or unset it.",
        ) from error


def environment_default(name: str, default: str) -> str:
    """Return ``REAPAINT_<NAME>`` where it is set and not empty, else the default."""
    return os.environ.get(f"REAPAINT_{name.upper()}") or default
