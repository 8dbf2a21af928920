"""The denoiser computes what diffusers' repaired module computes."""

from collections.abc import Iterator

import pytest
import torch
from diffusers import StableAudio3DiTModel
from torch import Tensor

from reapaint_engine.backends.stable_audio_3.network.attention import rotary_tables
from reapaint_engine.backends.stable_audio_3.network.denoiser import (
    BLOCK_EPS,
    Denoiser,
    PreparedJob,
    repair,
)
from reapaint_engine.backends.stable_audio_3.network.projections import can_pack
from tests.tiny_checkpoints import randomise

LATENT_DIM = 16
CONTEXT_TOKENS = 21
LENGTH = 37
SIGMAS = [0.95, 0.73, 0.2]
STEP = 1


@pytest.fixture(autouse=True)
def _inference() -> Iterator[None]:
    with torch.inference_mode(), torch.random.fork_rng():
        torch.manual_seed(7)
        yield


def make_transformer(*, differential: bool, memory_tokens: int = 8) -> StableAudio3DiTModel:
    """A net in which every weight says something: none is zero, no gain is one."""
    transformer = StableAudio3DiTModel(
        io_channels=LATENT_DIM,
        embed_dim=128,
        depth=3,
        num_heads=2,
        cond_token_dim=48,
        global_cond_dim=40,
        local_add_cond_dim=1 + LATENT_DIM,
        timestep_features_dim=32,
        ff_mult=2,
        num_memory_tokens=memory_tokens,
        use_differential_attention=differential,
    ).eval()
    randomise(transformer)
    for name, parameter in transformer.named_parameters():
        if name.endswith("gamma"):
            parameter.copy_(1 + 0.3 * torch.randn_like(parameter))
    repair(transformer)
    return transformer


class Conditions:
    """Random conditioning of one or two branches, and latents of some takes."""

    def __init__(self, branches: int, takes: int, *, masked: bool = True) -> None:
        self.context = torch.randn(branches, CONTEXT_TOKENS, 48)
        self.global_embed = torch.randn(branches, 40)
        self.local = torch.randn(1, 1 + LATENT_DIM, LENGTH) * masked
        self.latents = torch.randn(takes, LATENT_DIM, LENGTH)

    def prepared(self, denoiser: Denoiser) -> PreparedJob:
        return denoiser.prepare(self.context, self.global_embed, self.local, SIGMAS)

    def velocity(self, transformer: StableAudio3DiTModel) -> Tensor:
        """Ours."""
        denoiser = Denoiser(transformer)
        result = denoiser.velocity(self.prepared(denoiser), self.latents, STEP)
        denoiser.release()
        return result

    def expected(self, transformer: StableAudio3DiTModel) -> Tensor:
        """Theirs, one branch after the other."""
        dtype, takes = transformer.dtype, len(self.latents)
        branches = [
            transformer(
                self.latents.to(dtype),
                torch.full((takes,), SIGMAS[STEP]),
                context.expand(takes, -1, -1).to(dtype),
                global_embed.expand(takes, -1).to(dtype),
                local_add_cond=self.local.expand(takes, -1, -1).to(dtype),
                return_dict=False,
            )[0].float()
            for context, global_embed in zip(self.context, self.global_embed, strict=True)
        ]
        return torch.stack(branches)


def relative_error(got: Tensor, expected: Tensor) -> float:
    return float((got - expected).norm() / expected.norm())


def in_dtype(transformer: StableAudio3DiTModel, dtype: torch.dtype) -> StableAudio3DiTModel:
    """The same net after a plain cast, which rounds its rotary frequencies too, repaired."""
    copy = StableAudio3DiTModel.from_config(transformer.config).eval()
    copy.load_state_dict(transformer.state_dict())
    copy = copy.to(dtype)
    repair(copy)
    return copy


@pytest.mark.parametrize("differential", [False, True])
@pytest.mark.parametrize("branches", [1, 2])
@pytest.mark.parametrize("takes", [1, 2, 4])
def test_equals_the_module_in_float32(differential: bool, branches: int, takes: int) -> None:
    transformer = make_transformer(differential=differential)
    conditions = Conditions(branches, takes)
    expected = conditions.expected(transformer)
    got = conditions.velocity(transformer)
    assert got.shape == (branches, takes, LATENT_DIM, LENGTH)
    assert got.dtype == torch.float32
    assert relative_error(got, expected) < 5e-6


@pytest.mark.parametrize("differential", [False, True])
@pytest.mark.parametrize("tokens", [1, 16, 48, 49, 100])
def test_a_context_of_any_length_is_heard(differential: bool, tokens: int) -> None:
    transformer = make_transformer(differential=differential)
    conditions = Conditions(2, 2)
    conditions.context = torch.randn(2, tokens, 48)
    assert relative_error(conditions.velocity(transformer), conditions.expected(transformer)) < 5e-6


@pytest.mark.parametrize("length", [1, 7, 8, 9, 24])
def test_a_sequence_of_any_length_is_heard(length: int) -> None:
    transformer = make_transformer(differential=True)
    conditions = Conditions(1, 2)
    conditions.local, conditions.latents = (
        torch.randn(n, dim, length) for n, dim in ((1, 1 + LATENT_DIM), (2, LATENT_DIM))
    )
    got = conditions.velocity(transformer)
    assert got.shape[-1] == length
    assert relative_error(got, conditions.expected(transformer)) < 5e-6


def test_what_the_last_job_had_too_is_not_computed_again() -> None:
    denoiser = Denoiser(make_transformer(differential=False))
    conditions = Conditions(1, 1)
    first = conditions.prepared(denoiser)
    conditions.local = conditions.local.clone()
    again = conditions.prepared(denoiser)
    assert (again.keys is first.keys, again.local is first.local) == (True, True)
    conditions.context = conditions.context + 1
    reworded = conditions.prepared(denoiser)
    assert (reworded.keys is first.keys, reworded.local is first.local) == (False, True)
    conditions.local = conditions.local + 1
    assert conditions.prepared(denoiser).local is not first.local


