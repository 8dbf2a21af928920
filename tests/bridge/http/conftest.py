"""Gateways that run as long as a test."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.bridge.http.serving import Server


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Return what makes a gateway that runs until the test is over."""
    running: list[Server] = []

    def make(**settings: Any) -> Server:
        server = Server(tmp_path / f"gateway-{len(running)}", **settings)
        server.client.__enter__()
        running.append(server)
        return server

    yield make
    for server in running:
        server.engine.may_run.set()
        server.client.__exit__(None, None, None)


@pytest.fixture
def server(serve: Callable[..., Server]) -> Server:
    return serve()
