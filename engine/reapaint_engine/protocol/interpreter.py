"""How a module of ours runs in a process of its own, with no stranger's file before it.

``python -m`` looks first into the working directory and into ``PYTHONPATH``: a ``queue.py``
that lies there would be taken for Python's own.
"""

import os
import site
import sys
import sysconfig
from collections.abc import Sequence
from importlib import util
from pathlib import Path

NEEDED = (
    *("reapaint", "reapaint_engine"),
    *("av", "matplotlib", "msgspec", "numpy", "pedalboard", "platformdirs", "portalocker"),
    *("rich", "scipy", "soxr", "watchdog", "zmq"),
)
"""Our packages, and those that they can't do without."""

TRY_FLAG = "--try"
"""Makes the engine or the bridge load all that it needs, tell its version and end."""

_STARTER = """\
import runpy, sys
packages = (k for k, path in enumerate(sys.path) if path.endswith("-packages"))
place = next(packages, len(sys.path))
sys.path[place:place] = {folders!r}
runpy.run_module({module!r}, run_name="__main__", alter_sys=True)
"""
"""Our folders come behind Python's own modules, and before what is installed."""


def module_command(module: str, *arguments: str) -> tuple[str, ...]:
    """Return the command that runs this very copy of a module, wherever it is called from.

    Parameters
    ----------
    module
        The full name of a module, or of a package that has a ``__main__``.
    arguments
        What comes behind it.
    """
    folders = missing_folders()
    how = ("-c", starter(module, folders)) if folders else ("-m", module)
    return (sys.executable, *isolation(), *how, *arguments)


def isolation() -> tuple[str, ...]:
    """Return Python's flags for a process without its variables and the working directory.

    The user's own packages, where pip may have put this one, are left out only where this
    process does without them.
    """
    return ("-E", "-P", "-s") if sys.flags.no_user_site else ("-E", "-P")


def starter(module: str, folders: Sequence[Path]) -> str:
    """Return a program that runs a module of ours, with folders that Python doesn't know."""
    return _STARTER.format(folders=[str(folder) for folder in folders], module=module)


def package_folders() -> tuple[Path, ...]:
    """Return the folders in which the needed packages lie, as this process finds them."""
    found = (util.find_spec(name) for name in NEEDED)
    origins = (Path(spec.origin) for spec in found if spec is not None and spec.origin)
    folders = (
        origin.parent.parent if origin.name == "__init__.py" else origin.parent
        for origin in origins
    )
    return tuple(dict.fromkeys(folder.resolve() for folder in folders))


def missing_folders() -> tuple[Path, ...]:
    """Return those folders that a Python without variables doesn't look into."""
    paths = [_normal(path) for path in sys.path]
    # What stands behind Python's own modules was put there by ``site``: the folders of
    # installed packages, and those that their .pth files name. Before it is the caller's.
    own = _normal(sysconfig.get_path("stdlib"))
    behind = paths[paths.index(own) + 1 :] if own in paths else []
    packages = (_normal(path) for path in (*site.getsitepackages(), site.getusersitepackages()))
    lasting = {*behind, *(set(packages) & set(paths))}
    return tuple(folder for folder in package_folders() if _normal(folder) not in lasting)


def _normal(path: str | Path) -> str:
    return os.path.normcase(os.path.realpath(path))
