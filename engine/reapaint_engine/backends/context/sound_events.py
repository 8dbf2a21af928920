"""Sound events that belong to a background: birds, clinks, drips, a crowd's laughs.

Grains leave out events, so that no single event is smeared or repeated. But events that recur
are part of how a place sounds, and without them a fill would be a hole. So new ones are added,
as often and as loud as around the gap. Each is one of the events heard there, a little higher
or lower and quicker or slower, like the next call of a bird.
"""

from dataclasses import dataclass

import numpy as np
import scipy

from reapaint_engine.protocol.arrays import Audio, BoolArray

MIN_EVENTS = 4
"""Fewer events, such as steps or a car, are not part of the background."""

MAX_BRIDGED_S = 0.1
"""Events that are nearer to each other than this count as one."""

MAX_EVENT_S = 1.5
"""A longer sound is no event."""

MARGIN_S = 0.03
"""How long an event's fade-in before it stands out takes, and its fade-out after."""

DETUNING_SHARES = (0.02, 0.04)
"""Smallest and largest share by which pitch and speed vary: up to two thirds of a semitone.
With less, it would be a copy."""


@dataclass(frozen=True, slots=True, eq=False)
class SoundEvents:
    """The sound events of a background.

    ``sounds`` have shape (channels, frames), with their margins. ``pause`` is the mean time
    from one to the next, in frames; ``margin`` is the length of their fades.
    """

    sounds: tuple[Audio, ...]
    pause: float
    margin: int


def runs_of(flags: BoolArray, bridged: int) -> list[tuple[int, int]]:
    """Return first frame and end of each run of set flags, with gaps up to ``bridged`` closed.

    Parameters
    ----------
    flags
        Shape (analysis frames,), bool.
    bridged
        In analysis frames.
    """
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]])))
    runs: list[tuple[int, int]] = []
    for first, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        if runs and first - runs[-1][1] <= bridged:
            runs[-1] = (runs[-1][0], end)
        else:
            runs.append((first, end))
    return runs


def add_events(fill: Audio, events: SoundEvents, rng: np.random.Generator) -> None:
    """Add new sound events to a fill, in place; each replaces the background under it.

    Parameters
    ----------
    fill
        Background, shape (channels, frames), float32.
    events
        The events around the gap.
    rng
        Draws which event comes when, and how high and fast it is.

    Notes
    -----
    The pauses are those of a Poisson process, so they have no rhythm.
    """
    at = 0
    order: list[int] = []
    while True:
        if not order:
            order = rng.permutation(len(events.sounds)).tolist()
        sound = _vary(events.sounds[order.pop()], rng)
        begin = at + round(rng.exponential(events.pause))
        at = begin + sound.shape[1]
        if at > fill.shape[1]:
            return
        _replace(fill[:, begin:at], sound, events.margin)


def _vary(sound: Audio, rng: np.random.Generator) -> Audio:
    """Return an event higher and quicker, or lower and slower."""
    change = rng.choice([-1, 1]) * rng.uniform(*DETUNING_SHARES)
    wanted = max(2, round(sound.shape[1] * (1 + change)))
    return np.asarray(scipy.signal.resample(sound, wanted, axis=1), dtype=np.float32)


def _replace(background: Audio, sound: Audio, fade: int) -> None:
    """Crossfade from the background to a sound unrelated to it and back, in place."""
    rise = np.ones(sound.shape[1], dtype=np.float32)
    fade = min(fade, rise.size // 2)
    rise[:fade] = np.sin((np.arange(fade) + 0.5) / max(fade, 1) * (np.pi / 2))
    rise[rise.size - fade :] = rise[:fade][::-1]
    background *= np.sqrt(1 - rise**2)
    background += sound * rise
