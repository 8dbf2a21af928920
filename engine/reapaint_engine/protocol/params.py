"""Every parameter of a request, once, with its texts and limits.

The message, the command line's flags, the HTTP inputs, the web page and the dialogs in REAPER
are all made from ``RequestParams``: a new parameter is a new field here.
"""

import dataclasses
import math
import types
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_type_hints

from reapaint_engine.protocol.errors import ErrorCode, ProtocolError
from reapaint_engine.protocol.integers import Int64

AUTO = "auto"
"""Value of a backend, model, device or mode that leaves the choice to the engine."""

MAX_SEED = 2**32 - 1
MAX_TAKES = 16
DEFAULT_CROSSFADE_S = 0.03
MAX_PROMPT_CHARACTERS = 10_000
MAX_NAME_CHARACTERS = 200
MAX_PATH_CHARACTERS = 4096
"""Longest path that Linux allows: a model may be named by its folder."""

SchemaType = Literal["string", "integer", "number", "boolean"]
SCHEMA_TYPES: dict[type, SchemaType] = {
    str: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
}

_KEY = "parameter"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One parameter: its texts for the user, and its limits.

    ``name``, ``type``, ``is_optional`` and ``default`` are those of the described field;
    ``parameters`` fills them in.
    """

    title: str
    """The label of an input, such as ``Steps``."""
    meaning: str
    """Its effect, as one phrase without a full stop."""
    code: ErrorCode = ErrorCode.INVALID_FIELD
    """The error code of a value that is out of range."""
    low: float | None = None
    high: float | None = None
    """The lowest and highest number; both are allowed."""
    max_characters: int | None = None
    unit: str = ""
    """The unit of a number, such as ``seconds``."""
    if_open: str = ""
    """What is used where an optional parameter is None; a word or two."""
    needs_backend: bool = False
    """Whether it has an effect only with a backend that honours it."""
    name: str = ""
    type: type = str
    is_optional: bool = False
    default: str | float | bool | None = None

    @property
    def short_name(self) -> str:
        """Return the name without its unit, as flags and HTTP fields have it."""
        return self.name.removesuffix("_s")

    @property
    def schema_type(self) -> SchemaType:
        """Return the type's name in JSON Schema."""
        return SCHEMA_TYPES[self.type]

    @property
    def full_title(self) -> str:
        """Return the title with its unit."""
        return f"{self.title} in {self.unit}" if self.unit else self.title

    @property
    def range_text(self) -> str:
        """Return the limits of a number, such as ``1 to 100``; empty where there are none."""
        return "" if self.high is None else f"{self.low:g} to {self.high:.10g}"

    def allows(self, value: str | float) -> bool:
        """Return whether a value is within the limits; NaN and infinity never are."""
        if isinstance(value, str):
            return self.max_characters is None or len(value) <= self.max_characters
        if self.low is None or self.high is None:
            return math.isfinite(value)
        return self.low <= value <= self.high


