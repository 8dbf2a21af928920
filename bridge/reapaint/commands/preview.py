"""Playing a result, for those who installed the extra for it."""

import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from reapaint.errors import BridgeCode, InputError
from reapaint_engine.protocol.arrays import Audio
from reapaint_engine.protocol.errors import ErrorCode, package_missing

POLL_S = 0.05
"""How long Ctrl-C may wait for an answer."""

GRACE_S = 5.0
"""How much longer than the sound playing may take, before the device counts as stuck."""


def find_output_device() -> str:
    """Return the name of the device that sound would play on.

    Raises
    ------
    InputError
        ``package_missing`` or ``no_audio_device``.
    """
    return str(_find_output(_load())["name"])


def play(audio: Audio, sample_rate: int) -> None:
    """Play audio to its end on the system's output; Ctrl-C ends it at once.

    Parameters
    ----------
    audio
        Shape (channels, frames), float32; more channels than the device has are mixed to
        two.
    sample_rate
        Hz.

    Raises
    ------
    InputError
        ``package_missing`` or ``no_audio_device``.
    """
    sounddevice = _load()
    try:
        channels = int(_find_output(sounddevice)["max_output_channels"])
        sounddevice.play(_fitted(audio, channels), samplerate=sample_rate, blocking=False)
    except (sounddevice.PortAudioError, ValueError) as error:
        raise _no_device(str(error)) from error
    try:
        _wait(sounddevice, audio.shape[1] / sample_rate + GRACE_S)
    finally:
        sounddevice.stop()


def _load() -> Any:  # an optional package without types
    try:
        import sounddevice
    except ImportError as error:
        raise InputError.of(
            package_missing("Playing", "sounddevice", "'reapaint[preview]'")
        ) from error
    except OSError as error:
        raise InputError(
            ErrorCode.PACKAGE_MISSING,
            "Playing needs the PortAudio library, which was not found.",
            hint="Install it with the system's package manager, as libportaudio2 or portaudio.",
        ) from error
    return sounddevice


def _find_output(sounddevice: Any) -> Mapping[str, Any]:
    try:
        device: Mapping[str, Any] = sounddevice.query_devices(kind="output")
    except (sounddevice.PortAudioError, ValueError) as error:
        raise _no_device(str(error)) from error
    return device


def _fitted(audio: Audio, channels: int) -> Audio:
    """Return frames the device can play, within full scale."""
    if channels < 1:
        raise _no_device("it has no output channels")
    if audio.shape[0] > channels:
        mixed = audio.mean(axis=0, keepdims=True)
        audio = np.repeat(mixed, min(channels, 2), axis=0)
    return np.ascontiguousarray(np.clip(audio, -1.0, 1.0).T, dtype=np.float32)


def _wait(sounddevice: Any, limit_s: float) -> None:
    """Wait for the end of the sound in short steps: one long wait would hold Ctrl-C up."""
    deadline = time.monotonic() + limit_s
    while sounddevice.get_stream().active:
        if time.monotonic() > deadline:
            raise _no_device("it does not take the sound")
        sounddevice.sleep(int(1000 * POLL_S))


def _no_device(reason: str) -> InputError:
    return InputError(
        BridgeCode.NO_AUDIO_DEVICE,
        f"No sound could be played: {reason.rstrip('.')}.",
        hint="Connect or choose an output device, or open the result in a player.",
    )
