"""The web page in a real browser, from a file to its repainted version."""

import json
import urllib.error
import urllib.request
import wave
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from pedalboard.io import AudioFile

from tests.page.browser import ALT, CONTROL, SHIFT, Page, wait_until
from tests.page.conftest import gateway

RATE = 44_100
FRAMES = 10 * RATE + 31
"""10.0007 s: no whole number of thousandths, nor of samples at browsers' own 48 kHz."""

WRAPPER = "#waveform > div >>> .wrapper"
LEFT = "#waveform > div >>> [part*=region-handle-left]"
RIGHT = "#waveform > div >>> [part*=region-handle-right]"
FOCUS = """(() => {
    let element = document.activeElement;
    while (element.shadowRoot?.activeElement) element = element.shadowRoot.activeElement;
    return element.ariaLabel || element.name || element.id;
})()"""

Samples = npt.NDArray[np.int16]


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    rng = np.random.default_rng(5)
    time_s = np.arange(FRAMES) / RATE
    tone = 6000 * np.sin(2 * np.pi * 220 * time_s)
    samples = (tone[:, None] + rng.normal(0, 900, (FRAMES, 2))).astype("<i2")
    return write_wav(tmp_path / "tone.wav", samples)


def write_wav(path: Path, samples: Samples) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(samples.shape[1])
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(samples.tobytes())
    return path


def read(path: Path) -> Samples:
    with AudioFile(str(path)) as file:
        assert file.samplerate == RATE
        audio = file.read(file.frames)
    return np.round(audio.T * 32768).astype(np.int16)


def choose(page: Page, path: Path) -> None:
    page.choose_file("#file", path)
    wait_for_selection(page)


def wait_for_selection(page: Page) -> None:
    page.wait("!document.querySelector('#work').hidden && document.querySelector('#end').value")


def selection(page: Page) -> tuple[float, float]:
    return page.run("+document.querySelector('#start').value"), page.run(
        "+document.querySelector('#end').value"
    )


def repaint(page: Page) -> None:
    page.click("#run")
    wait_for_takes(page)


def wait_for_takes(page: Page) -> None:
    page.wait("document.querySelector('#status').textContent.startsWith('Done')")


def heard(page: Page) -> str:
    return str(page.run("document.querySelector('[name=version]:checked').value"))


def tab_to(page: Page, name: str) -> None:
    for _ in range(80):
        page.press("Tab")
        if page.run(FOCUS) == name:
            return
    raise AssertionError(f"the keyboard does not reach {name!r}")


def assert_outside_is_kept(result: Path, source: Path, span: tuple[float, float]) -> None:
    before, after = read(source), read(result)
    start, end = (round(seconds * RATE) for seconds in span)
    assert after.shape == before.shape
    np.testing.assert_array_equal(after[:start], before[:start])
    np.testing.assert_array_equal(after[end:], before[end:])
    assert np.any(after[start:end] != before[start:end])


def test_with_the_mouse_a_selection_is_drawn_repainted_compared_and_downloaded(
    page: Page, recording: Path, downloads: Path
) -> None:
    choose(page, recording)
    left, top, width, height = page.box(WRAPPER)
    seconds_per_px = FRAMES / RATE / width

    def at(seconds: float) -> tuple[float, float]:
        return left + seconds / seconds_per_px, top + height / 2

    page.drag(at(1.0), at(1.3), at(2.5))
    assert selection(page) == pytest.approx((1.0, 2.5), abs=1.5 * seconds_per_px)
    x, y, handle_width, handle_height = page.box(RIGHT)
    edge = x + handle_width / 2, y + handle_height / 2
    page.drag(edge, (edge[0] + 20, edge[1]), (edge[0] + 50, edge[1]))
    wanted = (1.0, 2.5 + 50 * seconds_per_px)
    assert selection(page) == pytest.approx(wanted, abs=1.5 * seconds_per_px)

    repaint(page)
    assert heard(page) == "take-1"
    page.click("[value=original]")
    assert heard(page) == "original"
    page.click("a[download]")
    name = page.wait_for_download()
    assert name.name == "tone-take-1.wav"
    assert_outside_is_kept(downloads / name, recording, selection(page))


