"""The backend that fills spans from a folder of sounds, chosen by the prompt."""

import contextlib
import logging
import sqlite3
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from reapaint_engine.backends.base import (
    Backend,
    Fill,
    Generation,
    GenerationParams,
    JobControl,
    Passage,
    Window,
)
from reapaint_engine.backends.library.audio import UnreadableClip, read_clip
from reapaint_engine.backends.library.events import Clip, describe_clip
from reapaint_engine.backends.library.fitting import at_window, fill_with_event, fill_with_loop
from reapaint_engine.backends.library.indexer import Indexer, IndexProgress
from reapaint_engine.backends.library.meaning import Meaning, rerank, widen
from reapaint_engine.backends.library.search import Match, find, parse
from reapaint_engine.backends.library.store import (
    LISTED,
    SCHEMA_VERSION,
    UNREADABLE,
    open_store,
    unusable,
)
from reapaint_engine.dsp.splicing import Levelling
from reapaint_engine.errors import JobError
from reapaint_engine.protocol.errors import THE_PATH, ErrorCode, ProtocolError
from reapaint_engine.protocol.folders import cache_folder
from reapaint_engine.protocol.libraries import LIBRARY_BACKEND, library_name
from reapaint_engine.protocol.messages import BackendInfo
from reapaint_engine.protocol.params import AUTO
from reapaint_engine.protocol.progress import OnFraction, Stage

ONCE, LOOP = "once", "loop"

MAX_FILES = 64
"""The seed chooses one of this many of the best files; higher seeds use other parts of them."""

MAX_TRIES = 8
"""A file that can't be read or is silent is skipped; at most this many are tried in a row."""

MIN_READ_S = 60.0
"""At least this much of a file is read where it is long enough, or twice the span if that is
more."""

FIRST_PATIENCE_S = 15.0
"""How long a job waits for the names in a new library."""

PATIENCE_S = 1.0
"""How long a job waits for new names in a library that is already indexed."""

MAX_INDEX_AGE_S = 30.0
"""A job has the folder checked for new files if the last check is older than this."""

POLL_INTERVAL_S = 0.1

_log = logging.getLogger(__name__)


