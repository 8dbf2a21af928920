"""What ReaPack is told is what lies in the folder, and modules keep to their places."""

import re
from pathlib import Path

import pytest

from reapaint_engine.protocol.version import __version__

SCRIPTS = Path(__file__).parents[2] / "reaper_scripts"
FILES = sorted(path.relative_to(SCRIPTS).as_posix() for path in SCRIPTS.rglob("*.lua"))
ACTIONS = [name for name in FILES if name.startswith("ReaPaint_")]
PACKAGE = "ReaPaint_Inpaint time selection.lua"
MODULES = [name for name in FILES if name not in ACTIONS]


def test_the_header_provides_every_action() -> None:
    header = (SCRIPTS / PACKAGE).read_text().split("\n\n")[0]
    assert f"@version {__version__}" in header
    provided = set(re.findall(r"\[main\] (.+)", header))
    assert provided | {PACKAGE} == set(ACTIONS)
    for folder in {str(Path(name).parent) for name in MODULES}:
        assert f"[nomain] {folder}/*.lua" in header


@pytest.mark.parametrize("name", [name for name in ACTIONS if name != PACKAGE])
def test_the_other_actions_are_part_of_that_package(name: str) -> None:
    text = (SCRIPTS / name).read_text()
    assert "-- @noindex" in text
    assert len(text.splitlines()) < 12


def test_setting_up_knows_every_action() -> None:
    text = (SCRIPTS / "reapaint" / "setup.lua").read_text()
    listed = re.findall(r'^  "(.+)",$', text, re.MULTILINE)
    assert {f"ReaPaint_{name}.lua" for name in listed} == set(ACTIONS)


OF_THE_PROJECT = re.compile(
    r"reaper\.(\w*(Item|Take|Track|Undo|Split|PreventUI|Project(?!Path)|Envelope)\w*)"
)
MAY_ASK = ("reapaint/project/", "reapaint/selftest")
SOUND = {"GetMediaItemTake_Source", "CreateTakeAudioAccessor"}


@pytest.mark.parametrize("name", MODULES)
def test_only_the_project_modules_read_and_change_the_project(name: str) -> None:
    if name.startswith(MAY_ASK):
        return
    calls = {found[0] for found in OF_THE_PROJECT.findall((SCRIPTS / name).read_text())}
    calls -= {"TrackCtl_SetToolTip"}
    if name == "reapaint/sound.lua":
        calls -= SOUND
    if name == "reapaint/action.lua":
        calls -= {"Undo_BeginBlock2", "Undo_EndBlock2"}  # an empty one, to leave no trace
    assert not calls