def parameter(default: Any, **words: Any) -> Any:
    """Return a dataclass field that is a parameter; ``words`` are those of ``Parameter``."""
    return dataclasses.field(default=default, metadata={_KEY: Parameter(**words)})


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestParams:
    """All parameters that a user can choose; None leaves the choice to the engine."""

    prompt: str = parameter(
        "",
        title="Prompt",
        meaning="what should be there; empty = what fits the sound around it",
        code=ErrorCode.INVALID_PROMPT,
        max_characters=MAX_PROMPT_CHARACTERS,
        needs_backend=True,
    )
    negative_prompt: str = parameter(
        "",
        title="Negative prompt",
        meaning="what to avoid",
        code=ErrorCode.INVALID_PROMPT,
        max_characters=MAX_PROMPT_CHARACTERS,
        needs_backend=True,
    )
    takes: Int64 = parameter(
        1,
        title="Takes",
        meaning="how many variations to make",
        code=ErrorCode.INVALID_TAKES,
        low=1,
        high=MAX_TAKES,
    )
    strength: float = parameter(
        1.0,
        title="Strength",
        meaning="1 repaints, less keeps more of what was there",
        code=ErrorCode.INVALID_STRENGTH,
        low=0,
        high=1,
        needs_backend=True,
    )
    seed: Int64 | None = parameter(
        None,
        title="Seed",
        meaning="the same seed gives the same sound; take k has seed + k",
        code=ErrorCode.INVALID_SEED,
        low=0,
        high=MAX_SEED,
        if_open="new",
    )
    backend: str | None = parameter(
        None,
        title="Backend",
        meaning="what fills the selection",
        max_characters=MAX_NAME_CHARACTERS,
        if_open="the engine's",
    )
    model: str | None = parameter(
        None,
        title="Model",
        meaning="which model; it tells the backend",
        max_characters=MAX_PATH_CHARACTERS,
        if_open="the engine's",
    )
    mode: str = parameter(
        AUTO,
        title="Mode",
        meaning="how the backend goes about it",
        max_characters=MAX_NAME_CHARACTERS,
    )
    steps: Int64 | None = parameter(
        None,
        title="Steps",
        meaning="how many steps a model takes",
        code=ErrorCode.INVALID_STEPS,
        low=1,
        high=100,
        if_open="the model's",
        needs_backend=True,
    )
    guidance: float | None = parameter(
        None,
        title="Guidance",
        meaning="how closely a model follows the prompt",
        code=ErrorCode.INVALID_GUIDANCE,
        low=0,
        high=25,
        if_open="the model's",
        needs_backend=True,
    )
    crossfade_s: float | None = parameter(
        None,
        title="Crossfade",
        meaning="how long old and new sound play together at each edge, inside the selection;"
        " at most a quarter of it",
        code=ErrorCode.INVALID_CROSSFADE,
        low=0,
        high=10,
        unit="seconds",
        if_open=f"{DEFAULT_CROSSFADE_S:g}",
    )
    match_level: bool = parameter(
        True,
        title="Match the level",
        meaning="bring the new sound to the level of what is around it",
    )
    max_cost: float | None = parameter(
        None,
        title="Highest cost",
        meaning="what a job may cost; a hosted service that would cost more is not called",
        code=ErrorCode.INVALID_COST,
        low=0,
        high=1e6,
        unit="USD",
        if_open="no limit",
    )


def parameters(params: type[RequestParams] = RequestParams) -> Mapping[str, Parameter]:
    """Return a class's parameters by name, in the order of its fields."""
    hints = get_type_hints(params)
    return {
        each.name: dataclasses.replace(
            each.metadata[_KEY],
            name=each.name,
            type=_plain_type(hints[each.name]),
            is_optional=types.NoneType in get_args(hints[each.name]),
            default=each.default,
        )
        for each in dataclasses.fields(params)
        if _KEY in each.metadata
    }


def chosen_from(params: RequestParams) -> dict[str, Any]:
    """Return the values of the parameters of ``RequestParams`` itself, by name."""
    return {name: getattr(params, name) for name in parameters()}


def check_params(params: RequestParams) -> None:
    """Raise ProtocolError if a parameter is out of its limits.

    Raises
    ------
    ProtocolError
        A parameter is out of its limits; the code is that of the first one.
    """
    for name, each in parameters(type(params)).items():
        value = getattr(params, name)
        if isinstance(value, str) and not _is_text(value):
            raise ProtocolError(
                each.code,
                f"The {each.title.lower()} is in another encoding than this system's.",
                hint="Give it in UTF-8.",
            )
        if value is None or each.allows(value):
            continue
        if each.type is str:
            raise ProtocolError(
                each.code,
                f"The {each.title.lower()} has {len(value)} characters;"
                f" at most {each.max_characters} are allowed.",
                hint="Shorten it.",
            )
        raise ProtocolError(
            each.code,
            f"{each.full_title} must be between {each.low:g} and {each.high:.10g},"
            f" not {value:.10g}.",
            hint="Choose a value in that range.",
        )


def _is_text(value: str) -> bool:
    """Return whether text is valid: Python turns undecodable bytes into lone surrogates."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _plain_type(hint: Any) -> Any:
    return next((each for each in get_args(hint) if each is not types.NoneType), hint)
