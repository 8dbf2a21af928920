"""What an engine may be told about the model; nothing that computes is loaded for it."""

from dataclasses import dataclass

from reapaint_engine.protocol.params import AUTO
from reapaint_engine.protocol.settings import SECONDS_OR_NEVER, SWITCH, TEXT, Setting


@dataclass(frozen=True, slots=True, kw_only=True)
class StableAudioOptions:
    """The settings of Stable Audio 3."""

    model: str = Setting(
        name="model",
        default=AUTO,
        kind=TEXT,
        metavar="NAME",
        help="the model that Stable Audio 3 takes where a request names none, or the folder of"
        " one; auto is the best one that is here",
    ).field()
    device: str = Setting(
        name="device",
        default=AUTO,
        kind=TEXT,
        metavar="D",
        help="where a model runs: auto, cpu, mps, cuda or cuda:N",
    ).field()
    idle_s: float = Setting(
        name="model_idle",
        default=600.0,
        kind=SECONDS_OR_NEVER,
        metavar="SECONDS",
        help="drop a model from memory after this long without work; 0 = never",
        shorthand=("--keep", "0", "never drop a model from memory"),
    ).field()
    hide_replaced: bool = Setting(
        name="hide_replaced",
        default=False,
        kind=SWITCH,
        help="let a model hear silence where it is to make new sound; by default it hears what"
        " was there as it was trained to, at the very edges of the selection",
    ).field()
