"""A job's phases: which may follow which, and what it is asked in each."""

import itertools

import pytest

from reapaint.reaper.messages import FileSource, Project, Request, SpanS, spool_protocol
from reapaint.reaper.running_jobs import JobPhase, RunningJob
from reapaint.reaper.spool import JobRecord

REQUEST = Request(
    protocol=spool_protocol(),
    job_id="a" * 32,
    project=Project("/media"),
    source=FileSource(path="/a.wav", start_s=0.0, end_s=2.0),
    spans=(SpanS(0.0, 1.0),),
)
LIFE = [JobPhase.WAITING, JobPhase.PLANNING, JobPhase.FILLING, JobPhase.WRITING]
ENDS = [JobPhase.KEPT, JobPhase.ENDED]


def _job(phase: JobPhase = JobPhase.WAITING) -> RunningJob:
    return RunningJob(REQUEST, JobRecord(), 0.0, phase)


def test_a_job_goes_through_its_life_in_order() -> None:
    job = _job()
    for phase in (*LIFE[1:], *ENDS):
        job.move(phase)
    assert job.phase is JobPhase.ENDED


@pytest.mark.parametrize("phase", [*LIFE, JobPhase.WRITING_IN_VAIN])
@pytest.mark.parametrize("end", ENDS)
def test_any_phase_may_be_the_last(phase: JobPhase, end: JobPhase) -> None:
    job = _job(phase)
    job.move(end)
    assert job.is_answered


@pytest.mark.parametrize(
    ("phase", "other"),
    [
        *((each, each) for each in JobPhase),
        *itertools.combinations(reversed((*LIFE, *ENDS)), 2),
        (JobPhase.WAITING, JobPhase.FILLING),
        (JobPhase.PLANNING, JobPhase.WRITING),
        (JobPhase.FILLING, JobPhase.WRITING_IN_VAIN),
        (JobPhase.WRITING_IN_VAIN, JobPhase.WRITING),
    ],
)
def test_no_phase_is_skipped_or_comes_again(phase: JobPhase, other: JobPhase) -> None:
    with pytest.raises(AssertionError, match="does not follow"):
        _job(phase).move(other)


def test_an_engine_is_wanted_until_all_windows_are_back() -> None:
    wanted = [phase for phase in JobPhase if _job(phase).wants_engine]
    assert wanted == [JobPhase.WAITING, JobPhase.PLANNING, JobPhase.FILLING]
