"""``reapaint doctor``: is everything where it should be, and if not, what to do."""

import importlib.util
import os
import socket
import sys
from collections.abc import Callable
from dataclasses import asdict
from importlib import metadata
from pathlib import Path

from reapaint.commands.terminal import Terminal
from reapaint.findings import Finding, Verdict
from reapaint.link.client import EngineClient
from reapaint.link.launcher import engine_log_path, find_address
from reapaint.reaper.setup.checks import find_reaper
from reapaint_engine.protocol import discovery, keys
from reapaint_engine.protocol.errors import ReaPaintError
from reapaint_engine.protocol.folders import config_folder, log_folder, runtime_folder
from reapaint_engine.protocol.interpreter import NEEDED_PACKAGES, module_command
from reapaint_engine.protocol.trials import run_trial
from reapaint_engine.protocol.version import __version__

OLDEST_PYTHON = (3, 11)
EXIT_SOMETHING_WRONG = 1


def run(terminal: Terminal, resource_path: Path | None) -> int:
    """Make every check, show what was found, and return 1 if something is wrong.

    Parameters
    ----------
    resource_path
        REAPER's resource folder, where it is none of those that are found.
    """
    findings = [*(_guarded(check) for check in CHECKS), *find_reaper(resource_path)]
    rows = [
        (finding.verdict.value, finding.name, f"{finding.text} {finding.advice}".strip())
        for finding in findings
    ]
    terminal.table(f"ReaPaint {__version__}", ("", "what", "found"), rows)
    is_well = all(finding.verdict is not Verdict.WRONG for finding in findings)
    terminal.say("ReaPaint can work here." if is_well else "Something is wrong; see above.")
    terminal.result({"ok": is_well, "findings": [asdict(finding) for finding in findings]})
    return 0 if is_well else EXIT_SOMETHING_WRONG


def _guarded(check: Callable[[], Finding]) -> Finding:
    try:
        return check()
    except (OSError, ReaPaintError) as error:
        name = check.__name__.removeprefix("_check_").replace("_", " ")
        return Finding(name, Verdict.WRONG, str(error))


def _check_python() -> Finding:
    found = f"{sys.version.split()[0]} at {sys.executable}"
    if sys.version_info >= OLDEST_PYTHON:
        return Finding("python", Verdict.GOOD, found)
    return Finding("python", Verdict.WRONG, found, "Install Python 3.11 or newer.")


def _check_packages() -> Finding:
    missing = [name for name in NEEDED_PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        return Finding(
            "packages",
            Verdict.WRONG,
            f"missing: {', '.join(missing)}.",
            "Run `pip install reapaint` again.",
        )
    return Finding("packages", Verdict.GOOD, f"all {len(NEEDED_PACKAGES)} are installed")


def _check_folders() -> Finding:
    folders = (runtime_folder(), config_folder(), log_folder())
    for folder in folders:
        if not os.access(folder, os.W_OK):
            return Finding(
                "folders", Verdict.WRONG, f"{folder} can't be written.", "Change its permissions."
            )
    return Finding("folders", Verdict.GOOD, ", ".join(str(folder) for folder in folders))


def _check_loopback() -> Finding:
    try:
        with socket.create_server(("127.0.0.1", 0)) as server:
            address = server.getsockname()
            with socket.create_connection(address, timeout=2):
                return Finding("loopback", Verdict.GOOD, "connections on this machine work")
    except OSError as error:
        return Finding(
            "loopback",
            Verdict.NOTE,
            f"connections on this machine fail: {error}.",
            "Allow them in the firewall, or use `reapaint inpaint --in-process`.",
        )


def _check_engine_program() -> Finding:
    """Run the very command by which an engine is started, up to what it would do."""
    command = module_command("reapaint_engine", "serve")
    trial = run_trial(command)
    if trial.said:
        return Finding("engine program", Verdict.GOOD, " ".join(command[:-1]))
    advice = "Install ReaPaint again from where it came."
    return Finding("engine program", Verdict.WRONG, f"does not start: {trial.complaint}.", advice)


def _check_engine() -> Finding:
    if discovery.find_engine() is None:
        return Finding("engine", Verdict.GOOD, "none runs; `reapaint inpaint` starts one")
    try:
        with EngineClient(find_address(None)) as client:
            welcome = client.welcome
    except ReaPaintError as error:
        return Finding("engine", Verdict.WRONG, str(error), "End it with `reapaint stop`.")
    text = f"version {welcome.version} runs, pid {welcome.pid}, backend {welcome.default_backend}"
    if welcome.version != __version__:
        return Finding(
            "engine",
            Verdict.NOTE,
            f"{text}; this is {__version__}.",
            "End the other one with `reapaint stop`.",
        )
    return Finding("engine", Verdict.GOOD, text)


def _check_engine_log() -> Finding:
    return _find_log("engine log", engine_log_path())


def _check_bridge_log() -> Finding:
    from reapaint.commands.service import bridge_log_path

    return _find_log("bridge log", bridge_log_path())


def _find_log(name: str, path: Path) -> Finding:
    return Finding(name, Verdict.GOOD, str(path) if path.exists() else "none yet")


def _check_keys() -> Finding:
    has_own = keys.public_key_path().exists()
    clients, engines = len(keys.trusted_clients()), len(keys.trusted_engines())
    own = "this machine has a key" if has_own else "none; only engines on other machines need one"
    return Finding("keys", Verdict.GOOD, f"{own}; {clients} clients and {engines} engines trusted")


def _check_preview() -> Finding:
    if importlib.util.find_spec("sounddevice") is None:
        return Finding(
            "preview",
            Verdict.NOTE,
            "--play needs sounddevice.",
            "Install it with `pip install 'reapaint[preview]'`.",
        )
    from reapaint.commands.preview import find_output_device

    try:
        return Finding("preview", Verdict.GOOD, f"plays on {find_output_device()}")
    except ReaPaintError as error:
        return Finding("preview", Verdict.NOTE, str(error))


def _check_torch() -> Finding:
    version = _version_of("torch")
    if version:
        return Finding("torch", Verdict.GOOD, version)
    return Finding("torch", Verdict.GOOD, "not installed; the context backend needs none")


def _version_of(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


CHECKS: tuple[Callable[[], Finding], ...] = (
    _check_python,
    _check_packages,
    _check_folders,
    _check_loopback,
    _check_engine_program,
    _check_engine,
    _check_engine_log,
    _check_bridge_log,
    _check_keys,
    _check_preview,
    _check_torch,
)
