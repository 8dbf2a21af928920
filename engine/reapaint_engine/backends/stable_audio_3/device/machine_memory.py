"""How much memory the machine can still give, on every system, without another package."""

import ctypes
import os
import sys
from pathlib import Path

_ASSUMED_FREE_SHARE = 2 / 3
"""Where a system doesn't say what is free, so much of what is built in is counted on."""

_PROC = Path("/proc")
_CGROUPS = Path("/sys/fs/cgroup")


def available_memory(proc: Path = _PROC, cgroups: Path = _CGROUPS) -> int:
    """Return how many bytes can be taken before the machine or its container runs short.

    Notes
    -----
    Linux: ``MemAvailable``, and what the control group (version 2) leaves. Windows:
    ``GlobalMemoryStatusEx``. Elsewhere two thirds of the memory that is built in.
    """
    if sys.platform == "win32":
        return _available_on_windows()
    try:
        available = _fields(proc / "meminfo", ":")["MemAvailable"] * 1024
    except (OSError, KeyError):
        return int(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") * _ASSUMED_FREE_SHARE)
    return min([available, *_left_in_groups(proc, cgroups)])


def _left_in_groups(proc: Path, cgroups: Path) -> list[int]:
    """Return what each control group from our own up to the root still allows."""
    try:
        lines = (proc / "self" / "cgroup").read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError):
        return []
    own = next((line[3:].strip("/") for line in lines if line.startswith("0::")), "")
    left = []
    for folder in (cgroups / own, *(cgroups / own).parents):
        if not folder.is_relative_to(cgroups):
            break
        try:
            limit = int((folder / "memory.max").read_text(encoding="ascii"))
            used = int((folder / "memory.current").read_text(encoding="ascii"))
            # Files that were only read are given up at once when memory is wanted.
            used -= _fields(folder / "memory.stat", " ").get("inactive_file", 0)
        except (OSError, ValueError):
            continue  # no limit ("max"), or no such group
        left.append(max(0, limit - used))
    return left


def _fields(path: Path, separator: str) -> dict[str, int]:
    fields = {}
    for line in path.read_text(encoding="ascii").splitlines():
        name, _, value = line.partition(separator)
        if (number := value.split()[:1]) and number[0].isdigit():
            fields[name] = int(number[0])
    return fields


class _MemoryStatus(ctypes.Structure):
    """Windows' ``MEMORYSTATUSEX``."""

    _fields_ = (
        ("length", ctypes.c_ulong),
        ("load", ctypes.c_ulong),
        *(
            (name, ctypes.c_ulonglong)
            for name in (
                "total",
                "available",
                "total_page",
                "available_page",
                "total_virtual",
                "available_virtual",
                "available_extended",
            )
        ),
    )


def _available_on_windows() -> int:
    status = _MemoryStatus()
    status.length = ctypes.sizeof(status)
    kernel = ctypes.WinDLL("kernel32")  # type: ignore[attr-defined,unused-ignore]  # Windows only
    kernel.GlobalMemoryStatusEx(ctypes.byref(status))
    return int(status.available)
