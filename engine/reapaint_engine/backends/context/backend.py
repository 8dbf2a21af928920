"""The context backend: it needs no model and fills a span from its surroundings."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

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
from reapaint_engine.backends.context import surroundings
from reapaint_engine.backends.context.ambience import synthesise
from reapaint_engine.backends.context.analysis import Analysis, Character, analyse
from reapaint_engine.backends.context.features import kept_stretches
from reapaint_engine.backends.context.pauses import pauses_only
from reapaint_engine.backends.context.repair import repair
from reapaint_engine.backends.context.segments import lead_in
from reapaint_engine.backends.context.similar import fill_planned, plan_similar
from reapaint_engine.dsp.splicing import Levelling
from reapaint_engine.errors import JobError
from reapaint_engine.protocol.errors import ErrorCode
from reapaint_engine.protocol.messages import BackendInfo
from reapaint_engine.protocol.params import AUTO
from reapaint_engine.protocol.progress import OnFraction, Stage
from reapaint_engine.protocol.spans import Span
from reapaint_engine.protocol.version import __version__

REPAIR, AMBIENCE, SIMILAR = "repair", "ambience", "similar"
MODES = (AUTO, REPAIR, AMBIENCE, SIMILAR)
MAX_REPAIR_S = 0.1
"""Up to this length interpolation is best; in longer gaps it fades out in the middle."""

MIN_CONTEXT_S = 0.01
"""A shorter context says nothing about a sound."""

MIN_PASSAGE_CONTEXT_S = 0.5
"""A passage from a shorter context would be heard as a stutter, except in a steady tone."""

WORD_LEAD_S = 0.15
"""How long a word rings on into the sound of the room; a word cut off at once would be noticed."""

Draw = Callable[[int, np.random.Generator, OnFraction], Passage]
"""Makes a passage from a seed and a random generator."""

_Takes = list[Passage]
"""A span's passage for each seed."""


@dataclass(frozen=True, slots=True)
class PreparedSpan:
    """Everything that the takes of one span share."""

    mode: str
    draw: Draw


class ContextBackend(Backend):
    """Fills spans from their surroundings: at any rate, with any number of channels."""

    @property
    def info(self) -> BackendInfo:
        """Return the backend's info, known at once: there is nothing to load."""
        return BackendInfo(
            name="context",
            description="fills a span from the sound around it; no model, no prompt",
            models=("context",),
            default_model="context",
            modes=MODES,
            honours=("takes", "seed", "mode", "crossfade_s", "match_level"),
            max_window_s=3600.0,
            max_span_s=1200.0,
        )

    def generate(
        self, window: Window, params: GenerationParams, seeds: Sequence[int], control: JobControl
    ) -> Generation:
        """Fill every span of the window once for each seed.

        Raises
        ------
        JobError
            ``unknown_mode``, or ``no_context`` where next to nothing is kept.
        JobCancelled
            The job was cancelled.
        """
        _check(window, params)
        progress = _Progress(control, len(window.spans))
        short = [_is_short(span, window, params) for span in window.spans]
        modes: list[str] = []
        by_span: list[_Takes] = []
        warnings: list[str] = []
        for is_short, group in groupby(range(len(short)), key=short.__getitem__):
            indices = list(group)
            if is_short:
                modes += [REPAIR] * len(indices)
                takes, said = _repair_spans(window, indices, seeds, progress.part(len(indices)))
                by_span += takes
                warnings += said
                continue
            for index in indices:
                mode, passages = _fill_span(window, index, params, seeds, progress.part(1))
                modes.append(mode)
                by_span.append(passages)
        return Generation(
            fills=tuple(Fill(take) for take in zip(*by_span, strict=True)),
            model=params.model,
            model_revision=__version__,
            mode="+".join(dict.fromkeys(modes)),
            warnings=tuple(dict.fromkeys(warnings)),
        )


class _Progress:
    """Divides the backend's progress among its spans."""

    def __init__(self, control: JobControl, spans: int) -> None:
        self._control = control
        self._spans = spans
        self._begun = 0

    def part(self, spans: int) -> OnFraction:
        """Return the function that reports progress on the next ``spans`` spans."""
        begin, total = self._begun, self._spans
        self._begun += spans

        def step(share: float) -> None:
            self._control.step(Stage.SAMPLE, min(1.0, (begin + spans * share) / total))

        return step


def _check(window: Window, params: GenerationParams) -> None:
    """Raise JobError if the window or parameters can't be filled."""
    if params.mode not in MODES:
        raise JobError(
            ErrorCode.UNKNOWN_MODE,
            f"The context backend has no mode {params.mode!r}.",
            hint=f"Use one of: {', '.join(MODES)}.",
        )
    kept = sum(stretch.length for stretch in kept_stretches(window))
    if kept < max(1, round(MIN_CONTEXT_S * window.sample_rate)):
        raise JobError(
            ErrorCode.NO_CONTEXT,
            "There is no audio around the selection to fill it from.",
            hint="Select less of the recording, or use a backend that follows a prompt.",
        )


