"""What tests of more than one folder share."""

import itertools
import os

# Tests run side by side, one worker a core, and start engines besides: more threads would only
# wait for each other, spinning. Set before NumPy and torch are loaded, and for every child.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from reapaint.link import launcher
from reapaint.link.client import EngineAddress
from tests.scale import SCALE

ROOT = Path(__file__).parent.parent
FOLDERS = (
    "REAPAINT_RUNTIME_DIR",
    "REAPAINT_CONFIG_DIR",
    "REAPAINT_LOG_DIR",
    "REAPAINT_CACHE_DIR",
    "REAPAINT_MODELS_DIR",
    "REAPAINT_STATE_DIR",
    "HF_HOME",
)


def pytest_configure() -> None:
    """Make the tests mean the same on a busy machine and in a shell's background."""
    # Ctrl-C is heard: what a shell runs in the background is born deaf to it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # A property holds however long an example takes.
    slow = [hypothesis.HealthCheck.too_slow]
    hypothesis.settings.register_profile(
        "any machine", deadline=None, suppress_health_check=slow, max_examples=100 * SCALE
    )
    hypothesis.settings.load_profile("any machine")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out what needs a GPU where there is none; torch is loaded only to find out."""
    for_gpu = [item for item in items if item.get_closest_marker("gpu")]
    if for_gpu:
        import torch

        if not torch.cuda.is_available():
            for item in for_gpu:
                item.add_marker(pytest.mark.skip(reason="there is no CUDA device"))


@pytest.fixture(scope="session")
def _own_folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Count up folders that do not exist yet: whoever needs one makes it."""
    base = tmp_path_factory.mktemp("reapaint")
    return (base / str(number) for number in itertools.count())


@pytest.fixture(autouse=True)
def _no_settings_of_this_machine(
    monkeypatch: pytest.MonkeyPatch, _own_folders: Iterator[Path]
) -> None:
    """Keep every test away from the engine, the keys and the settings of whoever runs it."""
    for name in [name for name in os.environ if name.startswith("REAPAINT_")]:
        monkeypatch.delenv(name)
    folder = next(_own_folders)
    for name in FOLDERS:
        monkeypatch.setenv(name, str(folder / name.lower()))


@pytest.fixture(scope="session", autouse=True)
def _no_engine_outlives_the_tests() -> Iterator[None]:
    """Hold every test to what it started: an engine was told to end, and does."""
    yield
    for process in launcher.started_processes():
        process.wait(timeout=30)


@pytest.fixture(scope="module")
def shared_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Run one engine for a module's tests; yields the folders by which it is found."""
    folder = tmp_path_factory.mktemp("engine")
    environment = {name: str(folder / name.lower()) for name in FOLDERS}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        launcher.find_or_start(None)
    yield environment
    subprocess.run(
        [sys.executable, "-m", "reapaint", "stop"],
        cwd=ROOT,
        env={**os.environ, **environment},
        check=False,
        capture_output=True,
        timeout=30,
    )


@pytest.fixture
def engine(shared_engine: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> EngineAddress:
    """Return the address of the module's engine, and let this test's clients find it."""
    for name, value in shared_engine.items():
        monkeypatch.setenv(name, value)
    return launcher.find_address(None)
