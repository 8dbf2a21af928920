"""Measure how loud audio is, and bring new audio to the level of its surroundings."""

from dataclasses import dataclass

import numpy as np
import scipy

from reapaint_engine.protocol.arrays import Audio, Float32Array, Float64Array

FLOOR_DB = -100.0
"""Level reported for digital silence, so that every figure stays finite."""

SILENCE_DB = -90.0
"""Audio below this level, in dB of full scale, is silence: no level is matched to it."""

SEAM_S = 0.05
"""The level at a seam is measured over this long on each side."""

SURROUNDINGS_S = 0.4
"""The level around a seam is measured over this long: about a syllable or a beat."""

MIN_HEARD_HZ = 40.0
"""Levels are measured above this frequency. Rumble and wind below it move a level by many dB,
but aren't heard as loud. It is, rounded, the corner of the second-order high-pass that Rec.
ITU-R BS.1770 measures loudness with."""

RELAX_S = 0.2
"""How long the gain at a seam takes to become that of the surroundings."""

MAX_GAIN_DB = 12.0
"""Limit of every gain: a larger difference is intended, or is not worth raising."""

SETTLE_RISE_S = 0.01
"""How long the last correction takes to set in, so that the first frame after a seam is
unchanged."""

SETTLE_GAIN_FACTOR = 1.1
"""The last correction is this much larger, since it does less while it sets in."""

UNHEARD_STEP_DB = 0.5
"""A step in level up to this is left alone: about the smallest that is heard."""

MAX_SETTLE_DB = 6.0
"""Limit of the last correction: a larger step belongs to the sound."""

KNOT_FRAMES = 64
"""A gain is computed every so many frames and interpolated linearly between."""


def level_db(audio: Audio | Float64Array) -> float:
    """Return the RMS level of all channels together, in dB of full scale.

    Parameters
    ----------
    audio
        Shape (channels, frames), float32 or float64. Silence and no frames at all give
        ``FLOOR_DB``.
    """
    return _to_db(_power(audio.astype(np.float64)))


def level_step_db(audio: Audio, frame: int, sample_rate: int) -> float:
    """Return the level of the 50 ms from a frame on over that of the 50 ms before it.

    Parameters
    ----------
    audio
        Shape (channels, frames), float32; as much as exists on each side is measured.
    frame
        Where the second side begins.
    sample_rate
        In Hz.

    Returns
    -------
    float
        In dB; 0 where one side has no frame.
    """
    before, after = audio[:, :frame][:, ::-1], audio[:, frame:]
    if before.size == 0 or after.size == 0:
        return 0.0
    before_db, after_db = (_levels_from_seam(side, sample_rate)[0] for side in (before, after))
    return after_db - before_db


def match_level(new_audio: Audio, before: Audio, after: Audio, sample_rate: int) -> Audio:
    """Return new audio at the level of the audio on both sides of it.

    At each end the first 50 ms get the level of the 50 ms beside them. Within ``RELAX_S`` this
    gain becomes a slow one, which brings the 0.4 s at this end to the level of the 0.4 s beside
    them. Across the audio, the slow gain goes from that of one end to that of the other. All
    gains change smoothly in dB.

    Parameters
    ----------
    new_audio
        Shape (channels, frames), float32.
    before, after
        What is heard before and after it; each of shape (channels, any frames), float32.
        An end with nothing beside it, or with silence on either side, takes the other
        end's slow gain.
    sample_rate
        In Hz.

    Returns
    -------
    numpy.ndarray
        A new array, shape (channels, frames), float32. All channels get the same gain,
        which keeps the image, and which is within ``MAX_GAIN_DB``.
    """
    frames = new_audio.shape[1]
    ends = (
        _gains_beside(before[:, ::-1], new_audio, sample_rate),
        _gains_beside(after, new_audio[:, ::-1], sample_rate),
    )
    known = [end for end in ends if end is not None]
    if not known:
        return new_audio.copy()
    left, right = (end or _EndGains(known[0].slow_db, correction_db=0.0) for end in ends)
    knots = np.arange(0, frames + KNOT_FRAMES, KNOT_FRAMES, dtype=np.float64)
    gains_db = left.slow_db + (right.slow_db - left.slow_db) * np.minimum(knots / frames, 1.0)
    gains_db += left.correction_db * _relaxation(knots, frames, sample_rate)
    gains_db += right.correction_db * _relaxation(frames - knots, frames, sample_rate)
    bounded_db = np.clip(gains_db, -MAX_GAIN_DB, MAX_GAIN_DB)
    return new_audio * _line_through(10.0 ** (bounded_db / 20.0), frames)


