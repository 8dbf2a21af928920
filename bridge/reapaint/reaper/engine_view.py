"""What the bridge knows of the engine, and when to look for one again."""

from reapaint.errors import BridgeCode
from reapaint.link.thread import Disconnected
from reapaint.reaper.messages import BackendChoice, EnginePhase, EngineState
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

    Parameters
    ----------
    patience_s
        For how long one that can't be reached is looked for again.
    """

    def __init__(self, patience_s: float) -> None:
        self.welcome: Welcome | None = None
        self.state = EngineState(EnginePhase.STOPPED)
        self.is_unwanted = False
        self._is_leaving = False
        self._patience_s = patience_s
        self._asked_s: float | None = None
        self._retry_s: float | None = None

    @property
    def is_connected(self) -> bool:
        """Whether there is one."""
        return self.state.state is EnginePhase.READY

    @property
    def is_ready(self) -> bool:
        """Whether jobs can be sent."""
        return self.is_connected and not self._is_leaving

    @property
    def may_be_asked(self) -> bool:
        """Whether there is none and nobody is looking for one."""
        return self.state.state in (EnginePhase.STOPPED, EnginePhase.UNREACHABLE)

    @property
    def will_retry(self) -> bool:
        """Whether one that can't be reached is looked for again."""
        return self._retry_s is not None

    @property
    def backends(self) -> tuple[BackendChoice, ...]:
        """What the scripts can offer; the last engine's while there is none."""
        if self.welcome is None:
            return ()
        return tuple(_choice(each) for each in self.welcome.backends[:MAX_CHOICES])

    def is_retry_due(self, now_s: float) -> bool:
        """Tell whether it is time to look for an engine again."""
        return self._retry_s is not None and now_s >= self._retry_s

    # What happens

    def on_connected(self, welcome: Welcome) -> None:
        """Note that an engine is there."""
        self.welcome = welcome
        self._is_leaving = self.is_unwanted = False
        self._asked_s = self._retry_s = None
        self.state = EngineState(EnginePhase.READY)

    def on_connecting(self, now_s: float) -> None:
        """Note that one is looked for."""
        if self._asked_s is None:
            self._asked_s = now_s
        self._retry_s = None
        if not self.is_connected:
            self.state = EngineState(EnginePhase.STARTING)

    def on_unwanted(self) -> None:
        """Note that a person wants it to stop."""
        self.is_unwanted = True

    def on_leaving(self) -> None:
        """Note that it says it is stopping."""
        self._is_leaving = True

    def on_disconnected(self, event: Disconnected, now_s: float) -> None:
        """Note that there is none, or not any more."""
        self._is_leaving = self.is_unwanted = False
        is_patient = self._asked_s is not None and now_s < self._asked_s + self._patience_s
        if not self.is_connected and is_patient and event.error.code in _PASSING:
            self._retry_s = now_s + CONNECT_PAUSE_S
            return
        self._asked_s = self._retry_s = None
        if event.was_told or event.error.code == BridgeCode.ENGINE_NOT_RUNNING:
            self.state = EngineState(EnginePhase.STOPPED)
        else:
            self.state = EngineState(EnginePhase.UNREACHABLE, str(event.error))


def _choice(info: BackendInfo) -> BackendChoice:
    """Return what a person can choose of a backend; its default model comes first."""
    others = (model for model in info.models if model != info.default_model)
    models = (info.default_model, *others) if info.models else ()
    return BackendChoice(info.name, info.modes[:MAX_CHOICES], models[:MAX_CHOICES])
