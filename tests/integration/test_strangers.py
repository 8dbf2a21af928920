"""Files of other people's, named as modules of Python's or once of ours, are no part of this."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.script_side import ROOT, ScriptSide, wait_until

RIVER = ROOT / "bridge" / "reapaint" / "recordings" / "river.flac"
STRANGER = "raise SystemExit('somebody else ran')\n"


@pytest.fixture
def strangers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a home and working folder with strangers in it, which is on PYTHONPATH too."""
    home = tmp_path / "home"
    home.mkdir()
    for name in ("engine", "bridge"):
        (home / f"{name}.py").write_text(STRANGER)
    for name in ("engine", "bridge"):
        package = home / "packages" / name
        package.mkdir(parents=True)
        (package / "__init__.py").write_text(STRANGER)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(home), str(home / "packages"))))
    monkeypatch.chdir(home)
    return home


def _children_meet(home: Path) -> None:
    """Put into the strangers' folder what the caller itself could not live with."""
    for name in ("queue", "random", "json", "numpy"):
        (home / f"{name}.py").write_text(STRANGER)


def _run(*words: str) -> dict[str, object]:
    """Run the installed program; what a shell's PYTHONPATH does to Python itself is not ours."""
    program = Path(sys.executable).with_name("reapaint")
    done = subprocess.run(
        [program, *words, "--json"],
        env={**os.environ, "PYTHONPATH": str(Path.home() / "packages")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    answer: dict[str, object] = json.loads(done.stdout)
    return answer


@pytest.mark.parametrize("how", [(), ("--in-process",)], ids=["engine", "in-process"])
def test_a_file_is_repainted_among_strangers(strangers: Path, how: tuple[str, ...]) -> None:
    _children_meet(strangers)
    shutil.copy(RIVER, strangers / "in.flac")
    try:
        answer = _run("inpaint", "in.flac", "out.wav", "--start", "6", "--end", "6.2", *how)
    finally:
        if not how:
            _run("stop")
    assert answer["ok"]
    assert (strangers / "out.wav").exists()


def test_a_script_imports_ours_beside_strangers(strangers: Path) -> None:
    script = strangers / "script.py"
    script.write_text(
        "import json, numpy, queue, random, reapaint, reapaint_engine\n"
        "from reapaint.link.launcher import find_or_start\n"
        "from reapaint.link.client import EngineClient\n"
        "from reapaint.link.in_process import InProcessEngine\n"
        "import pathlib\n"
        "for name in ('queue', 'random', 'json', 'numpy'):\n"
        f"    pathlib.Path(__file__).with_name(name + '.py').write_text({STRANGER!r})\n"
        "with EngineClient(find_or_start(None)) as client:\n"
        "    print(client.welcome.default_backend)\n"
        "    client.stop_engine()\n"
        "InProcessEngine('context').close()\n"
    )
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout == "context\n", done.stderr


def test_the_bridge_and_its_engine_start_among_strangers(strangers: Path, tmp_path: Path) -> None:
    """By the words that ``reaper install`` writes, from a shell whose PYTHONPATH is strange."""
    resources = tmp_path / "REAPER"
    resources.mkdir()
    (resources / "reaper.ini").touch()
    _children_meet(strangers)
    _run("reaper", "install", "--resource-path", str(resources))
    launch = json.loads((resources / "ReaPaint" / "launch.json").read_text())
    process = subprocess.Popen(
        [launch["python"], *launch["arguments"]],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    scripts = ScriptSide(resources, tmp_path)
    try:
        wait_until(lambda: scripts.heartbeat() or process.poll() is not None, "a heartbeat")
        assert process.poll() is None, process.stderr.read() if process.stderr else ""
        scripts.write_control("start_engine")
        wait_until(lambda: _engine_state(scripts) == "ready", "the engine")
        scripts.write_control("stop_engine")
        wait_until(lambda: _engine_state(scripts) != "ready", "its end")
        scripts.write_control("stop_bridge")
        assert process.wait(timeout=20) == 0
    finally:
        process.kill()
        process.communicate()


def _engine_state(scripts: ScriptSide) -> str:
    beat = scripts.heartbeat()
    return str(beat["engine"]["state"]) if beat else ""
