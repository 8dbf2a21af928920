"""The text encoder without its weights, and its tokenizer, from a folder of this machine."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoTokenizer, T5GemmaConfig, T5GemmaEncoderModel

from reapaint_engine.backends.stable_audio_3.checkpoint.tensor_files import broken

_log = logging.getLogger(__name__)


def build_text_encoder(folder: Path, device: str) -> nn.Module:
    """Build the encoder that ``config.json`` describes, on the meta device.

    Returns
    -------
    Module
        Without weights; its rotary frequencies, which no file holds, are on ``device``.

    Raises
    ------
    JobError
        ``model_broken``: the configuration describes nothing that can be built.
    """
    with _reporting_broken(folder / "config.json"):
        config = T5GemmaConfig.from_pretrained(folder, local_files_only=True)
        # The published folder is of the whole model, encoder and decoder.
        config.is_encoder_decoder = False
        with torch.device("meta"):
            model: Any = T5GemmaEncoderModel(config)
    rotary = model.encoder.rotary_emb
    model.encoder.rotary_emb = type(rotary)(config=model.config.encoder).to(device)
    made: nn.Module = model
    return made


def load_tokenizer(folder: Path) -> Any:
    """Load the tokenizer from ``tokenizer.json``; no code of the folder is run.

    Raises
    ------
    JobError
        ``model_broken``: it can't be read.
    """
    with _reporting_broken(folder / "tokenizer.json"):
        return AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)


@contextmanager
def _reporting_broken(path: Path) -> Iterator[None]:
    """Name the file that transformers could not use.

    It is handed what a file says, and raises whatever that leads to: exceptions of its own,
    of its settings' checks and plain ones from native code.
    """
    try:
        yield
    except Exception as error:
        _log.warning("%s can't be used", path, exc_info=True)
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise broken(f"{path.parent.name}/{path.name} can't be used: {reason}.") from error
