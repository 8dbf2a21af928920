"""The backend that needs no model: what stands around a span is what fills it."""

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
REPAIR_S = 0.1
"""Up to here interpolation beats everything else; beyond, it runs dry in mid-gap."""
MIN_CONTEXT_S = 0.01
"""Less than this tells nothing about a sound."""
PASSAGE_CONTEXT_S = 0.5
"""From less than this a passage would be heard as a stutter, but for a steady tone."""
WORD_LEAD_S = 0.15
"""How long a word takes to give way to the room: cut off at once it would be heard as cut."""

Draw = Callable[[int, np.random.Generator, OnFraction], Passage]
"""From a seed and what it leaves to chance to a passage."""
_Takes = list[Passage]
"""A span's passage for each seed."""


@dataclass(frozen=True, slots=True)
class PreparedSpan:
    """All that the takes of one span share."""

    mode: str
    draw: Draw


class ContextBackend(Backend):
    """Fills spans from their surroundings: at any rate, with any number of channels."""

    @property
    def info(self) -> BackendInfo:
        """Known at once: there is nothing to load."""
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
            Somebody asked for the job's end.
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
                takes, said = _repaired(window, indices, seeds, progress.part(len(indices)))
                by_span += takes
                warnings += said
                continue
            for index in indices:
                mode, passages = _drawn(window, index, params, seeds, progress.part(1))
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
    """Deals out the backend's progress to its parts, a span each."""

    def __init__(self, control: JobControl, spans: int) -> None:
        self._control = control
        self._spans = spans
        self._begun = 0

    def part(self, spans: int) -> OnFraction:
        """Return the call by which work on the next ``spans`` spans tells its share."""
        begin, total = self._begun, self._spans
        self._begun += spans

        def step(share: float) -> None:
            self._control.step(Stage.SAMPLE, min(1.0, (begin + spans * share) / total))

        return step


def _check(window: Window, params: GenerationParams) -> None:
    """Refuse what can't be done."""
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
            "Nothing is kept around the selection that it could be filled from.",
            hint="Select less of the recording, or use a backend that follows a prompt.",
        )


def _is_short(span: Span, window: Window, params: GenerationParams) -> bool:
    """Return whether a span is filled by interpolation."""
    if params.mode != AUTO:
        return params.mode == REPAIR
    return span.length <= REPAIR_S * window.sample_rate


def _drawn(
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
    """Do all work for a span that no seed changes."""
    if mode == AMBIENCE:
        return _ambience(window, span, step)
    analysis = analyse(window, span, lambda share: step(0.4 * share))

    def step_on(share: float) -> None:
        step(0.4 + 0.6 * share)

    if mode == SIMILAR:
        return _similar(window, span, analysis, step_on)
    return _chosen(window, span, analysis, step_on)


def _chosen(window: Window, span: Span, analysis: Analysis, step: OnFraction) -> PreparedSpan:
    """Prepare a span in the way that suits its context.

    Sound without events is drawn anew; music and whatever else has a course goes on with
    a passage of its own. Between words the room is heard, or where the speaker never
    pauses, other words.
    """
    kept_s = analysis.features.steps * analysis.features.hop_s
    is_scant = kept_s < PASSAGE_CONTEXT_S and analysis.character is not Character.TONAL
    if is_scant or analysis.character in (Character.NOISE, Character.SILENT):
        return _ambience(window, span, step)
    if analysis.character is Character.SPEECH:
        pauses = pauses_only(window, analysis.features)
        if pauses is not None:
            return _room(window, pauses, span, step)
    return _similar(window, span, analysis, step)


def _similar(window: Window, span: Span, analysis: Analysis, step: OnFraction) -> PreparedSpan:
    plan = plan_similar(window, span, analysis, step)

    def draw(seed: int, rng: np.random.Generator, step: OnFraction) -> Passage:
        # A stroke right beside an edge needs that the splice leaves the passage alone.
        is_rhythmic = analysis.character is Character.RHYTHMIC
        return replace(fill_planned(plan, seed, rng, step), continuous=is_rhythmic)

    return PreparedSpan(SIMILAR, draw)


def _ambience(window: Window, span: Span, step: OnFraction) -> PreparedSpan:
    around = surroundings.analyse(window, span, step)

    def draw(_: int, rng: np.random.Generator, step: OnFraction) -> Passage:
        if around is None:
            silence = np.zeros((window.audio.shape[0], span.length), dtype=np.float32)
            return Passage(span.start, silence)
        new_audio = synthesise(around, span.length, rng, step)
        return Passage(span.start, new_audio)

    return PreparedSpan(AMBIENCE, draw)


def _room(window: Window, pauses: Window, span: Span, step: OnFraction) -> PreparedSpan:
    """Prepare a gap in speech: the pauses tell its sound, the words only ring on into it.

    At the level of the words beside it the room would be a roar, so the splice must not
    match levels here.
    """
    ambience = _ambience(pauses, span, step)

    def draw(seed: int, rng: np.random.Generator, step: OnFraction) -> Passage:
        room = lead_in(window, span, ambience.draw(seed, rng, step), WORD_LEAD_S)
        return replace(room, levelling=Levelling.SETTLE)

    return PreparedSpan(AMBIENCE, draw)


def _repaired(
    window: Window, indices: Sequence[int], seeds: Sequence[int], step: OnFraction
) -> tuple[list[_Takes], tuple[str, ...]]:
    """Interpolate neighbouring spans together, once for each seed.

    Only they and what is kept around them is handed on, so that no other span counts
    as sound.
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
        [_shifted(fill.passages[place], start) for fill in repaired.fills]
        for place in range(len(indices))
    ]
    return takes, repaired.warnings


def _shifted(passage: Passage, frames: int) -> Passage:
    return replace(passage, start=passage.start + frames)
