"""One model in memory: loaded in the background, shared by jobs, dropped when idle."""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from reapaint_engine.backends.base import JobControl
from reapaint_engine.protocol.progress import OnFraction, Stage

CANCEL_CHECK_S = 0.1
"""How often a job that waits for its model looks whether it was cancelled."""

_log = logging.getLogger(__name__)


class Closable(Protocol):
    """A model: what holds memory until it is closed."""

    def close(self) -> None:
        """Give the memory back."""


class _Superseded(Exception):
    """Another model is wanted before this one was loaded."""


Held = TypeVar("Held", bound=Closable)


class ModelHolder(Generic[Held]):
    """Loads models in a thread of its own and keeps the last one.

    Parameters
    ----------
    load
        Makes a model from its folder; reports progress from 0 to 1, and lets what that
        raises pass.
    idle_s
        Drop the model after so long without a job; 0 = never.
    """

    def __init__(self, load: Callable[[Path, OnFraction], Held], *, idle_s: float) -> None:
        self._load = load
        self._idle_s = idle_s
        self._changed = threading.Condition()
        self._wanted: Path | None = None
        self._loading: Path | None = None
        self._fraction = 0.0
        self._model: Held | None = None
        self._held: Path | None = None
        self._failure: Exception | None = None
        self._users = 0
        self._timer: threading.Timer | None = None

    @property
    def held(self) -> Path | None:
        """The folder of the model that is in memory."""
        with self._changed:
            return self._held

    def preload(self, folder: Path) -> None:
        """Begin to load a model, unless it is there or on its way."""
        with self._changed:
            self._want(folder)

    @contextmanager
    def borrow(self, folder: Path, control: JobControl) -> Iterator[Held]:
        """Lend a model for one job, waiting until it is loaded.

        Raises
        ------
        reapaint_engine.errors.JobError
            It can't be loaded.
        reapaint_engine.errors.JobCancelled
            Somebody asked for the job's end; the model goes on loading.
        """
        model = self._wait_for(folder, control)
        try:
            yield model
        finally:
            with self._changed:
                self._users -= 1
                self._restart_timer()

    def close(self) -> None:
        """Drop the model, and end what is being loaded."""
        with self._changed:
            self._wanted = None
            self._stop_timer()
            self._drop()

    def _wait_for(self, folder: Path, control: JobControl) -> Held:
        with self._changed:
            self._failure = None
            self._want(folder)
            while self._held != folder:
                fraction = self._fraction if self._loading == folder else 0.0
                self._changed.release()
                try:
                    # Reporting takes other locks, and may end the job.
                    control.step(Stage.LOAD, fraction)
                finally:
                    self._changed.acquire()
                if self._held == folder:
                    break
                if self._failure is not None:
                    raise self._failure
                self._want(folder)
                self._changed.wait(CANCEL_CHECK_S)
            assert self._model is not None, "a held model exists"
            self._stop_timer()
            self._users += 1
            return self._model

    # With the lock held

    def _want(self, folder: Path) -> None:
        self._wanted = folder
        if self._loading is None and self._held != folder:
            self._drop()
            self._loading, self._fraction, self._failure = folder, 0.0, None
            threading.Thread(
                target=self._load_in_background, args=(folder,), name="model loader", daemon=True
            ).start()

    def _drop(self) -> None:
        if self._model is not None and not self._users:
            model, self._model, self._held = self._model, None, None
            model.close()

    def _restart_timer(self) -> None:
        self._stop_timer()
        if self._idle_s and not self._users:
            self._timer = threading.Timer(self._idle_s, self._drop_idle)
            self._timer.daemon = True
            self._timer.start()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # In threads of their own

    def _drop_idle(self) -> None:
        with self._changed:
            if not self._users and self._held is not None:
                _log.info("%s was idle for %g s and is unloaded", self._held.name, self._idle_s)
                self._drop()

    def _load_in_background(self, folder: Path) -> None:
        model: Held | None = None
        failure: Exception | None = None
        try:
            model = self._load(folder, lambda fraction: self._progressed(folder, fraction))
        except _Superseded:
            pass
        except Exception as error:  # noqa: BLE001 - handed to the job that waits for it
            failure = error
            _log.warning("%s could not be loaded: %s", folder, error)
        with self._changed:
            self._loading = None
            if model is not None and self._wanted == folder:
                self._model, self._held = model, folder
                self._restart_timer()
            elif model is not None:
                model.close()
            elif failure is not None and self._wanted == folder:
                self._failure = failure
            self._changed.notify_all()

    def _progressed(self, folder: Path, fraction: float) -> None:
        with self._changed:
            if self._wanted != folder:
                raise _Superseded
            self._fraction = fraction
