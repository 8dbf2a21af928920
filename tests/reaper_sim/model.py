"""A project as REAPER holds it: tracks, items, takes, envelopes, and Lua's handles of them."""

import itertools
from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import ClassVar

import numpy as np

from reapaint_engine.protocol.arrays import Float64Array
from tests.reaper_sim.signatures import parameter_keys
from tests.reaper_sim.sources import FileSource, Source

_addresses = itertools.count(0x7F0000001000, 0x40)
_ids = itertools.count(1)


class Handle:
    """Anything Lua can hold a pointer to; dead ones are refused by every call."""

    type_name: ClassVar[str] = ""

    def __init__(self) -> None:
        self.alive = True
        self.address = next(_addresses)

    def __str__(self) -> str:
        return f"userdata: 0x{self.address:016x}"

    def __repr__(self) -> str:
        return f"<{self.type_name} {self.address:#x}{'' if self.alive else ' dead'}>"


_DEFAULTS: dict[str, dict[str, float]] = {
    "MediaItem": {
        "D_VOL": 1.0,
        "D_FADEINLEN_AUTO": -1.0,
        "D_FADEOUTLEN_AUTO": -1.0,
        "F_FREEMODE_H": 1.0,
        "C_BEATATTACHMODE": -1.0,
        "C_FADEINSHAPE": 1.0,
        "C_FADEOUTSHAPE": 1.0,
        "C_LANEPLAYS": 1.0,
    },
    "Take": {"D_VOL": 1.0, "D_PLAYRATE": 1.0, "D_PANLAW": -1.0, "I_PITCHMODE": -1.0},
    "Track": {"D_VOL": 1.0, "D_WIDTH": 1.0, "I_NCHAN": 2.0, "B_MAINSEND": 1.0, "I_FXEN": 1.0,
              "B_SHOWINMIXER": 1.0, "B_SHOWINTCP": 1.0, "D_PANLAW": -1.0, "I_PANMODE": -1.0,
              "I_NUMFIXEDLANES": 1.0},
}  # fmt: skip


def default_values(family: str) -> dict[str, float]:
    """Return every numeric key of a family with what a new object has in it."""
    keys = parameter_keys()[family]
    plain = [name for name, key in keys.items() if ":" not in name and not name.startswith("P_")]
    return {name: _DEFAULTS[family].get(name, 0.0) for name in plain}


def new_guid(random: Random) -> str:
    """Return a GUID in REAPER's form."""
    text = f"{random.getrandbits(128):032X}"
    return f"{{{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}}}"


@dataclass
class EnvelopePoint:
    """A point of an envelope, in seconds of its take or project."""

    time: float
    value: float
    shape: int = 0
    tension: float = 0.0
    selected: bool = False


class Envelope(Handle):
    """A take's or a track's envelope."""

    type_name = "TrackEnvelope"

    def __init__(self, name: str, parent: "Take | Track", points: list[EnvelopePoint]) -> None:
        super().__init__()
        self.name, self.parent, self.points = name, parent, points
        self.active = True

    def values_at(self, times: Float64Array) -> Float64Array:
        """Return the values at times, straight lines between points but after square ones."""
        points = sorted(self.points, key=lambda point: point.time)
        if not points:
            return np.full(len(times), 1.0 if "Volume" in self.name else 0.0)
        places = np.array([point.time for point in points])
        values = np.array([point.value for point in points])
        is_square = np.array([point.shape == 1 for point in points])
        left = np.maximum(np.searchsorted(places, times, side="right") - 1, 0)
        return np.where(is_square[left], values[left], np.interp(times, places, values))

    def value_at(self, time: float) -> float:
        """Return the value at one time."""
        return float(self.values_at(np.array([time]))[0])


@dataclass
class TakeEffect:
    """A take FX, as a gain and a polarity: enough to hear whether it is applied once."""

    name: str = "VST: ReaEQ (Cockos)"
    gain: float = 0.5
    enabled: bool = True