class LibraryBackend(Backend):
    """Fills spans with the best matches in a library, which it indexes in the background."""

    def __init__(
        self, folder: Path, *, make_indexer: Callable[[Path, Path], Indexer] = Indexer
    ) -> None:
        """Create the backend; ``make_indexer`` takes the folder and the index's file."""
        self._folder = folder.expanduser()
        self._name = library_name(folder)
        self._make_indexer = make_indexer
        self._indexer: Indexer | None = None
        self._meaning = Meaning() if Meaning.is_installed() else None

    @property
    def info(self) -> BackendInfo:
        """Return the backend's info: any rate and channels, and the library as its only model."""
        return BackendInfo(
            name=LIBRARY_BACKEND,
            description="fills a span with the sound of a folder that fits the prompt best",
            models=(self._name,),
            default_model=self._name,
            modes=(AUTO, ONCE, LOOP),
            honours=("prompt", "negative_prompt", "takes", "seed", "crossfade_s", "match_level"),
            max_window_s=3600.0,
            max_span_s=1200.0,
            first_seed=0,
        )

    def start(self, *, is_default: bool) -> None:  # noqa: ARG002 - it needs no memory
        """Begin to index the library in the background."""
        try:
            self._running_indexer().request()
        except JobError as error:
            # A job for this backend raises this error again.
            _log.warning("%s", error)

    def close(self) -> None:
        """End the background work and keep the index."""
        if self._indexer is not None:
            self._indexer.stop()
            self._indexer = None

    def generate(
        self, window: Window, params: GenerationParams, seeds: Sequence[int], control: JobControl
    ) -> Generation:
        """Fill every span with the match that the seed chooses.

        Raises
        ------
        JobError
            ``no_library``, ``invalid_prompt``, ``no_match``, or ``backend_failed`` where
            the index can't be used.
        JobCancelled
            The job was cancelled.
        """
        self._check(params)
        control.step(Stage.ENCODE, 0.0)
        matches, notices = self._search(params, control)
        takes = []
        for number, seed in enumerate(seeds):
            step = _part_of(control, number / len(seeds), 1 / len(seeds))
            takes.append(self._take(window, params, seed, matches, step))
        used = list(dict.fromkeys(take.path for take in takes))
        named = (
            (f"Filled with {takes[0].path}.",)
            if len(takes) == 1
            else tuple(f"Take {n}: filled with {take.path}." for n, take in enumerate(takes, 1))
        )
        return Generation(
            fills=tuple(take.fill for take in takes),
            model=params.model,
            model_revision="; ".join(used),
            mode="+".join(dict.fromkeys(take.mode for take in takes)),
            warnings=(*named, *notices),
        )

    # Finding

    def _check(self, params: GenerationParams) -> None:
        if not self._folder.is_dir():
            raise JobError(
                ErrorCode.NO_LIBRARY,
                f"The library folder {THE_PATH} is not there.",
                hint="Connect its disk, or name another folder with --library.",
                path=self._folder,
            )
        if not params.prompt.strip():
            raise JobError(
                ErrorCode.INVALID_PROMPT,
                "The library backend needs a prompt to search for.",
                hint="Say what should be there with --prompt, or use the context backend.",
            )

    def _search(
        self, params: GenerationParams, control: JobControl
    ) -> tuple[list[Match], list[str]]:
        indexer = self._running_indexer()
        self._await_names(indexer, control)
        database = self._database()
        with contextlib.closing(open_store(database)) as connection:
            try:
                matches, notices = self._find(connection, params, control)
                is_empty = not matches and _is_empty(connection)
                missing = _missing(connection, indexer.progress)
            except sqlite3.Error as error:
                raise unusable(database, error) from error
        if not matches:
            raise self._nothing_found(params, is_empty=is_empty, missing=missing)
        if missing:
            notices.append(f"The library's index is still being built: {missing}.")
        return matches, notices

    def _find(
        self, connection: sqlite3.Connection, params: GenerationParams, control: JobControl
    ) -> tuple[list[Match], list[str]]:
        query = parse(connection, params.prompt, params.negative_prompt)
        matches = find(connection, query, MAX_FILES)
        notices = []
        if query.unknown and matches:
            words = ", ".join(query.unknown)
            notices.append(f"No file of the library is described by: {words}.")
        if self._meaning is None:
            return matches, notices
        try:
            if not matches and query.unknown:
                query = widen(
                    connection,
                    self._meaning,
                    query,
                    lambda share: control.step(Stage.ENCODE, share),
                )
                matches = find(connection, query, MAX_FILES)
            return rerank(connection, self._meaning, params.prompt, matches), notices
        except (ImportError, OSError, RuntimeError, ValueError) as error:
            _log.warning("the model for meanings can't be used: %s", error)
            self._meaning = None
            return matches, [*notices, "Synonyms are not looked for: their model can't be used."]

    def _await_names(self, indexer: Indexer, control: JobControl) -> None:
        is_first = indexer.progress.finished_s < 0
        if time.monotonic() - indexer.progress.finished_s > MAX_INDEX_AGE_S:
            indexer.request()
        deadline_s = time.monotonic() + (FIRST_PATIENCE_S if is_first else PATIENCE_S)
        while not indexer.wait_listed(POLL_INTERVAL_S) and time.monotonic() < deadline_s:
            if (failure := indexer.progress.failure) is not None:
                raise failure
            control.step(Stage.ENCODE, 0.0)
        # This is short after a few new files; a job doesn't wait for a whole new library.
        indexer.wait_read(POLL_INTERVAL_S)

    def _nothing_found(self, params: GenerationParams, *, is_empty: bool, missing: str) -> JobError:
        if is_empty and not missing:
            return JobError(
                ErrorCode.NO_LIBRARY,
                f"The library folder {THE_PATH} has no readable sound files.",
                hint="Put WAV, AIFF, FLAC, Ogg or MP3 files into it, or name another folder"
                " with --library.",
                path=self._folder,
            )
        if missing:
            return JobError(
                ErrorCode.NO_MATCH,
                f"Nothing in the library's index fits the prompt yet: {missing}.",
                hint="Try again in a minute.",
            )
        return JobError(
            ErrorCode.NO_MATCH,
            f"Nothing in the library fits {params.prompt.strip()[:80]!r}.",
            hint="Use other words, or fewer.",
        )

    def _running_indexer(self) -> Indexer:
        if self._indexer is None:
            self._indexer = self._make_indexer(self._folder, self._database())
        return self._indexer

    def _database(self) -> Path:
        try:
            return cache_folder() / f"library-{self._name}-{SCHEMA_VERSION}.sqlite"
        except ProtocolError as error:
            raise JobError.of(error, code=ErrorCode.BACKEND_FAILED) from error

    # Filling

    def _take(
        self,
        window: Window,
        params: GenerationParams,
        seed: int,
        matches: Sequence[Match],
        step: OnFraction,
    ) -> "_Take":
        longest_s = max(span.length for span in window.spans) / window.sample_rate
        variation, rank = divmod(seed, len(matches))
        path, clip = self._clip(matches, rank, max(MIN_READ_S, 2 * longest_s), window)
        loops = clip.sustained is not None if params.mode == AUTO else params.mode == LOOP
        # An event near an edge must not turn the background under it down.
        levelling = Levelling.MATCH if loops else Levelling.LEAVE
        passages = []
        for index, span in enumerate(window.spans):
            fill = fill_with_loop if loops else fill_with_event

            def step_span(share: float, index: int = index) -> None:
                step((index + share) / len(window.spans))

            audio = fill(
                clip,
                window,
                span,
                variation=variation + index,
                match_level=params.match_level,
                rng=np.random.default_rng([seed, index]),
                step=step_span,
            )
            passages.append(Passage(span.start, audio, levelling=levelling))
        return _Take(Fill(tuple(passages)), path, LOOP if loops else ONCE)

    def _clip(
        self, matches: Sequence[Match], rank: int, max_s: float, window: Window
    ) -> tuple[str, Clip]:
        """Return the clip at a rank, or the next one that can be used."""
        for attempt in range(min(MAX_TRIES, len(matches))):
            path = matches[(rank + attempt) % len(matches)].path
            try:
                audio, rate = read_clip(self._folder / path, max_s)
            except (OSError, UnreadableClip) as error:
                _log.warning("%s in the library is skipped: %s", path, error)
                continue
            clip = describe_clip(at_window(audio, rate, window), window.sample_rate)
            if clip is not None:
                return path, clip
            _log.warning("%s in the library is skipped: it is silent", path)
        raise JobError(
            ErrorCode.NO_MATCH,
            "The files that fit the prompt can't be read, or are silent.",
            hint="The engine's log names them; use other words, or another seed.",
        )


@dataclass(frozen=True, slots=True)
class _Take:
    fill: Fill
    path: str
    mode: str


def _missing(connection: sqlite3.Connection, progress: IndexProgress) -> str:
    """Return in words what the index doesn't contain yet; "" if it is complete."""
    if not progress.is_listed:
        return f"{progress.listed} files are listed so far"
    if progress.is_read:
        return ""
    (unread,) = connection.execute(
        "SELECT count(*) FROM files WHERE state = ?", (LISTED,)
    ).fetchone()
    return f"{unread} descriptions are not read yet" if unread else ""


def _is_empty(connection: sqlite3.Connection) -> bool:
    row = connection.execute("SELECT 1 FROM files WHERE state != ? LIMIT 1", (UNREADABLE,))
    return row.fetchone() is None


def _part_of(control: JobControl, begin: float, share: float) -> OnFraction:
    def step(done: float) -> None:
        control.step(Stage.SAMPLE, min(1.0, begin + share * done))

    return step
