"""The kinds of items that every action must stand: each builds a workbench."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.reaper_scripts.workbench import Workbench, recording
from tests.reaper_sim.sources import FileSource, SectionSource

Build = Callable[..., Workbench]


def _item(media: dict[str, Any] | None = None, **item: Any) -> Build:
    """A workbench with one item; the selection lies from 2 to 2.6 s."""

    def build(folder: Path, **reaper: Any) -> Workbench:
        channels = (media or {}).get("channels", 2)
        rate = (media or {}).get("rate", 48000)
        audio = recording(channels=channels, rate=rate)
        bench = Workbench(folder, media=audio, rate=rate, item=item, **reaper)
        bench.select(2.0, 2.6)
        return bench

    return build


def _reverse_section(folder: Path, **reaper: Any) -> Workbench:
    bench = _item()(folder, **reaper)
    take = bench.item.take
    assert take is not None
    take.source = SectionSource(FileSource(bench.path), 0.5, 5.0, reverse=True)
    take.source.owner = take
    return bench


def _looped(folder: Path, **reaper: Any) -> Workbench:
    bench = Workbench(folder, media=recording(1.8), item={"loop": 1, "offset": 0.5}, **reaper)
    bench.select(2.0, 2.6)  # over the end of the first pass, at 2.3 s
    return bench


def _looped_second_pass(folder: Path, **reaper: Any) -> Workbench:
    bench = Workbench(folder, media=recording(1.5), item={"loop": 1, "offset": 0.5}, **reaper)
    bench.select(2.4, 3.0)
    return bench


def _stretched(folder: Path, **reaper: Any) -> Workbench:
    bench = _item()(folder, **reaper)
    take = bench.item.take
    assert take is not None
    take.stretch_markers = [(0.0, 0.0), (1.2, 1.5), (3.5, 3.7)]
    return bench


def _grouped(folder: Path, **reaper: Any) -> Workbench:
    bench = _item(group=3)(folder, **reaper)
    other = bench.sim.project.add_track("Other").add_item(bench.path, 1.0, 3.5, group=3)
    other.selected = False
    return bench


def _lanes(folder: Path, **reaper: Any) -> Workbench:
    bench = _item()(folder, **reaper)
    bench.track.set_lanes(2, {1})
    bench.item.values["I_FIXEDLANE"] = 1.0
    bench.add_item(offset=1.0, lane=0)
    return bench


def _overlapping(folder: Path, **reaper: Any) -> Workbench:
    bench = _item(length_s=2.0)(folder, **reaper)
    bench.add_item(position_s=2.7, length_s=2.0, offset=2.5)
    return bench


def _at_project_start(folder: Path, **reaper: Any) -> Workbench:
    bench = _item(position_s=0.0)(folder, **reaper)
    bench.select(0.0, 0.6)
    return bench


def _over_the_edge(folder: Path, **reaper: Any) -> Workbench:
    bench = _item()(folder, **reaper)
    bench.select(4.0, 5.0)
    return bench


def _two_items(folder: Path, **reaper: Any) -> Workbench:
    bench = _item(length_s=1.5)(folder, **reaper)
    second = bench.add_item(position_s=2.5, length_s=2.0, offset=3.0)
    second.selected = True
    bench.select(2.0, 3.0)
    return bench


def _unsaved(folder: Path, **reaper: Any) -> Workbench:
    return _item()(folder, saved=False, **reaper)


def _strange_path(folder: Path, **reaper: Any) -> Workbench:
    bench = Workbench(folder / "it's «été» 音", name="Möwe's \u201cRuf\u201d 音.wav", **reaper)
    bench.select(2.0, 2.6)
    return bench


PLAIN: dict[str, Build] = {
    "mono": _item({"channels": 1}),
    "stereo": _item(),
    "six channels": _item({"channels": 6}),
    "negative volume": _item(volume=-0.5),
    "fades": _item(fade_in=0.5, fade_out=1.0),
    "fade into the selection": _item(fade_in=1.4, fade_out=2.2),
    "offset": _item(offset=1.25),
    "grouped": _grouped,
    "fixed lanes": _lanes,
    "two overlapping items": _overlapping,
    "item at project start": _at_project_start,
    "selection over an item's edge": _over_the_edge,
    "two items": _two_items,
    "unsaved project": _unsaved,
    "path with spaces, quotes and letters": _strange_path,
    "looped, second pass": _looped_second_pass,
    "between two samples": _item(position_s=1.0 + 0.3 / 48000),
}
"""Items that play a file as it is, at the project's rate: bit-exact outside."""

OTHER_RATE: dict[str, Build] = {
    "44.1 in 48 kHz": _item({"rate": 44100}),
    "96 kHz": _item({"rate": 96000}),
}
"""Files that REAPER resamples."""

THROUGH_REAPER: dict[str, Build] = {
    "play rate 0.5": _item(rate=0.5),
    "play rate 1.5": _item(rate=1.5),
    "pitch": _item(pitch=3.0),
    "reverse section": _reverse_section,
    "looped": _looped,
    "stretch markers": _stretched,
    "left channel only": _item(channel_mode=3),
}
"""Items whose sound only REAPER's accessor gives."""

ALL = PLAIN | OTHER_RATE | THROUGH_REAPER
