import io
import logging
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reapaint_engine.protocol.logs import (
    MAX_MESSAGE_CHARACTERS,
    LogBudget,
    LogFormatter,
    log_to,
    printable,
)

FORGED = "2026-01-01 00:00:00,000 I reapaint_engine.server: forged"
ENTRY = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} [DIWEC] a\.test: ")


def _written(message: str, *arguments: object, error: BaseException | None = None) -> str:
    record = logging.LogRecord("a.test", logging.WARNING, "", 0, message, arguments, None)
    if error is not None:
        record.exc_info = (type(error), error, error.__traceback__)
    return LogFormatter().format(record)


@given(st.text())
def test_whatever_is_said_an_entry_is_one_line(text: str) -> None:
    entry = _written("a client says %s", text)
    assert ENTRY.match(entry)
    assert len(entry.splitlines()) == 1
    assert entry.isprintable()


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n", "\x0b", "\x0c", "\x1c", "\x85", "\u2028"])
def test_no_end_of_line_begins_an_entry(end: str) -> None:
    entry = _written("refused %s", f"x{end}{FORGED}")
    assert FORGED in entry
    assert not any(line.startswith("2026") for line in entry.splitlines()[1:])


def test_terminals_are_told_no_commands() -> None:
    assert printable("\x1b[31mred\x07\u202e") == "\\x1b[31mred\\x07\\u202e"
    assert printable("\ud800") == "\\ud800"


def test_what_is_printable_stays_as_it_is() -> None:
    assert printable("Übung, 音, 🎵 50 %") == "Übung, 音, 🎵 50 %"


def test_a_long_message_is_cut_and_says_so() -> None:
    text = printable("x" * (MAX_MESSAGE_CHARACTERS + 1))
    assert text.startswith("x" * MAX_MESSAGE_CHARACTERS + "...")
    assert text.endswith(f"({MAX_MESSAGE_CHARACTERS + 1} characters)")
    assert printable("x" * MAX_MESSAGE_CHARACTERS) == "x" * MAX_MESSAGE_CHARACTERS


def test_a_tracebacks_lines_are_no_entries() -> None:
    def fail() -> None:
        raise ValueError(f"bad\n{FORGED}\r{FORGED}")

    with pytest.raises(ValueError, match="bad") as caught:
        fail()
    first, *others = _written("it failed", error=caught.value).splitlines()
    assert ENTRY.match(first)
    assert any(FORGED in line for line in others)
    assert all(line.startswith("  | ") for line in others)


def test_an_exceptions_group_and_notes_are_no_entries() -> None:
    error = ExceptionGroup(f"many\n{FORGED}", [ValueError(f"one\n{FORGED}")])
    error.add_note(f"note\n{FORGED}")
    _, *others = _written("it failed", error=error).splitlines()
    assert all(line.startswith("  | ") for line in others)


def test_a_program_writes_its_log_to_a_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    monkeypatch.setattr(root, "level", root.level)
    stream = io.StringIO()
    log_to(stream, "INFO")
    logging.getLogger("a.test").info("one\ntwo")
    logging.getLogger("a.test").debug("not told")
    assert ENTRY.match(stream.getvalue())
    assert stream.getvalue().endswith("one\\ntwo\n")
    assert stream.getvalue().count("\n") == 1


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def budget(clock: Clock, caplog: pytest.LogCaptureFixture) -> LogBudget:
    return LogBudget(logging.getLogger("a.test"), entries=3, period_s=10, clock=clock)


def test_a_few_warnings_are_written_and_the_rest_is_counted(
    budget: LogBudget, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(1000):
        budget.warn("number %d", number)
    assert caplog.messages == ["number 0", "number 1", "number 2"]
    clock.now_s += 9.9
    budget.tick()
    assert len(caplog.messages) == 3
    clock.now_s += 0.1
    budget.tick()
    assert caplog.messages[3:] == ["997 more of these were not logged"]
    budget.tick()
    assert len(caplog.messages) == 4


def test_a_new_period_has_warnings_again(
    budget: LogBudget, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(5):
        budget.warn("first")
    clock.now_s += 10
    budget.warn("second")
    assert caplog.messages[3:] == ["2 more of these were not logged", "second"]


def test_what_fits_the_budget_is_not_counted(
    budget: LogBudget, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    budget.warn("once")
    clock.now_s += 10
    budget.tick()
    assert caplog.messages == ["once"]


def test_what_a_stranger_says_of_a_stopped_clock_is_bounded(
    budget: LogBudget, caplog: pytest.LogCaptureFixture
) -> None:
    """Ticks within the period tell nothing more."""
    for _ in range(100):
        budget.warn("again")
        budget.tick()
    assert caplog.messages == ["again"] * 3
