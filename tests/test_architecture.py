"""Who may import whom, as the packages' own text shows it."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MODULES = sorted(path for name in ("bridge", "engine") for path in (ROOT / name).rglob("*.py"))

ALLOWED = {
    "bridge": ("bridge", "reapaint_engine.protocol"),
    "engine": ("engine",),
    "reapaint_engine.backends": (
        "reapaint_engine.backends",
        "reapaint_engine.dsp",
        "reapaint_engine.protocol",
        "reapaint_engine.errors",
    ),
    "reapaint_engine.dsp": ("reapaint_engine.dsp", "reapaint_engine.protocol.spans"),
    "reapaint_engine.protocol": ("reapaint_engine.protocol",),
}
"""For each part, what of ours it may import; the longest name that fits counts."""

ONLY_IN = {
    "torch": ("reapaint_engine.backends.",),
    "diffusers": ("reapaint_engine.backends.stable_audio_3.",),
    "transformers": ("reapaint_engine.backends.stable_audio_3.",),
    "safetensors": ("reapaint_engine.backends.stable_audio_3.",),
    "huggingface_hub": ("reapaint_engine.backends.stable_audio_3.checkpoint.hub",),
    "zmq": ("reapaint_engine.server", "reapaint.link.client", "reapaint_engine.protocol.keys"),
    "sounddevice": ("reapaint.commands.preview",),
    "matplotlib": ("reapaint.commands.plot",),
    "pedalboard": ("bridge.", "reapaint_engine.backends.library.audio"),
    "av": ("bridge.", "reapaint_engine.backends.hosted.answers"),
    "httpx": ("reapaint_engine.backends.hosted.transport",),
    "python_multipart": ("reapaint.http.bodies",),
    "rich": ("reapaint.commands.terminal",),
    "starlette": ("reapaint.http.",),
    "uvicorn": ("reapaint.http.server",),
    "watchdog": ("reapaint.reaper.spool_watch",),
}
"""What each package of others is reached through."""

LATE_IMPORTS = ("reapaint.link.in_process",)
"""The one place that imports by name: the engine in this process."""


def _name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _is_in(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_imports_keep_to_their_layer(path: Path) -> None:
    name = _name(path)
    layer = max((layer for layer in ALLOWED if _is_in(name, layer)), key=len)
    ours = [each for each in _imports(path) if _is_in(each, "bridge") or _is_in(each, "engine")]
    strangers = [
        each for each in ours if not any(_is_in(each, allowed) for allowed in ALLOWED[layer])
    ]
    assert not strangers, f"{name} may not import {strangers}"


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_each_package_has_its_door(path: Path) -> None:
    name = _name(path)
    for package, doors in ONLY_IN.items():
        if any(_is_in(each, package) for each in _imports(path)):
            assert name.startswith(doors), f"{name} may not import {package}"


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_imports_by_name_stay_in_one_place(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    if "import_module" in text or "__import__" in text:
        assert _name(path) in LATE_IMPORTS


@pytest.mark.parametrize(
    "module", ["reapaint.commands.cli", "reapaint.link.client", "reapaint.repaint"]
)
def test_the_bridge_loads_neither_torch_nor_scipy(module: str) -> None:
    code = f"import sys, {module}; print({{'torch', 'scipy'}} & set(sys.modules))"
    answer = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip() == "set()"


def test_help_loads_neither_torch_nor_scipy_nor_numpy() -> None:
    code = (
        "import sys\nfrom reapaint.commands.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "print({'torch', 'scipy', 'numpy', 'zmq', 'rich'} & set(sys.modules))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip().endswith("set()")


def test_no_backend_but_a_model_imports_torch() -> None:
    code = (
        "import sys; from reapaint_engine.backends.registry import make_backends; make_backends();"
        "print({'torch'} & set(sys.modules))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip() == "set()"
