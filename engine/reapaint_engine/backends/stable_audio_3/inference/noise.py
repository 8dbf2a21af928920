"""The noise of a job's takes, told by their seeds alone."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


class TakeNoise:
    """Standard normal noise, one draw for each time the sampler needs some.

    A draw is made on the processor from its take's seed and its own number, when it is
    asked for. So a take gets the same noise alone or among others, on every device, for
    every number of steps; and since it is drawn latent by latent, a window that goes on
    for longer begins with the same noise. On a CUDA device drawing and copying run beside
    the model's work.

    Parameters
    ----------
    seeds
        One for each take, at least 0.
    shape
        Channels and length of the latents.
    draws
        How many there are.
    device
        Where they are needed.
    """

    def __init__(
        self,
        seeds: Sequence[int],
        shape: tuple[int, int],
        draws: int,
        device: torch.device | str = "cpu",
    ) -> None:
        self._seeds = tuple(seeds)
        self._latent_dim, self._latents = shape
        self._draws = draws
        self._device = torch.device(device)

    def __len__(self) -> int:
        return self._draws

    def __getitem__(self, draw: int, /) -> Tensor:
        """Return one draw, shape (takes, latent_dim, latents), float32, on the device.

        Raises
        ------
        IndexError
            There are not that many.
        """
        if not 0 <= draw < self._draws:
            raise IndexError(f"draw {draw} of {self._draws}")
        held = self._hold(1)
        self._draw_into(held[0], draw)
        return self._send(held)[0]

    def stacked(self) -> Tensor:
        """Return all draws at once, shape (draws, takes, latent_dim, latents), float32."""
        held = self._hold(self._draws)
        for draw in range(self._draws):
            self._draw_into(held[draw], draw)
        return self._send(held)

    def _hold(self, draws: int) -> Tensor:
        shape = (draws, len(self._seeds), self._latent_dim, self._latents)
        return torch.empty(shape, pin_memory=self._device.type == "cuda")

    def _draw_into(self, held: Tensor, draw: int) -> None:
        for take, seed in zip(held, self._seeds, strict=True):
            take.copy_(torch.from_numpy(self._draw_by_latent(seed, draw)).T)

    def _draw_by_latent(
        self, seed: int, draw: int
    ) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
        """Draw with time first: numbers are used up latent by latent.

        NumPy rather than torch, whose numbers depend on how many are asked for at a time.
        """
        numbers = np.random.SFC64(np.random.SeedSequence(seed, spawn_key=(draw,)))
        shape = (self._latents, self._latent_dim)
        return np.random.Generator(numbers).standard_normal(shape, dtype=np.float32)

    def _send(self, held: Tensor) -> Tensor:
        return held.to(self._device, non_blocking=held.is_pinned())
