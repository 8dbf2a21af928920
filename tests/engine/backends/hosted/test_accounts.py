"""Keys: where they are looked for, and where they never turn up."""

import os
from pathlib import Path

import pytest

from reapaint_engine.backends.hosted.accounts import Account, Secret, load_account
from reapaint_engine.backends.hosted.errors import HostedError
from reapaint_engine.backends.hosted.fal import LOGIN as FAL
from reapaint_engine.backends.hosted.registry import make_hosted_backends
from reapaint_engine.backends.hosted.wavespeed import LOGIN
from reapaint_engine.protocol.folders import config_folder

KEY = "ws-0123456789"


def _write(text: str, mode: int = 0o600) -> Path:
    path = config_folder() / "hosted.toml"
    path.write_text(text)
    path.chmod(mode)
    return path


def _refused() -> HostedError:
    with pytest.raises(HostedError) as caught:
        load_account(LOGIN)
    assert KEY not in str(caught.value)
    return caught.value


def test_the_variable_comes_before_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    _write(f'[wavespeed]\nkey = "{KEY}"\n')
    assert load_account(LOGIN).key.reveal() == KEY
    monkeypatch.setenv("WAVESPEED_API_KEY", "another")
    assert load_account(LOGIN).key.reveal() == "another"


def test_without_a_key_the_sentence_names_the_variable() -> None:
    error = _refused()
    assert error.code == "no_key"
    assert "WAVESPEED_API_KEY" in error.hint


@pytest.mark.skipif(os.name != "posix", reason="modes are a matter of POSIX")
@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604])
def test_a_file_that_others_can_read_is_refused(mode: int) -> None:
    path = _write(f'[wavespeed]\nkey = "{KEY}"\n', mode)
    error = _refused()
    assert error.code == "not_authorised"
    assert f"chmod 600 {path}" in error.hint


@pytest.mark.parametrize("text", [f"[wavespeed]\nkey = {KEY}\n", "\x00\xff", "[wavespeed"])
def test_a_damaged_file_is_refused_without_quoting_it(text: str) -> None:
    _write(text)
    assert _refused().code == "invalid_field"


@pytest.mark.parametrize("key", ["with space", "line\nbreak", "ünicode", "x" * 600])
def test_what_can_not_be_a_key_is_refused(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    monkeypatch.setenv("WAVESPEED_API_KEY", key)
    error = _refused()
    assert error.code == "no_key"
    assert key not in str(error)


@pytest.mark.parametrize(
    "url", ["http://example.com", "ftp://127.0.0.2.example.com", "http://10.0.0.1"]
)
def test_keys_travel_encrypted_or_not_at_all(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("WAVESPEED_API_KEY", KEY)
    monkeypatch.setenv("REAPAINT_WAVESPEED_URL", url)
    assert _refused().code == "invalid_field"


def test_only_the_services_own_addresses_see_the_key() -> None:
    account = Account(FAL, Secret(KEY), FAL.origins)
    assert account.is_ours("https://queue.fal.run/fal-ai/x")
    assert account.is_ours("https://REST.fal.ai:443/storage")
    for url in (
        "https://queue.fal.run.example.com/",
        "http://queue.fal.run/",
        "https://queue.fal.run:444/",
        "https://queue.fal.run@example.com/",
        "https://v3.fal.media/files/x.wav",
    ):
        assert not account.is_ours(url)
    assert not account.is_fit("http://127.0.0.1/x")
    assert not account.is_fit("file:///etc/passwd")


def test_nothing_prints_a_key() -> None:
    account = Account(LOGIN, Secret(KEY), LOGIN.origins)
    assert KEY not in f"{account} {account!r} {account.key}"


def test_backends_say_prices_and_missing_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    infos = {backend.info.name: backend.info for backend in make_hosted_backends()}
    assert list(infos) == ["wavespeed", "eachlabs", "fal", "stability"]
    assert all("$0." in info.description for info in infos.values())
    assert "needs your key in FAL_KEY" in infos["fal"].description
    monkeypatch.setenv("FAL_KEY", KEY)
    fal = make_hosted_backends()[2].info
    assert "FAL_KEY" not in fal.description
    assert KEY not in repr(fal)
