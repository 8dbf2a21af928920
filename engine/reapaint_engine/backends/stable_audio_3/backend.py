"""The backend: which model a job wants, in memory when it is needed."""

import importlib.util
import logging
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from reapaint_engine.backends.base import Backend, Generation, GenerationParams, JobControl, Window
from reapaint_engine.backends.stable_audio_3.checkpoint.adapters import open_adapter
from reapaint_engine.backends.stable_audio_3.checkpoint.catalog import (
    INSTALL_COMMAND,
    MODELS,
    find_model,
)
from reapaint_engine.backends.stable_audio_3.checkpoint.checkpoint import open_checkpoint
from reapaint_engine.backends.stable_audio_3.checkpoint.errors import not_installed
from reapaint_engine.backends.stable_audio_3.checkpoint.naming import (
    ModelName,
    is_path,
    parse_model,
)
from reapaint_engine.backends.stable_audio_3.checkpoint.settings import (
    MIN_TRAINED_LATENTS,
    CodecShape,
)
from reapaint_engine.backends.stable_audio_3.checkpoint.sizing import sizes_of
from reapaint_engine.backends.stable_audio_3.checkpoint.store import (
    Installed,
    find_installed,
    models_folder,
)
from reapaint_engine.backends.stable_audio_3.device.placement import DevicePlan, plan_device
from reapaint_engine.backends.stable_audio_3.inference.choosing import choose
from reapaint_engine.backends.stable_audio_3.inference.geometry import HEADROOM_S
from reapaint_engine.backends.stable_audio_3.inference.holder import ModelHolder
from reapaint_engine.backends.stable_audio_3.options import StableAudioOptions
from reapaint_engine.errors import BackendUnavailable, JobError
from reapaint_engine.protocol.errors import THE_PATH, ErrorCode, ReaPaintError
from reapaint_engine.protocol.messages import BackendInfo
from reapaint_engine.protocol.params import AUTO
from reapaint_engine.protocol.progress import OnFraction

if TYPE_CHECKING:
    # It loads torch, which takes seconds that only the model's users should wait.
    from reapaint_engine.backends.stable_audio_3.inference.pipeline import LoadedModel

NAME = "stable-audio-3"
SAMPLE_RATE = 44100
CHANNELS = 2
TRAINED_S = MIN_TRAINED_LATENTS * CodecShape().hop / SAMPLE_RATE
PACKAGES = ("torch", "diffusers", "transformers", "safetensors")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Found:
    """The model of one job: where it lies, how results call it, and why it was chosen."""

    folder: Path
    name: str
    notes: tuple[str, ...] = ()


