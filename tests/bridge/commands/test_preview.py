"""Playing: with a stand-in for the sound card, and with what may be missing."""

import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from reapaint.commands import preview
from reapaint.errors import BridgeCode, InputError
from reapaint_engine.protocol.errors import ErrorCode


class FakeError(Exception):
    """What PortAudio raises."""


class FakeDevice:
    """As much of sounddevice as is used; a sound is over after a few looks at it."""

    PortAudioError = FakeError

    def __init__(self, *, channels: int = 2, looks: int = 3) -> None:
        self.channels = channels
        self.looks = looks
        self.played: list[tuple[np.ndarray, int]] = []
        self.stops = 0

    def query_devices(self, *, kind: str) -> dict[str, Any]:
        assert kind == "output"
        if self.channels < 0:
            raise FakeError("Error querying device -1")
        return {"name": "Loudspeakers", "max_output_channels": self.channels}

    def play(self, data: np.ndarray, *, samplerate: int, blocking: bool) -> None:
        assert not blocking
        if samplerate > 192_000:
            raise FakeError("Invalid sample rate")
        self.played.append((data, samplerate))

    def get_stream(self) -> SimpleNamespace:
        self.looks -= 1
        return SimpleNamespace(active=self.looks > 0)

    def sleep(self, milliseconds: int) -> None:
        assert milliseconds <= 100

    def stop(self) -> None:
        self.stops += 1


def install(monkeypatch: pytest.MonkeyPatch, device: FakeDevice) -> FakeDevice:
    monkeypatch.setitem(sys.modules, "sounddevice", device)
    return device


def sound(channels: int) -> np.ndarray:
    return np.full((channels, 441), 1.5, np.float32)


@pytest.mark.parametrize(("channels", "expected"), [(1, 1), (2, 2), (6, 2)])
def test_it_plays_to_the_end(monkeypatch: pytest.MonkeyPatch, channels: int, expected: int) -> None:
    device = install(monkeypatch, FakeDevice())
    preview.play(sound(channels), 44_100)
    ((data, rate),) = device.played
    assert (data.shape, rate, data.max()) == ((441, expected), 44_100, 1.0)
    assert device.stops == 1
    assert preview.find_output_device() == "Loudspeakers"


def test_an_interrupt_stops_the_sound(monkeypatch: pytest.MonkeyPatch) -> None:
    device = install(monkeypatch, FakeDevice(looks=1000))

    def interrupt(milliseconds: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(device, "sleep", interrupt)
    with pytest.raises(KeyboardInterrupt):
        preview.play(sound(1), 44_100)
    assert device.stops == 1


@pytest.mark.parametrize(("channels", "rate"), [(-1, 44_100), (0, 44_100), (2, 384_000)])
def test_no_device_is_a_sentence(monkeypatch: pytest.MonkeyPatch, channels: int, rate: int) -> None:
    install(monkeypatch, FakeDevice(channels=channels))
    with pytest.raises(InputError, match="No sound could be played") as caught:
        preview.play(sound(1), rate)
    assert caught.value.code == BridgeCode.NO_AUDIO_DEVICE


def test_a_device_that_hangs_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    device = install(monkeypatch, FakeDevice(looks=10**9))
    monkeypatch.setattr(preview, "GRACE_S", 0.0)
    with pytest.raises(InputError) as caught:
        preview.play(sound(1), 44_100)
    assert caught.value.code == BridgeCode.NO_AUDIO_DEVICE
    assert device.stops == 1


def test_without_the_package_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(InputError, match="sounddevice") as caught:
        preview.play(sound(1), 44_100)
    assert caught.value.code == ErrorCode.PACKAGE_MISSING
    assert "reapaint[preview]" in caught.value.hint


def test_without_portaudio_a_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A module that fails as sounddevice does where the library is missing."""
    folder = tmp_path_factory.mktemp("modules")
    (folder / "sounddevice.py").write_text("raise OSError('PortAudio library not found')\n")
    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    monkeypatch.syspath_prepend(str(folder))
    with pytest.raises(InputError, match="PortAudio") as caught:
        preview.play(sound(1), 44_100)
    assert caught.value.code == ErrorCode.PACKAGE_MISSING
