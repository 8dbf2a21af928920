"""What the scripts are told that they can offer."""

from dataclasses import replace

from reapaint.errors import BridgeCode, EngineUnavailable
from reapaint.link.thread import Disconnected
from reapaint.reaper.engine_view import MAX_CHOICES, EngineView
from reapaint.reaper.messages import EnginePhase, EngineState, Heartbeat, write
from reapaint_engine.protocol.messages import BackendInfo, Limits, Welcome

PAINTER = BackendInfo(
    name="painter",
    description="",
    models=("small", "large"),
    default_model="large",
    modes=("auto", "repair"),
    honours=(),
    max_window_s=60.0,
    max_span_s=20.0,
)
WELCOME = Welcome("1", 1, (PAINTER,), "painter", Limits(1 << 24, 8, 1 << 26))
MANY = tuple(f"a model with a name of forty characters {number}" for number in range(1000))


def _view(*backends: BackendInfo) -> EngineView:
    view = EngineView(1.0)
    view.on_connected(replace(WELCOME, backends=backends))
    return view


def test_every_backend_is_told_with_its_modes_and_models() -> None:
    (choice,) = _view(PAINTER).backends
    assert (choice.name, choice.modes) == ("painter", ("auto", "repair"))
    assert choice.models == ("large", "small")
    assert _view(replace(PAINTER, models=(), default_model="")).backends[0].models == ()


def test_what_an_engine_offered_outlives_it() -> None:
    view = _view(PAINTER)
    view.on_disconnected(Disconnected(EngineUnavailable(BridgeCode.ENGINE_DIED, "It died.")), 0.0)
    assert [each.name for each in view.backends] == ["painter"]
    assert EngineView(1.0).backends == ()


def test_the_heartbeat_stays_small_whatever_an_engine_offers() -> None:
    info = replace(PAINTER, models=MANY, default_model=MANY[-1], modes=MANY)
    backends = _view(*[info] * 1000).backends
    assert len(backends) == len(backends[0].modes) == len(backends[0].models) == MAX_CHOICES
    assert backends[0].models[0] == MANY[-1]
    assert len(write(Heartbeat(1, 1, EngineState(EnginePhase.READY), backends))) < 1 << 17
