"""A browser, and a gateway with the engine behind it, for the tests of the web page."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import FOLDERS, ROOT
from tests.page.browser import Page, chromium, find_chromium

_SAYS = "reapaint: serving HTTP at "


@contextlib.contextmanager
def gateway(folder: Path, *flags: str, token: str = "") -> Iterator[str]:
    """Run `reapaint serve --http` with folders of its own; yields its address."""
    environment = {**os.environ, "REAPAINT_HTTP_TOKEN": token, "OPENBLAS_NUM_THREADS": "1"}
    environment |= {name: str(folder / name.lower()) for name in FOLDERS}
    command = [sys.executable, "-m", "reapaint", "serve", "--http", "127.0.0.1:0", *flags]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            said = next((line for line in process.stdout if line.startswith(_SAYS)), "")
            assert said, "the server did not start"
            yield said.removeprefix(_SAYS).strip()
        finally:
            process.terminate()
            process.wait(30)


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Page, Path]]:
    program = find_chromium()
    if program is None:
        pytest.skip("there is no Chromium here; install one, or name it in CHROMIUM")
    downloads = tmp_path_factory.mktemp("downloads")
    with chromium(program, tmp_path_factory.mktemp("profile"), downloads) as page:
        yield page, downloads


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with gateway(tmp_path_factory.mktemp("gateway")) as address:
        yield address


@pytest.fixture
def tab(browser: tuple[Page, Path]) -> Iterator[Page]:
    """The browser's page; nothing may have gone wrong in it, or left this machine, by the end."""
    page = browser[0]
    page.complaints.clear()
    page.requests.clear()
    yield page
    page.run("new Promise(requestAnimationFrame)")
    strange = [
        url for url in page.requests if not url.startswith(("http://127.0.0.1:", "blob:", "data:"))
    ]
    assert strange == []
    assert page.complaints == []


@pytest.fixture
def page(tab: Page, server: str) -> Page:
    """The page of a server, ready to be used."""
    tab.open(f"{server}/")
    tab.wait("document.querySelector('[name=backend]').options.length > 1")
    return tab


@pytest.fixture
def downloads(browser: tuple[Page, Path]) -> Path:
    return browser[1]
