"""A stretch alone against the same stretch of the whole."""

import warnings
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from reapaint_engine.backends.stable_audio_3.checkpoint.settings import CodecKind, CodecShape
from reapaint_engine.backends.stable_audio_3.inference.codec import Codec, make_codec_module
from tests.engine.backends.stable_audio_3.tiny_codecs import SAME_L, SHAPES, make_codec, noise
from tests.scale import SCALE

TOTAL = 61
"""Latents of the recording; odd, so that SAME-S's last fold is half silence."""

ROUNDING = {"same-s": 2e-6, "same-l": 1e-4}
"""Of full scale. Equal sums in another order: a matrix product may choose it by its size."""


@pytest.fixture(scope="module", params=list(SHAPES))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def codec(kind: str) -> Codec:
    return Codec(make_codec(SHAPES[kind]), SHAPES[kind])


@pytest.fixture(scope="module")
def latents(codec: Codec) -> Tensor:
    return noise(1, codec.latent_dim, TOTAL)


@pytest.fixture(scope="module")
def audio(codec: Codec) -> Tensor:
    return noise(1, codec.channels, TOTAL * codec.hop - 5)


@pytest.fixture(scope="module")
def decoded(codec: Codec, latents: Tensor) -> Tensor:
    return codec.decode(latents)


@pytest.fixture(scope="module")
def encoded(codec: Codec, audio: Tensor) -> Tensor:
    return codec.encode(audio)


def test_whole_is_the_module_itself(
    codec: Codec, latents: Tensor, audio: Tensor, decoded: Tensor, encoded: Tensor
) -> None:
    assert decoded.shape == (1, codec.channels, TOTAL * codec.hop)
    assert encoded.shape == (1, codec.latent_dim, codec.latents_of(audio.shape[-1]))
    assert torch.equal(decoded, codec.module.decode(latents).sample)
    assert torch.equal(encoded, codec.module.encode(audio).latents)


def test_latents_fill_whole_alignments(kind: str, codec: Codec) -> None:
    hop = codec.hop
    counts = [codec.latents_of(frames) for frames in (0, 1, hop, hop + 1, 2 * hop, 2 * hop + 1)]
    assert counts == ([0, 2, 2, 2, 2, 4] if kind == "same-s" else [0, 1, 1, 2, 2, 3])


@settings(max_examples=40 * SCALE)
@given(ends=st.tuples(st.integers(0, TOTAL), st.integers(0, TOTAL)).map(sorted))
def test_a_decoded_range_is_that_of_the_whole(ends: list[int], kinds_run: Any) -> None:
    for name, (codec, _, latents, decoded, _) in kinds_run.items():
        first, last = ends
        made = codec.decode_range(latents, first, last)
        expected = decoded[..., first * codec.hop : last * codec.hop]
        assert made.is_contiguous()
        torch.testing.assert_close(made, expected, atol=ROUNDING[name], rtol=0)


@settings(max_examples=40 * SCALE)
@given(ends=st.tuples(st.integers(0, TOTAL), st.integers(0, TOTAL)).map(sorted))
def test_an_encoded_range_is_that_of_the_whole(ends: list[int], kinds_run: Any) -> None:
    for name, (codec, audio, _, _, encoded) in kinds_run.items():
        first, last = ends
        made = codec.encode_range(audio, first, last)
        assert made.is_contiguous()
        torch.testing.assert_close(made, encoded[..., first:last], atol=ROUNDING[name], rtol=0)


@pytest.fixture(scope="module")
def kinds_run() -> dict[str, tuple[Codec, Tensor, Tensor, Tensor, Tensor]]:
    """Both kinds with a recording, latents, and what the whole of each becomes."""
    made = {}
    for name, shape in SHAPES.items():
        codec = Codec(make_codec(shape), shape)
        audio = noise(1, codec.channels, TOTAL * codec.hop - 5)
        latents = noise(1, codec.latent_dim, TOTAL)
        made[name] = (codec, audio, latents, codec.decode(latents), codec.encode(audio))
    return made


