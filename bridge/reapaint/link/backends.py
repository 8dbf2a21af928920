"""Which of an engine's backends does a job, and whether it can do what is asked."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from reapaint.errors import InputError
from reapaint.request_settings import RequestSettings
from reapaint_engine.protocol.errors import ErrorCode, unknown_choice
from reapaint_engine.protocol.messages import BackendInfo, Welcome


def choose_backend(
    settings: RequestSettings, welcome: Welcome
) -> tuple[RequestSettings, BackendInfo]:
    """Return the backend that does a job, and the settings as the engine understands them.

    A model says by itself which backend it is for. Where no other backend has it, it may be
    one that the backend alone knows, such as a folder; that is named from the root on, for
    an engine works in a folder of its own.

    Raises
    ------
    InputError
        ``unknown_backend``, ``unknown_model`` or ``unknown_mode``: with what there is.
    """
    backends = {backend.name: backend for backend in welcome.backends}
    name = settings.backend or _backend_of(settings.model, welcome)
    _check_choice(ErrorCode.UNKNOWN_BACKEND, "backend", name, tuple(backends))
    backend = backends[name]
    if settings.model is not None and backend.open_models:
        if settings.model not in backend.models:
            settings = replace(settings, model=_rooted(settings.model))
    elif settings.model is not None:
        _check_choice(ErrorCode.UNKNOWN_MODEL, "model", settings.model, backend.models)
    _check_choice(ErrorCode.UNKNOWN_MODE, "mode", settings.mode, backend.modes)
    if settings.model is not None:
        # Who names a model asks for its backend, also where that is the default.
        settings = replace(settings, backend=name)
    return settings, backend


def _backend_of(model: str | None, welcome: Welcome) -> str:
    if model is None:
        return welcome.default_backend
    checkpoint = model.split("+")[0]
    has_it = (each.name for each in welcome.backends if {model, checkpoint} & set(each.models))
    is_open = (each.name for each in welcome.backends if each.open_models)
    return next(has_it, None) or next(is_open, None) or welcome.default_backend


def _rooted(model: str) -> str:
    """Return a model's name with its files and folders named from the root on."""
    if Path(model).is_dir():
        return str(Path(model).absolute())
    return "+".join(_rooted_piece(piece) for piece in model.split("+"))


def _rooted_piece(piece: str) -> str:
    name, equals, strength = piece.partition("=")
    if not Path(name).exists():
        return piece
    return f"{Path(name).absolute()}{equals}{strength}"


def _check_choice(code: ErrorCode, kind: str, name: str, choices: Sequence[str]) -> None:
    if name not in choices:
        raise InputError.of(unknown_choice(code, kind, name, choices))
