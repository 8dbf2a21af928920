"""The settings of a program: each defined once, with its flag, help and variable.

The settings of a program are the fields of one frozen dataclass. The flags, their help and the
names of the variables are made from it. A flag takes precedence over its variable, and that
over the default.
"""

import argparse
import dataclasses
import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Literal, NoReturn, TypeVar

from reapaint_engine.protocol.errors import SettingError

T = TypeVar("T")
Table = TypeVar("Table")

MAX_SHOWN_CHARACTERS = 60
"""How much of an invalid value a message shows."""

MAX_NUMBER = 10**9
"""Largest number of a setting: so many MiB, in bytes, still fit into 64 bits."""

_KEY = "setting"


@dataclass(frozen=True, slots=True)
class Kind(Generic[T]):
    """The kind of value that a setting takes."""

    read: Callable[[str], T]
    """Converts text to the value; raises ValueError for invalid text."""
    may_be: str
    """The valid values in words, as the object of "Give"."""
    show: Callable[[T], str] = str
    """Converts the value to text, for defaults in the help."""
    flag: Literal["value", "switch", "values"] = "value"
    """How its flag is used: with a value, without one, or repeatedly with one each time."""


@dataclass(frozen=True, kw_only=True)
class Setting(Generic[T]):
    """One setting of a program."""

    name: str
    """The name, such as idle_exit: its flag is --idle-exit, its variable REAPAINT_IDLE_EXIT."""
    default: T
    kind: Kind[T]
    help: str
    metavar: str | None = None
    variable: str = ""
    """The variable, where it is not made from the name."""
    has_flag: bool = True
    """Whether it has a flag. A secret has none: all users can see a running program's flags."""
    shorthand: tuple[str, str, str] | None = None
    """Another flag that sets one of the values: the flag, the value, and its help."""

    def __post_init__(self) -> None:
        """Set the name of the variable where none is given."""
        if not self.variable:
            object.__setattr__(self, "variable", f"REAPAINT_{self.name.upper()}")

    @property
    def flag(self) -> str:
        """Return its flag on a command line; empty where it has none."""
        return f"--{self.name.replace('_', '-')}" if self.has_flag else ""

    @property
    def default_text(self) -> str:
        """Return the default as a user would give it; empty where there is none."""
        return "" if self.default is None else self.kind.show(self.default)

    def field(self) -> T:
        """Return a field of a dataclass that has this setting's default."""
        field: T = dataclasses.field(default=self.default, metadata={_KEY: self})
        return field

    def add_to(self, parser: "argparse._ActionsContainer") -> None:
        """Add the flag to a parser; ``value`` reads the result."""
        place = parser if self.shorthand is None else parser.add_mutually_exclusive_group()
        text = self.help
        if self.kind.flag == "value" and self.default_text:
            text += f" (default: {self.default_text})"
        common: dict[str, Any] = {"dest": self.name, "default": argparse.SUPPRESS}
        if self.kind.flag == "switch":
            place.add_argument(self.flag, action="store_const", const="yes", help=text, **common)
        else:
            action = "append" if self.kind.flag == "values" else "store"
            place.add_argument(self.flag, action=action, metavar=self.metavar, help=text, **common)
        if self.shorthand is not None:
            flag, value, text = self.shorthand
            place.add_argument(flag, action="store_const", const=value, help=text, **common)

    def value(self, options: argparse.Namespace | None = None) -> T:
        """Return the value from the flag in a parser's options, or else from the variable.

        Raises
        ------
        SettingError
            The value is invalid; the message names the flag or the variable.
        """
        given = getattr(options, self.name, None)
        if given is not None:
            return self._read(",".join(given) if isinstance(given, list) else given, self.flag)
        text = os.environ.get(self.variable)
        return self._read(text, self.variable) if text else self.default

    def _read(self, text: str, source: str) -> T:
        try:
            return self.kind.read(text)
        except ValueError as error:
            raise SettingError(
                f"{source} can't be {text[:MAX_SHOWN_CHARACTERS]!r}.",
                hint=f"Give {self.kind.may_be}, or leave it out.",
            ) from error


