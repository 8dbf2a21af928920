"""What files say of themselves, and files that lie."""

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reapaint_engine.backends.library.descriptions import MAX_CHARACTERS, read_description
from tests.scale import SCALE

AUDIO = np.zeros((1, 100), np.float32)
IXML = (
    "<?xml version='1.0'?><BWFXML><NOTE>by the &amp; river</NOTE><USER><FXNAME>Heron</FXNAME>"
    "<KEYWORDS>bird, wings</KEYWORDS></USER><SPEED><NOTE></NOTE></SPEED></BWFXML>"
)


def _info(name: bytes, text: bytes) -> bytes:
    return b"INFO" + struct.pack("<4sI", name, len(text)) + text + bytes(len(text) % 2)


@pytest.mark.parametrize(
    ("chunk", "text"),
    [
        ((b"bext", b"A heavy door".ljust(602, b"\0")), "A heavy door"),
        ((b"bext", "Tür, schwer".encode("latin-1").ljust(602, b"\0")), "Tür, schwer"),
        ((b"iXML", IXML.encode()), "by the & river Heron bird, wings"),
        ((b"iXML", IXML.encode("utf-16")), "by the & river Heron bird, wings"),
        ((b"LIST", _info(b"ICMT", b"wet street")), "wet street"),
        ((b"LIST", _info(b"ISFT", b"an editor")), ""),
        ((b"LIST", b"adtl" + bytes(20)), ""),
        ((b"iXML", b"<BWFXML><NOTE>cut o"), ""),
    ],
)
def test_wav(
    tmp_path: Path, write_wav: Callable[..., Path], chunk: tuple[bytes, bytes], text: str
) -> None:
    path = write_wav(tmp_path / "a.wav", AUDIO, chunks=((b"junk", b"odd"), chunk))
    assert read_description(path) == text


def test_the_same_text_counts_once(tmp_path: Path, write_wav: Callable[..., Path]) -> None:
    chunks = ((b"bext", b"rain".ljust(602, b"\0")), (b"LIST", _info(b"ICMT", b"rain")))
    assert read_description(write_wav(tmp_path / "a.wav", AUDIO, chunks=chunks)) == "rain"


def test_aiff(tmp_path: Path) -> None:
    body = struct.pack(">4sI", b"ANNO", 5) + b"an owl"[:5] + b"\0"
    path = tmp_path / "a.aif"
    path.write_bytes(struct.pack(">4sI4s", b"FORM", 4 + len(body), b"AIFF") + body)
    assert read_description(path) == "an ow"


def test_chunks_after_more_than_4_gib_are_looked_for_where_they_are(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    sizes = struct.pack("<QQQI", 0, 5 << 30, 0, 0)
    head = b"RF64\xff\xff\xff\xffWAVE" + struct.pack("<4sI", b"ds64", len(sizes)) + sizes
    with path.open("wb") as file:
        file.write(head + b"data\xff\xff\xff\xff")
        file.seek(5 << 30, 1)
        text = _info(b"INAM", b"far behind")
        file.write(struct.pack("<4sI", b"LIST", len(text)) + text)
    assert read_description(path) == "far behind"


def test_long_texts_are_cut(tmp_path: Path, write_wav: Callable[..., Path]) -> None:
    chunk = (b"LIST", _info(b"ICMT", b"rain " * 10_000))
    text = read_description(write_wav(tmp_path / "a.wav", AUDIO, chunks=(chunk,)))
    assert len(text) == MAX_CHARACTERS


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    max_examples=300 * SCALE,
)
@given(
    st.sampled_from([b"RIFF", b"RF64", b"FORM"]),
    st.lists(
        st.tuples(
            st.sampled_from([b"bext", b"iXML", b"LIST", b"ds64", b"NAME", b"data"]),
            st.one_of(st.none(), st.integers(0, 2**32 - 1)),
            st.binary(max_size=60),
        ),
        max_size=6,
    ),
)
def test_no_damage_is_worse_than_no_description(
    tmp_path: Path, form: bytes, chunks: list[tuple[bytes, int | None, bytes]]
) -> None:
    order = ">" if form == b"FORM" else "<"
    body = b"".join(
        struct.pack(f"{order}4sI", name, len(text) if size is None else size) + text
        for name, size, text in chunks
    )
    path = tmp_path / "a.wav"
    path.write_bytes(form + bytes(4) + b"WAVE" + body)
    assert len(read_description(path)) <= MAX_CHARACTERS
