"""Measure the background sound around a gap, once for all takes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy

from reapaint_engine.backends.base import Window
from reapaint_engine.backends.context import sound_events
from reapaint_engine.backends.context.features import near_stretches
from reapaint_engine.backends.context.sound_events import SoundEvents
from reapaint_engine.backends.context.texture import (
    Bands,
    band_powers,
    bands_for,
    events,
    kurtosis,
    line_share,
    smooth,
)
from reapaint_engine.protocol.arrays import Audio, BoolArray, Float64Array, IndexArray
from reapaint_engine.protocol.progress import OnFraction
from reapaint_engine.protocol.spans import Span

MAX_CONTEXT_S = 40.0
"""Context farther away says little about the gap."""

LOCAL_S = 2.0
"""A place this far from the gap weighs 1/e in the usual sound beside the gap."""

GRAIN_S = 0.08
"""Mean distance of two grains. Each sounds over twice that, about as long as a drop or a
rattle."""

JITTER_SHARE = 0.35
"""Share by which the distance of two grains varies, so that the joins have no rhythm."""

MIN_GRAINS_IN_CONTEXT = 6
"""Grains are shorter where the context is shorter than this many of them."""

MIN_GRAIN_S = 0.025
"""Shorter grains would be heard as a buzz."""

MAX_SLIDE_S = 0.012
"""A grain slides by up to this to agree with the one before: half a period of 40 Hz."""

MARGIN_S = 0.01
"""A grain is cut out with this much more on either side, where its gains may ring."""

GUIDE_HZ = 8_000
"""The rate at which the agreement is measured: cancellation that is heard lies lower."""

FLOOR_DB = -90.0
"""Sound further below the loudest frame is silence."""

CHARACTER_S = 10.0
"""This much of a stretch is measured to tell noise, clatter and hum apart."""

NOISE_KURTOSIS = (2.1, 2.3)
"""Up to the first value a band is noise (wind, waterfall, hiss: 2.0-2.2), from the second on it
is clatter and crackle (river, vinyl: 2.5-3.2)."""

TONE_KURTOSIS = (1.85, 1.97)
"""Up to the first value a band is a gliding tone or a voice, from the second on it is noise."""

LINE_SHARES = (0.15, 0.4)
"""Up to the first share of its power in steady tones a band is noise, from the second on it is
a hum."""

MIN_NOISE_HZ = 250.0
"""In a lower band a grain holds too few periods to tell noise from a hum."""

QUICK_FRAMES, SLOW_FRAMES = 3, 31
"""Analysis frames that describe a place: 40 ms for itself and 0.3 s around it."""

SLOW_WEIGHT = 0.5
MIN_SPREAD_DB = 0.5
"""A band's spread counts as at least this: a band that hardly changes must not dominate."""


@dataclass(frozen=True, slots=True, eq=False)
class Stretch:
    """Kept audio on one side of the gap, unchanged.

    ``offset`` is the side's constant offset, shape (channels, 1). ``guide`` is the ``loudest``
    channel at a low rate, to align grains by.
    """

    audio: Audio
    offset: Audio
    guide: Audio
    loudest: int
    is_right: bool

    @property
    def frames(self) -> int:
        """Return the stretch's length."""
        return int(self.audio.shape[1])

    def cut(self, first: int, end: int) -> Audio:
        """Return the audio from ``first`` to before ``end`` without its offset.

        Returns
        -------
        numpy.ndarray
            Shape (channels, frames), float32; fewer frames where the stretch ends before.
        """
        return np.asarray(self.audio[:, first:end] - self.offset)

    def channel(self, number: int) -> Audio:
        """Return all of one channel without its offset, shape (frames,), float32."""
        return np.asarray(self.audio[number] - self.offset[number])


@dataclass(frozen=True, slots=True, eq=False)
class Places:
    """Where grains may come from: one place for each analysis frame of each stretch.

    Attributes
    ----------
    stretch, frame
        Which stretch, and how many frames into it, shape (places,).
    is_right
        Whether it lies after the gap, shape (places,).
    levels_db
        Level of each band there, over the channels, shape (places, bands).
    traits
        What is compared between places, in units of each trait's spread, shape (places,
        features). The squared distance of two unrelated places is about 2.
    strangeness
        Squared difference from the usual sound beside the gap, in units of its usual
        square there, shape (places,).
    stands_out
        Whether there is an event there, shape (places,).
    usable
        Places where a whole grain fits in and nothing stands out; never empty.
    """

    stretch: IndexArray
    frame: IndexArray
    is_right: BoolArray
    levels_db: Float64Array
    traits: Float64Array
    strangeness: Float64Array
    stands_out: BoolArray
    usable: IndexArray


