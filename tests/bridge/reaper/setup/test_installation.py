"""Scripts into REAPER and out again: what was written, no more and no less."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from reapaint.commands.cli import main
from reapaint.commands.service import bridge_log_path
from reapaint.errors import BridgeError, InputError
from reapaint.findings import Verdict
from reapaint.reaper.messages import EnginePhase, EngineState, Heartbeat, Launch, write
from reapaint.reaper.setup import folders, installation
from reapaint.reaper.setup.checks import check_folder, find_reaper
from reapaint.reaper.setup.installation import DATA_FOLDER, LAUNCH, MANIFEST, SCRIPTS_FOLDER, SPOOL
from reapaint.reaper.spool import Spool
from reapaint_engine.protocol.version import __version__
from tests.integration.script_side import ROOT, ScriptSide, wait_until

A = "a" * 32
PROGRAM = ("-E", "-P", "-m", "reapaint")


@pytest.fixture
def resources(tmp_path: Path) -> Path:
    """Return a resource folder with things of a user's in it, on a path that needs quoting."""
    folder = tmp_path / "Réaper 7 'x'"
    (folder / "Scripts" / "mine").mkdir(parents=True)
    (folder / "reaper.ini").write_text("[REAPER]\n")
    (folder / "Scripts" / "mine" / "own.lua").write_text("-- mine")
    return folder


@pytest.fixture
def scripts_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    source = tmp_path / "package" / "reaper_scripts"
    (source / "reapaint").mkdir(parents=True)
    (source / "ReaPaint_Inpaint time selection.lua").write_text("-- action")
    (source / "reapaint" / "splice.lua").write_text("-- code")
    (source / "stylua.toml").write_text("")
    monkeypatch.setattr(installation, "scripts_source", lambda: source)
    return source


