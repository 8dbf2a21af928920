"""PCM sources: opening, asking, building peaks, destroying."""

# ruff: noqa: N802 - functions bear the names that Lua calls them by

from pathlib import Path

from tests.reaper_sim.calls import Caller, provides
from tests.reaper_sim.model import Project
from tests.reaper_sim.sources import (
    FileSource,
    MidiSource,
    SectionSource,
    Source,
    SubprojectSource,
    open_file,
)

PEAK_STEPS = 4
"""In how many steps the double builds peaks, so that loops over mode 1 are needed."""


def _is_known(caller: Caller, source: Source) -> bool:
    mode = caller.sim.switches.source_length
    if mode == "zero_in_takes":
        return source.owner is None
    return mode != "zero_until_read"


@provides
def PCM_Source_CreateFromFile(caller: Caller, path: str) -> Source | None:
    if caller.sim.files.refusal("open", path):
        return None
    source = open_file(Path(caller.sim.files.to_host(path)))
    if source is not None:
        source.made_by = caller.script
        caller.script.sources.append(source)
    return source


@provides
def PCM_Source_CreateFromFileEx(caller: Caller, path: str, no_midi: bool) -> Source | None:
    found: Source | None = PCM_Source_CreateFromFile(caller, path)
    return found


@provides
def PCM_Source_Destroy(caller: Caller, source: Source) -> None:
    if source.owner is not None:
        raise caller.sim.fail("a source was destroyed that a take plays", caller.script)
    source.kill()


@provides
def PCM_Source_BuildPeaks(caller: Caller, source: Source, mode: int) -> int:
    """B6 (D): 0 begins and is not 0 where there is work, 1 goes on, 2 finishes."""
    if mode == 0:
        source.peaks_left = 0 if source.has_peaks else PEAK_STEPS
        return source.peaks_left
    if mode == 1:
        source.peaks_left = max(source.peaks_left - 1, 0)
        return source.peaks_left * 100 // PEAK_STEPS
    source.has_peaks = source.peaks_left == 0
    return 0


@provides
def GetPeakFileName(caller: Caller, path: str) -> str:
    """Beside the media; the double itself writes no peaks."""
    return f"{path}.reapeaks"


@provides
def PCM_Source_GetSectionInfo(caller: Caller, source: Source) -> tuple[bool, float, float, bool]:
    if not isinstance(source, SectionSource):
        return False, 0.0, 0.0, False
    return True, source.offset_s, source.section_s, source.reverse


@provides
def GetMediaSourceFileName(caller: Caller, source: Source) -> str:
    """Empty for a section (C)."""
    if isinstance(source, FileSource | SubprojectSource):
        return caller.sim.files.to_lua(str(source.path))
    return ""


@provides
def GetMediaSourceType(caller: Caller, source: Source) -> str:
    return source.type


@provides
def GetMediaSourceParent(caller: Caller, source: Source) -> Source | None:
    return source.parent


@provides
def GetMediaSourceLength(caller: Caller, source: Source) -> tuple[float, bool]:
    known = _is_known(caller, source)
    return source.length_s if known else 0.0, isinstance(source, MidiSource)


@provides
def GetMediaSourceSampleRate(caller: Caller, source: Source) -> int:
    return source.sample_rate if _is_known(caller, source) else 0


@provides
def GetMediaSourceNumChannels(caller: Caller, source: Source) -> int:
    return source.channels


@provides
def GetSubProjectFromSource(caller: Caller, source: Source) -> Project | None:
    return None
