"""The action list: REAPER's own actions by id, toggle states, registered scripts."""

# ruff: noqa: N802 - functions bear the names that Lua calls them by

from collections.abc import Callable
from pathlib import Path

from scipy.io import wavfile

from tests.reaper_sim.api.items import selected
from tests.reaper_sim.calls import Caller, provides
from tests.reaper_sim.model import Item, Project, Take
from tests.reaper_sim.signatures import native_actions
from tests.reaper_sim.split import heal
from tests.reaper_sim.window import Dialog

Action = Callable[[Caller, Project], bool]
"""Does it, and says whether the project was changed."""

ACTIONS: dict[int, Action] = {}
LOCKING = 1135
TOGGLES = {
    40912: 40912,
    40041: 40041,
    41117: 41117,
    1156: 1156,
    41990: 41990,
    41991: 41991,
    LOCKING: LOCKING,
}
SETTERS = {
    40927: (40912, 1),
    40928: (40912, 0),
    41120: (41117, 1),
    41121: (41117, 0),
    40569: (LOCKING, 1),
    40570: (LOCKING, 0),
}
FIRST_SCRIPT = 55000
RENDER_MS = 50.0


def action(*ids: int) -> Callable[[Action], Action]:
    """Register what an action of REAPER's does."""

    def register(function: Action) -> Action:
        for each in ids:
            ACTIONS[each] = function
        return function

    return register


@provides
def Main_OnCommandEx(caller: Caller, command: int, flag: int, project: Project) -> None:
    sim = caller.sim
    if command in sim.commands:
        sim.launch_nested(sim.commands[command])
        return
    if command in TOGGLES:
        sim.options[command] = 1 - sim.options.get(command, 0)
        return
    if command in SETTERS:
        option, state = SETTERS[command]
        sim.options[option] = state
        return
    function = ACTIONS.get(command)
    if function is None:
        what = native_actions().get(command, "unknown to it")
        raise sim.fail(f"the double does not provide action {command} ({what})", caller.script)
    if function(caller, project):
        caller.edits(project)
        history = sim.history(project)
        if history.depth == 0:
            # An action of REAPER's makes its own undo point, unless a block holds it.
            history.add(native_actions().get(command, str(command)))


@provides
def Main_OnCommand(caller: Caller, command: int, flag: int) -> None:
    Main_OnCommandEx(caller, command, flag, caller.project)


@provides
def GetToggleCommandStateEx(caller: Caller, section: int, command: int) -> int:
    sim = caller.sim
    if command in sim.commands:
        return sim.script_states.get(command, -1)
    return sim.options.get(command, 0 if command in TOGGLES else -1)


@provides
def GetToggleCommandState(caller: Caller, command: int) -> int:
    return int(GetToggleCommandStateEx(caller, 0, command))


@provides
def SetToggleCommandState(caller: Caller, section: int, command: int, state: int) -> bool:
    """B11 (D): only a script's own ids."""
    if command not in caller.sim.commands:
        caller.sim.blame(f"SetToggleCommandState of {command}, no script's id", caller.script)
        return False
    caller.sim.script_states[command] = state
    return True


@provides
def RefreshToolbar2(caller: Caller, section: int, command: int) -> None:
    caller.sim.redraws["RefreshToolbar2"] += 1


@provides
def RefreshToolbar(caller: Caller, command: int) -> None:
    caller.sim.redraws["RefreshToolbar2"] += 1


@provides
def AddRemoveReaScript(caller: Caller, add: bool, section: int, path: str, commit: bool) -> int:
    """B11 (D): an id that holds for this instance."""
    host = Path(caller.sim.files.to_host(path))
    if add:
        return caller.sim.register(host) if host.is_file() else 0
    caller.sim.commands = {k: v for k, v in caller.sim.commands.items() if v != host}
    return 0


def _name(path: Path) -> str:
    return "RS" + f"{hash(str(path)) & 0xFFFFFFFFFFFF:040x}"


@provides
def ReverseNamedCommandLookup(caller: Caller, command: int) -> str | None:
    """Without the underscore (D)."""
    path = caller.sim.commands.get(command)
    return _name(path) if path else None


@provides
def NamedCommandLookup(caller: Caller, name: str) -> int:
    for command, path in caller.sim.commands.items():
        if name.removeprefix("_") == _name(path):
            return command
    return 0


@provides
def CountActionShortcuts(caller: Caller, section: object, command: int) -> int:
    return 0


# What REAPER's own actions do -------------------------------------------------------------------


