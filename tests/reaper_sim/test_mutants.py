"""Deliberate faults in the project's Lua: the simulation must catch each of them.

Each mutant is a copy of the scripts with one piece of text changed. It must fail an
examination that the scripts themselves pass. A mutant whose text is no longer in the
scripts fails too: give it the new text.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.io import wavfile

from tests.reaper_sim.model import TakeEffect
from tests.reaper_sim.simulator import SCRIPTS, Item, Reaper, Switches
from tests.reaper_sim.spool_bridge import SpoolBridge

INPAINT = "ReaPaint_Inpaint time selection.lua"
PROMPT = "birds, wind"
SPAN = (96_601 / 48_000, 120_607 / 48_000)
"""On frames at 48 kHz, between them at 44.1 kHz."""
JOINS = 0.01
"""How much a join may differ where the crossfade sets in between two frames of the source; a
join that meets silence instead of its neighbours differs more."""

MUTANTS = {
    "the new take starts elsewhere": (
        "offset = part_start_s + job.axis_shift_s - file.file_start_s",
        "offset = part_start_s + job.axis_shift_s",
    ),
    "the span is a millisecond late": (
        "spans = geometry.shifted(plan.spans, plan.axis_shift_s",
        "spans = geometry.shifted(plan.spans, plan.axis_shift_s + 0.001",
    ),
    "handles are forgotten": ("handles_s = plan.handles_s,\n", "handles_s = 0,\n"),
    "new edges fade": ("local NO_FADE = { 0, -1, 0, 0 }", "local NO_FADE = { 0.05, -1, 1, 0 }"),
    "cuts stay as the split left them": ("  square_cut(item, right, at_s)\n", ""),
    "refresh stays prevented": ("  reaper.PreventUIRefresh(-1)\n", ""),
    "the undo block stays open": (
        "    reaper.Undo_EndBlock2(proj, label, EDIT_UNDO_FLAGS)\n",
        "",
    ),
    "an undo flag is missing": ("UNDO_TRACKS | UNDO_ITEMS", "UNDO_TRACKS"),
    "the new take is not heard": (
        "  project.activate(project.find_take(first_guid, job.proj))\n",
        "",
    ),
    "volume and polarity are lost": ('{ "D_VOL", "D_PAN", "D_PANLAW",', '{ "D_PAN", "D_PANLAW",'),
    "effects are lost": ("reaper.TakeFX_CopyToTake(like, index, take, index, false)", ""),
    "the accessor stays": ("    reaper.DestroyAudioAccessor(reader.accessor)\n", ""),
    "samples are read in a coroutine": (
        "sound.read_on(job.reader)",
        "coroutine.wrap(function() return sound.read_on(job.reader) end)()",
    ),
    "results that find no place leak": ("    sound.destroy(take)\n", ""),
    "changed items are spliced blindly": (
        "    if a[key] ~= b[key] then\n      return false",
        "    if a[key] ~= b[key] then\n      return true",
    ),
    "recording does not hinder": (" or project.is_recording(proj) then", " then"),
    "commas end a prompt": (",extrawidth=300,separator=\\n", ",extrawidth=300"),
    "an action leaves an undo point": ("  leave_no_undo_point()\n  local ok", "  local ok"),
    "files are written as text": ('io.open(draft, "wb")', 'io.open(draft, "w")'),
    "REAPER waits for the bridge": ("M.command_line(found), -2)", "M.command_line(found), 0)"),
    "a function's name is misspelt": ("reaper.UpdateArrange()", "reaper.UpdateArange()"),
    "a key's name is misspelt": ('"D_SNAPOFFSET"', '"D_SNAPOFFS"'),
}


@pytest.fixture
def mutate(tmp_path: Path) -> Callable[[str, str], Path]:
    """Return a maker of script folders in which one text stands for another."""

    def make(old: str, new: str) -> Path:
        folder = tmp_path / "scripts"
        shutil.copytree(SCRIPTS, folder)
        found = 0
        for path in folder.rglob("*.lua"):
            text = path.read_text(encoding="utf-8")
            found += text.count(old)
            path.write_text(text.replace(old, new), encoding="utf-8")
        assert found, f"the scripts no longer hold {old!r}"
        return folder

    return make


def begin(sim: Reaper, path: Path, **settings: float) -> Item:
    item = sim.project.add_track().add_item(path, 1.0, 3.0, offset=2.5, **settings)
    item.selected = True
    sim.project.time_selection = SPAN
    sim.answer_inputs(lambda dialog: {dialog.captions[0]: PROMPT})
    return item


def wait_for_splice(sim: Reaper, bridge: SpoolBridge) -> None:
    for _ in range(60):
        bridge.step()
        sim.tick()
        if sim.undo_texts:
            break
    assert sim.undo_texts == [f"ReaPaint: {PROMPT}"]


def paint(sim: Reaper, path: Path, *, exact: bool, gain: float = 1.0, **settings: float) -> None:
    """Paint and listen: outside nothing changes, inside is what came, seams join."""
    bridge = SpoolBridge.installed(sim)
    item = begin(sim, path, **settings)
    if gain != settings.get("volume", 1.0):
        item.take.effects.append(TakeEffect(gain=gain / settings.get("volume", 1.0)))
    chunk, before = sim.chunk(), sim.render(0.0, 5.0)
    sim.run_action(INPAINT)
    wait_for_splice(sim, bridge)
    after = sim.render(0.0, 5.0)
    start, end = (round(edge * 48_000) for edge in SPAN)
    outside = np.r_[0:start, end : after.shape[1]]
    assert np.abs(after[:, outside] - before[:, outside]).max() <= (0.0 if exact else 1e-6)
    for edge in (start, end - 1):
        assert np.abs(after[:, edge] - before[:, edge]).max() <= (1e-7 if exact else JOINS)
    if exact:
        assert_heard(bridge, after[:, start:end], gain)
    sim.undo()
    assert sim.chunk() == chunk
    sim.redo()
    assert np.array_equal(sim.render(0.0, 5.0), after)


def assert_heard(bridge: SpoolBridge, inside: np.ndarray, gain: float) -> None:
    """Check that the painted file sounds, once through the take's volume and effects."""
    painted = wavfile.read(bridge.painted[0])[1].T
    request = bridge.requests[0]
    first = round(request["handles_s"] * 48_000)
    assert request["spans"][0]["start_s"] > request["handles_s"]
    expected = painted[:, first : first + inside.shape[1]] * gain
    np.testing.assert_allclose(inside, expected, atol=1e-6)


