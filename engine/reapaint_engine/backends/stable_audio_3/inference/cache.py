"""What was computed before, found again by what it was computed from."""

import hashlib
from collections import OrderedDict
from collections.abc import Callable

import torch
from torch import Tensor

MAX_CACHE_BYTES = 256 * 1024**2
"""Hours of latents: one second of audio has 11 kB of them."""


class LatentCache:
    """Keeps the latents last used, so that another take or prompt encodes nothing.

    It lives in the worker's thread and only there.

    Parameters
    ----------
    limit_bytes
        How much to keep; what was used longest ago goes first.
    """

    def __init__(self, limit_bytes: int = MAX_CACHE_BYTES) -> None:
        self._limit_bytes = limit_bytes
        self._kept: OrderedDict[bytes, Tensor] = OrderedDict()
        self._bytes = 0

    @property
    def size_bytes(self) -> int:
        """How much it holds."""
        return self._bytes

    def latents(
        self, audio: Tensor, *, first: int, last: int, codec_id: str, encode: Callable[[], Tensor]
    ) -> Tensor:
        """Return the latents of a range of the audio, encoding it when they are not kept.

        Parameters
        ----------
        audio
            What is encoded: any shape and any dtype, on the CPU. Every one of its bits
            counts.
        first, last
            The range in latents.
        codec_id
            What the latents depend on besides: which weights, and the type they compute in.
        encode
            Makes them; what it raises passes, and nothing is kept.

        Returns
        -------
        Tensor
            What ``encode`` made, (batch, latent_dim, latents), float32. Shared with later
            callers: read it, do not write to it.
        """
        key = _fingerprint(audio, first, last, codec_id)
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        made = encode()
        self._keep(key, made)
        return made

    def clear(self) -> None:
        """Forget everything, as when the codec leaves the device."""
        self._kept.clear()
        self._bytes = 0

    def _keep(self, key: bytes, latents: Tensor) -> None:
        if latents.nbytes > self._limit_bytes:
            return
        self._kept[key] = latents
        self._bytes += latents.nbytes
        while self._bytes > self._limit_bytes:
            _, oldest = self._kept.popitem(last=False)
            self._bytes -= oldest.nbytes


def _fingerprint(audio: Tensor, first: int, last: int, codec_id: str) -> bytes:
    shape = f"{codec_id}\0{tuple(audio.shape)}\0{audio.dtype}\0{first}\0{last}\0"
    digest = hashlib.blake2b(shape.encode(), digest_size=32)
    digest.update(audio.contiguous().view(torch.uint8).numpy().data)
    return digest.digest()