@dataclass
class TakeMarker:
    """A marker in a take, at a time of its source."""

    position: float
    name: str = ""
    colour: int = 0


class Take(Handle):
    """A take: a source and how it is played."""

    type_name = "MediaItem_Take"

    def __init__(self, item: "Item", guid: str) -> None:
        super().__init__()
        self.item = item
        self.guid = guid
        self.values = default_values("Take")
        self.name = ""
        self.ext: dict[str, str] = {}
        self.source: Source | None = None
        self.stretch_markers: list[tuple[float, float]] = []
        """(time in the item times the play rate, time in the source), sorted."""
        self.markers: list[TakeMarker] = []
        self.envelopes: dict[str, Envelope] = {}
        self.effects: list[TakeEffect] = []

    @property
    def track(self) -> "Track":
        """The track that the take's item is on."""
        return self.item.track

    @property
    def number(self) -> int:
        """The take's place in its item."""
        return next(i for i, take in enumerate(self.item.takes) if take is self)

    @property
    def offset(self) -> float:
        """D_STARTOFFS."""
        return self.values["D_STARTOFFS"]

    @property
    def rate(self) -> float:
        """D_PLAYRATE."""
        return self.values["D_PLAYRATE"]

    @property
    def path(self) -> Path | None:
        """The file that the take plays, also through a section."""
        source: Source | None = self.source
        while source is not None and not isinstance(source, FileSource):
            source = source.parent
        return source.path if source else None

    def add_envelope(self, name: str, *points: tuple[float, float]) -> Envelope:
        """Put an envelope on the take: name such as ``Volume``, points (seconds, value)."""
        envelope = Envelope(name, self, [EnvelopePoint(*point) for point in points])
        self.envelopes[name] = envelope
        return envelope

    def clone(self, item: "Item", guid: str) -> "Take":
        """Return a copy with its own source, for a split, an undo state or a duplicate."""
        other = Take(item, guid)
        other.values, other.name, other.ext = dict(self.values), self.name, dict(self.ext)
        other.stretch_markers = list(self.stretch_markers)
        other.markers = [copy(marker) for marker in self.markers]
        other.effects = [copy(effect) for effect in self.effects]
        for name, old in self.envelopes.items():
            new = Envelope(name, other, [copy(point) for point in old.points])
            new.active = old.active
            other.envelopes[name] = new
        if self.source is not None:
            other.source = self.source.clone()
            other.source.owner = other
        return other

    def kill(self) -> None:
        """Make every pointer to the take, its source and its envelopes invalid."""
        self.alive = False
        for envelope in self.envelopes.values():
            envelope.alive = False
        if self.source is not None:
            self.source.kill()


