"""Media sources: files, sections of them, MIDI, subprojects, offline media."""

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from reapaint.errors import BridgeError
from reapaint.files import media
from reapaint_engine.protocol.arrays import Audio
from tests.reaper_sim.rpp_text import quoted

_TYPES = {
    "wav": "WAVE",
    "rf64": "WAVE",
    "bw64": "WAVE",
    "aiff": "AIFF",
    "aifc": "AIFF",
    "flac": "FLAC",
    "ogg": "VORBIS",
    "mp3": "MP3",
}


@lru_cache(maxsize=64)
def _load(path: Path, size: int, modified_ns: int) -> tuple[media.AudioInfo, Audio]:
    info = media.probe(path)
    return info, media.read_frames(info, 0, info.frames)


def load(path: Path) -> tuple[media.AudioInfo, Audio]:
    """Return what is in a file and all of its samples, (channels, frames) float32."""
    status = path.stat()
    return _load(path, status.st_size, status.st_mtime_ns)


class Source:
    """A PCM source; ``owner`` is the take that plays it, if one does."""

    type_name: ClassVar[str] = "PCM_source"
    type = "EMPTY"
    parent: "Source | None" = None

    def __init__(self) -> None:
        self.alive = True
        self.owner: Any = None
        self.made_by: Any = None
        """The script that created it and has to destroy it or give it to a take."""
        self.has_peaks = True
        self.peaks_left = 0
        self.is_offline = False
        self.known: Callable[[], bool] = lambda: True
        """Whether length and rate can be told; a switch of the simulation sets it."""

    def __repr__(self) -> str:
        return f"<{self.type} source{'' if self.alive else ' dead'}>"

    def __str__(self) -> str:
        return f"userdata: 0x{id(self):016x}"

    @property
    def sample_rate(self) -> int:
        """Hz, 0 where there is none."""
        return 0

    @property
    def channels(self) -> int:
        """How many channels, 0 where there is no sound."""
        return 0

    @property
    def frames(self) -> int:
        """Length in frames of the source's own rate."""
        return 0

    @property
    def length_s(self) -> float:
        """Length in seconds."""
        return self.frames / self.sample_rate if self.sample_rate else 0.0

    def samples(self) -> Audio:
        """Return the whole source, (channels, frames) float32."""
        return np.zeros((self.channels, self.frames), np.float32)

    def clone(self) -> "Source":
        """Return another source over the same media."""
        other = self._copy()
        other.has_peaks, other.is_offline, other.known = self.has_peaks, self.is_offline, self.known
        return other

    def _copy(self) -> "Source":
        return type(self)()

    def kill(self) -> None:
        """Make pointers to the source invalid."""
        self.alive = False
        if self.parent is not None:
            self.parent.kill()

    def describe(self) -> list[str]:
        """Return the lines of the source in a state chunk."""
        return [f"<SOURCE {'_OFFLINE_' if self.is_offline else ''}{self.type}", ">"]


class FileSource(Source):
    """A sound file."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = Path(path)
        self._info: media.AudioInfo | None = None

    @property
    def info(self) -> media.AudioInfo:
        """What the file says of itself."""
        if self._info is None:
            self._info = load(self.path)[0]
        return self._info

    @property
    def type(self) -> str:  # type: ignore[override]
        """REAPER's word for the container."""
        return _TYPES.get(self.info.container, self.info.container.upper())

    @property
    def sample_rate(self) -> int:
        return self.info.sample_rate

    @property
    def channels(self) -> int:
        return self.info.channels

    @property
    def frames(self) -> int:
        return self.info.frames

    def samples(self) -> Audio:
        if self.is_offline:
            return super().samples()
        return load(self.path)[1]

    def _copy(self) -> "FileSource":
        return FileSource(self.path)

    def describe(self) -> list[str]:
        head = f"<SOURCE {'_OFFLINE_' if self.is_offline else ''}{self.type}"
        return [head, f"FILE {quoted(str(self.path))}", ">"]


class SectionSource(Source):
    """A part of another source, forwards or backwards; its file name reads as empty."""

    type = "SECTION"

    def __init__(
        self, parent: Source, offset_s: float, length_s: float, *, reverse: bool = False
    ) -> None:
        super().__init__()
        self.parent = parent
        self.offset_s, self.section_s, self.reverse = offset_s, length_s, reverse

    @property
    def sample_rate(self) -> int:
        assert self.parent is not None
        return self.parent.sample_rate

    @property
    def channels(self) -> int:
        assert self.parent is not None
        return self.parent.channels

    @property
    def frames(self) -> int:
        return round(self.section_s * self.sample_rate)

    def samples(self) -> Audio:
        assert self.parent is not None
        whole = self.parent.samples()
        start = round(self.offset_s * self.sample_rate)
        part = np.zeros((whole.shape[0], self.frames), np.float32)
        cut = whole[:, max(start, 0) : max(start + self.frames, 0)]
        first = max(-start, 0)
        part[:, first : first + cut.shape[1]] = cut
        return np.ascontiguousarray(part[:, ::-1]) if self.reverse else part

    def _copy(self) -> "SectionSource":
        assert self.parent is not None
        return SectionSource(
            self.parent.clone(), self.offset_s, self.section_s, reverse=self.reverse
        )

    def describe(self) -> list[str]:
        assert self.parent is not None
        mode = ["MODE 3"] if self.reverse else []
        place = [f"LENGTH {self.section_s!r}", f"STARTPOS {self.offset_s!r}"]
        return ["<SOURCE SECTION", *place, *mode, *self.parent.describe(), ">"]


class MidiSource(Source):
    """Notes: nothing an accessor could read."""

    type = "MIDI"

    @property
    def length_s(self) -> float:
        return 4.0


class EmptySource(Source):
    """A source without media."""


class SubprojectSource(Source):
    """A .rpp as media, with the sound of its last render or none."""

    type = "RPP_PROJECT"

    def __init__(self, path: Path, rendered: Path | None = None) -> None:
        super().__init__()
        self.path, self.rendered = path, rendered

    @property
    def sample_rate(self) -> int:
        return load(self.rendered)[0].sample_rate if self.rendered else 0

    @property
    def channels(self) -> int:
        return load(self.rendered)[0].channels if self.rendered else 0

    @property
    def frames(self) -> int:
        return load(self.rendered)[0].frames if self.rendered else 0

    def samples(self) -> Audio:
        return load(self.rendered)[1] if self.rendered else super().samples()

    def _copy(self) -> "SubprojectSource":
        return SubprojectSource(self.path, self.rendered)

    def describe(self) -> list[str]:
        return ["<SOURCE RPP_PROJECT", f"FILE {quoted(str(self.path))}", ">"]


def open_file(path: Path) -> Source | None:
    """Open media as PCM_Source_CreateFromFile does; None where there is nothing to play."""
    if path.suffix.lower() in (".mid", ".midi"):
        return MidiSource() if path.exists() else None
    if path.suffix.lower() == ".rpp":
        return SubprojectSource(path) if path.exists() else None
    try:
        load(path)
    except (BridgeError, OSError):
        return None
    source = FileSource(path)
    source.has_peaks = False
    return source
