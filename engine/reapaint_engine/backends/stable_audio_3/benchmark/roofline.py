"""How far the work is from what the device can do at most.

Work is counted by formula: multiplications and additions of the matrix products and of
attention, for what a job can't do without. Limits are measured on the spot: a large
matrix product, and a copy.
"""

import time
from typing import Any

import torch

from reapaint_engine.backends.stable_audio_3.benchmark.watch import synchronise
from reapaint_engine.backends.stable_audio_3.checkpoint.settings import (
    CodecKind,
    CodecShape,
    TransformerShape,
)
from reapaint_engine.backends.stable_audio_3.inference.codec import Codec
from reapaint_engine.backends.stable_audio_3.inference.geometry import LatentPlan
from reapaint_engine.backends.stable_audio_3.network.same_s import FOLD_SEGMENTS

CONTEXT_TOKENS = 16
"""What latents hear of a prompt of a line, and the duration."""

PRODUCT_WIDTH = {"cuda": 8192, "mps": 4096, "cpu": 2048}
COPIED_BYTES = {"cuda": 2**30, "mps": 2**28, "cpu": 2**28}
MEASURED_RUNS = 5


def step_flops(shape: TransformerShape, latents: int, context: int = CONTEXT_TOKENS) -> float:
    """Return the work of one step for one take and one branch, in floating-point operations.

    What a job's steps share is left out: the context's keys, and its values on their way
    out, and the local conditioning.
    """
    width, tokens = shape.embed_dim, latents + shape.num_memory_tokens
    halves = 2 if shape.use_differential_attention else 1
    products = 2 * tokens * width * width * _columns(shape)
    heard = shape.num_heads * context
    attention = 4 * tokens * tokens * width * halves + 2 * tokens * width * (context + heard)
    outer = 4 * latents * shape.io_channels * width
    return shape.depth * (products + attention) + outer


def step_weights(shape: TransformerShape) -> float:
    """Return how many weights a step reads, about: those of its matrix products."""
    return shape.depth * _columns(shape) * shape.embed_dim**2


def _columns(shape: TransformerShape) -> float:
    """Return how many square matrices a block's products come to."""
    halves = 2 if shape.use_differential_attention else 1
    # Queries and keys of each half, values, the way out; then the queries of the context;
    # then two matrices into the feed-forward and one out of it.
    return (2 * halves + 2) + halves + 3 * shape.ff_mult


def codec_flops(shape: CodecShape, latents: int) -> float:
    """Return the work of encoding, or of decoding, so many latents."""
    total = 0.0
    rows = 1
    for stride, depth, mult in zip(
        shape.encoder_strides,
        shape.encoder_transformer_depths,
        shape.encoder_c_mults,
        strict=True,
    ):
        width = mult * shape.encoder_channels
        halves = 2 if shape.use_differential_attention else 1
        segments = FOLD_SEGMENTS if shape.kind is CodecKind.SAME_S else 2 * shape.sliding_window + 1
        heard = segments * (stride + 1)
        columns = (2 * halves + 1) + 1 + 3 * shape.ff_mult
        token = 2 * width * width * columns + 4 * heard * width * halves
        total += depth * token * (stride + 1) * latents * rows
        rows *= stride
    return total


def job_flops(
    transformer: TransformerShape, codec: Codec, shape: CodecShape, plan: LatentPlan, steps: int
) -> dict[str, float]:
    """Return the work of a first job's stages, one take without guidance."""
    reach = codec.receptive_field
    made = sum(span.length + 2 + 2 * reach for span in plan.masks)
    heard = sum(span.length + reach for span in plan.kept)
    return {
        "encode": codec_flops(shape, min(heard, plan.latents)),
        "sample": steps * step_flops(transformer, plan.latents),
        "decode": codec_flops(shape, min(made, plan.latents)),
    }


def limits(device: torch.device, dtype: torch.dtype, codec_dtype: torch.dtype) -> dict[str, float]:
    """Measure what the device does at most: operations, and bytes moved, in a second."""
    source = torch.zeros(COPIED_BYTES[device.type], dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    copy_s = _best(device, lambda: target.copy_(source))
    rates = {each: _product_rate(device, each) for each in {dtype, codec_dtype}}
    return {
        "flops_a_second": rates[dtype],
        "codec_flops_a_second": rates[codec_dtype],
        "bytes_a_second": 2 * source.nbytes / copy_s,
    }


def least_times(
    work: dict[str, float], most: dict[str, float], weights: dict[str, float]
) -> dict[str, float]:
    """Return the seconds that each stage takes at least: its work, or reading its weights."""
    least: dict[str, float] = {}
    for stage, flops in work.items():
        rate = most["flops_a_second" if stage == "sample" else "codec_flops_a_second"]
        least[stage] = max(flops / rate, weights.get(stage, 0.0) / most["bytes_a_second"])
    return least


def _product_rate(device: torch.device, dtype: torch.dtype) -> float:
    width = PRODUCT_WIDTH[device.type]
    matrix = torch.randn(width, width, device=device).to(dtype)
    return 2 * width**3 / _best(device, lambda: matrix @ matrix)


def _best(device: torch.device, work: Any) -> float:
    best = float("inf")
    for _ in range(MEASURED_RUNS):
        synchronise(device)
        began_s = time.perf_counter()
        work()
        synchronise(device)
        best = min(best, time.perf_counter() - began_s)
    return best
