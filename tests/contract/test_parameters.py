"""Every way in knows every parameter of a request, with the same limits."""

import dataclasses
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import lupa
import msgspec
import pytest

from reapaint.commands.flags import make_parser
from reapaint.http.inputs import OwnFields, describe_parameters, http_name
from reapaint.request_settings import RequestSettings
from reapaint_engine.backends.base import GenerationParams
from reapaint_engine.protocol.messages import InpaintRequest
from reapaint_engine.protocol.params import Parameter, RequestParams, parameters

ROOT = Path(__file__).parents[2]
ALL = list(parameters(RequestSettings).values())
NUMBERS = [each for each in ALL if each.high is not None]


def _id(parameter: Parameter) -> str:
    return parameter.name


@pytest.mark.parametrize("parameter", ALL, ids=_id)
def test_a_parameter_can_be_shown(parameter: Parameter) -> None:
    assert parameter.title
    assert parameter.meaning
    assert not parameter.meaning.endswith(".")
    # Captions of REAPER's windows are separated by commas.
    assert "," not in parameter.full_title + parameter.if_open
    assert bool(parameter.if_open) == parameter.is_optional
    assert (parameter.low is None) == (parameter.high is None)
    assert (parameter.type in (int, float)) == (parameter.high is not None)
    assert (parameter.type is str) == (parameter.max_characters is not None)


@pytest.mark.parametrize("kind", [InpaintRequest, RequestSettings, GenerationParams])
def test_messages_settings_and_backends_have_all_that_an_engine_honours(kind: type) -> None:
    assert set(parameters(RequestParams)) <= {each.name for each in dataclasses.fields(kind)}


@pytest.mark.parametrize("parameter", ALL, ids=_id)
def test_the_command_line_has_it(parameter: Parameter, capsys: pytest.CaptureFixture[str]) -> None:
    parser = make_parser()
    needed = ["inpaint", "in.wav", "out.wav", "--start", "1", "--end", "2"]
    assert getattr(parser.parse_args(needed), parameter.name) == parameter.default
    with pytest.raises(SystemExit):
        parser.parse_args(["inpaint", "--help"])
    shown = " ".join(capsys.readouterr().out.split())
    assert parameter.meaning in shown
    assert parameter.range_text in shown


def _schema() -> dict[str, Any]:
    (_,), components = msgspec.json.schema_components([OwnFields])
    properties: dict[str, Any] = components["OwnFields"]["properties"]
    return properties


@pytest.mark.parametrize("parameter", ALL, ids=_id)
def test_openapi_has_it(parameter: Parameter) -> None:
    field = _schema()[http_name(parameter)]
    kind = next(each for each in field.get("anyOf", [field]) if each["type"] != "null")
    assert kind["type"] == parameter.schema_type
    assert (kind.get("minimum"), kind.get("maximum")) == (parameter.low, parameter.high)
    assert kind.get("maxLength") == parameter.max_characters
    assert field["default"] == parameter.default
    assert ({"type": "null"} in field.get("anyOf", [])) == parameter.is_optional
    assert parameter.meaning in field["description"]


@pytest.mark.parametrize("parameter", NUMBERS, ids=_id)
def test_http_refuses_what_the_engine_would(parameter: Parameter) -> None:
    assert parameter.low is not None
    assert parameter.high is not None
    for value, is_good in (
        (parameter.low, True),
        (parameter.high, True),
        (parameter.low - 1, False),
        (parameter.high + 1, False),
    ):
        given = {http_name(parameter): parameter.type(value)}
        assert parameter.allows(value) == is_good
        if is_good:
            msgspec.convert(given, OwnFields)
        else:
            with pytest.raises(msgspec.ValidationError):
                msgspec.convert(given, OwnFields)


def test_the_page_is_told_of_all() -> None:
    assert [each.name for each in describe_parameters()] == [each.name for each in ALL]


def test_the_pages_own_inputs_have_no_limits_of_their_own() -> None:
    page = (ROOT / "bridge/reapaint/http/page/index.html").read_text(encoding="utf-8")
    form = page[page.index('<form id="form"') : page.index("</form>")]
    inputs = re.findall(r"<(?:input|textarea)[^>]*>", form)
    assert inputs
    assert not [each for each in inputs if re.search(r"\b(min|max|maxlength|step)=", each)]


def test_the_table_in_lua_is_up_to_date() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / ".ci" / "parameters.py", "--check"], capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("parameter", ALL, ids=_id)
def test_lua_has_it(parameter: Parameter) -> None:
    lua = lupa.LuaRuntime()
    table = lua.execute(
        (ROOT / "reaper_scripts/reapaint/parameters.lua").read_text(encoding="utf-8")
    )
    entry = next(each for each in table.values() if each.name == parameter.name)
    assert (entry.title, entry.type) == (parameter.full_title, parameter.schema_type)
    assert (entry.low, entry.high, entry.default) == (
        parameter.low,
        parameter.high,
        parameter.default,
    )
    assert bool(entry.optional) == parameter.is_optional


@pytest.mark.parametrize("parameter", ALL, ids=_id)
def test_the_documentation_of_http_has_it(parameter: Parameter) -> None:
    text = (ROOT / "docs/http.md").read_text(encoding="utf-8")
    assert f"`{http_name(parameter)}`" in text
    if parameter.high is not None and parameter.range_text:
        row = next(line for line in text.splitlines() if f"| `{http_name(parameter)}`" in line)
        assert parameter.range_text in row


@pytest.mark.parametrize("parameter", ALL, ids=_id)
def test_a_long_text_or_a_number_that_is_none_is_refused(parameter: Parameter) -> None:
    if parameter.type is str:
        assert parameter.max_characters is not None
        assert parameter.allows("x" * parameter.max_characters)
        assert not parameter.allows("x" * (parameter.max_characters + 1))
    elif parameter.type is float:
        assert not any(map(parameter.allows, (float("nan"), float("inf"), -float("inf"))))
