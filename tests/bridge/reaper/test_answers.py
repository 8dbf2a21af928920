"""Answers to jobs that came to nothing."""

from reapaint.link.engine import failure_of
from reapaint.reaper.answers import failure
from reapaint.reaper.messages import write
from reapaint_engine.protocol.messages import Failed


def test_a_code_that_this_version_does_not_know_reaches_the_scripts_unchanged() -> None:
    said = Failed("job", "from_the_future", "The flux is low.", "Charge it.")
    answer = failure("job", failure_of(said), "instance")
    assert (answer.error.code, answer.error.hint) == ("from_the_future", "Charge it.")
    assert b'"from_the_future"' in write(answer)