class Parser(argparse.ArgumentParser):
    """A parser that raises its errors, so that every program shows them like any other."""

    def error(self, message: str) -> NoReturn:
        """Raise the parser's error.

        Raises
        ------
        SettingError
            Always.
        """
        raise SettingError(
            f"{message[:1].upper()}{message[1:]}.",
            hint=f"See `{self.prog} --help`.",
        )


def settings_of(table: type[Any]) -> dict[str, Setting[Any]]:
    """Return the settings of a dataclass by field names, including those of nested tables."""
    settings = {}
    for each in dataclasses.fields(table):
        if _KEY in each.metadata:
            settings[each.name] = each.metadata[_KEY]
        elif (inner := _inner_table(each)) is not None:
            settings |= settings_of(inner)
    return settings


def _inner_table(field: "dataclasses.Field[Any]") -> type[Any] | None:
    """Return the nested table of a field, or None."""
    made_by: Any = field.default_factory
    return made_by if isinstance(made_by, type) and dataclasses.is_dataclass(made_by) else None


def add_flags(parser: "argparse._ActionsContainer", table: type[Any], *fields: str) -> None:
    """Add a flag for each setting of a table, or for those of some fields only."""
    settings = settings_of(table)
    for name in fields or settings:
        if settings[name].has_flag:
            settings[name].add_to(parser)


def read_settings(
    table: type[Table], options: argparse.Namespace | None = None, **known: object
) -> Table:
    """Create a table from flags and variables.

    Parameters
    ----------
    table
        A dataclass whose fields are settings, tables, or have other values.
    options
        The options from a parser, if there was one.
    known
        Values of fields that are known already.

    Raises
    ------
    SettingError
        A flag or a variable has a value that can't be used.
    """
    values: dict[str, Any] = dict(known)
    for each in dataclasses.fields(table):  # type: ignore[arg-type]  # every table is a dataclass
        if each.name in values:
            continue
        if _KEY in each.metadata:
            values[each.name] = each.metadata[_KEY].value(options)
        elif (inner := _inner_table(each)) is not None:
            values[each.name] = read_settings(inner, options)
    return table(**values)


# Kinds


def _number_of_something(text: str) -> int:
    number = int(text)
    if not 1 <= number <= MAX_NUMBER:
        raise ValueError("out of range")
    return number


def _not_negative(text: str) -> float:
    number = float(text)
    if not 0 <= number < math.inf:
        raise ValueError("out of range")
    return number


def _positive(text: str) -> float:
    if (number := _not_negative(text)) == 0:
        raise ValueError("out of range")
    return number


def _yes_or_no(text: str) -> bool:
    word = text.strip().lower()
    if word not in (*_YES, *_NO):
        raise ValueError("neither yes nor no")
    return word in _YES


def _path(text: str) -> Path:
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise ValueError("no such user") from error


def _level(text: str) -> str:
    level = text.strip().upper()
    if level not in _LEVELS:
        raise ValueError("no level")
    return level


def _shortest(number: float | None) -> str:
    return f"{number:g}"


_YES, _NO = ("yes", "true", "on", "1"), ("no", "false", "off", "0")
_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")

TEXT = Kind(str, "a text")
OPTIONAL_TEXT: Kind[str | None] = Kind(str, "a text")
PATH: Kind[Path | None] = Kind(_path, "the name of a file or folder")
SWITCH = Kind(_yes_or_no, "yes or no", lambda is_on: "yes" if is_on else "no", flag="switch")
NUMBER = Kind(_number_of_something, f"a whole number from 1 to {MAX_NUMBER}")
MEBIBYTES = Kind(
    lambda text: _number_of_something(text) << 20,
    f"a whole number of MiB, from 1 to {MAX_NUMBER}",
    lambda size: str(size >> 20),
)
"""A size that is given in MiB and kept in bytes."""

SECONDS = Kind(_positive, "more than 0 seconds", _shortest)
SECONDS_OR_NEVER = Kind(_not_negative, "0 seconds or more", _shortest)
USD: Kind[float | None] = Kind(_not_negative, "0 USD or more", _shortest)
LOG_LEVEL = Kind(_level, f"{', '.join(_LEVELS[:-1])} or {_LEVELS[-1]}")
