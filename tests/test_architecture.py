"""Who may import whom, as the packages' own text shows it."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCE_ROOTS = (ROOT / "bridge", ROOT / "engine")
MODULES = sorted(path for root in SOURCE_ROOTS for path in root.rglob("*.py"))
WINGS = [path for path in MODULES if path.name == "__init__.py"]
TESTS = sorted((ROOT / "tests").rglob("*.py"))

PROTOCOL = "reapaint_engine.protocol"
STABLE_AUDIO_3 = "reapaint_engine.backends.stable_audio_3"

MAY_IMPORT = {
    # The bridge: what is at its root serves all wings and knows none, but for the main job.
    "reapaint": ("errors",),
    "reapaint.files": ("errors",),
    "reapaint.link": ("errors", "request_settings"),
    "reapaint.repaint": ("errors", "files", "link", "request_settings", "windows"),
    "reapaint.reaper": ("errors", "files", "link", "request_settings", "windows"),
    "reapaint.reaper.setup": ("errors", "files", "findings", "reaper"),
    "reapaint.http": ("errors", "files", "link", "repaint", "request_settings"),
    "reapaint.commands": (
        "errors", "files", "findings", "http", "link", "reaper", "repaint", "request_settings",
    ),
    "reapaint.__main__": ("commands.cli",),
    # The engine: its root modules are the door, the worker and what ties them to the rest.
    "reapaint_engine": ("",),
    "reapaint_engine.errors": (),
    "reapaint_engine.dsp": (),
    "reapaint_engine.protocol": (),
    "reapaint_engine.backends": ("backends", "dsp", "errors"),
    "reapaint_engine.backends.base": ("dsp",),
    "reapaint_engine.backends.context": ("backends.base", "dsp", "errors"),
    "reapaint_engine.backends.hosted": ("backends.base", "dsp", "errors"),
    "reapaint_engine.backends.library": ("backends.base", "backends.context", "dsp", "errors"),
    # The model: every wing of it knows checkpoints, which know none of them.
    STABLE_AUDIO_3: ("backends.base", "backends.stable_audio_3", "dsp", "errors"),
    f"{STABLE_AUDIO_3}.checkpoint": ("errors",),
    f"{STABLE_AUDIO_3}.device": ("backends.stable_audio_3.checkpoint", "errors"),
    f"{STABLE_AUDIO_3}.network": ("backends.stable_audio_3.checkpoint", "errors"),
    f"{STABLE_AUDIO_3}.inference": (
        "backends.base",
        "backends.stable_audio_3.checkpoint",
        "backends.stable_audio_3.device",
        "backends.stable_audio_3.network",
        "errors",
    ),
    f"{STABLE_AUDIO_3}.benchmark": ("backends.base", "backends.stable_audio_3", "errors"),
}  # fmt: skip
"""For each part, what else of its own package it may import; the longest name that fits counts.

