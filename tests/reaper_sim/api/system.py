"""The machine: paths, files, programs, clock, audio device, configuration."""

# ruff: noqa: N802 - functions bear the names that Lua calls them by

from pathlib import Path

from tests.reaper_sim.calls import Caller, provides
from tests.reaper_sim.model import new_guid
from tests.reaper_sim.signatures import builtins, core_functions, extension_names

LINK_FLAGS = {"Win64": "x64", "Other": "linux-x86_64"}


@provides
def GetAppVersion(caller: Caller) -> str:
    return f"{caller.sim.version_text}/{LINK_FLAGS[GetOS(caller)]}"


@provides
def GetOS(caller: Caller) -> str:
    return "Win64" if caller.sim.files.windows else "Other"


@provides
def GetResourcePath(caller: Caller) -> str:
    return caller.sim.files.to_lua(str(caller.sim.resource_path))


@provides
def GetExePath(caller: Caller) -> str:
    return caller.sim.files.to_lua(str(caller.sim.folder / "bin"))


@provides
def get_ini_file(caller: Caller) -> str:
    return caller.sim.files.to_lua(str(caller.sim.resource_path / "reaper.ini"))


@provides
def APIExists(caller: Caller, name: str) -> bool:
    signature = core_functions().get(name) or builtins().get(name)
    if signature is not None:
        return signature.since <= caller.sim.version
    return extension_names().get(name) in caller.sim.extensions


@provides
def APITest(caller: Caller) -> None:
    return


@provides
def time_precise(caller: Caller) -> float:
    """The simulated clock: 31 ms a tick, and on within a tick."""
    return caller.sim.time_precise(caller.script)


@provides
def genGuid(caller: Caller, text: str | None) -> str:
    return new_guid(caller.sim.random)


@provides
def file_exists(caller: Caller, path: str) -> bool:
    return Path(caller.sim.files.to_host(path)).is_file()


@provides
def RecursiveCreateDirectory(caller: Caller, path: str, ignored: int) -> int:
    if caller.sim.files.refusal("create", path):
        return 0
    host = Path(caller.sim.files.to_host(path))
    existed = host.is_dir()
    try:
        host.mkdir(parents=True, exist_ok=True)
    except OSError:
        return 0
    return int(not existed)


def _listing(caller: Caller, path: str, index: int) -> tuple[list[str], list[str]] | None:
    """Return a folder's files and folders as REAPER remembers them until asked with -1 (D)."""
    host = caller.sim.files.to_host(path).rstrip("/")
    if index == -1:
        caller.sim.listings.pop(host, None)
        return None
    if host not in caller.sim.listings:
        found = sorted(Path(host).iterdir()) if Path(host).is_dir() else []
        files = [path.name for path in found if path.is_file()]
        folders = [path.name for path in found if path.is_dir()]
        caller.sim.listings[host] = (files, folders)
    return caller.sim.listings[host]


@provides
def EnumerateFiles(caller: Caller, path: str, index: int) -> str | None:
    listing = _listing(caller, path, index)
    return listing[0][index] if listing and 0 <= index < len(listing[0]) else None


@provides
def EnumerateSubdirectories(caller: Caller, path: str, index: int) -> str | None:
    listing = _listing(caller, path, index)
    return listing[1][index] if listing and 0 <= index < len(listing[1]) else None


@provides
def ExecProcess(caller: Caller, line: str, timeout_ms: int) -> str | None:
    """B2: waiting blocks all of REAPER; only -1 and -2 don't wait."""
    if timeout_ms >= 0:
        caller.sim.blame(f"ExecProcess waits for {line}", caller.script)
    return caller.sim.processes.run(line, timeout_ms)


@provides
def GetAudioDeviceInfo(caller: Caller, attribute: str) -> tuple[bool, str]:
    """B3 (S): fails with the device closed."""
    device = caller.sim.device
    return (True, device[attribute]) if device and attribute in device else (False, "")


@provides
def Audio_IsRunning(caller: Caller) -> int:
    return int(caller.sim.device is not None)


@provides
def parse_timestr_len(caller: Caller, text: str, offset: float, mode: int) -> float:
    """B3 (S): mode 4 counts samples, which tells the rate when nothing else does."""
    if mode != 4:
        raise caller.sim.fail("the double parses lengths in samples only", caller.script)
    return float(text) / caller.project.sample_rate


@provides
def parse_timestr_pos(caller: Caller, text: str, mode: int) -> float:
    return float(text)


@provides
def format_timestr_pos(caller: Caller, time: float, text: str, mode: int) -> str:
    minutes, seconds = divmod(time, 60)
    return f"{int(minutes)}:{seconds:06.3f}"


@provides
def format_timestr(caller: Caller, time: float, text: str) -> str:
    return str(format_timestr_pos(caller, time, text, 0))


@provides
def get_config_var_string(caller: Caller, name: str) -> tuple[bool, str]:
    value = caller.sim.config.get(name)
    return value is not None, value or ""


@provides
def set_config_var_string(caller: Caller, name: str, value: str, persist: int) -> int:
    caller.sim.blame(f"a script changes the preference {name}", caller.script)
    caller.sim.config[name] = value
    return 1


@provides
def SNM_GetIntConfigVar(caller: Caller, name: str, otherwise: int) -> int:
    return int(caller.sim.config.get(name, otherwise))
