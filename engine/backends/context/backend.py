"""The backend that needs no model: what stands around a span is what fills it."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import groupby

import numpy as np

from engine.backends.base import Control, Fill, Generation, Passage, Window, Wish
from engine.backends.context.analysis import analyse
from engine.backends.context.features import kept_stretches
from engine.backends.context.repair import repair
from engine.backends.context.similar import fill_planned, plan_similar
from engine.errors import JobError
from engine.protocol.errors import ErrorCode
from engine.protocol.messages import BackendInfo
from engine.protocol.spans import Span
from engine.protocol.version import __version__

AUTO, REPAIR, SIMILAR = "auto", "repair", "similar"
MODES = (AUTO, REPAIR, SIMILAR)
REPAIR_S = 0.1
"""Up to here interpolation beats everything else; beyond, it runs dry in mid-gap."""
MIN_CONTEXT_S = 0.01
"""Less than this tells nothing about a sound."""

StepCall = Callable[[float], None]


class ContextBackend:
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
        self, window: Window, wish: Wish, seeds: Sequence[int], control: Control
    ) -> Generation:
        """Fill every span of the window once for each seed.

        Raises
        ------
        JobError
            ``unknown_mode``, or ``no_context`` where next to nothing is kept.
        JobCancelled
            Somebody asked for the job's end.
        """
        _check(window, wish)
        modes = [_mode_of(span, window, wish) for span in window.spans]
        by_span: list[Sequence[Passage]] = []
        progress = _Progress(control, len(modes))
        for mode, group in groupby(range(len(modes)), key=modes.__getitem__):
            indices = list(group)
            if mode == REPAIR:
                by_span += _repaired(window, indices, seeds, progress.part(len(indices)))
                continue
            for index in indices:
                by_span.append(_filled(window, index, seeds, progress.part(1)))
        continuous = set(modes) == {REPAIR}
        fills = tuple(Fill(passages, continuous) for passages in zip(*by_span, strict=True))
        return Generation(
            fills=fills,
            model=wish.model,
            model_revision=__version__,
            mode="+".join(dict.fromkeys(modes)),
        )


class _Progress:
    """Deals out the backend's progress to its parts, a span each."""

    def __init__(self, control: Control, spans: int) -> None:
        self._control = control
        self._spans = spans
        self._begun = 0

    def part(self, spans: int) -> StepCall:
        """Return the call by which work on the next ``spans`` spans tells its share."""
        begin, total = self._begun, self._spans
        self._begun += spans

        def step(share: float) -> None:
            self._control.step("sample", min(1.0, (begin + spans * share) / total))

        return step


def _check(window: Window, wish: Wish) -> None:
    """Refuse what can't be done."""
    if wish.mode not in MODES:
        raise JobError(
            ErrorCode.UNKNOWN_MODE,
            f"The context backend has no mode {wish.mode!r}.",
            hint=f"Use one of: {', '.join(MODES)}.",
        )
    kept = sum(stretch.length for stretch in kept_stretches(window))
    if kept < max(1, round(MIN_CONTEXT_S * window.sample_rate)):
        raise JobError(
            ErrorCode.NO_CONTEXT,
            "Nothing is kept around the selection that it could be filled from.",
            hint="Select less of the recording, or use a backend that follows a prompt.",
        )


def _mode_of(span: Span, window: Window, wish: Wish) -> str:
    """Return the way to fill a span, chosen by its length where nobody else did."""
    if wish.mode != AUTO:
        return wish.mode
    return REPAIR if span.length <= REPAIR_S * window.sample_rate else SIMILAR


def _filled(window: Window, index: int, seeds: Sequence[int], step: StepCall) -> list[Passage]:
    """Fill one span with similar passages, once for each seed."""
    span = window.spans[index]
    analysis = analyse(window, span, lambda share: step(0.3 * share))
    plan = plan_similar(window, span, analysis, lambda share: step(0.3 + 0.2 * share))
    passages = []
    for take, seed in enumerate(seeds):
        rng = np.random.default_rng([seed, index])
        done = take / len(seeds)

        def step_take(share: float, done: float = done) -> None:
            step(0.5 + 0.5 * (done + share / len(seeds)))

        passages.append(fill_planned(plan, seed, rng, step_take))
    return passages


def _repaired(
    window: Window, indices: Sequence[int], seeds: Sequence[int], step: StepCall
) -> list[list[Passage]]:
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
    fills = repair(part, seeds, step).fills
    return [
        [_shifted(fill.passages[place], start) for fill in fills] for place in range(len(indices))
    ]


def _shifted(passage: Passage, frames: int) -> Passage:
    return replace(passage, start=passage.start + frames)
