from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reapaint_engine.jobs import Job, JobQueue
from reapaint_engine.protocol.errors import ProtocolError
from reapaint_engine.protocol.messages import InpaintRequest, Limits, Placement
from reapaint_engine.protocol.spans import Span

REQUEST = InpaintRequest(
    job_id="a",
    sample_rate=8000,
    channels=1,
    audio_frames=100,
    window_frames=100,
    spans=(Span(1, 2),),
)
WINDOW_BYTES = 400


def _job(job_id: str, client: bytes = b"c") -> Job:
    audio = np.zeros((1, 100), np.float32)
    return Job(replace(REQUEST, job_id=job_id), audio, client, created_s=0.0)


def _queue(jobs: int = 10, windows: int = 10) -> JobQueue:
    return JobQueue(Limits(1 << 20, jobs, windows * WINDOW_BYTES))


def _order(queue: JobQueue) -> list[str]:
    return [job.job_id for job in queue]


def test_back_and_front() -> None:
    queue = _queue()
    assert queue.add(_job("a"), Placement.BACK) == 0
    assert queue.add(_job("b"), Placement.BACK) == 1
    assert queue.add(_job("c"), Placement.FRONT) == 0
    assert _order(queue) == ["c", "a", "b"]
    assert queue.take_next(lambda _: True).job_id == "c"
    assert queue.size_bytes == 2 * WINDOW_BYTES


def test_replace_names_only_the_same_clients_jobs() -> None:
    queue = _queue()
    queue.add(_job("mine"), Placement.BACK)
    queue.add(_job("theirs", b"other"), Placement.BACK)
    assert [job.job_id for job in queue.replaced_by(_job("new"), Placement.REPLACE)] == ["mine"]
    assert queue.replaced_by(_job("new"), Placement.BACK) == []


def test_the_queue_is_bounded_by_jobs_and_by_bytes() -> None:
    for queue in (_queue(jobs=2), _queue(windows=2)):
        queue.add(_job("a"), Placement.BACK)
        queue.add(_job("b", b"other"), Placement.BACK)
        with pytest.raises(ProtocolError) as caught:
            queue.add(_job("c", b"third"), Placement.FRONT)
        assert caught.value.code == "queue_full"
        assert _order(queue) == ["a", "b"]


def test_one_client_leaves_room_for_others() -> None:
    for queue in (_queue(jobs=8), _queue(windows=8)):
        for number in range(6):
            queue.add(_job(f"a{number}"), Placement.BACK)
        with pytest.raises(ProtocolError, match="of this client") as caught:
            queue.add(_job("a6"), Placement.BACK)
        assert caught.value.code == "queue_full"
        assert queue.add(_job("b", b"other"), Placement.BACK) == 1


def test_a_job_of_another_client_is_among_the_next_two() -> None:
    queue = _queue(jobs=60, windows=60)
    for number in range(40):
        queue.add(_job(f"a{number}", b"A"), Placement.BACK)
    assert queue.take_next(lambda _: True).job_id == "a0"
    assert queue.add(_job("b", b"B"), Placement.BACK) == 0
    assert [queue.take_next(lambda _: True).job_id for _ in range(2)] == ["b", "a1"]


def test_clients_take_turns_and_the_front_is_that_of_a_client() -> None:
    queue = _queue(jobs=20, windows=20)
    for job_id, client in (("a1", b"A"), ("a2", b"A"), ("b1", b"B"), ("a3", b"A"), ("c1", b"C")):
        queue.add(_job(job_id, client), Placement.BACK)
    assert _order(queue) == ["a1", "b1", "c1", "a2", "a3"]
    assert queue.add(_job("b0", b"B"), Placement.FRONT) == 1
    assert _order(queue) == ["a1", "b0", "c1", "a2", "b1", "a3"]


@given(st.lists(st.tuples(st.sampled_from("ABC"), st.sampled_from(Placement)), max_size=30))
def test_the_order_that_is_shown_is_the_order_that_comes(
    sent: list[tuple[str, Placement]],
) -> None:
    queue = _queue(jobs=100, windows=100)
    for number, (client, placement) in enumerate(sent):
        job = _job(f"{client}{number}", client.encode())
        assert queue.add(job, placement) == _order(queue).index(job.job_id)
    shown = _order(queue)
    came = [queue.take_next(lambda _: True).job_id for _ in sent]
    assert came == shown
    # However much one client sends, another's first job waits for one of each at the most.
    for client in {job_id[0] for job_id in came}:
        first = next(place for place, job_id in enumerate(came) if job_id.startswith(client))
        assert first < 3


def test_who_can_take_nothing_is_passed_over() -> None:
    queue = _queue()
    queue.add(_job("a", b"A"), Placement.BACK)
    queue.add(_job("b", b"B"), Placement.BACK)
    assert queue.take_next(lambda job: job.client != b"A").job_id == "b"
    assert queue.take_next(lambda job: job.client != b"A") is None
    assert _order(queue) == ["a"]


def test_one_large_job_fits_an_empty_queue() -> None:
    queue = JobQueue(Limits(1 << 20, 4, 1))
    assert queue.add(_job("a"), Placement.BACK) == 0


def test_an_empty_queue_has_no_next_job() -> None:
    assert _queue().take_next(lambda _: True) is None


def test_the_same_job_is_known_again_and_no_other() -> None:
    job = _job("a")
    same = np.zeros((1, 100), np.float32)
    job.check_same(replace(REQUEST, job_id="a"), same)
    others = (
        (replace(REQUEST, prompt="else"), same),
        (REQUEST, np.full((1, 100), 1e-30, np.float32)),
        (REQUEST, np.zeros((1, 99), np.float32)),
    )
    for request, audio in others:
        with pytest.raises(ProtocolError) as caught:
            job.check_same(request, audio)
        assert caught.value.code == "job_id_reused"
