"""What ``reapaint doctor`` looks at of the integration with REAPER."""

from pathlib import Path

from reapaint.findings import Finding, Verdict
from reapaint.reaper import sandbox
from reapaint.reaper.messages import SPOOL_PROTOCOL
from reapaint.reaper.setup import installation
from reapaint.reaper.setup.folders import find_resource_folder, resource_folders
from reapaint.reaper.spool import Spool
from reapaint_engine.protocol.trials import run_trial
from reapaint_engine.protocol.version import __version__

_INSTALL = "Run `reapaint reaper install`"


def find_reaper(named: Path | None = None) -> list[Finding]:
    """Return what is to be said of REAPER on this machine; without one, only that.

    Raises
    ------
    InputError
        ``file_not_found``: there is no such folder as the named one.
    """
    folders = resource_folders() if named is None else [find_resource_folder(named)]
    if not folders:
        text = "no resource folder was found; only the actions in REAPER need one."
        return [Finding("reaper", Verdict.NOTE, text, _INSTALL + " with --resource-path.")]
    return [finding for folder in folders for finding in check_folder(folder)]


def check_folder(folder: Path) -> list[Finding]:
    """Return what is to be said of one REAPER."""
    findings = [Finding("reaper", Verdict.GOOD, str(folder))]
    manifest = installation.read_manifest(folder)
    if manifest is None:
        text = f"not installed in {folder}."
        return [*findings, Finding("reaper scripts", Verdict.NOTE, text, _INSTALL + ".")]
    return [
        *findings,
        _check_scripts(folder, manifest),
        _check_launch(folder),
        *_check_sandbox(folder),
        _check_bridge(folder),
    ]


def _check_scripts(folder: Path, manifest: installation.Manifest) -> Finding:
    name = "reaper scripts"
    if manifest.version != __version__:
        text = f"version {manifest.version} is installed, this is {__version__}."
        return Finding(name, Verdict.WRONG, text, _INSTALL + ", and restart REAPER.")
    changed = installation.changed_files(folder, manifest)
    if any(not (folder / path).exists() for path in changed):
        return Finding(name, Verdict.WRONG, "some are missing.", _INSTALL + " again.")
    if changed:
        text = f"changed since they were installed: {', '.join(path.name for path in changed)}."
        return Finding(name, Verdict.NOTE, text, _INSTALL + " to have them as they were.")
    return Finding(name, Verdict.GOOD, f"version {manifest.version}, {len(manifest.files)} files")


def _check_launch(folder: Path) -> Finding:
    name = "reaper's python"
    launch = installation.read_launch(folder)
    if launch is None:
        text = f"{folder / installation.LAUNCH} can't be read."
        return Finding(name, Verdict.WRONG, text, _INSTALL + " again.")
    is_outside = launch.python == sandbox.SPAWN
    if is_outside is not bool(sandbox.flatpak_app(folder)):
        text = "the folder has moved into Flatpak's sandbox, or out of it."
        return Finding(name, Verdict.WRONG, text, _INSTALL + " again.")
    python = sandbox.program_outside(launch.arguments) if is_outside else launch.python
    if not Path(python).exists():
        text = f"{python} is gone."
        return Finding(name, Verdict.WRONG, text, _INSTALL + " from where ReaPaint is now.")
    return _try_launch(name, installation.program_of(launch))


def _try_launch(name: str, program: tuple[str, ...]) -> Finding:
    """Run what REAPER would run."""
    trial = run_trial(program)
    if not trial.said:
        text = f"{' '.join(program)} does not start ReaPaint: {trial.complaint}."
        return Finding(name, Verdict.WRONG, text, _INSTALL + " again.")
    if trial.said != f"reapaint {__version__}":
        text = f"{program[0]} starts {trial.said}, this is {__version__}."
        return Finding(name, Verdict.NOTE, text, _INSTALL + " to have REAPER start this one.")
    return Finding(name, Verdict.GOOD, program[0])


def _check_sandbox(folder: Path) -> list[Finding]:
    """Return whether Flatpak lets REAPER start the bridge; nothing for another REAPER."""
    app = sandbox.flatpak_app(folder)
    if app is None:
        return []
    name, advice = "reaper's sandbox", f"Run `{sandbox.permission_command(app)}`"
    may_leave = sandbox.may_start_outside(app)
    if may_leave is None:
        text = f"Flatpak does not tell whether {app} may start the bridge outside of it."
        return [Finding(name, Verdict.NOTE, text, f"{advice} if no action of ReaPaint works.")]
    if not may_leave:
        text = f"Flatpak does not let {app} start the bridge, which is outside of it."
        return [Finding(name, Verdict.WRONG, text, f"{advice}, and restart REAPER.")]
    return [Finding(name, Verdict.GOOD, f"{app} may start the bridge outside of Flatpak")]


def _check_bridge(folder: Path) -> Finding:
    name = "bridge"
    spool = Spool(folder / installation.SPOOL)
    waiting = len(spool.job_ids()) if spool.jobs.is_dir() else 0
    jobs = f"; {waiting} jobs in the spool" if waiting else ""
    if not spool.has_bridge():
        return Finding(name, Verdict.GOOD, f"none runs; the scripts start it{jobs}")
    beat = spool.read_heartbeat()
    if beat is None:
        return Finding(name, Verdict.NOTE, f"one is just starting{jobs}")
    text = f"version {beat.version} runs, pid {beat.pid}, engine {beat.engine.state}{jobs}"
    same_major = beat.protocol.split(".")[0] == str(SPOOL_PROTOCOL[0])
    if beat.version != __version__ or not same_major:
        advice = f"This is {__version__}. {_INSTALL}: it lets the old one end."
        return Finding(name, Verdict.NOTE, text + ".", advice)
    if beat.engine.message:
        return Finding(name, Verdict.NOTE, text + ".", beat.engine.message)
    return Finding(name, Verdict.GOOD, text)