class Item(Handle):
    """A media item on a track."""

    type_name = "MediaItem"

    def __init__(self, track: "Track", guid: str) -> None:
        super().__init__()
        self.track = track
        self.guid = guid
        self.iid = next(_ids)
        self.values = default_values("MediaItem")
        self.notes = ""
        self.ext: dict[str, str] = {}
        self.takes: list[Take | None] = []
        """None is an empty take lane (TAKE NULL)."""
        self.active = 0

    @property
    def position(self) -> float:
        """D_POSITION."""
        return self.values["D_POSITION"]

    @position.setter
    def position(self, value: float) -> None:
        self.values["D_POSITION"] = value
        self.track.sort_items()

    @property
    def length(self) -> float:
        """D_LENGTH."""
        return self.values["D_LENGTH"]

    @length.setter
    def length(self, value: float) -> None:
        self.values["D_LENGTH"] = value

    @property
    def end(self) -> float:
        """Where the item ends in the project."""
        return self.position + self.length

    @property
    def selected(self) -> bool:
        """B_UISEL."""
        return bool(self.values["B_UISEL"])

    @selected.setter
    def selected(self, value: bool) -> None:
        self.values["B_UISEL"] = float(value)

    @property
    def take(self) -> Take | None:
        """The active take."""
        return self.takes[self.active] if self.active < len(self.takes) else None

    @property
    def lane(self) -> int:
        """I_FIXEDLANE."""
        return int(self.values["I_FIXEDLANE"])

    @property
    def plays(self) -> bool:
        """Whether the item's lane is one that is heard."""
        if self.track.values["I_FREEMODE"] != 2 or self.track.lanes_playing is None:
            return True
        return self.lane in self.track.lanes_playing

    def clone(self, *, track: "Track | None" = None, random: Random | None = None) -> "Item":
        """Return a copy; with ``random`` the copy and its takes get GUIDs of their own."""
        other = Item(track or self.track, new_guid(random) if random else self.guid)
        if random is None:
            other.iid = self.iid
        other.values, other.notes, other.ext = dict(self.values), self.notes, dict(self.ext)
        other.active = self.active
        other.takes = [
            take and take.clone(other, new_guid(random) if random else take.guid)
            for take in self.takes
        ]
        return other

    def kill(self) -> None:
        """Make every pointer to the item and what is in it invalid."""
        self.alive = False
        for take in self.takes:
            if take is not None:
                take.kill()

    def add_take(self, media: Path | str | Source | None, **settings: float) -> Take:
        """Add a take as a user would; settings are offset, rate, pitch, volume ..."""
        take = Take(self, new_guid(self.track.project.random))
        if media is not None:
            take.source = media if isinstance(media, Source) else FileSource(Path(media))
            take.source.owner = take
            take.name = Path(media).name if isinstance(media, str | Path) else ""
        for name, value in settings.items():
            take.values[_TAKE_SETTINGS[name]] = float(value)
        self.takes.append(take)
        return take


_TAKE_SETTINGS = {
    "offset": "D_STARTOFFS",
    "rate": "D_PLAYRATE",
    "pitch": "D_PITCH",
    "preserve_pitch": "B_PPITCH",
    "volume": "D_VOL",
    "pan": "D_PAN",
    "channel_mode": "I_CHANMODE",
}
_ITEM_SETTINGS = {
    "item_volume": "D_VOL",
    "loop": "B_LOOPSRC",
    "fade_in": "D_FADEINLEN",
    "fade_out": "D_FADEOUTLEN",
    "fade_in_shape": "C_FADEINSHAPE",
    "fade_out_shape": "C_FADEOUTSHAPE",
    "mute": "B_MUTE",
    "lock": "C_LOCK",
    "group": "I_GROUPID",
    "lane": "I_FIXEDLANE",
    "colour": "I_CUSTOMCOLOR",
    "snap_offset": "D_SNAPOFFSET",
    "selected": "B_UISEL",
}


