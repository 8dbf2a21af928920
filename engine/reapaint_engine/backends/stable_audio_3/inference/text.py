"""Prompts as the vectors that the model attends to."""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

MAX_REMEMBERED_PROMPTS = 32
"""Prompts kept; one of 256 tokens takes 0.8 MB."""


@dataclass(frozen=True, slots=True)
class EncodedText:
    """A prompt's tokens, and what of it the model can't hear."""

    tokens: Tensor
    """Shape (tokens, dim), float32: the real tokens alone, without padding."""
    unheard: str = ""
    """The end of the prompt that was cut off; empty when it fits."""


class TextEncoder:
    """T5Gemma with a memory for the last prompts, so that a re-roll encodes nothing.

    Only real tokens are encoded. The encoder masks padding out anyway, so the rest of the
    context can be filled with the padding embedding without ever encoding it.

    Parameters
    ----------
    tokenizer
        The encoder's tokenizer, from transformers.
    module
        transformers' ``T5GemmaEncoderModel``.
    max_tokens
        Tokens that the model hears; the rest of a prompt is cut off.
    """

    def __init__(self, tokenizer: Any, module: nn.Module, max_tokens: int) -> None:
        self._tokenizer = tokenizer
        self._module = module.eval()
        self._max_tokens = max_tokens
        self._remembered: OrderedDict[str, EncodedText] = OrderedDict()

    @property
    def device(self) -> torch.device:
        """Where the encoder is."""
        return next(self._module.parameters()).device

    def to(self, device: torch.device | str) -> None:
        """Move the encoder; what it remembers stays valid where it is."""
        self._module.to(device)

    def remembers(self, prompt: str) -> bool:
        """Tell whether a prompt can be had without the encoder."""
        return prompt in self._remembered

    def encode(self, prompt: str) -> EncodedText:
        """Return a prompt's tokens, on the device where they were encoded."""
        if prompt in self._remembered:
            self._remembered.move_to_end(prompt)
            return self._remembered[prompt]
        ids, unheard = self._tokenize(prompt)
        encoded = EncodedText(self._embed(ids), unheard)
        self._remembered[prompt] = encoded
        if len(self._remembered) > MAX_REMEMBERED_PROMPTS:
            self._remembered.popitem(last=False)
        return encoded

    def _tokenize(self, prompt: str) -> tuple[list[int], str]:
        heard = self._tokenizer(
            prompt, truncation=True, max_length=self._max_tokens, return_offsets_mapping=True
        )
        ids: list[int] = heard["input_ids"]
        if len(ids) < self._max_tokens:
            return ids, ""
        end = max(end for _, end in heard["offset_mapping"])
        return ids, prompt[end:].strip()

    def _embed(self, ids: list[int]) -> Tensor:
        if not ids:
            return torch.empty(0, self._width(), device=self.device)
        tokens = torch.tensor([ids], device=self.device)
        encoded = self._module(input_ids=tokens, attention_mask=torch.ones_like(tokens))
        hidden: Tensor = encoded.last_hidden_state
        return hidden[0].float()

    def _width(self) -> int:
        embeddings: nn.Embedding = self._module.get_input_embeddings()  # type: ignore[operator]
        return embeddings.embedding_dim