@dataclass(frozen=True, slots=True, eq=False)
class Surroundings:
    """The measured context of a gap, the same for every seed.

    Attributes
    ----------
    stretches, places
        The kept audio in the order of time, and where grains may come from.
    usual_db
        The usual level on the left and right, shape (2, channels, bands); one side's where the
        other has no context.
    offsets
        The constant offset on the left and right, shape (2, channels); one side's where
        the other has no context.
    noisiness
        1 where a band is noise, 0 where its waveform matters, shape (bands,).
    grain
        Mean distance of two grains in frames.
    events
        The sound events that are part of the background, if any are.
    """

    channels: int
    bands: Bands
    stretches: tuple[Stretch, ...]
    places: Places
    usual_db: Float64Array
    offsets: Float64Array
    noisiness: Float64Array
    grain: int
    events: SoundEvents | None

    @property
    def left_end(self) -> int | None:
        """Return the place right before the gap."""
        before = np.flatnonzero(~self.places.is_right)
        return int(before[-1]) if before.size else None

    @property
    def right_begin(self) -> int | None:
        """Return the place right after the gap."""
        after = np.flatnonzero(self.places.is_right)
        return int(after[0]) if after.size else None

    @property
    def guide_factor(self) -> int:
        """Return how many frames there are per sample of a guide."""
        return guide_factor(self.bands.sample_rate)


