"""The web page for everybody: names, contrast, narrow screens."""

import urllib.request
from itertools import product

import pytest

from tests.page.browser import Page

CONTROLS = {
    "button",
    "checkbox",
    "combobox",
    "link",
    "progressbar",
    "radio",
    "slider",
    "spinbutton",
    "textbox",
}
TEXT = 4.5
"""The least contrast of text, and of what else must be seen: WCAG 2.2, 1.4.3 and 1.4.11."""
GRAPHICS = 3.0


def shown(page: Page) -> None:
    page.run(
        "document.querySelector('#work').hidden = false;"
        "document.querySelectorAll('details').forEach((each) => { each.open = true; })"
    )


def test_every_control_has_a_name(page: Page) -> None:
    shown(page)
    controls = [node for node in page.tree() if node["role"]["value"] in CONTROLS]
    nameless = [node for node in controls if not node.get("name", {}).get("value")]
    assert len(controls) > 20
    assert nameless == []


def test_progress_and_trouble_are_told(page: Page) -> None:
    page.run("document.querySelector('#alert').hidden = false")
    shown(page)
    live = {
        node["role"]["value"]
        for node in page.tree()
        if any(each["name"] == "live" for each in node.get("properties", ()))
    }
    assert {"alert", "status"} <= live


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast(page: Page, scheme: str) -> None:
    feature = {"name": "prefers-color-scheme", "value": scheme}
    page.ask("Emulation.setEmulatedMedia", features=[feature])
    try:
        names = ["page", "card", "text", "quiet", "accent", "on-accent", "line", "edge", "wave"]
        names += ["wave-played", "cursor", "alert", "alert-page"]
        colours = {name: colour(page, name) for name in names}
    finally:
        page.ask("Emulation.setEmulatedMedia", features=[])
    pairs = [
        *((TEXT, *pair) for pair in product(("text", "quiet"), ("page", "card"))),
        (TEXT, "on-accent", "accent"),
        (TEXT, "alert", "alert-page"),
        *((GRAPHICS, *pair) for pair in product(("line", "accent"), ("page", "card"))),
        *((GRAPHICS, name, "card") for name in ("edge", "wave", "wave-played", "cursor")),
    ]
    weak = [pair for pair in pairs if contrast(colours[pair[1]], colours[pair[2]]) < pair[0]]
    assert weak == []


def colour(page: Page, name: str) -> list[float]:
    text = page.run(f"getComputedStyle(document.body).getPropertyValue('--{name}').trim()")
    return [int(text[n : n + 2], 16) / 255 for n in (1, 3, 5)]


def contrast(one: list[float], other: list[float]) -> float:
    lights = sorted((luminance(one), luminance(other)))
    return (lights[1] + 0.05) / (lights[0] + 0.05)


def luminance(rgb: list[float]) -> float:
    """Return the relative luminance of sRGB, as WCAG defines it."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in rgb]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_nothing_is_wider_than_a_narrow_screen(page: Page) -> None:
    size = {"width": 320, "height": 700, "deviceScaleFactor": 1, "mobile": True}
    page.ask("Emulation.setDeviceMetricsOverride", **size)
    try:
        shown(page)
        assert page.run("document.documentElement.scrollWidth") <= 320
    finally:
        page.ask("Emulation.clearDeviceMetricsOverride")


def test_a_browser_runs_the_page_as_it_is_now(page: Page, server: str) -> None:
    scripts = [url for url in page.requests if url.endswith(".js")]
    assert len(scripts) > 8
    for url in [*scripts, f"{server}/page/style.css"]:
        with urllib.request.urlopen(url) as answer:
            assert answer.headers["Cache-Control"] == "no-cache"
            assert answer.headers.get_content_type() in ("text/javascript", "text/css")


def test_the_page_may_run_nothing_but_its_own_scripts(page: Page) -> None:
    page.run(
        "document.body.insertAdjacentHTML('beforeend', '<p id=inline onclick=\"this.id = 0\">')"
    )
    page.run("document.querySelector('#inline').click()")
    assert page.run("Boolean(document.querySelector('#inline'))")
    assert "Content Security Policy" in page.complaints.pop()
