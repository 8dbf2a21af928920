"""REAPER and the page have words for every stage that a job's progress may name."""

import re
from pathlib import Path

from reapaint_engine.protocol.progress import Stage

ROOT = Path(__file__).parents[2]
LUA = ROOT / "reaper_scripts" / "reapaint" / "job_steps.lua"
PAGE = ROOT / "bridge" / "reapaint" / "http" / "page" / "job.js"

OF_THE_GATEWAY = {Stage.FETCH, Stage.DONE}
OF_REAPER = {"reading"}


def _words_for(path: Path) -> set[str]:
    text = path.read_text(encoding="utf-8")
    (table,) = re.findall(r"\bSTAGES = \{(.*?)\}", text, re.DOTALL)
    return set(re.findall(r"^\s*(\w+)\s*[=:]", table, re.MULTILINE))


def test_reaper_knows_every_stage_but_the_gateways() -> None:
    assert _words_for(LUA) - OF_REAPER == set(Stage) - OF_THE_GATEWAY


def test_the_page_knows_every_stage() -> None:
    assert _words_for(PAGE) == set(Stage)
