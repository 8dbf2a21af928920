"""Errors as the packages' own text shows them: a code is a member of one enum, a path a field."""

import ast
import re
from collections import Counter
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent
MODULES = sorted(path for root in ("bridge", "engine") for path in (ROOT / root).rglob("*.py"))

CODE_AT = {"Refused": 1, "bad_request": 2, "Rejected": 1, "Failed": 1, "ErrorText": 0}
"""Where the code stands among the arguments of what is no plain error."""
WITHOUT = ("JobCancelled", "PredictionCancelled", "SettingError")
"""Errors that have one code, which is not given to them."""
NAMES_A_PATH = re.compile(r"(^|[._])(path|paths|folder|parent|library|spool)(\(\))?$")
ADDRESSES = ("model.path",)
"""What has the name of a path and is none: a model's address at a service."""


@cache
def _nodes() -> tuple[tuple[str, ast.AST], ...]:
    """Return every node of every module, with the place of it."""
    return tuple(
        (f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}", node)
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    )


@cache
def _classes() -> tuple[ast.ClassDef, ...]:
    return tuple(node for _, node in _nodes() if isinstance(node, ast.ClassDef))


def _children_of(root: str) -> set[str]:
    """Return the names of all classes that derive from one, itself included."""
    found, before = {root}, 0
    while len(found) > before:
        before = len(found)
        found |= {each.name for each in _classes() if {ast.unparse(b) for b in each.bases} & found}
    return found


def _codes() -> dict[str, str]:
    """Return every code by the name that it has in Python, such as ``ErrorCode.NO_MODEL``."""
    enums = _children_of("Code")
    return {
        f"{each.name}.{line.targets[0].id}": ast.literal_eval(line.value)
        for each in _classes()
        if each.name in enums
        for line in each.body
        if isinstance(line, ast.Assign) and isinstance(line.targets[0], ast.Name)
    }


def _called(node: ast.Call) -> str:
    return ast.unparse(node.func).rpartition(".")[2]


def test_no_code_is_a_string_of_its_own() -> None:
    places = dict.fromkeys(_children_of("ReaPaintError") - set(WITHOUT), 0) | CODE_AT
    for place, node in _nodes():
        if not isinstance(node, ast.Call) or _called(node) not in places:
            continue
        given = [*node.args[places[_called(node)] :][:1]]
        given += [each.value for each in node.keywords if each.arg == "code"]
        raw = [each for each in given if isinstance(each, ast.Constant | ast.JoinedStr)]
        assert not raw, f"{place} has a raw string for its code"


def test_each_code_stands_in_one_enum() -> None:
    codes = _codes()
    assert {"ErrorCode.NO_LIBRARY", "BridgeCode.ENGINE_DIED", "HttpCode.TOO_MANY"} <= set(codes)
    twice = [code for code, times in Counter(codes.values()).items() if times > 1]
    assert not twice
    unlike = [name for name, code in codes.items() if name.partition(".")[2].lower() != code]
    assert not unlike


def test_each_code_is_used() -> None:
    named = {ast.unparse(node) for _, node in _nodes() if isinstance(node, ast.Attribute)}
    assert not set(_codes()) - named


def test_a_path_is_a_field_of_its_error() -> None:
    """So that it can be left out where strangers read the sentence."""
    errors = _children_of("ReaPaintError")
    for place, node in _nodes():
        if not isinstance(node, ast.Call) or _called(node) not in errors:
            continue
        shown = [ast.unparse(e.value) for e in ast.walk(node) if isinstance(e, ast.FormattedValue)]
        paths = [each for each in shown if NAMES_A_PATH.search(each) and each not in ADDRESSES]
        assert not paths, f"{place} shows {paths}: write THE_PATH, and give path="
        is_given = any(each.arg == "path" for each in node.keywords)
        assert is_given or "THE_PATH" not in shown, f"{place} has no path= for THE_PATH"


def test_the_trees_show_each_error_below_its_parent() -> None:
    drawn: dict[str, str] = {}
    for path in (each for each in MODULES if each.name == "errors.py"):
        above: list[tuple[int, str]] = []
        for line in (ast.get_docstring(ast.parse(path.read_text("utf-8"))) or "").splitlines():
            match = re.match(r"(?P<branch>    [│├└─ ]*)(?P<name>[A-Z]\w+)", line)
            if match is None:
                continue
            depth = len(match["branch"])
            above = [each for each in above if each[0] < depth]
            if above:
                drawn[match["name"]] = above[-1][1]
            above.append((depth, match["name"]))
    errors = _children_of("ReaPaintError")
    parents = {each.name: ast.unparse(each.bases[0]) for each in _classes() if each.name in errors}
    assert drawn == {name: parent for name, parent in parents.items() if name != "ReaPaintError"}