def guide_factor(sample_rate: int) -> int:
    """Return how many frames there are per sample of a guide."""
    return max(1, sample_rate // GUIDE_HZ)


def analyse(window: Window, span: Span, step: OnFraction) -> Surroundings | None:
    """Measure the surroundings of a span.

    Parameters
    ----------
    window, span
        Only kept audio is read, the nearest 40 s at most.
    step
        Called between pieces of work with the share that is done, 0 to 1.

    Returns
    -------
    None where no audio is kept.
    """
    kept = near_stretches(window, span, round(MAX_CONTEXT_S * window.sample_rate))
    if not kept:
        return None
    bands = bands_for(window.sample_rate)
    offsets = _offsets(window, span, kept)
    stretches, powers, noisiness = [], [], []
    for number, segment in enumerate(kept):
        stretch = _stretch(window, segment, offsets, is_right=segment.start >= span.end)
        measured: list[Float64Array] = []
        for channel in range(stretch.audio.shape[0]):
            step((number + channel / stretch.audio.shape[0]) / len(kept))
            measured.append(band_powers(stretch.channel(channel), bands))
        step((number + 1) / len(kept))
        noisiness.append(_noisiness(stretch, bands))
        stretches.append(stretch)
        powers.append(np.stack(measured))
    step(1.0)
    shares = [stretch.frames for stretch in stretches]
    mean_noisiness = np.average(noisiness, axis=0, weights=shares)
    return _combine(
        tuple(stretches), powers=powers, bands=bands, offsets=offsets, noisiness=mean_noisiness
    )


def _offsets(window: Window, span: Span, kept: Sequence[Span]) -> Float64Array:
    """Return each side's mean, shape (2, channels)."""
    sides = []
    for right in (False, True):
        segments = [segment for segment in kept if (segment.start >= span.end) == right]
        sums = [window.audio[:, p.start : p.end].sum(axis=1, dtype=np.float64) for p in segments]
        frames = sum(segment.length for segment in segments)
        sides.append(np.sum(sums, axis=0) / frames if segments else None)
    return _pair(*sides)


def _pair(left: Float64Array | None, right: Float64Array | None) -> Float64Array:
    """Stack the values of both sides; an unknown side gets those of the other."""
    known = [side for side in (left, right) if side is not None]
    return np.stack([known[0], known[-1]])


def _stretch(window: Window, segment: Span, offsets: Float64Array, *, is_right: bool) -> Stretch:
    """Find a stretch in the window and prepare its guide."""
    offset = offsets[int(is_right)].astype(np.float32)[:, np.newaxis]
    audio = window.audio[:, segment.start : segment.end]
    powers = [
        float(np.vdot(each - shift, each - shift))
        for each, shift in zip(audio, offset, strict=True)
    ]
    loudest = int(np.argmax(powers))
    guide = audio[loudest] - offset[loudest]
    factor = guide_factor(window.sample_rate)
    if factor > 1:
        guide = scipy.signal.resample_poly(guide, 1, factor).astype(np.float32)
    return Stretch(audio, offset, guide, loudest, is_right)


def _combine(
    stretches: tuple[Stretch, ...],
    *,
    powers: Sequence[Float64Array],
    bands: Bands,
    offsets: Float64Array,
    noisiness: Float64Array,
) -> Surroundings:
    """Combine the measurements of all stretches."""
    loudest = max(float(each.max()) for each in powers)
    floor = max(loudest * 10 ** (FLOOR_DB / 10), float(np.finfo(np.float32).tiny))
    levels_db = np.concatenate([_db(each, floor) for each in powers], axis=1)
    together_db = np.concatenate([_db(each.mean(axis=0), floor) for each in powers])
    counts = [each.shape[1] for each in powers]
    is_right = np.repeat([stretch.is_right for stretch in stretches], counts)
    standing_out = np.zeros(is_right.size, dtype=bool)
    for side in (is_right, ~is_right):
        if side.any():
            standing_out[side] = events(together_db[side])
    grain = _grain_frames(stretches, bands.sample_rate)
    nearness = _nearness(is_right, bands.hop / bands.sample_rate) * ~standing_out
    usual_db = _average_sides(levels_db, is_right, nearness)
    usual_together_db = _average_sides(together_db[np.newaxis], is_right, nearness)[:, 0]
    frame = np.concatenate([np.arange(count) * bands.hop for count in counts])
    stretch = np.repeat(np.arange(len(stretches)), counts)
    relative_db = together_db - usual_together_db[is_right.astype(np.intp)]
    places = Places(
        stretch=stretch,
        frame=frame,
        is_right=is_right,
        levels_db=_smooth_stretches(counts, together_db, QUICK_FRAMES),
        traits=_traits(counts, relative_db),
        strangeness=_strangeness(_smooth_stretches(counts, relative_db, SLOW_FRAMES), nearness),
        stands_out=standing_out,
        usable=_usable(
            stretches,
            stretch=stretch,
            frame=frame,
            standing_out=standing_out,
            grain=grain,
            bands=bands,
        ),
    )
    return Surroundings(
        channels=offsets.shape[1],
        bands=bands,
        stretches=stretches,
        places=places,
        usual_db=usual_db,
        offsets=offsets,
        noisiness=noisiness,
        grain=grain,
        events=_collect_events(stretches, stretch, standing_out, bands),
    )


def _collect_events(
    stretches: Sequence[Stretch], stretch: IndexArray, standing_out: BoolArray, bands: Bands
) -> SoundEvents | None:
    """Collect the events that recur on every known side; None where they are too few."""
    hop_s = bands.hop / bands.sample_rate
    margin = int(sound_events.MARGIN_S * bands.sample_rate)
    sounds: list[Audio] = []
    silent_sides = {each.is_right for each in stretches}
    for number, each in enumerate(stretches):
        runs = sound_events.runs_of(
            standing_out[stretch == number], round(sound_events.MAX_BRIDGED_S / hop_s)
        )
        for begin, end in runs:
            first, last = begin * bands.hop - margin, (end - 1) * bands.hop + margin
            is_whole = first >= 0 and last <= each.frames
            if is_whole and (end - begin) * hop_s <= sound_events.MAX_EVENT_S:
                sounds.append(each.cut(first, last))
                silent_sides.discard(each.is_right)
    if silent_sides or len(sounds) < sound_events.MIN_EVENTS:
        return None
    length = sum(sound.shape[1] for sound in sounds)
    frames = sum(each.frames for each in stretches)
    return SoundEvents(tuple(sounds), (frames - length) / len(sounds), margin)


def _db(powers: Float64Array, floor: float) -> Float64Array:
    return np.asarray(10 * np.log10(np.maximum(powers, floor)))


def _nearness(is_right: BoolArray, hop_s: float) -> Float64Array:
    """Return a weight for each place: 1 beside the gap, less farther away."""
    steps = np.arange(is_right.size)
    after = int(np.argmax(is_right)) if is_right.any() else is_right.size
    distance_s = np.where(is_right, steps - after, after - 1 - steps) * hop_s
    return np.asarray(np.exp(-distance_s / LOCAL_S))


def _average_sides(
    levels_db: Float64Array, is_right: BoolArray, weights: Float64Array
) -> Float64Array:
    """Average levels, shape (channels, places, bands), over each side's places.

    Amplitudes are averaged: in dB, pauses would outweigh the sounds between them.
    """
    amplitudes = 10 ** (levels_db / 20)
    means = [
        np.average(amplitudes[:, side], axis=1, weights=weights[side] + 1e-12)
        if side.any()
        else None
        for side in (~is_right, is_right)
    ]
    return np.asarray(20 * np.log10(_pair(*means)))


def _grain_frames(stretches: Sequence[Stretch], sample_rate: int) -> int:
    """Return the mean distance of two grains, less where there is little context."""
    longest = max(stretch.frames for stretch in stretches)
    fitting = longest / sample_rate / MIN_GRAINS_IN_CONTEXT
    return max(1, round(float(np.clip(fitting, MIN_GRAIN_S, GRAIN_S)) * sample_rate))


def _smooth_stretches(counts: Sequence[int], levels_db: Float64Array, width: int) -> Float64Array:
    """Smooth levels in time, each stretch by itself."""
    stretches = np.split(levels_db, np.cumsum(counts)[:-1])
    return np.concatenate([smooth(stretch, width) for stretch in stretches])


def _traits(counts: Sequence[int], relative_db: Float64Array) -> Float64Array:
    """Describe each place by the sound there and around it."""
    quick = _smooth_stretches(counts, relative_db, QUICK_FRAMES)
    slow = _smooth_stretches(counts, relative_db, SLOW_FRAMES)
    both = np.concatenate([quick, slow], axis=1)
    weights = np.repeat([1.0, SLOW_WEIGHT], relative_db.shape[1])
    spread = np.maximum(both.std(axis=0), MIN_SPREAD_DB)
    return np.asarray(both / spread * np.sqrt(weights / weights.sum()))


def _strangeness(slow_db: Float64Array, nearness: Float64Array) -> Float64Array:
    """Return how far the sound around each place is from the usual sound beside the gap."""
    usual_squares = np.average(np.square(slow_db), axis=0, weights=nearness + 1e-12)
    squares = np.square(slow_db) / np.maximum(usual_squares, MIN_SPREAD_DB**2)
    return np.asarray(squares.mean(axis=1))


def _usable(
    stretches: Sequence[Stretch],
    *,
    stretch: IndexArray,
    frame: IndexArray,
    standing_out: BoolArray,
    grain: int,
    bands: Bands,
) -> IndexArray:
    """Return the places where a whole grain fits and no event is near, as far as there are."""
    reach = int(grain * (1 + JITTER_SHARE) + (MARGIN_S + MAX_SLIDE_S) * bands.sample_rate) + 2
    lengths = np.array([each.frames for each in stretches])[stretch]
    fits = (frame >= reach) & (frame < lengths - reach)
    touched = 2 * round(grain / bands.hop) + 1
    near_event = np.convolve(standing_out, np.ones(touched))[touched // 2 :][: frame.size] > 0
    for choice in (fits & ~near_event, fits):
        if choice.any():
            return np.flatnonzero(choice)
    return np.arange(frame.size)


def _noisiness(stretch: Stretch, bands: Bands) -> Float64Array:
    """Return for each band how far its phases may be drawn anew."""
    heard = round(CHARACTER_S * bands.sample_rate)
    samples = stretch.channel(stretch.loudest)
    beside = samples[:heard] if stretch.is_right else samples[-heard:]
    measured = kurtosis(beside, bands)
    unlike_clatter = np.interp(measured, NOISE_KURTOSIS, (1.0, 0.0))
    unlike_tone = np.interp(measured, TONE_KURTOSIS, (0.0, 1.0))
    unlike_hum = np.interp(line_share(beside, bands), LINE_SHARES, (1.0, 0.0))
    resolved = bands.centres_hz >= MIN_NOISE_HZ
    return np.asarray(unlike_clatter * np.minimum(unlike_tone, unlike_hum) * resolved)
