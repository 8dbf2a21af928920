"""What of a window a service hears."""

import numpy as np
import pytest

from reapaint_engine.backends.base import Window
from reapaint_engine.backends.hosted.sections import GRID_FRAMES, SpanTooLong, cut_section
from reapaint_engine.backends.hosted.service import Capabilities
from reapaint_engine.protocol.spans import Span

RATE = 44_100


def _window(frames: int, *spans: tuple[int, int]) -> Window:
    audio = np.random.default_rng(0).standard_normal((2, frames)).astype(np.float32)
    return Window(audio, RATE, tuple(Span(*span) for span in spans), frames)


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("max_s", [8.0, 60.0])
@pytest.mark.parametrize(
    "span", [(0, 100), (10_000, 90_001), (440_000, 441_000), (200_000, 200_001)]
)
def test_every_section_holds_its_span_and_its_place(
    whole: bool, max_s: float, span: tuple[int, int]
) -> None:
    window = _window(441_000, span)
    takes = Capabilities(max_s=max_s, has_whole_seconds=whole)
    section = cut_section(window, 0, takes)
    local = window.spans[0].shifted(-section.origin)
    assert section.mask.start <= local.start < local.end <= section.mask.end <= section.frames
    np.testing.assert_array_equal(
        section.audio[:, local.start : local.end], window.audio[:, span[0] : span[1]]
    )
    assert 6 * RATE <= section.frames <= max_s * RATE
    for kept in section.kept:
        at = kept.shifted(section.origin)
        np.testing.assert_array_equal(
            section.audio[:, kept.start : kept.end], window.audio[:, at.start : at.end]
        )
        assert kept.end <= section.mask.start or kept.start >= section.mask.end
    if whole:
        assert section.mask.start % RATE == section.mask.end % RATE == section.frames % RATE == 0
    else:
        assert section.mask.start % GRID_FRAMES == 0


def test_what_other_spans_hold_is_not_heard() -> None:
    window = _window(441_000, (50_000, 60_000), (200_000, 210_000), (300_000, 310_000))
    section = cut_section(window, 1, Capabilities(max_s=60.0))
    assert section.origin == 60_000
    assert all(each.start + section.origin >= 60_000 for each in section.kept)
    assert all(each.end + section.origin <= 300_000 for each in section.kept)


def test_a_span_longer_than_the_model_takes_is_refused() -> None:
    with pytest.raises(SpanTooLong):
        cut_section(_window(441_000, (1000, 400_000)), 0, Capabilities(max_s=8.0))
