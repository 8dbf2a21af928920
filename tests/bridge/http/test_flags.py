"""What a gateway is told at its start, and why it may not start."""

from pathlib import Path

import pytest

from reapaint.commands.cli import main
from reapaint.errors import InputError
from reapaint.http.flags import split_flags

TOKEN = "a-token-of-the-tests-0123456789"


def test_the_engine_s_flags_are_passed_on() -> None:
    words = ["--backend", "context", "--http", "127.0.0.1:8787", "--model-idle=5", "--keep"]
    config, rest = split_flags(words)
    assert config is not None
    assert (config.host, config.port, config.token) == ("127.0.0.1", 8787, "")
    assert rest == ["--backend", "context", "--model-idle=5", "--keep"]
    assert split_flags(["--backend", "context"]) == (None, ["--backend", "context"])


def test_every_flag_has_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REAPAINT_HTTP", "[::1]:0")
    monkeypatch.setenv("REAPAINT_HTTP_TOKEN", TOKEN)
    monkeypatch.setenv("REAPAINT_HTTP_ALLOW", "NAS.local, 10.0.0.5:8080")
    monkeypatch.setenv("REAPAINT_HTTP_URL", "https://audio.example.com/")
    monkeypatch.setenv("REAPAINT_HTTP_MAX_SECONDS", "60")
    config, _ = split_flags([])
    assert config is not None
    assert (config.host, config.port, config.token) == ("::1", 0, TOKEN)
    assert config.allowed_hosts == {"nas.local", "10.0.0.5:8080"}
    assert config.public_url == "https://audio.example.com"
    assert config.limits.max_duration_s == 60


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "[::]", "studio.local"])
def test_beyond_loopback_a_token_is_needed(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="no token keeps strangers out"):
        split_flags(["--http", f"{host}:8787"])
    monkeypatch.setenv("REAPAINT_HTTP_TOKEN", TOKEN)
    config, _ = split_flags(["--http", f"{host}:8787"])
    assert config is not None
    assert not config.is_loopback


def test_a_token_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "token"
    words = ["--http", "0.0.0.0:8787", "--http-token-file", str(path)]
    with pytest.raises(InputError, match="can't be read"):
        split_flags(words)
    path.write_text(f"{TOKEN}\n")
    path.chmod(0o644)
    with pytest.raises(InputError, match="chmod 600"):
        split_flags(words)
    path.chmod(0o600)
    config, _ = split_flags(words)
    assert config is not None
    assert config.token == TOKEN
    assert TOKEN not in repr(config)


@pytest.mark.parametrize("token", ["short", "with\na line break in it", "f\u00fcnf und zwanzig"])
def test_a_token_is_a_secret(token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REAPAINT_HTTP_TOKEN", token)
    with pytest.raises(InputError, match="token"):
        split_flags(["--http", "127.0.0.1:0"])


@pytest.mark.parametrize(
    "words",
    [
        ["--http", "8787"],
        ["--http", "127.0.0.1"],
        ["--http", "127.0.0.1:99999"],
        ["--http", "http://127.0.0.1:80"],
        ["--http"],
        ["--http-allow", "nas.local"],
        ["--http", "127.0.0.1:0", "--http-cert", "nowhere.pem"],
        ["--http", "127.0.0.1:0", "--http-cert", "nowhere.pem", "--http-key", "nowhere.pem"],
        ["--http", "127.0.0.1:0", "--http-url", "ftp://example.com"],
        ["--http", "127.0.0.1:0", "--http-url", "https://example.com/?a=b"],
        ["--http", "127.0.0.1:0", "--http-keep", "0"],
        ["--http", "127.0.0.1:0", "--http-keep", "nan"],
        ["--http", "127.0.0.1:0", "--http-max-seconds", "inf"],
        ["--http", "127.0.0.1:0", "--http-quota-mib", "-1"],
        ["--http", "127.0.0.1:0", "--http-max-upload-mib", "many"],
    ],
)
def test_settings_that_are_none(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", *words]) == 2
    said = capsys.readouterr().err
    assert said.startswith("reapaint: ")
    assert "Traceback" not in said