class StableAudio3Backend(Backend):
    """Fills spans by Stable Audio 3's own inpainting."""

    def __init__(
        self, options: StableAudioOptions | None = None, *, opens_folders: bool = True
    ) -> None:
        """``opens_folders`` says whether a request may name a folder of this machine."""
        self._options = options or StableAudioOptions()
        self._opens_folders = opens_folders
        # Before torch is there, which reads it once. By default its threads turn while they
        # wait for each other, and take the core that the other needs where a DAW is at work:
        # a step then takes more than twice as long. Asleep they lose nothing.
        os.environ.setdefault("OMP_WAIT_POLICY", "passive")
        self._holder: ModelHolder[LoadedModel] = ModelHolder(
            self._load, idle_s=self._options.idle_s
        )
        self._plans: dict[str, DevicePlan] = {}

    @property
    def info(self) -> BackendInfo:
        """What it can do with the models that are here."""
        installed = [each.name for each in find_installed()]
        longest_s = max((find_model(name).longest_s for name in installed), default=120.0)
        default = self._options.model
        return BackendInfo(
            name=NAME,
            description="new sound by a model, from a prompt and the sound around it",
            models=tuple(dict.fromkeys([default, AUTO, *installed])),
            default_model=default,
            modes=(AUTO,),
            honours=(
                "prompt",
                "negative_prompt",
                "steps",
                "guidance",
                "seed",
                "takes",
                "strength",
            ),
            # A window that is too long for the model loses context, not the job.
            max_window_s=longest_s - HEADROOM_S,
            max_span_s=longest_s - HEADROOM_S,
            sample_rate=SAMPLE_RATE,
            channels=CHANNELS,
            preferred_window_s=TRAINED_S - HEADROOM_S,
            open_models=True,
        )

    def is_preferred(self) -> bool:
        """Whether a request that names no model can be done, as far as can be seen cheaply."""
        if _missing_package():
            return False
        if self._options.model != AUTO:
            return True
        return any(not find_model(each.name).is_base for each in find_installed())

    def start(self, *, is_default: bool) -> None:
        """Load the model that a job without a prompt would get, in the background."""
        if not is_default:
            return
        threading.Thread(target=self._preload, name="model chooser", daemon=True).start()

    def close(self) -> None:
        """Drop the model."""
        self._holder.close()

    def generate(
        self, window: Window, params: GenerationParams, seeds: Sequence[int], control: JobControl
    ) -> Generation:
        """Do what ``Backend.generate`` documents.

        Raises
        ------
        BackendUnavailable
            There is no model, no package to run it, or no device that does.
        JobError
            The model is unknown or broken, or the job is too large for it.
        """
        named = self._parse_name(params.model)
        found = self._find(named, params.prompt)
        adapters = [
            (open_adapter(self._find_adapter(each.name)), each.strength) for each in named.adapters
        ]
        with self._holder.borrow(found.folder, control) as model:
            model.use_adapters(adapters)
            generation = model.generate(window, params, seeds, control)
            notes = (
                *found.notes,
                *((f"{model.name}: {model.plan.reason}",) if found.notes else ()),
            )
        return replace(generation, model=_full_name(found.name, named), notes=notes)

    # Which model

    def _parse_name(self, text: str) -> ModelName:
        """Read a request's model; where it names none, the engine's own checkpoint is meant."""
        named, own = parse_model(text), parse_model(self._options.model)
        if named.checkpoint != AUTO:
            return named
        return replace(named, checkpoint=own.checkpoint, adapters=named.adapters or own.adapters)

    def _find(self, named: ModelName, prompt: str) -> _Found:
        check_packages()
        if named.is_folder:
            return self._find_folder(named.checkpoint)
        installed = {each.name: each for each in find_installed()}
        if named.checkpoint == AUTO:
            choice = choose(prompt, self._plan_all(installed))
            if choice.name is None:
                raise BackendUnavailable(ErrorCode.NO_MODEL, choice.reason, hint=_GET_ONE)
            return _Found(installed[choice.name].folder, choice.name, (choice.reason,))
        model = find_model(named.checkpoint)
        if model.name not in installed:
            raise BackendUnavailable.of(not_installed(model.name))
        return _Found(installed[model.name].folder, model.name)

    def _find_folder(self, text: str) -> _Found:
        is_own = text == parse_model(self._options.model).checkpoint
        if not (self._opens_folders or is_own):
            raise _not_by_name(
                "folder", "Name an installed model, or start the engine with `--model DIR`."
            )
        folder = Path(text).expanduser()
        if not folder.is_dir():
            raise JobError(
                ErrorCode.UNKNOWN_MODEL,
                f"There is no folder {THE_PATH} for the engine.",
                hint="Name the folder of a model's files, as the engine's machine has it.",
                path=text,
            )
        return _Found(folder, text)

    def _find_adapter(self, name: str) -> Path:
        """Return an adapter's file: one of ours by its name, or any by its path."""
        if is_path(name) and not self._opens_folders:
            raise _not_by_name(
                "file",
                f"Put the adapter into {THE_PATH} on the engine's machine.",
                adapters_folder(),
            )
        ours = adapters_folder() / name
        with_suffix = adapters_folder() / f"{name}.safetensors"
        places = [Path(name).expanduser()] if is_path(name) else [ours, with_suffix]
        for place in places:
            if place.exists():
                return place
        raise JobError(
            ErrorCode.UNKNOWN_MODEL,
            f"There is no adapter {name}.",
            hint=f"Put its .safetensors file into {THE_PATH}, or name it by its path.",
            path=adapters_folder(),
        )

    def _plan_all(self, installed: dict[str, Installed]) -> dict[str, DevicePlan]:
        """Return where each model would run, as it was before one of them took memory."""
        if self._holder.held is None or not self._plans.keys() >= installed.keys():
            self._plans = {
                name: plan_device(find_model(name).sizes, self._options.device)
                for name in installed
            }
        return {name: self._plans[name] for name in installed}

    # In the loader's threads

    def _preload(self) -> None:
        try:
            named = self._parse_name("")
            self._holder.preload(self._find(named, prompt="").folder)
        except ReaPaintError as error:
            _log.warning("no model is loaded: %s", error)

    def _load(self, folder: Path, on_progress: OnFraction) -> "LoadedModel":
        from reapaint_engine.backends.stable_audio_3.inference.pipeline import load_model

        checkpoint = open_checkpoint(folder)
        plan = plan_device(sizes_of(checkpoint), self._options.device)
        _log.info("loading %s. %s", folder, plan.reason)
        name = next((each.name for each in find_installed() if each.folder == folder), str(folder))
        return load_model(
            name, checkpoint, plan, on_progress, hide_replaced=self._options.hide_replaced
        )


def adapters_folder() -> Path:
    """Return where adapters are found by their names."""
    return models_folder() / "adapters"


_GET_ONE = f"NAME is one of: {', '.join(model.name for model in MODELS)}."


def _missing_package() -> str:
    return next((name for name in PACKAGES if importlib.util.find_spec(name) is None), "")


def check_packages() -> None:
    """Check that what models run on is installed.

    Raises
    ------
    BackendUnavailable
        ``no_model``: a package is missing.
    """
    missing = _missing_package()
    if missing:
        raise BackendUnavailable(
            ErrorCode.NO_MODEL,
            f"The model runs on packages that are not installed, such as {missing}.",
            hint=f"Install them with `{INSTALL_COMMAND}`, or choose --backend context.",
        )


def _full_name(name: str, named: ModelName) -> str:
    adapters = (f"+{each.name}={each.strength:g}" for each in named.adapters)
    return name + "".join(adapters)


def _not_by_name(kind: str, hint: str, path: Path | None = None) -> JobError:
    return JobError(
        ErrorCode.UNKNOWN_MODEL,
        f"An engine that other machines reach opens no {kind} by name.",
        hint=hint,
        path=path,
    )
