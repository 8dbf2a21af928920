"""The paths that models are asked for by, and which backend of the engine each means."""

from dataclasses import dataclass, replace

from reapaint.http.errors import not_found, refusal_of
from reapaint_engine.protocol.errors import ErrorCode, unknown_choice
from reapaint_engine.protocol.messages import BackendInfo, Welcome
from reapaint_engine.protocol.params import AUTO

OWN_PREFIX = "reapaint/"

WAVESPEED_PATHS = ("stability-ai/stable-audio-3/audio-inpainting",)
EACHLABS_SLUGS = ("stable-audio-2-5-inpaint",)
FAL_APPS = (
    *(
        f"fal-ai/stable-audio-3/{place}/audio-inpainting"
        for place in (
            "medium",
            "medium/base",
            "small/music",
            "small/music/base",
            "small/sfx",
            "small/sfx/base",
        )
    ),
    "fal-ai/stable-audio-25/inpaint",
)
_ALIASES = frozenset((*WAVESPEED_PATHS, *EACHLABS_SLUGS, *FAL_APPS))


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """What a path means: None leaves it to the engine."""

    backend: str | None = None
    model: str | None = None
    is_alias: bool = False


def choose_model(
    path: str, backend: str | None, model: str | None, welcome: Welcome
) -> ModelChoice:
    """Return what a path means, with what a request's own fields say of it.

    A hosted model's path is done by whatever the engine would take: the best model that
    is here, else the sound around the selection. Only names that the engine itself lists
    are passed on: it would take others for folders of this machine.

    Raises
    ------
    Refused
        404: there is no such path; 400: no such backend or model.
    """
    if path in _ALIASES:
        choice = ModelChoice(backend, model, is_alias=True)
    elif path.startswith(OWN_PREFIX):
        named, _, variant = path.removeprefix(OWN_PREFIX).partition("/")
        if named not in (AUTO, *(each.name for each in welcome.backends)):
            raise _no_model(path, welcome)
        choice = ModelChoice(None if named == AUTO else named, variant or model)
        if named == AUTO:
            choice = ModelChoice(backend, variant or model)
    else:
        raise _no_model(path, welcome)
    return _checked(choice, welcome)


def without_paid(welcome: Welcome) -> Welcome:
    """Return what an engine can do without spending its owner's money."""
    return replace(welcome, backends=tuple(b for b in welcome.backends if not b.costs_money))


def model_paths(welcome: Welcome) -> list[str]:
    """Return every path that can be asked for, hosted models' first."""
    own = [f"{OWN_PREFIX}{AUTO}", *(f"{OWN_PREFIX}{each.name}" for each in welcome.backends)]
    return [*sorted(_ALIASES), *own]


def _checked(choice: ModelChoice, welcome: Welcome) -> ModelChoice:
    backends = {each.name: each for each in welcome.backends}
    if choice.backend is not None and choice.backend not in backends:
        refused = unknown_choice(ErrorCode.UNKNOWN_BACKEND, "backend", choice.backend, backends)
        raise refusal_of(refused, 400)
    if choice.model is None:
        return choice
    within = (backends[choice.backend],) if choice.backend else welcome.backends
    if not any(choice.model in each.models for each in within):
        refused = unknown_choice(ErrorCode.UNKNOWN_MODEL, "model", choice.model, _models_of(within))
        raise refusal_of(refused, 400)
    return choice


def _models_of(backends: tuple[BackendInfo, ...]) -> list[str]:
    return list(dict.fromkeys(model for each in backends for model in each.models))


def _no_model(path: str, welcome: Welcome) -> Exception:
    return not_found(
        f"model {path[:100]!r} here", f"Choose one of: {', '.join(model_paths(welcome))}."
    )
