"""Every setting of every program: what is said of a bad one, and that the page names them all."""

import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reapaint.commands.cli import main
from reapaint.commands.settings import CommandSettings
from reapaint.http.config import HTTP, START, HttpConfig
from reapaint_engine.backends.hosted.registry import make_hosted_backends
from reapaint_engine.backends.stable_audio_3.checkpoint.store import MODELS_DIR
from reapaint_engine.config import EngineConfig
from reapaint_engine.protocol.folders import FOLDERS
from reapaint_engine.protocol.settings import Setting, settings_of

ROOT = Path(__file__).parent.parent
RIVER = ROOT / "bridge" / "reapaint" / "recordings" / "river.flac"
PAGE = ROOT / "docs" / "settings.md"
TEXTS = [
    path
    for folder, pattern in (("bridge", "*.py"), ("engine", "*.py"), ("docs", "*.md"))
    for path in sorted((ROOT / folder).rglob(pattern))
] + [ROOT / "README.md"]

Settings = list[Setting[Any]]

ENGINE: Settings = list(settings_of(EngineConfig).values())
GATEWAY: Settings = [*START, *settings_of(HttpConfig).values()]
COMMANDS: Settings = list(settings_of(CommandSettings).values())
LOGINS = [backend.service.login for backend in make_hosted_backends()]
TABLES: dict[str, Settings] = {
    "The engine": ENGINE,
    "The HTTP gateway": GATEWAY,
    "The command line, and the bridge beside REAPER": COMMANDS,
    "Folders": [*FOLDERS, MODELS_DIR],
    "Hosted services": [each for login in LOGINS for each in (login.key, login.url)],
}
VARIABLES = {each.variable for table in TABLES.values() for each in table}

BAD_TEXTS = ("no such thing", "~nobody-of-this-name/folder")

SERVE = ("serve",)
SERVE_HTTP = ("serve", "--http=127.0.0.1:0")
IN_PROCESS = ("inpaint", str(RIVER), "OUT", "--start=1", "--end=1.1", "--in-process")


def _bad_text(setting: Setting[Any]) -> str | None:
    """Return what a setting can't be; None of one that takes any text."""
    for text in BAD_TEXTS:
        try:
            setting.kind.read(text)
        except ValueError:
            return text
    return None


def _cases() -> Iterator[Any]:
    by_flag_and_variable = (
        (SERVE, ENGINE),
        (SERVE_HTTP, [*ENGINE, *(each for each in GATEWAY if each is not HTTP)]),
        (SERVE, [HTTP]),
        (("bridge",), [each for each in COMMANDS if each.name == "idle_exit"]),
        (IN_PROCESS, [each for each in COMMANDS if each.name == "library"]),
    )
    by_variable = (
        (("status",), COMMANDS),
        (("bridge",), COMMANDS),
        # It listens nowhere.
        (IN_PROCESS, [*COMMANDS, *(each for each in ENGINE if each.name != "endpoint")]),
    )
    for words, settings in by_flag_and_variable:
        for setting in settings:
            if setting.has_flag and setting.kind.flag == "value":
                yield from _case(words, setting, setting.flag)
    for words, settings in itertools.chain(by_flag_and_variable, by_variable):
        for setting in settings:
            yield from _case(words, setting, setting.variable)


def _case(words: tuple[str, ...], setting: Setting[Any], source: str) -> Iterator[Any]:
    text = _bad_text(setting)
    if text is not None:
        name = f"{words[0]}{words[-1] if len(words) > 1 else ''} {source}"
        yield pytest.param(words, setting, source, text, id=name)


@pytest.mark.parametrize(("words", "setting", "source", "text"), list(_cases()))
def test_a_bad_value_is_told_by_the_name_it_was_given_by(
    words: tuple[str, ...],
    setting: Setting[Any],
    source: str,
    text: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given = [str(tmp_path / "out.wav") if word == "OUT" else word for word in words]
    if source == setting.variable:
        monkeypatch.setenv(source, text)
    else:
        given.append(f"{source}={text}")
    assert main(given) == 2
    said = capsys.readouterr()
    assert said.out == ""
    sentence = f"reapaint: {source} can't be {text!r}. Give {setting.kind.may_be}, or leave it out."
    assert " ".join(said.err.split()) == sentence
    assert list(tmp_path.iterdir()) == []


def test_the_page_has_every_setting_as_the_code_has_it() -> None:
    sections = re.split(r"^## (.+)$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    found = {
        title: [line for line in text.splitlines() if line.startswith("| `")]
        for title, text in zip(sections[::2], sections[1::2], strict=True)
    }
    assert found == {title: [_row(each) for each in table] for title, table in TABLES.items()}


def _row(setting: Setting[Any]) -> str:
    flags = [flag for flag in (setting.flag, (setting.shorthand or ("",))[0]) if flag]
    names = ", ".join(f"`{name}`" for name in (*flags, setting.variable))
    default = f"`{setting.default_text}`" if setting.default_text else ""
    return f"| {names} | {default} | {setting.kind.may_be} | {setting.help} |"


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_other_variable_is_named(path: Path) -> None:
    named = set(re.findall(r"\bREAPAINT_[A-Z]\w*", path.read_text(encoding="utf-8")))
    assert named <= VARIABLES


def test_each_flag_and_variable_is_one_program_s() -> None:
    for table in TABLES.values():
        assert len({each.variable for each in table}) == len(table)
    serve = [each.flag for each in (*ENGINE, *GATEWAY) if each.has_flag]
    assert len(set(serve)) == len(serve)


def test_no_secret_has_a_flag() -> None:
    secrets = [each for table in TABLES.values() for each in table if "secret" in each.help]
    assert {each.variable for each in secrets} >= {"REAPAINT_HTTP_TOKEN", "FAL_KEY"}
    assert not any(each.has_flag for each in secrets)
