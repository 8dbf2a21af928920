"""Fill a gap in background sound with new sound of the same texture.

Short grains of the surroundings follow each other as their sources did, but never go on into
the audio that really followed. Where a band is noise, its phases are drawn anew, so that
nothing of the waveform is recognisable. All channels share each decision, which keeps the
stereo image. Sound events that belong to the background come last (``sound_events``).

Notes
-----
The next grain is chosen as for video textures: it resembles the audio that followed
the present one (A. Schoedl et al., "Video textures", 2000). Noise is recognised by
the statistics of its bands, whatever its phases: J. H. McDermott, E. P. Simoncelli,
"Sound texture perception via statistics of the auditory periphery", Neuron 71 (2011).
"""

import numpy as np
import scipy

from reapaint_engine.backends.base import Window
from reapaint_engine.backends.context.grain_selection import Grain, GrainSelector, Slot
from reapaint_engine.backends.context.sound_events import add_events
from reapaint_engine.backends.context.surroundings import (
    JITTER_SHARE,
    MARGIN_S,
    Surroundings,
    analyse,
)
from reapaint_engine.protocol.arrays import Audio, IndexArray
from reapaint_engine.protocol.progress import OnFraction
from reapaint_engine.protocol.spans import Span

ANALYSIS_SHARE = 0.3
"""Share of the analysis in the work, for progress."""

FADE_SHARE = 0.5
"""Share of the way between two grains' centres over which both are heard. With more, the
strokes of a clatter would be doubled and blurred."""

SCATTER_S = 0.008
"""The phases of noise are drawn anew every so often. With longer intervals the gusts would be
smeared; with shorter ones the drawing would be heard as roughness."""

MIN_CORRELATION = -0.6
"""A lower correlation of two grains counts as this one, which limits the gain of their mix."""


def fill_ambience(window: Window, span: Span, rng: np.random.Generator, step: OnFraction) -> Audio:
    """Make new background sound for a span out of its surroundings.

    Parameters
    ----------
    window, span
        Only kept audio is read. Where there is none the fill is silent.
    rng
        All random choices are drawn from it.
    step
        Called between pieces of work with the share that is done, 0 to 1.

    Returns
    -------
    numpy.ndarray
        Shape (channels, span.length), float32.
    """
    surroundings = analyse(window, span, lambda share: step(ANALYSIS_SHARE * share))
    if surroundings is None:
        return np.zeros((window.audio.shape[0], span.length), dtype=np.float32)

    def synthesis_step(share: float) -> None:
        step(ANALYSIS_SHARE + (1 - ANALYSIS_SHARE) * share)

    return synthesise(surroundings, span.length, rng, synthesis_step)


def synthesise(
    surroundings: Surroundings, frames: int, rng: np.random.Generator, step: OnFraction
) -> Audio:
    """Make new sound for the gap.

    Parameters
    ----------
    surroundings
        What ``analyse`` measured.
    frames
        The gap's length.
    rng
        All random choices are drawn from it.
    step
        Called between grains with the share that is done, 0 to 1.

    Returns
    -------
    numpy.ndarray
        Shape (channels, frames), float32. Its ends have the spectrum and level of
        the sound beside them; it may be any number of times as long as the context.
    """
    centres = _grain_centres(frames, surroundings.grain, rng)
    chain = GrainSelector(surroundings, frames, rng)
    fill = np.zeros((surroundings.channels, frames), dtype=np.float32)
    tail = fill[:, :0]
    for number, centre in enumerate(centres):
        step(number / centres.size)
        before = centres[number - 1] if number else centre
        after = centres[number + 1] if number + 1 < centres.size else centre
        slot = Slot(int(centre), int(centre - before), int(after - centre))
        grain = _render(surroundings, chain.next(slot), slot, rng)
        if slot.head:
            fill[:, before:centre] = _crossfade(tail, grain[:, : slot.head])
        tail = grain[:, slot.head :]
    if surroundings.events is not None:
        add_events(fill, surroundings.events, rng)
    fill += _offset(surroundings, frames)
    return fill


def _grain_centres(frames: int, grain: int, rng: np.random.Generator) -> IndexArray:
    """Draw the centres of grains, from the first frame to after the last."""
    count = max(1, round(frames / grain))
    steps = np.cumsum(rng.uniform(1 - JITTER_SHARE, 1 + JITTER_SHARE, count))
    inner = np.round(steps[:-1] / steps[-1] * frames).astype(np.intp)
    return np.unique(np.concatenate([[0], inner, [frames]]))


