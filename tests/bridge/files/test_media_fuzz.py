"""Damaged files of every kind: an error with a code, or success, and nothing else."""

import contextlib
import random
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reapaint.errors import BridgeError
from reapaint.files.media import Patch, probe, read_frames, write_spliced
from tests.bridge import audio_files as files
from tests.scale import SCALE

FRAMES = 3000
ROUNDS = 40 * SCALE
FOUND = (217, 848)
"""Rounds in which a longer run found a header that was believed."""
MEMORY = 16 << 20
"""Bytes; far more than such small files need, far less than a header can promise."""

_WORDS = (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\0\0\x80", b"\x01\0\0\0")


def damage(content: bytes, rng: random.Random) -> bytes:
    """Return content with a few bytes changed, most of them in its headers."""
    damaged = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        place = rng.randrange(min(len(damaged), rng.choice((64, 200, 2000, len(damaged)))))
        kind = rng.randrange(5)
        if kind == 0:
            damaged[place] = rng.randrange(256)
        elif kind == 1:
            damaged[place : place + 4] = rng.choice(_WORDS)
        elif kind == 2:
            del damaged[place : place + rng.randrange(1, 9)]
        elif kind == 3:
            damaged[place:place] = rng.randbytes(rng.randrange(1, 9))
        else:
            damaged = damaged[: max(place, 1)]
        damaged = damaged or bytearray(b"x")
    return bytes(damaged)


def use(path: Path) -> str:
    """Do all that is done with a recording; return how it ended."""
    with contextlib.suppress(BridgeError):
        info = probe(path)
        read_frames(info, info.frames // 2, min(info.frames, info.frames // 2 + 500))
        length = min(50, info.frames)
        patch = Patch(0, np.zeros((info.channels, length), np.float32))
        for suffix in (".wav", path.suffix):
            out = path.with_name(f"out{suffix}")
            write_spliced(info, out, [patch], force=True, record={"seed": 1})
            assert probe(out).channels == info.channels
        return "ok"
    return "refused"


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("originals")
    sound = (files.tones(44_100, 2, FRAMES) * 2**15).astype("<i2").T.tobytes()
    start = folder / "in.wav"
    start.write_bytes(
        files.wav(
            files.chunk(b"fmt ", files.extensible_format("int16", 44_100, 2)),
            files.chunk(b"LIST", b"INFO"),
            files.chunk(b"data", sound),
            files.chunk(b"cue ", bytes(28)),
        )
    )
    content = {".wav": start.read_bytes()}
    for suffix in (".aiff", ".flac", ".ogg", ".mp3", ".opus", ".m4a", ".aac"):
        write_spliced(probe(start), folder / f"o{suffix}", [], force=False, record={"seed": 1})
        content[suffix] = (folder / f"o{suffix}").read_bytes()
    return content


@pytest.mark.parametrize(
    "suffix", [".wav", ".aiff", ".flac", ".ogg", ".mp3", ".opus", ".m4a", ".aac"]
)
def test_damaged_files_end_in_a_code_or_in_success(
    tmp_path: Path, originals: dict[str, bytes], suffix: str
) -> None:
    path = tmp_path / f"in{suffix}"
    path.write_bytes(originals[suffix])
    assert use(path) == "ok"
    outcomes = set()
    tracemalloc.start()
    for round_number in (*range(ROUNDS), *FOUND):
        path.write_bytes(damage(originals[suffix], random.Random(round_number)))
        outcomes.add(use(path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert outcomes - {"ok"}, "nothing was damaged"
    assert peak < MEMORY
    assert not list(tmp_path.glob("*.part"))


@settings(max_examples=100 * SCALE, suppress_health_check=list(HealthCheck))
@given(
    magic=st.sampled_from(
        [
            b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0",
            b"RF64\xff\xff\xff\xffWAVEds64\x1c\0\0\0",
            b"FORM\0\0\0\0AIFFCOMM\0\0\0\x12",
            b"FORM\0\0\0\0AIFCCOMM\0\0\0\x16",
            b"fLaC\0\0\0\x22",
            b"ID3\4\0\0",
            b"OggS\0\2",
            b"\0\0\0\x1cftypM4A ",
            b"\xff\xf1",
            b"\xff\xfb",
            b"",
        ]
    ),
    rest=st.binary(max_size=400),
)
def test_anything_behind_a_known_beginning(tmp_path: Path, magic: bytes, rest: bytes) -> None:
    path = tmp_path / "in.wav"
    path.write_bytes(magic + rest)
    use(path)
