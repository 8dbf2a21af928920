"""Items and projects as RPP text: for state chunks, and for comparing whole states.

Numbers are written exactly (``repr``), where REAPER rounds to 14 digits, so that equal
text means equal state. Words and their order are REAPER's as far as scripts can meet them.
"""

import base64
import functools
from collections.abc import Iterator
from pathlib import Path

from tests.reaper_sim.model import (
    Envelope,
    EnvelopePoint,
    Item,
    Project,
    Take,
    TakeEffect,
    TakeMarker,
    Track,
)
from tests.reaper_sim.rpp_text import quoted, split_words
from tests.reaper_sim.sources import (
    EmptySource,
    FileSource,
    MidiSource,
    SectionSource,
    Source,
    SubprojectSource,
)

ITEM_LINES = {
    "POSITION": ("D_POSITION",),
    "SNAPOFFS": ("D_SNAPOFFSET",),
    "LENGTH": ("D_LENGTH",),
    "LOOP": ("B_LOOPSRC",),
    "ALLTAKES": ("B_ALLTAKESPLAY",),
    "FADEIN": ("C_FADEINSHAPE", "D_FADEINLEN", "D_FADEINLEN_AUTO", "", "", "D_FADEINDIR", ""),
    "FADEOUT": ("C_FADEOUTSHAPE", "D_FADEOUTLEN", "D_FADEOUTLEN_AUTO", "", "", "D_FADEOUTDIR", ""),
    "FADELPF": ("I_FADELPF",),
    "MUTE": ("B_MUTE", "C_MUTE_SOLO"),
    "SEL": ("B_UISEL",),
    "COLOR": ("I_CUSTOMCOLOR",),
    "GROUP": ("I_GROUPID",),
    "LOCK": ("C_LOCK",),
    "BEAT": ("C_BEATATTACHMODE", "C_AUTOSTRETCH"),
    "YPOS": ("F_FREEMODE_Y", "F_FREEMODE_H", "I_FIXEDLANE"),
}
TAKE_LINES = {
    "SOFFS": ("D_STARTOFFS",),
    "PLAYRATE": (
        "D_PLAYRATE",
        "B_PPITCH",
        "D_PITCH",
        "I_PITCHMODE",
        "I_STRETCHFLAGS",
        "F_STRETCHFADESIZE",
    ),
    "CHANMODE": ("I_CHANMODE",),
    "TAKECOLOR": ("I_CUSTOMCOLOR",),
    "RECPASS": ("I_RECPASSID",),
    "TAKEFX_NCH": ("I_TAKEFX_NCH",),
}
ENVELOPES = {"Volume": "VOLENV", "Pan": "PANENV", "Mute": "MUTEENV", "Pitch": "PITCHENV"}
_ENVELOPE_NAMES = {word: name for name, word in ENVELOPES.items()}


@functools.cache
def _number(value: float) -> str:
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)


def _lines(values: dict[str, float], table: dict[str, tuple[str, ...]]) -> Iterator[str]:
    for word, keys in table.items():
        yield " ".join([word, *[_number(values[key]) if key else "0" for key in keys]])


def _ext(word: str, ext: dict[str, str]) -> Iterator[str]:
    if not ext:
        return
    yield f"<{word}"
    for key in sorted(ext):
        value = quoted(ext[key])
        if "\n" in value or split_words(value) != [ext[key]]:
            yield f"<BIN {quoted(key)}"
            yield base64.b64encode(ext[key].encode("utf-8", "surrogateescape")).decode()
            yield ">"
        else:
            yield f"{quoted(key)} {value}"
    yield ">"


def envelope_lines(envelope: Envelope) -> Iterator[str]:
    """Yield an envelope's lines."""
    yield f"<{ENVELOPES[envelope.name]}"
    yield f"ACT {int(envelope.active)} -1"
    yield "VIS 1 1 1"
    yield "DEFSHAPE 0 -1 -1"
    for point in envelope.points:
        yield f"PT {_number(point.time)} {_number(point.value)} {point.shape}"
    yield ">"


def _take_lines(take: Take, item: Item, index: int) -> Iterator[str]:
    values = take.values
    yield f"NAME {quoted(take.name)}"
    gains = [_number(values[key]) for key in ("D_PAN", "D_VOL", "D_PANLAW")]
    head = "TAKEVOLPAN" if index else f"VOLPAN {_number(item.values['D_VOL'])}"
    yield " ".join([head, *gains])
    yield from _lines(values, TAKE_LINES)
    yield f"GUID {take.guid}"
    for place, source in take.stretch_markers:
        yield f"SM {place!r} {source!r}"
    for marker in take.markers:
        yield f"TKM {marker.position!r} {quoted(marker.name)} {marker.colour}"
    yield from take.source.describe() if take.source else ["<SOURCE EMPTY", ">"]
    if take.effects:
        yield "<TAKEFX"
        for effect in take.effects:
            yield f"BYPASS {int(not effect.enabled)} 0"
            yield f"<{effect.name.split(':')[0]} {quoted(effect.name)} {effect.gain!r}"
            yield ">"
        yield ">"
    for name in sorted(take.envelopes):
        yield from envelope_lines(take.envelopes[name])
    yield from _ext("EXT", take.ext)