def _offset(around: Surroundings, frames: int) -> Audio:
    """Return the constant offset, as it changes linearly from left to right."""
    share = (np.arange(frames, dtype=np.float32) + np.float32(0.5)) / np.float32(frames)
    left, right = around.offsets.astype(np.float32)[:, :, np.newaxis]
    return np.asarray(left + (right - left) * share)


def _render(around: Surroundings, grain: Grain, slot: Slot, rng: np.random.Generator) -> Audio:
    """Cut a grain out, draw the phases of its noise anew and apply its gains.

    Where the stretch is too short for the slot, the whole grain counts as noise.
    """
    rate = around.bands.sample_rate
    margin = int(MARGIN_S * rate)
    frames = slot.head + slot.tail + 2 * margin
    first = max(0, grain.frame - slot.head - margin)
    cut = grain.stretch.cut(first, first + frames)
    lacking = frames - cut.shape[1]
    cut = np.pad(cut, ((0, 0), (0, lacking)), mode="symmetric")
    size = scipy.fft.next_fast_len(frames, real=True)
    bins = size // 2 + 1
    window = _shoulders(frames, margin)
    spectrum = scipy.fft.rfft(cut * window, size, axis=1)
    noisiness = np.ones_like(around.noisiness) if lacking else around.noisiness
    if noisiness.any():
        noise = around.bands.spread(noisiness, bins, rate / size).astype(np.float32)
        scattered = _scatter(cut, max(1, round(SCATTER_S * rate)), rng)
        spectrum *= np.sqrt(1 - noise)
        spectrum += scipy.fft.rfft(scattered * window, size, axis=1) * np.sqrt(noise)
    gains = 10 ** (around.bands.spread(grain.gains_db, bins, rate / size) / 20)
    sound = scipy.fft.irfft(spectrum * gains.astype(np.float32), size, axis=1)
    return np.asarray(sound[:, margin : frames - margin], dtype=np.float32)


def _scatter(audio: Audio, hop: int, rng: np.random.Generator) -> Audio:
    """Draw all phases anew, every ``hop`` frames, so that noise keeps its envelopes.

    All channels are rotated alike, which keeps their correlation.
    """
    channels, frames = audio.shape
    count = -(-frames // hop) + 1
    padded = np.pad(audio, ((0, 0), (hop, (count + 1) * hop - frames)))
    views = np.lib.stride_tricks.sliding_window_view(padded, 2 * hop, axis=1)[:, ::hop]
    # Analysis and synthesis share a Hann window, of which half the power is lost.
    taper = np.sin((np.arange(2 * hop) + 0.5) / (2 * hop) * np.pi).astype(np.float32)
    spectra = scipy.fft.rfft(views * (taper * np.float32(np.sqrt(2))), axis=2)
    turns = rng.uniform(-np.pi, np.pi, spectra.shape[1:])
    spectra *= np.exp(1j * turns).astype(np.complex64)
    segments = scipy.fft.irfft(spectra, 2 * hop, axis=2) * taper
    added = np.zeros((channels, count + 2, hop), dtype=np.float32)
    added[:, : segments.shape[1]] += segments[:, :, :hop]
    added[:, 1 : segments.shape[1] + 1] += segments[:, :, hop:]
    return added.reshape(channels, -1)[:, hop : hop + frames]


def _shoulders(frames: int, margin: int) -> Audio:
    """Return a window that rises and falls within the margins."""
    window = np.ones(frames, dtype=np.float32)
    rise = np.sin((np.arange(margin) + 0.5) / margin * (np.pi / 2)) ** 2 if margin else window[:0]
    window[:margin] = rise
    window[frames - margin :] = rise[::-1]
    return window


def _crossfade(old: Audio, new: Audio) -> Audio:
    """Crossfade two grains of any correlation so that their power changes evenly."""
    share = (np.arange(old.shape[1]) + 0.5) / old.shape[1] - 0.5
    angle = np.clip(share / FADE_SHARE + 0.5, 0, 1) * (np.pi / 2)
    fall, rise = np.cos(angle), np.sin(angle)
    old_power = float(np.square(old, dtype=np.float64).sum())
    new_power = float(np.square(new, dtype=np.float64).sum())
    both = np.sqrt(old_power * new_power)
    scale = np.ones_like(angle)
    if both > 0:
        correlation = float(np.vdot(old.astype(np.float64), new.astype(np.float64))) / both
        wanted = fall**2 * old_power + rise**2 * new_power
        mixed = wanted + 2 * fall * rise * max(MIN_CORRELATION, correlation) * both
        scale = np.sqrt(wanted / mixed)
    mix = old * (fall * scale).astype(np.float32) + new * (rise * scale).astype(np.float32)
    return np.asarray(mix, dtype=np.float32)
