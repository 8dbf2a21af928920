"""What docstrings say about arrays, as the packages' own text shows it.

A public function or method that takes or returns arrays says of each one its shape in
parentheses, as in ``(channels, frames)``, and its dtype, as in ``float32``. It says so in the
entry of a Parameters, Returns or Yields section, or in a sentence: that of a parameter names it
right before its shape, and that of a result is the first one or begins with "Return". What
takes whatever there is says "any shape" and "any dtype".
"""

import ast
import inspect
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCE_ROOTS = (ROOT / "bridge", ROOT / "engine")

ARRAY_TYPES = ("numpy.typing.NDArray", "numpy.typing.ArrayLike", "numpy.ndarray", "torch.Tensor")
NO_ARRAYS = ("collections.abc.Callable", "typing.Callable", "typing.Literal", "type")
"""What is subscripted with types, or words, that are not the value's own."""

TYPE_MAKERS = ("typing.TypeVar", "typing.NewType")
"""Calls that give a name to a type; their first argument is the name."""

DTYPE_WORDS = {"bool_": ("bool",), "intp": ("intp", "int64")}
"""How a dtype of NumPy is called in a docstring, where not by its name."""

DTYPE = re.compile(
    r"\b(?:bfloat16|float(?:16|32|64)|bool|intp|u?int(?:8|16|32|64)?|complex(?:64|128)"
    r"|as the weights|any (?:real )?dtype|the same dtype)\b"
)
WORD = r"[\w'+*/-]+(?:\.\w+)?"
DIMENSION = rf"(?:\.\.\.|{WORD}(?: {WORD}){{0,4}})"
SHAPE = (
    rf"(?:\({DIMENSION},(?: {DIMENSION}(?:, {DIMENSION})*)?\)"
    r"|[Ss]hape \(\)|[Aa]ny shape|[Tt]he same shape)"
)
ONE_FOR_ALL = re.compile(r"\b(?:[Bb]oth|[Ee]ach)\b")
"""A pair may have one shape if this stands with it."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class Array:
    """An array that an annotation names; no dtypes mean that any will do."""

    dtypes: frozenset[str] = frozenset()


@dataclass(slots=True)
class Module:
    """What one module's text binds: imports to full names, aliases and classes to their text."""

    name: str
    imports: dict[str, str] = field(default_factory=dict)
    aliases: dict[str, ast.expr] = field(default_factory=dict)
    functions: dict[str, Function] = field(default_factory=dict)
    classes: dict[str, "Class"] = field(default_factory=dict)


@dataclass(slots=True)
class Class:
    """A class, with its methods and the classes inside it."""

    bases: list[ast.expr]
    methods: dict[str, Function]
    classes: dict[str, "Class"]


Project = dict[str, Module]


# Reading


def _project(sources: dict[str, str]) -> Project:
    return {name: _module(name, ast.parse(text)) for name, text in sources.items()}


def _module(name: str, tree: ast.Module) -> Module:
    module = Module(name)
    for node in _statements(tree.body):
        match node:
            case ast.Import():
                for each in node.names:
                    bound = each.asname or each.name.partition(".")[0]
                    module.imports[bound] = each.name if each.asname else bound
            case ast.ImportFrom():
                for each in node.names:
                    module.imports[each.asname or each.name] = f"{node.module}.{each.name}"
            case ast.Assign(targets=[ast.Name(id=target)], value=value):
                module.aliases[target] = value
            case ast.AnnAssign(target=ast.Name(id=target), value=ast.expr() as value):
                module.aliases[target] = value
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                module.functions[node.name] = node
            case ast.ClassDef():
                module.classes[node.name] = _class(node)
    return module


def _class(tree: ast.ClassDef) -> Class:
    body = list(_statements(tree.body))
    return Class(
        bases=tree.bases,
        methods={each.name: each for each in body if isinstance(each, Function)},
        classes={each.name: _class(each) for each in body if isinstance(each, ast.ClassDef)},
    )


