from typing import Any

import pytest
import torch

from reapaint_engine.backends.stable_audio_3.inference.text import (
    MAX_REMEMBERED_PROMPTS,
    TextEncoder,
)
from tests.tiny_checkpoints import make_tiny_parts

MAX_TOKENS = 32
PROMPT = "rain on a tin roof"


@pytest.fixture(scope="module")
def parts() -> Any:
    return make_tiny_parts()


class Counting(torch.nn.Module):
    """An encoder that notes what it was asked to encode."""

    def __init__(self, module: Any) -> None:
        super().__init__()
        self.module = module
        self.lengths: list[int] = []

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> Any:
        self.lengths.append(input_ids.shape[-1])
        return self.module(input_ids=input_ids, attention_mask=attention_mask)

    def get_input_embeddings(self) -> Any:
        return self.module.get_input_embeddings()


@pytest.fixture
def module(parts: Any) -> Counting:
    return Counting(parts.text_encoder)


@pytest.fixture
def encoder(parts: Any, module: Counting) -> TextEncoder:
    return TextEncoder(parts.tokenizer, module, MAX_TOKENS)


@pytest.mark.parametrize("side", ["left", "right"])
@torch.inference_mode()
def test_real_tokens_alone_are_what_padding_leaves_of_them(
    parts: Any, encoder: TextEncoder, side: str
) -> None:
    padded = parts.tokenizer(
        PROMPT,
        padding="max_length",
        max_length=MAX_TOKENS,
        padding_side=side,
        return_tensors="pt",
    )
    hidden = parts.text_encoder(
        input_ids=padded.input_ids, attention_mask=padded.attention_mask
    ).last_hidden_state[0]
    expected = hidden[padded.attention_mask[0].bool()]
    assert 0 < len(expected) < MAX_TOKENS
    torch.testing.assert_close(encoder.encode(PROMPT).tokens, expected, atol=2e-5, rtol=1e-5)


@torch.inference_mode()
def test_another_prompt_is_another_meaning(encoder: TextEncoder) -> None:
    one, other = encoder.encode("a dog").tokens, encoder.encode("a cat").tokens
    assert one.shape == other.shape
    assert not torch.allclose(one, other, atol=1e-2)


@torch.inference_mode()
def test_only_real_tokens_are_encoded(encoder: TextEncoder, module: Counting) -> None:
    assert len(encoder.encode(PROMPT).tokens) == module.lengths[0] == len(PROMPT)


@torch.inference_mode()
def test_nothing_said_is_no_token(encoder: TextEncoder, module: Counting) -> None:
    encoded = encoder.encode("")
    assert encoded.tokens.shape == (0, 32)
    assert encoded.unheard == ""
    assert module.lengths == []


@torch.inference_mode()
def test_a_prompt_that_just_fits_is_heard_whole(encoder: TextEncoder) -> None:
    encoded = encoder.encode("a" * MAX_TOKENS)
    assert len(encoded.tokens) == MAX_TOKENS
    assert encoded.unheard == ""


@torch.inference_mode()
def test_what_does_not_fit_is_told(encoder: TextEncoder) -> None:
    encoded = encoder.encode("b" * MAX_TOKENS + " wind in the trees")
    assert len(encoded.tokens) == MAX_TOKENS
    assert encoded.unheard == "wind in the trees"
    assert torch.equal(encoded.tokens, encoder.encode("b" * MAX_TOKENS).tokens)


@torch.inference_mode()
def test_blanks_that_do_not_fit_are_not_missed(encoder: TextEncoder) -> None:
    assert encoder.encode("b" * MAX_TOKENS + "   ").unheard == ""


@torch.inference_mode()
def test_letters_outside_the_vocabulary_are_cut_at_a_letter(encoder: TextEncoder) -> None:
    encoded = encoder.encode("é" * MAX_TOKENS)
    assert encoded.unheard == "é" * (MAX_TOKENS // 2)


@torch.inference_mode()
def test_a_prompt_is_encoded_once(encoder: TextEncoder, module: Counting) -> None:
    assert not encoder.remembers(PROMPT)
    first = encoder.encode(PROMPT)
    assert encoder.remembers(PROMPT)
    assert encoder.encode(PROMPT) is first
    assert len(module.lengths) == 1


@torch.inference_mode()
def test_the_prompt_least_lately_used_is_forgotten(encoder: TextEncoder) -> None:
    for number in range(MAX_REMEMBERED_PROMPTS):
        encoder.encode(f"{number}")
    encoder.encode("0")
    encoder.encode("one more")
    assert encoder.remembers("0")
    assert not encoder.remembers("1")
    assert encoder.remembers("one more")


@torch.inference_mode()
def test_half_precision_comes_out_as_float32(parts: Any) -> None:
    module = make_tiny_parts().text_encoder
    exact = TextEncoder(parts.tokenizer, parts.text_encoder, MAX_TOKENS).encode(PROMPT).tokens
    halved = TextEncoder(parts.tokenizer, module.bfloat16(), MAX_TOKENS).encode(PROMPT).tokens
    assert halved.dtype == torch.float32
    assert (halved - exact).norm() < 0.05 * exact.norm()


def test_it_moves(parts: Any) -> None:
    encoder = TextEncoder(parts.tokenizer, torch.nn.Linear(2, 2), MAX_TOKENS)
    assert encoder.device.type == "cpu"
    encoder.to("meta")
    assert encoder.device.type == "meta"
