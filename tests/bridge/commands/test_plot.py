"""Pictures: drawn for any window, without a warning and without global state."""

import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest

from reapaint.commands.plot import DOTS_PER_INCH, HEIGHT_IN, WIDTH_IN, plot_result
from reapaint.errors import BridgeCode, BridgeError
from reapaint_engine.protocol.errors import ErrorCode
from reapaint_engine.protocol.messages import SeamReport, Side
from reapaint_engine.protocol.spans import Span


def pixels(path: Path) -> np.ndarray:
    with av.open(str(path), format="png_pipe") as container:
        return next(container.decode(video=0)).to_ndarray(format="rgb24")


def seams_of(spans: list[Span]) -> list[SeamReport]:
    return [
        SeamReport(
            span=number,
            side=side,
            frame=frame,
            level_step_db=-0.4,
            click_ratio=0.7,
            crossfade_law="equal_power",
            crossfade_frames=100,
            correlation=0.2,
        )
        for number, span in enumerate(spans)
        for side, frame in ((Side.LEFT, span.start), (Side.RIGHT, span.end))
    ]


@pytest.mark.parametrize(
    ("rate", "frames", "channels", "spans"),
    [
        (48_000, 20, 1, [Span(0, 20)]),
        (192_000, 192_000, 6, [Span(10, 20_000), Span(50_000, 60_000), Span(90_000, 91_000)]),
        (16_000, 16_000 * 300, 1, [Span(1_600_000, 2_000_000)]),
    ],
)
def test_any_window_makes_a_picture(
    tmp_path: Path, rate: int, frames: int, channels: int, spans: list[Span]
) -> None:
    rng = np.random.default_rng(0)
    before = rng.normal(0.0, 0.1, (channels, frames)).astype(np.float32)
    after = before.copy()
    for span in spans:
        after[:, span.start : span.end] *= -0.5
    out = tmp_path / "p.png"
    plot_result(
        out,
        before=before,
        after=after,
        sample_rate=rate,
        spans=spans,
        seams=seams_of(spans),
        title="A $title$\nof two_lines 日本",
    )
    picture = pixels(out)
    assert picture.shape == (HEIGHT_IN * DOTS_PER_INCH, WIDTH_IN * DOTS_PER_INCH, 3)
    assert picture.std() > 20
    assert [path.name for path in tmp_path.iterdir()] == ["p.png"]


def test_silence_extension_and_missing_figures(tmp_path: Path) -> None:
    before = np.zeros((2, 4000), np.float32)
    after = np.zeros((2, 9000), np.float32)
    after[:, 3000:] = 0.3
    after[0, 5] = np.nan
    plot_result(
        tmp_path / "p.png",
        before=before,
        after=after,
        sample_rate=44_100,
        spans=[Span(3000, 9000)],
        seams=[],
        title="",
    )
    assert pixels(tmp_path / "p.png").std() > 10


def test_what_changed_is_seen(tmp_path: Path) -> None:
    """The picture of the part after the change differs, and the part before does not."""
    rng = np.random.default_rng(1)
    before = rng.normal(0.0, 0.1, (1, 44_100)).astype(np.float32)
    after = before.copy()
    after[:, 20_000:30_000] *= 0.01
    for name, audio in (("same", before), ("other", after)):
        plot_result(
            tmp_path / f"{name}.png",
            before=before,
            after=audio,
            sample_rate=44_100,
            spans=[Span(20_000, 30_000)],
            seams=[],
            title="",
        )
    same, other = pixels(tmp_path / "same.png"), pixels(tmp_path / "other.png")
    changed_rows = np.flatnonzero((same != other).any(axis=(1, 2)))
    assert changed_rows.size > 100
    assert changed_rows.min() > 0.25 * same.shape[0]


def test_a_picture_is_replaced_only_by_force(tmp_path: Path) -> None:
    out = tmp_path / "p.png"
    out.write_bytes(b"mine")
    audio = np.zeros((1, 1000), np.float32)
    with pytest.raises(BridgeError) as caught:
        plot_result(
            out,
            before=audio,
            after=audio,
            sample_rate=8000,
            spans=[Span(1, 2)],
            seams=[],
            title="",
            force=False,
        )
    assert caught.value.code == BridgeCode.OUTPUT_EXISTS
    assert out.read_bytes() == b"mine"


def test_without_matplotlib_a_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    audio = np.zeros((1, 1000), np.float32)
    with pytest.raises(BridgeError) as caught:
        plot_result(
            tmp_path / "p.png",
            before=audio,
            after=audio,
            sample_rate=8000,
            spans=[Span(1, 2)],
            seams=[],
            title="",
        )
    assert caught.value.code == ErrorCode.PACKAGE_MISSING
    assert "pip install" in caught.value.hint


def test_importing_loads_no_matplotlib_and_drawing_no_pyplot() -> None:
    script = (
        "import sys, numpy as np, reapaint.commands.plot as p\n"
        "from reapaint_engine.protocol.spans import Span\n"
        "assert 'matplotlib' not in sys.modules\n"
        "import tempfile, pathlib\n"
        "a = np.zeros((1, 1000), np.float32)\n"
        "with tempfile.TemporaryDirectory() as d:\n"
        "    p.plot_result(pathlib.Path(d) / 'p.png', before=a, after=a, sample_rate=8000,"
        " spans=[Span(1, 9)], seams=[], title='')\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", script], check=True, timeout=60)