def test_with_the_keyboard_alone_a_dropped_file_is_repainted_and_downloaded(
    page: Page, recording: Path, downloads: Path
) -> None:
    page.drop_file(300, 150, recording)
    wait_for_selection(page)
    start, end = selection(page)
    tab_to(page, "Start of the selection")
    page.press("ArrowLeft")
    page.press("ArrowLeft", SHIFT)
    tab_to(page, "End of the selection")
    page.press("PageUp")
    page.press("ArrowRight", ALT)
    wanted = (start - 0.1, end + 1.01)
    assert selection(page) == pytest.approx(wanted, abs=0.0015)
    tab_to(page, "takes")
    page.type("2")
    page.press("Enter", CONTROL)
    wait_for_takes(page)
    assert heard(page) == "take-1"
    for key, version in [("0", "original"), ("2", "take-2"), ("1", "take-1")]:
        # A digit that is typed into a field stays there.
        page.run("document.activeElement.blur()")
        page.press(key)
        page.wait(f"document.querySelector('[name=version]:checked').value === '{version}'")
    page.press("ArrowDown")
    page.wait("document.querySelector('[name=version]:checked').value === 'take-2'")
    tab_to(page, "Download take 2")
    page.press("Enter")
    name = page.wait_for_download()
    assert name.name == "tone-take-2.wav"
    assert_outside_is_kept(downloads / name, recording, wanted)


def test_versions_change_while_time_goes_on(page: Page, recording: Path) -> None:
    choose(page, recording)
    repaint(page)
    page.run("document.activeElement.blur()")
    page.press(" ")
    clock = "document.querySelector('#position').valueAsNumber"
    page.wait(f"{clock} > 0.1")
    for key, version in [("0", "original"), ("1", "take-1")]:
        before = page.run(clock)
        page.press(key)
        page.wait(f"document.querySelector('[name=version]:checked').value === '{version}'")
        assert page.run("document.querySelector('#play').textContent") == "Pause"
        assert page.wait(f"{clock} > {before} && {clock}") < before + 5
    page.press(" ")
    stopped = page.run(clock)
    page.press("ArrowRight")
    assert page.run(clock) == pytest.approx(stopped + 1, abs=0.011)
    page.press("l")
    assert page.run("document.querySelector('#loop').checked")


def test_a_selection_to_the_end_makes_nothing_longer(
    page: Page, recording: Path, downloads: Path
) -> None:
    choose(page, recording)
    page.run("document.querySelector('#waveform > div').shadowRoot.querySelector("
             "'[part*=region-handle-right]').focus()")  # fmt: skip
    page.press("End")
    repaint(page)
    assert page.run("document.querySelector('#remarks').textContent") == ""
    page.click("a[download]")
    start, end = selection(page)
    result = downloads / page.wait_for_download()
    assert_outside_is_kept(result, recording, (start, FRAMES / RATE))
    assert end == pytest.approx(FRAMES / RATE, abs=0.001)


def test_flac_comes_back_as_flac(page: Page, downloads: Path, tmp_path: Path) -> None:
    source = tmp_path / "birds.flac"
    with AudioFile(str(source), "w", RATE, 1, bit_depth=16) as file:
        file.write(np.random.default_rng(1).normal(0, 0.1, (1, 6 * RATE)).astype(np.float32))
    choose(page, source)
    repaint(page)
    page.click("a[download]")
    result = downloads / page.wait_for_download()
    assert result.suffix == ".flac"
    assert_outside_is_kept(result, source, selection(page))


def test_what_the_browser_cannot_decode_is_repainted_by_typed_times(
    page: Page, recording: Path, tmp_path: Path, downloads: Path
) -> None:
    source = tmp_path / "tone.aiff"
    with AudioFile(str(source), "w", RATE, 2, bit_depth=16) as file:
        file.write(read(recording).T.astype(np.float32) / 32768)
    page.choose_file("#file", source)
    page.wait("document.querySelector('#file-name').textContent.includes('can be repainted')")
    assert page.run("document.querySelector('#waveform').hidden")
    page.click("#run")
    assert "Say where to repaint" in page.wait("document.querySelector('#alert').textContent")
    for name, value in [("#start", "2.5"), ("#end", "3.25")]:
        page.click(name)
        page.type(value)
    page.press("Enter")
    wait_for_takes(page)
    page.wait("!document.querySelector('#waveform').hidden")
    page.wait("document.querySelector('#start').value === '2.500'")
    assert selection(page) == (2.5, 3.25)
    page.click("a[download]")
    assert_outside_is_kept(downloads / page.wait_for_download(), source, (2.5, 3.25))


def test_cancel_ends_the_job_on_the_server(page: Page, server: str, tmp_path: Path) -> None:
    noise = np.random.default_rng(2).normal(0, 2000, (90 * RATE, 1)).astype("<i2")
    choose(page, write_wav(tmp_path / "noise.wav", noise))
    for name, value in [("#start", "30"), ("#end", "60"), ("[name=takes]", "16")]:
        page.click(name)
        page.type(value)
    page.press("Enter")
    page.wait("document.querySelector('#status').textContent === 'Making new sound'")
    page.press("Escape")
    page.wait("document.querySelector('#status').textContent === 'Cancelled.'")
    assert page.run("document.querySelectorAll('.version').length") == 1
    with urllib.request.urlopen(f"{server}/api/v3/predictions?page_size=1") as answer:
        assert json.load(answer)["data"]["items"][0]["status"] == "cancelled"


