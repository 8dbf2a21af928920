"""Carries predictions out: gets their audio, has the engine repaint it, keeps the results."""

import asyncio
import logging
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from reapaint.errors import EngineUnavailable
from reapaint.files.formats.recording import AudioInfo
from reapaint.http.admission import AdmissionQueue
from reapaint.http.config import HttpLimits
from reapaint.http.engine import SharedEngine
from reapaint.http.errors import HttpCode, Refused, our_mistake
from reapaint.http.fetching import Network
from reapaint.http.intake import find_own, look_at, take_audio
from reapaint.http.predictions import Prediction, PredictionRequest, Predictions, Take
from reapaint.http.store import Store, StoredFile
from reapaint.repaint import RepaintJob, Report, prepare, run_job
from reapaint_engine.protocol.arrays import Audio
from reapaint_engine.protocol.errors import (
    ErrorCode,
    ReaPaintError,
    is_disk_full,
    out_of_memory,
    reason_of,
)
from reapaint_engine.protocol.messages import Done, InpaintRequest, Welcome
from reapaint_engine.protocol.progress import OnProgress, Stage

FETCHERS = 4
READERS = 2
RUNNERS = 3
"""Predictions that read, wait for the engine or write at one time: the engine does one, and
more threads that encode would take the interpreter from the one that answers."""
HELD_BYTES = 1 << 30
"""Of windows and results in memory, unless a single one needs more."""
WINDOW_GUESS_S = 60.0
"""What a backend may want to hear beyond what was asked for."""
STAND_IN_FOR = "stable-audio-3"
"""The backend that is what the hosted models are."""

_LOSSY_BYTES_PER_S = 64_000

_log = logging.getLogger(__name__)


class PredictionRunner:
    """The gateway's work, one task of the event loop for each prediction."""

    def __init__(
        self,
        *,
        engine: SharedEngine,
        store: Store,
        network: Network,
        limits: HttpLimits,
        predictions: Predictions,
        on_end: Callable[[Prediction], None],
    ) -> None:
        """``on_end`` is called in the event loop when a prediction has ended."""
        self._engine = engine
        self._store = store
        self._network = network
        self._limits = limits
        self._predictions = predictions
        self._on_end = on_end
        self._admission = AdmissionQueue(HELD_BYTES)
        self._fetchers = ThreadPoolExecutor(FETCHERS, thread_name_prefix="fetch")
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="read")
        self._runners = ThreadPoolExecutor(RUNNERS, thread_name_prefix="run")
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_closing = False

    def submit(self, request: PredictionRequest) -> Prediction:
        """Take on a prediction; in the event loop.

        Raises
        ------
        Refused
            429: too many wait; 503: the server is stopping.
        """
        if self._is_closing:
            raise _stopping()
        prediction = self._predictions.add(request)
        task = asyncio.create_task(self._work(prediction))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return prediction

    def remove(self, prediction: Prediction) -> None:
        """Forget a prediction that has ended, and its files."""
        self._predictions.forget(prediction)
        for take in prediction.takes:
            self._store.remove(take.file)

    async def look(self, file: StoredFile) -> AudioInfo:
        """Say what is in a file.

        Raises
        ------
        ReaPaintError
            It is no audio, too long, or takes too long to decode.
        """
        if self._is_closing:
            raise _stopping()
        loop = asyncio.get_running_loop()
        try:
            with self._store.using(file, lambda: False):
                return await loop.run_in_executor(self._readers, look_at, file, self._limits)
        except ReaPaintError as error:
            raise self._shown(error) from error

    async def close(self) -> None:
        """End everything: what runs and what waits fails with a sentence."""
        if self._is_closing:
            return
        self._is_closing = True
        for prediction in self._predictions.active:
            prediction.fail(_stopping())
            prediction.is_cancelled = True
        await asyncio.to_thread(self._engine.close)
        for pool in (self._fetchers, self._readers, self._runners):
            pool.shutdown(wait=False, cancel_futures=True)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=5.0)
        for task in self._tasks:
            task.cancel()

    # One prediction

    async def _work(self, prediction: Prediction) -> None:
        try:
            await self._carry_through(prediction)
        except ReaPaintError as error:
            if error.path:
                _log.info("%s failed at %s", prediction.prediction_id, error.path)
            prediction.fail(self._shown(error))
        except MemoryError:
            prediction.fail(out_of_memory())
        except asyncio.CancelledError:
            prediction.fail(_stopping())
        except Exception as error:  # noqa: BLE001 - the job boundary: the server lives on
            _log.exception("%s broke", prediction.prediction_id)
            prediction.fail(our_mistake(error))
        finally:
            self._predictions.let_go(prediction)
        if prediction.error is not None:
            _log.info("%s: %s", prediction.prediction_id, prediction.error)
        self._on_end(prediction)

    async def _carry_through(self, prediction: Prediction) -> None:
        loop = asyncio.get_running_loop()
        audio = prediction.request.audio
        is_here = find_own(audio, self._store) is not None
        is_kept = is_here and not prediction.request.is_inline
        pool = self._readers if is_here else self._fetchers
        file = await loop.run_in_executor(pool, self._take, prediction)
        try:
            with self._store.using(file, lambda: prediction.has_ended):
                info = await loop.run_in_executor(self._readers, look_at, file, self._limits)
                number = self._admission.join()
                try:
                    await loop.run_in_executor(self._runners, self._run, prediction, info, number)
                finally:
                    self._admission.leave(number)
        finally:
            if not is_kept:
                # Nobody knows its id.
                self._store.remove(file)

    def _take(self, prediction: Prediction) -> StoredFile:
        prediction.check()
        if find_own(prediction.request.audio, self._store) is None:
            prediction.move(Stage.FETCH, 0.0)
        return take_audio(prediction.request.audio, self._store, self._network, self._limits)

    def _run(self, prediction: Prediction, info: AudioInfo, number: int) -> None:
        """Repaint and write; in a thread."""
        request = prediction.request
        folder = self._store.folder / f"work-{prediction.prediction_id}"
        self._store.check_room(_result_bytes(info, request))
        self._admission.admit(number, _held_bytes(info, request), prediction.check)
        try:
            folder.mkdir(mode=0o700)
            job = RepaintJob(
                source=info.path,
                target=folder / f"audio.{request.output_format}",
                selections_s=request.selections_s,
                settings=request.settings,
            )
            seat = _Seat(self._engine, self._admission, number, prediction)
            report = run_job(prepare(job, info), seat, prediction.move)
            takes = tuple(
                Take(self._store.adopt(output.path, f"audio.{request.output_format}"), output)
                for output in report.outputs
            )
        except OSError as error:
            raise _disk_error(error) from error
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        if not prediction.finish(report, takes, _stand_in_warnings(request, report)):
            for take in takes:
                self._store.remove(take.file)

    def _shown(self, error: ReaPaintError) -> ReaPaintError:
        """Return an error as clients may read it: they know nothing of this machine's files."""
        if isinstance(error, EngineUnavailable) and self._is_closing:
            return _stopping()
        if error.code == ErrorCode.DISK_FULL:
            return disk_full()
        is_own = self._store.folder in Path(error.path).parents
        return error.for_stranger("the recording" if is_own else "")


