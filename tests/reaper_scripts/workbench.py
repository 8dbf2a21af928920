"""What the tests of the scripts share: a REAPER, a recording, and what a user does."""

import functools
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from reapaint_engine.protocol.arrays import Audio
from tests.reaper_sim.simulator import Item, Reaper, Track
from tests.reaper_sim.spool_bridge import SpoolBridge, write_wav

RATE = 48000
INPAINT = "ReaPaint_Inpaint time selection.lua"
TRY_AGAIN = "ReaPaint_Try again with a new seed.lua"
FOUR_TAKES = "ReaPaint_Four takes.lua"
FILL = "ReaPaint_Fill from surroundings.lua"
EXTEND = "ReaPaint_Extend item to end of time selection.lua"
VARY = "ReaPaint_Vary time selection.lua"
NEXT_TAKE = "ReaPaint_Next take.lua"
PREVIOUS_TAKE = "ReaPaint_Previous take.lua"
KEEP = "ReaPaint_Keep this take.lua"
RESTORE = "ReaPaint_Restore original.lua"
RECALL = "ReaPaint_Recall settings of selected take.lua"
CANCEL = "ReaPaint_Cancel.lua"
CANCEL_ALL = "ReaPaint_Cancel all.lua"
SETTINGS = "ReaPaint_Settings.lua"
START_ENGINE = "ReaPaint_Start engine.lua"
STOP_ENGINE = "ReaPaint_Stop engine.lua"
SELF_TEST = "ReaPaint_Self-test.lua"
SET_UP = "ReaPaint_Set up.lua"
LISTENER = "ReaPaint_Listener.lua"


@functools.cache
def recording(seconds: float = 6.0, *, channels: int = 2, rate: int = RATE, seed: int = 1) -> Audio:
    """Return noise with a slow swell: no two stretches of it are alike."""
    random = np.random.default_rng(seed)
    frames = round(seconds * rate)
    swell = 0.5 + 0.4 * np.sin(2 * np.pi * np.arange(frames) / frames)
    noise = random.uniform(-0.4, 0.4, (channels, frames)) * swell
    # Whole 16-bit values, so that files of either depth hold the same numbers.
    media = (np.round(noise * 32768) / 32768).astype(np.float32)
    media.setflags(write=False)
    return media


class Workbench:
    """A REAPER with one track, and the hands of a user."""

    def __init__(self, folder: Path, *, media: Audio | None = None, rate: int = RATE,
                 name: str = "voice.wav", item: dict[str, Any] | None = None,
                 **reaper: Any) -> None:  # fmt: skip
        self.sim = Reaper(folder, **reaper)
        self.replier = SpoolBridge(self.sim)
        self.install()
        self.media = recording() if media is None else media
        self.path = write_wav(self.sim.project.media_folder / name, rate, self.media)
        self.track: Track = self.sim.project.add_track("Voice")
        self.item: Item = self.add_item(**(item or {}))
        self.item.selected = True

    def __enter__(self) -> "Workbench":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.sim.__exit__(kind, error, trace)

    def install(self) -> None:
        """Make the scripts know of a bridge."""
        self.replier.install()

    def add_item(self, **settings: Any) -> Item:
        """Put the recording on the track."""
        settings = {"position_s": 1.0, "length_s": 3.5, **settings}
        return self.track.add_item(self.path, **settings)

    def select(self, start_s: float, end_s: float) -> None:
        """Set the time selection."""
        self.sim.project.time_selection = (start_s, end_s)

    def render(self, end_s: float = 5.5) -> Audio:
        """Play the timeline."""
        return self.sim.render(0, end_s)

    def paint(self, prompt: str = "birdsong", **fields: str) -> None:
        """Press Inpaint and type a prompt."""
        names = {"Prompt (? = earlier ones)": prompt, **fields}
        self.sim.answer_inputs(names)
        self.sim.run_action(INPAINT)

    def wait_for_request(self) -> Path:
        """Let time pass until the last job was sent."""
        self.sim.tick_until(self.replier.open_jobs)
        return self.replier.open_jobs()[-1]

    def finish(self, ticks: int = 6) -> None:
        """Let all jobs be read, answered and spliced."""
        notes = list(self.replier.jobs_folder.glob("*/script.json"))
        self.sim.tick_until(lambda: all(self._is_sent(note.parent) for note in notes))
        self.replier.answer_all()
        self.sim.tick(ticks)

    @staticmethod
    def _is_sent(job: Path) -> bool:
        return (job / "request.json").exists() or (job / "applied").exists()

    def items(self) -> list[Item]:
        """Return the track's items, looked up anew."""
        return list(self.sim.project.tracks[0].items)

    def painted(self) -> list[Item]:
        """Return the items that hold a painted take."""
        return [item for item in self.items() if painted_takes(item)]


def painted_takes(item: Item) -> list[Any]:
    """Return an item's painted takes."""
    return [take for take in item.takes if take is not None and "REAPAINT" in take.ext]


def frames_that_differ(before: Audio, after: Audio) -> np.ndarray:
    """Return the frames at which two timelines differ."""
    return np.flatnonzero((before != after).any(axis=0))
