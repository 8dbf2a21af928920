"""Calls that belong to a background: birds, clinks, drips, a crowd's laughs.

Grains leave out what stands out, so that no lone event is smeared or heard again. But
where such events come again and again they are part of how a place sounds, and without
them a fill would be a hole. So new ones are put in, as often and as loud as around the
gap: each is one of the calls heard there, a little higher or lower and quicker or slower,
as the next call of a bird is.
"""

from dataclasses import dataclass

import numpy as np
import scipy

from reapaint_engine.protocol.arrays import Audio, BoolArray

FEWEST = 4
"""Fewer events are somebody's steps or a car, which nobody expects once more."""

BRIDGED_S = 0.1
"""Events nearer to each other than this are one call."""

LONGEST_S = 1.5
"""What lasts longer is no call."""

MARGIN_S = 0.03
"""How far a call rises out of the background before it stands out, and dies away after."""

DETUNED = (0.02, 0.04)
"""Share by which pitch and speed vary, at least and at most: up to two thirds of a
semitone. With less, it would be a copy."""


@dataclass(frozen=True, slots=True, eq=False)
class SoundEvents:
    """The calls of a background.

    ``sounds`` have shape (channels, frames), with their margins. ``pause`` is how long it
    is from one to the next on average, in frames; ``margin`` the length of their fades.
    """

    sounds: tuple[Audio, ...]
    pause: float
    margin: int


def runs_of(flags: BoolArray, bridged: int) -> list[tuple[int, int]]:
    """Return where flags are set, first to before last, with gaps up to ``bridged`` closed.

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


def put_in(fill: Audio, calls: SoundEvents, rng: np.random.Generator) -> None:
    """Put new calls into a fill, in place; each takes the background's place.

    Parameters
    ----------
    fill
        Background, shape (channels, frames), float32.
    calls
        What is heard around it.
    rng
        Which, when, how high and how fast is drawn from it.

    Notes
    -----
    Pauses are those of a Poisson process: they have no rhythm to be recognised.
    """
    at = 0
    order: list[int] = []
    while True:
        if not order:
            order = rng.permutation(len(calls.sounds)).tolist()
        sound = _varied(calls.sounds[order.pop()], rng)
        begin = at + round(rng.exponential(calls.pause))
        at = begin + sound.shape[1]
        if at > fill.shape[1]:
            return
        _replace(fill[:, begin:at], sound, calls.margin)


def _varied(sound: Audio, rng: np.random.Generator) -> Audio:
    """Return a call higher or lower, and by that quicker or slower."""
    change = rng.choice([-1, 1]) * rng.uniform(*DETUNED)
    wanted = max(2, round(sound.shape[1] * (1 + change)))
    return np.asarray(scipy.signal.resample(sound, wanted, axis=1), dtype=np.float32)


def _replace(background: Audio, sound: Audio, fade: int) -> None:
    """Put a sound in the place of a background that it has nothing in common with."""
    rise = np.ones(sound.shape[1], dtype=np.float32)
    fade = min(fade, rise.size // 2)
    rise[:fade] = np.sin((np.arange(fade) + 0.5) / max(fade, 1) * (np.pi / 2))
    rise[rise.size - fade :] = rise[:fade][::-1]
    background *= np.sqrt(1 - rise**2)
    background += sound * rise
