"""The work of ``reapaint models`` on the checkpoints of this machine, as plain data."""

from pathlib import Path
from typing import Any

from reapaint_engine.backends.stable_audio_3.checkpoint.catalog import (
    LICENCE,
    MODELS,
    Model,
    find_model,
)
from reapaint_engine.backends.stable_audio_3.checkpoint.errors import not_installed
from reapaint_engine.backends.stable_audio_3.checkpoint.hub import HubSource
from reapaint_engine.backends.stable_audio_3.checkpoint.installing import (
    FolderSource,
    Source,
    install,
)
from reapaint_engine.backends.stable_audio_3.checkpoint.store import (
    Installed,
    Origin,
    begun_bytes,
    find_installed,
    find_one,
    models_folder,
    remove,
    verify,
)
from reapaint_engine.backends.stable_audio_3.device.placement import (
    DevicePlan,
    decide,
    probe_machine,
)
from reapaint_engine.backends.stable_audio_3.inference.choosing import choose
from reapaint_engine.protocol.errors import ReaPaintError
from reapaint_engine.protocol.progress import OnBytes


def list_models() -> dict[str, Any]:
    """Return every checkpoint: whether it is installed, and how it would run here.

    Where the packages to run models are not installed, ``plan`` of each is None, and
    ``device_problem`` says why.
    """
    plans, problem = _plan_all()
    installed = {each.name: each for each in find_installed()}
    models = [
        {
            "name": model.name,
            "kind": model.kind.value,
            "is_base": model.is_base,
            "longest_s": model.longest_s,
            "download_bytes": model.download_bytes,
            "licence": LICENCE,
            "page": model.page,
            "installed": _installed_as_data(installed.get(model.name)),
            "begun_bytes": begun_bytes(model.name),
            "plan": _plan_as_data(plans.get(model.name)),
        }
        for model in MODELS
    ]
    choice = choose("", {name: plan for name, plan in plans.items() if name in installed})
    return {
        "models_folder": str(models_folder()),
        "models": models,
        "device_problem": problem,
        "chosen": {"name": choice.name, "reason": choice.reason},
    }


def licence_of(name: str) -> dict[str, Any]:
    """Return a checkpoint's licence, its address, and the size of the download.

    Raises
    ------
    JobError
        ``unknown_model``.
    """
    model = find_model(name)
    return {
        "name": model.name,
        "licence": LICENCE,
        "page": model.page,
        "download_bytes": model.download_bytes,
    }


def get_model(name: str, folder: Path | None, on_progress: OnBytes) -> dict[str, Any]:
    """Install a checkpoint from the hub or a folder; the hub's cache counts as installed.

    Raises
    ------
    reapaint_engine.protocol.errors.ReaPaintError
        The checkpoint can't be installed; the error says why and what to do.
    """
    model = find_model(name)
    present = find_one(model.name)
    if folder is None and present is not None and present.origin is Origin.HUB_CACHE:
        return {"model": _installed_as_data(present), "was_here": True}
    installed = install(model, _source(model, folder), on_progress)
    return {"model": _installed_as_data(installed), "was_here": installed == present}


def verify_models(name: str | None, on_progress: OnBytes) -> dict[str, Any]:
    """Compare the files of one installed checkpoint, or of all, with their checksums.

    Raises
    ------
    JobError
        ``unknown_model``, or ``no_model`` where it is not here.
    """
    if name is None:
        wanted = find_installed()
    else:
        model = find_model(name)
        found = find_one(model.name)
        if found is None:
            raise not_installed(model.name)
        wanted = (found,)
    return {
        "models": [
            {
                **(_installed_as_data(each) or {}),
                "damage": [
                    {"path": damage.path, "problem": damage.problem}
                    for damage in verify(each, on_progress)
                ],
            }
            for each in wanted
        ]
    }


def remove_model(name: str) -> dict[str, Any]:
    """Remove a checkpoint that ReaPaint installed; see ``store.remove`` for the exceptions."""
    removed = remove(name)
    return {
        "name": find_model(name).name,
        "freed_bytes": removed.freed_bytes,
        "still_here": _installed_as_data(removed.cached),
    }


def _source(model: Model, folder: Path | None) -> Source:
    return HubSource(model) if folder is None else FolderSource(folder, model)


def _plan_all() -> tuple[dict[str, DevicePlan], str]:
    try:
        machine = probe_machine()
    except ReaPaintError as error:
        return {}, str(error)
    return {model.name: decide(model.sizes, machine) for model in MODELS}, ""


def _installed_as_data(installed: Installed | None) -> dict[str, Any] | None:
    if installed is None:
        return None
    return {
        "name": installed.name,
        "folder": str(installed.folder),
        "origin": installed.origin.value,
        "revision": installed.revision,
        "size_bytes": installed.size_bytes,
    }


def _plan_as_data(plan: DevicePlan | None) -> dict[str, Any] | None:
    if plan is None:
        return None
    return {
        "fits": plan.fits,
        "device": plan.device,
        "model_dtype": plan.model_dtype,
        "codec_dtype": plan.codec_dtype,
        "text_device": plan.text_device,
        "needed_bytes": plan.needed_bytes,
        "reason": plan.reason,
    }
