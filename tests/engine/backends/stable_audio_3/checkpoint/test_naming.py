"""Models as requests name them."""

from pathlib import Path

import pytest

from reapaint_engine.backends.stable_audio_3.checkpoint.naming import (
    AdapterName,
    ModelName,
    parse_model,
)
from reapaint_engine.errors import JobError


def test_a_name_a_folder_and_adapters() -> None:
    assert parse_model("medium") == ModelName("medium")
    assert parse_model("") == ModelName("auto")
    assert parse_model("small-sfx+rain=0.5+/files/vinyl.safetensors") == ModelName(
        "small-sfx", (AdapterName("rain", 0.5), AdapterName("/files/vinyl.safetensors", 1.0))
    )
    assert parse_model("+rain=-2").adapters == (AdapterName("rain", -2.0),)
    assert parse_model("models/mine").is_folder
    assert not parse_model("medium").is_folder


def test_a_folder_may_hold_a_plus_sign(tmp_path: Path) -> None:
    folder = tmp_path / "a+b=c"
    folder.mkdir()
    assert parse_model(str(folder)) == ModelName(str(folder))


@pytest.mark.parametrize(
    "text", ["medium+", "medium+=0.5", "medium+a=x", "medium+a=nan", "medium+a=99", "m" + "+a" * 9]
)
def test_what_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(JobError) as caught:
        parse_model(text)
    assert caught.value.code == "unknown_model"
    assert "NAME+ADAPTER=0.7" in caught.value.hint