class _Seat:
    """One prediction's place at the shared engine."""

    def __init__(
        self, engine: SharedEngine, admission: AdmissionQueue, number: int, prediction: Prediction
    ) -> None:
        self._engine = engine
        self._admission = admission
        self._number = number
        self._prediction = prediction

    @property
    def welcome(self) -> Welcome:
        """What the engine can do."""
        return self._engine.welcome

    def run(
        self, request: InpaintRequest, audio: Audio, on_progress: OnProgress
    ) -> tuple[Done, tuple[Audio, ...]]:
        """Do one window, in its turn."""

        def put(send: Callable[[], None]) -> None:
            self._admission.enter(self._number, self._prediction.check, send)

        return self._engine.run(request, audio, on_progress, put=put)


def disk_full() -> Refused:
    """Return what to say when the disk takes no more."""
    return Refused(
        507,
        ErrorCode.DISK_FULL,
        "The server's disk is full.",
        hint="Free some space there; no half-written file was left.",
    )


def _held_bytes(info: AudioInfo, request: PredictionRequest) -> int:
    """Return about how much memory a prediction's windows and patches take."""
    context_s = request.settings.context_s
    heard_s = WINDOW_GUESS_S
    for start_s, end_s in request.selections_s:
        length_s = end_s - start_s
        heard_s += length_s + 2 * (max(length_s, 5.0) if context_s is None else context_s)
    frames = min(heard_s * info.sample_rate, info.frames + _selected_s(request) * info.sample_rate)
    return int(frames) * info.channels * 4 * (1 + request.settings.takes)


def _result_bytes(info: AudioInfo, request: PredictionRequest) -> int:
    """Return about how much disk a prediction's results take."""
    duration_s = max(info.duration_s, request.selections_s[-1][1])
    if request.output_format in ("wav", "flac"):
        one = duration_s * info.sample_rate * info.channels * info.sample_format.bits / 8
    else:
        one = duration_s * _LOSSY_BYTES_PER_S
    return int(one) * request.settings.takes


def _selected_s(request: PredictionRequest) -> float:
    return sum(end_s - start_s for start_s, end_s in request.selections_s)


def _stand_in_warnings(request: PredictionRequest, report: Report) -> tuple[str, ...]:
    if not request.is_alias or report.backend == STAND_IN_FOR:
        return ()
    return (
        (
            f"{request.model} is a hosted model; here the {report.backend} backend stood in for it,"
            " as it does for all that names none. See `reapaint models`."
        ),
    )


def _disk_error(error: OSError) -> ReaPaintError:
    if is_disk_full(error):
        return disk_full()
    return ReaPaintError(
        ErrorCode.OUTPUT_NOT_WRITABLE,
        f"The server can't keep the result: {reason_of(error)}.",
        hint="Its log tells more.",
    )


def _stopping() -> Refused:
    return Refused(
        503,
        HttpCode.SERVER_STOPPING,
        "The server is stopping.",
        hint="Send the job again when it is back.",
    )
