"""What an error shows of its path, and to whom."""

from pathlib import Path

import msgspec
import pytest

from reapaint_engine.protocol.errors import (
    THE_PATH,
    ErrorCode,
    ProtocolError,
    ReaPaintError,
    SettingError,
    reason_of,
)

ODD_NAMES = [
    "take 1.wav",
    'it\'s "one".wav',
    "ümläut 音.wav",
    "{path}.wav",
    "%s {0}.wav",
    "a\\n.wav",
]


@pytest.mark.parametrize("name", ODD_NAMES)
@pytest.mark.parametrize("folder", ["/srv/secret place", "/srv/it's {path}/ü", "C:\\x y"])
def test_strangers_read_the_name_alone(folder: str, name: str) -> None:
    path = Path(folder) / name
    error = ReaPaintError(
        ErrorCode.FILE_NOT_FOUND,
        f"{THE_PATH} is not there.",
        hint=f"Look at {THE_PATH}, and again at {THE_PATH}.",
        path=path,
    )
    assert str(error) == f"{path} is not there. Look at {path}, and again at {path}."
    shown = error.for_stranger()
    assert str(shown) == f"{name} is not there. Look at {name}, and again at {name}."
    assert (shown.path, shown.code) == ("", ErrorCode.FILE_NOT_FOUND)
    assert str(shown.for_stranger()) == str(shown)
    known = error.for_stranger("the recording")
    assert known.message == "The recording is not there."
    assert folder not in str(known)


def test_an_error_of_another_kind_keeps_its_path() -> None:
    error = ReaPaintError(ErrorCode.FILE_NOT_FOUND, f"No {THE_PATH}.", hint="Look.", path="/a/b")
    other = ProtocolError.of(error, code=ErrorCode.NO_MODEL, hint=f"Make {THE_PATH}.")
    assert (other.code, str(other)) == (ErrorCode.NO_MODEL, "No /a/b. Make /a/b.")
    assert str(other.for_stranger()) == "No b. Make b."
    assert str(ProtocolError.of(error)) == "No /a/b. Look."


def test_without_a_path_the_words_stay_as_they_are() -> None:
    error = ReaPaintError(ErrorCode.NO_MATCH, "Nothing fits '{path}'.")
    assert str(error) == str(error.for_stranger()) == "Nothing fits '{path}'."


def test_a_name_that_is_no_text_can_be_sent() -> None:
    error = ReaPaintError(ErrorCode.NO_MODEL, f"No {THE_PATH}.", path="/srv/\udcff.wav")
    assert msgspec.json.encode([error.message, error.path]) == b'["No /srv/?.wav.","/srv/?.wav"]'


def test_a_reason_names_no_folder() -> None:
    with pytest.raises(OSError, match="/nowhere") as caught:
        Path("/nowhere at all/file").read_bytes()
    assert reason_of(caught.value) == "No such file or directory"
    assert reason_of(OSError("it is odd.")) == "it is odd"
    assert reason_of(ValueError("bad")) == "bad"
    inner = ReaPaintError(ErrorCode.NO_MODEL, f"No {THE_PATH}.", path="/srv/x")
    assert reason_of(inner) == "No x"
    assert SettingError("Bad.", hint="Mend it.").path == ""