def examine(folder: Path, scripts: Path, record: Callable[..., Path]) -> None:
    """Run the scripts through worlds that fault-free ones survive."""
    stereo = record(8.0)
    harsh = Switches(split_edge_fades="default", accessor_extra_channels="untouched")
    with Reaper(folder / "a", scripts=scripts, windows=True, switches=harsh) as sim:
        sim.options[40912] = 1
        paint(sim, stereo, exact=True, volume=-0.5, gain=-0.25, snap_offset=0.5)
        assert sim.options[40912] == 1
        assert all(item.values["D_FADEINLEN"] == 0 for item in sim.project.items)
    with Reaper(folder / "b", scripts=scripts) as sim:
        paint(sim, record(8.0, rate=44_100, name="44.wav"), exact=False)
    with Reaper(folder / "c", scripts=scripts) as sim:
        paint(sim, stereo, exact=False, channel_mode=1)
    with Reaper(folder / "d", scripts=scripts) as sim:
        cancel(sim, stereo)
    with Reaper(folder / "e", scripts=scripts) as sim:
        change_meanwhile(sim, stereo)
    with Reaper(folder / "f", scripts=scripts) as sim:
        record_meanwhile(sim, stereo)


def cancel(sim: Reaper, path: Path) -> None:
    SpoolBridge.installed(sim)
    sim.project.add_track().add_item(path, 1.0).selected = True
    sim.project.time_selection = SPAN
    sim.tick()
    points = list(sim.history().texts)
    sim.answer_inputs(None)
    sim.run_action(INPAINT)
    sim.tick(3)
    assert sim.history().texts == points


def change_meanwhile(sim: Reaper, path: Path) -> None:
    """Move the item before the result comes: nothing may be spliced, nothing may leak."""
    bridge = SpoolBridge.installed(sim)
    item = begin(sim, path)
    sim.run_action(INPAINT)
    item.position = 1.25
    sim.tick()
    chunk = sim.chunk()
    bridge.run(10)
    assert sim.chunk() == chunk
    assert sim.undo_texts == []


def record_meanwhile(sim: Reaper, path: Path) -> None:
    bridge = SpoolBridge.installed(sim)
    begin(sim, path)
    sim.run_action(INPAINT)
    sim.project.play_state = 5
    bridge.run(10)
    assert sim.undo_texts == []
    sim.project.play_state = 0
    wait_for_splice(sim, bridge)


def test_the_scripts_pass_the_examination(tmp_path, record):
    examine(tmp_path, SCRIPTS, record)


@pytest.mark.slow
@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_is_caught(tmp_path, record, mutate, name):
    scripts = mutate(*MUTANTS[name])
    with pytest.raises((AssertionError, RuntimeError)):
        examine(tmp_path, scripts, record)
