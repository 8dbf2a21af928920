"""Stages of a job: what a message names, and what a newer engine may name."""

import pytest

from reapaint_engine.protocol.progress import Stage, known_stage


@pytest.mark.parametrize("stage", Stage)
def test_a_stage_is_known_by_its_text(stage: Stage) -> None:
    assert known_stage(str(stage)) is stage


def test_a_newer_engines_stage_counts_as_starting() -> None:
    assert known_stage("mastering") is Stage.STARTING