def item_lines(item: Item) -> Iterator[str]:
    """Yield an item's lines, takes flat one after the other."""
    yield "<ITEM"
    yield from _lines(item.values, ITEM_LINES)
    yield f"IGUID {item.guid}"
    yield f"IID {item.iid}"
    if item.notes:
        yield "<NOTES"
        yield from (f"|{line}" for line in item.notes.split("\n"))
        yield ">"
    yield from _ext("EXTI", item.ext)
    if not item.takes or item.takes[0] is None:
        yield f"VOLPAN {_number(item.values['D_VOL'])}"
    for index, take in enumerate(item.takes):
        if take is None:
            yield "TAKE NULL"
            continue
        if index:
            yield "TAKE SEL" if index == item.active else "TAKE"
        yield from _take_lines(take, item, index)
    yield ">"


def item_chunk(item: Item) -> str:
    """Return an item as text."""
    return "\n".join(item_lines(item)) + "\n"


def track_lines(track: Track) -> Iterator[str]:
    """Yield a track's lines and its items'."""
    yield from _own_lines(track)
    for item in track.items:
        yield from item_lines(item)
    yield ">"


def _own_lines(track: Track) -> Iterator[str]:
    yield f"<TRACK {track.guid}"
    yield f"NAME {quoted(track.name)}"
    yield from (f"{key} {_number(track.values[key])}" for key in sorted(track.values))
    yield f"LANESPLAY {sorted(track.lanes_playing) if track.lanes_playing else 'all'}"
    for key in sorted(track.strings):
        yield f"{key} {track.strings[key]!r}"
    yield from _ext("EXT", track.ext)
    for name in sorted(track.envelopes):
        yield from envelope_lines(track.envelopes[name])


def project_chunk(project: Project) -> str:
    """Return everything of a project that is saved, as text."""
    lines = ["<REAPER_PROJECT 0.1"]
    lines.append(f"SAMPLERATE {project.sample_rate:g} {int(project.sample_rate_used)}")
    lines.append(f"SELECTION {project.time_selection[0]!r} {project.time_selection[1]!r}")
    lines.append(f"SELECTION2 {project.loop_points[0]!r} {project.loop_points[1]!r}")
    lines.append(f"CURSOR {project.cursor!r}")
    lines += [f"{key} {value!r}" for key, value in sorted(project.info.items())]
    lines += [f"{key} {value!r}" for key, value in sorted(project.strings.items())]
    lines += [f"EXTSTATE {key} {value!r}" for key, value in sorted(project.ext.items())]
    lines += [f"MARKER {marker}" for marker in project.markers]
    for track in project.tracks:
        lines += track_lines(track)
    return "\n".join([*lines, ">"]) + "\n"


def undo_fingerprint(project: Project, *, selection: bool, ext: bool) -> tuple[str, str]:
    """Return the state of (items, everything else) that undo points are made of."""
    items: list[str] = []
    rest: list[str] = []
    for track in project.tracks:
        rest += [line for line in _own_lines(track) if not line.startswith("I_SELECTED")]
        for item in track.items:
            items.append(track.guid)
            items += [line for line in item_lines(item) if selection or line[:4] != "SEL "]
    rest += [f"{marker}" for marker in project.markers]
    if ext:
        rest += [f"{key} {value!r}" for key, value in sorted(project.ext.items())]
    return "\n".join(items), "\n".join(rest)


# Reading -----------------------------------------------------------------------------------


class ChunkError(ValueError):
    """Text that REAPER would not take as the object's state."""


Node = tuple[list[str], list["Node | str"]]


def parse(text: str) -> Node:
    """Take one block apart into its head's words and what is in it: lines and blocks."""
    stack: list[Node] = []
    for raw in text.splitlines():
        line = raw.strip()
        if not line:
            continue
        if line.startswith("<"):
            node: Node = (split_words(line[1:]), [])
            if stack:
                stack[-1][1].append(node)
            stack.append(node)
        elif line == ">":
            done = stack.pop() if stack else None
            if done is None:
                raise ChunkError("a block is closed that was never opened")
            if not stack:
                return done
        elif stack:
            stack[-1][1].append(line)
        else:
            raise ChunkError(f"{line!r} stands outside of any block")
    raise ChunkError("a block is never closed")


def read_item(item: Item, text: str) -> None:
    """Give an item the state in a chunk; its takes, and pointers to them, are made anew."""
    head, body = parse(text)
    if head != ["ITEM"]:
        raise ChunkError(f"{head} is no item")
    for old in item.takes:
        if old is not None:
            old.kill()
    item.takes, item.active, item.notes, item.ext = [], 0, "", {}
    for part in body:
        if isinstance(part, str):
            _read_line(item, split_words(part))
        else:
            _read_block(item, part)
    item.track.sort_items()


