"""Audio as requests name it, and files that hold more than they seem to."""

import struct
import time
import tracemalloc
from pathlib import Path

import av
import numpy as np
import pytest

from reapaint.http.config import HttpLimits
from reapaint.http.errors import Refused
from reapaint.http.fetching import Network
from reapaint.http.intake import look_at, own_id, take_audio
from reapaint.http.store import Store
from tests.bridge.http.serving import as_data_uri, wav

FLAC_BLOCK = 65_535


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "http", 1 << 30, 64 << 20, 60.0)
    store.open()
    return store


def _kept(store: Store, data: bytes, name: str = "a.flac"):
    with store.receive(name) as incoming:
        incoming.write(data)
        return incoming.keep()


def _silent_flac(blocks: int, *, said_frames: int | None) -> bytes:
    """Return a file of silence: one encoded block over and over, numbered anew."""
    rate = 44_100
    frames = blocks * FLAC_BLOCK
    said = frames if said_frames is None else said_frames
    packed = rate << 44 | 1 << 41 | 15 << 36 | said
    info = struct.pack(">HH", FLAC_BLOCK, FLAC_BLOCK) + bytes(6) + packed.to_bytes(8, "big")
    head = b"fLaC" + bytes([0x80, 0, 0, 34]) + info + bytes(16)
    return head + b"".join(_silent_block(number) for number in range(blocks))


def _silent_block(number: int) -> bytes:
    """Return a frame of two constant channels (RFC 9639): 65,535 frames in 19 bytes."""
    # Sync; length in 16 bits and 44.1 kHz; stereo and 16 bits.
    header = bytes([0xFF, 0xF8, 0x79, 0x18]) + chr(number).encode()
    header += struct.pack(">H", FLAC_BLOCK - 1)
    header += bytes([_crc(header, 8, 0x07)])
    body = header + bytes(6)
    return body + _crc(body, 16, 0x8005).to_bytes(2, "big")


def _crc(data: bytes, bits: int, polynomial: int) -> int:
    value, top, mask = 0, 1 << (bits - 1), (1 << bits) - 1
    for byte in data:
        value ^= byte << (bits - 8)
        for _ in range(8):
            value = (value << 1 ^ polynomial) & mask if value & top else value << 1 & mask
    return value


@pytest.mark.parametrize("said_frames", [None, 0, 1000, 2**36 - 1])
def test_hours_of_silence_in_a_small_file_are_refused_at_once(
    store: Store, said_frames: int | None
) -> None:
    data = _silent_flac(3000, said_frames=said_frames)
    assert len(data) < 60_000
    limits = HttpLimits(max_duration_s=60.0)
    file = _kept(store, data)
    tracemalloc.start()
    began_s = time.monotonic()
    try:
        with pytest.raises(Refused, match="longer than"):
            look_at(file, limits)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert time.monotonic() - began_s < 5
    assert peak < 20 << 20


def test_the_silent_file_is_one_that_decoders_take(store: Store) -> None:
    """Else the test above would show nothing."""
    file = _kept(store, _silent_flac(30, said_frames=None))
    assert look_at(file, HttpLimits()).frames == 30 * FLAC_BLOCK


def test_a_wav_that_says_it_is_long_is_refused(store: Store) -> None:
    with pytest.raises(Refused, match="longer than"):
        look_at(_kept(store, wav(2.0)), HttpLimits(max_duration_s=1.0))
    with pytest.raises(Refused, match="when it is decoded"):
        look_at(_kept(store, wav(2.0)), HttpLimits(max_decoded_bytes=44_100))


@pytest.mark.parametrize("codec", ["libopus", "libmp3lame"])
def test_a_long_lossy_file_is_not_decoded_to_its_end(
    store: Store, tmp_path: Path, codec: str
) -> None:
    path = tmp_path / ("a.ogg" if codec == "libopus" else "a.mp3")
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=48_000, layout="mono")
        block = np.zeros((1, 48_000), np.float32)
        for second in range(120):
            frame = av.AudioFrame.from_ndarray(block, format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 48_000, second * 48_000
            for packet in stream.encode(frame):
                container.mux(packet)
        for packet in stream.encode(None):
            container.mux(packet)
    file = _kept(store, path.read_bytes())
    with pytest.raises(Refused, match="longer than"):
        look_at(file, HttpLimits(max_duration_s=60.0))
    with pytest.raises(Refused, match="too long to decode"):
        look_at(file, HttpLimits(decode_timeout_s=0.0))
    assert look_at(file, HttpLimits()).duration_s == pytest.approx(120, abs=0.2)


def test_a_data_uri_becomes_a_file(store: Store) -> None:
    data = wav(0.5)
    for uri in (
        as_data_uri(data),
        as_data_uri(data, "audio/x-wav;codecs=1"),
        "DATA:audio/wav;BASE64," + as_data_uri(data).partition(",")[2],
    ):
        file = take_audio(uri, store, Network(), HttpLimits())
        assert file.path.read_bytes() == data
    plain = take_audio("data:audio/wav,%00%01abc", store, Network(), HttpLimits())
    assert plain.path.read_bytes() == b"\0\1abc"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://127.0.0.1:1/files/{id}/audio.wav", True),
        ("https://audio.example/behind/files/{id}/audio.wav?x=1", True),
        ("http://127.0.0.1:1/files/{id}", True),
        ("http://127.0.0.1:1/files/{id}/a/b", False),
        ("http://127.0.0.1:1/file/{id}/audio.wav", False),
        ("http://127.0.0.1:1/?files/{id}/audio.wav", False),
        ("file:///files/{id}/audio.wav", False),
        ("http://[/files/{id}/audio.wav", False),
    ],
)
def test_own_addresses(url: str, expected: bool) -> None:
    file_id = "0123456789abcdef" * 2
    assert (own_id(url.format(id=file_id)) == file_id) is expected
