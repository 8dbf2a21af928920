"""Choose which grain follows which when background sound is synthesised."""

from dataclasses import dataclass

import numpy as np

from reapaint_engine.backends.context.surroundings import MAX_SLIDE_S, Stretch, Surroundings
from reapaint_engine.protocol.arrays import Audio, Float64Array

MAX_CHOICES = 12
"""A place is drawn from this many of the best: fewer would repeat, more would wander off."""

COST_TEMPERATURE = 0.15
"""A place that costs this much more is drawn 1/e as often; two unrelated places differ by about
2."""

USED_COST = 0.5
"""Cost of a place near one that a grain came from already."""

USED_KEPT_SHARE = 0.985
"""Share of ``USED_COST`` that is left after each further grain."""

STRANGE_COST, MAX_STRANGENESS = 0.3, 10.0
"""Cost of sound unlike that beside the gap (a machine that runs only later), and the limit of
its strangeness."""

OTHER_SIDE_COST = 0.6
"""A side is drawn for each grain; this is the cost of a place on the other side."""

MIN_SIDE_SHARE = 0.1
"""Least share of the grains that come from each side, even beside the other edge, for variety."""

SIDE_LEVEL_DB = 6.0
"""The odds of the louder side grow by a factor of e for every so many dB: raising quiet sound
raises its hiss, but loud sound can be turned down."""

APPROACH_S = 0.4
"""Grains this near to the far edge are chosen so as to lead to it."""

RUN_ON_COST = 1e3
"""Cost of the audio that really followed, which makes sure it is never taken: it would be a
copy."""

MAX_BOOST_DB, MAX_CUT_DB = 12.0, -80.0
"""Limits of a grain's gains. More boost would raise noise under the sound; a cut does no harm."""

TRIM_SHARE = 0.6
"""Share of a level step between two grains that is removed from the second."""

TRIM_KEPT_SHARE = 0.5
"""Share of a grain's level correction that the next grain keeps."""

MAX_TRIM_DB = 4.0
"""Limit of the correction inside the gap, where the level may wander."""

MAX_EDGE_TRIM_DB = 9.0
"""Limit of the correction beside an edge, where the level has to be met."""

LEAD_IN_S = 0.03
"""The first grain's source must agree with this much audio before the gap."""


@dataclass(frozen=True, slots=True)
class Slot:
    """The place of a grain: it rises over ``head`` frames to its centre, falls over ``tail``."""

    centre: int
    head: int
    tail: int


@dataclass(frozen=True, slots=True, eq=False)
class Grain:
    """The source of a grain, and its gains in dB, shape (channels, bands)."""

    stretch: Stretch
    frame: int
    gains_db: Float64Array


