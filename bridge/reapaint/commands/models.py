"""``reapaint models``: what can fill a selection, and the models behind it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from reapaint.commands.terminal import Terminal
from reapaint.errors import BridgeCode, BridgeError, EngineUnavailable, InputError, JobFailed
from reapaint.link.client import EngineClient
from reapaint.link.in_process import InProcessEngine, engine_api
from reapaint.link.launcher import find_address
from reapaint_engine.protocol.errors import ErrorCode, ReaPaintError
from reapaint_engine.protocol.messages import BackendInfo, Welcome
from reapaint_engine.protocol.params import AUTO
from reapaint_engine.protocol.progress import OnBytes, OnProgress

_BAD_INPUT = (
    ErrorCode.UNKNOWN_MODEL,
    ErrorCode.NO_MODEL,
    ErrorCode.FILE_NOT_FOUND,
    ErrorCode.PACKAGE_MISSING,
    ErrorCode.MODEL_NOT_OURS,
)
_KINDS = {"sound effects": "sounds", "music and sound effects": "both"}
"""Short enough for a table."""
_BAD_OUTPUT = (ErrorCode.DISK_FULL, ErrorCode.OUTPUT_NOT_WRITABLE)


def show(endpoint: str | None, terminal: Terminal) -> None:
    """Show an engine's backends; without a named one, also the models of this machine."""
    welcome = _welcome(endpoint)
    rows = [_backend_row(info, welcome.default_backend) for info in welcome.backends]
    terminal.table("Backends", ("backend", "modes", "longest", "what it does"), rows)
    answer: dict[str, Any] = {
        "ok": True,
        "default_backend": welcome.default_backend,
        "backends": msgspec.to_builtins(welcome.backends),
    }
    if endpoint is None:
        with _failures():
            listed = engine_api.list_models()
        _show_local(listed, terminal)
        answer |= listed
    terminal.result(answer)


def get(name: str, folder: Path | None, terminal: Terminal) -> None:
    """Bring a model here, from the hub or from a folder."""
    with _failures():
        licence = engine_api.licence_of(name)
        terminal.say(f"Licence: {licence['licence']}; see {licence['page']}.")
        try:
            with terminal.progress() as on_progress:
                answer = engine_api.get_model(name, folder, _in_bytes(on_progress))
        except KeyboardInterrupt:
            terminal.warn(
                f"what has come of {licence['name']} is kept; the same command goes on from"
                " there, and `reapaint models remove` removes it."
            )
            raise
    model = answer["model"]
    how = "was here already" if answer["was_here"] else "is installed"
    terminal.say(f"{model['name']} {how}: {_gigabytes(model['size_bytes'])} in {model['folder']}.")
    terminal.result({"ok": True, **answer})


def verify(name: str | None, terminal: Terminal) -> None:
    """Compare models that are here with their checksums.

    Raises
    ------
    JobFailed
        ``model_broken``: a file is damaged or missing.
    """
    with _failures(), terminal.progress() as on_progress:
        answer = engine_api.verify_models(name, _in_bytes(on_progress))
    for model in answer["models"]:
        for damage in model["damage"]:
            terminal.warn(f"{model['name']}: {damage['path']} {damage['problem']}.")
    broken = [model for model in answer["models"] if model["damage"]]
    if broken:
        raise _broken(broken)
    for model in answer["models"]:
        terminal.say(f"{model['name']}: every file is as it was published.")
    if not answer["models"]:
        terminal.say("No model is installed.")
    terminal.result({"ok": True, **answer})


def remove(name: str, terminal: Terminal) -> None:
    """Remove a model of ours."""
    with _failures():
        answer = engine_api.remove_model(name)
    terminal.say(f"{answer['name']} is removed; that frees {_gigabytes(answer['freed_bytes'])}.")
    if answer["still_here"]:
        terminal.say(f"It is also in the Hugging Face cache, {answer['still_here']['folder']}.")
    terminal.result({"ok": True, **answer})


# Parts


def _welcome(endpoint: str | None) -> Welcome:
    """Return what the running engine can do, or this installation where none runs."""
    try:
        with EngineClient(find_address(endpoint)) as client:
            return client.welcome
    except EngineUnavailable as error:
        if endpoint is not None or error.code != BridgeCode.ENGINE_NOT_RUNNING:
            raise
        return InProcessEngine(AUTO).welcome


@contextmanager
def _failures() -> Iterator[None]:
    """Give a failure the exit code that is its kind's."""
    try:
        yield
    except BridgeError:
        raise
    except ReaPaintError as error:
        kind: type[BridgeError] = JobFailed
        if error.code in _BAD_INPUT:
            kind = InputError
        elif error.code in _BAD_OUTPUT:
            kind = BridgeError
        raise kind.of(error) from error


def _show_local(listed: dict[str, Any], terminal: Terminal) -> None:
    headings = ("model", "makes", "longest", "size", "here", "fits this machine")
    rows = [_model_row(model) for model in listed["models"]]
    terminal.table("Models of stable-audio-3", headings, rows)
    licence = listed["models"][0]["licence"]
    terminal.say(f"Licence of each: {licence}; to be read at its page, such as")
    terminal.say(f"{listed['models'][0]['page']}. `reapaint models get NAME` brings one here.")
    terminal.say("A base model is slow, obeys --guidance, and works only where it is named.")
    for reason in dict.fromkeys(m["plan"]["reason"] for m in listed["models"] if m["plan"]):
        terminal.say(f"Device: {reason}")
    if listed["device_problem"]:
        terminal.say(listed["device_problem"])
    terminal.say(f"Without --model and a prompt: {listed['chosen']['reason']}")


def _model_row(model: dict[str, Any]) -> tuple[str, ...]:
    return (
        model["name"],
        _KINDS.get(model["kind"], model["kind"]),
        f"{model['longest_s']:g} s",
        _gigabytes(model["download_bytes"]),
        _where(model),
        _fit(model["plan"]),
    )


def _where(model: dict[str, Any]) -> str:
    if model["installed"]:
        is_ours = model["installed"]["origin"] == "reapaint"
        return "yes" if is_ours else "in hub cache"
    return f"{_gigabytes(model['begun_bytes'])} so far" if model["begun_bytes"] else "no"


def _fit(plan: dict[str, Any] | None) -> str:
    if plan is None:
        return "not known"
    if not plan["fits"]:
        return f"no: needs {plan['needed_bytes'] / 2**30:.1f} GiB"
    return f"{plan['device']}, {plan['model_dtype']}"


def _backend_row(info: BackendInfo, default: str) -> tuple[str, ...]:
    return (
        info.name + (" (default)" if info.name == default else ""),
        ", ".join(info.modes),
        f"{info.max_span_s:g} s",
        info.description,
    )


def _broken(broken: list[dict[str, Any]]) -> JobFailed:
    names = " and ".join(model["name"] for model in broken)
    files = ", ".join(damage["path"] for model in broken for damage in model["damage"])
    ours = [model["name"] for model in broken if model["origin"] == "reapaint"]
    hint = (
        f"Run `reapaint models get {ours[0]}`: only what is damaged is brought again."
        if ours
        else "Repair the Hugging Face cache with `hf cache verify`, or download it there again."
    )
    return JobFailed(
        ErrorCode.MODEL_BROKEN,
        f"Of {names} these files are damaged or missing: {files}.",
        hint=hint,
    )


def _in_bytes(on_progress: OnProgress) -> OnBytes:
    def show_bytes(what: str, done: int, total: int) -> None:
        text = f"{what} {done / 1e9:.2f} of {_gigabytes(total)}"
        on_progress(text, done / total if total else 1.0)

    return show_bytes


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"