@pytest.mark.parametrize("differential", [False, True])
def test_local_zeros_are_not_nothing(differential: bool) -> None:
    """Its layers have biases, so "make everything" is zeros through them, as trained."""
    transformer = make_transformer(differential=differential)
    conditions = Conditions(1, 2, masked=False)
    got = conditions.velocity(transformer)
    assert relative_error(got, conditions.expected(transformer)) < 5e-6
    conditions.local = torch.randn_like(conditions.local)
    assert relative_error(conditions.velocity(transformer), got) > 0.05


def test_a_model_without_memory_tokens() -> None:
    transformer = make_transformer(differential=False, memory_tokens=0)
    conditions = Conditions(1, 2)
    assert relative_error(conditions.velocity(transformer), conditions.expected(transformer)) < 5e-6


def test_branches_with_one_duration_and_their_own_local_conditioning() -> None:
    transformer = make_transformer(differential=True)
    conditions = Conditions(2, 1)
    conditions.global_embed = conditions.global_embed[:1].expand(2, -1)
    denoiser = Denoiser(transformer)
    both = conditions.local.repeat(2, 1, 1)
    job = denoiser.prepare(conditions.context, conditions.global_embed, both, SIGMAS)
    got = denoiser.velocity(job, conditions.latents, STEP)
    assert relative_error(got, conditions.expected(transformer)) < 5e-6


@pytest.mark.parametrize("differential", [False, True])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_no_worse_than_the_module_s(
    differential: bool, dtype: torch.dtype
) -> None:
    half = in_dtype(make_transformer(differential=differential), dtype)
    exact = in_dtype(half, torch.float32)
    theirs = ours = 0.0
    for _ in range(4):
        conditions = Conditions(2, 2)
        expected = conditions.expected(exact)
        theirs += relative_error(conditions.expected(half), expected)
        ours += relative_error(conditions.velocity(half), expected)
    assert ours <= theirs


def test_a_take_is_the_same_alone_and_among_others() -> None:
    transformer = make_transformer(differential=True)
    conditions = Conditions(2, 3)
    together = conditions.velocity(transformer)
    conditions.latents = conditions.latents[1:2]
    alone = conditions.velocity(transformer)
    assert relative_error(together[:, 1:2], alone) < 2e-6


def test_every_step_has_its_noise_level() -> None:
    transformer = make_transformer(differential=False)
    conditions = Conditions(1, 1)
    denoiser = Denoiser(transformer)
    job = conditions.prepared(denoiser)
    velocities = [denoiser.velocity(job, conditions.latents, step) for step in range(len(SIGMAS))]
    assert relative_error(velocities[STEP], conditions.expected(transformer)) < 5e-6
    assert relative_error(velocities[0], velocities[2]) > 0.01


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_repair_undoes_a_cast_of_the_rotary_frequencies(dtype: torch.dtype) -> None:
    transformer = make_transformer(differential=False)
    frequencies = transformer.rotary_pos_emb.inv_freq.clone()
    transformer.to(dtype)
    assert not torch.equal(transformer.rotary_pos_emb.inv_freq.float(), frequencies)
    repair(transformer)
    assert transformer.rotary_pos_emb.inv_freq.dtype == torch.float32
    assert torch.equal(transformer.rotary_pos_emb.inv_freq, frequencies)
    assert transformer.transformer_blocks[0].ff_norm.eps == BLOCK_EPS
    assert transformer.transformer_blocks[0].self_attn.q_norm.eps == 1e-6


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_two_minutes_of_positions_are_all_distinct(dtype: torch.dtype) -> None:
    tokens = 1356 + 64
    tables = rotary_tables(torch.ones(1, 2, 64, dtype=dtype), tokens)
    cos, sin = tables.cos_table[..., :16], tables.sin_table[..., 16:]
    angles = torch.atan2(sin, cos)[0, :, 0, 0].double()
    assert len(torch.unique(angles, dim=0)) == tokens
    positions = torch.arange(tokens, dtype=torch.float64)
    slowest = 10000.0 ** (-15 / 16)
    assert torch.allclose(angles[:, -1], positions * slowest, atol=1e-6)


def test_released_weights_are_the_ones_taken() -> None:
    transformer = make_transformer(differential=True).to(torch.bfloat16)
    before = {name: tensor.clone() for name, tensor in transformer.state_dict().items()}
    del before["rotary_pos_emb.inv_freq"]
    Denoiser(transformer).release()
    after = transformer.state_dict()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())


def test_packed_weights_are_held_once() -> None:
    transformer = make_transformer(differential=True).to(torch.bfloat16)
    if not can_pack(transformer.proj_in.weight):
        pytest.skip("this processor gains nothing by packing")
    denoiser = Denoiser(transformer)
    assert transformer.transformer_blocks[0].ff.proj_in.weight.numel() == 0
    denoiser.release()
    assert transformer.transformer_blocks[0].ff.proj_in.weight.numel() > 0


def test_only_bfloat16_is_packed() -> None:
    assert not can_pack(torch.zeros(64, 32))
    assert not can_pack(torch.zeros(64, 32, dtype=torch.float16))
    assert not can_pack(torch.zeros(64, 32, dtype=torch.bfloat16, device="meta"))


def test_patches_are_refused() -> None:
    transformer = StableAudio3DiTModel(
        io_channels=4, patch_size=2, embed_dim=64, depth=1, num_heads=1, num_memory_tokens=2
    )
    with pytest.raises(ValueError, match="patches"):
        Denoiser(transformer)
