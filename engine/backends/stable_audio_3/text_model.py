"""The text encoder without its weights, and its tokenizer, from a folder of this machine."""

import logging
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoTokenizer, T5GemmaConfig, T5GemmaEncoderModel

from engine.backends.stable_audio_3.tensor_files import broken

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
    try:
        config = T5GemmaConfig.from_pretrained(folder, local_files_only=True)
        # The published folder is of the whole model, encoder and decoder.
        config.is_encoder_decoder = False
        with torch.device("meta"):
            model: Any = T5GemmaEncoderModel(config)
    except (ValueError, TypeError, KeyError, AttributeError, OSError) as error:
        raise broken(f"{folder.name}/config.json can't be used: {error}.") from error
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
    try:
        return AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    # The tokenizers library raises plain exceptions from its native code.
    except Exception as error:
        _log.warning("no tokenizer in %s", folder, exc_info=True)
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise broken(f"{folder.name}/tokenizer.json can't be used: {reason}.") from error
