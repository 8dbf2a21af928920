"""What the bridge knows of the engine, and when to look for one again."""

from collections.abc import Callable

from reapaint.errors import BridgeCode
from reapaint.link.thread import Disconnected
from reapaint.reaper.messages import BackendChoice, EngineState
from reapaint_engine.protocol.messages import BackendInfo, Welcome

OWN_PATIENCE_S = 20.0
"""While one engine ends and the next one starts, the last one's address is what is found."""
NAMED_PATIENCE_S = 1.0
CONNECT_PAUSE_S = 0.5
MAX_CHOICES = 32
"""Of each kind: what a dialog can show, and what a file can hold that is read all the time."""

_PASSING = (BridgeCode.ENGINE_UNREACHABLE, BridgeCode.ENGINE_DIED)


class EngineView:
    """The engine as the service sees it.

    ``patience_s`` is for how long one that can't be reached is looked for again.
    ``is_leaving`` is set of one that said it is stopping, ``is_unwanted`` of one that a
    person asked to stop.
    """

    def __init__(self, patience_s: float) -> None:
        self.welcome: Welcome | None = None
        self.is_leaving = False
        self.is_unwanted = False
        self.state = EngineState("stopped")
        self._patience_s = patience_s
        self._asked_s: float | None = None
        self._retry_s: float | None = None

    @property
    def is_connected(self) -> bool:
        """Whether there is one."""
        return self.state.state == "ready"

    @property
    def is_ready(self) -> bool:
        """Whether jobs can be sent."""
        return self.is_connected and not self.is_leaving

    @property
    def may_be_asked(self) -> bool:
        """Whether there is none and nobody is looking for one."""
        return self.state.state in ("stopped", "unreachable")

    @property
    def backends(self) -> tuple[BackendChoice, ...]:
        """What the scripts can offer; the last engine's while there is none."""
        if self.welcome is None:
            return ()
        return tuple(_choice(each) for each in self.welcome.backends[:MAX_CHOICES])

    def is_there(self, welcome: Welcome) -> None:
        """Take note of an engine."""
        self.welcome = welcome
        self.is_leaving = self.is_unwanted = False
        self._asked_s = self._retry_s = None
        self.state = EngineState("ready")

    def is_asked_for(self, now_s: float) -> None:
        """Take note that one is looked for."""
        if self._asked_s is None:
            self._asked_s = now_s
        self._retry_s = None
        if not self.is_connected:
            self.state = EngineState("starting")

    def is_gone(self, event: Disconnected, now_s: float) -> bool:
        """Take note that there is none; returns whether it will be looked for again."""
        self.is_leaving = self.is_unwanted = False
        is_patient = self._asked_s is not None and now_s < self._asked_s + self._patience_s
        if not self.is_connected and is_patient and event.error.code in _PASSING:
            self._retry_s = now_s + CONNECT_PAUSE_S
            return True
        self._asked_s = self._retry_s = None
        if event.was_told or event.error.code == BridgeCode.ENGINE_NOT_RUNNING:
            self.state = EngineState("stopped")
        else:
            self.state = EngineState("unreachable", str(event.error))
        return False

    def retry(self, now_s: float, connect: Callable[[], None]) -> None:
        """Look for an engine again when it is time."""
        if self._retry_s is not None and now_s >= self._retry_s:
            connect()


def _choice(info: BackendInfo) -> BackendChoice:
    """Return what a person can choose of a backend; its default model comes first."""
    others = (model for model in info.models if model != info.default_model)
    models = (info.default_model, *others) if info.models else ()
    return BackendChoice(info.name, info.modes[:MAX_CHOICES], models[:MAX_CHOICES])