def _statements(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield statements, those under ``if`` and ``try`` too."""
    for node in body:
        if isinstance(node, ast.If | ast.Try):
            yield from _statements([*node.body, *node.orelse])
        else:
            yield node


# Annotations


def _full_name(module: Module, node: ast.expr) -> str:
    """Return a name with what it was imported from, or an empty text for what is no name."""
    match node:
        case ast.Name(id=name) if name in module.imports:
            return module.imports[name]
        case ast.Name(id=name) if name in module.aliases or name in module.classes:
            return f"{module.name}.{name}"
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=value, attr=attr):
            return f"{_full_name(module, value)}.{attr}"
    return ""


def _arrays(project: Project, module: Module, node: ast.expr | None) -> list[Array]:
    """Return the arrays that an annotation names: two for a pair, one for a list of any."""
    match node:
        case ast.Constant(value=str(text)):
            return _arrays(project, module, ast.parse(text, mode="eval").body)
        case ast.BinOp(left=left, right=right):
            sides = [_arrays(project, module, side) for side in (left, right)]
            return _either(*sides)
        case ast.Subscript(value=value, slice=index):
            name = _full_name(module, value)
            if name in ARRAY_TYPES:
                return [Array(_dtypes(index))]
            if name in NO_ARRAYS:
                return []
            parts = index.elts if isinstance(index, ast.Tuple) else [index]
            if name == "typing.Annotated":
                parts = parts[:1]
            inside = [each for part in parts for each in _arrays(project, module, part)]
            return inside + _arrays(project, module, value)
        case ast.Call(func=func, args=args) if _full_name(module, func) in TYPE_MAKERS:
            types = [*args[1:], *(keyword.value for keyword in node.keywords)]
            return max((_arrays(project, module, each) for each in types), key=len, default=[])
        case ast.Name() | ast.Attribute():
            name = _full_name(module, node)
            return [Array()] if name in ARRAY_TYPES else _arrays_of_alias(project, name)
    return []


def _arrays_of_alias(project: Project, name: str) -> list[Array]:
    """Return the arrays of a name of ours, followed through the modules that pass it on."""
    home, _, own = name.rpartition(".")
    module = project.get(home)
    if module is None:
        return []
    if own in module.aliases:
        return _arrays(project, module, module.aliases[own])
    return _arrays_of_alias(project, module.imports[own]) if own in module.imports else []


def _either(left: list[Array], right: list[Array]) -> list[Array]:
    if len(left) == len(right) == 1:
        known = left[0].dtypes and right[0].dtypes
        return [Array(left[0].dtypes | right[0].dtypes if known else frozenset())]
    return max(left, right, key=len)


def _dtypes(index: ast.expr) -> frozenset[str]:
    names = {each.attr for each in ast.walk(index) if isinstance(each, ast.Attribute)}
    words = (word for name in names for word in DTYPE_WORDS.get(name, (name,)))
    return frozenset(word for word in words if DTYPE.fullmatch(word))


# Docstrings


@dataclass(frozen=True, slots=True)
class Docstring:
    """A docstring's sentences, and the entries of its sections by name."""

    sentences: tuple[str, ...]
    parameters: dict[str, str]
    results: dict[str, str]


def _docstring(function: Function) -> Docstring:
    text = inspect.cleandoc(ast.get_docstring(function) or "")
    prose, *sections = re.split(r"^(\w[\w ]*)\n-{3,}\n", text, flags=re.MULTILINE)
    named = dict(zip(sections[0::2], sections[1::2], strict=True))
    flat = re.sub(r"\s+", " ", prose)
    return Docstring(
        sentences=tuple(re.split(r"(?<=[.:;])\s+(?=[A-Z])", flat)),
        parameters=_entries(named.get("Parameters", "")),
        results=_entries(named.get("Returns", named.get("Yields", ""))),
    )


def _entries(section: str) -> dict[str, str]:
    entries: dict[str, str] = {}
    for entry in re.split(r"^(?=\S)", section, flags=re.MULTILINE):
        header, _, text = entry.strip().partition("\n")
        if not header:
            continue
        for name in header.partition(":")[0].split(","):
            entries[name.strip().lstrip("*")] = re.sub(r"\s+", " ", f"{header} {text}")
    return entries


def _says(text: str, arrays: Sequence[Array]) -> bool:
    """Return whether a text holds a shape for each array, or one for all, and their dtypes."""
    shapes = len(re.findall(SHAPE, text))
    words = set(DTYPE.findall(text))
    return (
        shapes >= (1 if ONE_FOR_ALL.search(text) else len(arrays))
        and bool(words)
        and all(not array.dtypes or array.dtypes & words for array in arrays)
    )


def _names_with_shape(sentence: str, name: str) -> bool:
    return (
        re.search(rf"\b{re.escape(name)}\b(?:``)?,?(?: of)?(?: shape)? {SHAPE}", sentence)
        is not None
    )


def _lacks(docstring: Docstring, takes: dict[str, list[Array]], gives: list[Array]) -> list[str]:
    """Return the parameters of which a docstring says too little, and "return" for the result."""
    lacking = [name for name, arrays in takes.items() if not _tells(docstring, name, arrays)]
    if gives and not _tells_result(docstring, list(takes), gives):
        lacking.append("return")
    return lacking


def _tells(docstring: Docstring, name: str, arrays: Sequence[Array]) -> bool:
    if name in docstring.parameters:
        return _says(docstring.parameters[name], arrays)
    return any(
        _names_with_shape(sentence, name) and _says(sentence, arrays)
        for sentence in docstring.sentences
    )


def _tells_result(docstring: Docstring, taken: Sequence[str], gives: list[Array]) -> bool:
    entries = list(docstring.results.values())
    if len(entries) == len(gives):
        return all(_says(text, [array]) for text, array in zip(entries, gives, strict=True))
    if entries:
        return _says(" ".join(dict.fromkeys(entries)), gives)
    for number, sentence in enumerate(docstring.sentences):
        # A shape that belongs to a parameter says nothing about the result.
        theirs = [Array() for name in taken if _names_with_shape(sentence, name)]
        is_result = number == 0 or sentence.startswith(("Return", "Yield"))
        if is_result and _says(sentence, [*gives, *theirs]):
            return True
    return False


# The rule


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a function's docstring lacks."""

    name: str
    lacking: tuple[str, ...]


def _verdicts(project: Project) -> list[Verdict]:
    """Return a verdict for each public function of a project that has to do with arrays."""
    found = []
    for module in project.values():
        for name, function in module.functions.items():
            found.append(_verdict(project, module, None, name, function))
        for name, each in module.classes.items():
            found.extend(_verdicts_of_class(project, module, each, name))
    return [each for each in found if each is not None]


def _verdicts_of_class(
    project: Project, module: Module, owner: Class, path: str
) -> Iterator[Verdict | None]:
    if path.rpartition(".")[2].startswith("_"):
        return
    for name, method in owner.methods.items():
        yield _verdict(project, module, owner, f"{path}.{name}", method)
    for name, inner in owner.classes.items():
        yield from _verdicts_of_class(project, module, inner, f"{path}.{name}")


def _verdict(
    project: Project, module: Module, owner: Class | None, path: str, function: Function
) -> Verdict | None:
    takes, gives = _signature(project, module, function)
    if function.name.startswith("_") or not (takes or gives):
        return None
    lacking = _lacks(_docstring(function), takes, gives)
    if lacking and owner is not None and _base_says_it(project, module, owner, function.name):
        lacking = []
    return Verdict(f"{module.name}.{path}", tuple(lacking))


def _signature(
    project: Project, module: Module, function: Function
) -> tuple[dict[str, list[Array]], list[Array]]:
    arguments = function.args
    every = [
        *arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg,
        arguments.kwarg,
    ]  # fmt: skip
    found = {each.arg: _arrays(project, module, each.annotation) for each in every if each}
    takes = {name: arrays for name, arrays in found.items() if arrays}
    return takes, _arrays(project, module, function.returns)


def _base_says_it(project: Project, module: Module, owner: Class, method: str) -> bool:
    """Return whether a base class of ours has the method, and a docstring that says enough."""
    for base in owner.bases:
        home, _, name = _full_name(module, base).rpartition(".")
        if home not in project or name not in project[home].classes:
            continue
        of_base = project[home].classes[name]
        if method in of_base.methods:
            verdict = _verdict(project, project[home], of_base, method, of_base.methods[method])
            return verdict is not None and not verdict.lacking
        if _base_says_it(project, project[home], of_base, method):
            return True
    return False


def _module_name(path: Path) -> str:
    root = next(root for root in SOURCE_ROOTS if root in path.parents)
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _ours() -> list[Verdict]:
    paths = sorted(path for root in SOURCE_ROOTS for path in root.rglob("*.py"))
    texts = {_module_name(path): path.read_text(encoding="utf-8") for path in paths}
    return _verdicts(_project(texts))


@pytest.mark.parametrize("verdict", _ours(), ids=lambda verdict: verdict.name)
def test_a_docstring_tells_shape_and_dtype_of_each_array(verdict: Verdict) -> None:
    assert not verdict.lacking, f"{verdict.name} tells too little of {', '.join(verdict.lacking)}"


def test_there_are_functions_to_look_at() -> None:
    assert len(_ours()) > 100


# The rule itself, on texts made up for it

IMPORTS = """
from collections.abc import Callable, Iterator
import numpy as np
import numpy.typing as npt
from torch import Tensor
Audio = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
"""

GOOD_MIX = '''
def mix(old: Audio, new: "Audio | None", mask: Mask) -> Audio:
    """Mix.

    Parameters
    ----------
    old, new
        Each of shape (channels, frames), float32.
    mask
        Shape (frames,), bool, True where new audio is.

    Returns
    -------
    numpy.ndarray
        Shape (channels, frames), float32.
    """
'''


def _lacking(source: str, **others: str) -> dict[str, tuple[str, ...]]:
    """Return what the functions of a module lack, which may import the others."""
    sources = {"own": IMPORTS + source, **{name: IMPORTS + text for name, text in others.items()}}
    verdicts = _verdicts(_project(sources))
    return {
        each.name.removeprefix("own."): each.lacking
        for each in verdicts
        if each.name.startswith("own.")
    }


@pytest.mark.parametrize(
    "source",
    [
        GOOD_MIX,
        'def f(x: Tensor) -> Tensor:\n    """Turn ``x`` (n, m), float32, into (m,), float32."""',
        'def f() -> Iterator[Audio]:\n    """Yield blocks, shape (channels, frames), float32."""',
        'def f() -> tuple[Audio, Audio]:\n    """Return two, each (channels, frames), float32."""',
        'def f(x: Tensor) -> None:\n    """Take ``x``, any shape and any dtype."""',
        'def f(x: Tensor) -> None:\n    """Take ``x``, (n, m), as the weights."""',
        'class C:\n    @property\n    def f(self) -> Audio:\n        """All, (n, m), float32."""',
    ],
)
def test_what_tells_of_every_array_passes(source: str) -> None:
    assert list(_lacking(source).values()) == [()]


@pytest.mark.parametrize(
    ("old", "new", "lacking"),
    [
        ("old, new\n", "old\n", ("new",)),
        ("Each of shape (channels, frames), float32.", "The two.", ("old", "new")),
        ("Shape (frames,), bool, True where", "bool, True where", ("mask",)),
        ("Shape (frames,), bool, True where", "Shape (frames,), True where", ("mask",)),
        ("Shape (frames,), bool, True where", "Shape (frames,), float32 where", ("mask",)),
        ("Shape (frames,), bool, True where", "Any shape and any dtype where", ("mask",)),
        ("        Shape (channels, frames), float32.", "        What comes out.", ("return",)),
        (GOOD_MIX.partition('"""')[2], 'Mix."""\n', ("old", "new", "mask", "return")),
        (
            GOOD_MIX.partition('"""')[2],
            'Return the mix, shape (channels, frames), float32, of ``old``."""\n',
            ("old", "new", "mask"),
        ),
        (
            GOOD_MIX.partition('"""')[2],
            'Return a mix of ``old`` (channels, frames), float32, and ``mask`` (frames,), bool."""',
            ("new", "return"),
        ),
    ],
)
def test_what_leaves_an_array_out_fails(old: str, new: str, lacking: tuple[str, ...]) -> None:
    assert GOOD_MIX.count(old) == 1
    assert _lacking(GOOD_MIX.replace(old, new)) == {"mix": lacking}


@pytest.mark.parametrize(
    "source",
    [
        "def f(x: Audio): ...",
        'def f() -> tuple[Audio, Audio]:\n    """Return two, (channels, frames), float32."""',
        'def f() -> list[Audio]:\n    """Return parts (see below), float32."""',
        'async def f(*parts: Audio) -> None:\n    """Take parts, float32."""',
        'class C:\n    def f(self) -> Audio:\n        """Return audio."""',
        'class C:\n    class D:\n        def f(self) -> Audio:\n            """Return audio."""',
        'if True:\n    def f() -> Audio:\n        """Return audio."""',
        'New = dict[str, list[Audio]]\ndef f(x: New) -> None:\n    """Take it."""',
        'import numpy\ndef f(x: numpy.ndarray) -> None:\n    """Take it."""',
        (
            'from typing import TypeVar\nT = TypeVar("T", bound=Tensor)\n'
            'def f(x: T) -> None:\n    """Take it."""'
        ),
    ],
)
def test_arrays_are_found_wherever_they_are_named(source: str) -> None:
    (lacking,) = _lacking(source).values()
    assert lacking


def test_an_alias_is_followed_into_the_module_that_it_comes_from() -> None:
    taker = 'from a import Pair\ndef f(x: Pair) -> None:\n    """Take ``x``, (n, m), float32."""'
    (lacking,) = _lacking(taker, a="from b import Pair", b="Pair = tuple[Audio, Audio]").values()
    assert lacking == ("x",)


@pytest.mark.parametrize(
    "source",
    [
        'def _f(x: Audio) -> None:\n    """Take it."""',
        'class _C:\n    def f(self, x: Audio) -> None:\n        """Take it."""',
        'def f(x: int) -> None:\n    """Take it."""\n    def g(y: Audio) -> None: ...',
        'def f(x: Callable[[Audio], Audio]) -> None:\n    """Call it."""',
    ],
)
def test_what_is_private_or_has_no_array_is_left_alone(source: str) -> None:
    assert _lacking(source) == {}


BASE = 'class Base:\n    def f(self) -> Audio:\n        """Return audio{}."""\n'
OVERRIDE = 'class Own(Base):\n    def f(self) -> Audio:\n        """Do that."""\n'


def test_a_method_may_leave_it_to_its_base() -> None:
    said, unsaid = BASE.format(", shape (channels, frames), float32"), BASE.format("")
    assert _lacking(said + OVERRIDE) == {"Base.f": (), "Own.f": ()}
    assert _lacking(unsaid + OVERRIDE) == {"Base.f": ("return",), "Own.f": ("return",)}
    assert _lacking("from a import Base\n" + OVERRIDE, a=said) == {"Own.f": ()}
    assert _lacking("from a import Base\n" + OVERRIDE, a=unsaid) == {"Own.f": ("return",)}
    assert _lacking("from elsewhere import Base\n" + OVERRIDE) == {"Own.f": ("return",)}
