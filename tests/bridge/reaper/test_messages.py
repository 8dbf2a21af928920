import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reapaint.reaper import messages
from reapaint.reaper.messages import (
    AccessorSource,
    Failure,
    FileSource,
    Heartbeat,
    JobProgress,
    Launch,
    Request,
    Result,
    SpanS,
)
from reapaint.request_settings import RequestSettings
from reapaint_engine.protocol.errors import ProtocolError

SAMPLES = Path(__file__).parents[2] / "contract" / "spool"
JOB_ID = "0123456789abcdef0123456789abcdef"
REAPER = "{8F3A1C52-0B7E-4D19-9A64-5E2C7D1B0F38}"
KINDS = {"request": Request, "progress": JobProgress, "bridge": Heartbeat, "launch": Launch}
REFUSED = json.loads((SAMPLES / "refused-requests.json").read_text(encoding="utf-8"))


def _sample(name: str) -> bytes:
    return (SAMPLES / name).read_bytes()


@pytest.mark.parametrize("path", sorted(SAMPLES.glob("*.json")), ids=lambda path: path.stem)
def test_golden_samples_are_read_and_written_the_same(path: Path) -> None:
    if path.stem in ("refused-requests", "result-other-major"):
        return
    data = path.read_bytes()
    kind = KINDS.get(path.stem.split("-")[0])
    message = messages.read(data, kind) if kind else messages.read_result(data)
    again = json.loads(messages.write(message))
    asked = json.loads(data)
    # Defaults may be added, and fields of tomorrow are left out.
    known = {name: value for name, value in asked.items() if name in again}
    for name, value in known.items():
        if isinstance(value, dict):
            assert value.items() <= again[name].items()
        else:
            assert again[name] == value
    assert asked.keys() - again.keys() <= {"a_field_of_tomorrow"}


def test_a_request_of_a_file_says_what_lua_wrote() -> None:
    request = messages.read_request(_sample("request-file.json"), JOB_ID)
    assert isinstance(request.source, FileSource)
    assert request.source.end_s == 31.700000000000003
    assert request.spans[0].start_s == 1.2345678901234567
    assert request.settings.prompt == 'Regen auf "Blech", \\ leise\nzweite Zeile'
    assert request.item.name == "Möwen 03.wav"
    assert request.instance == REAPER


def test_a_request_of_accessor_audio_says_what_lua_wrote() -> None:
    request = messages.read_request(_sample("request-accessor.json"), JOB_ID)
    assert request.source == AccessorSource(44_100, 6, 441_000, -0.25)
    assert request.spans == (SpanS(3, 4),)
    assert request.settings.takes == 4
    assert request.settings.match_level is False


def test_what_a_request_leaves_out_is_a_default() -> None:
    request = messages.read_request(_sample("request-fewest-fields.json"), JOB_ID)
    assert request.settings == RequestSettings()
    assert (request.handles_s, request.item.name, request.instance) == (2.0, "", "")


def test_a_result_is_told_from_a_failure() -> None:
    assert isinstance(messages.read_result(_sample("result.json")), Result)
    failed = messages.read_result(_sample("result-failed.json"))
    assert isinstance(failed, Failure)
    assert failed.error.code == "disk_full"
    for name in ("result", "result-failed", "result-cancelled"):
        assert messages.read_result(_sample(f"{name}.json")).instance == REAPER


@pytest.mark.parametrize(
    ("data", "instance"),
    [
        (b'{"instance": "{A}", "protocol": "9", "spans": 1}', "{A}"),
        (b'{"instance": 7}', ""),
        (b'{"instance": "{A}"', ""),
        (b"[" * 5000, ""),
        (b'{"instance": "\xff"}', ""),
        (b"{}", ""),
    ],
)
def test_whose_a_request_is_can_be_told_of_one_that_is_refused(data: bytes, instance: str) -> None:
    assert messages.read_instance(data) == instance


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case["why"])
def test_what_breaks_the_contract_is_refused_with_its_code(case: dict[str, str]) -> None:
    with pytest.raises(ProtocolError) as caught:
        messages.read_request(case["text"].encode(), JOB_ID)
    assert caught.value.code == case["code"]
    assert caught.value.hint


def test_another_major_version_is_refused() -> None:
    with pytest.raises(ProtocolError) as caught:
        messages.read_result(_sample("result-other-major.json"))
    assert caught.value.code == "incompatible_version"


def test_too_long_a_message_is_refused_before_it_is_read() -> None:
    with pytest.raises(ProtocolError) as caught:
        messages.read_request(b" " * (1 << 20) + b"{}", JOB_ID)
    assert caught.value.code == "too_large"


@given(st.binary(max_size=200))
def test_no_bytes_do_more_than_be_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        messages.read_request(data, JOB_ID)


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e6, max_value=1e6))
def test_both_languages_hold_the_same_double(value: float) -> None:
    """Lua writes %.17g; what comes back is the very number."""
    text = _sample("request-fewest-fields.json").decode()
    text = text.replace('"start_s": 1', f'"start_s": {value:.17g}')
    assert messages.read_request(text.encode(), JOB_ID).spans[0].start_s == value
