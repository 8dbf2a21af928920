"""ReaPack is told of exactly the scripts there are, at an address that can be chosen."""

import json
import re
import urllib.request
from pathlib import Path
from urllib.parse import unquote
from xml.etree import ElementTree

import pytest

from reapaint.commands.cli import main
from reapaint.reaper.setup import installation, reapack
from reapaint_engine.protocol.version import __version__
from tests.integration.script_side import ROOT

SCRIPTS = ROOT / "reaper_scripts"
FILES = sorted(path.relative_to(SCRIPTS).as_posix() for path in SCRIPTS.rglob("*.lua"))


def _download(index: bytes) -> dict[str, tuple[str, str | None]]:
    """Return every file's goal in the resource folder with its address and section.

    As ReaPack's own code reads a list: a goal is Scripts/index/category/file, and ``..``
    leads no further than out of the category.
    """
    root = ElementTree.fromstring(index)
    assert root.get("version") == "1"
    (category,) = root.findall("category")
    (package,) = category.findall("reapack")
    (version,) = package.findall("version")
    assert package.get("type") == "script"
    assert version.get("name") == __version__
    assert re.fullmatch(r"\d[\w.-]*", __version__)
    assert package.get("desc")
    assert version.get("author")
    files = {}
    for source in version.findall("source"):
        name, address = source.get("file") or package.get("name"), source.text
        assert name is not None
        assert address is not None
        folder = "" if name.startswith("../") else f"{category.get('name')}/"
        goal = f"Scripts/{root.get('name')}/{folder}{name.removeprefix('../')}"
        assert goal not in files
        files[goal] = (address, source.get("main"))
    return files


def test_the_list_that_comes_along_names_every_file_once() -> None:
    index = (SCRIPTS / reapack.INDEX).read_bytes()
    assert index == reapack.make_index(SCRIPTS, reapack.LOCAL_ADDRESS), (
        f"run `reapaint reaper index reaper_scripts/index.xml --address {reapack.LOCAL_ADDRESS}`"
    )
    files = _download(index)
    folder = installation.SCRIPTS_FOLDER.as_posix()
    assert sorted(files) == sorted(f"{folder}/{name}" for name in FILES)
    for goal, (address, section) in files.items():
        name = goal.removeprefix(f"{folder}/")
        assert unquote(address) == f"{reapack.LOCAL_ADDRESS}/{name}"
        assert re.fullmatch(r"[\w.~:/%-]+", address)
        assert section == ("main" if name.startswith("ReaPaint_") else None)


def test_the_list_is_of_the_version_that_the_scripts_header_says() -> None:
    header = (SCRIPTS / reapack.PACKAGE).read_text(encoding="utf-8")
    assert f"-- @version {__version__}\n" in header


def test_what_is_listed_can_be_loaded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """From files, as ReaPack loads a ``file://`` address: the very scripts come of it."""
    out = tmp_path / "mein index.xml"
    out.write_text("an older one")
    assert main(["reaper", "index", str(out), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    with urllib.request.urlopen(answer["import"]) as listed:
        files = _download(listed.read())
    for goal, (address, _) in files.items():
        name = goal.removeprefix("Scripts/ReaPaint/")
        with urllib.request.urlopen(address) as file:
            assert file.read() == (SCRIPTS / name).read_bytes()


def test_a_copy_elsewhere_can_be_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "index.xml"
    address = "https://example.org/~k/reaper_scripts"
    assert main(["reaper", "index", str(out), "--address", f"{address}/"]) == 0
    assert out.as_uri() in capsys.readouterr().out.replace("\n", "")
    assert all(each.startswith(f"{address}/") for each, _ in _download(out.read_bytes()).values())


@pytest.mark.parametrize("address", ["here", "https://a b", "ftp://example.org/x", "file://"])
def test_what_is_no_address_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], address: str
) -> None:
    out = tmp_path / "index.xml"
    assert main(["reaper", "index", str(out), "--address", address, "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "invalid_option"
    assert not out.exists()
