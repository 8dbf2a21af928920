"""A type has one name, and a name is one type, throughout a package."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = (ROOT / "bridge" / "reapaint", ROOT / "engine" / "reapaint_engine")

VOCABULARIES = ROOT / "bridge" / "reapaint" / "http" / "shapes"
"""Each interface has a module here, and shows its names in its schema."""

EACH_IN_ITS_ROOM = {
    "Failed": "a message of the wire, and how a hosted service's request ended",
    "Take": "a variation of a prediction, and one in a message to REAPER",
}
"""Names that two modules use for things that no third one meets together."""

ARRAYS = ROOT / "engine" / "reapaint_engine" / "protocol" / "arrays.py"
NAMED_DTYPES = ("float32", "float64", "bool_", "intp")


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.name)
def test_no_public_type_is_defined_twice(package: Path) -> None:
    found = _types_of(package)
    twice = {name: places for name, places in found.items() if len(places) > 1}
    assert twice.keys() == twice.keys() & EACH_IN_ITS_ROOM.keys(), twice


def test_every_exception_is_needed() -> None:
    found = [_types_of(package) for package in PACKAGES]
    for name in EACH_IN_ITS_ROOM:
        assert any(len(types.get(name, ())) > 1 for types in found), name


def test_arrays_are_named_in_one_module() -> None:
    """``Audio`` is what the protocol says it is, for the bridge as well."""
    for package in PACKAGES:
        for path in package.rglob("*.py"):
            text = path.read_text(encoding="utf-8")
            spelled = [each for each in NAMED_DTYPES if f"NDArray[np.{each}]" in text]
            assert path == ARRAYS or not spelled, f"{path} spells out arrays of {spelled}"


def _types_of(package: Path) -> dict[str, list[str]]:
    """Return where each public class and type alias of a package is defined."""
    found = defaultdict(list)
    for path in package.rglob("*.py"):
        if path.parent != VOCABULARIES:
            for name in _types_in(ast.parse(path.read_text(encoding="utf-8"))):
                found[name].append(str(path.relative_to(package)))
    return found


def _types_in(module: ast.Module) -> Iterator[str]:
    for node in module.body:
        match node:
            case ast.ClassDef(name=name):
                pass
            case ast.Assign(targets=[ast.Name(id=name)]) if _is_a_types(name):
                pass
            case _:
                continue
        if not name.startswith("_"):
            yield name


def _is_a_types(name: str) -> bool:
    """Tell whether a name is written as a type's: ``OnProgress``, and neither ``T`` nor ``MAX``."""
    return name[:1].isupper() and not name.isupper()