def _is_short(span: Span, window: Window, params: GenerationParams) -> bool:
    """Return whether a span is filled by interpolation."""
    if params.mode != AUTO:
        return params.mode == REPAIR
    return span.length <= MAX_REPAIR_S * window.sample_rate


def _fill_span(
    window: Window, index: int, params: GenerationParams, seeds: Sequence[int], step: OnFraction
) -> tuple[str, _Takes]:
    """Fill one span once for each seed, and say how."""
    span = window.spans[index]
    prepared = _prepare(window, span, params.mode, lambda share: step(0.4 * share))
    takes = []
    for take, seed in enumerate(seeds):
        rng = np.random.default_rng([seed, index])

        def step_take(share: float, take: int = take) -> None:
            step(0.4 + 0.6 * (take + share) / len(seeds))

        takes.append(prepared.draw(seed, rng, step_take))
    return prepared.mode, takes


def _prepare(window: Window, span: Span, mode: str, step: OnFraction) -> PreparedSpan:
    """Do all the work for a span that doesn't depend on the seed."""
    if mode == AMBIENCE:
        return _prepare_ambience(window, span, step)
    analysis = analyse(window, span, lambda share: step(0.4 * share))

    def step_on(share: float) -> None:
        step(0.4 + 0.6 * share)

    if mode == SIMILAR:
        return _prepare_similar(window, span, analysis, step_on)
    return _prepare_auto(window, span, analysis, step_on)


def _prepare_auto(window: Window, span: Span, analysis: Analysis, step: OnFraction) -> PreparedSpan:
    """Prepare a span in the way that suits its context.

    Sound without events is synthesised. Music and any other sound with a course is filled with
    a passage from the recording. A gap in speech gets the sound of the room or, where the
    speaker never pauses, other words.
    """
    kept_s = analysis.features.steps * analysis.features.hop_s
    is_scant = kept_s < MIN_PASSAGE_CONTEXT_S and analysis.character is not Character.TONAL
    if is_scant or analysis.character in (Character.NOISE, Character.SILENT):
        return _prepare_ambience(window, span, step)
    if analysis.character is Character.SPEECH:
        pauses = pauses_only(window, analysis.features)
        if pauses is not None:
            return _prepare_room(window, pauses, span, step)
    return _prepare_similar(window, span, analysis, step)


def _prepare_similar(
    window: Window, span: Span, analysis: Analysis, step: OnFraction
) -> PreparedSpan:
    plan = plan_similar(window, span, analysis, step)

    def draw(seed: int, rng: np.random.Generator, step: OnFraction) -> Passage:
        # A stroke right beside an edge is kept only if the splice doesn't level the passage.
        is_rhythmic = analysis.character is Character.RHYTHMIC
        return replace(fill_planned(plan, seed, rng, step), continuous=is_rhythmic)

    return PreparedSpan(SIMILAR, draw)


def _prepare_ambience(window: Window, span: Span, step: OnFraction) -> PreparedSpan:
    around = surroundings.analyse(window, span, step)

    def draw(_: int, rng: np.random.Generator, step: OnFraction) -> Passage:
        if around is None:
            silence = np.zeros((window.audio.shape[0], span.length), dtype=np.float32)
            return Passage(span.start, silence)
        new_audio = synthesise(around, span.length, rng, step)
        return Passage(span.start, new_audio)

    return PreparedSpan(AMBIENCE, draw)


def _prepare_room(window: Window, pauses: Window, span: Span, step: OnFraction) -> PreparedSpan:
    """Prepare a gap in speech: the room's sound from the pauses, with words ringing on into it.

    The splice must not match levels here: at the level of the words beside it the room would be
    a roar.
    """
    ambience = _prepare_ambience(pauses, span, step)

    def draw(seed: int, rng: np.random.Generator, step: OnFraction) -> Passage:
        room = lead_in(window, span, ambience.draw(seed, rng, step), WORD_LEAD_S)
        return replace(room, levelling=Levelling.SETTLE)

    return PreparedSpan(AMBIENCE, draw)


def _repair_spans(
    window: Window, indices: Sequence[int], seeds: Sequence[int], step: OnFraction
) -> tuple[list[_Takes], tuple[str, ...]]:
    """Interpolate neighbouring spans together, once for each seed.

    Only they and the kept audio around them are passed on, so that no other span counts as
    sound.
    """
    first, last = indices[0], indices[-1]
    start = window.spans[first - 1].end if first > 0 else 0
    end = window.spans[last + 1].start if last + 1 < len(window.spans) else window.frames
    part = Window(
        audio=window.audio[:, start:end],
        sample_rate=window.sample_rate,
        spans=tuple(window.spans[index].shifted(-start) for index in indices),
        audio_frames=min(window.audio_frames, end) - start,
    )
    repaired = repair(part, seeds, step)
    takes = [
        [_shift(fill.passages[place], start) for fill in repaired.fills]
        for place in range(len(indices))
    ]
    return takes, repaired.warnings


def _shift(passage: Passage, frames: int) -> Passage:
    return replace(passage, start=passage.start + frames)