def test_settings_reach_the_engine(page: Page, recording: Path) -> None:
    choose(page, recording)
    page.run("document.querySelector('#form details').open = true")
    for name, value in [("seed", "7"), ("crossfade", "0.01"), ("context", "3")]:
        page.click(f"[name={name}]")
        page.type(value)
    page.run("document.querySelector('[name=mode]').value = 'similar'")
    repaint(page)
    assert "seed 7, context, similar" in page.run("document.querySelector('#versions').textContent")
    page.run("document.querySelector('[name=seed]').value = ''")
    page.click("[aria-label='Use its seed: take 1']")
    assert page.run("document.querySelector('[name=seed]').value") == "7"
    page.click("[aria-label='Remove take 1']")
    page.wait("document.querySelectorAll('.version').length === 1")
    assert heard(page) == "original"


def test_a_field_says_when_a_backend_takes_no_notice_of_it(page: Page, recording: Path) -> None:
    choose(page, recording)
    assert page.run("document.querySelector('[name=prompt]').disabled")
    note = "document.querySelector('#ignored').textContent"
    assert "takes no notice of: prompt" in page.run(note)
    page.run(
        "document.querySelector('[name=backend]').value = 'stable-audio-3';"
        "document.querySelector('[name=backend]').dispatchEvent(new Event('change'))"
    )
    assert not page.run("document.querySelector('[name=prompt]').disabled")
    assert "no notice" not in page.run(note)


def test_a_setting_out_of_range_is_shown_and_nothing_is_sent(page: Page, recording: Path) -> None:
    choose(page, recording)
    page.requests.clear()
    page.click("[name=takes]")
    page.type("17")
    page.press("Enter")
    assert page.run("document.querySelector('[name=takes]').matches(':user-invalid')")
    assert page.requests == []


def test_what_is_no_sound_is_refused_in_a_sentence(page: Page, tmp_path: Path) -> None:
    empty = tmp_path / "empty.wav"
    empty.touch()
    page.choose_file("#file", empty)
    alert = "document.querySelector('#alert').textContent"
    assert page.wait(alert) == "empty.wav is empty."
    text = tmp_path / "text.wav"
    text.write_text("no sound at all " * 100)
    page.choose_file("#file", text)
    page.wait("document.querySelector('#file-name').textContent.includes('can be repainted')")
    page.run("document.querySelector('#start').value = 0; document.querySelector('#end').value = 1")
    page.click("#run")
    assert "Convert it to WAV or FLAC" in page.wait(alert)
    forgive(page, 400)
    assert page.run("document.querySelector('#cancel').hidden")


def test_a_token_is_asked_for_until_it_is_right(tab: Page, tmp_path: Path) -> None:
    with gateway(tmp_path, token="the-right-token-0123456789") as address:
        tab.open(f"{address}/")
        for token in ("a-wrong-token", "the-right-token-0123456789"):
            tab.wait("document.querySelector('#token-dialog').open")
            assert bool(tab.run("document.querySelector('#token-wrong').textContent")) == (
                token != "a-wrong-token"
            )
            tab.type(token)
            tab.press("Enter")
            tab.wait("!document.querySelector('#token').value")
        tab.wait("document.querySelector('[name=backend]').options.length > 1")
    forgive(tab, 401, 401)


def test_a_recording_that_the_server_forgot_is_sent_again_unless_the_server_is_gone(
    tab: Page, recording: Path, tmp_path: Path
) -> None:
    with gateway(tmp_path, "--http-keep", "3") as address:
        tab.open(f"{address}/")
        tab.wait("document.querySelector('[name=backend]').options.length > 1")
        choose(tab, recording)
        repaint(tab)
        looked = next(url for url in tab.requests if "/media/" in url and "upload" not in url)
        wait_until(lambda: is_gone(looked))
        tab.click("#run")
        tab.wait("document.querySelectorAll('.version').length === 3")
        assert sum("upload" in url for url in tab.requests) == 2
        forgive(tab, 404)
    tab.click("#run")
    assert "does not answer" in tab.wait("document.querySelector('#alert').textContent")
    wait_until(lambda: bool(tab.complaints))
    tab.complaints.clear()


def forgive(page: Page, *statuses: int) -> None:
    """Take the browser's own complaints about answers that are errors, which a test wanted."""
    wait_until(lambda: len(page.complaints) >= len(statuses))
    for status in statuses:
        assert f"status of {status}" in page.complaints.pop(0)


def is_gone(url: str) -> bool:
    try:
        urllib.request.urlopen(url).close()
    except urllib.error.HTTPError as error:
        return error.code == 404
    return False
