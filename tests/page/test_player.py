"""How versions are played: rendered offline, and looked at sample by sample."""

from typing import Any

import numpy as np
import numpy.typing as npt

from tests.page.browser import Page

RATE = 48_000
SECONDS = 2
LEAD = 960
"""Sound begins this many samples after it is asked for."""
FADE = 480
STEP = 1 / (RATE * SECONDS)
"""Of the ramp: a version that is a sample early or late differs by this much."""


def render(page: Page, changes: list[tuple[float, str]], b: float, loop: str = "null") -> Any:
    """Play a ramp as version a and the ramp plus a constant as b, changing at certain times."""
    samples = page.run(f"""(async () => {{
        const {{ Player }} = await import("/page/player.js");
        const frames = {RATE * SECONDS};
        const context = new OfflineAudioContext(1, frames, {RATE});
        const player = new Player(context);
        for (const [name, more] of [["a", 0], ["b", {b}]]) {{
            const buffer = context.createBuffer(1, frames, {RATE});
            buffer.getChannelData(0).forEach((_, n, all) => {{ all[n] = n / frames + more; }});
            player.add(name, buffer);
        }}
        player.choose("a");
        player.loop = {loop};
        player.play();
        for (const [time, name] of {[list(each) for each in changes]}) {{
            context.suspend(time).then(() => {{ player.choose(name); context.resume(); }});
        }}
        return [...(await context.startRendering()).getChannelData(0)];
    }})()""")
    return np.array(samples)


def ramp() -> npt.NDArray[np.float64]:
    return np.arange(RATE * SECONDS - LEAD) * STEP


def test_changing_between_versions_that_are_alike_cannot_be_heard(page: Page) -> None:
    often = [(0.5, "b"), (0.51, "a"), (0.52, "b"), (1.0, "a"), (1.7, "b")]
    heard = render(page, often, b=0.0)[LEAD:]
    assert np.max(np.abs(heard - ramp())) < STEP / 4


def test_another_version_is_heard_at_once_from_the_same_place_on(page: Page) -> None:
    heard = render(page, [(0.5, "b"), (1.0, "a")], b=1.0)[LEAD:]
    more = heard - ramp()
    to_b, to_a = int(0.5 * RATE), int(1.0 * RATE)
    expected = np.interp(
        np.arange(more.size), [to_b, to_b + FADE, to_a, to_a + FADE], [0.0, 1.0, 1.0, 0.0]
    )
    # Time stands only at the edges of the blocks that sound is rendered in.
    block = 128
    assert np.max(np.abs(more - expected)) < (block + 1) / FADE
    assert np.max(np.abs(more[to_b + FADE + block : to_a - block] - 1)) < STEP / 4


def test_a_loop_goes_round_and_versions_stay_in_step_in_it(page: Page) -> None:
    heard = render(page, [(0.7, "b"), (1.1, "a")], b=0.0, loop="[0.25, 0.5]")[LEAD:]
    first = int(0.5 * RATE)
    assert np.max(np.abs(heard[:first] - ramp()[:first])) < STEP / 4
    place = np.arange(heard.size - first) % int(0.25 * RATE)
    expected = (place + int(0.25 * RATE)) * STEP
    assert np.max(np.abs(heard[first:] - expected)) < STEP / 4


def test_what_was_decoded_first_is_let_go_of_and_comes_back(page: Page) -> None:
    told = page.run(f"""(async () => {{
        const {{ Player }} = await import("/page/player.js");
        const {{ Versions }} = await import("/page/versions.js");
        const frames = {RATE};
        const context = new OfflineAudioContext(1, frames, {RATE});
        const header = new DataView(new ArrayBuffer(44));
        const words = [[0, "RIFF"], [8, "WAVE"], [12, "fmt "], [36, "data"]];
        for (const [at, word] of words) {{
            [...word].forEach((letter, n) => header.setUint8(at + n, letter.charCodeAt(0)));
        }}
        const sizes = [[4, 36 + 2 * frames], [16, 16], [24, {RATE}], [28, 2 * {RATE}]];
        for (const [at, value] of [...sizes, [40, 2 * frames]]) header.setUint32(at, value, true);
        for (const [at, value] of [[20, 1], [22, 1], [32, 2], [34, 16]]) {{
            header.setUint16(at, value, true);
        }}
        const file = new Blob([header, new Int16Array(frames)]);
        const player = new Player(context);
        const list = document.createElement("div");
        document.body.append(list);
        const versions = new Versions(list, player, context, 3 * 4 * frames);
        await versions.open(file, await context.decodeAudioData(await file.arrayBuffer()));
        const about = {{ note: "", fileName: String, onSeed() {{}} }};
        for (let take = 0; take < 3; take += 1) await versions.add(file, about);
        const names = ["original", "take-1", "take-2", "take-3"];
        const there = () => names.filter((name) => player.has(name));
        const before = there();
        await Promise.all([
            new Promise((shown) => versions.addEventListener("show", shown, {{ once: true }})),
            versions.chooseNumbered(1),
        ]);
        const after = [player.version, ...there()];
        list.remove();
        return [before, after];
    }})()""")
    assert told[0] == ["original", "take-2", "take-3"]
    assert told[1][0] == "take-1"
    assert "take-1" in told[1][1:]
    assert len(told[1]) == 4
