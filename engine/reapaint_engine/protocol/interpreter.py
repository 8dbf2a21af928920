"""Run one of our modules in a process of its own, safe from other files of the same name.

``python -m`` searches the working directory and ``PYTHONPATH`` first: a ``queue.py`` there
would replace Python's own.
"""

import os
import site
import sys
import sysconfig
from collections.abc import Sequence
from importlib import util
from pathlib import Path

NEEDED_PACKAGES = (
    *("reapaint", "reapaint_engine"),
    *("av", "matplotlib", "msgspec", "numpy", "pedalboard", "platformdirs", "portalocker"),
    *("rich", "scipy", "soxr", "watchdog", "zmq"),
)
"""Our packages, and those that they always need."""

TRY_FLAG = "--try"
"""Makes the engine or the bridge load everything it needs, print its version and end."""

_STARTER = """\
import runpy, sys
packages = (k for k, path in enumerate(sys.path) if path.endswith("-packages"))
place = next(packages, len(sys.path))
sys.path[place:place] = {folders!r}
runpy.run_module({module!r}, run_name="__main__", alter_sys=True)
"""
"""A program in which our folders come after Python's own modules, and before installed
packages."""


def module_command(module: str, *arguments: str) -> tuple[str, ...]:
    """Return the command that runs this copy of a module, from any working directory.

    Parameters
    ----------
    module
        The full name of a module, or of a package that has a ``__main__``.
    arguments
        Arguments for the module.
    """
    folders = missing_folders()
    how = ("-c", starter(module, folders)) if folders else ("-m", module)
    return (sys.executable, *isolation(), *how, *arguments)


def isolation() -> tuple[str, ...]:
    """Return Python's flags that ignore its variables and the working directory.

    The user's own packages, where pip may have installed this one, are ignored only if this
    process ignores them too.
    """
    return ("-E", "-P", "-s") if sys.flags.no_user_site else ("-E", "-P")


def starter(module: str, folders: Sequence[Path]) -> str:
    """Return a program that runs one of our modules with additional folders."""
    return _STARTER.format(folders=[str(folder) for folder in folders], module=module)


def package_folders() -> tuple[Path, ...]:
    """Return the folders of the needed packages, as this process finds them."""
    found = (util.find_spec(name) for name in NEEDED_PACKAGES)
    origins = (Path(spec.origin) for spec in found if spec is not None and spec.origin)
    folders = (
        origin.parent.parent if origin.name == "__init__.py" else origin.parent
        for origin in origins
    )
    return tuple(dict.fromkeys(folder.resolve() for folder in folders))


def missing_folders() -> tuple[Path, ...]:
    """Return those folders that Python doesn't search without its variables."""
    paths = [_normal(path) for path in sys.path]
    # The entries after Python's own modules come from ``site``: the folders of installed
    # packages, and those that their .pth files name. The entries before are the caller's.
    own = _normal(sysconfig.get_path("stdlib"))
    behind = paths[paths.index(own) + 1 :] if own in paths else []
    packages = (_normal(path) for path in (*site.getsitepackages(), site.getusersitepackages()))
    lasting = {*behind, *(set(packages) & set(paths))}
    return tuple(folder for folder in package_folders() if _normal(folder) not in lasting)


def _normal(path: str | Path) -> str:
    return os.path.normcase(os.path.realpath(path))