def _last_take(item: Item) -> Take:
    if not item.takes or item.takes[-1] is None:
        item.takes = [*item.takes[:-1], Take(item, item.track.project.new_guid())]
    take = item.takes[-1]
    assert take is not None
    return take


def _read_line(item: Item, words: list[str]) -> None:
    word, values = words[0], words[1:]
    if word == "IGUID":
        item.guid = values[0]
    elif word == "IID":
        item.iid = int(values[0])
    elif word == "TAKE":
        _begin_take(item, values[0] if values else "")
    elif word in ITEM_LINES:
        _set_values(item.values, ITEM_LINES[word], values)
    elif word == "VOLPAN":
        item.values["D_VOL"] = float(values[0])
        if len(values) > 1:
            _set_values(_last_take(item).values, ("D_PAN", "D_VOL", "D_PANLAW"), values[1:])
    else:
        _read_take_line(_last_take(item), word, values)


def _begin_take(item: Item, what: str) -> None:
    item.takes.append(None if what == "NULL" else Take(item, item.track.project.new_guid()))
    if what == "SEL":
        item.active = len(item.takes) - 1


def _set_values(target: dict[str, float], keys: tuple[str, ...], values: list[str]) -> None:
    for key, value in zip(keys, values, strict=False):
        if key:
            target[key] = float(value)


def _read_take_line(take: Take, word: str, values: list[str]) -> None:
    if word == "NAME":
        take.name = values[0]
    elif word == "GUID":
        take.guid = values[0]
    elif word == "TAKEVOLPAN":
        _set_values(take.values, ("D_PAN", "D_VOL", "D_PANLAW"), values)
    elif word == "SM":
        take.stretch_markers.append((float(values[0]), float(values[1])))
    elif word == "TKM":
        take.markers.append(TakeMarker(float(values[0]), values[1], int(values[2])))
    elif word in TAKE_LINES:
        _set_values(take.values, TAKE_LINES[word], values)
    else:
        raise ChunkError(f"the double does not read {word} in an item's chunk")


def _read_block(item: Item, block: Node) -> None:
    (word, *values), body = block
    if word == "NOTES":
        item.notes = "\n".join(str(line)[1:] for line in body)
    elif word == "EXTI":
        item.ext = _read_ext(body)
    elif word == "EXT":
        _last_take(item).ext = _read_ext(body)
    elif word == "SOURCE":
        take = _last_take(item)
        take.source = _read_source(values[0], body)
        if take.source is not None:
            take.source.owner = take
    elif word == "TAKEFX":
        _last_take(item).effects = list(_read_effects(body))
    elif word in _ENVELOPE_NAMES:
        _read_envelope(_last_take(item), _ENVELOPE_NAMES[word], body)
    else:
        raise ChunkError(f"the double does not read <{word} in an item's chunk")


def _read_effects(body: list[Node | str]) -> Iterator[TakeEffect]:
    """Yield a chain's effects; the line before each says whether it is bypassed."""
    is_bypassed = False
    for part in body:
        if isinstance(part, str):
            words = split_words(part)
            is_bypassed = words[1] == "1" if words[0] == "BYPASS" else is_bypassed
        else:
            yield TakeEffect(part[0][1], float(part[0][2]), not is_bypassed)


def _read_ext(body: list[Node | str]) -> dict[str, str]:
    ext: dict[str, str] = {}
    for part in body:
        if isinstance(part, str):
            key, value = split_words(part)
            ext[key] = value
        else:
            data = base64.b64decode("".join(str(line) for line in part[1]))
            ext[part[0][1]] = data.decode("utf-8", "surrogateescape")
    return ext


def _read_envelope(take: Take, name: str, body: list[Node | str]) -> None:
    lines = [split_words(line) for line in body if isinstance(line, str)]
    points = [
        EnvelopePoint(float(line[1]), float(line[2]), int(line[3]) if len(line) > 3 else 0)
        for line in lines
        if line[0] == "PT"
    ]
    envelope = take.envelopes[name] = Envelope(name, take, points)
    envelope.active = all(line[1] == "1" for line in lines if line[0] == "ACT")


def _read_source(kind: str, body: list[Node | str]) -> Source | None:
    lines = {line[0]: line[1:] for line in (split_words(x) for x in body if isinstance(x, str))}
    offline, kind = kind.startswith("_OFFLINE_"), kind.removeprefix("_OFFLINE_")
    source: Source | None
    if kind == "EMPTY":
        source = None
    elif kind == "SECTION":
        inner = next(part for part in body if not isinstance(part, str))
        parent = _read_source(inner[0][1], inner[1]) or EmptySource()
        reverse = bool(int(lines.get("MODE", ["0"])[0]) & 2)
        section_s, offset_s = float(lines["LENGTH"][0]), float(lines["STARTPOS"][0])
        source = SectionSource(parent, offset_s, section_s, reverse=reverse)
    elif kind == "MIDI":
        source = MidiSource()
    elif kind == "RPP_PROJECT":
        source = SubprojectSource(Path(lines["FILE"][0]))
    else:
        source = FileSource(Path(lines["FILE"][0]))
    if source is not None:
        source.is_offline = offline
    return source
