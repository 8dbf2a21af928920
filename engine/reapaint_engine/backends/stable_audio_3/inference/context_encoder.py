"""What of a window is kept, as latents: encoded where it must be, remembered where it can."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from reapaint_engine.backends.base import Window
from reapaint_engine.backends.stable_audio_3.inference.cache import LatentCache
from reapaint_engine.backends.stable_audio_3.inference.codec import Codec
from reapaint_engine.backends.stable_audio_3.inference.geometry import LatentPlan
from reapaint_engine.protocol.progress import OnFraction
from reapaint_engine.protocol.spans import Span


class ContextEncoder:
    """Encodes windows for one codec, and remembers the last ones.

    Parameters
    ----------
    codec
        Of the model.
    device
        Where latents are wanted.
    hide_replaced
        Encode the context as if there were silence in the mask. The codec hears a second
        to each side, so what is to go leaves a trace in the latents beside it; but the
        model was trained on latents that hold such traces, and on none that hold a cut
        to silence.
    """

    def __init__(self, codec: Codec, device: torch.device, *, hide_replaced: bool) -> None:
        self._codec = codec
        self._device = device
        self._hide_replaced = hide_replaced
        self._cache = LatentCache()

    def encode(
        self,
        window: Window,
        plan: LatentPlan,
        on_progress: OnFraction,
        *,
        is_whole: bool,
    ) -> Tensor:
        """Return a window's latents.

        Parameters
        ----------
        on_progress
            Told the fraction done; what it raises ends the work.
        is_whole
            Whether what is in the mask is wanted as well, to begin from.

        Returns
        -------
        Tensor
            Shape (1, latent_dim, latents), float32; zeros where none are wanted. Shared
            with later callers: read it, do not write to it.
        """
        wanted = (Span(0, plan.heard_latents),) if is_whole else plan.kept
        audio = torch.from_numpy(self._read_heard(window, plan, is_whole=is_whole))
        if self._device.type == "cuda":
            audio = audio.pin_memory()
        return self._cache.latents(
            audio,
            first=0,
            last=plan.latents,
            codec_id=repr(wanted),
            encode=lambda: self._encode_stretches(audio[None], wanted, plan.latents, on_progress),
        )

    def _read_heard(
        self, window: Window, plan: LatentPlan, *, is_whole: bool
    ) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
        audio = np.zeros((self._codec.channels, plan.latents * plan.hop), np.float32)
        audio[:, : plan.heard.length] = window.audio[:, plan.heard.start : plan.heard.end]
        if self._hide_replaced and not is_whole:
            for span in window.spans:
                inside = span.shifted(-plan.heard.start)
                audio[:, max(inside.start, 0) : inside.end] = 0.0
        return audio

    def _encode_stretches(
        self,
        audio: Tensor,
        wanted: Sequence[Span],
        length: int,
        on_progress: OnFraction,
    ) -> Tensor:
        latents = torch.zeros(1, self._codec.latent_dim, length, device=self._device)
        done, total = 0, sum(span.length for span in wanted)
        for span in wanted:

            def report(fraction: float, done: int = done, length: int = span.length) -> None:
                on_progress((done + length * fraction) / total)

            latents[..., span.start : span.end] = self._codec.encode_range(
                audio, span.start, span.end, report
            )
            done += span.length
        return latents
