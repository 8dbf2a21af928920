"""What clients may ask the gateway for."""

import pytest

from reapaint.http.errors import Refused
from reapaint.http.flags import split_flags
from reapaint.http.models import choose_model, model_paths, without_paid
from reapaint_engine.backends.hosted.registry import make_hosted_backends
from reapaint_engine.local import LocalEngine


def test_what_costs_money_is_offered_only_when_it_was_said() -> None:
    engine = LocalEngine("context")
    engine.close()
    paid = {backend.info.name for backend in make_hosted_backends()}
    names = {backend.name for backend in engine.welcome.backends}
    free = without_paid(engine.welcome)
    assert paid <= names
    assert {backend.name for backend in free.backends} == names - paid
    assert "reapaint/context" in model_paths(free)
    for name in paid:
        assert f"reapaint/{name}" not in model_paths(free)
        with pytest.raises(Refused):
            choose_model(f"reapaint/{name}", None, None, free)
        with pytest.raises(Refused):
            choose_model("reapaint/auto", name, None, free)
        assert choose_model(f"reapaint/{name}", None, None, engine.welcome).backend == name


def test_offering_it_is_a_flag() -> None:
    for words, offers in (([], False), (["--http-paid"], True)):
        config, rest = split_flags(["--http", "127.0.0.1:0", *words])
        assert config is not None
        assert (config.offers_paid, rest) == (offers, [])
