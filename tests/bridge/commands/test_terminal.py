"""What a person sees: a line is shown as it is, and costs next to nothing."""

import sys

import pytest

from reapaint.commands.terminal import Terminal


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
