"""A REAPER with a recording in it, and a stand-in for the bridge."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.reaper_scripts.workbench import Workbench


@pytest.fixture(params=["5.4", "5.3"])
def lua(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Workbench]:
    """A saved project at 48 kHz, one selected stereo item from 1 to 4.5 s."""
    with Workbench(tmp_path) as bench:
        yield bench
