"""What a person may ask for: every parameter of a request once, with its words and limits.

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
"""The value of a backend, a model, a device or a mode that leaves the choice to the engine."""

MAX_SEED = 2**32 - 1
MAX_TAKES = 16
DEFAULT_CROSSFADE_S = 0.03
MAX_PROMPT_CHARACTERS = 10_000
MAX_NAME_CHARACTERS = 200
MAX_PATH_CHARACTERS = 4096
"""What Linux allows a path to have: a model may be named by its folder."""

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
    """One parameter: how it is shown to a person, and what it may be.

    ``name``, ``type``, ``is_optional`` and ``default`` are those of the field that it describes;
    ``parameters`` fills them in.
    """

    title: str
    """What stands before an input, such as ``Steps``."""
    meaning: str
    """What it does, as one phrase without a full stop."""
    code: ErrorCode = ErrorCode.INVALID_FIELD
    """The error of a value that is out of range."""
    low: float | None = None
    high: float | None = None
    """The least and the most that a number may be; both are allowed."""
    max_characters: int | None = None
    unit: str = ""
    """Of a number, such as ``seconds``."""
    if_open: str = ""
    """What is taken where an optional one is left open; a word or two."""
    needs_backend: bool = False
    """Whether it has an effect only with a backend that honours it."""
    name: str = ""
    type: type = str
    is_optional: bool = False
    default: str | float | bool | None = None

    @property
    def short_name(self) -> str:
        """The name without its unit, as flags and HTTP fields have it."""
        return self.name.removesuffix("_s")

    @property
    def schema_type(self) -> SchemaType:
        """The type as JSON Schema calls it."""
        return SCHEMA_TYPES[self.type]

    @property
    def full_title(self) -> str:
        """The title with its unit."""
        return f"{self.title} in {self.unit}" if self.unit else self.title

    @property
    def range_text(self) -> str:
        """The limits of a number, such as ``1 to 100``; empty where there are none."""
        return "" if self.high is None else f"{self.low:g} to {self.high:.10g}"

    def allows(self, value: str | float) -> bool:
        """Tell whether a value is within the limits; NaN and infinity never are."""
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
    """All that a person chooses and an engine honours; None leaves it to the engine."""

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
    """Return a class's parameters by their names, in the order they are written in."""
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
    """Return the values of ``RequestParams``' own parameters, by their names."""
    return {name: getattr(params, name) for name in parameters()}


def check_params(params: RequestParams) -> None:
    """Refuse parameters that are out of their limits.

    Raises
    ------
    ProtocolError
        With the code of the first that is.
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
                f" {each.max_characters} are the most.",
                hint="Shorten it.",
            )
        raise ProtocolError(
            each.code,
            f"{each.full_title} must be between {each.low:g} and {each.high:.10g},"
            f" not {value:.10g}.",
            hint="Choose a value in that range.",
        )


def _is_text(value: str) -> bool:
    """Tell whether text came whole: bytes that Python could not read stand as lone surrogates."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _plain_type(hint: Any) -> Any:
    return next((each for each in get_args(hint) if each is not types.NoneType), hint)
