"""How a module of ours runs in a process of its own, with no stranger's file before it.

``python -m`` looks first into the working directory and into ``PYTHONPATH``: a ``queue.py``
that lies there would be taken for Python's own.
"""

import os
import site
import sys
from importlib import util
from pathlib import Path

PACKAGES = ("reapaint", "reapaint_engine")

ISOLATED = ("-E", "-P")
"""Python without its variables and without the working directory.

``-I`` would also leave out the user's own packages, where pip may have put this one.
"""

_STARTER = """\
import runpy, sys
packages = (k for k, path in enumerate(sys.path) if path.endswith("-packages"))
place = next(packages, len(sys.path))
sys.path[place:place] = {roots!r}
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
    how = ("-m", module) if is_installed() else ("-c", starter(module))
    return (sys.executable, *ISOLATED, *how, *arguments)


def starter(module: str) -> str:
    """Return a program that runs a module of ours from where it lies, installed or not."""
    return _STARTER.format(roots=[str(root) for root in package_folders()], module=module)


def package_folders() -> tuple[Path, ...]:
    """Return the folders in which our packages lie: one, or in the sources two."""
    found = (util.find_spec(name) for name in PACKAGES)
    origins = (Path(spec.origin) for spec in found if spec is not None and spec.origin)
    return tuple(dict.fromkeys(origin.resolve().parent.parent for origin in origins))


def is_installed() -> bool:
    """Tell whether a Python without variables finds our packages, and finds these."""
    paths = [_normal(path) for path in sys.path]
    folders = {_normal(path) for path in (*site.getsitepackages(), site.getusersitepackages())}
    # What stands behind the first of these was put there by them: the folders that their
    # .pth files name. Before it are Python's own, and the caller's.
    first = next((index for index, path in enumerate(paths) if path in folders), len(paths))
    lasting = set(paths[first:])
    return all(_normal(folder) in lasting for folder in package_folders())


def _normal(path: str | Path) -> str:
    return os.path.normcase(os.path.realpath(path))
