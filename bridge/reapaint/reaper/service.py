"""``reapaint bridge``: carries jobs from the spool to an engine, and results back.

One thread decides. Others wait for it: for the engine's socket, for the system's word
of changed files, and for audio to be read and written. They tell what happened by
putting it in the inbox.
"""

import logging
import os
import queue
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from reapaint.errors import BridgeCode, InputError
from reapaint.link.thread import EngineLink, LinkEvent
from reapaint.reaper.audio_work import Written
from reapaint.reaper.engine_view import NAMED_PATIENCE_S, OWN_PATIENCE_S
from reapaint.reaper.messages import Heartbeat
from reapaint.reaper.sandbox import flatpak_app
from reapaint.reaper.scheduler import JobScheduler, SchedulerEvent
from reapaint.reaper.spool import LOCK_PATIENCE_S, Spool
from reapaint.reaper.spool_watch import SpoolWatch
from reapaint_engine.protocol.errors import THE_PATH
from reapaint_engine.protocol.version import __version__

BEAT_INTERVAL_S = 1.0
ACTIVE_TICK_S = 0.1
"""How often to look for what the system did not tell while there is work."""
NEW_FOLDER_TICK_S = 0.01
NEW_FOLDER_PATIENCE_S = 2.0
"""How long to look closely at a folder whose request has not come yet."""
LOOK_INTERVAL_S = 3600.0
FIRST_LOOK_S = 600.0
"""A bridge that ends at once, again and again, must not make hours of minutes."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class BridgeConfig:
    """How the bridge is to run; ``idle_exit_s`` 0 means for ever."""

    spool: Path
    endpoint: str | None = None
    idle_exit_s: float = 0.0


@dataclass(frozen=True, slots=True)
class _Changed:
    """Something of a job or, with "", a control was written."""

    job_id: str


@dataclass(frozen=True, slots=True)
class _Stop:
    reason: str


_Event = _Changed | _Stop | SchedulerEvent


class Service:
    """The bridge of one spool. Use ``run_bridge``, which makes sure that it is the only one.

    Parameters
    ----------
    make_link
        Makes the way to the engine at an endpoint, which tells what happens there.
    is_starter_gone
        Tells whether nobody may be there any more who wants the bridge.
    clock
        Seconds that only count up.
    """

    def __init__(
        self,
        config: BridgeConfig,
        spool: Spool,
        *,
        make_link: Callable[[str | None, Callable[[LinkEvent], None]], EngineLink] = EngineLink,
        is_starter_gone: Callable[[], bool] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config = config
        self._spool = spool
        self._clock = clock
        self._is_starter_gone = is_starter_gone or starter_watch(config.spool)
        self._inbox: queue.SimpleQueue[_Event] = queue.SimpleQueue()
        self._scheduler = JobScheduler(
            spool,
            make_link(config.endpoint, self._inbox.put),
            self._inbox.put,
            patience_s=NAMED_PATIENCE_S if config.endpoint else OWN_PATIENCE_S,
            clock=clock,
        )
        self._new_folders: dict[str, float] = {}
        self._beat = 0
        now_s = clock()
        self._active_s = self._beat_due_s = self._scan_due_s = now_s
        self._look_due_s = now_s + FIRST_LOOK_S
        self._stop: str | None = None

    def stop(self, reason: str) -> None:
        """Ask the service to end; safe from a signal handler and from any thread."""
        self._inbox.put(_Stop(reason))

    def run(self) -> None:
        """Serve until asked to stop."""
        _log.info("bridge %s serves %s, pid %d", __version__, self._spool.root, os.getpid())
        with SpoolWatch(self._spool.root, self._changed) as watch:
            self._scheduler.start()
            try:
                self._begin()
                while self._stop is None:
                    self._turn(watch)
            finally:
                self._end()

    def _changed(self, job_id: str) -> None:
        self._inbox.put(_Changed(job_id))

    def _begin(self) -> None:
        self._spool.drop_broken_results()
        self._spool.sweep_applied()
        for job_id in self._spool.waiting_jobs():
            self._look_at(job_id)

    def _end(self) -> None:
        self._scheduler.close()
        while (event := self._next_event(0.0)) is not None:
            if isinstance(event, Written):
                self._scheduler.handle(event)
        self._scheduler.give_up()
        self._spool.remove_heartbeat()
        _log.info("bridge stops: %s", self._stop or "an error")

    # The loop

    def _turn(self, watch: SpoolWatch) -> None:
        event = self._next_event(self._wait_s(watch))
        while event is not None:
            self._handle(event)
            event = self._next_event(0.0)
        now_s = self._clock()
        self._scheduler.advance(now_s)
        self._look_at_new_folders(now_s)
        if now_s >= self._scan_due_s:
            self._scan_due_s = now_s + min(watch.scan_s, self._tick_s)
            watch.check()
            self._scan()
        if now_s >= self._beat_due_s:
            self._beat_due_s = now_s + BEAT_INTERVAL_S
            self._show_life()
            self._scheduler.commit_late()
        if now_s >= self._look_due_s:
            self._look_due_s = now_s + LOOK_INTERVAL_S
            self._spool.look_for_stale()
        self._stop_if_idle(now_s)

    @property
    def _tick_s(self) -> float:
        return BEAT_INTERVAL_S if self._scheduler.is_idle else ACTIVE_TICK_S

    def _wait_s(self, watch: SpoolWatch) -> float:
        wait_s = min(self._beat_due_s - self._clock(), watch.scan_s, self._tick_s)
        if self._new_folders:
            wait_s = min(wait_s, NEW_FOLDER_TICK_S)
        return max(wait_s, 0.0)

    def _next_event(self, wait_s: float) -> _Event | None:
        try:
            return self._inbox.get(block=wait_s > 0, timeout=wait_s or None)
        except queue.Empty:
            return None

    def _handle(self, event: _Event) -> None:
        match event:
            case _Changed(""):
                self._handle_controls()
            case _Changed(job_id):
                self._look_at(job_id, is_news=True)
            case _Stop(reason):
                self._stop = reason
            case _:
                state = self._scheduler.engine.state
                self._scheduler.handle(event)
                if self._scheduler.engine.state is not state:
                    self._beat_due_s = 0.0

    def _show_life(self) -> None:
        self._beat += 1
        engine = self._scheduler.engine
        self._spool.write_heartbeat(
            Heartbeat(os.getpid(), self._beat, engine.state, engine.backends)
        )

    def _stop_if_idle(self, now_s: float) -> None:
        if not self._scheduler.is_idle or self._new_folders:
            self._active_s = now_s
        limit_s = self._config.idle_exit_s
        if limit_s > 0 and now_s - self._active_s > limit_s and self._is_starter_gone():
            self._stop = f"nothing to do for {limit_s:g} s, and whoever started it is gone"

    # The spool

    def _scan(self) -> None:
        self._handle_controls()
        for job_id in self._spool.job_ids():
            self._look_at(job_id)
        self._scheduler.drop_removed()

    def _look_at_new_folders(self, now_s: float) -> None:
        for job_id, until_s in tuple(self._new_folders.items()):
            if self._spool.is_committed(job_id):
                self._look_at(job_id)
            if now_s > until_s or self._spool.is_gone(job_id):
                self._new_folders.pop(job_id, None)

    def _look_at(self, job_id: str, *, is_news: bool = False) -> None:
        if self._scheduler.has(job_id):
            self._scheduler.cancel_if_asked(job_id)
        elif self._spool.is_answered(job_id):
            if self._spool.is_applied(job_id):
                self._spool.remove(job_id)
        elif self._spool.is_committed(job_id):
            self._new_folders.pop(job_id, None)
            self._scheduler.take_up(job_id)
        elif is_news:
            # The system may miss what happens in a folder in its first moments.
            self._new_folders[job_id] = self._clock() + NEW_FOLDER_PATIENCE_S

    def _handle_controls(self) -> None:
        for control in self._spool.take_controls():
            _log.info("asked to %s", control.replace("_", " "))
            self._active_s = self._clock()
            match control:
                case "start_engine":
                    self._scheduler.start_engine()
                case "stop_engine":
                    self._scheduler.stop_engine()
                case "stop_bridge":
                    self._stop = "it was asked to"


def starter_watch(spool: Path) -> Callable[[], bool]:
    """Return what tells whether the process that started this one has ended.

    It says so as well where that can't be known: on Windows a virtual environment puts a
    process of its own between the two, and what comes out of Flatpak's sandbox is a child of
    Flatpak's helper.
    """
    parent = os.getppid()
    is_unknown = sys.platform == "win32" or parent == 1 or flatpak_app(spool) is not None
    return lambda: is_unknown or os.getppid() != parent


def run_bridge(
    config: BridgeConfig,
    on_ready: Callable[[Service], None],
    *,
    make_service: Callable[[BridgeConfig, Spool], Service] = Service,
) -> None:
    """Serve a spool until asked to stop.

    Parameters
    ----------
    on_ready
        Given the service before it begins, to let signals stop it.
    make_service
        Makes the service of a spool that is ours.

    Raises
    ------
    InputError
        ``bridge_running``: another bridge serves this spool.
    BridgeError
        The spool can't be written.
    """
    spool = Spool(config.spool)
    spool.make()
    with spool.lock(patience_s=LOCK_PATIENCE_S) as is_ours:
        if not is_ours:
            raise InputError(
                BridgeCode.BRIDGE_RUNNING,
                f"A bridge serves {THE_PATH} already.",
                hint="There is nothing to do: one is enough.",
                path=config.spool,
            )
        service = make_service(config, spool)
        on_ready(service)
        service.run()
