"""Carry any number of channels through a backend that has another number.

Where a backend has more channels, they hold copies. Where it has fewer, they hold the context's
principal components, rotated so that they sound as much like the first channels as they can:
like a 5.1 bed's front pair, or like an upmixed pair as it was. What comes back is panned to
where these components were in the context. The components that a backend can't carry, the
diffuse rest, are made from decorrelated copies at the level they had, so that a wide recording
stays wide.
"""

from dataclasses import dataclass

import numpy as np
import scipy

from reapaint_engine.protocol.arrays import Audio, Float64Array

PREFERRED_POWER_SHARE = 1e-6
"""Share of the context's power by which the first channels are preferred. It decides where the
context doesn't, as in silence or identical channels."""

NEGLIGIBLE_POWER_SHARE = 1e-6
"""A component of the rest is left out below this share of the context's power (-60 dB)."""

DECORRELATION_FRAMES = 1024
"""Length of the decorrelating filters: some 20 ms, below what is heard as an echo."""


@dataclass(frozen=True, slots=True)
class ChannelMap:
    """How audio gets to a backend's channels and back.

    ``down`` has shape (backend channels, channels), ``up`` (channels, backend channels),
    ``rest`` (channels, components that the backend can't carry).
    """

    down: Float64Array
    up: Float64Array
    rest: Float64Array

    def to_backend(self, audio: Audio) -> Audio:
        """Return a window's audio in the backend's channels.

        Parameters
        ----------
        audio
            Shape (channels, frames), float32.

        Returns
        -------
        numpy.ndarray
            Shape (backend channels, frames), float32. Equal numbers give ``audio`` itself.
        """
        if self._is_identity:
            return audio
        return self.down.astype(np.float32) @ audio

    def from_backend(self, audio: Audio) -> Audio:
        """Return a backend's audio in the window's channels.

        Parameters
        ----------
        audio
            Shape (backend channels, frames), float32.

        Returns
        -------
        numpy.ndarray
            Shape (channels, frames), float32. Equal numbers give ``audio`` itself.
        """
        if self._is_identity:
            return audio
        mixed: Audio = self.up.astype(np.float32) @ audio
        if self.rest.shape[1]:
            mixed += self.rest.astype(np.float32) @ _decorrelate(audio, self.rest.shape[1])
        return mixed

    @property
    def _is_identity(self) -> bool:
        return bool(self.down.shape[0] == self.down.shape[1])


def map_channels(context: Audio, backend_channels: int) -> ChannelMap:
    """Return the map between a window's channels and a backend's.

    Parameters
    ----------
    context
        Shape (channels, frames), float32: kept audio only, since what is to be replaced
        says nothing about the image to keep. It may be silent or have no frame.
    backend_channels
        How many the backend takes and makes.

    Notes
    -----
    Principal components carry the most power that so few channels can. The turn is the
    orthogonal Procrustes solution (Schönemann 1966). Restoring the rest's power from
    decorrelated copies follows parametric stereo (Breebaart et al. 2005).
    """
    channels = context.shape[0]
    if backend_channels >= channels:
        return _map_by_copying(channels, backend_channels)
    covariance = _covariance(context)
    total = float(np.trace(covariance))
    favoured = _favoured(channels, backend_channels)
    preference = max(
        PREFERRED_POWER_SHARE * total, np.finfo(np.float64).tiny / PREFERRED_POWER_SHARE
    )
    _, vectors = np.linalg.eigh(covariance + preference * favoured.T @ favoured)
    carried, uncarried = vectors[:, -backend_channels:], vectors[:, :-backend_channels]
    left, _, right = np.linalg.svd(favoured @ carried)
    turned = left @ right @ carried.T
    scale = _loudness_scale(turned, covariance)
    down = scale * turned
    return ChannelMap(
        down=down, up=turned.T / scale, rest=_rest(uncarried, covariance, down, total)
    )


def _map_by_copying(channels: int, backend_channels: int) -> ChannelMap:
    """Spread channels over as many or more; the way back is the mean of the copies."""
    down = np.zeros((backend_channels, channels))
    down[np.arange(backend_channels), np.arange(backend_channels) % channels] = 1.0
    up = down.T / down.sum(axis=0)[:, None]
    return ChannelMap(down=down, up=up, rest=np.zeros((channels, 0)))


def _covariance(context: Audio) -> Float64Array:
    frames = max(context.shape[1], 1)
    products = context @ context.T
    return np.asarray(products / frames, dtype=np.float64)


def _favoured(channels: int, backend_channels: int) -> Float64Array:
    """Return what the backend should hear if all channels were equally important."""
    if backend_channels == 1:
        return np.full((1, channels), channels**-0.5)
    return np.eye(backend_channels, channels)


def _loudness_scale(turned: Float64Array, covariance: Float64Array) -> float:
    """Return the gain that makes the backend's channels as loud as the loudest there are.

    A component of many like channels is louder than each, and models know usual levels.
    """
    power = float(np.mean(np.diag(turned @ covariance @ turned.T)))
    loudest = float(np.mean(np.sort(np.diag(covariance))[-turned.shape[0] :]))
    return float(np.sqrt(loudest / power)) if power > 0.0 else 1.0


def _rest(
    uncarried: Float64Array, covariance: Float64Array, down: Float64Array, total: float
) -> Float64Array:
    """Return the gain of each component that isn't carried, relative to its source channel."""
    powers = np.diag(uncarried.T @ covariance @ uncarried)
    kept = powers > NEGLIGIBLE_POWER_SHARE * total
    sources = np.diag(down @ covariance @ down.T)[np.arange(kept.sum()) % down.shape[0]]
    gains = np.sqrt(
        np.divide(powers[kept], sources, where=sources > 0.0, out=np.zeros_like(sources))
    )
    return np.asarray(uncarried[:, kept] * gains, dtype=np.float64)


def _decorrelate(audio: Audio, components: int) -> Audio:
    """Return unrelated sounds, as loud as the given channels taken in turn."""
    rest = np.empty((components, audio.shape[1]), dtype=np.float32)
    for component, samples in enumerate(rest):
        source = audio[component % audio.shape[0]]
        samples[:] = scipy.signal.oaconvolve(source, _all_pass(component), mode="full")[
            DECORRELATION_FRAMES // 2 :
        ][: samples.size]
    return rest


def _all_pass(component: int) -> Audio:
    """Return a filter with a flat spectrum and arbitrary phases, the same in every call."""
    phases = np.random.default_rng(component).uniform(-np.pi, np.pi, DECORRELATION_FRAMES // 2 + 1)
    # A real signal's phases at 0 Hz and at half the rate are 0 or pi.
    phases[[0, -1]] = 0.0
    return np.fft.irfft(np.exp(1j * phases), DECORRELATION_FRAMES).astype(np.float32)
