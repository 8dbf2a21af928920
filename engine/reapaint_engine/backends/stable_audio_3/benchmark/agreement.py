"""Whether both sides compute the same: what is not equal need not be compared for speed."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from diffusers.schedulers import scheduling_flow_match_euler_discrete as stock_scheduling
from torch import Tensor, nn

from reapaint_engine.backends.stable_audio_3.benchmark.sides import (
    DECODE,
    ENCODE,
    BenchJob,
    Ours,
    Stock,
)
from reapaint_engine.backends.stable_audio_3.benchmark.watch import Watch, WatchedCall
from reapaint_engine.backends.stable_audio_3.inference.noise import TakeNoise
from reapaint_engine.errors import JobError
from reapaint_engine.protocol.errors import ErrorCode

MAX_RELATIVE_DIFFERENCE = {torch.float32: 1e-3, torch.float16: 1e-1, torch.bfloat16: 5e-1}
"""Largest difference of the two sides, as a share of what they made, by their precision.

Several times what random networks of real size give. In half precision the stock side
also rounds its latents at each step, and eight steps pass that on.
"""


@dataclass(frozen=True, slots=True)
class Agreement:
    """Root-mean-square difference of the two sides, as a share of the stock side's."""

    encoded: float
    """The latents of the sound that is kept."""
    sampled: float
    """The latents that were made, after all steps, from the same noise."""
    decoded: float
    """The sound of the same latents, in the mask."""
    tolerance: float

    @property
    def holds(self) -> bool:
        """Whether all of it is within the tolerance."""
        return max(self.encoded, self.sampled, self.decoded) <= self.tolerance


def compare(stock: Stock, ours: Ours, job: BenchJob, device: torch.device) -> Agreement:
    """Have both sides do one take of a job with the same noise, and compare what they make.

    Without guidance, which the stock pipeline does not have. Latents that are kept are
    left out where they were sampled: ours puts back what was encoded there. The job has to
    be one that ours has not done: what it knows it does not encode again.
    """
    job = replace(job, seeds=job.seeds[:1], guidance=1.0)
    watch = Watch(device, keeps_calls=True)
    with torch.inference_mode():
        ours.do(job, watch)
        (decoding,) = watch.calls[DECODE]
        ours_latents, first, last = decoding.arguments[:3]
        assert ours_latents.shape[-1] == job.plan.latents, "the two sides would not do the same"
        theirs = Watch(device, keeps_calls=True)
        with theirs.watching(stock.places()), _same_noise(job, stock, device) as noise:
            stock_latents = stock.generate(
                job, audio=_with_headroom(job), output_type="latent", latents=noise
            ).float()
        (encoding,) = theirs.calls[ENCODE]
        made = _made_mask(job, device)
        pipe = stock.pipe
        sound = pipe.vae.decode(ours_latents.to(pipe.vae.dtype)).sample.float()
        hop = job.plan.hop
        return Agreement(
            encoded=_encoded_difference(job, watch.calls[ENCODE], encoding.result.latents.float()),
            sampled=_difference(ours_latents[..., made], stock_latents[..., made]),
            decoded=_difference(decoding.result, sound[..., first * hop : last * hop]),
            tolerance=max(
                MAX_RELATIVE_DIFFERENCE[part.dtype] for part in (pipe.vae, pipe.transformer)
            ),
        )


def check(agreement: Agreement) -> None:
    """Refuse to compare the speed of two that make different things.

    Raises
    ------
    JobError
        ``device_failed``.
    """
    if not agreement.holds:
        raise JobError(
            ErrorCode.DEVICE_FAILED,
            "The two sides make different things of the same noise: encoded"
            f" {agreement.encoded:.2g}, sampled {agreement.sampled:.2g}, decoded"
            f" {agreement.decoded:.2g} apart, where {agreement.tolerance:g} is allowed.",
            hint="Choose --dtype float32, or another --device: this one may compute wrongly.",
        )


def _made_mask(job: BenchJob, device: torch.device) -> Tensor:
    """Return which latents are made anew, headroom included."""
    made = torch.ones(job.plan.latents, dtype=torch.bool, device=device)
    for span in job.plan.kept:
        made[span.start : span.end] = False
    return made


def _with_headroom(job: BenchJob) -> Tensor:
    """Return the window with silence after it, as ours encodes it."""
    audio = torch.from_numpy(job.window.audio)[None]
    return nn.functional.pad(audio, (0, job.plan.latents * job.plan.hop - audio.shape[-1]))


def _encoded_difference(job: BenchJob, ours: Sequence[WatchedCall], theirs: Tensor) -> float:
    stretches = [theirs[..., span.start : span.end] for span in job.plan.kept]
    return _difference(
        torch.cat([call.result.float() for call in ours], dim=-1), torch.cat(stretches, dim=-1)
    )


def _difference(one: Tensor, other: Tensor) -> float:
    return float((one - other).norm() / other.norm())


@contextmanager
def _same_noise(job: BenchJob, stock: Stock, device: torch.device) -> Iterator[Tensor]:
    """Yield our first draw of noise, and hand the others to the stock scheduler."""
    shape = (stock.pipe.vae.config.latent_dim, job.plan.latents)
    noise = TakeNoise(job.seeds, shape, job.steps, device)
    upcoming = iter(range(1, job.steps))

    def next_draw(wanted: Any, *, dtype: torch.dtype, **_others: Any) -> Tensor:
        draw = next(upcoming, None)
        # The last step asks for noise too, and multiplies it by nothing.
        drawn = torch.zeros(*wanted, device=device) if draw is None else noise[draw]
        return drawn.to(dtype)

    names = vars(stock_scheduling)
    original = names["randn_tensor"]
    names["randn_tensor"] = next_draw
    try:
        yield noise[0]
    finally:
        names["randn_tensor"] = original