@pytest.fixture
def launch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the trial of Python, which starts processes."""
    monkeypatch.setattr(
        installation,
        "make_launch",
        lambda folder: Launch(sys.executable, (*PROGRAM, "bridge", "--spool", str(folder))),
    )


def _tree(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.usefixtures("scripts_source", "launch")
def test_what_is_installed_is_removed_and_all_else_stays(resources: Path) -> None:
    before = _tree(resources)
    done = installation.install(resources)
    tree = _tree(resources)
    action = "Scripts/ReaPaint/ReaPaint_Inpaint time selection.lua"
    assert tree[action] == b"-- action"
    assert tree["Scripts/ReaPaint/reapaint/splice.lua"] == b"-- code"
    assert not any("stylua" in name for name in tree)
    assert before.items() <= tree.items()
    assert {path.as_posix() for path in done.written} | {MANIFEST.as_posix()} == (
        tree.keys() - before.keys()
    )
    gone = installation.uninstall(resources, force=False)
    assert gone.kept == ()
    assert _tree(resources) == before
    assert not (resources / SCRIPTS_FOLDER).exists()
    assert not (resources / DATA_FOLDER).exists()


@pytest.mark.usefixtures("launch")
def test_an_update_removes_what_is_no_more_and_keeps_a_users_work(
    resources: Path, scripts_source: Path
) -> None:
    installation.install(resources)
    installed = resources / SCRIPTS_FOLDER
    (installed / "reapaint" / "splice.lua").write_text("-- code, changed by me")
    (scripts_source / "ReaPaint_Inpaint time selection.lua").unlink()
    (scripts_source / "ReaPaint_New action.lua").write_text("-- new")
    for turn in (1, 2):
        (scripts_source / "reapaint" / "splice.lua").write_text(f"-- code {turn}")
        done = installation.install(resources)
        names = [path.name for path in done.kept]
        assert names == (["splice.lua.yours"] if turn == 1 else [])
    assert (installed / "reapaint" / "splice.lua.yours").read_text() == "-- code, changed by me"
    assert (installed / "reapaint" / "splice.lua").read_text() == "-- code 2"
    assert not (installed / "ReaPaint_Inpaint time selection.lua").exists()
    assert (installed / "ReaPaint_New action.lua").exists()
    gone = installation.uninstall(resources, force=False)
    assert _tree(installed) == {"reapaint/splice.lua.yours": b"-- code, changed by me"}
    assert [(each.path.name, each.reason) for each in gone.kept] == [
        ("splice.lua.yours", "it is not ReaPaint's")
    ]


@pytest.mark.usefixtures("scripts_source", "launch")
@pytest.mark.parametrize("force", [False, True])
def test_a_changed_script_stays_unless_forced(resources: Path, force: bool) -> None:
    installation.install(resources)
    changed = resources / SCRIPTS_FOLDER / "reapaint" / "splice.lua"
    changed.write_text("-- mine now")
    gone = installation.uninstall(resources, force=force)
    assert changed.exists() is not force
    assert [each.path.name for each in gone.kept] == ([] if force else ["splice.lua"])
    assert all("--force" in each.reason for each in gone.kept)


@pytest.mark.usefixtures("scripts_source", "launch")
def test_results_that_wait_are_not_removed(resources: Path, tmp_path: Path) -> None:
    installation.install(resources)
    scripts = ScriptSide(resources, tmp_path)
    waits, over = (scripts.send(scripts.request(tmp_path / "a.wav", (1, 2))) for _ in range(2))
    for job_id in (waits, over):
        (scripts.folder(job_id) / "result.json").write_text('{"protocol": "1.0", "ok": true}')
    scripts.touch(over, "applied")
    gone = installation.uninstall(resources, force=True)
    assert [each.path for each in gone.kept] == [SPOOL]
    assert (scripts.folder(waits) / "result.json").exists()
    assert not scripts.folder(over).exists()


@pytest.mark.usefixtures("scripts_source", "launch")
@pytest.mark.parametrize("force", [False, True])
def test_what_the_self_test_made_is_removed_and_no_result_is(resources: Path, force: bool) -> None:
    before = _tree(resources)
    installation.install(resources)
    data = resources / DATA_FOLDER
    made = [
        "self-test level.wav",
        "self-test level.wav.reapeaks",
        "self-test Möwe 音 «1».txt.tmp",
        "spool/self-test project.rpp-bak",
        "self-test.txt",
    ]
    lives = "spool/reaper-{8F3A1C52-0B7E-4D19-9A64-5E2C7D1B0F38}.json"
    for name in (*made, lives, "rescued/Möwen - Regen - 7.wav", "my self-test.rpp"):
        (data / name).parent.mkdir(exist_ok=True)
        (data / name).write_bytes(b"x")
    gone = installation.uninstall(resources, force=force)
    removed = {
        path.relative_to(DATA_FOLDER).as_posix()
        for path in gone.removed
        if DATA_FOLDER in path.parents
    }
    assert set(made) <= removed
    assert _tree(resources).keys() - before.keys() == {
        "ReaPaint/rescued/Möwen - Regen - 7.wav",
        "ReaPaint/my self-test.rpp",
    }
    reasons = {each.path: each.reason for each in gone.kept}
    assert "results" in reasons[DATA_FOLDER / "rescued"]
    assert reasons[DATA_FOLDER / "my self-test.rpp"] == "it is not ReaPaint's"


def test_removing_what_is_not_there_is_said(resources: Path) -> None:
    with pytest.raises(InputError) as caught:
        installation.uninstall(resources, force=False)
    assert caught.value.code == "not_installed"


@pytest.mark.usefixtures("scripts_source", "launch")
def test_a_manifest_cant_make_uninstall_leave_its_folder(resources: Path) -> None:
    installation.install(resources)
    outside = resources.parent / "precious.txt"
    outside.write_text("x")
    manifest = json.loads((resources / MANIFEST).read_text())
    digest = hashlib.sha256(b"x").hexdigest()
    manifest["files"] += [
        {"path": "../precious.txt", "sha256": digest},
        {"path": str(outside), "sha256": digest},
    ]
    (resources / MANIFEST).write_text(json.dumps(manifest))
    installation.uninstall(resources, force=True)
    assert outside.exists()


@pytest.mark.usefixtures("scripts_source", "launch")
def test_a_running_bridge_is_asked_to_end(resources: Path) -> None:
    spool = Spool(resources / SPOOL)
    spool.make()
    installation.install(resources)
    assert spool.take_controls() == []
    with spool.lock():
        installation.install(resources)
    assert spool.take_controls() == ["stop_bridge"]


@pytest.mark.usefixtures("scripts_source", "launch")
def test_a_folder_that_cant_be_written_is_said(
    resources: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, data: bytes) -> int:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "write_bytes", refuse)
    with pytest.raises(BridgeError) as caught:
        installation.install(resources)
    assert caught.value.code == "output_not_writable"
    assert caught.value.hint


def test_the_bridge_starts_as_the_scripts_start_it(resources: Path) -> None:
    """launch.json's very words, from another folder and without a shell's settings."""
    launch = installation.make_launch(resources)
    environment = {name: value for name, value in os.environ.items() if "PYTHON" not in name}
    process = subprocess.Popen(
        [launch.python, *launch.arguments],
        cwd=resources,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    spool = Spool(resources / SPOOL)
    try:
        beat = wait_until(
            lambda: spool.read_heartbeat() or process.poll() is not None, "a heartbeat"
        )
        assert isinstance(beat, Heartbeat), process.stderr.read() if process.stderr else ""
        (resources / DATA_FOLDER / "installed.json").write_text('{"version": "1"}')
        gone = installation.uninstall(resources, force=False)
        assert process.wait(timeout=20) == 0
        assert SPOOL not in [each.path for each in gone.kept]
        assert not spool.root.exists()
    finally:
        process.kill()
        process.communicate()


def test_the_package_brings_its_scripts() -> None:
    source = installation.scripts_source()
    assert source.name == "reaper_scripts"
    assert (source / "reapaint" / "spool.lua").exists()


# Finding REAPER


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setattr(Path, "home", lambda: home)
    for name in ("XDG_CONFIG_HOME", "APPDATA", "ProgramFiles", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    return home


def _reaper_at(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "reaper.ini").write_text("")
    return folder


@pytest.mark.parametrize(
    ("platform", "place"),
    [
        ("linux", ".config/REAPER"),
        ("linux", ".var/app/fm.reaper.Reaper/config/REAPER"),
        ("linux", "opt/REAPER"),
        ("darwin", "Library/Application Support/REAPER"),
        ("darwin", "Applications/REAPER"),
        ("win32", "AppData/Roaming/REAPER"),
        ("win32", "Documents/REAPER"),
    ],
)
def test_reaper_is_found_on_every_system(
    home: Path, monkeypatch: pytest.MonkeyPatch, platform: str, place: str
) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    with pytest.raises(InputError) as caught:
        folders.find_resource_folder(None)
    assert caught.value.code == "reaper_not_found"
    folder = _reaper_at(home / place)
    assert folders.find_resource_folder(None) == folder


def test_settings_of_the_system_are_followed(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for platform, variable in (("linux", "XDG_CONFIG_HOME"), ("win32", "APPDATA")):
        monkeypatch.setattr(sys, "platform", platform)
        monkeypatch.setenv(variable, str(tmp_path / variable))
        folder = _reaper_at(tmp_path / variable / "REAPER")
        assert folders.resource_folders() == [folder]


def test_several_reapers_are_listed(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    there = [_reaper_at(home / ".config" / "REAPER"), _reaper_at(home / "opt" / "REAPER")]
    with pytest.raises(InputError) as caught:
        folders.find_resource_folder(None)
    assert caught.value.code == "several_reapers"
    assert all(str(folder) in caught.value.message for folder in there)
    assert folders.find_resource_folder(there[1]) == there[1]


def test_a_named_folder_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        folders.find_resource_folder(tmp_path / "nowhere")
    assert caught.value.code == "file_not_found"


# From the command line


@pytest.mark.usefixtures("scripts_source", "launch")
def test_the_command_line_installs_and_removes(
    resources: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ["--resource-path", str(resources), "--json"]
    assert main(["reaper", "install", *where]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["ok"]
    assert answer["scripts"] == str(resources / SCRIPTS_FOLDER)
    assert json.loads((resources / LAUNCH).read_text())["protocol"] == "1.0"
    assert main(["reaper", "uninstall", *where]) == 0
    assert json.loads(capsys.readouterr().out)["kept"] == []
    assert main(["reaper", "install", *where]) == 0
    script = resources / SCRIPTS_FOLDER / "reapaint" / "splice.lua"
    script.write_text("-- mine now")
    assert main(["reaper", "uninstall", *where[:-1]]) == 0
    said = capsys.readouterr()
    assert f"{script} stays: it was changed" in said.err
    assert "Your results stay" in said.out
    assert main(["reaper", "uninstall", *where]) == 2
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "not_installed"
    assert main(["reaper", "install", "--resource-path", str(resources)]) == 0
    assert "ReaPaint_Set up.lua" in capsys.readouterr().out


def test_a_bridge_without_a_reaper_says_so(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bridge", "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "reaper_not_found"


# The doctor


def _verdicts(resources: Path) -> dict[str, Verdict]:
    return {finding.name: finding.verdict for finding in check_folder(resources)}


@pytest.mark.usefixtures("scripts_source", "launch")
def test_the_doctor_sees_what_is_wrong_and_says_what_to_do(resources: Path) -> None:
    assert _verdicts(resources)["reaper scripts"] is Verdict.NOTE
    installation.install(resources)
    assert set(_verdicts(resources).values()) == {Verdict.GOOD}
    script = resources / SCRIPTS_FOLDER / "reapaint" / "splice.lua"
    script.write_text("-- changed")
    assert _verdicts(resources)["reaper scripts"] is Verdict.NOTE
    script.unlink()
    assert _verdicts(resources)["reaper scripts"] is Verdict.WRONG
    installation.install(resources)
    launch = resources / LAUNCH
    launch.write_text(launch.read_text().replace(sys.executable, "/gone/python"))
    assert _verdicts(resources)["reaper's python"] is Verdict.WRONG
    launch.write_text("{")
    assert _verdicts(resources)["reaper's python"] is Verdict.WRONG
    manifest = resources / MANIFEST
    manifest.write_text(manifest.read_text().replace('"version":"', '"version":"0.'))
    assert _verdicts(resources)["reaper scripts"] is Verdict.WRONG
    for finding in check_folder(resources):
        assert finding.verdict is Verdict.GOOD or finding.advice


@pytest.mark.usefixtures("scripts_source", "launch")
def test_who_installed_the_version_before_is_told_to_install_again(resources: Path) -> None:
    installation.install(resources)
    launch = resources / LAUNCH
    before = Launch(sys.executable, ("-m", "bridge", "bridge", "--spool", str(resources / SPOOL)))
    launch.write_bytes(write(before))
    manifest = resources / MANIFEST
    manifest.write_text(manifest.read_text().replace(__version__, "0.1.0"))
    found = {finding.name: finding for finding in check_folder(resources)}
    for name in ("reaper scripts", "reaper's python"):
        assert found[name].verdict is Verdict.WRONG
        assert "`reapaint reaper install`" in found[name].advice
    installation.install(resources)
    assert set(_verdicts(resources).values()) == {Verdict.GOOD}


@pytest.mark.usefixtures("scripts_source", "launch")
def test_the_doctor_runs_what_reaper_would_run(
    resources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installation.install(resources)
    for said, verdict in (("reapaint 0.0.1", Verdict.NOTE), ("", Verdict.WRONG)):
        program = tmp_path / "program"
        program.write_text(
            f"#!/bin/sh\n[ '{said}' ] && [ \"$*\" = 'bridge --try' ] && echo '{said}'\n"
        )
        program.chmod(0o755)
        arguments = ("bridge", "--spool", str(resources / SPOOL))
        (resources / LAUNCH).write_bytes(write(Launch(str(program), arguments)))
        assert _verdicts(resources)["reaper's python"] is verdict


@pytest.mark.usefixtures("scripts_source", "launch")
def test_the_doctor_sees_the_bridge(resources: Path) -> None:
    installation.install(resources)
    spool = Spool(resources / SPOOL)
    spool.make()
    with spool.lock():
        assert "starting" in check_folder(resources)[-1].text
        spool.write_heartbeat(Heartbeat(7, 1, EngineState(EnginePhase.READY)))
        assert "pid 7" in check_folder(resources)[-1].text
        spool.write_heartbeat(Heartbeat(7, 2, EngineState(EnginePhase.UNREACHABLE, "No room.")))
        finding = check_folder(resources)[-1]
        assert (finding.verdict, finding.advice) == (Verdict.NOTE, "No room.")
        spool.write_heartbeat(Heartbeat(7, 3, EngineState(EnginePhase.READY), version="0.0.1"))
        assert check_folder(resources)[-1].verdict is Verdict.NOTE


def test_the_doctor_does_without_reaper(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    (finding,) = find_reaper()
    assert finding.verdict is Verdict.NOTE
    _reaper_at(home / ".config" / "REAPER")
    assert [each.name for each in find_reaper()] == ["reaper", "reaper scripts"]


@pytest.mark.usefixtures("home")
def test_the_doctor_looks_at_a_named_folder(
    resources: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["doctor", "--json", "--resource-path", str(resources)])
    findings = json.loads(capsys.readouterr().out)["findings"]
    assert str(resources) in [each["text"] for each in findings]


@pytest.mark.usefixtures("home")
def test_the_doctor_names_the_logs(capsys: pytest.CaptureFixture[str]) -> None:
    bridge_log_path().touch()
    main(["doctor", "--json"])
    found = {each["name"]: each["text"] for each in json.loads(capsys.readouterr().out)["findings"]}
    assert found["bridge log"] == str(bridge_log_path())


def test_the_doctors_checks_load_without_the_client() -> None:
    code = "import sys, reapaint.commands.reaper; print('zmq' in sys.modules, 'av' in sys.modules)"
    answer = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert answer.stdout.split() == ["False", "False"]