@pytest.mark.parametrize(("first", "last"), [(20, 21), (21, 22), (20, 30), (0, 3), (58, 61)])
def test_nothing_beyond_the_receptive_field_is_heard(
    codec: Codec, latents: Tensor, first: int, last: int
) -> None:
    """Exact on any machine: both runs have the same sizes."""
    reach, unit = codec.receptive_field, codec.alignment
    low = first // unit * unit - reach
    high = -(-last // unit) * unit + reach
    changed = torch.full_like(latents, 1e3)
    changed[..., max(0, low) : high] = latents[..., max(0, low) : high]
    window = slice(first * codec.hop, last * codec.hop)
    kept, whole = codec.decode(changed)[..., window], codec.decode(latents)[..., window]
    assert torch.equal(kept, whole)


def test_the_field_is_no_wider_than_it_is(kind: str, codec: Codec, latents: Tensor) -> None:
    """One latent less on a side would be heard: the measured reach is the stated one."""
    at = 30
    nearest = at + codec.receptive_field + (0 if kind == "same-l" else 1)
    changed = latents.clone()
    changed[..., nearest] += 10.0
    window = slice(at * codec.hop, (at + codec.alignment) * codec.hop)
    assert not torch.equal(codec.decode(changed)[..., window], codec.decode(latents)[..., window])


def test_the_rest_is_not_decoded(codec: Codec, latents: Tensor) -> None:
    poisoned = torch.full_like(latents, float("nan"))
    reach = codec.receptive_field
    poisoned[..., 30 - reach : 32 + reach] = latents[..., 30 - reach : 32 + reach]
    assert codec.decode_range(poisoned, 30, 32).isfinite().all()


def test_no_peak_is_held_down(codec: Codec, latents: Tensor) -> None:
    loud = codec.decode(latents)
    assert loud.abs().max() > 1.0


def test_twice_the_same(codec: Codec, latents: Tensor, audio: Tensor) -> None:
    assert torch.equal(codec.decode(latents), codec.decode(latents))
    assert torch.equal(codec.encode(audio), codec.encode(audio))


def test_an_empty_range_is_empty(codec: Codec, latents: Tensor, audio: Tensor) -> None:
    assert codec.decode_range(latents, 7, 7).shape == (1, codec.channels, 0)
    assert codec.encode_range(audio, 7, 7).shape == (1, codec.latent_dim, 0)
    assert codec.encode(audio[..., :0]).shape == (1, codec.latent_dim, 0)


@pytest.mark.parametrize(("first", "last"), [(-1, 4), (5, 4), (0, TOTAL + 1)])
def test_a_range_outside_is_refused(codec: Codec, latents: Tensor, first: int, last: int) -> None:
    with pytest.raises(ValueError, match="not within"):
        codec.decode_range(latents, first, last)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_stays_near(
    kind: str, latents: Tensor, audio: Tensor, decoded: Tensor, encoded: Tensor, dtype: torch.dtype
) -> None:
    codec = Codec(make_codec(SHAPES[kind]).to(dtype), SHAPES[kind])
    for made, exact in ((codec.decode(latents), decoded), (codec.encode(audio), encoded)):
        assert made.dtype == torch.float32
        assert (made - exact).std() < 16 * torch.finfo(dtype).eps * exact.std()


class _EnoughError(Exception):
    pass


def test_progress_can_end_the_work(codec: Codec, latents: Tensor) -> None:
    heard: list[float] = []

    def listen(fraction: float) -> None:
        heard.append(fraction)
        if len(heard) == 2:
            raise _EnoughError

    with pytest.raises(_EnoughError):
        codec.decode(latents, listen)
    assert len(heard) == 2
    codec.encode_range(noise(1, codec.channels, 9 * codec.hop), 0, 2, heard.append)
    assert heard[-1] == 1.0


def test_built_without_weights_it_holds_none(kind: str) -> None:
    with torch.device("meta"):
        empty = make_codec_module(SHAPES[kind])
    assert all(tensor.is_meta for tensor in empty.state_dict().values())
    assert not set(dict(empty.named_buffers())) - set(empty.state_dict())
    full = make_codec(SHAPES[kind])
    empty.load_state_dict(full.state_dict(), assign=True)
    given = noise(1, SHAPES[kind].latent_dim, 4)
    assert torch.equal(empty.decode(given).sample, full.decode(given).sample)


@pytest.mark.parametrize("is_fused", [False, True])
def test_takes_diffusers_module_as_well(is_fused: bool) -> None:
    with warnings.catch_warnings():
        # diffusers still builds its convolutions with torch's older weight norm.
        warnings.filterwarnings("ignore", ".*weight_norm.*", FutureWarning)
        from diffusers import AutoencoderSAME

        names = set(CodecShape.__dataclass_fields__) - {"kind", "sample_rate"}
        stock = AutoencoderSAME(**{name: getattr(SAME_L, name) for name in names})
    stock.load_state_dict(make_codec(SAME_L).state_dict())
    if is_fused:
        for side in (stock.encoder, stock.decoder):
            torch.nn.utils.remove_weight_norm(side.blocks[0].mapping)
    codec = Codec(stock, SAME_L)
    assert codec.module.encoder.proj.weight is not None
    assert codec.module.encoder.proj.weight.data_ptr() == stock.encoder.proj.weight.data_ptr()
    with torch.inference_mode():
        given = noise(1, SAME_L.latent_dim, 9)
        expected = stock.decode(given).sample
        torch.testing.assert_close(codec.decode(given), expected, atol=2e-5, rtol=0)


def test_another_kinds_weights_are_refused() -> None:
    with pytest.raises(RuntimeError, match="mapping"):
        Codec(torch.nn.ModuleDict({"decoder": make_codec(SAME_L).decoder}), SHAPES["same-s"])


def test_names_and_sizes_are_those_of_the_real_ones() -> None:
    counts = {}
    for kind, channels, depth in ((CodecKind.SAME_S, 128, 6), (CodecKind.SAME_L, 256, 12)):
        shape = CodecShape(
            kind=kind, encoder_channels=channels, encoder_transformer_depths=(depth,)
        )
        with torch.device("meta"):
            module = make_codec_module(shape)
        counts[kind] = sum(parameter.numel() for parameter in module.parameters())
        assert Codec(module, shape).receptive_field == (2 if kind is CodecKind.SAME_S else 12)
    assert round(counts[CodecKind.SAME_S] / 1e6, 1) == 108.2
    assert round(counts[CodecKind.SAME_L] / 1e6, 1) == 852.1


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_hears_the_same(kind: str, codec: Codec, latents: Tensor, decoded: Tensor) -> None:
    there = Codec(make_codec(SHAPES[kind]).to("cuda"), SHAPES[kind])
    made = there.decode_range(latents, 10, 30)
    assert made.device.type == "cuda"
    expected = decoded[..., 10 * codec.hop : 30 * codec.hop]
    torch.testing.assert_close(made.cpu(), expected, atol=2e-3, rtol=0)
