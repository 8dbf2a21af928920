"""What nobody has settled about REAPER, as switches: a suite that passes under all answers is safe.

Grades beside each switch: M measured in a real REAPER by a third party, D documented by
Cockos, S read in an extension's source, C consensus of published scripts, I inferred,
? unknown.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from typing import Literal, get_args, get_type_hints


@dataclass(frozen=True, kw_only=True)
class Switches:
    """Answers to the open questions; the defaults are the likeliest or the least kind."""

    accessor_fades: bool = False
    """? Whether a take accessor's samples carry the item's fades."""
    accessor_take_fx: bool = False
    """D says before FX; switchable because only the header says so."""
    accessor_loop: Literal["wraps", "ends"] = "wraps"
    """? What a take accessor gives past the end of a looped source."""
    accessor_end_time: Literal["item", "source"] = "item"
    """? Whether a looped take's accessor ends with the item or with one pass of its source."""
    accessor_extra_channels: Literal["untouched", "silent"] = "untouched"
    """? What stands in channels beyond those of the source; S warns they may not be written."""
    accessor_ms_per_second: float = 10.0
    """C About 5 ms of REAPER's own time per 22,050 samples; counts as time held."""

    split_crossfade: Literal["left_extends", "right_begins_early", "centred"] = "left_extends"
    """C, ? How the overlap lies when REAPER crossfades a split (40912 on)."""
    split_edge_fades: Literal["none", "default", "copied"] = "none"
    """I What the two new edges of a split carry: nothing, the 10 ms default, the old fades."""
    split_copies_take_ext: bool = True
    """? Whether a take's P_EXT data is copied to the right part."""
    split_copies_take_markers: bool = True
    """? Whether take markers are copied to the right part."""
    split_copies_take_envelopes: bool = True
    """? Whether the right part keeps its take envelopes."""
    split_keeps_group: bool = True
    """? Whether the right part stays in the group."""
    split_selects: Literal["copied", "no"] = "copied"
    """C says selection does not change; what that means for the right part is open."""
    split_copies_colour: bool = True
    """I Whether the right part keeps the item's colour and notes."""

    item_mix: Literal["enclosed_replaces", "mix"] = "enclosed_replaces"
    """I The project's item mix behaviour: REAPER's default lets enclosed items replace."""
    manual_fades_in_overlaps: Literal["sum", "ignored"] = "ignored"
    """M, ? Whether manual fades act where two items overlap; one source measured that
    they do not behave as a crossfade."""
    subsample_start: Literal["nearest", "interpolate"] = "nearest"
    """I Whether an item that begins between two samples is moved to the nearest or resampled."""

    source_length: Literal["known", "zero_until_read", "zero_in_takes"] = "known"
    """M Length and rate read 0: after creation with the device closed, or in takes whose
    media was offline at some time."""

    auto_undo_when_unchanged: bool = True
    """C An action that neither defers nor opens a block adds an undo point even if nothing
    changed."""
    undo_counts_selection: bool = False
    """? Whether a change of item selection alone makes an undo point."""
    undo_keeps_project_ext: bool = True
    """? Whether project ExtState survives an undo."""

    pointers_across_tabs: Literal["refused", "accepted"] = "refused"
    """? Whether calls without a project take pointers of a project that is not in front."""

    exec_no_wait_returns: Literal["zero", "empty"] = "zero"
    """? What ExecProcess(-1 or -2) returns once launched."""
    integer_arguments: Literal["truncate", "raise"] = "truncate"
    """? What an integer parameter makes of 1.5."""
    api_item_fade_s: float = 0.01
    """M Fades of items that the API makes, in a fresh configuration."""
    array_out_of_range: Literal["raise", "nil"] = "raise"
    """? What reading a reaper.array outside of its size does."""
    utf8_file_names: bool = True
    """? Whether io.open takes UTF-8 names on Windows."""
    free_lane_alone_leaves_phantom: bool = True
    """M I_FREEMODE = 2 alone leaves an extra lane."""


def each_answer() -> Iterator[tuple[str, Switches]]:
    """Yield the default switches, then each other answer alone, with a name for the test."""
    default = Switches()
    change: Callable[..., Switches] = replace
    yield "default", default
    hints = get_type_hints(Switches)
    for field in fields(Switches):
        now = getattr(default, field.name)
        if isinstance(now, bool):
            yield f"{field.name}={not now}", change(default, **{field.name: not now})
        else:
            for answer in get_args(hints[field.name]):
                if answer != now:
                    yield f"{field.name}={answer}", change(default, **{field.name: answer})