def settle_level(joined: Audio, before: Audio, sample_rate: int) -> Audio:
    """Return the beginning of joined audio without the level step that is left at its seam.

    A crossfade starts from a sound whose level may itself differ from that of the 50 ms before
    it.

    Parameters
    ----------
    joined
        Shape (channels, frames), float32: what follows a seam, crossfade included.
    before
        What precedes the seam; shape (channels, any frames), float32.
    sample_rate
        In Hz.

    Returns
    -------
    numpy.ndarray
        The changed beginning as a new array, shape (channels, at most half the frames),
        float32. Its first frame is unchanged.
    """
    hold, relax = _reach(joined.shape[1], sample_rate)
    head = joined[:, : int(hold + relax)]
    before_db, _ = _levels_from_seam(before[:, ::-1], sample_rate)
    joined_db, _ = _levels_from_seam(joined, sample_rate)
    if min(before_db, joined_db) <= SILENCE_DB:
        return head.copy()
    lacking_db = before_db - joined_db
    heard_db = min(max(abs(lacking_db) - UNHEARD_STEP_DB, 0.0), MAX_SETTLE_DB)
    wanted_db = float(np.copysign(heard_db, lacking_db))
    knots = np.arange(0, head.shape[1] + KNOT_FRAMES, KNOT_FRAMES, dtype=np.float64)
    rise = 1.0 - _falling(knots / min(SETTLE_RISE_S * sample_rate, max(hold, 1.0)))
    gains_db = (
        SETTLE_GAIN_FACTOR * wanted_db * rise * _relaxation(knots, joined.shape[1], sample_rate)
    )
    return head * _line_through(10.0 ** (gains_db / 20.0), head.shape[1])


@dataclass(frozen=True, slots=True)
class _EndGains:
    """The gains that one end of new audio needs: over its surroundings, and more at the seam."""

    slow_db: float
    correction_db: float


def _gains_beside(context: Audio, new_audio: Audio, sample_rate: int) -> _EndGains | None:
    """Compare audio that begins at a seam with its context, which runs away from it."""
    context_levels = _levels_from_seam(context, sample_rate)
    new_levels = _levels_from_seam(new_audio, sample_rate)
    if min(context_levels + new_levels) <= SILENCE_DB:
        return None
    seam_db, slow_db = (
        float(np.clip(wanted - given, -MAX_GAIN_DB, MAX_GAIN_DB))
        for wanted, given in zip(context_levels, new_levels, strict=True)
    )
    return _EndGains(slow_db=slow_db, correction_db=seam_db - slow_db)


def _levels_from_seam(audio: Audio, sample_rate: int) -> tuple[float, float]:
    """Return the levels of the first 50 ms and 0.4 s, without inaudible rumble."""
    near = audio[:, : max(round(SURROUNDINGS_S * sample_rate), 1)]
    heard = _remove_rumble(near[:, ::-1], sample_rate)
    seam = heard[:, -max(round(SEAM_S * sample_rate), 1) :]
    return _to_db(_power(seam)), _to_db(_power(heard))


def _remove_rumble(audio: Audio, sample_rate: int) -> Float64Array:
    """Return audio without constant offset and infrasound; it is most exact at its end."""
    if audio.size == 0 or sample_rate <= 4 * MIN_HEARD_HZ:
        return audio.astype(np.float64)
    sections = scipy.signal.butter(2, MIN_HEARD_HZ, "highpass", fs=sample_rate, output="sos")
    # The filter starts as if the first frame had been there for ever.
    settled = scipy.signal.sosfilt_zi(sections)[:, np.newaxis] * audio[:, :1].astype(np.float64)
    heard, _ = scipy.signal.sosfilt(sections, audio.astype(np.float64), axis=1, zi=settled)
    return np.asarray(heard, dtype=np.float64)


def _relaxation(distances: Float64Array, frames: int, sample_rate: int) -> Float64Array:
    """Return 1 within 50 ms of a seam, 0 from ``RELAX_S`` further on or half way across."""
    hold, relax = _reach(frames, sample_rate)
    return _falling((distances - hold) / relax)


def _reach(frames: int, sample_rate: int) -> tuple[float, float]:
    """Return over how many frames a seam's correction holds, and over how many it relaxes."""
    hold = min(SEAM_S * sample_rate, frames / 4)
    return hold, min(RELAX_S * sample_rate, frames / 2 - hold)


def _falling(position: Float64Array) -> Float64Array:
    """Return half a cosine from 1 at position 0 to 0 at position 1."""
    return np.asarray(0.5 + 0.5 * np.cos(np.pi * np.clip(position, 0.0, 1.0)))


def _line_through(knots: Float64Array, frames: int) -> Float32Array:
    """Join values that lie ``KNOT_FRAMES`` apart by straight lines."""
    ramp = np.arange(KNOT_FRAMES, dtype=np.float32) / np.float32(KNOT_FRAMES)
    values = knots.astype(np.float32)
    lines = np.diff(values)[:, None] * ramp
    lines += values[:-1, None]
    return lines.reshape(-1)[:frames]


def _power(samples: Float64Array) -> float:
    return float(np.vdot(samples, samples)) / max(samples.size, 1)


def _to_db(power: float) -> float:
    return float(10.0 * np.log10(max(power, 10.0 ** (FLOOR_DB / 10.0))))