Every part may import itself, and the protocol, which imports nothing else of ours; pure
functions on arrays import only its spans and names of arrays.
"""

ONLY_IN = {
    "torch": ("reapaint_engine.backends.",),
    "diffusers": (f"{STABLE_AUDIO_3}.",),
    "transformers": (f"{STABLE_AUDIO_3}.",),
    "safetensors": (f"{STABLE_AUDIO_3}.",),
    "huggingface_hub": (f"{STABLE_AUDIO_3}.checkpoint.hub",),
    "zmq": (
        "reapaint_engine.server",
        "reapaint_engine.gatekeeper",
        "reapaint.link.client",
        "reapaint_engine.protocol.keys",
    ),
    "sounddevice": ("reapaint.commands.preview",),
    "matplotlib": ("reapaint.commands.plot",),
    "pedalboard": ("reapaint.files.", "reapaint_engine.backends.library.audio"),
    "av": ("reapaint.files.", "reapaint_engine.backends.hosted.answers"),
    "httpx": ("reapaint_engine.backends.hosted.transport",),
    "python_multipart": ("reapaint.http.bodies",),
    "rich": ("reapaint.commands.terminal",),
    "starlette": ("reapaint.http.",),
    "uvicorn": ("reapaint.http.server",),
    "watchdog": ("reapaint.reaper.spool_watch",),
}
"""What each package of others is reached through."""

ENGINE_API = {"reapaint.link.in_process": "reapaint_engine.api"}
"""The one place that knows more of the other package than the protocol, and what it knows."""


_OF_A_SOURCE_ROOT = re.compile(r"^\s*(?:from|import) (?:bridge|engine)\b.*", re.MULTILINE)


def _name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts[1:]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def _imports(path: Path) -> tuple[str, ...]:
    return tuple(_each_import(path))


def _each_import(path: Path) -> Iterator[str]:
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _is_in(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


def _allowed(name: str) -> tuple[str, ...]:
    part = max((part for part in MAY_IMPORT if _is_in(name, part)), key=len)
    package = part.partition(".")[0]
    own = part if part.count(".") else name
    others = (f"{package}.{other}".rstrip(".") for other in MAY_IMPORT[part])
    is_dsp = part == "reapaint_engine.dsp"
    contract = (f"{PROTOCOL}.spans", f"{PROTOCOL}.arrays") if is_dsp else (PROTOCOL,)
    return (own, *contract, ENGINE_API.get(name, own), *others)


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_imports_keep_to_their_wing(path: Path) -> None:
    name = _name(path)
    ours = [
        each for each in _imports(path) if each.split(".")[0] in ("reapaint", "reapaint_engine")
    ]
    allowed = _allowed(name)
    strangers = [each for each in ours if not any(_is_in(each, one) for one in allowed)]
    assert not strangers, f"{name} may not import {strangers}"


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_each_package_has_its_door(path: Path) -> None:
    name = _name(path)
    for package, doors in ONLY_IN.items():
        if any(_is_in(each, package) for each in _imports(path)):
            assert name.startswith(doors), f"{name} may not import {package}"


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_nothing_is_imported_by_name(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert "import_module" not in text
    assert "__import__" not in text


def test_no_module_imports_one_that_imports_it() -> None:
    names = {_name(path): path for path in MODULES}
    imports = {
        name: {target for each in _imports(path) if (target := _module_of(each, names)) != name}
        for name, path in names.items()
    }
    while leaves := {name for name, targets in imports.items() if not targets & imports.keys()}:
        for name in leaves:
            del imports[name]
    assert not imports, f"these import each other: {sorted(imports)}"


def _module_of(imported: str, names: dict[str, Path]) -> str:
    """Return the module that an import is of: what is imported may be one of its names."""
    return imported if imported in names else imported.rpartition(".")[0]


def test_no_second_copy_is_loaded_through_the_source_roots() -> None:
    """``bridge`` and ``engine`` are no packages, yet from the root they could be imported."""
    for path in (*MODULES, *TESTS):
        second = _OF_A_SOURCE_ROOT.findall(path.read_text(encoding="utf-8"))
        assert not second, f"{path} has {second}"


@pytest.mark.parametrize("path", WINGS, ids=_name)
def test_a_wing_says_what_it_is_for_and_does_nothing(path: Path) -> None:
    docstring = ast.get_docstring(_tree(path)) or ""
    assert len(_tree(path).body) == 1, "an __init__.py is a docstring and nothing else"
    assert "In and out: " in docstring or ("In: " in docstring and "Out: " in docstring)


@pytest.mark.parametrize(
    "module", ["reapaint.commands.cli", "reapaint.link.client", "reapaint.repaint"]
)
def test_the_bridge_loads_neither_torch_nor_scipy(module: str) -> None:
    assert _loaded(f"import {module}", "torch", "scipy") == "set()"


def test_help_loads_neither_torch_nor_scipy_nor_numpy() -> None:
    code = (
        "from reapaint.commands.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass"
    )
    assert _loaded(code, "torch", "scipy", "numpy", "zmq", "rich") == "set()"


def test_the_engine_s_api_loads_nothing_that_computes() -> None:
    assert _loaded("import reapaint_engine.api", "torch", "scipy", "numpy", "zmq") == "set()"


def test_no_backend_but_a_model_imports_torch() -> None:
    code = "from reapaint_engine.backends.registry import make_backends; make_backends()"
    assert _loaded(code, "torch") == "set()"


def test_an_engine_without_a_job_loads_no_part_of_scipy() -> None:
    code = (
        "import reapaint_engine.server\n"
        "from reapaint_engine.backends.registry import make_backends; make_backends()"
    )
    assert _loaded(code, "scipy.fft", "scipy.linalg", "scipy.ndimage", "scipy.signal") == "set()"


def _loaded(code: str, *packages: str) -> str:
    """Return which packages a new process has loaded after some code."""
    code = f"import sys\n{code}\nprint({set(packages)!r} & set(sys.modules))"
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    return answer.stdout.strip().splitlines()[-1]