class Track(Handle):
    """A track and its items, in order of position."""

    type_name = "MediaTrack"

    def __init__(self, project: "Project", guid: str, name: str = "") -> None:
        super().__init__()
        self.project = project
        self.guid = guid
        self.name = name
        self.values = default_values("Track")
        self.strings: dict[str, str] = {}
        self.ext: dict[str, str] = {}
        self.items: list[Item] = []
        self.envelopes: dict[str, Envelope] = {}
        self.lanes_playing: set[int] | None = None
        """Which fixed lanes are heard; None is all."""

    @property
    def selected(self) -> bool:
        """I_SELECTED."""
        return bool(self.values["I_SELECTED"])

    @selected.setter
    def selected(self, value: bool) -> None:
        self.values["I_SELECTED"] = float(value)

    def sort_items(self) -> None:
        """Keep items in order of position, as REAPER does at every change of it."""
        self.items.sort(key=lambda item: item.position)

    def set_lanes(self, count: int, playing: set[int] | None = None) -> None:
        """Turn the track into one with fixed lanes."""
        self.values["I_FREEMODE"] = 2.0
        self.values["I_NUMFIXEDLANES"] = float(count)
        self.lanes_playing = playing

    def razor(self, *areas: tuple[float, float]) -> None:
        """Draw razor edits over the track's items."""
        text = " ".join(f'{start!r} {end!r} ""' for start, end in areas)
        self.strings["P_RAZOREDITS"] = text

    def add_item(
        self,
        media: Path | str | Source | None,
        position_s: float = 0.0,
        length_s: float | None = None,
        **settings: float,
    ) -> Item:
        """Put an item on the track as a user would.

        Parameters
        ----------
        media
            A file, a source, or None for an empty item.
        length_s
            By default all that the source plays at the take's rate.
        settings
            Of the take: offset rate pitch preserve_pitch volume pan channel_mode. Of the
            item: item_volume loop fade_in fade_out fade_in_shape fade_out_shape mute lock
            group lane colour snap_offset selected. No fades unless asked for.
        """
        item = Item(self, new_guid(self.project.random))
        take_settings = {k: v for k, v in settings.items() if k in _TAKE_SETTINGS}
        for name, value in settings.items():
            if name not in _TAKE_SETTINGS:
                item.values[_ITEM_SETTINGS[name]] = float(value)
        if media is not None:
            take = item.add_take(media, **take_settings)
            if length_s is None:
                assert take.source is not None
                length_s = (take.source.length_s - take.offset) / take.rate
        item.values["D_POSITION"] = float(position_s)
        item.values["D_LENGTH"] = float(length_s if length_s is not None else 1.0)
        self.items.append(item)
        self.sort_items()
        return item


@dataclass
class Marker:
    """A project marker or region."""

    number: int
    position: float
    end: float = 0.0
    name: str = ""
    is_region: bool = False
    colour: int = 0


@dataclass
class View:
    """What part of the project the arrange window shows."""

    start: float = 0.0
    end: float = 60.0
    pixels: int = 1200

    @property
    def pixels_per_second(self) -> float:
        """The zoom."""
        return self.pixels / (self.end - self.start)


class Project(Handle):
    """A project tab."""

    type_name = "ReaProject"

    def __init__(self, random: Random, media_folder: Path, path: Path | None) -> None:
        super().__init__()
        self.random = random
        self.path = path
        """The .rpp file, or None where it was never saved."""
        self.opened_by: object = None
        """The script that opened the tab, or None for the user."""
        self.media_folder = media_folder
        """Where REAPER records to: absolute, also for an unsaved project."""
        self.tracks: list[Track] = []
        self.master = Track(self, new_guid(random), "MASTER")
        self.time_selection: tuple[float, float] = (0.0, 0.0)
        self.loop_points: tuple[float, float] = (0.0, 0.0)
        self.cursor = 0.0
        self.sample_rate = 48_000.0
        self.sample_rate_used = True
        self.play_state = 0
        """1 playing, 2 paused, 4 recording, added."""
        self.play_position = 0.0
        self.ext: dict[tuple[str, str], str] = {}
        self.info: dict[str, float] = {}
        self.strings: dict[str, str] = {}
        self.notes = ""
        self.markers: list[Marker] = []
        self.view = View()
        self.tempo = 120.0
        self.change_count = 1
        self.is_dirty = False

    @property
    def items(self) -> list[Item]:
        """Every item, track by track."""
        return [item for track in self.tracks for item in track.items]

    @property
    def takes(self) -> Iterator[Take]:
        """Every take that is not an empty lane."""
        return (take for item in self.items for take in item.takes if take is not None)

    @property
    def name(self) -> str:
        """The file name, empty when unsaved."""
        return self.path.name if self.path else ""

    def new_guid(self) -> str:
        """Return a GUID that nothing has yet."""
        return new_guid(self.random)

    def add_track(self, name: str = "", *, index: int | None = None) -> Track:
        """Insert a track as a user would."""
        track = Track(self, new_guid(self.random), name)
        self.tracks.insert(len(self.tracks) if index is None else index, track)
        return track

    def delete_item(self, item: Item) -> None:
        """Delete an item as a user would: pointers to it die."""
        item.track.items.remove(item)
        item.kill()
