"""Writes the parameters of a request for the Lua scripts; with --check, tells whether they are so.

Run it with the project's Python after a change of the table in Python:
``.venv/bin/python .ci/parameters.py``.
"""

import json
import sys
from pathlib import Path

from reapaint.request_settings import RequestSettings
from reapaint_engine.protocol.params import Parameter, parameters

TARGET = Path(__file__).parents[1] / "reaper_scripts" / "reapaint" / "parameters.lua"
HEAD = """\
--- What a person may ask for, with its limits: made by .ci/parameters.py from the bridge's table.

---@class reapaint.Parameter
---@field name string
---@field title string
---@field type "string"|"integer"|"number"|"boolean"
---@field optional boolean? whether it may be left to the engine
---@field if_open string? what is taken then
---@field default any
---@field low number? the least that a number may be
---@field high number? the most

---@type reapaint.Parameter[]
return {
"""


def lua_table() -> str:
    """Return the text of the Lua module."""
    entries = [_entry(each) for each in parameters(RequestSettings).values()]
    return HEAD + "".join(entries) + "}\n"


def _entry(parameter: Parameter) -> str:
    fields = {
        "name": parameter.name,
        "title": parameter.full_title,
        "type": parameter.schema_type,
        "optional": parameter.is_optional or None,
        "if_open": parameter.if_open or None,
        "default": parameter.default,
        "low": parameter.low,
        "high": parameter.high,
    }
    given = {name: value for name, value in fields.items() if value is not None}
    # JSON writes strings, numbers and booleans of these kinds as Lua does.
    lines = [
        f"    {name} = {json.dumps(value, ensure_ascii=False)},\n" for name, value in given.items()
    ]
    return "  {\n" + "".join(lines) + "  },\n"


def main() -> int:
    """Write the module, or compare it; the exit code is 1 where it differs."""
    text = lua_table()
    if "--check" not in sys.argv[1:]:
        TARGET.write_text(text, encoding="utf-8")
        return 0
    if TARGET.is_file() and TARGET.read_text(encoding="utf-8") == text:
        return 0
    sys.stderr.write(
        f"{TARGET} is not up to date: run .venv/bin/python .ci/{Path(__file__).name}\n"
    )
    return 1


if __name__ == "__main__":
    sys.exit(main())
