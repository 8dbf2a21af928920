"""Runs the gateway in the foreground: the engine's session, the web server, their ends."""

import asyncio
import contextlib
import logging
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from types import FrameType

import uvicorn

from reapaint.errors import InputError
from reapaint.http.app import make_app
from reapaint.http.config import HttpConfig
from reapaint.http.engine import SharedEngine
from reapaint.http.fetching import Network
from reapaint.http.gateway import Gateway
from reapaint_engine.protocol.errors import ErrorCode, reason_of
from reapaint_engine.protocol.folders import cache_folder

KEEP_ALIVE_S = 15
GOODBYE_S = 5
"""How long answers that are being sent may take when the server stops."""
BACKLOG = 512

SWITCH_S = 0.0005
"""How long a thread that works may keep the interpreter from the one that answers; Python's own
5 ms, several times for each answer, are what clients would feel."""

_log = logging.getLogger(__name__)


def serve(config: HttpConfig, flags: Sequence[str], on_ready: Callable[[str], None]) -> None:
    """Serve until a signal ends it.

    Parameters
    ----------
    flags
        Of ``reapaint serve``, for the engine.
    on_ready
        Called with the server's address when it can be used.

    Raises
    ------
    InputError
        The address can't be used, the certificate is none, or an engine runs already.
    EngineUnavailable
        No engine can be started.
    """
    sys.setswitchinterval(SWITCH_S)
    with contextlib.closing(_bind(config)) as listener:
        engine = SharedEngine(flags, offers_paid=config.offers_paid)
        engine.start()
        try:
            asyncio.run(_serve(config, engine, listener, on_ready))
        finally:
            engine.close()


async def _serve(
    config: HttpConfig,
    engine: SharedEngine,
    listener: socket.socket,
    on_ready: Callable[[str], None],
) -> None:
    port = int(listener.getsockname()[1])
    gateway = Gateway(
        config=config,
        engine=engine,
        network=Network(allowed_hosts=config.allowed_hosts),
        folder=cache_folder() / "http",
        port=port,
    )
    server = _Server(
        uvicorn.Config(
            make_app(gateway),
            http="h11",
            loop="asyncio",
            lifespan="on",
            log_config=None,
            # An address of a file is as good as the file: it is not for logs.
            access_log=False,
            server_header=False,
            # Nobody is believed about where a request came from.
            proxy_headers=False,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=GOODBYE_S,
            ssl_certfile=config.cert,
            ssl_keyfile=config.key,
        ),
        gateway,
        lambda: on_ready(_address(config, port)),
    )
    with _stopped_by_signals(server):
        await server.serve([listener])


class _Server(uvicorn.Server):
    """Ends all jobs before it ends, so that whoever waits for one hears of it."""

    def __init__(
        self, config: uvicorn.Config, gateway: Gateway, on_ready: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._gateway = gateway
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin, and say so."""
        await super().startup(sockets)
        if self.started:
            self._on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End."""
        await self._gateway.runner.close()
        await super().shutdown(sockets)


@contextlib.contextmanager
def _stopped_by_signals(server: uvicorn.Server) -> Iterator[None]:
    """Let every polite signal end the server in order.

    uvicorn takes some itself, and raises them again when it has ended: by then they must
    do no more harm.
    """

    def stop(_number: int, _frame: FrameType | None) -> None:
        server.should_exit = True

    names = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    before = {number: signal.signal(number, stop) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _bind(config: HttpConfig) -> socket.socket:
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    try:
        address = socket.getaddrinfo(config.host, config.port, family, socket.SOCK_STREAM)[0][4]
        # Without its protocol named asyncio would not take the delay out of small answers.
        listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    except OSError as error:
        raise _not_usable(config, error) from error
    try:
        if sys.platform != "win32":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise _not_usable(config, error) from error
    return listener


def _address(config: HttpConfig, port: int) -> str:
    host = f"[{config.host}]" if ":" in config.host else config.host
    return f"{'https' if config.cert else 'http'}://{host}:{port}"


def _not_usable(config: HttpConfig, error: OSError) -> InputError:
    return InputError(
        ErrorCode.INVALID_OPTION,
        f"The server can't listen on {config.host}:{config.port}: {reason_of(error)}.",
        hint="Choose another port, or 0 for any that is free.",
    )
