"""JSON in Lua: what Python writes is read, what Lua writes is the same for Python."""

import json
from pathlib import Path
from typing import Any

import lupa.lua53
import lupa.lua54
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reapaint.reaper.messages import read_request, read_result
from tests.scale import SCALE

SCRIPTS = Path(__file__).parents[2] / "reaper_scripts"
SAMPLES = Path(__file__).parents[1] / "contract" / "spool"
RUNTIMES = {"5.3": lupa.lua53.LuaRuntime, "5.4": lupa.lua54.LuaRuntime}
DRIVER = """
local json = require("reapaint.json")
return function(text)
  local value, problem = json.decode(text)
  if value == nil then return nil, problem end
  return json.encode(value)
end
"""


def _driver(version: str) -> Any:
    runtime = RUNTIMES[version](encoding=None, unpack_returned_tuples=True)
    runtime.execute(f"package.path = [[{SCRIPTS}/?.lua]]".encode())
    return runtime.execute(DRIVER.encode())


DRIVERS = {version: _driver(version) for version in RUNTIMES}


def through_lua(version: str, value: Any) -> Any:
    text = json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")
    written = DRIVERS[version](text)
    assert isinstance(written, bytes), written
    return json.loads(written.decode("utf-8"))


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=("Cs",))),
    lambda inner: st.lists(inner, max_size=5)
    | st.dictionaries(st.text(st.characters(exclude_categories=("Cs",)), max_size=5), inner,
                      min_size=1, max_size=5),
    max_leaves=20,
)  # fmt: skip


@pytest.mark.parametrize("version", RUNTIMES)
@settings(max_examples=150 * SCALE)
@given(value=VALUES)
def test_every_value_comes_back_the_same(version: str, value: Any) -> None:
    assert through_lua(version, value) == value


@pytest.mark.parametrize("version", RUNTIMES)
@pytest.mark.parametrize("sample", sorted(SAMPLES.glob("*.json")), ids=lambda path: path.stem)
def test_golden_messages_come_back_the_same(version: str, sample: Path) -> None:
    value = json.loads(sample.read_bytes())
    assert through_lua(version, value) == value


@pytest.mark.parametrize("version", RUNTIMES)
@pytest.mark.parametrize("name", ["request-file.json", "request-accessor.json"])
def test_the_bridge_reads_requests_that_lua_wrote(version: str, name: str) -> None:
    text = (SAMPLES / name).read_bytes()
    job_id = json.loads(text)["job_id"]
    written = DRIVERS[version](text)
    assert read_request(written, job_id) == read_request(text, job_id)


@pytest.mark.parametrize("version", RUNTIMES)
def test_the_bridge_reads_results_that_lua_wrote(version: str) -> None:
    text = (SAMPLES / "result.json").read_bytes()
    assert read_result(DRIVERS[version](text)) == read_result(text)


@pytest.mark.parametrize("version", RUNTIMES)
@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        (rb'"\ud83d\ude00"', "\U0001f600"),
        (rb'"\ud83d"', "\ufffd"),
        (rb'"\u00e4\n\t\/\b\f\r"', "ä\n\t/\b\f\r"),
        (b" [ ] ", []),
        (b"-1.5e-3", -0.0015),
        (b'"\x7f"', "\x7f"),
    ],
)
def test_odd_forms_are_read(version: str, text: bytes, meaning: Any) -> None:
    assert json.loads(DRIVERS[version](text)) == meaning


@pytest.mark.parametrize("version", RUNTIMES)
@pytest.mark.parametrize(
    "text",
    [b"", b"{", b'{"a"}', b'{"a":1,}x', b"[1 2]", b"tru", b'"\n"', b'"\\x"', b"1 2", b"-",
     b'{"a":1', b'"abc', b"[1,", b'"\\u12g4"', b"{1:2}", b"[" * 1000, b"nul"],
)  # fmt: skip
def test_damaged_text_is_told_and_not_guessed(version: str, text: bytes) -> None:
    value, problem = DRIVERS[version](text)
    assert value is None
    assert problem


@pytest.mark.parametrize("version", RUNTIMES)
def test_names_that_are_no_utf8_become_utf8(version: str) -> None:
    runtime = RUNTIMES[version](encoding=None)
    runtime.execute(f"package.path = [[{SCRIPTS}/?.lua]]".encode())
    encode = runtime.eval(b"require('reapaint.json').encode")
    assert json.loads(encode(b"caf\xe9 \xc3\xa9\xff")) == "caf\ufffd é\ufffd"
