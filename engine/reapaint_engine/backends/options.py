"""The settings of backends; importing this loads nothing that computes."""

from dataclasses import dataclass, field
from pathlib import Path

from reapaint_engine.backends.stable_audio_3.options import StableAudioOptions
from reapaint_engine.protocol.libraries import LIBRARY
from reapaint_engine.protocol.settings import USD, Setting


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendOptions:
    """The settings of all backends."""

    library: Path | None = LIBRARY.field()  # noqa: RUF009 - it makes a field
    """A folder of sounds; without one there is no library backend. It is checked when it is
    needed: its disk may not be connected now."""
    stable_audio: StableAudioOptions = field(default_factory=StableAudioOptions)
    max_cost: float | None = Setting(
        name="max_cost",
        default=None,
        kind=USD,
        metavar="USD",
        help="refuse a job that would cost more at a hosted service (default: no limit)",
    ).field()
