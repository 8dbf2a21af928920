"""Codes of the scripts' errors: each stands in the one list, and no other is written."""

import re
from pathlib import Path

SCRIPTS = Path(__file__).parents[2] / "reaper_scripts"
LIST = SCRIPTS / "reapaint" / "errors.lua"
WRITTEN = (
    re.compile(r'(?:errors|M)\.new\(\s*"(\w+)"'),
    re.compile(r'\.code [=~]= "(\w+)"'),
)


def test_a_code_that_is_written_is_in_the_list_and_the_other_way_round() -> None:
    texts = [path.read_text(encoding="utf-8") for path in SCRIPTS.rglob("*.lua")]
    written = {code for text in texts for each in WRITTEN for code in each.findall(text)}
    listed = re.findall(r'^---\| "(\w+)"$', LIST.read_text(encoding="utf-8"), re.MULTILINE)
    assert listed == sorted(set(listed))
    assert written == set(listed)
