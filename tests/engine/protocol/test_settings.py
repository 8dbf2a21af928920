"""How a setting comes to its value: the flag, then the variable, then the default."""

import argparse
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from reapaint_engine.protocol.errors import SettingError
from reapaint_engine.protocol.settings import (
    LOG_LEVEL,
    MEBIBYTES,
    NUMBER,
    PATH,
    SECONDS,
    SECONDS_OR_NEVER,
    SWITCH,
    USD,
    Kind,
    Parser,
    Setting,
    add_flags,
    read_settings,
    settings_of,
)

NAMES: Kind[tuple[str, ...]] = Kind(
    lambda text: tuple(text.split(",")), "names", ",".join, flag="values"
)


@dataclass(frozen=True, kw_only=True)
class Inner:
    """A table in a table."""

    size: int = Setting(name="size_mib", default=3 << 20, kind=MEBIBYTES, help="how much").field()


@dataclass(frozen=True, kw_only=True)
class Outer:
    """A table with every kind of flag."""

    place: str
    wait_s: float = Setting(
        name="wait",
        default=60.0,
        kind=SECONDS_OR_NEVER,
        help="how long",
        metavar="SECONDS",
        shorthand=("--for-ever", "0", "never stop"),
    ).field()
    loud: bool = Setting(name="loud", default=False, kind=SWITCH, help="say more").field()
    names: tuple[str, ...] = Setting(
        name="name", variable="TEST_NAMES", default=(), kind=NAMES, help="of whom"
    ).field()
    word: int = Setting(
        name="word", default=1, kind=NUMBER, help="a secret", has_flag=False
    ).field()
    inner: Inner = field(default_factory=Inner)
    other: int = 7


def _parsed(*words: str) -> argparse.Namespace:
    parser = Parser(prog="test")
    add_flags(parser, Outer)
    return parser.parse_args(words)


def test_the_flag_comes_first_then_the_variable_then_the_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    table = read_settings(Outer, _parsed(), place="here")
    assert table == Outer(place="here")
    assert (table.wait_s, table.loud, table.inner.size) == (60.0, False, 3 << 20)
    for name, text in (
        ("REAPAINT_WAIT", "5"),
        ("REAPAINT_LOUD", "yes"),
        ("TEST_NAMES", "a,b"),
        ("REAPAINT_WORD", "2"),
        ("REAPAINT_SIZE_MIB", "4"),
    ):
        monkeypatch.setenv(name, text)
    expected = Outer(
        place="here", wait_s=5.0, loud=True, names=("a", "b"), word=2, inner=Inner(size=4 << 20)
    )
    assert read_settings(Outer, _parsed(), place="here") == expected
    assert read_settings(Outer, place="here") == expected
    words = ("--wait=6", "--name", "c", "--name", "d", "--size-mib=5")
    table = read_settings(Outer, _parsed(*words), place="here")
    assert (table.wait_s, table.names, table.inner.size) == (6.0, ("c", "d"), 5 << 20)
    assert read_settings(Outer, _parsed("--for-ever"), place="here").wait_s == 0
    monkeypatch.setenv("REAPAINT_WAIT", "")
    assert read_settings(Outer, place="here").wait_s == 60


def test_some_flags_of_a_table_may_do() -> None:
    assert list(settings_of(Outer)) == ["wait_s", "loud", "names", "word", "size"]
    parser = Parser(prog="test")
    add_flags(parser, Outer, "loud")
    assert read_settings(Outer, parser.parse_args(["--loud"]), place="here").loud
    with pytest.raises(SettingError, match="--wait"):
        parser.parse_args(["--wait=6"])


def test_what_goes_wrong_is_said_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingError) as caught:
        read_settings(Outer, _parsed("--wait=long"), place="here")
    assert caught.value.code == "invalid_option"
    assert str(caught.value) == ("--wait can't be 'long'. Give 0 seconds or more, or leave it out.")
    monkeypatch.setenv("REAPAINT_SIZE_MIB", "9" * 5000)
    with pytest.raises(SettingError, match=r"^REAPAINT_SIZE_MIB can't be '9") as caught:
        read_settings(Outer, _parsed(), place="here")
    assert len(caught.value.message) < 100
    for words in (("--wait=1", "--for-ever"), ("--word=2",), ("--wait",)):
        with pytest.raises(SettingError, match="See `test --help`"):
            _parsed(*words)


def test_the_help_has_the_defaults() -> None:
    parser = Parser(prog="test")
    add_flags(parser, Outer)
    text = " ".join(parser.format_help().split())
    assert "--wait SECONDS how long (default: 60) --for-ever never stop" in text
    assert "--size-mib SIZE_MIB how much (default: 3)" in text
    assert "--loud say more --name" in text


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        (NUMBER, {"1": 1, "64": 64}, ("0", "-1", "1.5", "", "9" * 20, "many")),
        (MEBIBYTES, {"2": 2 << 20}, ("0", "0.5", "-1")),
        (SECONDS, {"0.5": 0.5}, ("0", "-1", "nan", "inf", "1e999", "soon")),
        (SECONDS_OR_NEVER, {"0": 0.0, "9": 9.0}, ("-1", "nan", "inf", "soon")),
        (USD, {"0": 0.0, "0.05": 0.05}, ("-0.01", "nan", "inf", "$1")),
        (SWITCH, {"yes": True, "1": True, "On": True, "no": False, "0": False}, ("2", "maybe")),
        (LOG_LEVEL, {"debug": "DEBUG", "WARNING": "WARNING"}, ("loud", "10")),
        (PATH, {"a/b": Path("a/b"), "~": Path.home()}, ("~nobody-of-this-name/a",)),
    ],
    ids=lambda value: value.may_be if isinstance(value, Kind) else "",
)
def test_kinds(kind: Kind[object], good: dict[str, object], bad: tuple[str, ...]) -> None:
    for text, value in good.items():
        assert kind.read(text) == value
    assert [text for text in bad if not _is_refused(kind, text)] == []


def _is_refused(kind: Kind[object], text: str) -> bool:
    try:
        kind.read(text)
    except ValueError:
        return True
    return False
