"""The settings of an engine, which it gets at its start."""

from collections.abc import Collection
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from reapaint_engine.backends.options import BackendOptions
from reapaint_engine.errors import StartError
from reapaint_engine.protocol.discovery import is_loopback
from reapaint_engine.protocol.errors import ErrorCode, unknown_choice
from reapaint_engine.protocol.messages import Limits
from reapaint_engine.protocol.params import AUTO
from reapaint_engine.protocol.settings import (
    LOG_LEVEL,
    NUMBER,
    SECONDS_OR_NEVER,
    TEXT,
    Kind,
    Setting,
)

LOOPBACK_ENDPOINT = "tcp://127.0.0.1:*"


def _endpoint(text: str) -> str:
    parts = urlsplit(text)
    # ``port`` raises beyond 65535; the socket would wrap such a port around.
    has_port = parts.netloc.endswith(":*") or parts.port is not None
    if parts.scheme != "tcp" or not parts.hostname or not has_port:
        raise ValueError("no address to listen on")
    return text


ENDPOINT = Kind(_endpoint, "one such as tcp://127.0.0.1:5555, where port * is any that is free")


@dataclass(frozen=True, kw_only=True)
class EngineConfig:
    """One engine's settings, checked by ``check_config``."""

    endpoint: str = Setting(
        name="endpoint",
        default=LOOPBACK_ENDPOINT,
        kind=ENDPOINT,
        help="where to listen; beyond loopback only clients with trusted keys are served",
    ).field()
    backend: str = Setting(
        name="backend",
        default=AUTO,
        kind=TEXT,
        help="what fills the mask where a request names none",
    ).field()
    backend_options: BackendOptions = field(default_factory=BackendOptions)
    idle_exit_s: float = Setting(
        name="idle_exit",
        default=0.0,
        kind=SECONDS_OR_NEVER,
        metavar="SECONDS",
        help="stop after this long without work; 0 = never",
    ).field()
    max_window_mib: int = Setting(
        name="max_window_mib",
        default=1024,
        kind=NUMBER,
        metavar="N",
        help="the largest window of one job",
    ).field()
    max_queued_jobs: int = Setting(
        name="max_queued_jobs",
        default=64,
        kind=NUMBER,
        metavar="N",
        help="how many jobs may wait",
    ).field()
    max_queued_mib: int = Setting(
        name="max_queued_mib",
        default=4096,
        kind=NUMBER,
        metavar="N",
        help="how much audio may wait",
    ).field()
    log_level: str = Setting(
        name="log_level",
        default="INFO",
        kind=LOG_LEVEL,
        metavar="LEVEL",
        help="how much the log tells",
    ).field()

    @property
    def limits(self) -> Limits:
        """Return the limits that clients are told."""
        return Limits(
            max_window_bytes=self.max_window_mib << 20,
            max_queued_jobs=self.max_queued_jobs,
            max_queued_bytes=self.max_queued_mib << 20,
        )

    @property
    def is_loopback(self) -> bool:
        """Return whether only this machine can reach the endpoint."""
        return is_loopback(self.endpoint)


def check_config(config: EngineConfig, backends: Collection[str]) -> None:
    """Raise StartError if no engine can start with these settings.

    Raises
    ------
    StartError
        Naming the setting and what it may be.
    """
    if config.backend not in (AUTO, *backends):
        raise StartError.of(
            unknown_choice(ErrorCode.UNKNOWN_BACKEND, "backend", config.backend, (AUTO, *backends))
        )
