"""What is encoded once is not encoded again, and nothing else is taken for it."""

import pytest
import torch
from torch import Tensor

from reapaint_engine.backends.stable_audio_3.inference.cache import LatentCache
from tests.engine.backends.stable_audio_3.tiny_codecs import noise


class Encoder:
    """Counts how often it is asked."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self) -> Tensor:
        self.calls += 1
        return torch.full((1, 4, 8), float(self.calls))


SIZE = 4 * 4 * 8


def test_the_second_time_it_is_there() -> None:
    cache, encode, audio = LatentCache(), Encoder(), noise(1, 2, 100)
    first = cache.latents(audio, first=0, last=8, codec_id="codec", encode=encode)
    again = cache.latents(audio.clone(), first=0, last=8, codec_id="codec", encode=encode)
    assert encode.calls == 1
    assert torch.equal(first, again)
    assert cache.size_bytes == SIZE


def test_a_view_with_the_same_content_is_found() -> None:
    cache, encode, audio = LatentCache(), Encoder(), noise(1, 2, 100)
    cache.latents(audio[..., 10:90], first=0, last=8, codec_id="codec", encode=encode)
    cache.latents(audio[..., 10:90].contiguous(), first=0, last=8, codec_id="codec", encode=encode)
    assert encode.calls == 1


@pytest.mark.parametrize("change", ["sample", "sign of zero", "range", "codec", "shape", "type"])
def test_anything_else_is_encoded(change: str) -> None:
    cache, encode, audio = LatentCache(), Encoder(), noise(1, 2, 100)
    audio[..., 50] = 0.0
    cache.latents(audio, first=0, last=8, codec_id="codec", encode=encode)
    other, first, codec_id = audio.clone(), 0, "codec"
    if change == "sample":
        other[0, 1, 99] = torch.nextafter(other[0, 1, 99], torch.tensor(9.0))
    elif change == "sign of zero":
        other[..., 50] = -0.0
    elif change == "range":
        first = 1
    elif change == "codec":
        codec_id = "another"
    elif change == "shape":
        other = other.view(2, 1, 100)
    else:
        other = other.view(torch.int32)
    cache.latents(other, first=first, last=8, codec_id=codec_id, encode=encode)
    assert encode.calls == 2


def test_what_was_used_longest_ago_goes() -> None:
    cache, encode = LatentCache(2 * SIZE), Encoder()
    recordings = [noise(1, 2, 100, seed=seed) for seed in range(3)]

    def ask(number: int) -> None:
        cache.latents(recordings[number], first=0, last=8, codec_id="codec", encode=encode)

    ask(0)
    ask(1)
    ask(0)
    ask(2)
    assert cache.size_bytes == 2 * SIZE
    assert encode.calls == 3
    ask(0)
    assert encode.calls == 3
    ask(1)
    assert encode.calls == 4


def test_what_is_too_large_is_not_kept() -> None:
    cache, encode, audio = LatentCache(SIZE - 1), Encoder(), noise(1, 2, 100)
    for _ in range(2):
        assert cache.latents(audio, first=0, last=8, codec_id="codec", encode=encode).shape == (
            1,
            4,
            8,
        )
    assert encode.calls == 2
    assert cache.size_bytes == 0


def test_a_failure_leaves_nothing() -> None:
    cache, audio = LatentCache(), noise(1, 2, 100)

    def fail() -> Tensor:
        raise RuntimeError("cancelled")

    with pytest.raises(RuntimeError, match="cancelled"):
        cache.latents(audio, first=0, last=8, codec_id="codec", encode=fail)
    encode = Encoder()
    cache.latents(audio, first=0, last=8, codec_id="codec", encode=encode)
    assert encode.calls == 1


def test_forgetting_frees_all() -> None:
    cache, encode, audio = LatentCache(), Encoder(), noise(1, 2, 100)
    cache.latents(audio, first=0, last=8, codec_id="codec", encode=encode)
    cache.clear()
    assert cache.size_bytes == 0
    cache.latents(audio, first=0, last=8, codec_id="codec", encode=encode)
    assert encode.calls == 2