@action(40029)
def undo(caller: Caller, project: Project) -> bool:
    caller.sim.history(project).undo()
    return False


@action(40030)
def redo(caller: Caller, project: Project) -> bool:
    caller.sim.history(project).redo()
    return False


@action(40289)
def unselect_all(caller: Caller, project: Project) -> bool:
    for item in project.items:
        item.selected = False
    return True


@action(40182)
def select_all(caller: Caller, project: Project) -> bool:
    for item in project.items:
        item.selected = True
    return True


@action(40717)
def select_in_time_selection(caller: Caller, project: Project) -> bool:
    start, end = project.time_selection
    for item in project.items:
        item.selected = item.position < end and start < item.end
    return True


@action(40290)
def time_selection_from_items(caller: Caller, project: Project) -> bool:
    items = selected(project)
    if items:
        span = min(item.position for item in items), max(item.end for item in items)
        project.time_selection = project.loop_points = span
    return False


@action(40635)
def remove_time_selection(caller: Caller, project: Project) -> bool:
    project.time_selection = project.loop_points = (0.0, 0.0)
    return False


def _step(item: Item, step: int) -> None:
    if item.takes:
        item.active = (item.active + step) % len(item.takes)


@action(40125)
def next_take(caller: Caller, project: Project) -> bool:
    for item in selected(project):
        _step(item, 1)
    return True


@action(40126)
def previous_take(caller: Caller, project: Project) -> bool:
    for item in selected(project):
        _step(item, -1)
    return True


def _drop(item: Item, take: Take | None) -> None:
    index = next(i for i, each in enumerate(item.takes) if each is take)
    del item.takes[index]
    if take is not None:
        take.kill()


@action(40131)
def crop_to_active_take(caller: Caller, project: Project) -> bool:
    for item in selected(project):
        keep = item.take
        for take in [take for take in item.takes if take is not keep]:
            _drop(item, take)
        item.active = 0
    return True


@action(40129)
def delete_active_take(caller: Caller, project: Project) -> bool:
    for item in selected(project):
        _drop(item, item.take)
        item.active = max(0, min(item.active, len(item.takes) - 1))
        if not item.takes:
            project.delete_item(item)
    return True


@action(40548)
def heal_splits(caller: Caller, project: Project) -> bool:
    items = selected(project)
    return bool(items) and heal(items) > 0


@action(40047, 40245, 40441, 40048)
def build_peaks(caller: Caller, project: Project) -> bool:
    for take in project.takes:
        if take.source is not None:
            take.source.has_peaks = True
    return False


def _set_online(items: list[Item], is_online: bool) -> None:
    for item in items:
        for take in item.takes:
            if take is not None and take.source is not None:
                take.source.is_offline = not is_online


@action(40100, 40440)
def offline(caller: Caller, project: Project) -> bool:
    _set_online(project.items, is_online=False)
    return False


@action(40101, 40439)
def online(caller: Caller, project: Project) -> bool:
    _set_online(project.items, is_online=True)
    return False


@action(1007)
def play(caller: Caller, project: Project) -> bool:
    project.play_state = 1
    return False


@action(1016)
def stop(caller: Caller, project: Project) -> bool:
    project.play_state = 0
    return False


@action(1008)
def pause(caller: Caller, project: Project) -> bool:
    project.play_state = 2
    return False


@action(42431)
def fixed_lanes(caller: Caller, project: Project) -> bool:
    for track in project.tracks:
        if track.selected:
            track.set_lanes(1)
    return True


@action(40859)
def new_tab(caller: Caller, project: Project) -> bool:
    caller.sim.new_project(None).opened_by = caller.script
    return False


@action(40860)
def close_tab(caller: Caller, project: Project) -> bool:
    """Asks whether to save what was changed, in a modal window."""
    if project.is_dirty:
        dialog = Dialog("save", "REAPER", "Save changes?")
        if caller.sim.dialogs.show(dialog, caller.script) is None:
            return False
    caller.sim.close_project(project)
    return False


@action(42230)
def render_project(caller: Caller, project: Project) -> bool:
    """Write what the project's own settings ask for; no deferred function runs meanwhile (I)."""
    start, end = (project.info.get(f"RENDER_{name}", 0.0) for name in ("STARTPOS", "ENDPOS"))
    folder = Path(caller.sim.files.to_host(project.strings["RENDER_FILE"]))
    path = folder / f"{project.strings['RENDER_PATTERN']}.wav"
    wavfile.write(path, int(project.sample_rate), caller.sim.render(start, end).T)
    caller.script.api_ms += RENDER_MS
    return False
