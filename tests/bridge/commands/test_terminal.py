"""What a person sees: a line is shown as it is, and costs next to nothing."""

import sys

import pytest

from reapaint.commands.terminal import Terminal
from reapaint_engine.protocol.errors import ErrorCode, ReaPaintError


def test_a_line_is_shown_as_it_is_and_without_rich(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "rich.console", None)
    line = "take :heart: [bold]1[/] " + 100 * "a long name "
    Terminal(is_json=False).say(line)
    assert capsys.readouterr().out == line + "\n"


def test_with_json_a_line_is_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    Terminal(is_json=True).say("a line")
    assert capsys.readouterr() == ("", "")


def test_a_warning_and_a_hint_are_shown_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    terminal = Terminal(is_json=False)
    terminal.warn("give h:m:s, or :100: [red]of[/] them")
    terminal.fail(ReaPaintError(ErrorCode.INVALID_OPTION, "No :m: here.", hint="Give h:m:s."))
    terminal.table("A :m: table", ["h:m:s"], [[":heart:"]])
    out, err = capsys.readouterr()
    assert err == (
        "warning: give h:m:s, or :100: [red]of[/] them\nreapaint: No :m: here.\nGive h:m:s.\n"
    )
    assert all(each in out for each in ("A :m: table", "h:m:s", ":heart:"))
