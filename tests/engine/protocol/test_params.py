"""The parameters of a request: their limits, and what is said of a value beyond them."""

from dataclasses import dataclass, replace

import pytest

from reapaint_engine.protocol.errors import ErrorCode, ProtocolError
from reapaint_engine.protocol.params import (
    RequestParams,
    check_params,
    chosen_from,
    parameter,
    parameters,
)

GOOD = RequestParams()


@pytest.mark.parametrize(
    ("changes", "code", "said"),
    [
        ({"steps": 0}, ErrorCode.INVALID_STEPS, "Steps must be between 1 and 100, not 0."),
        ({"seed": 2**32}, ErrorCode.INVALID_SEED, "between 0 and 4294967295, not 4294967296"),
        ({"takes": 17}, ErrorCode.INVALID_TAKES, "Takes must be between 1 and 16, not 17."),
        ({"strength": float("nan")}, ErrorCode.INVALID_STRENGTH, "not nan"),
        ({"crossfade_s": -1.0}, ErrorCode.INVALID_CROSSFADE, "Crossfade in seconds must be"),
        ({"max_cost": float("inf")}, ErrorCode.INVALID_COST, "Highest cost in USD must be"),
        ({"prompt": "x" * 10_001}, ErrorCode.INVALID_PROMPT, "has 10001 characters; at most 10000"),
        ({"prompt": "caf\udce9"}, ErrorCode.INVALID_PROMPT, "in another encoding"),
        ({"backend": "\ud800"}, ErrorCode.INVALID_FIELD, "in another encoding"),
    ],
)
def test_what_is_beyond_its_limits_is_refused_with_its_code(
    changes: dict[str, object], code: ErrorCode, said: str
) -> None:
    with pytest.raises(ProtocolError) as caught:
        check_params(replace(GOOD, **changes))
    assert caught.value.code == code
    assert said in caught.value.message
    assert caught.value.hint


def test_both_ends_of_a_range_and_what_is_open_are_good() -> None:
    check_params(GOOD)
    for name, each in parameters().items():
        if each.high is not None:
            check_params(replace(GOOD, **{name: each.low}))
            check_params(replace(GOOD, **{name: each.high}))


def test_a_class_that_adds_one_has_it_beside_the_others() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Wider(RequestParams):
        colour: int | None = parameter(None, title="Colour", meaning="a hue", low=0, high=7)

    assert [*parameters(Wider)] == [*parameters(), "colour"]
    colour = parameters(Wider)["colour"]
    assert (colour.type, colour.is_optional, colour.range_text) == (int, True, "0 to 7")
    with pytest.raises(ProtocolError, match="Colour must be between 0 and 7, not 8"):
        check_params(Wider(colour=8))
    assert "colour" not in chosen_from(Wider(colour=3))
