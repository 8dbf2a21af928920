"""Undo points: when one is made, what it holds, and what undoing does to pointers."""

from dataclasses import dataclass

from tests.reaper_sim.chunk import undo_fingerprint
from tests.reaper_sim.model import Item, Marker, Project, Track
from tests.reaper_sim.switches import Switches

ITEMS, EVERYTHING = 4, -1
TRACK_CONFIG = 1
"""Undo flags; the others are 2 FX, 8 misc, 16 freeze, 32 envelopes ..."""


@dataclass(kw_only=True)
class _TrackState:
    track: Track
    values: dict[str, float]
    strings: dict[str, str]
    ext: dict[str, str]
    name: str
    lanes_playing: set[int] | None
    items: list[Item]


@dataclass(kw_only=True)
class UndoPoint:
    """A state that undo and redo go to, and the words of the edit that led to it."""

    text: str
    tracks: list[_TrackState]
    markers: list[Marker]
    ext: dict[tuple[str, str], str]
    fingerprint: tuple[str, str]
    flags: int = EVERYTHING


class UndoHistory:
    """The undo points of one project and its open block."""

    def __init__(self, project: Project, switches: Switches) -> None:
        self.project, self.switches = project, switches
        self.points = [self._capture("", EVERYTHING, self._fingerprint())]
        self.index = 0
        self.depth = 0
        """How many blocks are open."""
        self.has_script_edits = False
        """Whether edits of a script outside of any block wait for the next that closes."""
        self._left_by_script = ("", "")
        self.uncovered: list[str] = []
        """Points whose flags leave out what was changed."""

    @property
    def texts(self) -> list[str]:
        """The words of every undo point up to now, oldest first."""
        return [point.text for point in self.points[1 : self.index + 1]]

    def changed(self) -> bool:
        """Say whether the project differs from the last undo point."""
        return self._fingerprint() != self.points[self.index].fingerprint

    def end_of_slice(self) -> None:
        """Remember what a script left outside of blocks, to tell it from a user's edits."""
        if self.has_script_edits:
            self._left_by_script = self._fingerprint()

    def begin(self) -> None:
        """Open a block; blocks nest."""
        self.depth += 1

    def end(self, text: str, flags: int) -> bool:
        """Close a block; True where that made a point."""
        self.depth = max(self.depth - 1, 0)
        return self.depth == 0 and self.add(text, flags)

    def add(self, text: str, flags: int = EVERYTHING, *, always: bool = False) -> bool:
        """Make an undo point of all that changed since the last, if anything did."""
        now, before = self._fingerprint(), self.points[self.index].fingerprint
        if now == before and not always:
            return False
        if flags != EVERYTHING:
            if now[0] != before[0] and not flags & ITEMS:
                self.uncovered.append(f"{text!r} has flags {flags} without 4, but items changed")
            if now[1] != before[1] and not flags & ~ITEMS:
                self.uncovered.append(f"{text!r} has flags {flags}, but more than items changed")
        del self.points[self.index + 1 :]
        self.points.append(self._capture(text, flags, now))
        self.index += 1
        self.has_script_edits = False
        self.project.is_dirty = True
        return True

    def settle(self) -> None:
        """Make what a user did by hand an undo point of its own, selection aside."""
        if self.has_script_edits and self._fingerprint() == self._left_by_script:
            return
        if not self.add("User edit"):
            self.points[self.index].tracks = self._tracks()
            self.points[self.index].markers = list(self.project.markers)

    def undo(self) -> bool:
        """Go back one point: every item and take pointer of the project dies."""
        if self.index == 0:
            return False
        self.index -= 1
        self._restore(self.points[self.index])
        return True

    def redo(self) -> bool:
        """Go forward one point."""
        if self.index + 1 >= len(self.points):
            return False
        self.index += 1
        self._restore(self.points[self.index])
        return True

    def forget(self) -> None:
        """Start anew from the present state, as after opening a project."""
        self.points, self.index = [self._capture("", EVERYTHING, self._fingerprint())], 0

    def _fingerprint(self) -> tuple[str, str]:
        return undo_fingerprint(
            self.project,
            selection=self.switches.undo_counts_selection,
            ext=not self.switches.undo_keeps_project_ext,
        )

    def _capture(self, text: str, flags: int, fingerprint: tuple[str, str]) -> UndoPoint:
        ext, markers = dict(self.project.ext), list(self.project.markers)
        return UndoPoint(
            text=text,
            tracks=self._tracks(),
            markers=markers,
            ext=ext,
            fingerprint=fingerprint,
            flags=flags,
        )

    def _tracks(self) -> list[_TrackState]:
        return [
            _TrackState(
                track=track,
                values=dict(track.values),
                strings=dict(track.strings),
                ext=dict(track.ext),
                name=track.name,
                lanes_playing=track.lanes_playing,
                items=[item.clone() for item in track.items],
            )
            for track in self.project.tracks
        ]

    def _restore(self, point: UndoPoint) -> None:
        project = self.project
        for item in project.items:
            item.kill()
        for track in project.tracks:
            track.alive = False
        project.tracks = []
        for state in point.tracks:
            track = state.track
            track.alive = True
            track.values, track.strings = dict(state.values), dict(state.strings)
            track.ext, track.name = dict(state.ext), state.name
            track.lanes_playing = state.lanes_playing
            track.items = [item.clone() for item in state.items]
            project.tracks.append(track)
        project.markers = list(point.markers)
        if not self.switches.undo_keeps_project_ext:
            project.ext = dict(point.ext)
        project.change_count += 1
        project.is_dirty = True
        self.has_script_edits = False
