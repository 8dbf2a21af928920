from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor

from reapaint_engine.backends.stable_audio_3.inference.conditioning import (
    Conditioning,
    local_conditioning,
    make_conditioning,
)
from reapaint_engine.backends.stable_audio_3.inference.guidance import Guidance
from reapaint_engine.backends.stable_audio_3.inference.noise import TakeNoise
from reapaint_engine.backends.stable_audio_3.inference.sampling import (
    Sampler,
    log_snr_sigmas,
    noise_draws,
    sample,
)
from reapaint_engine.backends.stable_audio_3.inference.text import TextEncoder
from reapaint_engine.backends.stable_audio_3.network.duration import embed_duration
from tests.tiny_checkpoints import make_tiny_parts

DIM, MAX_TOKENS = 32, 32
LATENT_DIM, LATENTS = 8, 12


def numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


PROMPT, NEGATIVE = numbers(5, DIM, seed=1), numbers(3, DIM, seed=2)
DURATION, PADDING = numbers(1, DIM, seed=3), numbers(DIM, seed=4)


def make(branches: int, negative: Tensor | None = None, prompt: Tensor = PROMPT) -> Conditioning:
    return make_conditioning(
        prompt, DURATION, PADDING, max_tokens=MAX_TOKENS, branches=branches, negative=negative
    )


def test_beside_a_prompt_stands_the_learned_padding() -> None:
    made = make(1)
    assert made.context.shape == (1, MAX_TOKENS + 1, DIM)
    assert torch.equal(made.context[0, :5], PROMPT)
    assert torch.equal(made.context[0, 5:-1], PADDING.expand(MAX_TOKENS - 5, DIM))
    assert torch.equal(made.context[0, -1:], DURATION)
    assert torch.equal(made.global_embed, DURATION)


def test_without_a_negative_prompt_the_other_branch_hears_nothing() -> None:
    made = make(2)
    assert torch.equal(made.context[:1], make(1).context)
    assert torch.equal(made.context[1], torch.zeros(MAX_TOKENS + 1, DIM))
    assert torch.equal(made.global_embed, torch.cat([DURATION, DURATION]))


def test_beside_a_negative_prompt_stand_zeros() -> None:
    made = make(2, NEGATIVE)
    assert torch.equal(made.context[:1], make(1).context)
    assert torch.equal(made.context[1, :3], NEGATIVE)
    assert torch.equal(made.context[1, 3:-1], torch.zeros(MAX_TOKENS - 3, DIM))
    assert torch.equal(made.context[1, -1:], DURATION)
    assert torch.equal(made.global_embed, torch.cat([DURATION, DURATION]))


def test_a_single_branch_has_no_place_for_a_negative_prompt() -> None:
    assert torch.equal(make(1, NEGATIVE).context, make(1).context)


@pytest.mark.parametrize("tokens", [0, MAX_TOKENS])
def test_an_empty_and_a_full_prompt_fit(tokens: int) -> None:
    prompt = numbers(tokens, DIM)
    context = make(1, prompt=prompt).context[0]
    assert torch.equal(context[:tokens], prompt)
    assert torch.equal(context[tokens:-1], PADDING.expand(MAX_TOKENS - tokens, DIM))


def test_halved_parts_meet_in_float32() -> None:
    made = make_conditioning(
        PROMPT.half(), DURATION, PADDING.bfloat16(), max_tokens=MAX_TOKENS, branches=1
    )
    assert made.context.dtype == made.global_embed.dtype == torch.float32
    assert torch.equal(made.context[0, -1:], DURATION)


def test_the_model_sees_what_is_kept_and_where() -> None:
    latents = numbers(1, LATENT_DIM, LATENTS)
    mask = torch.zeros(LATENTS, dtype=torch.bool)
    mask[4:9] = True
    local = local_conditioning(latents, mask)
    assert local.shape == (1, 1 + LATENT_DIM, LATENTS)
    assert local[0, 0].tolist() == [1.0] * 4 + [0.0] * 5 + [1.0] * 3
    assert torch.equal(local[:, 1:, ~mask], latents[:, :, ~mask])
    assert torch.equal(local[:, 1:, mask], torch.zeros(1, LATENT_DIM, 5))


def test_what_is_replaced_leaves_no_trace() -> None:
    latents = numbers(1, LATENT_DIM, LATENTS)
    mask = torch.arange(LATENTS) >= 6
    expected = local_conditioning(latents, mask)
    latents[:, :, 6:] = torch.nan
    assert torch.equal(local_conditioning(latents, mask), expected)


def test_with_everything_replaced_the_model_sees_zeros() -> None:
    local = local_conditioning(
        numbers(1, LATENT_DIM, LATENTS), torch.ones(LATENTS, dtype=torch.bool)
    )
    assert torch.equal(local, torch.zeros(1, 1 + LATENT_DIM, LATENTS))