class GrainSelector:
    """Chooses one grain after the other, each to follow from the one before."""

    def __init__(self, around: Surroundings, frames: int, rng: np.random.Generator) -> None:
        self._around = around
        self._frames = frames
        self._rng = rng
        places = around.places
        self._traits = places.traits[places.usable]
        self._squares = np.square(self._traits).sum(axis=1)
        self._stretch = places.stretch[places.usable]
        self._frame = places.frame[places.usable]
        self._is_right = places.is_right[places.usable]
        strangeness = places.strangeness[places.usable]
        self._strangeness = STRANGE_COST * np.minimum(strangeness, MAX_STRANGENESS)
        self._uses = np.zeros(places.usable.size)
        self._left, self._right = around.left_end, around.right_begin
        self._meets_left = self._left is not None and not places.stands_out[self._left]
        self._meets_right = self._right is not None and not places.stands_out[self._right]
        self._usual_together_db = 10 * np.log10((10 ** (around.usual_db / 10)).mean(axis=1))
        loudness = 20 * np.log10((10 ** (around.usual_db / 20)).mean(axis=(1, 2)))
        self._side_odds = float(loudness[1] - loudness[0]) / SIDE_LEVEL_DB
        self._source: tuple[int, int] | None = None
        self._wanted_traits: Float64Array | None = None
        self._wanted_db: Float64Array | None = None
        if self._meets_left:
            self._wanted_traits = places.traits[self._left]
            self._wanted_db = places.levels_db[self._left]

    def next(self, slot: Slot) -> Grain:
        """Choose the grain for the next slot."""
        chosen = self._draw(self._costs(slot))
        self._uses *= USED_KEPT_SHARE
        near = np.abs(self._frame - self._frame[chosen]) < self._around.grain
        self._uses[near & (self._stretch == self._stretch[chosen])] += 1
        place = int(self._around.places.usable[chosen])
        number = int(self._stretch[chosen])
        frame = self._align(number, int(self._frame[chosen]), slot)
        shift_db = self._shift_db(slot, is_right=bool(self._is_right[chosen]))
        together_db = self._together(shift_db, is_right=bool(self._is_right[chosen]))
        trim_db = self._trim_db(self._around.places.levels_db[place] + together_db, slot)
        self._remember(
            place=place,
            number=number,
            frame=frame,
            slot=slot,
            change_db=together_db + TRIM_KEPT_SHARE * trim_db,
        )
        gains_db = np.minimum(shift_db + trim_db, MAX_BOOST_DB)
        return Grain(self._around.stretches[number], frame, gains_db)

    def _costs(self, slot: Slot) -> Float64Array:
        """Return how badly each usable place fits."""
        costs = USED_COST * self._uses + self._strangeness
        approach = self._approach(slot)
        if self._wanted_traits is not None:
            costs = costs + (1 - 0.5 * approach) * self._distances(self._wanted_traits)
        if approach > 0:
            goal = self._around.places.traits[self._right]
            costs = costs + 1.5 * approach * self._distances(goal)
        if self._left is not None and self._right is not None:
            other = self._is_right != self._draw_side(slot)
            costs = costs + OTHER_SIDE_COST * (1 + abs(self._side_odds)) * other
        if self._source is not None:
            number, frame = self._source
            beside = np.abs(self._frame - frame - slot.head) < 2 * self._around.grain
            costs = costs + RUN_ON_COST * (beside & (self._stretch == number))
        return np.asarray(costs)

    def _distances(self, traits: Float64Array) -> Float64Array:
        """Return the squared distance of each usable place's traits to the given ones."""
        # Not by BLAS, whose rounding depends on the number of threads.
        products = np.einsum("pf,f->p", self._traits, traits)
        return np.asarray(self._squares - 2 * products + np.square(traits).sum())

    def _approach(self, slot: Slot) -> float:
        """Return how near the right edge is: 0 far away, 1 there."""
        if not self._meets_right:
            return 0.0
        left_s = (self._frames - slot.centre) / self._around.bands.sample_rate
        return max(0.0, 1.0 - left_s / APPROACH_S)

    def _draw_side(self, slot: Slot) -> bool:
        """Draw whether the grain comes from the right: more likely the nearer it is."""
        share = np.clip(slot.centre / self._frames, MIN_SIDE_SHARE, 1 - MIN_SIDE_SHARE)
        odds = np.clip(np.log(share / (1 - share)) + self._side_odds, -30, 30)
        return bool(self._rng.random() < 1 / (1 + np.exp(-odds)))

    def _draw(self, costs: Float64Array) -> int:
        """Draw one of the places that fit best."""
        count = min(MAX_CHOICES, costs.size)
        best = np.sort(np.argpartition(costs, count - 1)[:count])
        weights = np.cumsum(np.exp((costs[best].min() - costs[best]) / COST_TEMPERATURE))
        drawn = np.searchsorted(weights, self._rng.random() * weights[-1], side="right")
        return int(best[min(int(drawn), count - 1)])

    def _align(self, number: int, frame: int, slot: Slot) -> int:
        """Slide a place until its guide agrees with the audio before it."""
        reference = self._reference(slot)
        factor = self._around.guide_factor
        stretch = self._around.stretches[number]
        slack = int(MAX_SLIDE_S * self._around.bands.sample_rate) // factor
        begin = frame // factor - reference.size
        first = max(0, begin - slack)
        searched = stretch.guide[first : begin + slack + reference.size]
        if reference.size == 0 or searched.size <= reference.size:
            return frame
        products = np.correlate(searched, reference, "valid")
        energy = np.cumsum(np.concatenate([[0.0], np.square(searched, dtype=np.float64)]))
        energies = energy[reference.size :] - energy[: -reference.size]
        likeness = products / np.sqrt(energies + 1e-9 * energies.max() + np.finfo(float).tiny)
        moved = frame + (first + int(np.argmax(likeness)) - begin) * factor
        latest = max(slot.head, stretch.frames - slot.tail)
        return int(np.clip(moved, slot.head, latest))

    def _reference(self, slot: Slot) -> Audio:
        """Return the guide of the audio that the next grain overlaps or, at the edge, follows."""
        factor = self._around.guide_factor
        if self._source is not None:
            number, frame = self._source
            guide = self._around.stretches[number].guide
            return guide[frame // factor : frame // factor + slot.head // factor]
        if self._left is None:
            return np.zeros(0, dtype=np.float32)
        guide = self._around.stretches[int(self._around.places.stretch[self._left])].guide
        return guide[-int(LEAD_IN_S * self._around.bands.sample_rate) // factor :]

    def _shift_db(self, slot: Slot, *, is_right: bool) -> Float64Array:
        """Return the gains from a side's usual level to the level wanted at this point."""
        share = slot.centre / self._frames
        left, right = 10 ** (self._around.usual_db / 20)
        wanted_db = 20 * np.log10((1 - share) * left + share * right)
        shift_db = wanted_db - self._around.usual_db[int(is_right)]
        return np.asarray(np.clip(shift_db, MAX_CUT_DB, MAX_BOOST_DB))

    def _together(self, shift_db: Float64Array, *, is_right: bool) -> Float64Array:
        """Return the level change over all channels that these gains make, shape (bands,)."""
        shifted = self._around.usual_db[int(is_right)] + shift_db
        together_db = 10 * np.log10((10 ** (shifted / 10)).mean(axis=0))
        return np.asarray(together_db - self._usual_together_db[int(is_right)])

    def _trim_db(self, level_db: Float64Array, slot: Slot) -> Float64Array:
        """Return the correction of a grain's level towards that of the grain before."""
        bound = MAX_TRIM_DB
        if slot.tail == 0 and self._meets_right:
            trim_db = self._around.places.levels_db[self._right] - level_db
            bound = MAX_EDGE_TRIM_DB
        elif self._wanted_db is None:
            return np.zeros_like(level_db)
        elif self._source is None:
            trim_db = self._wanted_db - level_db
            bound = MAX_EDGE_TRIM_DB
        else:
            trim_db = TRIM_SHARE * (self._wanted_db - level_db)
        return np.asarray(np.clip(trim_db, -bound, bound))

    def _remember(
        self, *, place: int, number: int, frame: int, slot: Slot, change_db: Float64Array
    ) -> None:
        """Keep the audio that really followed the grain: the next grain must resemble it."""
        bands = self._around.bands
        last = self._around.stretches[number].frames // bands.hop
        first = place - int(self._around.places.frame[place]) // bands.hop
        followed = first + min((frame + slot.tail) // bands.hop, last)
        self._source = (number, frame)
        self._wanted_traits = self._around.places.traits[followed]
        self._wanted_db = self._around.places.levels_db[followed] + change_db