def test_local_conditioning_keeps_the_latents_dtype() -> None:
    latents = numbers(1, LATENT_DIM, LATENTS).bfloat16()
    assert local_conditioning(latents, torch.arange(LATENTS) > 3).dtype == torch.bfloat16


@pytest.fixture(scope="module")
def parts() -> Any:
    return make_tiny_parts()


def run_by_hand(
    parts: Any,
    *,
    sampler: Sampler,
    sigmas: list[float],
    draws: Tensor,
    scale: float,
    negative: str | None,
    local: Tensor,
) -> Tensor:
    """Sample one take with diffusers' transformer and contexts written out row by row."""

    def encode(text: str) -> Tensor:
        ids = torch.tensor([parts.tokenizer(text)["input_ids"]])
        hidden: Tensor = parts.text_encoder(input_ids=ids).last_hidden_state[0]
        return hidden

    def rows(text: Tensor, filler: Tensor, last: Tensor) -> Tensor:
        return torch.stack([*text, *[filler] * (MAX_TOKENS - len(text)), last])

    duration = parts.duration_embedder(torch.tensor([2.5]))[0]
    nothing = torch.zeros(DIM)
    wanted = rows(encode("a door"), parts.transformer.prompt_padding_embedding, duration)
    other = torch.zeros(MAX_TOKENS + 1, DIM)
    if negative is not None:
        other = rows(encode(negative), nothing, duration)

    def velocity(x: Tensor, sigma: float, context: Tensor) -> Tensor:
        out: Tensor = parts.transformer(
            x[None],
            torch.tensor([sigma]),
            encoder_hidden_states=context[None],
            global_hidden_states=duration[None],
            local_add_cond=local,
        ).sample[0]
        return out

    x = draws[0]
    for step, (sigma, below) in enumerate(pairwise(sigmas)):
        clean = x - sigma * velocity(x, sigma, wanted)
        if scale != 1:
            d = clean - (x - sigma * velocity(x, sigma, other))
            clean = clean + (scale - 1) * (d - (d * clean).sum() / (clean**2).sum() * clean)
        if sampler is Sampler.EULER:
            x = x + (below - sigma) * (x - clean) / sigma
        else:
            x = (1 - below) * clean + (below * draws[step + 1] if below else 0)
    return x


@pytest.mark.parametrize("negative", [None, "wind, hum"])
@pytest.mark.parametrize("scale", [0.0, 1.0, 3.0, 7.0])
@pytest.mark.parametrize(("sampler", "steps"), [(Sampler.PING_PONG, 8), (Sampler.EULER, 20)])
@torch.inference_mode()
def test_a_run_from_words_to_latents(
    parts: Any, sampler: Sampler, steps: int, scale: float, negative: str | None
) -> None:
    sigmas = log_snr_sigmas(steps)
    guidance = Guidance(scale)
    noise = TakeNoise([5, 6], (LATENT_DIM, LATENTS), noise_draws(sampler, sigmas))
    text = TextEncoder(parts.tokenizer, parts.text_encoder, MAX_TOKENS)
    told = make_conditioning(
        text.encode("a door").tokens,
        embed_duration(parts.duration_embedder, 2.5),
        parts.transformer.prompt_padding_embedding,
        max_tokens=MAX_TOKENS,
        branches=guidance.branches,
        negative=None if negative is None else text.encode(negative).tokens,
    )
    local = local_conditioning(numbers(1, LATENT_DIM, LATENTS), torch.arange(LATENTS) >= 6)

    def velocity(latents: Tensor, step: int) -> Tensor:
        takes, rows = len(latents), len(latents) * guidance.branches
        out: Tensor = parts.transformer(
            latents.repeat(guidance.branches, 1, 1),
            torch.full((rows,), sigmas[step]),
            encoder_hidden_states=told.context.repeat_interleave(takes, 0),
            global_hidden_states=told.global_embed.repeat_interleave(takes, 0),
            local_add_cond=local.expand(rows, -1, -1),
        ).sample
        return out.unflatten(0, (guidance.branches, takes))

    found = sample(velocity, noise, sigmas, sampler=sampler, guidance=guidance)
    expected = run_by_hand(
        parts,
        sampler=sampler,
        sigmas=sigmas,
        draws=noise.stacked()[:, 0],
        scale=scale,
        negative=negative,
        local=local,
    )
    torch.testing.assert_close(found[0], expected, atol=1e-3, rtol=1e-3)


@torch.inference_mode()
def test_a_negative_prompt_is_heard(parts: Any) -> None:
    """Else the runs above would agree for want of any effect."""

    def context(negative: Tensor | None) -> Tensor:
        return make(2, negative).context

    def ask(context: Tensor) -> Tensor:
        out: Tensor = parts.transformer(
            numbers(1, LATENT_DIM, LATENTS),
            torch.tensor([0.8]),
            encoder_hidden_states=context[1:],
            global_hidden_states=DURATION,
        ).sample
        return out

    assert (ask(context(NEGATIVE)) - ask(context(None))).abs().max() > 1e-3
